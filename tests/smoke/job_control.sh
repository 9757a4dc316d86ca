# Job control in a bash script with -m: stop, continue, foreground, background.
cat > script <<'S'
set -m
sleep 100 &
jobs
kill -STOP %1; sleep 0.05; jobs
bg %1 > /dev/null; sleep 0.05; jobs
kill %1; wait %1 2>/dev/null; echo "status $?"
(exit 3) & wait $!; echo "status $?"
sleep 0.1 &
fg %% > /dev/null; echo "fg $?"
sleep 100 | cat & 
pg=$(jobs -p); ps -o pgid= -p $pg | tr -d ' ' | grep -qx $pg && echo "own group"
{ kill -- -$pg; wait; } 2>/dev/null; wait 2>/dev/null; sleep 0.05; jobs > /dev/null; echo done
S
bash script 2>&1 | sed 's/[0-9]\{3,\}/N/g' | grep -v Terminated

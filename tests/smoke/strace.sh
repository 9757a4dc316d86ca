# bevor-test: timeout=120
# strace of a shell pipeline, of what signals interrupt and stop, and attached: the same calls as natively.
cat > pipeline.sh <<'END'
printf 'one\ntwo\nthree\n' | tr a-z A-Z | sort | wc -l
(exit 3)
kill -TERM $$
END
# Lines without addresses, numbers of processes and times.
normal() { sed -E 's/0x[0-9a-f]+/ADDR/g; s/(si_pid=|kill\()[0-9]+/\1PID/; s/si_uid=[0-9]+/UID/; s/\/\* [0-9]+ vars \*\//VARS/; s/tv_nsec=[0-9]+/NS/g; s/= \?.*RESTART.*/= RESTART/; s/ +/ /g' "$@"; }
# Waits until a process is in a state.
in_state() { until grep -q "^State:.*[$2]" "/proc/$1/status"; do sleep 0.02; done; }
strace -ff -o calls -e trace=execve,pipe,pipe2,dup2,write,exit_group,kill sh pipeline.sh
echo "status $?"
normal calls.* | grep -v SIGCHLD | sort
strace -f -c -o counts -e trace=exit_group,execve sh -c 'true; /bin/true; /bin/true | /bin/true'
awk '/execve|exit_group/ { print $NF, $4 }' counts | sort
# A sleep that is stopped and continued goes on.
strace -o sleep -e trace=clock_nanosleep,restart_syscall perl -e '$SIG{TERM} = sub { exit 7 };
    open F, ">pid.new"; print F $$; close F; rename "pid.new", "pid"; sleep 3600' & tracer=$!
until [ -e pid ] && grep -q nanosleep sleep; do sleep 0.05; done
sleeper=$(cat pid)
in_state "$sleeper" S
kill -STOP "$sleeper"
until grep -q 'stopped by' sleep; do sleep 0.05; done
kill -CONT "$sleeper"
until grep -q restart_syscall sleep; do sleep 0.05; done
in_state "$sleeper" S
kill -TERM "$sleeper"
wait $tracer
echo "status $?"
normal sleep | sed 's/{tv_sec=[0-9]*/{SECONDS/g'
# Attached to what runs already.
sh -c 'while [ ! -e stop ]; do sleep 0.05; done; exit 5' & loop=$!
strace -o attached -p $loop -e trace=exit_group 2>says & tracer=$!
until grep -q attached says 2> /dev/null; do sleep 0.05; done
grep -c "TracerPid:.*[1-9]" /proc/$loop/status
touch stop
wait $loop; echo "status $?"
wait $tracer; echo "status $?"
grep -v SIGCHLD attached

# bevor-test: timeout=60
# bash: traps, here-documents, process substitution, coprocesses, arrays.
cat <<EOT
here $((6 * 7)) $(echo nested)
EOT
cat <<'EOT'
quoted $x
EOT
cat <<< "here string"
diff <(seq 1 5) <(seq 1 2 5)
tee >(sort -r > sorted) < <(seq 1 3) > /dev/null; sleep 0.2; cat sorted
coproc BC { while read -r x; do echo $((x * 2)); done; }
echo 21 >&"${BC[1]}"; read -r answer <&"${BC[0]}"; echo "$answer"
eval "exec ${BC[1]}>&-"; wait $BC_PID; echo $?
trap 'echo got USR1' USR1; kill -USR1 $$; sleep 0.01
trap 'echo got TERM' TERM; (sleep 0.1; kill -TERM $$) & wait; echo "wait: $?"; sleep 0.2; wait
trap - TERM
( trap 'echo exit trap; exit 4' EXIT; exit 2 ); echo $?
( trap 'echo err on line' ERR; false; true ); echo $?
( trap '' PIPE; yes 2>/dev/null | head -1 )
set -o pipefail; false | true; echo $?; set +o pipefail
declare -A m=([a]=1 [b]=2); echo "${#m[@]} ${m[b]}"
a=(x y z); echo "${a[@]:1}" "${#a[*]}"; printf '%s-' "${a[@]}"; echo
s="hello world"; echo "${s^^} ${s/o/0} ${s:6} ${#s}"
for ((i = 0; i < 3; i++)); do echo -n "$i "; done; echo
case foo in f*) echo matched;; esac
[[ abc =~ b(.) ]] && echo "${BASH_REMATCH[1]}"
exec 5> file; echo five >&5; exec 5>&-; cat file
read -r -t 0.1 x < /dev/zero; echo "timeout: $?" | cut -c1-8
{ sleep 0.3; echo late; } & p=$!; jobs -p | wc -l; kill $p; wait $p 2>/dev/null; echo "killed: $?"
sleep 0.1 & sleep 0.1 & wait -n; echo $?; wait
mapfile -t lines < <(seq 1 3); echo "${lines[2]}"
printf -v text '%05d' 42; echo $text
ulimit -n 64; ulimit -n; { ( ulimit -f 1; head -c 5000 /dev/zero > big; echo $? ); } 2>/dev/null
echo $BASH_SUBSHELL $(echo $BASH_SUBSHELL)
type -t echo; command -v ls
help() { local x=1; echo "$x ${FUNCNAME[0]}"; }; help
x=$(< file); echo $x
let y=2**10; echo $y
umask 077; touch private; stat -c %a private
shopt -s nullglob; echo /nonexistent/*; echo {1..5} {a..c}
( exec -a renamed sleep 0 ); echo $?
nonexistent-command 2>/dev/null; echo $?
./nothing 2>/dev/null; echo $?
{ (kill -9 $BASHPID); echo $?; } 2>/dev/null
time_out=$( { time true; } 2>&1 | grep -c real); echo $time_out

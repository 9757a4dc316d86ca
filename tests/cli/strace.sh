# What `--strace` and `--strace-summary` write: what it must be is written down here.
[ -n "$RUN" ] || { cat <<'S'
inside
openat(AT_FDCWD, "/nonexistent", O_RDONLY) = -1 ENOENT
write(1, "inside\n", 7) = 7
exit_group(3) = ?
status 3
openat lines on standard error: 1
both: lines and one total
% time     seconds  usecs/call     calls    errors syscall
write counted
openat failed
total counted
no lines
bevor: --strace-output needs --strace or --strace-summary
S
exit 0; }
set -- $RUN; bevor=$1; p=$3
program='cat /nonexistent 2> /dev/null; echo inside; exit 3'
run() { $bevor do $p "$@" -- sh -c "$program"; }
run --strace --strace-output trace; status=$?
grep -oE 'openat\(AT_FDCWD, "/nonexistent", O_RDONLY\) = -1 ENOENT' trace
grep -oE 'write\(1, "inside\\n", 7\) = 7' trace
grep -oE 'exit_group\(3\) = \?' trace
echo "status $status"
echo "openat lines on standard error: $(run --strace 2>&1 > /dev/null | grep -c '"/nonexistent", O_RDONLY) = -1')"
run --strace --strace-summary 2> both > /dev/null
grep -q 'exit_group(3)' both && [ "$(grep -c ' total$' both)" = 1 ] && echo "both: lines and one total"
run --strace-summary --strace-output summary > /dev/null
head -1 summary
awk '$NF == "write" { print "write counted" }' summary
awk '$NF == "openat" && NF == 6 && $5 > 0 { print "openat failed" }' summary
awk '$NF == "total" && $4 > 10 { print "total counted" }' summary
grep -q '(' summary || echo "no lines"
$bevor do $p --strace-output nowhere -- true 2>&1 || true

# bevor-test: stderr=ignore
# Errors of the command line itself are one line on standard error, with a hint.
[ -n "$RUN" ] || { sed 's/^x //' <<'S'
x no-such-flag: fails, one line
x no-such-platform: fails, one line
x bad-memory: fails, one line
x nothing: fails, one line
x missing program: 127, one line
x not executable: 126, one line
x folder: 126, one line
x bad cwd: fails, one line
x bad ro: fails, one line
x timeout: fails, one line
x unknown command: fails, one line
S
exit 0; }
set -- $RUN
bevor=$1; shift; shift; platform=$1
check() {
    what=$1; wanted=$2; shift; shift
    "$@" > out 2> err < /dev/null; status=$?
    if [ $wanted = fails ]; then [ $status -ne 0 ] && shown=fails || shown="status 0"; else shown=$status; fi
    lines=$(wc -l < err)
    [ $lines = 1 ] && [ ! -s out ] && echo "$what: $shown, one line" || { echo "$what: $shown, $lines lines"; cat out err; }
}
check no-such-flag fails $bevor do --no-such-flag -- true
check no-such-platform fails $bevor do --platform=nothing -- true
check bad-memory fails $bevor do $platform --memory=lots -- true
check nothing fails $bevor do $platform
check "missing program" 127 $bevor do $platform -- /nonexistent/program
check "not executable" 126 $bevor do $platform -- /etc/passwd
check folder 126 $bevor do $platform -- /tmp
check "bad cwd" fails $bevor do $platform --cwd=/nonexistent -- true
check "bad ro" fails $bevor do $platform --ro=/nonexistent/x -- true
check timeout fails $bevor do $platform --timeout=1 -- sleep 30
check "unknown command" fails $bevor frobnicate

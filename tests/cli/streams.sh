# Standard streams pass through: pipes, files at the host's own offset, closed ends.
printf 'one\ntwo\n' | $RUN cat
printf 'one\ntwo\nthree\n' > in
{ read -r first; echo "host read $first"; $RUN head -c 4; read -r rest; echo "host then read $rest"; } < in
$RUN sh -c 'echo to stdout; echo to stderr >&2' > o 2> e
cat o e
$RUN sh -c 'echo appended' >> o
cat o
$RUN sh -c 'cat > /dev/null; echo empty' < /dev/null
$RUN sh -c 'read x || echo end of file' < /dev/null
$RUN sh -c 'yes | head -n 100000' | sha256sum
$RUN yes | head -n 3
echo "yes: ${PIPESTATUS[0]} ${PIPESTATUS[1]}"
head -c 3000000 /dev/zero | $RUN sha256sum
head -c 3000000 /dev/zero | $RUN cat | sha256sum
$RUN sh -c 'exec 3>&1; echo via three >&3'
echo shared > both; { $RUN sh -c 'echo inner 1'; echo host; $RUN sh -c 'echo inner 2'; } >> both; cat both
{ printf 'a'; sleep 0.2; printf 'b'; sleep 0.2; echo c; } | $RUN cat
cat > told.py <<'EOF'
import fcntl, os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
fcntl.fcntl(0, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
data = b"?"
while data:
    print(signal.sigtimedwait([signal.SIGIO], 20) is not None)
    data = os.read(0, 100)
    print(data)
EOF
{ sleep 0.4; echo one; sleep 0.4; echo two; sleep 0.4; } | $RUN python3 told.py
$RUN sh -c 'dd bs=1 count=3 2>/dev/null; echo; dd bs=1 count=2 2>/dev/null' <<< abcdefgh
echo
$RUN cat < in | $RUN tr a-z A-Z | $RUN sort -r
(exec <&-; $RUN sh -c 'cat 2>/dev/null; echo cat $?')
(exec >&-; $RUN sh -c 'echo x 2>/dev/null'; echo "closed stdout: $?" >&2)

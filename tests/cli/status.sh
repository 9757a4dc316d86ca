# The exit status of the guest is that of the command line.
for code in 0 1 2 42 127 128 255; do $RUN sh -c "exit $code"; echo "$code: $?"; done
$RUN true; echo $?
$RUN false; echo $?
for sig in HUP INT QUIT KILL USR1 TERM ABRT SEGV PIPE; do
    { $RUN sh -c "kill -$sig \$\$; sleep 1"; } 2>/dev/null; echo "$sig: $?"
done
$RUN sh -c '(sleep 5; echo late) > /dev/null 2>&1 & exit 3'; echo "background: $?"

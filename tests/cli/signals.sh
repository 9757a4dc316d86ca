# Signals sent to the command line reach the guest.
await() { for i in {1..400}; do grep -q ready out 2>/dev/null && return; sleep 0.02; done; echo never ready; }
for sig in TERM HUP USR1 USR2; do
    rm -f out
    $RUN bash -c "trap 'echo got $sig; exit 7' $sig; echo ready; for i in {1..200}; do sleep 0.05; done" > out &
    pid=$!
    await
    kill -$sig $pid
    wait $pid
    echo "$sig: $?"
    cat out
done
# Untrapped ones end it.
for sig in TERM HUP USR1; do
    rm -f out
    $RUN bash -c 'echo ready; exec sleep 30' > out &
    pid=$!
    await
    kill -$sig $pid
    { wait $pid; } 2>/dev/null
    echo "$sig: $?"
done

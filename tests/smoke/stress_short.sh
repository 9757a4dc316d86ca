# bevor-test: user=root timeout=120
# stress-ng with verification, a second each.
for s in futex fork clone vm mmap mremap pipe poll epoll sigq signal timer eventfd switch sem; do
    case $s in vm | mmap | mremap) more="--$s-bytes 16M" ;; *) more= ;; esac
    stress-ng --$s 2 $more --verify --timeout 1s --oomable -q > log 2>&1; echo $s $?; grep -iE 'fail|error' log
done
ls /dev/shm | grep -c stress; ipcs -s 2>/dev/null | grep -c 0x

# bevor-test: tier=full timeout=600
# stress-ng with verification, ten seconds each, more workers than processors.
for s in futex fork clone vm mmap mremap pipe poll epoll sigq signal timer eventfd switch sem; do
    case $s in vm | mmap | mremap) more="--$s-bytes 64M" ;; *) more= ;; esac
    stress-ng --$s 4 $more --verify --timeout 10s --oomable -q > log 2>&1; echo $s $?; grep -iE 'fail|error' log
done
ls /dev/shm | grep -c stress; ipcs -s 2>/dev/null | grep -c 0x

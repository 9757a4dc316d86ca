# Flags of `do`: what a host would do is written down here.
[ -n "$RUN" ] || { cat <<'S'
/tmp
in the environment
overlay: kept inside
not on the host
renamed
ro: data
ro: refused
rw: data
written
user 1
net: only lo
elsewhere: in the sandbox alone
hidden: 0
timed out
stopped, and timed out
limited
67108864
40
S
exit 0; }
set -- $RUN; bevor=$1; p=$3
run() { $bevor do $p "$@"; }
echo data > file; mkdir dir; echo data > dir/f; chmod 777 dir; chmod 666 dir/f
run --cwd=/tmp -- pwd
run --env=X='in the environment' -- sh -c 'echo $X'
run -- sh -c 'echo inside > made; [ -e made ] && echo overlay: kept inside'; [ -e made ] || echo not on the host
run --hostname=renamed -- uname -n
run --ro "$PWD/dir:/mnt" -- sh -c 'echo "ro: $(cat /mnt/f)"; echo x 2>/dev/null > /mnt/f || echo ro: refused'
run --rw "$PWD/dir:/mnt" -- sh -c 'echo "rw: $(cat /mnt/f)"; echo written > /mnt/f'; cat dir/f
run --user=$(id -u) -- sh -c 'echo user $(id -u | wc -l)'
run --net=none -- sh -c 'echo net: only $(ls /sys/class/net 2>/dev/null || cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d " ")'
run -- sh -c 'echo x > /var/tmp/bevor-test-file && echo elsewhere: in the sandbox alone'; [ -e /var/tmp/bevor-test-file ] && echo escaped
echo "hidden: $(run --cwd=/ -- sh -c 'ls -A /root /home /boot' 2>/dev/null | grep -v : | grep -c .)"
run --timeout=1 -- sleep 20 2>/dev/null || echo timed out
run --timeout=1 -- sh -c 'kill -STOP $$; sleep 20' 2>/dev/null || echo stopped, and timed out
run --memory=64M -- python3 -c 'x = bytearray(500 << 20)' 2>/dev/null || echo limited
run --memory=64M --pids=40 -- cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max

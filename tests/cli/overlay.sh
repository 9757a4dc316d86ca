# Where changes to the root go. What a host would do is written down here. bevor-test: timeout=120
[ -n "$RUN" ] || { cat <<'S'
memory: limit is shown
memory: ENOSPC, then room again
file: limit is shown
file: ENOSPC, then room again
file: programs run
file: nothing stays
none: written
none: no changes to list
dir: unchanged below
dir: read again
dir: hidden inside
dir: busy
dir: another root
dir: no size
whiteout is a device
opaque is an attribute
moved directory is whole
owner is kept
C /sub
D /sub/gone
A /sub/made
C /tree
A /tree/new
A /tree2
A /tree2/deep
A /tree2/deep/f
bad: 125
S
exit 0; }
set -- $RUN; bevor=$1; p=$3
mkdir root root/sub root/tree root/mv root/mv/deep root/proc root/sys root/dev root/tmp
echo gone > root/sub/gone; echo kept > root/sub/kept; echo t > root/tree/old; echo f > root/mv/deep/f
chmod -R u+rwX,go+rX root
for dir in bin lib lib64 usr sbin etc; do
    if [ -L /$dir ]; then cp -P /$dir root/; elif [ -d /$dir ]; then mkdir root/$dir; fi
done
run() { $bevor do $p --root "$PWD/root" --ro /usr --ro /etc $binds "$@"; }
binds=
for dir in bin lib lib64 sbin; do [ -d /$dir ] && [ ! -L /$dir ] && binds="$binds --ro /$dir"; done
fill='df -k / | tail -1 | { read a blocks b; [ $blocks = 1024 ] && echo "$0: limit is shown"; }
head -c 2000000 /dev/zero 2>/dev/null > /sub/big || [ $(stat -c %s /sub/big) -le 1048576 ] &&
    rm /sub/big && head -c 900000 /dev/zero > /sub/big && echo "$0: ENOSPC, then room again"'
run --overlay-size 1M -- sh -c "$fill" memory
run --overlay "file:$PWD" --overlay-size 1M -- sh -c "$fill" file
run --overlay "file:$PWD" -- sh -c 'cp /usr/bin/true /sub/true && /sub/true && echo file: programs run'
[ "$(ls -A | tr '\n' ' ')" = 'root ' ] && [ ! -e root/sub/true ] && echo file: nothing stays
run --overlay none -- sh -c 'echo x > /sub/through'; [ -e root/sub/through ] && echo none: written; rm -f root/sub/through
run --overlay none --diff d -- true 2>/dev/null || echo none: no changes to list; rm -f d
run --overlay "dir:$PWD/kept" -- sh -c 'rm /sub/gone; echo new > /sub/made; rm -r /tree; mkdir /tree; echo n > /tree/new; mv /mv /tree2; mkdir /mv'
[ -e root/sub/gone ] && [ ! -e root/sub/made ] && [ -e root/mv/deep/f ] && echo dir: unchanged below
run --overlay "dir:$PWD/kept" -- sh -c 'cat /sub/made; ls /sub /tree; cat /tree2/deep/f; rmdir /mv' > seen
[ "$(tr '\n' ' ' < seen)" = 'new /sub: kept made  /tree: new f ' ] && echo dir: read again
$bevor do $p --overlay "dir:$PWD/kept2" -- ls "$PWD/kept2" | grep -q . || echo dir: hidden inside; rm -rf kept2
run --overlay "dir:$PWD/kept" -- sh -c 'echo up; read x' < /dev/null > up 2>&1
mkfifo hold; run --overlay "dir:$PWD/kept" -- sh -c 'echo up; read x < /dev/stdin' < hold > up & exec 3> hold
while ! grep -q up up; do sleep 0.1; done
run --overlay "dir:$PWD/kept" -- true 2>&1 | grep -q 'another sandbox uses it' && echo dir: busy
exec 3>&-; wait
mkdir root2; $bevor do $p --root "$PWD/root2" --overlay "dir:$PWD/kept" -- true 2>&1 | grep -q 'its changes are to' && echo dir: another root
run --overlay "dir:$PWD/kept" --overlay-size 1M -- true 2>&1 | grep -q 'limited by the host' && echo dir: no size
upper=kept/root/upper
[ "$(stat -c '%F %t:%T' $upper/sub/gone)" = 'character special file 0:0' ] && echo whiteout is a device
python3 -c 'import os; print("opaque is an attribute" if os.getxattr("'$upper'/tree", "user.overlay.opaque") == b"y" else "")'
[ "$(cat $upper/tree2/deep/f)" = f ] && echo moved directory is whole
[ "$(stat -c %u $upper/sub/made)" = "$(id -u)" ] && echo owner is kept
$bevor fs diff "$PWD/kept" | grep -v ' /mv\| /usr\| /etc\| /bin\| /lib\| /lib64\| /sbin\| /home\| /root'
$bevor do --overlay disk -- true 2>/dev/null; echo "bad: $?"

# What a sandbox changed, listed and exported. What a host would do is written down here.
[ -n "$RUN" ] || { cat <<'S'
at the end:
A /new
A /new/again
A /new/link
A /new/one
C /sub
D /sub/gone
C /sub/kept
C /tree
A /tree/inside
json: 9 added 5
tar:
d 755 new/
- 640 new/again
l 777 new/link -> one
- 640 new/one -> new/again
d 755 sub/
- 600 sub/.wh.gone
- 644 sub/kept
d 700 tree/
- 600 tree/.wh..wh..opq
- 644 tree/inside
contents: first kept+more
while it runs: the same
no such sandbox: 125
name in use: 125
status: 7
S
exit 0; }
set -- $RUN; bevor=$1; p=$3
umask 022; mkdir root root/sub root/tree; echo gone > root/sub/gone; printf kept > root/sub/kept; echo x > root/tree/old
mkdir root/usr root/etc root/proc root/sys root/dev root/tmp; binds=
for dir in bin lib lib64 sbin; do
    if [ -L /$dir ]; then cp -P /$dir root/; elif [ -d /$dir ]; then mkdir root/$dir; binds="$binds --ro /$dir"; fi
done
work='cd /; umask 022; mkdir new; printf first > new/one; chmod 640 new/one; ln new/one new/again; ln -s one new/link; rm sub/gone
printf +more >> sub/kept; rm -r tree; mkdir -m 700 tree; echo i > tree/inside'
run() { $bevor do $p --root "$PWD/root" --ro /usr $binds "$@"; }
run --diff list --export layer.tar -- sh -c "$work"; echo at the end:; cat list
name=changes-$$
mkfifo hold ready; run --id $name -- sh -c "$work; echo up; read x" < hold > ready & exec 3> hold
read up < ready
$bevor fs diff $name > list2; $bevor fs diff --json $name > list.json; $bevor fs export $name -o layer2.tar
run --id $name -- true 2>/dev/null; busy=$?
exec 3>&-; wait
cat > look.py <<'P'
import json, stat, tarfile
changes = json.load(open("list.json"))
print("json:", len(changes), "added", sum(c["change"] == "added" for c in changes))
def look(name):
    tar = tarfile.open(name); kinds = {tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l"}
    return tar, [f"{kinds.get(m.type, '-')} {m.mode:o} {m.name}" + ("/" if m.isdir() else "") + (f" -> {m.linkname}" if m.linkname else "") for m in tar]
tar, lines = look("layer.tar"); print("tar:"); print("\n".join(lines))
print("contents:", tar.extractfile("new/again").read().decode(), tar.extractfile("sub/kept").read().decode())
print("while it runs:", "the same" if look("layer2.tar")[1] == lines and open("list").read() == open("list2").read() else "another")
P
python3 look.py
$bevor fs diff nobody-$$ 2>/dev/null; echo "no such sandbox: $?"
echo "name in use: $busy"
run --diff list -- sh -c 'exit 7'; echo "status: $?"

# Files of the host that change inside: copies stay the same files. Natively there are no copies.
umask 022
mkdir -p low/sub low/full/deep; echo one > low/a; ln low/a low/b; echo f > low/full/deep/f; echo s > low/sub/s
head -c 3000000 /dev/zero > low/zeros; truncate -s 1T low/sparse; printf data | dd of=low/sparse bs=1 seek=1G conv=notrunc 2>/dev/null
touch -d '2001-02-03 04:05:06.789' low/a low/sub low/zeros; ln -s a low/link; mkfifo low/fifo
cat > prog.py <<'P'
import ctypes, errno, mmap, os
def e(what, call):
    try: print(what, call())
    except OSError as x: print(what, errno.errorcode[x.errno])
def show(path):
    s = os.lstat(path); return oct(s.st_mode), s.st_size, s.st_nlink, s.st_mtime_ns
number = {n: os.lstat("low/" + n).st_ino for n in ("a", "b", "sub", "zeros", "link", "fifo", "full")}
def same(name, path): print("same number", name, os.lstat(path).st_ino == number[name], os.lstat(path).st_dev == os.stat("low").st_dev)
def dirent(path): return {d.name: (d.inode() == os.lstat(d.path).st_ino, d.is_dir(follow_symlinks=False), d.is_symlink()) for d in sorted(os.scandir(path), key=lambda d: d.name)}
print(dirent("low"))
# Descriptor, mappings and the other name see what is written after they were there.
early = os.open("low/a", os.O_RDONLY); other = os.open("low/b", os.O_RDONLY)
shared = mmap.mmap(early, 4, mmap.MAP_SHARED, mmap.PROT_READ); private = mmap.mmap(other, 4, mmap.MAP_PRIVATE, mmap.PROT_READ)
print(shared[:], private[:])
w = os.open("low/b", os.O_RDWR); os.pwrite(w, b"ONE\nmore", 0); os.fsync(w)
print(os.pread(early, 20, 0), os.pread(other, 20, 0), shared[:], private[:])
writer = mmap.mmap(w, 8, mmap.MAP_SHARED); writer[0:1] = b"X"
print(os.pread(early, 20, 0), shared[:], open("low/a").read())
os.pwrite(w, b"Y", 0); print(private[:2], shared[:2])
os.ftruncate(w, 2); print(os.fstat(early).st_size, open("low/b").read())
for n in ("a", "b"): same(n, "low/" + n); print(os.lstat("low/" + n).st_nlink)
os.link("low/a", "low/c"); os.unlink("low/a"); os.rename("low/b", "low/d")
print(os.lstat("low/c").st_nlink, os.path.samefile("low/c", "low/d"), open("low/c").read()); same("a", "low/d")
# Attributes alone; times and contents stay.
os.chmod("low/zeros", 0o604); print(show("low/zeros")); same("zeros", "low/zeros")
os.utime("low/link", ns=(5, 7), follow_symlinks=False); print(os.lstat("low/link").st_mtime_ns, os.readlink("low/link")); same("link", "low/link")
os.chmod("low/fifo", 0o620); same("fifo", "low/fifo")
before = os.stat("low/sub").st_mtime_ns; os.chmod("low/sub/s", 0o600); print("parent untouched", before == os.stat("low/sub").st_mtime_ns)
# Large and sparse.
s = os.open("low/sparse", os.O_RDWR); os.pwrite(s, b"tail", 1 << 39)
print(os.fstat(s).st_size, os.pread(s, 4, 1 << 30), os.pread(s, 4, 1 << 39), os.fstat(s).st_blocks < 2048)
print(os.lseek(s, 0, os.SEEK_DATA) <= 1 << 30, os.lseek(s, (1 << 30) + (1 << 20), os.SEEK_DATA) <= 1 << 39)
# Directories of any layer.
os.rename("low/full", "low/moved"); print(open("low/moved/deep/f").read(), os.path.exists("low/full")); same("full", "low/moved")
e("not empty", lambda: os.rmdir("low/moved")); os.mkdir("low/full"); print(os.listdir("low/full"))
e("over a full one", lambda: os.rename("low/full", "low/moved")); os.rename("low/moved/deep", "low/full/deep"); print(os.listdir("low/moved"), os.listdir("low/full/deep"))
os.unlink("low/full/deep/f"); e("emptied", lambda: os.rmdir("low/full/deep")); os.rmdir("low/full"); os.rename("low/moved", "low/full")
os.unlink("low/sub/s"); e("of whiteouts alone", lambda: os.rmdir("low/sub")); os.mkdir("low/sub"); print(os.listdir("low/sub"), os.stat("low").st_nlink > 0)
open("low/sub/s", "w").write("again"); e("is there", lambda: os.open("low/sub/s", os.O_CREAT | os.O_EXCL)); print(sorted(os.listdir("low")), dirent("low")["sub"])
# Two names change places.
libc = ctypes.CDLL(None, use_errno=True); print(libc.renameat2(-100, b"low/c", -100, b"low/sub", 2)); print(open("low/sub").read(), os.listdir("low/c"))
P
$RUN python3 prog.py

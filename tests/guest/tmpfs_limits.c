/* Limits of tmpfs: size=, nr_inodes=, remounts, statfs; sparse and huge files; holes; user attributes.
 * In namespaces of its own, so that anybody can mount. bevor-test: user=both kernel=6.6 */
#include "t.h"
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		out("BAD cannot write %s\n", path);
	close(fd);
}

static void space(const char *what)
{
	struct statfs st;
	statfs("m", &st);
	out("%s: blocks %ld free %ld avail %ld files %ld free %ld bsize %ld\n", what, (long)st.f_blocks,
	    (long)st.f_bfree, (long)st.f_bavail, (long)st.f_files, (long)st.f_ffree, (long)st.f_bsize);
}

static void file(const char *what, int fd)
{
	struct stat st;
	fstat(fd, &st);
	out("%s: size %lld blocks %ld\n", what, (long long)st.st_size, (long)st.st_blocks);
}

static long remount(const char *options)
{
	return mount("none", "m", "tmpfs", MS_REMOUNT, options);
}

int main(void)
{
	static char buf[3 << 20];
	char map[64];
	unsigned uid = getuid(), gid = getgid();
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS)) {
		out("BAD no namespaces: %s\n", errname(errno));
		return 1;
	}
	put("/proc/self/setgroups", "deny");
	snprintf(map, sizeof map, "0 %u 1", uid);
	put("/proc/self/uid_map", map);
	snprintf(map, sizeof map, "0 %u 1", gid);
	put("/proc/self/gid_map", map);
	mkdir("m", 0755);

	T(mount("none", "m", "tmpfs", 0, "size=abc"));
	T(mount("none", "m", "tmpfs", 0, "nr_inodes=x"));
	T(mount("none", "m", "tmpfs", 0, "mode=9"));
	T(mount("none", "m", "tmpfs", 0, "surprise=1"));
	T(mount("none", "m", "tmpfs", 0, "size=101%,huge=perhaps"));
	T(mount("none", "m", "tmpfs", 0, "size=1000k,nr_inodes=8,mode=751,uid=0,gid=0,huge=never"));
	struct stat st;
	stat("m", &st);
	out("root: mode %o uid %d gid %d nlink %ld\n", st.st_mode, st.st_uid, st.st_gid, (long)st.st_nlink);
	space("empty");

	/* Contents. */
	int fd = open("m/a", O_CREAT | O_RDWR, 0600);
	T(write(fd, buf, 600000));
	T(write(fd, buf, sizeof buf));
	T(write(fd, buf, 1));
	file("full", fd);
	space("full");
	T(ftruncate(fd, 500000));
	space("cut");
	T(fallocate(fd, 0, 0, 2 << 20));
	file("not allocated", fd);
	space("not allocated");
	T(fallocate(fd, FALLOC_FL_KEEP_SIZE, 500000, 100000));
	file("allocated", fd);
	T(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 409600));
	file("punched", fd);
	space("punched");
	T(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096));
	T(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
	T(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4096));
	T(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096));
	T(fallocate(fd, 0, -1, 4096));
	T(fallocate(fd, 0, 0, 0));
	T(fallocate(fd, 0, INT64_MAX - 10, 100));
	T(unlink("m/a"));
	space("unlinked, open");
	close(fd);
	space("unlinked, closed");

	/* Remounts. */
	T(remount("size=2m"));
	space("larger");
	fd = open("m/b", O_CREAT | O_RDWR, 0600);
	T(write(fd, buf, sizeof buf));
	T(remount("size=1m"));
	T(remount("nr_inodes=1"));
	T(remount("nr_inodes=4"));
	space("fewer inodes");
	T(remount("size=0"));
	space("no limit");
	T(remount("size=8m"));
	close(fd);
	T(unlink("m/b"));
	T(umount("m"));

	/* Inodes: names count, too. */
	T(mount("none", "m", "tmpfs", 0, "size=1m,nr_inodes=10"));
	T(mkdir("m/d", 0700));
	T(symlink("target", "m/s"));
	T(mknod("m/f", S_IFIFO | 0600, 0));
	T(close(creat("m/r", 0600)));
	space("four");
	T(link("m/r", "m/l1"));
	T(link("m/r", "m/l2"));
	space("two links");
	int tmp = open("m", O_TMPFILE | O_RDWR, 0600);
	space("unnamed");
	T(linkat(AT_FDCWD, (snprintf(map, sizeof map, "/proc/self/fd/%d", tmp), map), AT_FDCWD, "m/t",
		 AT_SYMLINK_FOLLOW));
	space("named");
	T(mkdir("m/d/e", 0700));
	T(mkdir("m/d/f", 0700));
	T(link("m/r", "m/l3"));
	T(rename("m/l1", "m/l2"));
	space("full of inodes");
	T(unlink("m/l2"));
	space("one link less");
	T(unlink("m/l1"));
	space("two links less");
	close(tmp);
	T(umount("m"));

	/* Attributes come off the room for inodes. */
	T(mount("none", "m", "tmpfs", 0, "size=1m,nr_inodes=100"));
	T(close(creat("m/r", 0600)));
	T(setxattr("m/r", "user.a", buf, 1000, 0));
	space("attribute");
	T(setxattr("m/r", "user.b", buf, 65536, 0));
	space("large attribute");
	T(setxattr("m/r", "user.c", buf, 65537, 0));
	T(setxattr("m/r", "user.d", buf, 40000, 0));
	T(setxattr("m/r", "user.a", buf, 10, XATTR_CREATE));
	T(setxattr("m/r", "user.a", buf, 10, XATTR_REPLACE));
	T(setxattr("m/r", "user.none", buf, 10, XATTR_REPLACE));
	space("smaller attribute");
	T(getxattr("m/r", "user.a", buf, sizeof buf));
	T(getxattr("m/r", "user.b", buf, 10));
	T(removexattr("m/r", "user.b"));
	T(removexattr("m/r", "user.b"));
	space("removed attribute");
	T(unlink("m/r"));
	space("no file");
	T(umount("m"));

	/* Sparse and huge. */
	T(mount("none", "m", "tmpfs", 0, "size=1m"));
	fd = open("m/h", O_CREAT | O_RDWR, 0600);
	T(ftruncate(fd, INT64_MAX) ? -1 : 0);
	file("largest", fd);
	T(pwrite(fd, "x", 1, INT64_MAX));
	T(pwrite(fd, "xy", 2, INT64_MAX - 1));
	T(ftruncate(fd, 1LL << 60));
	T(pwrite(fd, "x", 1, 1LL << 50));
	T(pwrite(fd, "y", 1, (1LL << 50) + (1 << 20)));
	file("two pages", fd);
	out("data %lld\n", (long long)lseek(fd, 0, SEEK_DATA));
	out("hole %lld\n", (long long)lseek(fd, 1LL << 50, SEEK_HOLE));
	out("data %lld\n", (long long)lseek(fd, (1LL << 50) + 4096, SEEK_DATA));
	out("data %s\n", lseek(fd, 1LL << 55, SEEK_DATA) == -1 ? errname(errno) : "found");
	out("hole %lld\n", (long long)lseek(fd, 1LL << 55, SEEK_HOLE));
	out("end %lld\n", (long long)lseek(fd, 0, SEEK_END));
	T(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1LL << 60));
	file("none", fd);
	T(ftruncate(fd, 0));
	space("after all");
	close(fd);
	T(umount("m"));
	return 0;
}

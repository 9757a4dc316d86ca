/* stat, lstat, fstatat, statx, access, chmod, chown, utimes. bevor-test: user=both files=few */
#include "t.h"
#include <sys/sysmacros.h>

static void show(const char *path)
{
	struct stat st;
	if (lstat(path, &st)) {
		out("%s: %s\n", path, errname(errno));
		return;
	}
	out("%s: mode %o nlink %ld size %ld uid %d gid %d own %d blksize %ld\n", path, st.st_mode, (long)st.st_nlink,
	    S_ISDIR(st.st_mode) ? -1 : (long)st.st_size, st.st_uid == getuid(), st.st_gid == getgid(),
	    st.st_uid == geteuid(), (long)st.st_blksize);
}

static void times(const char *path)
{
	struct stat st;
	MUST(lstat(path, &st));
	out("%s: atime %ld.%09ld mtime %ld.%09ld\n", path, st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec,
	    st.st_mtim.tv_nsec);
}

int main(void)
{
	scratch();
	struct stat st;
	struct statx sx;
	int fd = make_file("f", "twelve bytes");
	MUST(mkdir("d", 0700));
	MUST(mkdir("d/sub", 0700));
	MUST(symlink("f", "link"));
	MUST(link("f", "hard"));
	MUST(mkfifo("fifo", 0600));
	show("f");
	show("hard");
	show("link");
	show("d");
	show("fifo");
	show("nothing");
	show("f/x");
	show("");
	T(stat("link", &st));
	V(st.st_size);
	T(stat((char *)8, &st));
	T(stat("f", (void *)8));
	T(fstat(-1, &st));
	T(fstatat(AT_FDCWD, "link", &st, AT_SYMLINK_NOFOLLOW));
	V(S_ISLNK(st.st_mode));
	T(fstatat(fd, "", &st, AT_EMPTY_PATH));
	V(st.st_size);
	T(fstatat(fd, "", &st, 0));
	T(fstatat(fd, "x", &st, 0));
	T(fstatat(AT_FDCWD, "f", &st, 0x40));
	MUST(stat("f", &st));
	struct stat st2;
	MUST(stat("hard", &st2));
	CHECK(st.st_ino == st2.st_ino && st.st_dev == st2.st_dev);

	memset(&sx, 0, sizeof sx);
	T(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &sx));
	out("statx mode %o nlink %u size %llu basic %d\n", sx.stx_mode, sx.stx_nlink, (long long)sx.stx_size,
	    (sx.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	CHECK(sx.stx_ino == st.st_ino);
	CHECK(makedev(sx.stx_dev_major, sx.stx_dev_minor) == st.st_dev);
	T(statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &sx));
	T(statx(AT_FDCWD, "f", 0x40000000, STATX_ALL, &sx));
	T(statx(AT_FDCWD, "f", 0, 0x80000000, &sx));
	T(statx(AT_FDCWD, "nothing", 0, STATX_ALL, &sx));
	T(statx(AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, STATX_MODE, &sx));
	V(S_ISLNK(sx.stx_mode));

	T(access("f", F_OK));
	T(access("f", R_OK | W_OK));
	T(access("f", X_OK));
	T(access("d", X_OK));
	T(access("nothing", F_OK));
	T(access("f", 8));
	T(faccessat(AT_FDCWD, "link", F_OK, AT_SYMLINK_NOFOLLOW));
	T(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));

	T(chmod("f", 0));
	show("f");
	T(access("f", R_OK));
	T(open("f", O_RDONLY) >= 0);
	T(chmod("f", 07777));
	show("f");
	T(chmod("link", 0640));
	show("f");
	show("link");
	T(chmod("nothing", 0));
	T(fchmod(fd, 0600));
	T(fchmod(-1, 0600));
	T(fchmodat(AT_FDCWD, "f", 0644, 0));
	T(chmod("f", 0100644));
	show("f");

	T(chown("f", -1, -1));
	T(chown("f", getuid(), getgid()));
	T(lchown("link", getuid(), -1));
	T(chown("nothing", 0, 0));
	T(fchown(fd, -1, getgid()));
	T(fchownat(AT_FDCWD, "link", getuid(), getgid(), AT_SYMLINK_NOFOLLOW));
	T(fchownat(fd, "", getuid(), getgid(), AT_EMPTY_PATH));
	chmod("f", 06755);
	T(chown("f", getuid(), getgid()));
	show("f");
	chmod("f", 06755);
	T(write(fd, "x", 1));
	show("f");
	if (getuid()) {
		T(chown("f", 0, -1));
		T(chown("f", -1, 0));
		T(chmod("/", 0755));
		T(chown("/", -1, -1));
		T(access("/etc/shadow", R_OK));
		T(open("/etc/shadow", O_RDONLY));
		T(open("/etc/passwd", O_RDWR));
		T(mkdir("/etc/xyz", 0700));
		T(unlink("/etc/passwd"));
		T(mknod("dev", S_IFCHR | 0600, makedev(1, 3)));
	} else {
		T(chown("f", 1234, 5678));
		MUST(stat("f", &st));
		V(st.st_uid);
		V(st.st_gid);
		T(chown("f", 0, 0));
	}

	struct timespec ts[2] = { { 1000000000, 123456789 }, { 1234567890, 987654321 } };
	T(utimensat(AT_FDCWD, "f", ts, 0));
	times("f");
	ts[0].tv_nsec = UTIME_OMIT;
	ts[1].tv_sec = 5;
	T(utimensat(AT_FDCWD, "f", ts, 0));
	times("f");
	ts[1].tv_nsec = 2000000000;
	T(utimensat(AT_FDCWD, "f", ts, 0));
	ts[1].tv_nsec = 7;
	T(futimens(fd, ts));
	times("f");
	T(utimensat(AT_FDCWD, "link", ts, AT_SYMLINK_NOFOLLOW));
	T(utimensat(AT_FDCWD, "nothing", ts, 0));
	ts[1].tv_nsec = UTIME_NOW;
	T(futimens(fd, ts));
	MUST(fstat(fd, &st));
	CHECK(st.st_mtim.tv_sec > 1700000000);
	ts[1].tv_nsec = UTIME_OMIT;
	T(utimensat(AT_FDCWD, "f", ts, 0));
	struct timeval tv[2] = { { 10, 20 }, { 30, 40 } };
	T(utimes("f", tv));
	times("f");
	tv[0].tv_usec = 1000000;
	T(utimes("f", tv));
	/* Writing moves mtime and ctime, reading does not. */
	MUST(fstat(fd, &st));
	MUST(pwrite(fd, "y", 1, 0));
	MUST(fstat(fd, &st2));
	CHECK(st2.st_mtim.tv_sec > st.st_mtim.tv_sec);
	CHECK(st2.st_ctim.tv_sec >= st.st_ctim.tv_sec);
	/* Devices everyone has. */
	const char *devices[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty" };
	for (int i = 0; i < 6; i++) {
		MUST(stat(devices[i], &st));
		out("%s mode %o rdev %u:%u\n", devices[i], st.st_mode, major(st.st_rdev), minor(st.st_rdev));
	}
	MUST(stat("/", &st));
	out("/ mode %o\n", st.st_mode);
	MUST(stat("/tmp", &st));
	out("/tmp mode %o uid %d\n", st.st_mode, st.st_uid);
	MUST(stat("/etc/passwd", &st));
	out("passwd mode %o uid %d gid %d size %ld mtime %ld\n", st.st_mode, st.st_uid, st.st_gid, st.st_size,
	    st.st_mtime);
	MUST(stat("/usr/bin", &st));
	out("/usr/bin mode %o uid %d gid %d nlink %ld\n", st.st_mode, st.st_uid, st.st_gid, (long)st.st_nlink);
	unscratch();
	return 0;
}

/* Limits of symbolic links, O_PATH, O_TMPFILE, openat2, sticky and set-group-ID rules, and `..`
 * while directories move. bevor-test: user=both kernel=6.10 */
#include "t.h"
#include <grp.h>
#include <linux/openat2.h>
#include <sys/xattr.h>

static long openat2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how = { flags, mode, resolve };
	/* A rename or mount anywhere meanwhile makes Linux ask for another try. */
	for (int tries = 0;; tries++) {
		long fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
		if (fd >= 0 || errno != EAGAIN || resolve & RESOLVE_CACHED || tries == 10000)
			return fd;
	}
}

static int ok(long fd)
{
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static void links(void)
{
	char name[16], target[16], path[8192];
	close(make_file("l0", "end"));
	for (int i = 1; i <= 42; i++) {
		snprintf(name, sizeof name, "l%d", i);
		snprintf(target, sizeof target, "l%d", i - 1);
		symlink(target, name);
	}
	T(access("l40", F_OK));
	T(access("l41", F_OK));
	T(ok(open("l40", O_RDONLY)));
	T(ok(open("l41", O_RDONLY | O_CREAT, 0600)));
	T(ok(open("l1", O_RDONLY | O_NOFOLLOW)));
	T(ok(open("l1", O_PATH | O_NOFOLLOW)));
	T(ok(open("l1", O_RDONLY | O_CREAT | O_EXCL, 0600)));
	symlink("self", "self");
	T(access("self", F_OK));
	T(ok(open("self", O_CREAT | O_RDWR, 0600)));
	symlink("made", "dangling");
	T(ok(open("dangling", O_RDONLY)));
	T(ok(open("dangling", O_CREAT | O_RDWR, 0600)));
	T(access("made", F_OK));
	symlink("nodir/made", "dangling2");
	T(ok(open("dangling2", O_CREAT | O_RDWR, 0600)));
	T(mkdir("dangling2", 0755));
	symlink("l0/", "slash");
	T(access("slash", F_OK));
	T(ok(open("slash", O_CREAT | O_RDWR, 0600)));
	mkdir("dir", 0755);
	symlink("dir", "dirlink");
	T(rmdir("dirlink"));
	T(rmdir("dirlink/"));
	T(unlink("dirlink/"));
	T(rename("dirlink/", "other"));
	T(readlink("dirlink/", path, 10));
	T(ok(open("dirlink/", O_NOFOLLOW | O_DIRECTORY)));
	T(ok(open("dirlink", O_NOFOLLOW | O_DIRECTORY)));
	/* long names */
	memset(path, 'n', sizeof path);
	path[255] = 0;
	T(ok(open(path, O_CREAT | O_RDWR, 0600)));
	path[255] = 'n';
	path[256] = 0;
	T(ok(open(path, O_CREAT | O_RDWR, 0600)));
	T(symlink(path, "long"));
	T(access("long", F_OK));
	for (int i = 0; i < 4095; i += 2)
		memcpy(path + i, "./", 2);
	path[4094] = 'l';
	path[4095] = 0;
	T(access(path, F_OK));
	path[4095] = '0';
	path[4096] = 0;
	T(access(path, F_OK));
	T(symlink(path, "too-long"));
	T(access("", F_OK));
	T(access("l0/", F_OK));
	T(access("l0/.", F_OK));
	T(access("l0/..", F_OK));
	T(access("nothing/..", F_OK));
}

static void only_paths(void)
{
	char buf[16];
	struct stat st;
	int fd = MUST(open("l0", O_PATH));
	T(read(fd, buf, 1));
	T(write(fd, buf, 1));
	T(fchmod(fd, 0600));
	T(fchown(fd, -1, -1));
	T(ftruncate(fd, 0));
	T(fsync(fd));
	T(lseek(fd, 0, SEEK_SET));
	T(fgetxattr(fd, "user.x", buf, 1));
	T(fstat(fd, &st));
	T(ok(openat(fd, "", O_RDONLY)));
	T(fcntl(fd, F_SETFL, O_NONBLOCK));
	T(fcntl(fd, F_GETFL) & ~0x8000);
	T(ok(dup(fd)));
	T(fchmodat(fd, "", 0640, 0));
	T(syscall(452, fd, "", 0640, AT_EMPTY_PATH));
	T(futimens(fd, NULL));
	T(utimensat(fd, "", NULL, AT_EMPTY_PATH));
	T(faccessat(fd, "", R_OK, AT_EMPTY_PATH));
	T(fchdir(fd));
	close(fd);
	fd = MUST(open("dir", O_PATH));
	T(fchdir(fd));
	T(chdir(".."));
	T(syscall(SYS_getdents64, fd, buf, 16));
	T(mkdirat(fd, "below", 0755));
	T(unlinkat(fd, "below", AT_REMOVEDIR));
	close(fd);
	T(ok(open("l0", O_PATH | O_DIRECTORY)));
	T(ok(open("missing", O_PATH | O_CREAT, 0600)));
	T(ok(open("l0", O_PATH | O_RDWR | O_TRUNC)));
	fd = MUST(open("l1", O_PATH | O_NOFOLLOW));
	T(readlinkat(fd, "", buf, sizeof buf));
	T(ok(openat(fd, "x", O_RDONLY)));
	close(fd);
}

static void unnamed(void)
{
	char proc[64];
	struct stat st;
	T(ok(open("dir", O_TMPFILE | O_RDONLY, 0600)));
	T(ok(open("dir", O_TMPFILE | O_RDWR | O_CREAT, 0600)));
	T(ok(open("l0", O_TMPFILE | O_RDWR, 0600)));
	T(ok(open("missing", O_TMPFILE | O_RDWR, 0600)));
	T(ok(open("dir", (O_TMPFILE & ~O_DIRECTORY) | O_RDWR, 0600)));
	int fd = MUST(open("dir", O_TMPFILE | O_RDWR, 0666));
	fstat(fd, &st);
	out("%o %ld\n", st.st_mode, (long)st.st_nlink);
	T(write(fd, "text", 4));
	snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
	T(linkat(AT_FDCWD, proc, AT_FDCWD, "dir/named", AT_SYMLINK_FOLLOW));
	fstat(fd, &st);
	out("%ld\n", (long)st.st_nlink);
	T(linkat(AT_FDCWD, proc, AT_FDCWD, "dir/named", AT_SYMLINK_FOLLOW));
	T(linkat(AT_FDCWD, proc, AT_FDCWD, "dir/again", AT_SYMLINK_FOLLOW));
	T(unlink("dir/named"));
	T(unlink("dir/again"));
	T(linkat(AT_FDCWD, proc, AT_FDCWD, "dir/back", AT_SYMLINK_FOLLOW));
	close(fd);
	fd = MUST(open("dir", O_TMPFILE | O_RDWR | O_EXCL, 0600));
	snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
	T(linkat(AT_FDCWD, proc, AT_FDCWD, "dir/named", AT_SYMLINK_FOLLOW));
	T(linkat(fd, "", AT_FDCWD, "dir/named", 0));
	close(fd);
	fd = MUST(open("dir", O_TMPFILE | O_WRONLY, 0000));
	CHILD("the opener's credentials", T(linkat(fd, "", AT_FDCWD, "dir/named", AT_EMPTY_PATH)));
	if (!getuid())
		CHILD("others", setresuid(1000, 1000, 1000); T(linkat(fd, "", AT_FDCWD, "dir/named2", AT_EMPTY_PATH)));
	T(linkat(fd, "", AT_FDCWD, "dir/named2", 0x8));
	close(fd);
	unlink("dir/named");
	T(linkat(AT_FDCWD, "dir", AT_FDCWD, "dir2", 0));
	T(linkat(AT_FDCWD, "l1", AT_FDCWD, "l1-copy", 0));
	T(linkat(AT_FDCWD, "l1", AT_FDCWD, "l0-copy", AT_SYMLINK_FOLLOW));
	lstat("l1-copy", &st);
	out("%o\n", st.st_mode & S_IFMT);
	lstat("l0-copy", &st);
	out("%o\n", st.st_mode & S_IFMT);
}

static void how(void)
{
	T(ok(openat2(AT_FDCWD, "l0", O_RDONLY, 0, RESOLVE_CACHED)));
	T(ok(openat2(AT_FDCWD, "new", O_RDWR | O_CREAT, 0600, RESOLVE_CACHED)));
	T(ok(openat2(AT_FDCWD, "l0", O_RDWR | O_TRUNC, 0, RESOLVE_CACHED)));
	T(ok(openat2(AT_FDCWD, "dir", O_RDWR | O_TMPFILE, 0600, RESOLVE_CACHED)));
	T(ok(openat2(AT_FDCWD, "l0", O_RDONLY, 0, 0x40)));
	T(ok(openat2(AT_FDCWD, "l0", O_PATH | O_RDWR, 0, 0)));
	T(ok(openat2(AT_FDCWD, "l0", O_PATH | O_TRUNC, 0, 0)));
	T(ok(openat2(AT_FDCWD, "new", O_RDWR | O_CREAT, 010000, 0)));
	T(ok(openat2(AT_FDCWD, "new", O_RDWR | O_CREAT | O_DIRECTORY, 0600, 0)));
	T(ok(openat2(AT_FDCWD, "new", O_RDWR | O_CREAT, -1, 0)));
	T(ok(openat2(AT_FDCWD, "", O_RDONLY, 0, 0)));
	T(ok(openat2(99, "/", O_RDONLY, 0, RESOLVE_IN_ROOT)));
	T(ok(openat2(99, "/", O_RDONLY, 0, RESOLVE_BENEATH)));
	T(ok(openat2(AT_FDCWD, "/", O_RDONLY, 0, RESOLVE_IN_ROOT)));
	T(ok(openat2(AT_FDCWD, "..", O_RDONLY, 0, RESOLVE_IN_ROOT)));
	T(ok(openat2(AT_FDCWD, "dir/..", O_RDONLY, 0, RESOLVE_BENEATH)));
	T(ok(openat2(AT_FDCWD, "dir/../..", O_RDONLY, 0, RESOLVE_BENEATH)));
	T(ok(openat2(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS)));
	T(ok(openat2(AT_FDCWD, "/proc/self/exe", O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_MAGICLINKS)));
	T(ok(openat2(AT_FDCWD, "/proc/self/root/dev", O_PATH, 0, RESOLVE_NO_MAGICLINKS)));
	T(ok(openat2(AT_FDCWD, "/proc/self/status", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS)));
	T(ok(openat2(AT_FDCWD, "l1", O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS)));
	T(ok(openat2(AT_FDCWD, "dirlink/", O_PATH, 0, RESOLVE_NO_SYMLINKS)));
	T(ok(openat2(AT_FDCWD, "l0", O_RDONLY, 0, RESOLVE_NO_XDEV)));
	T(ok(openat2(AT_FDCWD, "/dev/shm", O_RDONLY, 0, RESOLVE_NO_XDEV)));
	T(ok(openat2(AT_FDCWD, "l0", 1ULL << 33, 0, 0)));
	T(ok(openat2(AT_FDCWD, "l0", 0x40000000, 0, 0)));
	struct { struct open_how how; char more[8192]; } big = { { 0 } };
	T(syscall(SYS_openat2, AT_FDCWD, "l0", &big, 5000));
	T(syscall(SYS_openat2, AT_FDCWD, "l0", (void *)8, 24));
	T(syscall(SYS_openat2, AT_FDCWD, (void *)8, &big, 24));
}

static void as(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) | setresgid(gid, gid, gid) | setresuid(uid, uid, uid))
		out("BAD ids\n");
}

static void modes(void)
{
	struct stat st;
	mkdir("sticky", 0777);
	chmod("sticky", 01777);
	close(make_file("sticky/roots", ""));
	chmod("sticky/roots", 0666);
	mkdir("sticky/dir", 0777);
	chmod("sticky/dir", 0777);
	symlink("roots", "sticky/link");
	CHILD("others in a sticky directory", {
		as(1000, 1000);
		T(unlink("sticky/roots"));
		T(rename("sticky/roots", "sticky/moved"));
		T(rmdir("sticky/dir"));
		close(make_file("sticky/mine", ""));
		T(rename("sticky/mine", "sticky/roots"));
		T(rename("sticky/mine", "sticky/mine2"));
		T(symlink("mine2", "sticky/mylink"));
		T(unlink("sticky/mine2"));
		T(access("sticky/link", F_OK));
	});
	T(lchown("sticky/mylink", 1000, 1000));
	CHILD("a third one", {
		as(1001, 1001);
		T(unlink("sticky/mylink"));
	});
	mkdir("setgid", 0777);
	chown("setgid", 0, 2000);
	chmod("setgid", 02777);
	CHILD("set-group-ID directories", {
		as(1000, 1000);
		umask(0);
		close(open("setgid/f", O_CREAT | O_RDWR, 02775));
		stat("setgid/f", &st);
		out("%o %d\n", st.st_mode, st.st_gid);
		close(open("setgid/g", O_CREAT | O_RDWR, 02745));
		stat("setgid/g", &st);
		out("%o %d\n", st.st_mode, st.st_gid);
		mkdir("setgid/d", 0700);
		stat("setgid/d", &st);
		out("%o %d\n", st.st_mode, st.st_gid);
		int fd = open("setgid", O_TMPFILE | O_RDWR, 02775);
		fstat(fd, &st);
		out("%o %d\n", st.st_mode, st.st_gid);
		mknod("setgid/n", S_IFREG | 02775, 0);
		stat("setgid/n", &st);
		out("%o %d\n", st.st_mode, st.st_gid);
		T(chmod("setgid/f", 02775));
		stat("setgid/f", &st);
		out("%o\n", st.st_mode);
	});
	/* set-ID bits go */
	close(make_file("suid", "x"));
	chown("suid", 1000, 1000);
	static const int before[] = { 06755, 06745, 02745, 02755, 04644, 01755 };
	for (int i = 0; i < 6; i++) {
		for (int way = 0; way < 4; way++) {
			chown("suid", 1000, 1000);
			chmod("suid", before[i]);
			pid_t pid = fork();
			if (!pid) {
				as(1000, 1000);
				int fd = open("suid", O_RDWR);
				if (way == 0)
					write(fd, "y", 1);
				else if (way == 1)
					ftruncate(fd, 0);
				else if (way == 2)
					chown("suid", -1, -1);
				else
					chown("suid", -1, 1000);
				_exit(0);
			}
			waitpid(pid, NULL, 0);
			stat("suid", &st);
			out("%o by %d: %o\n", before[i], way, st.st_mode & 07777);
		}
	}
}

/* A directory moves in and out of the scope while `..` is resolved in it: nobody gets out. */
static void races(void)
{
	mkdir("scope", 0755);
	mkdir("scope/in", 0755);
	mkdir("scope/in/deep", 0755);
	close(make_file("secret", "x"));
	int scope = MUST(open("scope", O_PATH));
	pid_t pid = fork();
	if (!pid) {
		for (;;) {
			rename("scope/in", "out");
			rename("out", "scope/in");
		}
	}
	int escaped = 0, strange = 0;
	for (int round = 0; round < 3000; round++) {
		uint64_t resolve = round & 1 ? RESOLVE_BENEATH : RESOLVE_IN_ROOT;
		long fd = openat2(scope, "in/deep/../../secret", O_RDONLY, 0, resolve);
		if (fd >= 0)
			escaped++, close(fd);
		else if (errno != ENOENT && errno != EAGAIN && errno != EXDEV)
			strange++;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	out("escaped %d strange %d\n", escaped, strange);
}

int main(void)
{
	scratch();
	links();
	only_paths();
	unnamed();
	how();
	if (!getuid())
		modes();
	races();
	unscratch();
	return 0;
}

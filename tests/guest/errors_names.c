/* What each call on names refuses beyond what is wrong with paths. bevor-test: kernel=6.15 */
#include "errors.h"
#include <linux/openat2.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <termios.h>

#define HERE AT_FDCWD

/* The three calls that open with flags, in the same way. */
#define OPENS(path, flags, mode)                                               \
	do {                                                                   \
		int o_one = S(open, path, flags, mode);                        \
		int o_other = S(openat, HERE, path, flags, mode);              \
		close(o_one), close(o_other);                                  \
	} while (0)

static void few_files(void)
{
	struct rlimit limit = { 3, 3 };
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	OPENS("f", O_RDONLY, 0);
	S(creat, "f", 0600);
}

/* A program that runs may not be written; it ends with its input. */
static void running(void)
{
	int fds[2];
	char path[64];
	MUST(pipe(fds));
	int cat = open("/bin/cat", O_RDONLY), copy = open("cat", O_WRONLY | O_CREAT, 0755);
	char part[65536];
	for (ssize_t got; (got = read(cat, part, sizeof part)) > 0;)
		MUST(write(copy, part, got));
	close(copy);
	close(cat);
	int started[2];
	MUST(pipe2(started, O_CLOEXEC));
	pid_t pid = fork();
	if (!pid) {
		dup2(fds[0], 0);
		close(fds[1]);
		execl("./cat", "cat", NULL);
		_exit(1);
	}
	close(started[1]);
	read(started[0], path, 1);
	OPENS("cat", O_WRONLY, 0);
	S(creat, "cat", 0755);
	S(truncate, "cat", 0L);
	S(access, "cat", W_OK);
	S(faccessat, HERE, "cat", W_OK);
	S(faccessat2, HERE, "cat", W_OK, 0);
	close(fds[1]);
	reap("cat", pid);
}

static void opens(void)
{
	struct sockaddr_un address = { AF_UNIX, "socket" };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	MUST(bind(fd, (struct sockaddr *)&address, sizeof address));
	OPENS("f", O_CREAT | O_EXCL, 0600);
	OPENS("d", O_WRONLY, 0);
	OPENS("d", O_RDONLY | O_CREAT, 0600);
	S(creat, "d", 0600);
	OPENS("loop", O_RDONLY, 0);
	OPENS("to-f", O_NOFOLLOW, 0);
	OPENS("f", O_DIRECTORY, 0);
	OPENS("new", O_DIRECTORY | O_CREAT, 0600);
	OPENS(".", O_TMPFILE & ~O_DIRECTORY | O_RDWR, 0600);
	OPENS(".", O_TMPFILE | O_RDONLY, 0600);
	OPENS(".", O_TMPFILE | O_RDWR, 0600);
	OPENS("/dev/pts", O_TMPFILE | O_RDWR, 0600);
	OPENS("fifo", O_WRONLY | O_NONBLOCK, 0);
	OPENS("socket", O_RDWR, 0);
	S(creat, "socket", 0600);
	CHILD("few files", few_files());
	interrupt_ms(50);
	S(open, "fifo", O_RDONLY);
	S(openat, HERE, "fifo", O_RDONLY);
	S(creat, "fifo", 0600);
	interrupt_ms(0);
	running();
	AS_NOBODY("not permitted", {
		OPENS("readable", O_NOATIME, 0);
		OPENS("still", O_WRONLY, 0);
		S(creat, "still", 0600);
		OPENS("secret", O_RDONLY, 0);
		S(creat, "secret", 0600);
	});
}

/* Devices that are not there, and a terminal that is in use. */
static void devices(void)
{
	MUST(mknod("none", S_IFCHR | 0666, makedev(10, 254)));
	MUST(mknod("never", S_IFCHR | 0666, makedev(4000, 1)));
	OPENS("none", O_RDONLY, 0);
	S(creat, "none", 0600);
	OPENS("never", O_RDONLY, 0);
	S(creat, "never", 0600);
	int master = MUST(open("/dev/ptmx", O_RDWR | O_NOCTTY)), number = 0;
	char name[64];
	MUST(ioctl(master, TIOCSPTLCK, &number));
	MUST(ioctl(master, TIOCGPTN, &number));
	snprintf(name, sizeof name, "/dev/pts/%d", number);
	int slave = MUST(open(name, O_RDWR | O_NOCTTY));
	MUST(ioctl(slave, TIOCEXCL));
	MUST(chmod(name, 0666));
	AS_NOBODY("exclusive", {
		OPENS(name, O_RDWR | O_NOCTTY, 0);
		S(creat, name, 0600);
	});
}

static void make_and_remove(void)
{
	S(mkdir, "d", 0700);
	S(mkdir, "ro", 0700);
	S(mkdirat, HERE, "d", 0700);
	S(mkdirat, HERE, "f", 0700);
	S(mkdir, "/dev/pts/new", 0700);
	S(mknod, "f", S_IFREG, 0);
	S(mknodat, HERE, "f", S_IFREG, 0);
	S(mknod, "new", 0110000, 0);
	S(mknodat, HERE, "new", 0110000, 0);
	S(mknod, "new", S_IFDIR, 0);
	S(mknodat, HERE, "new", S_IFDIR, 0);
	AS_NOBODY("devices", {
		S(mknod, "new", S_IFCHR, makedev(1, 3));
		S(mknodat, HERE, "new", S_IFBLK, makedev(1, 3));
	});
	S(mknod, "new", S_IFREG | 0600, 0);
	S(mknodat, HERE, "new2", S_IFSOCK | 0600, 0);
	S(symlink, "x", "f");
	S(symlinkat, "x", HERE, "f");
	S(symlink, "", "empty-link");
	S(rmdir, "d");
	S(rmdir, "d/.");
	S(rmdir, "d/..");
	S(rmdir, "ro");
	S(rmdir, "f");
	S(rmdir, "stilld");
	MUST(mount("d/g", "d/g", NULL, MS_BIND, NULL));
	S(unlink, "d/g");
	S(unlinkat, HERE, "d/g", 0);
	MUST(umount2("d/g", MNT_DETACH));
	S(unlink, "d");
	S(unlinkat, HERE, "d", 0);
	S(unlinkat, HERE, "d", AT_REMOVEDIR);
	S(unlinkat, HERE, "d/.", AT_REMOVEDIR);
	S(unlinkat, HERE, "ro", AT_REMOVEDIR);
	S(unlinkat, HERE, "f", AT_REMOVEDIR);
	S(unlink, "stilld/f");
}

static void links(void)
{
	S(link, "f", "d/g");
	S(link, "f", "x");
	S(link, "d", "new");
	S(link, "f", "full/new");
	S(link, "full/f", "full/new");
	S(link, "ro/f", "ro/new");
	S(linkat, HERE, "f", HERE, "x", 0);
	S(linkat, HERE, "d", HERE, "new", 0);
	S(linkat, HERE, "f", HERE, "full/new", 0);
	S(linkat, HERE, "full/f", HERE, "full/new", 0);
	S(linkat, HERE, "loop", HERE, "new", AT_SYMLINK_FOLLOW);
	S(readlink, "f", e_bad, 5L);
	S(readlink, "to-f", e_bad, 5L);
	S(readlink, "to-f", "room", 0L);
	S(readlinkat, HERE, "f", e_bad, 5L);
	S(readlinkat, HERE, "to-f", e_bad, 5L);
	S(readlinkat, HERE, "to-f", "room", -1L);
}

/* The three calls that rename, in the same way. */
#define RENAMES(old, new)                                                      \
	do {                                                                   \
		S(rename, old, new);                                           \
		S(renameat, HERE, old, HERE, new);                             \
		S(renameat2, HERE, old, HERE, new, 0);                         \
	} while (0)

static void renames(void)
{
	RENAMES("ro", "new");
	RENAMES("empty", "ro");
	RENAMES("empty", "d");
	RENAMES("d", "d/in");
	RENAMES("d/g", "d");
	RENAMES("f", "empty");
	RENAMES("empty", "f");
	RENAMES("f", "full/new");
	RENAMES("ro/f", "ro/new");
	RENAMES("still", "new");
	RENAMES("d/.", "new");
	S(renameat2, HERE, "f", HERE, "x", RENAME_NOREPLACE);
	S(renameat2, HERE, "f", HERE, "new-open", RENAME_EXCHANGE);
	S(renameat2, HERE, "f", HERE, "new", RENAME_EXCHANGE | RENAME_NOREPLACE);
	S(renameat2, HERE, "full/f", HERE, "full/new", RENAME_WHITEOUT);
	S(renameat2, HERE, "f", HERE, "x", RENAME_EXCHANGE);
	S(renameat2, HERE, "f", HERE, "x", RENAME_EXCHANGE);
}

/* Numbers of users that a user namespace does not know. */
static void unknown_ids(void)
{
	MUST(prctl(PR_SET_DUMPABLE, 1));
	MUST(unshare(CLONE_NEWUSER));
	mnt_write("/proc/self/setgroups", "deny");
	mnt_write("/proc/self/uid_map", "0 31000 1");
	mnt_write("/proc/self/gid_map", "0 31000 1");
	int fd = MUST(open("f", O_RDONLY));
	S(chown, "none", 5, 5);
	S(fchown, 99, 5, 5);
	S(chown, "f", 5, 5);
	S(lchown, "f", 5, 5);
	S(fchown, fd, 5, 5);
	S(fchownat, HERE, "f", 5, 5, 0);
}

static void attributes(void)
{
	struct timespec bad[2] = { { 0, 1000000000 }, { 0, 1000000000 } };
	struct timeval wrong[2] = { { 0, 1000000 }, { 0, 0 } };
	S(access, "f", 8);
	S(faccessat, HERE, "f", 8);
	S(faccessat2, HERE, "f", 8, 0);
	S(fchmodat2, HERE, "to-f", 0600, AT_SYMLINK_NOFOLLOW);
	S(utimes, "f", wrong);
	S(futimesat, HERE, "f", wrong);
	S(utimensat, HERE, "f", bad, 0);
	S(utime, "f", e_bad);
	S(utimes, "f", e_bad);
	S(futimesat, HERE, "f", e_bad);
	S(utimensat, HERE, "f", e_bad, 0);
	S(stat, "f", e_bad);
	S(lstat, "f", e_bad);
	S(newfstatat, HERE, "f", e_bad, 0);
	S(statx, HERE, "f", 0, STATX_SIZE, e_bad);
	S(statx, HERE, "f", 0, STATX__RESERVED, e_bad);
	S(statx, HERE, "f", AT_STATX_SYNC_TYPE, STATX_SIZE, e_bad);
	S(statfs, "f", e_bad);
	AS_NOBODY("times", {
		S(utime, "readable", NULL);
		S(utimes, "readable", NULL);
		S(futimesat, HERE, "readable", NULL);
		S(utimensat, HERE, "readable", NULL, 0);
	});
	AS_NOBODY("ids", unknown_ids());
}

static void lengths(void)
{
	signal(SIGXFSZ, SIG_IGN);
	LIMITED(truncate, "f", 101L);
	S(truncate, "f", -1L);
	S(truncate, "fifo", 1L);
	S(truncate, "d", 1L);
	S(truncate, "f", 5L);
}

static void places(void)
{
	static char path[3 * PATH_MAX];
	S(chroot, "d");
	S(chdir, "/");
	S(getcwd, path, 1L);
	S(getcwd, path, 0L);
	S(getcwd, e_bad, 100L);
	MUST(mkdir("gone", 0700));
	MUST(chdir("gone"));
	MUST(rmdir("../gone"));
	S(getcwd, path, sizeof path);
	MUST(chdir("/"));
	memset(path, 'p', NAME_MAX);
	for (int i = 0; i < 18; i++) {
		MUST(mkdir(path, 0700));
		MUST(chdir(path));
	}
	S(getcwd, path, sizeof path);
}

int main(void)
{
	e_fixture();
	opens();
	devices();
	make_and_remove();
	links();
	renames();
	attributes();
	CHILD("lengths", lengths());
	AS_NOBODY("locked", {
		int fd = open("locked", O_PATH);
		S(fchdir, fd);
		S(fchdir, open("d", O_RDONLY));
	});
	CHILD("places", places());
	mnt_unscratch();
	return 0;
}

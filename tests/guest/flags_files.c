/* Each flag of the calls about files. bevor-test: user=both */
#include "provoke.h"
#include <linux/openat2.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

/* The C library's is 0. */
#define O_LARGEFILE_RAW 0100000
#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

struct flag {
	const char *name;
	int flags;
	const char *path;
};

static const struct flag OPENS[] = {
	{ "O_RDONLY", O_RDONLY, "file" },
	{ "O_WRONLY", O_WRONLY, "file" },
	{ "O_RDWR", O_RDWR, "file" },
	{ "O_APPEND", O_WRONLY | O_APPEND, "file" },
	{ "O_ASYNC", O_RDONLY | O_ASYNC, "file" },
	{ "O_CLOEXEC", O_RDONLY | O_CLOEXEC, "file" },
	{ "O_CREAT", O_WRONLY | O_CREAT, "made" },
	{ "O_EXCL", O_WRONLY | O_CREAT | O_EXCL, "made alone" },
	{ "O_DIRECTORY", O_RDONLY | O_DIRECTORY, "." },
	{ "O_DSYNC", O_WRONLY | O_DSYNC, "file" },
	{ "O_SYNC", O_WRONLY | O_SYNC, "file" },
	{ "O_LARGEFILE", O_RDONLY | O_LARGEFILE_RAW, "file" },
	{ "O_NOATIME", O_RDONLY | O_NOATIME, "file" },
	{ "O_NOCTTY", O_RDWR | O_NOCTTY, "/dev/ptmx" },
	{ "O_NOFOLLOW", O_RDONLY | O_NOFOLLOW, "file" },
	{ "O_NONBLOCK", O_RDONLY | O_NONBLOCK, "fifo" },
	{ "O_PATH", O_PATH, "file" },
	{ "O_PATH link", O_PATH | O_NOFOLLOW, "link" },
	{ "O_TMPFILE", O_RDWR | O_TMPFILE, "." },
	{ "O_TRUNC", O_WRONLY | O_TRUNC, "cut" },
};

static void opened(const char *call, const struct flag *flag, long fd)
{
	out("%s %s: ", call, flag->name);
	if (fd == -1) {
		out("%s\n", errname(errno));
		return;
	}
	struct stat st;
	MUST(fstat(fd, &st));
	out("flags %#lo, cloexec %ld, size %ld\n", MUST(fcntl(fd, F_GETFL)), MUST(fcntl(fd, F_GETFD)),
	    S_ISREG(st.st_mode) ? (long)st.st_size : -1);
	close(fd);
}

static void opens(void)
{
	for (size_t i = 0; i < sizeof OPENS / sizeof *OPENS; i++) {
		const struct flag *flag = OPENS + i;
		for (int round = 0; round < 3; round++) {
			unlink("made");
			unlink("made alone");
			MUST(truncate("cut", 5));
			bool makes = flag->flags & O_CREAT || (flag->flags & O_TMPFILE) == O_TMPFILE;
			struct open_how how = { .flags = flag->flags, .mode = makes ? 0600 : 0 };
			switch (round) {
			case 0:
				opened("open", flag, syscall(SYS_open, flag->path, flag->flags, 0600));
				break;
			case 1:
				opened("openat", flag, syscall(SYS_openat, AT_FDCWD, flag->path, flag->flags, 0600));
				break;
			default:
				opened("openat2", flag, syscall(SYS_openat2, AT_FDCWD, flag->path, &how, sizeof how));
			}
		}
	}
	/* Past the caches: not every file system does that. */
	for (int round = 0; round < 3; round++) {
		struct open_how how = { .flags = O_RDONLY | O_DIRECT };
		long fd = round == 0 ? syscall(SYS_open, "file", O_RDONLY | O_DIRECT) :
			  round == 1 ? syscall(SYS_openat, AT_FDCWD, "file", O_RDONLY | O_DIRECT) :
				       syscall(SYS_openat2, AT_FDCWD, "file", &how, sizeof how);
		out("O_DIRECT: %s\n", fd >= 0 || errno == EINVAL ? "answered" : errname(errno));
		close(fd);
	}
}

static void resolves(void)
{
	static const struct {
		const char *name;
		unsigned long resolve;
	} RESOLVES[] = {
		{ "NO_XDEV", RESOLVE_NO_XDEV },		{ "NO_MAGICLINKS", RESOLVE_NO_MAGICLINKS },
		{ "NO_SYMLINKS", RESOLVE_NO_SYMLINKS }, { "BENEATH", RESOLVE_BENEATH },
		{ "IN_ROOT", RESOLVE_IN_ROOT },
	};
	static const char *const PATHS[] = { "file", "link", "../x", "/file", "/proc/self/exe" };
	for (size_t i = 0; i < sizeof RESOLVES / sizeof *RESOLVES; i++)
		for (size_t j = 0; j < sizeof PATHS / sizeof *PATHS; j++) {
			struct open_how how = { .flags = O_RDONLY, .resolve = RESOLVES[i].resolve };
			out("%s ", RESOLVES[i].name);
			long fd = E(openat2, PATHS[j], AT_FDCWD, PATHS[j], &how, sizeof how);
			close(fd);
		}
	/* Only what is in memory: the second time it may well be. */
	struct open_how how = { .flags = O_RDONLY, .resolve = RESOLVE_CACHED };
	long fd = syscall(SYS_openat2, AT_FDCWD, "/proc/self/status", &how, sizeof how);
	out("CACHED: %s\n", fd >= 0 || errno == EAGAIN ? "answered" : errname(errno));
	close(fd);
}

static void stats(void)
{
	static const struct {
		const char *name;
		unsigned mask;
	} MASKS[] = {
		{ "TYPE", STATX_TYPE },	  { "MODE", STATX_MODE },     { "NLINK", STATX_NLINK },	  { "UID", STATX_UID },
		{ "GID", STATX_GID },	  { "ATIME", STATX_ATIME },   { "MTIME", STATX_MTIME },	  { "CTIME", STATX_CTIME },
		{ "INO", STATX_INO },	  { "SIZE", STATX_SIZE },     { "BLOCKS", STATX_BLOCKS }, { "BTIME", STATX_BTIME },
		{ "MNT_ID", 0x1000 },	  { "DIOALIGN", 0x2000 },     { "MNT_ID_UNIQUE", 0x4000 },
		{ "SUBVOL", 0x8000 },	  { "WRITE_ATOMIC", 0x10000 }, { "DIO_READ_ALIGN", 0x20000 },
		{ "BASIC_STATS", STATX_BASIC_STATS }, { "ALL", 0xfff },
	};
	for (size_t i = 0; i < sizeof MASKS / sizeof *MASKS; i++) {
		struct statx stx;
		out("%s ", MASKS[i].name);
		E(statx, "mask", AT_FDCWD, "file", 0, MASKS[i].mask, &stx);
		/* What every file system says unasked: not all read the times then. */
		out("basic %#x\n", stx.stx_mask & STATX_BASIC_STATS & ~(STATX_MTIME | STATX_CTIME));
	}
	static const struct {
		const char *name;
		int flags;
		const char *path;
	} FLAGS[] = {
		{ "none", 0, "link" },
		{ "AT_SYMLINK_NOFOLLOW", AT_SYMLINK_NOFOLLOW, "link" },
		{ "AT_EMPTY_PATH", AT_EMPTY_PATH, "" },
		{ "AT_NO_AUTOMOUNT", AT_NO_AUTOMOUNT, "file" },
		{ "AT_STATX_FORCE_SYNC", AT_STATX_FORCE_SYNC, "file" },
		{ "AT_STATX_DONT_SYNC", AT_STATX_DONT_SYNC, "file" },
	};
	for (size_t i = 0; i < sizeof FLAGS / sizeof *FLAGS; i++) {
		struct statx stx = { 0 };
		struct stat st = { 0 };
		out("%s ", FLAGS[i].name);
		E(statx, FLAGS[i].path, AT_FDCWD, FLAGS[i].path, FLAGS[i].flags, STATX_TYPE, &stx);
		out("type %#o; ", stx.stx_mode & S_IFMT);
		E(newfstatat, FLAGS[i].path, AT_FDCWD, FLAGS[i].path, &st, FLAGS[i].flags);
		out("type %#o\n", st.st_mode & S_IFMT);
	}
}

static void names(void)
{
	int fd = MUST(open("file", O_RDONLY));
	struct timespec times[2] = { { 5, 0 }, { 6, 0 } };
	E(utimensat, "link itself", AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW);
	E(utimensat, "AT_EMPTY_PATH", fd, "", times, AT_EMPTY_PATH);
	for (int mode = 0; mode < 8; mode++) {
		E(access, "mode", "file", mode);
		E(faccessat, "mode", AT_FDCWD, "file", mode);
		E(faccessat2, "mode", AT_FDCWD, "file", mode, 0);
	}
	E(faccessat2, "AT_EACCESS", AT_FDCWD, "file", R_OK, AT_EACCESS);
	E(faccessat2, "AT_SYMLINK_NOFOLLOW", AT_FDCWD, "link", F_OK, AT_SYMLINK_NOFOLLOW);
	E(faccessat2, "AT_EMPTY_PATH", fd, "", R_OK, AT_EMPTY_PATH);
	MUST(mkdir("dir", 0700));
	E(unlinkat, "AT_REMOVEDIR", AT_FDCWD, "dir", AT_REMOVEDIR);
	close(fd);
}

static void descriptors(void)
{
	int ends[2];
	E(pipe2, "O_CLOEXEC", ends, O_CLOEXEC);
	out("cloexec %ld\n", MUST(fcntl(ends[0], F_GETFD)));
	E(dup3, "O_CLOEXEC", ends[0], 50, O_CLOEXEC);
	E(pipe2, "O_NONBLOCK", ends, O_NONBLOCK);
	out("flags %#lo\n", MUST(fcntl(ends[0], F_GETFL)));
	E(pipe2, "O_DIRECT", ends, O_DIRECT);
	out("flags %#lo\n", MUST(fcntl(ends[1], F_GETFL)));
	static const int WHENCES[] = { SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE };
	int fd = MUST(open("file", O_RDWR));
	for (size_t i = 0; i < 5; i++)
		out("lseek %d: %ld\n", WHENCES[i], syscall(SYS_lseek, fd, 0L, WHENCES[i]));
	static const int LOCKS[] = { LOCK_SH, LOCK_EX, LOCK_UN, LOCK_SH | LOCK_NB, LOCK_EX | LOCK_NB };
	for (size_t i = 0; i < 5; i++)
		E(flock, "lock", fd, LOCKS[i]);
	int watches = MUST(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	for (int bit = 0; bit < 12; bit++)
		out("inotify bit %d: %s\n", bit, inotify_add_watch(watches, "file", 1U << bit) == 1 ? "ok" : errname(errno));
	static const unsigned EXTRA[] = { IN_CLOSE, IN_MOVE, IN_ALL_EVENTS, IN_ACCESS | IN_DONT_FOLLOW, IN_OPEN | IN_EXCL_UNLINK,
					  IN_OPEN | IN_MASK_ADD, IN_OPEN | IN_ONESHOT };
	for (size_t i = 0; i < sizeof EXTRA / sizeof *EXTRA; i++)
		out("inotify %#x: %s\n", EXTRA[i], inotify_add_watch(watches, "file", EXTRA[i]) >= 1 ? "ok" : errname(errno));
	out("inotify IN_ONLYDIR: %s\n", inotify_add_watch(watches, ".", IN_OPEN | IN_ONLYDIR) >= 1 ? "ok" : errname(errno));
	out("inotify IN_MASK_CREATE: %s\n",
	    inotify_add_watch(watches, "cut", IN_OPEN | IN_MASK_CREATE) >= 1 ? "ok" : errname(errno));
	for (int fds = 60; fds < 63; fds++)
		MUST(dup2(fd, fds));
	E(close_range, "CLOSE_RANGE_CLOEXEC", 60, 60, 4);
	out("cloexec %ld\n", MUST(fcntl(60, F_GETFD)));
	E(close_range, "CLOSE_RANGE_UNSHARE", 61, 62, 2);
	out("gone %d\n", fcntl(61, F_GETFD));
	long size = 0;
	int set = 1;
	E(ioctl, "FIONREAD", fd, FIONREAD, &size);
	E(ioctl, "FIONBIO", ends[0], FIONBIO, &set);
	E(ioctl, "FIOASYNC", ends[0], FIOASYNC, &set);
	E(ioctl, "FIOCLEX", fd, FIOCLEX);
	E(ioctl, "FIONCLEX", fd, FIONCLEX);
}

int main(void)
{
	umask(022);
	for (const char *const *name = (const char *const[]){ "file", "cut", NULL }; *name; name++) {
		int fd = MUST(open(*name, O_CREAT | O_WRONLY, 0755));
		MUST(write(fd, "twelve bytes", 12));
		close(fd);
	}
	MUST(symlink("file", "link"));
	MUST(mkfifo("fifo", 0600));
	opens();
	resolves();
	stats();
	names();
	descriptors();
	return 0;
}

/* For tests that provoke the errors of calls: the fixture they stand in, and short forms.
 *
 * The calls are made by number, so that no wrapper puts another one in their place. */
#ifndef ERRORS_H
#define ERRORS_H

#include "mnt.h"
#include <grp.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

/* Newer than the headers may be. */
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
#ifndef SYS_setxattrat
#define SYS_setxattrat 463
#endif
#ifndef SYS_getxattrat
#define SYS_getxattrat 464
#endif
#ifndef SYS_listxattrat
#define SYS_listxattrat 465
#endif
#ifndef SYS_removexattrat
#define SYS_removexattrat 466
#endif
#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif
#ifndef SYS_file_getattr
#define SYS_file_getattr 468
#endif
#ifndef SYS_file_setattr
#define SYS_file_setattr 469
#endif
#ifndef SYS_statmount
#define SYS_statmount 457
#endif
#ifndef SYS_listmount
#define SYS_listmount 458
#endif

#define NOBODY 31000

/* Makes a call and prints it with its error. */
#define S(call, ...)                                                           \
	({                                                                     \
		errno = 0;                                                     \
		long s_result = syscall(SYS_##call, ##__VA_ARGS__);            \
		int s_error = errno;                                           \
		out("%s(%s): %s\n", #call, #__VA_ARGS__, s_result == -1 ? errname(s_error) : "ok"); \
		errno = s_error;                                               \
		s_result;                                                      \
	})

/* The same while no file may grow beyond 100 bytes: standard output may be a file, too. */
#define LIMITED(call, ...)                                                     \
	({                                                                     \
		e_limit(100);                                                  \
		long s_result = syscall(SYS_##call, ##__VA_ARGS__);            \
		int s_error = errno;                                           \
		e_limit(RLIM_INFINITY);                                        \
		out("%s(%s), limited: %s\n", #call, #__VA_ARGS__, s_result == -1 ? errname(s_error) : "ok"); \
	})

/* Runs a block in a child without privileges. */
#define AS_NOBODY(what, ...) CHILD(what, drop(); __VA_ARGS__)

static char e_long[NAME_MAX + 2], e_huge[PATH_MAX + 1];
/* What is never mapped, and what may only be read. */
static void *const e_bad = (void *)8;
static char *const e_constant = "constant";

static void e_limit(rlim_t bytes)
{
	struct rlimit limit = { bytes, RLIM_INFINITY };
	MUST(setrlimit(RLIMIT_FSIZE, &limit));
}

/* Becomes a user without privileges. */
static void drop(void)
{
	MUST(setgroups(0, NULL));
	MUST(setresgid(NOBODY, NOBODY, NOBODY));
	MUST(setresuid(NOBODY, NOBODY, NOBODY));
}

static void e_ignore(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info, (void)context;
}

/* Interrupts what sleeps, again and again, until told to stop. */
static void interrupt_ms(long ms)
{
	struct itimerval timer = { { ms / 1000, ms % 1000 * 1000 }, { ms / 1000, ms % 1000 * 1000 } };
	handle(SIGALRM, e_ignore, 0);
	MUST(setitimer(ITIMER_REAL, &timer, NULL));
}

static void e_make(const char *path, mode_t mode, uid_t owner)
{
	close(make_file(path, "some text"));
	MUST(chown(path, owner, owner));
	MUST(chmod(path, mode));
}

static void e_mkdir(const char *path, mode_t mode, uid_t owner)
{
	MUST(mkdir(path, 0755));
	MUST(chown(path, owner, owner));
	MUST(chmod(path, mode));
}

static void e_flags(const char *path, int flags)
{
	int fd = MUST(open(path, O_RDONLY));
	MUST(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	close(fd);
}

/* A fresh tmpfs, owned by nobody: files `f` and `x` (may be executed), folders `d` (with `g`) and `empty`,
 * links `loop`, `to-f`, `to-d`, the fifo `fifo`; folder `locked` of root (with `f`), sticky folder
 * `sticky` of root (with file `theirs` and folder `dir` of root), `secret` of root; file `still` and folder
 * `stilld` that are immutable; mounts `ro`, read-only (with `f` and `d`), and `full`, where nothing fits
 * any more (with `f` and `d`). */
static void e_fixture(void)
{
	mnt_scratch();
	memset(e_long, 'l', NAME_MAX + 1);
	memset(e_huge, 'h', PATH_MAX);
	MUST(chown(".", NOBODY, NOBODY));
	e_make("f", 0644, NOBODY);
	e_make("x", 0755, NOBODY);
	e_mkdir("d", 0755, NOBODY);
	e_make("d/g", 0644, NOBODY);
	e_mkdir("empty", 0755, NOBODY);
	MUST(symlink("loop", "loop"));
	MUST(symlink("f", "to-f"));
	MUST(symlink("d", "to-d"));
	MUST(mknod("fifo", S_IFIFO | 0666, 0));
	MUST(chmod("fifo", 0666));
	e_mkdir("locked", 0700, 0);
	e_make("locked/f", 0644, 0);
	e_mkdir("sticky", 01777, 0);
	e_make("sticky/theirs", 0666, 0);
	e_mkdir("sticky/dir", 0755, 0);
	e_make("secret", 0600, 0);
	e_make("readable", 0644, 0);
	e_mkdir("ro", 0755, 0);
	MUST(mount("ro", "ro", "tmpfs", 0, "size=1m"));
	MUST(chown("ro", NOBODY, NOBODY));
	e_make("ro/f", 0666, NOBODY);
	e_mkdir("ro/d", 0777, NOBODY);
	MUST(mount("ro", "ro", "tmpfs", MS_REMOUNT | MS_RDONLY, "size=1m"));
	e_mkdir("full", 0755, 0);
	MUST(mount("full", "full", "tmpfs", 0, "size=4k,nr_inodes=3"));
	MUST(chown("full", NOBODY, NOBODY));
	e_make("full/f", 0644, NOBODY);
	e_mkdir("full/d", 0755, NOBODY);
	e_make("still", 0666, NOBODY);
	e_flags("still", FS_IMMUTABLE_FL);
	e_mkdir("stilld", 0777, NOBODY);
	e_make("stilld/f", 0666, NOBODY);
	e_flags("stilld", FS_IMMUTABLE_FL);
}

#endif

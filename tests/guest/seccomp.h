/* What the tests of seccomp(2) share. */
#ifndef SECCOMP_H
#define SECCOMP_H

#include "t.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV 0x20
#endif
#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND 2
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define LOAD_AT(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)
#define IF_NOT(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define ALLOW RETURN(SECCOMP_RET_ALLOW)

#define FILTER(name, ...)                                                      \
	struct sock_filter name##_code[] = { __VA_ARGS__ };                    \
	struct sock_fprog name = { sizeof name##_code / sizeof *name##_code, name##_code }

/* One number has its own action, all others are allowed. */
#define FOR_NR(name, nr_, action)                                              \
	FILTER(name, LOAD(nr), IF_NOT(nr_, 1), RETURN(action), ALLOW)

static inline long seccomp(unsigned op, unsigned flags, void *args)
{
	return syscall(SYS_seccomp, op, flags, args);
}

static inline long install(struct sock_fprog *filter, unsigned flags)
{
	return seccomp(SECCOMP_SET_MODE_FILTER, flags, filter);
}

static inline void no_new_privs(void)
{
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

/* No test leaves a core behind, nor does one report that it could. */
static inline void no_core(void)
{
	struct rlimit none = { 0, 0 };
	MUST(setrlimit(RLIMIT_CORE, &none));
	MUST(prctl(PR_SET_DUMPABLE, 0));
}

/* The lines of /proc/self/status about it. */
static inline void out_seccomp_status(const char *what)
{
	char text[8192];
	int fd = MUST(open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC));
	ssize_t len = read(fd, text, sizeof text - 1);
	close(fd);
	text[len > 0 ? len : 0] = 0;
	int mode = -1, filters = -1, nnp = -1;
	char *line;
	if ((line = strstr(text, "\nSeccomp:")))
		sscanf(line, "\nSeccomp: %d", &mode);
	if ((line = strstr(text, "\nSeccomp_filters:")))
		sscanf(line, "\nSeccomp_filters: %d", &filters);
	if ((line = strstr(text, "\nNoNewPrivs:")))
		sscanf(line, "\nNoNewPrivs: %d", &nnp);
	out("%s: mode %d, %d filters, no_new_privs %d\n", what, mode, filters, nnp);
}

#endif

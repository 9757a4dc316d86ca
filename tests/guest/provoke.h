/* For tests of each call's errors: raw calls, one line each. */
#ifndef PROVOKE_H
#define PROVOKE_H

#include "t.h"
#include <sys/prctl.h>

/* An address nothing is ever mapped at. */
#define NOWHERE ((void *)8)

/* A user without rights, whoever runs the test. */
#define NOBODY 31000

static long errors_show(const char *call, const char *why, long result)
{
	int error = errno;
	out("%s (%s): %s\n", call, why, result == -1 ? errname(error) : "ok");
	errno = error;
	return result;
}

/* Makes the call itself, not what the C library makes of it, and prints ok or the errno. */
#define E(call, why, ...) errors_show(#call, why, syscall(SYS_##call, ##__VA_ARGS__))

/* The rest of the process runs without privileges, and may still be looked at by its like. */
static void become_nobody(void)
{
	if (getuid() == 0) {
		MUST(syscall(SYS_setgroups, 0, NULL));
		MUST(syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY));
		MUST(syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY));
		MUST(prctl(PR_SET_DUMPABLE, 1));
	}
}

static void errors_ignore(int number, siginfo_t *info, void *context)
{
}

/* A signal that interrupts the caller some milliseconds from now, and again until it is called off. */
static void interrupt_soon(void)
{
	struct itimerval soon = { { 0, 20000 }, { 0, 50000 } };
	handle(SIGALRM, errors_ignore, 0);
	MUST(setitimer(ITIMER_REAL, &soon, NULL));
}

static void interrupt_no_more(void)
{
	struct itimerval none = { 0 };
	MUST(setitimer(ITIMER_REAL, &none, NULL));
}

/* The same call, interrupted by a signal handler. */
#define EINTERRUPTED(call, why, ...)                                           \
	do {                                                                   \
		interrupt_soon();                                              \
		long e_result = syscall(SYS_##call, ##__VA_ARGS__);            \
		int e_error = errno;                                           \
		interrupt_no_more();                                           \
		errno = e_error;                                               \
		errors_show(#call, why, e_result);                             \
	} while (0)

/* What follows runs with no descriptor to spare. */
static void no_descriptors(void)
{
	struct rlimit limit;
	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = 3;
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
}

#endif

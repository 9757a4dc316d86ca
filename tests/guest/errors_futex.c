/* Errors of the futex calls, and of what a program asks of the whole system. bevor-test: user=both */
#include "provoke.h"
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#ifndef SYS_futex_wait
#define SYS_futex_wake 454
#define SYS_futex_wait 455
#define SYS_futex_requeue 456
#endif
#ifndef SYS_lsm_get_self_attr
#define SYS_lsm_get_self_attr 459
#define SYS_lsm_set_self_attr 460
#define SYS_lsm_list_modules 461
#endif
#define U32 2 /* FUTEX2_SIZE_U32 */
#define LSM_ATTR_CURRENT 100

struct waiter { unsigned long val, word; unsigned flags, reserved; };

static void *wake(void *word)
{
	while (syscall(SYS_futex_wake, word, 0xffffffffUL, 1, U32) == 0)
		sleep_ms(1);
	return NULL;
}

static void futexes(void)
{
	static unsigned word = 1, other = 1;
	struct timespec past = { 0, 0 }, brief = { 0, 1000 }, wrong = { 0, 1000000000 }, day = { 86400, 0 };
	E(futex, "fine", &word, FUTEX_WAKE, 1);
	E(futex, "other value", &word, FUTEX_WAIT, 5, NULL);
	E(futex, "bad address", NOWHERE, FUTEX_WAIT, 1, NULL);
	E(futex, "bad time", &word, FUTEX_WAIT, 1, NOWHERE);
	E(futex, "not aligned", (char *)&word + 1, FUTEX_WAIT, 1, NULL);
	E(futex, "time is over", &word, FUTEX_WAIT, 1, &brief);
	E(futex, "too many nanoseconds", &word, FUTEX_WAIT, 1, &wrong);
	E(futex, "no such operation", &word, 99, 1, NULL);
	EINTERRUPTED(futex, "interrupted", &word, FUTEX_WAIT, 1, &day);
	other = 0;
	E(futex, "not held", &other, FUTEX_UNLOCK_PI);
	other = gettid();
	E(futex, "held by itself", &other, FUTEX_LOCK_PI, 0, NULL);
	other = 0x3ffffffe;
	E(futex, "held by nobody", &other, FUTEX_LOCK_PI, 0, NULL);
	E(futex_wake, "fine", &word, 0xffffffffUL, 1, U32);
	E(futex_wake, "strange flag", &word, 0xffffffffUL, 1, 0x40);
	E(futex_wake, "no mask", &word, 0UL, 1, U32);
	E(futex_wake, "not aligned", (char *)&word + 1, 0xffffffffUL, 1, U32);
	E(futex_wake, "bad address", NOWHERE, 0xffffffffUL, 1, U32);
	E(futex_wait, "other value", &word, 5UL, 0xffffffffUL, U32, NULL, CLOCK_MONOTONIC);
	E(futex_wait, "bad address", NOWHERE, 1UL, 0xffffffffUL, U32, NULL, CLOCK_MONOTONIC);
	E(futex_wait, "bad time", &word, 1UL, 0xffffffffUL, U32, NOWHERE, CLOCK_MONOTONIC);
	E(futex_wait, "strange flag", &word, 1UL, 0xffffffffUL, 0x40, NULL, CLOCK_MONOTONIC);
	E(futex_wait, "no mask", &word, 1UL, 0UL, U32, NULL, CLOCK_MONOTONIC);
	E(futex_wait, "no such clock", &word, 1UL, 0xffffffffUL, U32, &past, 77);
	E(futex_wait, "time is over", &word, 1UL, 0xffffffffUL, U32, &past, CLOCK_MONOTONIC);
	EINTERRUPTED(futex_wait, "interrupted", &word, 1UL, 0xffffffffUL, U32, NULL, CLOCK_MONOTONIC);
	pthread_t thread;
	pthread_create(&thread, NULL, wake, &word);
	E(futex_wait, "fine", &word, 1UL, 0xffffffffUL, U32, NULL, CLOCK_MONOTONIC);
	pthread_join(thread, NULL);
	struct waiter two[2] = { { 1, (unsigned long)&word, U32 }, { 1, (unsigned long)&other, U32 } };
	E(futex_requeue, "fine", two, 0, 1, 1);
	two[0].val = 7;
	E(futex_requeue, "other value", two, 0, 1, 1);
	two[0].val = 1;
	E(futex_requeue, "flags", two, 1, 1, 1);
	E(futex_requeue, "bad address", NOWHERE, 0, 1, 1);
	E(futex_requeue, "no list", NULL, 0, 1, 1);
	two[0].word = 8;
	E(futex_requeue, "bad word", two, 0, 1, 1);
	two[0].word = (unsigned long)&word;
	E(futex_waitv, "other value", two, 2, 0, NULL, CLOCK_MONOTONIC);
	E(futex_waitv, "flags", two, 2, 1, NULL, CLOCK_MONOTONIC);
	E(futex_waitv, "bad address", NOWHERE, 2, 0, NULL, CLOCK_MONOTONIC);
	E(futex_waitv, "none", two, 0, 0, NULL, CLOCK_MONOTONIC);
	E(futex_waitv, "time is over", two, 1, 0, &past, CLOCK_MONOTONIC);
	EINTERRUPTED(futex_waitv, "interrupted", two, 1, 0, NULL, CLOCK_MONOTONIC);
	pthread_create(&thread, NULL, wake, &word);
	E(futex_waitv, "fine", two, 1, 0, NULL, CLOCK_MONOTONIC);
	pthread_join(thread, NULL);
}

static void robust(void)
{
	static struct { void *next; long offset; void *pending; } head;
	void *got;
	size_t size;
	E(set_robust_list, "wrong size", &head, 5L);
	E(set_robust_list, "fine", NULL, sizeof head);
	E(get_robust_list, "fine", 0, &got, &size);
	E(get_robust_list, "bad address", 0, NOWHERE, &size);
	E(get_robust_list, "bad size address", 0, &got, NOWHERE);
	E(get_robust_list, "no such process", INT_MAX, &got, &size);
	if (getuid() == 0) {
		pid_t child = fork();
		if (child == 0) {
			for (;;)
				pause();
		}
		CHILD("as nobody", become_nobody(); E(get_robust_list, "of another user", child, &got, &size));
		kill(child, SIGKILL);
		reap("other", child);
	}
}

static void system_wide(void)
{
	struct sysinfo info;
	struct utsname name;
	unsigned cpu, size = sizeof(unsigned long) * 64;
	unsigned long modules[64];
	char buf[64];
	E(sysinfo, "fine", &info);
	E(sysinfo, "bad address", NOWHERE);
	E(uname, "fine", &name);
	E(uname, "bad address", NOWHERE);
	E(getrandom, "fine", buf, 16L, 0);
	E(getrandom, "at once", buf, 16L, GRND_NONBLOCK);
	E(getrandom, "strange flag", buf, 16L, 99);
	E(getrandom, "both pools", buf, 16L, GRND_RANDOM | GRND_INSECURE);
	E(getrandom, "bad address", NOWHERE, 16L, 0);
	E(getcpu, "fine", &cpu, NULL, NULL);
	E(getcpu, "bad address", NOWHERE, NULL, NULL);
	E(membarrier, "asked for", MEMBARRIER_CMD_QUERY, 0, 0);
	E(membarrier, "no such command", 1 << 30, 0, 0);
	E(membarrier, "strange flag", MEMBARRIER_CMD_QUERY, 99, 0);
	E(membarrier, "not registered", MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
	E(lsm_list_modules, "fine", modules, &size, 0);
	E(lsm_list_modules, "flags", modules, &size, 1);
	E(lsm_list_modules, "bad size", modules, NOWHERE, 0);
	size = 0;
	E(lsm_list_modules, "too small", modules, &size, 0);
	E(lsm_get_self_attr, "flags", LSM_ATTR_CURRENT, NULL, &size, 99);
	E(lsm_get_self_attr, "no size", LSM_ATTR_CURRENT, NULL, NULL, 0);
	E(lsm_get_self_attr, "no such attribute", 99, NULL, &size, 0);
	E(lsm_get_self_attr, "bad size", LSM_ATTR_CURRENT, NULL, NOWHERE, 0);
	E(lsm_set_self_attr, "flags", LSM_ATTR_CURRENT, buf, 64, 1);
	E(lsm_set_self_attr, "too small", LSM_ATTR_CURRENT, buf, 4, 0);
	E(lsm_set_self_attr, "too large", LSM_ATTR_CURRENT, buf, 1 << 20, 0);
	E(lsm_set_self_attr, "bad address", LSM_ATTR_CURRENT, NOWHERE, 64, 0);
	unsigned long context[4] = { 9999, 0, sizeof context, 0 };
	E(lsm_set_self_attr, "no such module", LSM_ATTR_CURRENT, context, sizeof context, 0);
}

int main(void)
{
	futexes();
	robust();
	system_wide();
	return 0;
}

/* seccomp(2) and threads: filters for all of them, and what hinders that. bevor-test: user=both kernel=6.0 */
#include "seccomp.h"
#include <sys/utsname.h>

static pthread_barrier_t meet;
static volatile pid_t other_tid;
static volatile int go, started;

static void *observer(void *arg)
{
	other_tid = syscall(SYS_gettid);
	started = 1;
	/* Calls that may be answered without the kernel, until the filter forbids them. */
	int refused = 0;
	while (!go)
		refused += syscall(SYS_getppid) == -1;
	int after = 0;
	for (int i = 0; i < 100; i++)
		after += syscall(SYS_getppid) == -1 && errno == 40;
	out("afterwards %d of 100 refused\n", after);
	out_seccomp_status("observer");
	return NULL;
}

static void sync_all(void)
{
	FOR_NR(filter, SYS_getppid, SECCOMP_RET_ERRNO | 40);
	pthread_t thread;
	MUST(pthread_create(&thread, NULL, observer, NULL) ? -1 : 0);
	while (!started)
		sched_yield();
	sleep_ms(5);
	T(install(&filter, SECCOMP_FILTER_FLAG_TSYNC));
	go = 1;
	pthread_join(thread, NULL);
	T(syscall(SYS_getppid));
	out_seccomp_status("caller");
}

static void *keeps_own(void *arg)
{
	struct sock_fprog *own = arg;
	other_tid = syscall(SYS_gettid);
	T(install(own, 0));
	pthread_barrier_wait(&meet);
	pthread_barrier_wait(&meet);
	T(syscall(SYS_getppid));
	out_seccomp_status("other thread");
	return NULL;
}

static void hindered(void)
{
	FOR_NR(own, SYS_getppid, SECCOMP_RET_ERRNO | 41);
	FOR_NR(filter, SYS_getuid, SECCOMP_RET_ERRNO | 42);
	pthread_barrier_init(&meet, NULL, 2);
	pthread_t thread;
	MUST(pthread_create(&thread, NULL, keeps_own, &own) ? -1 : 0);
	pthread_barrier_wait(&meet);
	long got = install(&filter, SECCOMP_FILTER_FLAG_TSYNC);
	V(got == other_tid);
	T(install(&filter, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH));
	T(install(&filter, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH |
				   SECCOMP_FILTER_FLAG_NEW_LISTENER));
	V(syscall(SYS_getuid) == -1);
	out_seccomp_status("nothing changed");
	/* For itself it may. */
	T(install(&filter, 0));
	out_seccomp_status("caller");
	pthread_barrier_wait(&meet);
	pthread_join(thread, NULL);
	/* The one that hindered has ended. */
	T(install(&filter, SECCOMP_FILTER_FLAG_TSYNC));
	out_seccomp_status("caller");
}

/* A thread with an earlier filter of the caller's own is no hindrance; one with its own after it is. */
static void *inherits(void *arg)
{
	pthread_barrier_wait(&meet);
	pthread_barrier_wait(&meet);
	T(syscall(SYS_getppid));
	T(syscall(SYS_getuid));
	out_seccomp_status("inherited, then synchronised");
	return NULL;
}

static void ancestor(void)
{
	FOR_NR(first, SYS_getppid, SECCOMP_RET_ERRNO | 43);
	FOR_NR(second, SYS_getuid, SECCOMP_RET_ERRNO | 44);
	T(install(&first, 0));
	pthread_barrier_init(&meet, NULL, 2);
	pthread_t thread;
	MUST(pthread_create(&thread, NULL, inherits, NULL) ? -1 : 0);
	pthread_barrier_wait(&meet);
	T(install(&second, 0));
	T(install(&second, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW));
	out_seccomp_status("caller");
	pthread_barrier_wait(&meet);
	pthread_join(thread, NULL);
}

static void *in_strict(void *arg)
{
	syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL);
	int *pipes = arg;
	char byte = 'x';
	write(pipes[1], &byte, 1);
	read(pipes[2], &byte, 1);
	syscall(SYS_exit, 0);
	return NULL;
}

static void beside_strict(void)
{
	FOR_NR(filter, SYS_getuid, SECCOMP_RET_ERRNO | 45);
	int there[2], back[2];
	MUST(pipe(there));
	MUST(pipe(back));
	int pipes[] = { there[0], there[1], back[0], back[1] };
	pthread_t thread;
	MUST(pthread_create(&thread, NULL, in_strict, pipes) ? -1 : 0);
	char byte;
	read(there[0], &byte, 1);
	out_seccomp_status("the other one is strict");
	V(install(&filter, SECCOMP_FILTER_FLAG_TSYNC) > 0);
	T(install(&filter, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH));
	write(back[1], &byte, 1);
	pthread_join(thread, NULL);
	_exit(0);
}

/* The threads' no_new_privs follows the caller's. */
static void *tells_privs(void *arg)
{
	pthread_barrier_wait(&meet);
	pthread_barrier_wait(&meet);
	out_seccomp_status("other thread");
	return NULL;
}

static void privileges(void)
{
	FOR_NR(filter, SYS_getppid, SECCOMP_RET_ERRNO | 46);
	pthread_barrier_init(&meet, NULL, 2);
	pthread_t thread;
	MUST(pthread_create(&thread, NULL, tells_privs, NULL) ? -1 : 0);
	pthread_barrier_wait(&meet);
	no_new_privs();
	T(install(&filter, SECCOMP_FILTER_FLAG_TSYNC));
	pthread_barrier_wait(&meet);
	pthread_join(thread, NULL);
}

/* The first thread leaves, others stay under the filter; then execve by one of them. */
static void *executes(void *arg)
{
	sleep_ms(5);
	execl("/proc/thread-self/exe", "self", "executed", NULL);
	return NULL;
}

static void executed_by_another(void)
{
	FOR_NR(filter, SYS_getppid, SECCOMP_RET_ERRNO | 47);
	T(install(&filter, SECCOMP_FILTER_FLAG_TSYNC));
	pthread_t thread;
	MUST(pthread_create(&thread, NULL, executes, NULL) ? -1 : 0);
	pthread_exit(NULL);
}

/* Many threads come and go while filters arrive. */
static void *short_lived(void *arg)
{
	return (void *)(long)(syscall(SYS_getppid) == -1);
}

static void *starter(void *arg)
{
	long early = 0;
	for (int i = 0; i < 60; i++) {
		pthread_t thread;
		int after = go;
		if (pthread_create(&thread, NULL, short_lived, NULL))
			continue;
		void *refused;
		pthread_join(thread, &refused);
		/* Made after the filter was there: it must have it. */
		early += after && !refused;
	}
	return (void *)early;
}

static void storm(void)
{
	FOR_NR(filter, SYS_getppid, SECCOMP_RET_ERRNO | 48);
	pthread_t starters[3];
	for (int i = 0; i < 3; i++)
		MUST(pthread_create(&starters[i], NULL, starter, NULL) ? -1 : 0);
	sleep_ms(2);
	for (int i = 0; i < 4; i++)
		T(install(&filter, SECCOMP_FILTER_FLAG_TSYNC));
	go = 1;
	for (int i = 0; i < 3; i++) {
		void *early;
		pthread_join(starters[i], &early);
		V(early);
	}
	out_seccomp_status("after the storm");
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		T(syscall(SYS_getppid));
		out_seccomp_status("executed");
		return 0;
	}
	no_core();
	if (geteuid() == 0)
		CHILD("without no_new_privs", sync_all());
	CHILD("privileges", privileges());
	no_new_privs();
	CHILD("all threads", sync_all());
	CHILD("hindered", hindered());
	CHILD("ancestor", ancestor());
	CHILD("beside strict mode", beside_strict());
	prctl(PR_SET_DUMPABLE, 1);
	CHILD("executed by another", executed_by_another());
	CHILD("storm", storm());
	return 0;
}

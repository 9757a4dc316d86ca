/* Calls in tight loops, with signals arriving at any instruction. bevor-test: timeout=60 */
#include "t.h"

static volatile long ticks, wrong;
static long pid;

static void on_tick(int sig, siginfo_t *info, void *context)
{
	if (syscall(SYS_getpid) != pid || syscall(SYS_getpgid, 0) < 0)
		wrong++;
	ticks++;
}

static void run(const char *what, long nr, long expected)
{
	long end = ticks + 100, loops = 0;
	while (ticks < end || loops < 20000) {
		long result = syscall(nr, nr == SYS_personality ? 0xffffffffL : 0L, 0, 0);
		if (result != expected)
			wrong++;
		loops++;
	}
	out("%s: wrong %ld\n", what, wrong);
}

static void *worker(void *arg)
{
	for (int i = 0; i < 20000; i++)
		if (syscall(SYS_getpid) != pid || syscall(SYS_getpgid, 0) != (long)arg)
			wrong++;
	return NULL;
}

static void *signaller(void *arg)
{
	for (int i = 0; i < 500; i++) {
		pthread_kill(*(pthread_t *)arg, SIGUSR1);
		sched_yield();
	}
	return NULL;
}

int main(void)
{
	pid = getpid();
	handle(SIGALRM, on_tick, SA_RESTART);
	handle(SIGUSR1, on_tick, SA_RESTART);
	struct itimerval it = { { 0, 500 }, { 0, 500 } };
	setitimer(ITIMER_REAL, &it, NULL);
	run("getpid", SYS_getpid, pid);
	run("getppid", SYS_getppid, getppid());
	run("getuid", SYS_getuid, getuid());
	run("getpgid", SYS_getpgid, getpgid(0));
	run("ENOSYS", 9999, -1);
	run("personality", SYS_personality, 0);
	/* Reading a time that never goes back. */
	long end = ticks + 50, back = 0;
	struct timespec last, now;
	clock_gettime(CLOCK_MONOTONIC, &last);
	while (ticks < end) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec < last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec < last.tv_nsec))
			back++;
		last = now;
	}
	V(back);
	it = (struct itimerval){ 0 };
	setitimer(ITIMER_REAL, &it, NULL);
	/* Threads running through the same sites for the first time, with signals. */
	pthread_t threads[4], senders[2];
	pthread_t self = pthread_self();
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, worker, (void *)(long)getpgid(0));
	for (int i = 0; i < 2; i++)
		pthread_create(&senders[i], NULL, signaller, &threads[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(senders[i], NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	V(wrong);
	/* The parent's answers are not the child's. */
	for (int i = 0; i < 20; i++) {
		pid_t child = fork();
		if (child == 0) {
			int bad = syscall(SYS_getpid) == pid || syscall(SYS_getppid) != pid || syscall(SYS_gettid) != getpid();
			_exit(bad);
		}
		int status;
		waitpid(child, &status, 0);
		if (status)
			out("BAD child\n");
	}
	/* After a change of identity the answers change at once. */
	CHILD("setuid", {
		setresuid(1111, 2222, 3333);
		out("%ld %ld\n", syscall(SYS_getuid), syscall(SYS_geteuid));
	});
	CHILD("setgid", {
		setresgid(1111, 2222, 3333);
		out("%ld %ld\n", syscall(SYS_getgid), syscall(SYS_getegid));
	});
	return 0;
}

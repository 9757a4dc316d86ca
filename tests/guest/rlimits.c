/* Resource limits and what they limit. bevor-test: user=both timeout=120 */
#include "t.h"

static const char *names[] = { "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS",
			       "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME" };

static void show(int which)
{
	struct rlimit limit;
	if (getrlimit(which, &limit))
		out("%s: %s\n", names[which], errname(errno));
	else
		out("%s: %lld %lld\n", names[which], (long long)limit.rlim_cur, (long long)limit.rlim_max);
}

static volatile int got;
static void on_signal(int sig, siginfo_t *info, void *context) { got = sig; }

int main(void)
{
	scratch();
	struct rlimit limit, old;
	T(getrlimit(99, &limit));
	T(getrlimit(RLIMIT_CPU, (void *)8));
	show(RLIMIT_STACK);
	show(RLIMIT_CORE);
	show(RLIMIT_CPU);
	show(RLIMIT_FSIZE);
	show(RLIMIT_AS);
	limit = (struct rlimit){ 10, 5 };
	T(setrlimit(RLIMIT_NOFILE, &limit));
	limit = (struct rlimit){ 50, 60 };
	T(prlimit(0, RLIMIT_NOFILE, &limit, &old));
	show(RLIMIT_NOFILE);
	T(prlimit(getpid(), RLIMIT_NOFILE, NULL, &old));
	V(old.rlim_cur);
	T(prlimit(999999, RLIMIT_NOFILE, NULL, &old));
	CHILD("inherited", show(RLIMIT_NOFILE));
	limit = (struct rlimit){ 50, 70 };
	CHILD("raise as user", setresuid(1234, 1234, 1234); T(setrlimit(RLIMIT_NOFILE, &limit)));

	CHILD("FSIZE", {
		limit = (struct rlimit){ 10000, 10000 };
		setrlimit(RLIMIT_FSIZE, &limit);
		handle(SIGXFSZ, on_signal, 0);
		static char block[20000];
		int fd = make_file("big", "");
		T(write(fd, block, 9000));
		T(write(fd, block, 9000));
		T(write(fd, block, 9000));
		V(got == SIGXFSZ);
		got = 0;
		T(ftruncate(fd, 10001));
		V(got == SIGXFSZ);
		T(ftruncate(fd, 10000));
		T(pwrite(fd, "x", 1, 10000));
		T(fallocate(fd, 0, 0, 20000));
		signal(SIGXFSZ, SIG_DFL);
		write(fd, block, 1);
	});
	CHILD("AS", {
		limit = (struct rlimit){ 200 << 20, 200 << 20 };
		setrlimit(RLIMIT_AS, &limit);
		T((long)mmap(NULL, 300 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == -1 ? -1 : 0);
		T((long)mmap(NULL, 50 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == -1 ? -1 : 0);
		CHECK(malloc(500 << 20) == NULL);
	});
	CHILD("CPU", {
		limit = (struct rlimit){ 1, 2 };
		setrlimit(RLIMIT_CPU, &limit);
		handle(SIGXCPU, on_signal, 0);
		while (!got)
			;
		out("got SIG%s\n", sigabbrev_np(got));
		for (;;)
			;
	});
	if (getuid())
		CHILD("NPROC", {
			limit = (struct rlimit){ 1, 1 };
			setrlimit(RLIMIT_NPROC, &limit);
			T(fork());
			pthread_t thread;
			out("%s\n", errname(pthread_create(&thread, NULL, (void *)pause, NULL)));
		});
	CHILD("SIGPENDING", {
		setresuid(4321, 4321, 4321);
		limit = (struct rlimit){ 5, 5 };
		setrlimit(RLIMIT_SIGPENDING, &limit);
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGRTMIN);
		sigprocmask(SIG_BLOCK, &set, NULL);
		int queued = 0;
		while (queued < 100 && sigqueue(getpid(), SIGRTMIN, (union sigval){ 0 }) == 0)
			queued++;
		out("queued %s then %s\n", queued <= 5 ? "few" : "many", errname(errno));
	});
	unscratch();
	return 0;
}

/* Sleeping, interval timers, POSIX timers, timerfd, clocks. bevor-test: user=both waits=reloaded */
#include "t.h"
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <poll.h>

static volatile int fired;
static volatile siginfo_t seen;
static volatile int most_overruns;
static void on_signal(int sig, siginfo_t *info, void *context)
{
	fired++;
	seen = *info;
	if (info->si_code == SI_TIMER && info->si_overrun > most_overruns)
		most_overruns = info->si_overrun;
}
static void on_thread(union sigval value) { __atomic_add_fetch((int *)value.sival_ptr, 1, __ATOMIC_SEQ_CST); }

static void wait_fired(int count)
{
	long end = now_ms() + 3000;
	while (fired < count && now_ms() < end)
		sleep_ms(1);
}

int main(void)
{
	struct timespec t = { 0, 5000000 }, left = { 7, 7 };
	long start = now_ms();
	T(nanosleep(&t, &left));
	CHECK(now_ms() - start >= 4);
	V(left.tv_sec);
	t.tv_nsec = 1000000000;
	T(nanosleep(&t, NULL));
	t.tv_nsec = -1;
	T(nanosleep(&t, NULL));
	t = (struct timespec){ -1, 0 };
	T(nanosleep(&t, NULL));
	T(nanosleep((void *)8, NULL));
	t = (struct timespec){ 0, 0 };
	T(nanosleep(&t, (void *)8));
	out("%s\n", errname(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL)));
	out("%s\n", errname(clock_nanosleep(77, 0, &t, NULL)));
	out("%s\n", errname(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL)));
	out("%s\n", errname(clock_nanosleep(CLOCK_MONOTONIC_COARSE, 0, &t, NULL)));
	out("%s\n", errname(clock_nanosleep(CLOCK_BOOTTIME, 0, &t, NULL)));

	/* Clocks. */
	for (int clock = 0; clock < 13; clock++) {
		/* The alarm clocks are there only on machines that can wake themselves. */
		if (clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM)
			continue;
		struct timespec now, res;
		int got = clock_gettime(clock, &now), raw = syscall(SYS_clock_gettime, clock, &now), r = clock_getres(clock, &res);
		out("clock %d: %s %d resolution %ld\n", clock, got ? "error" : "ok", got == raw, r ? -1L : res.tv_nsec);
	}
	T(clock_gettime(-5000, &t));
	T(syscall(SYS_clock_gettime, CLOCK_REALTIME, (void *)8));
	struct timespec a, b;
	clock_gettime(CLOCK_REALTIME, &a);
	syscall(SYS_clock_gettime, CLOCK_REALTIME, &b);
	CHECK(b.tv_sec - a.tv_sec <= 1 && b.tv_sec >= a.tv_sec);
	CHECK(time(NULL) - a.tv_sec <= 1 && syscall(SYS_time, NULL) - a.tv_sec <= 1);
	struct timeval tv;
	gettimeofday(&tv, NULL);
	CHECK(tv.tv_sec - a.tv_sec <= 1);
	clockid_t cpu;
	out("%s\n", errname(clock_getcpuclockid(getpid(), &cpu)));
	T(clock_gettime(cpu, &t));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	for (volatile int i = 0; i < 3000000; i++)
		;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	CHECK(b.tv_sec > a.tv_sec || b.tv_nsec > a.tv_nsec);
	CHECK(clock() > 0);

	/* setitimer */
	handle(SIGALRM, on_signal, 0);
	handle(SIGVTALRM, on_signal, 0);
	handle(SIGPROF, on_signal, 0);
	struct itimerval it = { { 0, 0 }, { 0, 5000 } }, old;
	T(setitimer(ITIMER_REAL, &it, &old));
	wait_fired(1);
	V(fired);
	V(seen.si_code);
	T(getitimer(ITIMER_REAL, &old));
	V(old.it_value.tv_usec);
	it = (struct itimerval){ { 0, 2000 }, { 0, 2000 } };
	setitimer(ITIMER_REAL, &it, NULL);
	fired = 0;
	wait_fired(5);
	CHECK(fired >= 5);
	getitimer(ITIMER_REAL, &old);
	V(old.it_interval.tv_usec);
	it = (struct itimerval){ 0 };
	T(setitimer(ITIMER_REAL, &it, NULL));
	T(setitimer(99, &it, NULL));
	it.it_value.tv_usec = 1000000;
	T(setitimer(ITIMER_REAL, &it, NULL));
	for (int which = ITIMER_VIRTUAL; which <= ITIMER_PROF; which++) {
		fired = 0;
		it = (struct itimerval){ { 0, 0 }, { 0, 10000 } };
		T(setitimer(which, &it, NULL));
		long end = now_ms() + 5000;
		while (!fired && now_ms() < end)
			for (volatile int i = 0; i < 1000; i++)
				;
		V(fired);
		V(seen.si_signo);
	}
	T(alarm(100));
	T(alarm(0) > 0);
	T(alarm(0));
	CHILD("timers are not inherited", alarm(100); CHILD("below", T(alarm(0))));

	/* POSIX timers. */
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 1234 };
	handle(SIGUSR1, on_signal, 0);
	T(timer_create(CLOCK_MONOTONIC, &event, &timer));
	struct itimerspec its = { { 0, 0 }, { 0, 3000000 } }, its_old;
	fired = 0;
	T(timer_settime(timer, 0, &its, NULL));
	wait_fired(1);
	V(seen.si_code);
	V(seen.si_value.sival_int);
	V(seen.si_overrun);
	T(timer_gettime(timer, &its_old));
	V(its_old.it_value.tv_nsec);
	clock_gettime(CLOCK_MONOTONIC, &its.it_value);
	T(timer_settime(timer, TIMER_ABSTIME, &its, NULL));
	wait_fired(2);
	V(fired);
	/* Overruns while blocked. */
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	its = (struct itimerspec){ { 0, 1000000 }, { 0, 1000000 } };
	fired = 0;
	most_overruns = 0;
	T(timer_settime(timer, 0, &its, NULL));
	sleep_ms(20);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	/* More signals may have come since, with fewer. */
	CHECK(fired >= 1 && most_overruns >= 5);
	CHECK(timer_getoverrun(timer) >= 0);
	T(timer_delete(timer));
	T(timer_delete(timer));
	T(timer_settime((timer_t)77, 0, &its, NULL));
	T(timer_create(77, &event, &timer));
	event.sigev_signo = 100;
	T(timer_create(CLOCK_MONOTONIC, &event, &timer));
	event = (struct sigevent){ .sigev_notify = SIGEV_NONE };
	T(timer_create(CLOCK_REALTIME, &event, &timer));
	its = (struct itimerspec){ { 0, 0 }, { 100, 0 } };
	T(timer_settime(timer, 0, &its, NULL));
	T(timer_gettime(timer, &its_old));
	CHECK(its_old.it_value.tv_sec >= 98);
	its.it_value.tv_nsec = 1000000000;
	T(timer_settime(timer, 0, &its, NULL));
	int count = 0;
	event = (struct sigevent){ .sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread, .sigev_value.sival_ptr = &count };
	T(timer_create(CLOCK_MONOTONIC, &event, &timer));
	its = (struct itimerspec){ { 0, 1000000 }, { 0, 1000000 } };
	T(timer_settime(timer, 0, &its, NULL));
	for (int i = 0; i < 3000 && __atomic_load_n(&count, __ATOMIC_SEQ_CST) < 3; i++)
		sleep_ms(1);
	CHECK(count >= 3);
	timer_delete(timer);
	event = (struct sigevent){ .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	T(timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer));
	its = (struct itimerspec){ { 0, 0 }, { 0, 5000000 } };
	fired = 0;
	T(timer_settime(timer, 0, &its, NULL));
	long end = now_ms() + 5000;
	while (!fired && now_ms() < end)
		;
	V(fired);
	timer_delete(timer);

	/* timerfd */
	T(timerfd_create(CLOCK_THREAD_CPUTIME_ID, 0));
	T(timerfd_create(CLOCK_MONOTONIC, 0x1));
	int fd = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
	uint64_t value;
	T(read(fd, &value, 8));
	its = (struct itimerspec){ { 0, 0 }, { 0, 5000000 } };
	T(timerfd_settime(fd, 0, &its, NULL));
	struct pollfd poller = { fd, POLLIN };
	T(poll(&poller, 1, 0));
	T(poll(&poller, 1, 3000));
	T(read(fd, &value, 4));
	T(read(fd, &value, 8));
	V(value);
	T(read(fd, &value, 8));
	its = (struct itimerspec){ { 0, 1000000 }, { 0, 1000000 } };
	timerfd_settime(fd, 0, &its, NULL);
	sleep_ms(10);
	T(read(fd, &value, 8));
	CHECK(value >= 5);
	T(timerfd_gettime(fd, &its_old));
	V(its_old.it_interval.tv_nsec);
	T(write(fd, &value, 8));
	T(timerfd_settime(fd, 0x10, &its, NULL));
	its.it_value.tv_nsec = -1;
	T(timerfd_settime(fd, 0, &its, NULL));
	T(timerfd_settime(0, 0, &its, NULL));
	its = (struct itimerspec){ { 0, 0 }, { 1, 0 } };
	T(timerfd_settime(fd, TFD_TIMER_ABSTIME, &its, NULL));
	T(poll(&poller, 1, 1000));
	fcntl(fd, F_SETFL, 0);
	its = (struct itimerspec){ { 0, 0 }, { 0, 10000000 } };
	timerfd_settime(fd, 0, &its, NULL);
	T(read(fd, &value, 8));
	V(value);
	/* Setting the clock needs a right. */
	CHILD("settimeofday", setresuid(1234, 1234, 1234); T(settimeofday(&tv, NULL)); T(clock_settime(CLOCK_REALTIME, &a)));
	T(clock_settime(CLOCK_MONOTONIC, &a));
	struct timex tx = { 0 };
	CHECK(adjtimex(&tx) >= 0);
	struct tms { long a, b, c, d; } tms;
	CHECK(syscall(SYS_times, &tms) > 0);
	return 0;
}

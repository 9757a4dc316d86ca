/* A timer of CPU time reaches the thread that uses it, not one that waits: profilers live on that. bevor-test: user=both */
#include "t.h"

static volatile int by_worker, by_main;
static pid_t main_thread;

static void count(int signo, siginfo_t *info, void *context)
{
	if (gettid() == main_thread)
		by_main++;
	else
		by_worker++;
}

static void *work(void *word)
{
	long end = now_ms() + 60000;
	while (by_worker + by_main < 20 && now_ms() < end)
		;
	return NULL;
}

int main(void)
{
	static const struct {
		int which, signo;
	} TIMERS[] = { { ITIMER_PROF, SIGPROF }, { ITIMER_VIRTUAL, SIGVTALRM } };
	main_thread = gettid();
	for (int i = 0; i < 2; i++) {
		struct itimerval often = { { 0, 10000 }, { 0, 10000 } }, never = { 0 };
		pthread_t worker;
		by_worker = by_main = 0;
		handle(TIMERS[i].signo, count, SA_RESTART);
		pthread_create(&worker, NULL, work, NULL);
		MUST(setitimer(TIMERS[i].which, &often, NULL));
		pthread_join(worker, NULL);
		MUST(setitimer(TIMERS[i].which, &never, NULL));
		CHECK(by_worker > by_main);
	}
	/* The same by a timer of timer_create(2). */
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF };
	struct itimerspec often = { { 0, 10000000 }, { 0, 10000000 } };
	pthread_t worker;
	by_worker = by_main = 0;
	MUST(timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer));
	pthread_create(&worker, NULL, work, NULL);
	MUST(timer_settime(timer, 0, &often, NULL));
	pthread_join(worker, NULL);
	MUST(timer_delete(timer));
	CHECK(by_worker > by_main);
	return 0;
}

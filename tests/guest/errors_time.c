/* Errors of the calls about time, timers and sleeping. bevor-test: user=both */
#include "provoke.h"
#include <poll.h>
#include <sys/timerfd.h>
#include <sys/timex.h>

static void clocks(void)
{
	struct timespec ts = { 1, 0 };
	struct timeval tv;
	struct timezone zone;
	E(gettimeofday, "fine", &tv, &zone);
	E(gettimeofday, "bad address", NOWHERE, NULL);
	E(gettimeofday, "bad zone", NULL, NOWHERE);
	E(time, "fine", NULL);
	E(time, "bad address", NOWHERE);
	E(clock_gettime, "fine", CLOCK_MONOTONIC, &ts);
	E(clock_gettime, "no such clock", 77, &ts);
	E(clock_gettime, "no such process", (int)(~0x3ffffffu << 3) | 2, &ts);
	E(clock_gettime, "bad address", CLOCK_MONOTONIC, NOWHERE);
	E(clock_gettime, "not a device", (~0 << 3) | 3, &ts);
	E(clock_getres, "fine", CLOCK_MONOTONIC, &ts);
	E(clock_getres, "no such clock", 77, &ts);
	E(clock_getres, "bad address", CLOCK_MONOTONIC, NOWHERE);
	E(clock_settime, "no such clock", 77, &ts);
	E(clock_settime, "cannot be set", CLOCK_MONOTONIC, &ts);
	E(clock_settime, "bad address", CLOCK_REALTIME, NOWHERE);
	ts = (struct timespec){ 1, 1000000000 };
	E(clock_settime, "too many nanoseconds", CLOCK_REALTIME, &ts);
	E(settimeofday, "bad address", NOWHERE, NULL);
	E(settimeofday, "bad zone", NULL, NOWHERE);
	tv = (struct timeval){ 1, 1000000 };
	E(settimeofday, "too many microseconds", &tv, NULL);
	struct timex timex = { 0 };
	E(adjtimex, "fine", &timex);
	E(adjtimex, "bad address", NOWHERE);
	timex = (struct timex){ 0 };
	E(clock_adjtime, "fine", CLOCK_REALTIME, &timex);
	E(clock_adjtime, "no such clock", 77, &timex);
	E(clock_adjtime, "cannot be adjusted", CLOCK_MONOTONIC, &timex);
	E(clock_adjtime, "bad address", CLOCK_REALTIME, NOWHERE);
	CHILD("as nobody",
	      become_nobody();
	      tv = (struct timeval){ 1, 0 };
	      E(settimeofday, "no right", &tv, NULL);
	      E(settimeofday, "nothing", NULL, NULL);
	      ts = (struct timespec){ 1, 0 };
	      E(clock_settime, "no right", CLOCK_REALTIME, &ts);
	      timex = (struct timex){ .modes = ADJ_STATUS };
	      E(adjtimex, "no right", &timex);
	      timex = (struct timex){ .modes = ADJ_STATUS };
	      E(clock_adjtime, "no right", CLOCK_REALTIME, &timex));
}

static void sleeping(void)
{
	struct timespec brief = { 0, 1000 }, wrong = { 0, 1000000000 }, day = { 86400, 0 }, left;
	E(nanosleep, "fine", &brief, NULL);
	E(nanosleep, "bad address", NOWHERE, NULL);
	E(nanosleep, "too many nanoseconds", &wrong, NULL);
	EINTERRUPTED(nanosleep, "interrupted", &day, &left);
	EINTERRUPTED(nanosleep, "interrupted, bad address", &day, NOWHERE);
	E(clock_nanosleep, "fine", CLOCK_MONOTONIC, 0, &brief, NULL);
	E(clock_nanosleep, "bad address", CLOCK_MONOTONIC, 0, NOWHERE, NULL);
	E(clock_nanosleep, "no such clock", 77, 0, &brief, NULL);
	E(clock_nanosleep, "no sleep by this clock", CLOCK_MONOTONIC_RAW, 0, &brief, NULL);
	EINTERRUPTED(clock_nanosleep, "interrupted", CLOCK_MONOTONIC, 0, &day, &left);
	EINTERRUPTED(pause, "interrupted");
}

static void intervals(void)
{
	struct itimerval value = { 0 }, wrong = { { 0 }, { 0, 1000000 } };
	E(getitimer, "fine", ITIMER_REAL, &value);
	E(getitimer, "no such timer", 7, &value);
	E(getitimer, "bad address", ITIMER_REAL, NOWHERE);
	E(setitimer, "fine", ITIMER_REAL, &value, NULL);
	E(setitimer, "no such timer", 7, &value, NULL);
	E(setitimer, "too many microseconds", ITIMER_REAL, &wrong, NULL);
	E(setitimer, "bad address", ITIMER_REAL, NOWHERE, NULL);
	E(alarm, "fine", 0);
}

static void posix_timers(void)
{
	struct itimerspec value = { 0 }, wrong = { { 0 }, { 0, 1000000000 } };
	struct sigevent event = { .sigev_notify = 99 }, none = { .sigev_notify = SIGEV_NONE };
	int id, other;
	E(timer_create, "fine", CLOCK_MONOTONIC, &none, &id);
	E(timer_create, "no such clock", 77, &none, &other);
	E(timer_create, "strange event", CLOCK_MONOTONIC, &event, &other);
	E(timer_create, "bad address", CLOCK_MONOTONIC, NOWHERE, &other);
	E(timer_create, "no timers of this clock", CLOCK_MONOTONIC_COARSE, &none, &other);
	E(timer_settime, "fine", id, 0, &value, NULL);
	E(timer_settime, "bad address", id, 0, NOWHERE, NULL);
	E(timer_settime, "no value", id, 0, NULL, NULL);
	E(timer_settime, "bad old address", id, 0, &value, NOWHERE);
	E(timer_settime, "too many nanoseconds", id, 0, &wrong, NULL);
	E(timer_settime, "no such timer", 9999, 0, &value, NULL);
	E(timer_gettime, "fine", id, &value);
	E(timer_gettime, "bad address", id, NOWHERE);
	E(timer_gettime, "no such timer", 9999, &value);
	E(timer_getoverrun, "fine", id);
	E(timer_getoverrun, "no such timer", 9999);
	E(timer_delete, "fine", id);
	E(timer_delete, "no such timer", id);
	CHILD("alarm without the right",
	      become_nobody();
	      E(timerfd_create, "wakes the machine", CLOCK_REALTIME_ALARM, 0));
	CHILD("no signals to spare",
	      become_nobody();
	      setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){ 0, 0 });
	      E(timer_create, "limit", CLOCK_MONOTONIC, NULL, &id));
}

static void timerfds(void)
{
	struct itimerspec value = { 0 }, wrong = { { 0 }, { 0, 1000000000 } };
	int fd = E(timerfd_create, "fine", CLOCK_MONOTONIC, 0), pipes[2];
	MUST(pipe(pipes));
	E(timerfd_create, "no such clock", 77, 0);
	E(timerfd_create, "strange flag", CLOCK_MONOTONIC, 1);
	E(timerfd_settime, "fine", fd, 0, &value, NULL);
	E(timerfd_settime, "no descriptor", 999, 0, &value, NULL);
	E(timerfd_settime, "not a timer", pipes[0], 0, &value, NULL);
	E(timerfd_settime, "strange flag", fd, 99, &value, NULL);
	E(timerfd_settime, "too many nanoseconds", fd, 0, &wrong, NULL);
	E(timerfd_settime, "bad address", fd, 0, NOWHERE, NULL);
	E(timerfd_gettime, "fine", fd, &value);
	E(timerfd_gettime, "no descriptor", 999, &value);
	E(timerfd_gettime, "not a timer", pipes[0], &value);
	E(timerfd_gettime, "bad address", fd, NOWHERE);
	CHILD("no descriptor", no_descriptors(); E(timerfd_create, "limit", CLOCK_MONOTONIC, 0));
}

int main(void)
{
	clocks();
	sleeping();
	intervals();
	posix_timers();
	timerfds();
	return 0;
}

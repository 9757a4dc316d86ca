/* Errors of the calls about limits, usage, priorities and scheduling. bevor-test: user=both */
#include "provoke.h"
#include <linux/ioprio.h>
#include <sys/times.h>

struct attr {
	unsigned size, policy;
	unsigned long flags;
	int nice;
	unsigned priority;
	unsigned long runtime, deadline, period;
	unsigned util_min, util_max;
};

static pid_t other;

static void limits(void)
{
	struct rlimit limit, wrong = { 5, 4 };
	struct rusage usage;
	struct tms tms;
	E(getrlimit, "fine", RLIMIT_CORE, &limit);
	E(setrlimit, "unchanged", RLIMIT_CORE, &limit);
	E(prlimit64, "fine", 0, RLIMIT_CORE, NULL, &limit);
	E(getrlimit, "bad address", RLIMIT_CORE, NOWHERE);
	E(setrlimit, "bad address", RLIMIT_CORE, NOWHERE);
	E(prlimit64, "bad address", 0, RLIMIT_CORE, NOWHERE, NULL);
	E(getrlimit, "no such limit", 99, &limit);
	E(setrlimit, "no such limit", 99, &limit);
	E(prlimit64, "no such limit", 0, 99, NULL, &limit);
	E(setrlimit, "soft above hard", RLIMIT_CORE, &wrong);
	E(prlimit64, "soft above hard", 0, RLIMIT_CORE, &wrong, NULL);
	E(prlimit64, "no such process", INT_MAX, RLIMIT_CORE, NULL, &limit);
	E(getrusage, "fine", RUSAGE_SELF, &usage);
	E(getrusage, "of whom?", 5, &usage);
	E(getrusage, "bad address", RUSAGE_SELF, NOWHERE);
	E(times, "fine", &tms);
	E(times, "no buffer", NULL);
	E(times, "bad address", NOWHERE);
	CHILD("as nobody",
	      become_nobody();
	      limit = (struct rlimit){ 10, 10 };
	      E(setrlimit, "lower", RLIMIT_CPU, &limit);
	      limit = (struct rlimit){ 10, 11 };
	      E(setrlimit, "raise", RLIMIT_CPU, &limit);
	      E(prlimit64, "raise", 0, RLIMIT_CPU, &limit, NULL);
	      if (other)
		      E(prlimit64, "of another user", other, RLIMIT_CPU, NULL, &limit));
}

static void priorities(void)
{
	E(getpriority, "fine", PRIO_PROCESS, 0);
	E(getpriority, "of whom?", 5, 0);
	E(getpriority, "no such process", PRIO_PROCESS, INT_MAX);
	E(setpriority, "fine", PRIO_PROCESS, 0, 0);
	E(setpriority, "of whom?", 5, 0, 0);
	E(setpriority, "no such process", PRIO_PROCESS, INT_MAX, 0);
	E(ioprio_get, "fine", IOPRIO_WHO_PROCESS, 0);
	E(ioprio_get, "of whom?", 7, 0);
	E(ioprio_get, "no such process", IOPRIO_WHO_PROCESS, INT_MAX);
	E(ioprio_set, "fine", IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 4));
	E(ioprio_set, "of whom?", 7, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 4));
	E(ioprio_set, "strange class", IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(6, 0));
	E(ioprio_set, "no such process", IOPRIO_WHO_PROCESS, INT_MAX, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 4));
	CHILD("as nobody",
	      become_nobody();
	      E(setpriority, "raise", PRIO_PROCESS, 0, -1);
	      E(ioprio_set, "real-time", IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_RT, 4));
	      if (other) {
		      E(setpriority, "of another user", PRIO_PROCESS, other, 0);
		      E(ioprio_set, "of another user", IOPRIO_WHO_PROCESS, other,
			IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 4));
	      });
}

static void scheduling(void)
{
	struct sched_param param = { 0 }, high = { 5 }, wrong = { 200 };
	struct attr attr;
	struct timespec interval;
	unsigned char mask[128] = { 0 };
	E(sched_setparam, "fine", 0, &param);
	E(sched_setparam, "wrong priority", 0, &wrong);
	E(sched_setparam, "negative pid", -1, &param);
	E(sched_setparam, "no parameter", 0, NULL);
	E(sched_setparam, "bad address", 0, NOWHERE);
	E(sched_setparam, "no such process", INT_MAX, &param);
	E(sched_getparam, "fine", 0, &param);
	E(sched_getparam, "no buffer", 0, NULL);
	E(sched_getparam, "bad address", 0, NOWHERE);
	E(sched_getparam, "negative pid", -1, &param);
	E(sched_getparam, "no such process", INT_MAX, &param);
	E(sched_setscheduler, "fine", 0, SCHED_OTHER, &param);
	E(sched_setscheduler, "wrong policy", 0, 77, &param);
	E(sched_setscheduler, "no such process", INT_MAX, SCHED_OTHER, &param);
	E(sched_getscheduler, "fine", 0);
	E(sched_getscheduler, "negative pid", -1);
	E(sched_getscheduler, "no such process", INT_MAX);
	E(sched_get_priority_max, "fine", SCHED_FIFO);
	E(sched_get_priority_max, "wrong policy", 77);
	E(sched_get_priority_min, "fine", SCHED_FIFO);
	E(sched_get_priority_min, "wrong policy", 77);
	E(sched_rr_get_interval, "fine", 0, &interval);
	E(sched_rr_get_interval, "bad address", 0, NOWHERE);
	E(sched_rr_get_interval, "negative pid", -1, &interval);
	E(sched_rr_get_interval, "no such process", INT_MAX, &interval);
	E(sched_getaffinity, "fine", 0, sizeof mask, mask);
	E(sched_getaffinity, "too small", 0, 1, mask);
	E(sched_getaffinity, "bad address", 0, sizeof mask, NOWHERE);
	E(sched_getaffinity, "no such process", INT_MAX, sizeof mask, mask);
	E(sched_setaffinity, "unchanged", 0, sizeof mask, mask);
	E(sched_setaffinity, "bad address", 0, sizeof mask, NOWHERE);
	E(sched_setaffinity, "no such process", INT_MAX, sizeof mask, mask);
	memset(mask, 0, sizeof mask);
	E(sched_setaffinity, "no processor", 0, sizeof mask, mask);
	E(sched_getattr, "fine", 0, &attr, sizeof attr, 0);
	E(sched_getattr, "too small", 0, &attr, 4, 0);
	E(sched_getattr, "negative pid", -1, &attr, sizeof attr, 0);
	E(sched_getattr, "flags", 0, &attr, sizeof attr, 1);
	E(sched_getattr, "no buffer", 0, NULL, sizeof attr, 0);
	E(sched_getattr, "bad address", 0, NOWHERE, sizeof attr, 0);
	E(sched_getattr, "no such process", INT_MAX, &attr, sizeof attr, 0);
	attr = (struct attr){ .size = sizeof attr };
	E(sched_setattr, "fine", 0, &attr, 0);
	E(sched_setattr, "flags", 0, &attr, 1);
	E(sched_setattr, "no such process", INT_MAX, &attr, 0);
	attr.size = 3;
	E(sched_setattr, "too small", 0, &attr, 0);
	attr.size = 1 << 20;
	E(sched_setattr, "too large", 0, &attr, 0);
	attr = (struct attr){ .size = sizeof attr, .policy = 77 };
	E(sched_setattr, "wrong policy", 0, &attr, 0);
	attr = (struct attr){ .size = sizeof attr, .policy = SCHED_FIFO, .priority = 5 };
	CHILD("as nobody",
	      become_nobody();
	      setrlimit(RLIMIT_RTPRIO, &(struct rlimit){ 0, 0 });
	      E(sched_setscheduler, "real-time", 0, SCHED_FIFO, &high);
	      E(sched_setattr, "real-time", 0, &attr, 0);
	      if (other) {
		      memset(mask, 255, sizeof mask);
		      param.sched_priority = 0;
		      E(sched_setaffinity, "of another user", other, sizeof mask, mask);
		      E(sched_setparam, "of another user", other, &param);
		      E(sched_getparam, "of another user", other, &param);
		      E(sched_getscheduler, "of another user", other);
	      });
}

int main(void)
{
	/* A process of another user, if there can be one. */
	int hold[2];
	MUST(pipe(hold));
	if (getuid() == 0) {
		other = fork();
		if (other == 0) {
			char byte;
			close(hold[1]);
			read(hold[0], &byte, 1);
			_exit(0);
		}
	}
	limits();
	priorities();
	scheduling();
	close(hold[1]);
	if (other)
		reap("other", other);
	return 0;
}

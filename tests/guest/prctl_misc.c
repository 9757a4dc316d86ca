/* prctl, uname, sysinfo, getrandom, personality, sched, priorities, getcpu. bevor-test: user=both */
#include "t.h"
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <linux/membarrier.h>
#include <asm/prctl.h>

int main(void)
{
	char name[32] = "";
	T(prctl(PR_SET_NAME, "a name that is longer than fits"));
	T(prctl(PR_GET_NAME, name));
	out("%s\n", name);
	T(prctl(PR_SET_NAME, 8));
	T(prctl(PR_GET_DUMPABLE) == 2 ? 1 : prctl(PR_GET_DUMPABLE));
	T(prctl(PR_SET_DUMPABLE, 0));
	T(prctl(PR_GET_DUMPABLE));
	T(prctl(PR_SET_DUMPABLE, 2));
	T(prctl(PR_SET_DUMPABLE, 1));
	T(prctl(PR_SET_PDEATHSIG, 100));
	T(prctl(PR_SET_TIMERSLACK, 12345));
	T(prctl(PR_GET_TIMERSLACK));
	int value = 0;
	T(prctl(PR_SET_CHILD_SUBREAPER, 1));
	T(prctl(PR_GET_CHILD_SUBREAPER, &value));
	V(value);
	T(prctl(99999, 0));
	T(prctl(PR_GET_SECCOMP));
	T(prctl(PR_GET_TID_ADDRESS, 8));
	T(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	T(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));

	struct utsname u;
	T(uname(&u));
	out("%s %s\n", u.sysname, u.machine);
	CHECK(strlen(u.release) > 0 && u.release[0] >= '4');
	T(syscall(SYS_uname, (void *)8));
	struct sysinfo info;
	T(sysinfo(&info));
	CHECK(info.totalram > 1000 && info.freeram > 0 && info.procs > 0 && info.mem_unit > 0);
	CHECK(sysconf(_SC_NPROCESSORS_ONLN) > 0);

	unsigned char random[300] = { 0 };
	T(getrandom(random, 256, 0));
	T(getrandom(random, 10, GRND_NONBLOCK | GRND_RANDOM));
	T(getrandom(random, 10, 0x80));
	T(getrandom((void *)8, 10, 0));
	T(getrandom(NULL, 0, 0));
	int zeros = 0;
	for (int i = 0; i < 256; i++)
		zeros += random[i] == 0;
	CHECK(zeros < 30);

	T(personality(0xffffffff));
	T(personality(ADDR_NO_RANDOMIZE));
	T(personality(0xffffffff));
	personality(0);

	/* Scheduling. */
	cpu_set_t set;
	CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
	int cpus = CPU_COUNT(&set);
	CHECK(cpus == sysconf(_SC_NPROCESSORS_ONLN));
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	T(sched_setaffinity(0, sizeof set, &set));
	T(sched_getaffinity(0, sizeof set, &set));
	V(CPU_COUNT(&set));
	CHILD("inherited", CPU_ZERO(&set); sched_getaffinity(0, sizeof set, &set); V(CPU_COUNT(&set)));
	CPU_ZERO(&set);
	T(sched_setaffinity(0, sizeof set, &set));
	CPU_SET(1023, &set);
	T(sched_setaffinity(0, sizeof set, &set));
	T(syscall(SYS_sched_getaffinity, 0, 1, &set));
	T(sched_getaffinity(999999, sizeof set, &set));
	unsigned cpu = 99, node = 99;
	T(syscall(SYS_getcpu, &cpu, &node, NULL));
	V(cpu);
	V(node);
	struct sched_param param = { 0 };
	T(sched_getscheduler(0));
	T(sched_getparam(0, &param));
	V(param.sched_priority);
	T(sched_setscheduler(0, SCHED_BATCH, &param));
	T(sched_getscheduler(0));
	T(sched_setscheduler(0, SCHED_IDLE, &param));
	T(sched_setscheduler(0, SCHED_OTHER, &param));
	param.sched_priority = 5;
	T(sched_setscheduler(0, SCHED_OTHER, &param));
	T(sched_setscheduler(0, 99, &param));
	T(sched_get_priority_max(SCHED_FIFO));
	T(sched_get_priority_min(SCHED_FIFO));
	T(sched_get_priority_max(SCHED_OTHER));
	T(sched_get_priority_max(99));
	struct timespec t;
	T(sched_rr_get_interval(0, &t));
	T(sched_yield());
	T(getpriority(PRIO_PROCESS, 0));
	T(setpriority(PRIO_PROCESS, 0, 5));
	T(getpriority(PRIO_PROCESS, 0));
	T(nice(3));
	CHILD("niceness is inherited", T(getpriority(PRIO_PROCESS, 0)));
	T(setpriority(PRIO_PROCESS, 999999, 5));
	T(setpriority(9, 0, 5));
	T(setpriority(PRIO_PROCESS, 0, 100));
	T(getpriority(PRIO_PROCESS, 0));
	T(syscall(SYS_ioprio_get, 1, 0) >= 0 ? 0 : -1);

	/* arch_prctl */
	unsigned long fs, gs;
	T(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs));
	CHECK(fs == (unsigned long)pthread_self());
	T(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
	V(gs);
	static long words[4] = { 11, 22, 33, 44 };
	CHILD("gs base", {
		T(syscall(SYS_arch_prctl, ARCH_SET_GS, words));
		long got;
		__asm__ volatile("movq %%gs:16, %0" : "=r"(got));
		V(got);
		T(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
		CHECK(gs == (unsigned long)words);
		for (int i = 0; i < 100; i++)
			getppid(), sched_yield();
		__asm__ volatile("movq %%gs:8, %0" : "=r"(got));
		V(got);
	});
	T(syscall(SYS_arch_prctl, ARCH_SET_GS, 1UL << 63));
	T(syscall(SYS_arch_prctl, 0x9999, 0));
	T(syscall(SYS_modify_ldt, 0, words, 16) >= 0 || errno == ENOSYS ? 0 : -1);

	/* membarrier */
	long supported = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	if (supported > 0 && supported & MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
		T(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
		T(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
		T(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	}
	T(syscall(SYS_membarrier, 0x4000, 0, 0));
	/* Names. */
	gethostname(name, sizeof name);
	CHECK(!strcmp(name, u.nodename));
	T(gethostname(name, 1));
	if (getuid()) {
		T(sethostname("x", 1));
		T(setdomainname("x", 1));
	}
	/* Calls that do not exist. */
	T(syscall(9999));
	T(syscall(-1));
	T(syscall(SYS_nfsservctl, 0, 0, 0));
	T(syscall(SYS_uselib, "x"));
	T(syscall(SYS_create_module, 0));
	return 0;
}

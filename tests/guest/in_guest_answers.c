/* Calls that are asked so often that whoever can answers them without the kernel, while what they tell
 * changes: names, ids, processors. Answers that are written go to bad addresses, too. bevor-test: user=both */
#include "t.h"
#include <sys/personality.h>
#include <sys/utsname.h>

/* Says nothing while it holds. */
#define MUST(what)                                                             \
	do {                                                                   \
		if (!(what))                                                   \
			out("no: line %d: %s\n", __LINE__, #what);             \
	} while (0)

enum { MANY = 40 };
static char stack[65536] __attribute__((aligned(16)));
static volatile int asking, stop;
static char page_of[2 * 4096] __attribute__((aligned(4096)));

/* All answers of MANY calls in a row must agree. */
static void names(const char *who)
{
	struct utsname first, next;
	MUST(uname(&first) == 0);
	for (int i = 0; i < MANY; i++) {
		memset(&next, 0x55, sizeof next);
		MUST(uname(&next) == 0);
		MUST(memcmp(first.nodename, next.nodename, sizeof next.nodename) == 0);
		MUST(memcmp(first.domainname, next.domainname, sizeof next.domainname) == 0);
	}
	out("%s: %s %s %s %s\n", who, next.sysname, next.nodename, next.domainname, next.machine);
}

static int in_new_names(void *arg)
{
	names("as the parent");
	T(sethostname("of-the-child", 12));
	names("the child's");
	return 0;
}

static void *ask_names(void *arg)
{
	struct utsname now;
	int old_after_stop = 0;
	do {
		int stopped = stop;
		asking++;
		uname(&now);
		old_after_stop += stopped && strcmp(now.nodename, "new");
	} while (!stop);
	uname(&now);
	old_after_stop += strcmp(now.nodename, "new") != 0;
	return (void *)(long)old_after_stop;
}

static void all_names(void)
{
	T(unshare(geteuid() ? CLONE_NEWUSER | CLONE_NEWUTS : CLONE_NEWUTS));
	T(setdomainname("domain", 6));
	T(sethostname("one", 3));
	names("first");
	T(sethostname("a-longer-name", 13));
	names("second");
	pid_t child = fork();
	if (child == 0) {
		names("forked");
		T(sethostname("by-the-child", 12));
		_exit(0);
	}
	reap("forked", child);
	names("same namespace");
	child = clone(in_new_names, stack + sizeof stack, CLONE_NEWUTS | SIGCHLD, NULL);
	reap("new namespace", child);
	names("the parent's");
	int fd = open("/proc/sys/kernel/hostname", O_WRONLY);
	if (fd >= 0)
		MUST(write(fd, "by-file\n", 8) == 8);
	else
		sethostname("by-file", 7);
	names("by file");

	/* Threads that ask all the time are told the new name from the moment it is set. */
	for (int round = 0; round < 20; round++) {
		pthread_t threads[2];
		sethostname("old", 3);
		asking = stop = 0;
		for (int i = 0; i < 2; i++)
			pthread_create(&threads[i], NULL, ask_names, NULL);
		while (asking < 200)
			sched_yield();
		sethostname("new", 3);
		stop = 1;
		for (int i = 0; i < 2; i++) {
			void *old;
			pthread_join(threads[i], &old);
			MUST(old == NULL);
		}
	}
	personality(PER_LINUX32 | UNAME26);
	struct utsname old;
	for (int i = 0; i < MANY; i++)
		MUST(uname(&old) == 0 && !strncmp(old.release, "2.6.", 4));
	out("%s\n", old.machine);
}

static void ids(void)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;
	for (int id = 1000; id < 1003; id++) {
		if (geteuid() == 0)
			MUST(setresgid(id, id + 1, id + 2) == 0 && setresuid(id, 0, id + 2) == 0);
		for (int i = 0; i < MANY; i++) {
			MUST(getresuid(&r, &e, &s) == 0 && getresgid(&rg, &eg, &sg) == 0);
			MUST(r == getuid() && e == geteuid() && rg == getgid() && eg == getegid());
		}
		out("%d %d %d %d %d %d\n", r, e, s, rg, eg, sg);
	}
	for (int i = 0; i < MANY; i++)
		MUST(getpgid(0) == getpgrp() && getpgid(getpid()) == getpgrp() && getsid(0) == getsid(getpid()));
}

static void cpus(void)
{
	cpu_set_t all, one;
	unsigned cpu, node, from_library;
	MUST(sched_getaffinity(0, sizeof all, &all) == 0);
	for (int i = 0; i < MANY; i++) {
		MUST(syscall(SYS_getcpu, &cpu, &node, NULL) == 0);
		MUST(CPU_ISSET(cpu, &all));
		MUST(getcpu(&from_library, &node) == 0 && CPU_ISSET(from_library, &all));
		MUST(sched_getcpu() >= 0 && CPU_ISSET(sched_getcpu(), &all));
	}
	for (int wanted = 0; wanted < CPU_SETSIZE; wanted++) {
		if (!CPU_ISSET(wanted, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(wanted, &one);
		MUST(sched_setaffinity(0, sizeof one, &one) == 0);
		for (int i = 0; i < MANY; i++) {
			MUST(syscall(SYS_getcpu, &cpu, NULL, NULL) == 0 && (int)cpu == wanted);
			MUST(sched_getcpu() == wanted);
		}
	}
	MUST(sched_setaffinity(0, sizeof all, &all) == 0);
	for (int i = 0; i < MANY; i++)
		MUST(syscall(SYS_getcpu, NULL, NULL, NULL) == 0 && sched_yield() == 0);
}

/* One site for all calls, so that it is known by the time a call fails. */
static void bad_addresses(void)
{
	uid_t id;
	unsigned cpu;
	char *page = page_of;
	for (int i = 0; i < MANY; i++)
		MUST(syscall(SYS_uname, page) == 0);
	mprotect(page + 4096, 4096, PROT_READ);
	T(syscall(SYS_uname, page + 4000));
	T(syscall(SYS_uname, page + 4096));
	T(syscall(SYS_uname, NULL));
	T(syscall(SYS_uname, 0x7fffffffe000));
	T(syscall(SYS_uname, 0x800000000000));
	T(syscall(SYS_uname, 0xffffffff80000000));
	T(syscall(SYS_uname, -1L));
	T(syscall(SYS_getcpu, 1, NULL, NULL));
	T(syscall(SYS_getcpu, &cpu, page + 4096, NULL));
	T(syscall(SYS_getcpu, -4L, NULL, NULL));
	T(syscall(SYS_getresuid, &id, &id, NULL));
	T(syscall(SYS_getresgid, &id, page + 4096, &id));
	T(syscall(SYS_getresgid, 1L << 63, &id, &id));
	mprotect(page + 4096, 4096, PROT_READ | PROT_WRITE);

	/* Pages that are not there yet, and pages shared with a child until they are written. */
	struct utsname *fresh = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 200; i++) {
		struct utsname *at = (struct utsname *)((char *)fresh + i * 4096 + 3900);
		MUST(syscall(SYS_uname, at) == 0 && !strcmp(at->sysname, "Linux"));
	}
	CHILD("copied", {
		for (int i = 0; i < 200; i++) {
			struct utsname *at = (struct utsname *)((char *)fresh + i * 4096 + 3900);
			at->sysname[0] = 0;
			MUST(syscall(SYS_uname, at) == 0 && !strcmp(at->sysname, "Linux"));
			memset(at, 'x', 1);
		}
	});
	for (int i = 0; i < 200; i++)
		MUST(((char *)fresh)[i * 4096 + 3900] == 'L');
}

int main(void)
{
	cpus();
	bad_addresses();
	CHILD("names", all_names(););
	CHILD("ids", ids(););
	return 0;
}

/* Each flag of the calls about processes, signals and waiting. bevor-test: user=both */
#include "provoke.h"
#include <linux/futex.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif
#ifndef __WNOTHREAD
#define __WNOTHREAD 0x20000000
#define __WALL 0x40000000
#define __WCLONE 0x80000000
#endif

struct flag {
	const char *name;
	unsigned long value;
};
#define F(name) { #name, name }

struct clone_args_v2 {
	unsigned long flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

/* Flags a process without privileges may give alone. */
static const struct flag CLONES[] = {
	F(CLONE_FS),	     F(CLONE_FILES),	  F(CLONE_PARENT_SETTID), F(CLONE_CHILD_SETTID), F(CLONE_CHILD_CLEARTID),
	F(CLONE_SYSVSEM),    F(CLONE_PTRACE),	  F(CLONE_UNTRACED),	  F(CLONE_IO),		 F(CLONE_NEWUSER),
	{ "CLONE_DETACHED", 0x400000 },
};

/* Those that make a namespace, in a user namespace of one's own. */
static const struct flag SPACES[] = {
	F(CLONE_NEWNS), F(CLONE_NEWTIME), F(CLONE_NEWCGROUP), F(CLONE_NEWUTS), F(CLONE_NEWIPC), F(CLONE_NEWPID), F(CLONE_NEWNET),
};

static void child_of(const char *call, const char *name, long pid)
{
	if (pid == 0)
		_exit(7);
	if (pid == -1) {
		out("%s %s: %s\n", call, name, errname(errno));
		return;
	}
	int status;
	MUST(waitpid(pid, &status, __WALL));
	out("%s %s: status %#x\n", call, name, status);
}

static int ends(void *word)
{
	_exit(7);
}

static void clones(void)
{
	static int tid;
	for (size_t i = 0; i < sizeof CLONES / sizeof *CLONES; i++) {
		struct clone_args_v2 args = { .flags = CLONES[i].value, .exit_signal = SIGCHLD, .child_tid = (unsigned long)&tid,
					      .parent_tid = (unsigned long)&tid };
		child_of("clone", CLONES[i].name, syscall(SYS_clone, CLONES[i].value | SIGCHLD, NULL, &tid, &tid, 0));
		child_of("clone3", CLONES[i].name, syscall(SYS_clone3, &args, sizeof args));
	}
	for (size_t i = 0; i < sizeof SPACES / sizeof *SPACES; i++) {
		unsigned long flags = SPACES[i].value | CLONE_NEWUSER;
		struct clone_args_v2 args = { .flags = flags, .exit_signal = SIGCHLD };
		/* There it would be part of the signal. */
		if (SPACES[i].value != CLONE_NEWTIME)
			child_of("clone", SPACES[i].name, syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, 0));
		child_of("clone3", SPACES[i].name, syscall(SYS_clone3, &args, sizeof args));
	}
	/* The child may end with another signal, or none. */
	static const int SIGNALS[] = { 0, SIGUSR1 };
	signal(SIGUSR1, SIG_IGN);
	for (size_t i = 0; i < 2; i++) {
		struct clone_args_v2 args = { .exit_signal = SIGNALS[i] };
		child_of("clone", "signal", syscall(SYS_clone, SIGNALS[i], NULL, NULL, NULL, 0));
		child_of("clone3", "signal", syscall(SYS_clone3, &args, sizeof args));
	}
	signal(SIGUSR1, SIG_DFL);
	int pidfd = -1;
	struct clone_args_v2 args = { .flags = CLONE_PIDFD, .exit_signal = SIGCHLD, .pidfd = (unsigned long)&pidfd };
	child_of("clone", "CLONE_PIDFD", syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, &pidfd, NULL, 0));
	out("pidfd %d\n", pidfd >= 0);
	child_of("clone3", "CLONE_PIDFD", syscall(SYS_clone3, &args, sizeof args));
	/* Handlers of the parent are none of the child's. */
	struct sigaction old;
	handle(SIGUSR2, errors_ignore, 0);
	struct clone_args_v2 clear = { .flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &clear, sizeof clear);
	if (pid == 0) {
		MUST(sigaction(SIGUSR2, NULL, &old));
		_exit(old.sa_handler == SIG_DFL);
	}
	child_of("clone3", "CLONE_CLEAR_SIGHAND", pid);
	/* A child that shares memory gets its time when it executes something. */
	static char stack[65536] __attribute__((aligned(16)));
	pid = clone(ends, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	child_of("clone", "CLONE_VM|CLONE_VFORK", pid);
	pid = vfork();
	if (pid == 0)
		_exit(7);
	child_of("vfork", "", pid);
}

static pid_t sleeper(void)
{
	pid_t pid = MUST(fork());
	if (pid == 0) {
		pause();
		_exit(1);
	}
	return pid;
}

static void wait4_of(const char *what, pid_t pid, int options)
{
	int status = 0;
	long got = syscall(SYS_wait4, pid, &status, options, NULL);
	out("wait4 %s: %s, status %#x\n", what, got == -1 ? errname(errno) : got == 0 ? "nothing" : "a child", status);
}

static void waitid_of(const char *what, int kind, int id, int options)
{
	siginfo_t info = { 0 };
	long got = syscall(SYS_waitid, kind, id, &info, options, NULL);
	out("waitid %s: %s, code %d, status %d\n", what, got == -1 ? errname(errno) : "ok", info.si_code, info.si_status);
}

static void waits(void)
{
	pid_t pid = sleeper();
	wait4_of("WNOHANG", pid, WNOHANG);
	MUST(kill(pid, SIGSTOP));
	waitid_of("WSTOPPED|WNOWAIT", P_PID, pid, WSTOPPED | WNOWAIT);
	waitid_of("WSTOPPED", P_PID, pid, WSTOPPED);
	MUST(kill(pid, SIGCONT));
	waitid_of("WCONTINUED", P_PID, pid, WCONTINUED);
	MUST(kill(pid, SIGSTOP));
	wait4_of("WUNTRACED", pid, WUNTRACED);
	MUST(kill(pid, SIGCONT));
	wait4_of("WCONTINUED", pid, WCONTINUED);
	MUST(kill(pid, SIGKILL));
	waitid_of("WEXITED|WNOWAIT", P_PID, pid, WEXITED | WNOWAIT);
	waitid_of("WEXITED, any", P_ALL, 0, WEXITED);
	/* Another signal than SIGCHLD makes a clone child. */
	pid = MUST(syscall(SYS_clone, 0, NULL, NULL, NULL, 0));
	if (pid == 0)
		_exit(3);
	waitid_of("WEXITED of a clone child", P_PID, pid, WEXITED);
	waitid_of("__WCLONE|WNOWAIT", P_PID, pid, WEXITED | __WCLONE | WNOWAIT);
	waitid_of("__WALL|WNOWAIT", P_PID, pid, WEXITED | __WALL | WNOWAIT);
	waitid_of("__WNOTHREAD|__WALL|WNOWAIT", P_PID, pid, WEXITED | __WALL | __WNOTHREAD | WNOWAIT);
	wait4_of("no flag", pid, 0);
	wait4_of("__WCLONE", pid, __WCLONE);
	for (int i = 0; i < 2; i++) {
		pid = MUST(syscall(SYS_clone, 0, NULL, NULL, NULL, 0));
		if (pid == 0)
			_exit(3);
		wait4_of(i ? "__WALL" : "__WNOTHREAD", pid, i ? __WALL : (int)(__WNOTHREAD | __WCLONE));
	}
	pid = sleeper();
	MUST(setpgid(pid, pid));
	MUST(kill(pid, SIGKILL));
	waitid_of("P_PGID", P_PGID, pid, WEXITED);
	pid = sleeper();
	int pidfd = MUST(syscall(SYS_pidfd_open, pid, 0));
	waitid_of("P_PIDFD", P_PIDFD, pidfd, WEXITED | WNOHANG);
	MUST(kill(pid, SIGKILL));
	waitid_of("P_PIDFD", P_PIDFD, pidfd, WEXITED);
	close(pidfd);
}

static void actions(void)
{
	static const struct flag FLAGS[] = {
		F(SA_NOCLDSTOP), F(SA_NOCLDWAIT), F(SA_NODEFER), F(SA_ONSTACK), F(SA_RESETHAND), F(SA_RESTART), F(SA_SIGINFO),
		{ "SA_EXPOSE_TAGBITS", 0x800 }, { "SA_UNSUPPORTED", 0x400 },
	};
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		unsigned long mask;
	} old, act = { 0 };
	MUST(syscall(SYS_rt_sigaction, SIGUSR2, NULL, &old, 8));
	void *restorer = old.restorer, *handler = old.handler;
	for (size_t i = 0; i < sizeof FLAGS / sizeof *FLAGS; i++) {
		act.handler = handler;
		act.flags = FLAGS[i].value | 0x4000000;
		act.restorer = restorer;
		MUST(syscall(SYS_rt_sigaction, SIGUSR2, &act, NULL, 8));
		MUST(syscall(SYS_rt_sigaction, SIGUSR2, NULL, &old, 8));
		out("%s: %#lx\n", FLAGS[i].name, old.flags);
	}
	act.handler = SIG_IGN;
	E(rt_sigaction, "SIG_IGN", SIGUSR2, &act, NULL, 8);
	act.handler = SIG_DFL;
	E(rt_sigaction, "SIG_DFL", SIGUSR2, &act, NULL, 8);
	static const int HOWS[] = { SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK };
	unsigned long set = 1UL << (SIGUSR1 - 1), mask;
	for (size_t i = 0; i < 3; i++) {
		E(rt_sigprocmask, "how", HOWS[i], &set, NULL, 8);
		MUST(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8));
		out("mask %#lx\n", mask);
	}
	static char stack[32768];
	stack_t alternate = { stack, (int)(1U << 31), sizeof stack }, was;
	E(sigaltstack, "SS_AUTODISARM", &alternate, NULL);
	E(sigaltstack, "read", NULL, &was);
	out("flags %#x\n", was.ss_flags);
	alternate.ss_flags = SS_ONSTACK;
	E(sigaltstack, "SS_ONSTACK", &alternate, NULL);
	alternate.ss_flags = SS_DISABLE;
	E(sigaltstack, "SS_DISABLE", &alternate, NULL);
}

/* Uses the time of the process until told to stop. */
static void *busy(void *stop)
{
	while (!*(volatile bool *)stop)
		;
	return NULL;
}

static void clocks(void)
{
	bool stop = false;
	pthread_t thread;
	pthread_create(&thread, NULL, busy, &stop);
	struct timespec some = { 0, 20000000 }, before, after;
	MUST(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before));
	E(clock_nanosleep, "time of the process", CLOCK_PROCESS_CPUTIME_ID, 0, &some, NULL);
	MUST(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after));
	long passed = (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
	CHECK(passed >= some.tv_nsec);
	interrupt_soon();
	some.tv_sec = 60;
	struct timespec left;
	E(clock_nanosleep, "interrupted", CLOCK_PROCESS_CPUTIME_ID, 0, &some, &left);
	CHECK(left.tv_sec >= 50);
	interrupt_no_more();
	stop = true;
	pthread_join(thread, NULL);
	static const struct flag CLOCKS[] = {
		F(CLOCK_REALTIME),	   F(CLOCK_MONOTONIC),	  F(CLOCK_PROCESS_CPUTIME_ID), F(CLOCK_THREAD_CPUTIME_ID),
		F(CLOCK_MONOTONIC_RAW),	   F(CLOCK_REALTIME_COARSE), F(CLOCK_MONOTONIC_COARSE), F(CLOCK_BOOTTIME),
		F(CLOCK_TAI),		   { "CLOCK_REALTIME_ALARM", 8 }, { "CLOCK_BOOTTIME_ALARM", 9 },
	};
	for (size_t i = 0; i < sizeof CLOCKS / sizeof *CLOCKS; i++) {
		struct timespec time, instant = { 0, 1 };
		long got = syscall(SYS_clock_gettime, CLOCKS[i].value, &time);
		/* Only what can wake the machine may be missing. */
		bool alarm = CLOCKS[i].value == 8 || CLOCKS[i].value == 9;
		out("%s: %s\n", CLOCKS[i].name, alarm && got == -1 && errno == EINVAL ? "no such device" : errname(got ? errno : 0));
		if (alarm) {
			/* Which needs a capability, but no device. */
			out("  timer: %s\n", errname(syscall(SYS_timerfd_create, CLOCKS[i].value, 0) < 0 ? errno : 0));
			continue;
		}
		if (CLOCKS[i].value != CLOCK_PROCESS_CPUTIME_ID) {
			got = syscall(SYS_clock_nanosleep, CLOCKS[i].value, 0, &instant, NULL);
			out("  sleeps: %s\n", errname(got ? errno : 0));
		}
		got = syscall(SYS_clock_nanosleep, CLOCKS[i].value, TIMER_ABSTIME, &instant, NULL);
		out("  sleeps until: %s\n", errname(got ? errno : 0));
		got = syscall(SYS_timerfd_create, CLOCKS[i].value, TFD_CLOEXEC | TFD_NONBLOCK);
		out("  timer: %s\n", errname(got < 0 ? errno : 0));
		if (got >= 0) {
			struct itimerspec soon = { { 0, 0 }, { 1, 0 } };
			out("  at: %s\n", errname(syscall(SYS_timerfd_settime, got, TFD_TIMER_ABSTIME, &soon, NULL) ? errno : 0));
			if (CLOCKS[i].value == CLOCK_REALTIME)
				E(timerfd_settime, "TFD_TIMER_CANCEL_ON_SET", (int)got, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
				  &soon, NULL);
			close(got);
		}
	}
}

static unsigned word, other_word;

static long fut(const char *name, int op, unsigned *at, unsigned long value, void *timeout, unsigned *second, unsigned third)
{
	long got = syscall(SYS_futex, at, op, value, timeout, second, third);
	out("%s: %s\n", name, got == -1 ? errname(errno) : "ok");
	return got;
}

static void *requeued(void *result)
{
	*(long *)result = syscall(SYS_futex, &word, FUTEX_WAIT_REQUEUE_PI, 0, NULL, &other_word, 0);
	if (*(long *)result == 0)
		syscall(SYS_futex, &other_word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
	else
		*(long *)result = -errno;
	return NULL;
}

static void futexes(void)
{
	struct timespec soon = { 0, 1000 }, past = { 1, 0 };
	word = other_word = 0;
	fut("WAIT", FUTEX_WAIT, &word, 0, &soon, NULL, 0);
	fut("WAIT|PRIVATE", FUTEX_WAIT | FUTEX_PRIVATE_FLAG, &word, 0, &soon, NULL, 0);
	fut("WAKE", FUTEX_WAKE, &word, 1, NULL, NULL, 0);
	fut("FD", FUTEX_FD, &word, 0, NULL, NULL, 0);
	fut("REQUEUE", FUTEX_REQUEUE, &word, 1, (void *)1, &other_word, 0);
	fut("CMP_REQUEUE", FUTEX_CMP_REQUEUE, &word, 1, (void *)1, &other_word, 0);
	fut("WAKE_OP", FUTEX_WAKE_OP, &word, 1, (void *)1, &other_word, FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0));
	other_word = 0;
	fut("WAIT_BITSET", FUTEX_WAIT_BITSET, &word, 0, &past, NULL, FUTEX_BITSET_MATCH_ANY);
	fut("WAIT_BITSET|REALTIME", FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, &word, 0, &past, NULL, FUTEX_BITSET_MATCH_ANY);
	fut("WAKE_BITSET", FUTEX_WAKE_BITSET, &word, 1, NULL, NULL, 1);
	fut("LOCK_PI", FUTEX_LOCK_PI, &word, 0, NULL, NULL, 0);
	V(word == (unsigned)gettid());
	fut("LOCK_PI again", FUTEX_LOCK_PI, &word, 0, NULL, NULL, 0);
	fut("TRYLOCK_PI again", FUTEX_TRYLOCK_PI, &word, 0, NULL, NULL, 0);
	fut("UNLOCK_PI", FUTEX_UNLOCK_PI, &word, 0, NULL, NULL, 0);
	fut("UNLOCK_PI again", FUTEX_UNLOCK_PI, &word, 0, NULL, NULL, 0);
	fut("LOCK_PI2", FUTEX_LOCK_PI2, &word, 0, NULL, NULL, 0);
	fut("UNLOCK_PI", FUTEX_UNLOCK_PI, &word, 0, NULL, NULL, 0);
	fut("TRYLOCK_PI", FUTEX_TRYLOCK_PI, &word, 0, NULL, NULL, 0);
	V(word == (unsigned)gettid());
	fut("UNLOCK_PI", FUTEX_UNLOCK_PI, &word, 0, NULL, NULL, 0);
	/* A thread waits, is moved to the lock, and gets it. */
	pthread_t thread;
	long result = -1;
	pthread_create(&thread, NULL, requeued, &result);
	long moved = 0;
	while (moved == 0) {
		moved = syscall(SYS_futex, &word, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &other_word, 0);
		usleep(1000);
	}
	V(moved);
	pthread_join(thread, NULL);
	V(result);
	V(other_word);
	/* What asks for the wrong thing. */
	fut("WAIT_REQUEUE_PI on one word", FUTEX_WAIT_REQUEUE_PI, &word, 0, &past, &word, 0);
	fut("WAIT_REQUEUE_PI of another value", FUTEX_WAIT_REQUEUE_PI, &word, 1, &past, &other_word, 0);
	fut("WAIT_REQUEUE_PI until the past", FUTEX_WAIT_REQUEUE_PI, &word, 0, &past, &other_word, 0);
	fut("CMP_REQUEUE_PI of nobody", FUTEX_CMP_REQUEUE_PI, &word, 1, NULL, &other_word, 0);
	fut("CMP_REQUEUE_PI waking two", FUTEX_CMP_REQUEUE_PI, &word, 2, NULL, &other_word, 0);
	fut("CMP_REQUEUE_PI on one word", FUTEX_CMP_REQUEUE_PI, &word, 1, NULL, &word, 0);
	fut("CMP_REQUEUE_PI of another value", FUTEX_CMP_REQUEUE_PI, &word, 1, NULL, &other_word, 1);
	/* Three wait; the lock is held, so all move, and each passes it on. */
	pthread_t three[3];
	long results[3] = { -1, -1, -1 };
	other_word = gettid();
	for (int i = 0; i < 3; i++)
		pthread_create(three + i, NULL, requeued, results + i);
	for (moved = 0; moved < 3; usleep(1000)) {
		long more = syscall(SYS_futex, &word, FUTEX_CMP_REQUEUE_PI, 1, (void *)2, &other_word, 0);
		moved += more > 0 ? more : 0;
	}
	V(moved);
	V((other_word & FUTEX_WAITERS) != 0);
	fut("WAKE of the moved", FUTEX_WAKE, &other_word, 1, NULL, NULL, 0);
	fut("UNLOCK_PI", FUTEX_UNLOCK_PI, &other_word, 0, NULL, NULL, 0);
	for (int i = 0; i < 3; i++) {
		pthread_join(three[i], NULL);
		V(results[i]);
	}
	V(other_word);
}

static void limits(void)
{
	for (int resource = 0; resource < 16; resource++) {
		struct rlimit limit = { 0, 0 };
		unsigned long both[2];
		out("resource %d: ", resource);
		E(getrlimit, "", resource, &limit);
		E(prlimit64, "", 0, resource, NULL, both);
		E(setrlimit, "the same", resource, &limit);
	}
	static const int WHOS[] = { RUSAGE_SELF, RUSAGE_CHILDREN, RUSAGE_THREAD };
	struct rusage usage;
	for (size_t i = 0; i < 3; i++)
		E(getrusage, "", WHOS[i], &usage);
}

/* Looks at a pair of descriptors in every way there is to ask. */
static void polls(void)
{
	int ends[2], epoll = MUST(epoll_create1(EPOLL_CLOEXEC));
	MUST(pipe(ends));
	MUST(write(ends[1], "x", 1));
	for (int bit = 0; bit < 14; bit++) {
		struct pollfd fds[2] = { { ends[0], 1 << bit, 0 }, { ends[1], 1 << bit, 0 } };
		out("poll %#x: %ld", 1 << bit, syscall(SYS_poll, fds, 2L, 0));
		out(" %#x %#x\n", fds[0].revents, fds[1].revents);
	}
	static const struct flag EVENTS[] = {
		F(EPOLLIN), F(EPOLLOUT), F(EPOLLPRI), F(EPOLLRDHUP), F(EPOLLERR), F(EPOLLHUP), F(EPOLLET), F(EPOLLONESHOT),
		F(EPOLLRDNORM), F(EPOLLRDBAND), F(EPOLLWRNORM), F(EPOLLWRBAND), F(EPOLLMSG), F(EPOLLEXCLUSIVE), F(EPOLLWAKEUP),
	};
	for (size_t i = 0; i < sizeof EVENTS / sizeof *EVENTS; i++) {
		struct epoll_event event = { .events = EVENTS[i].value | EPOLLIN }, got = { 0 };
		long added = syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, ends[0], &event);
		out("%s: %s", EVENTS[i].name, errname(added ? errno : 0));
		out(" %ld %#x", syscall(SYS_epoll_wait, epoll, &got, 1, 0), got.events);
		out(" %ld\n", syscall(SYS_epoll_wait, epoll, &got, 1, 0));
		if (added == 0 && EVENTS[i].value != EPOLLEXCLUSIVE)
			MUST(syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_MOD, ends[0], &event));
		if (added == 0)
			MUST(syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_DEL, ends[0], &event));
	}
	struct pollfd gone = { 999, POLLIN, 0 };
	V(poll(&gone, 1, 0) * 100 + gone.revents);
	close(ends[1]);
	struct pollfd ended = { ends[0], POLLIN, 0 };
	V(poll(&ended, 1, 0) * 100 + ended.revents);
	static const struct flag EFDS[] = { F(EFD_CLOEXEC), F(EFD_NONBLOCK), F(EFD_SEMAPHORE) };
	for (size_t i = 0; i < 3; i++) {
		int fd = MUST(syscall(SYS_eventfd2, 2, EFDS[i].value));
		unsigned long count;
		MUST(read(fd, &count, 8));
		out("%s: %lu, cloexec %ld, flags %#lo\n", EFDS[i].name, count, MUST(fcntl(fd, F_GETFD)), MUST(fcntl(fd, F_GETFL)));
	}
}

int main(void)
{
	clones();
	waits();
	actions();
	clocks();
	futexes();
	limits();
	polls();
	return 0;
}

/* Descriptors of processes and of single threads: what they tell (PIDFD_GET_INFO), how they end. bevor-test: user=both waits=reloaded kernel=6.16 */
#include "t.h"
#include "pidfd.h"
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/vfs.h>

#define THREAD O_EXCL

struct info {
	uint64_t mask, cgroupid;
	uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
	int32_t exit_code;
	uint32_t coredump_mask, spare;
};
enum { PID = 1, CREDS = 2, CGROUPID = 4, EXIT = 8, COREDUMP = 16 };
#define GET_INFO_OF(size) _IOC(_IOC_READ | _IOC_WRITE, 0xff, 11, size)
#define GET_INFO GET_INFO_OF(sizeof(struct info))

/* Prints what a pidfd tells when asked for `mask`, but for control groups. */
static void tell(const char *what, int fd, uint64_t mask, pid_t pid, pid_t tgid)
{
	struct info i;
	memset(&i, 0x55, sizeof i);
	i.mask = mask;
	int got = ioctl(fd, GET_INFO, &i);
	if (got) {
		out("%s: %d %s\n", what, got, errname(errno));
		return;
	}
	out("%s: mask %lx pid %d tgid %d ppid %d creds %d exit %x core %x spare %x\n", what, (long)i.mask & ~CGROUPID,
	    (pid_t)i.pid == pid, (pid_t)i.tgid == tgid, (pid_t)i.ppid == getpid(),
	    i.ruid == getuid() && i.egid == getegid() && i.suid == getuid() && i.fsgid == getgid(),
	    i.exit_code, i.coredump_mask, i.spare);
}

static void information(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	int fd = MUST(open_pid(pid, 0));
	tell("nothing asked", fd, 0, pid, pid);
	tell("all asked", fd, ~0ULL, pid, pid);
	tell("exit asked", fd, EXIT, pid, pid);
	struct { struct info i; char more[40]; } large;
	memset(&large, 0x55, sizeof large);
	large.i.mask = PID;
	T(ioctl(fd, GET_INFO_OF(sizeof large), &large));
	out("mask %lx more %x\n", (long)large.i.mask & ~CGROUPID, large.more[0]);
	memset(&large, 0x55, sizeof large);
	large.i.mask = PID;
	T(ioctl(fd, GET_INFO_OF(64), &large));
	out("after the first version: %x\n", large.i.coredump_mask);
	T(ioctl(fd, GET_INFO_OF(63), &large));
	T(ioctl(fd, GET_INFO_OF(0), &large));
	T(ioctl(fd, GET_INFO, NULL));
	T(ioctl(fd, GET_INFO, 8));
	T(ioctl(fd, _IO(0xff, 11), &large));
	T(ioctl(fd, _IO(0xff, 77), 0));
	T(ioctl(fd, TIOCGWINSZ, &large));
	look("alive", fd);
	kill(pid, SIGKILL);
	siginfo_t si;
	waitid(P_PID, pid, &si, WEXITED | WNOWAIT);
	look("zombie", fd);
	tell("zombie", fd, ~0ULL, pid, pid);
	waitpid(pid, NULL, 0);
	look("reaped", fd);
	tell("reaped", fd, EXIT | COREDUMP, 0, 0);
	tell("reaped, exit not asked", fd, PID, 0, 0);
	T(send_to(fd, 0, NULL, 0));
	T(ioctl(fd, _IO(0xff, 4), 0));
	T(syscall(SYS_pidfd_getfd, fd, 0, 0));
	T(waitid(P_PIDFD, fd, &si, WEXITED));
	close(fd);
	CHILD("exit code", {
		pid = fork();
		if (pid == 0)
			_exit(7);
		fd = MUST(open_pid(pid, 0));
		waitpid(pid, NULL, 0);
		tell("reaped", fd, EXIT, 0, 0);
	});
	CHILD("not dumpable", {
		fd = MUST(open_pid(getpid(), 0));
		prctl(PR_SET_DUMPABLE, 0);
		tell("not dumpable", fd, COREDUMP, getpid(), getpid());
	});
}

static int by_thread;
static void threads(void)
{
	pthread_t id = start_thread();
	T(open_pid(tid, 0));
	int fd = MUST(open_pid(tid, THREAD));
	out("flags %o cloexec %d\n", fcntl(fd, F_GETFL) & ~O_LARGEFILE, fcntl(fd, F_GETFD));
	look("thread", fd);
	tell("thread", fd, 0, tid, getpid());
	T(send_to(fd, SIGUSR1, NULL, 4));
	got_tid = 0;
	int own = MUST(open_pid(getpid(), THREAD | O_NONBLOCK));
	out("flags %o\n", fcntl(own, F_GETFL) & ~O_LARGEFILE);
	tell("own", own, 0, getpid(), getpid());
	T(send_to(own, SIGUSR1, NULL, 0));
	CHECK(got_tid == getpid());
	V(hits);
	T(send_to(own, 0, NULL, 3));
	int copy = syscall(SYS_pidfd_getfd, fd, 1, 0);
	CHECK(copy >= 0);
	siginfo_t si;
	T(waitid(P_PIDFD, fd, &si, WEXITED));
	pthread_barrier_wait(&step);
	struct pollfd p = { fd, POLLIN };
	/* It can be told of the end before the thread's number is free. */
	T(poll(&p, 1, 5000));
	pthread_join(id, NULL);
	for (int i = 0; i < 5000 && !(p.revents & POLLHUP); i++, sleep_ms(1))
		poll(&p, 1, 0);
	out("ended thread: %x\n", p.revents);
	T(send_to(fd, 0, NULL, 0));
	tell("ended thread", fd, EXIT, 0, 0);
	T(open_pid(tid, THREAD));
	T(open_pid(getpid(), 0x1000));
	T(open_pid(0, 0));
}

static void *thread_that_stays(void *arg)
{
	char c;
	read((long)arg, &c, 1);
	_exit(9);
	return NULL;
}

/* Descriptors from clone3, for threads too; what they tell of how those ended. */
static void *ends(void *arg)
{
	pthread_barrier_wait(&step);
	syscall(SYS_exit, 5);
	return NULL;
}

static void ended(const char *what, int fd)
{
	struct pollfd p = { fd, POLLIN };
	for (int i = 0; i < 5000 && !(p.revents & POLLHUP); i++, sleep_ms(1))
		poll(&p, 1, 0);
	out("%s: poll %x\n", what, p.revents);
	tell(what, fd, EXIT, 0, 0);
}

static char stack[65536] __attribute__((aligned(16)));
static int entry(void *arg) { pause(); return 0; }

static void endings(void)
{
	int fd = -1;
	/* A thread of its own, without the C library: it only waits to be ended. */
	struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls; } args = {
		.flags = CLONE_PIDFD, .pidfd = (uintptr_t)&fd, .exit_signal = SIGCHLD
	};
	pid_t pid = syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0)
		_exit(3);
	out("clone3: flags %o cloexec %d\n", fcntl(fd, F_GETFL) & ~O_LARGEFILE, fcntl(fd, F_GETFD));
	siginfo_t si;
	T(waitid(P_PIDFD, fd, &si, WEXITED));
	V(si.si_pid == pid);
	ended("a process", fd);
	close(fd);
	CHILD("thread by clone", {
		int both = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_FS | CLONE_FILES | CLONE_PIDFD;
		OK(clone(entry, stack + sizeof stack, both, NULL, &fd));
		out("flags %o\n", fcntl(fd, F_GETFL) & ~O_LARGEFILE);
		look("lives", fd);
		T(send_to(fd, 0, NULL, 0));
		T(waitid(P_PIDFD, fd, &si, WEXITED | WNOHANG));
	});
	CHILD("status of a thread", {
		pthread_t id;
		pthread_barrier_init(&step, NULL, 2);
		pthread_create(&id, NULL, ends, NULL);
			int found = 0;
		for (int t = getpid() + 1; !found && t < getpid() + 1000; t++)
			if (syscall(SYS_tgkill, getpid(), t, 0) == 0)
				found = t;
		fd = MUST(open_pid(found, THREAD));
		pthread_barrier_wait(&step);
		ended("thread", fd);
	});
	/* A leader that ends before its process. */
	pthread_barrier_init(&step, NULL, 2);
	int hold[2];
	pipe(hold);
	pid = fork();
	if (pid == 0) {
		pthread_t id;
		tid = -1;
		pthread_create(&id, NULL, thread_that_stays, (void *)(long)hold[0]);
		pthread_detach(id);
		syscall(SYS_exit, 6);
	}
	int of_thread = MUST(open_pid(pid, THREAD));
	int whole = MUST(open_pid(pid, 0));
	struct pollfd p = { whole, POLLIN };
	look("leader", of_thread);
	look("process", whole);
	tell("leader", of_thread, EXIT, pid, pid);
	write(hold[1], "x", 1);
	T(poll(&p, 1, 5000));
	tell("zombie", whole, EXIT, pid, pid);
	reap("process", pid);
	ended("process", whole);
	ended("leader", of_thread);
	char text[512];
	snprintf(text, sizeof text, "/proc/self/fdinfo/%d", whole);
	int in = open(text, O_RDONLY);
	text[read(in, text, sizeof text - 1)] = 0;
	out("%s", strstr(text, "Pid:") ?: "none");
}

int main(void)
{
	information();
	threads();
	endings();
	return 0;
}

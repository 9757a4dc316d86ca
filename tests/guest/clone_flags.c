/* clone and clone3 with their flags, vfork. */
#include "t.h"
#include <linux/sched.h>
#include <sys/prctl.h>

static char stack[65536] __attribute__((aligned(16)));
static volatile int shared_int;
static int fd;

static int body(void *arg) { return (long)arg; }
static int change(void *arg) { shared_int = 77; return 0; }
static int close_it(void *arg) { close(fd); return 0; }
static int go_tmp(void *arg) { chdir("/tmp"); return 0; }
static int set_umask(void *arg) { umask(0123); return 0; }
static int own_parent(void *arg) { return getppid() == (long)arg ? 5 : 6; }
static int fault(void *arg) { *(volatile int *)16 = 1; return 0; }
static int handler_is_default(void *arg)
{
	struct sigaction action;
	sigaction(SIGUSR1, NULL, &action);
	return action.sa_handler == SIG_DFL ? 1 : 2;
}
static void on_usr1(int sig) {}

static void run(const char *what, int flags, int (*function)(void *), void *arg)
{
	pid_t pid = clone(function, stack + sizeof stack, flags, arg);
	if (pid < 0)
		out("%s: %s\n", what, errname(errno));
	else {
		int status;
		if (waitpid(pid, &status, __WALL) == pid)
			out_status(what, status);
		else
			out("%s: wait %s\n", what, errname(errno));
	}
}

static long clone3(struct clone_args *args, size_t size) { return syscall(SYS_clone3, args, size); }

static volatile int usr2_count;
static void on_usr2(int sig, siginfo_t *info, void *context) { usr2_count++; }

int main(void)
{
	run("plain", SIGCHLD, body, (void *)3);
	run("no signal", 0, body, (void *)4);
	run("SIGUSR2 on exit is ignored", SIGCHLD, body, (void *)5);
	run("vm", CLONE_VM | SIGCHLD, change, NULL);
	V(shared_int);
	shared_int = 0;
	run("no vm", SIGCHLD, change, NULL);
	V(shared_int);
	fd = dup(1);
	run("files", CLONE_FILES | SIGCHLD, close_it, NULL);
	T(fcntl(fd, F_GETFD));
	fd = dup(1);
	run("no files", SIGCHLD, close_it, NULL);
	T(fcntl(fd, F_GETFD));
	char cwd[100];
	chdir("/");
	run("fs", CLONE_FS | SIGCHLD, go_tmp, NULL);
	out("%s\n", getcwd(cwd, sizeof cwd));
	chdir("/");
	run("no fs", SIGCHLD, go_tmp, NULL);
	out("%s\n", getcwd(cwd, sizeof cwd));
	umask(022);
	run("umask", CLONE_FS | SIGCHLD, set_umask, NULL);
	out("%o\n", umask(022));
	CHILD("in a child", run("parent", CLONE_PARENT | SIGCHLD, own_parent, (void *)(long)getppid()));
	int sibling;
	CHECK(wait(&sibling) > 0);
	out_status("sibling of the child", sibling);
	run("child", SIGCHLD, own_parent, (void *)(long)getpid());
	run("vfork", CLONE_VM | CLONE_VFORK | SIGCHLD, change, NULL);
	run("fault", CLONE_VM | CLONE_VFORK | SIGCHLD, fault, NULL);
	signal(SIGUSR1, on_usr1);
	run("handlers kept", SIGCHLD, handler_is_default, NULL);
	run("thread without vm", CLONE_THREAD | SIGCHLD, body, NULL);
	run("sighand without vm", CLONE_SIGHAND | SIGCHLD, body, NULL);
	run("thread without sighand", CLONE_THREAD | CLONE_VM | SIGCHLD, body, NULL);
	run("fs and newns", CLONE_FS | CLONE_NEWNS | SIGCHLD, body, NULL);
	run("newpid and thread", CLONE_NEWPID | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, body, NULL);

	/* Settings of ids. */
	pid_t parent_tid = 0, child_tid = 0;
	pid_t pid = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, NULL, &parent_tid, &child_tid, 0);
	if (pid == 0)
		_exit(child_tid == getpid() ? 1 : 2);
	CHECK(parent_tid == pid);
	CHECK(child_tid == 0);
	reap("settid", pid);

	/* clone3 */
	struct clone_args args = { .exit_signal = SIGCHLD };
	pid = clone3(&args, sizeof args);
	if (pid == 0)
		_exit(9);
	reap("clone3", pid);
	int pidfd = -1;
	args.flags = CLONE_PIDFD;
	args.pidfd = (uintptr_t)&pidfd;
	pid = clone3(&args, sizeof args);
	if (pid == 0)
		_exit(10);
	CHECK(pidfd >= 0);
	CHECK(fcntl(pidfd, F_GETFD) == FD_CLOEXEC);
	siginfo_t info;
	T(waitid(P_PIDFD, pidfd, &info, WEXITED));
	CHECK(info.si_pid == pid);
	V(info.si_status);
	args.flags = CLONE_CLEAR_SIGHAND;
	pid = clone3(&args, sizeof args);
	if (pid == 0)
		_exit(handler_is_default(NULL));
	reap("handlers cleared", pid);
	args.flags = 0;
	T(clone3(&args, 10));
	T(clone3((void *)8, sizeof args));
	args.exit_signal = 1000;
	T(clone3(&args, sizeof args));
	args.exit_signal = 0;
	args.stack = 0x1000;
	T(clone3(&args, sizeof args));
	args.stack = 0;
	args.stack_size = 10;
	T(clone3(&args, sizeof args));
	args.stack_size = 0;
	args.flags = 1ULL << 40;
	T(clone3(&args, sizeof args));
	struct { struct clone_args args; long more; } bigger = { { .exit_signal = SIGCHLD }, 0 };
	pid = clone3(&bigger.args, sizeof bigger);
	if (pid == 0)
		_exit(11);
	reap("bigger", pid);
	bigger.more = 1;
	T(clone3(&bigger.args, sizeof bigger));

	/* A signal does not interrupt a vfork, and comes after it. */
	handle(SIGUSR2, on_usr2, 0);
	static volatile int seen_by_child;
	pid_t forked = vfork();
	if (forked == 0) {
		kill(getppid(), SIGUSR2);
		sleep_ms(30);
		seen_by_child = usr2_count;
		_exit(5);
	}
	out("%d %d\n", seen_by_child, usr2_count);
	reap("vfork with a signal", forked);
	T(waitpid(-1, NULL, 0));
	/* vfork: the parent waits for exec or exit. */
	volatile int order = 0;
	pid = vfork();
	if (pid == 0) {
		sleep_ms(20);
		order = 1;
		_exit(12);
	}
	V(order);
	reap("vfork", pid);
	pid = vfork();
	if (pid == 0) {
		execl("/bin/false", "false", NULL);
		_exit(13);
	}
	reap("vfork exec", pid);
	/* Signal on the child's exit. */
	CHILD("subtree", {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		int signal_number = 0;
		prctl(PR_GET_PDEATHSIG, &signal_number);
		V(signal_number);
	});
	int p[2];
	pipe(p);
	pid = fork();
	if (pid == 0) {
		pid_t below = fork();
		if (below == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			write(p[1], "x", 1);
			for (;;)
				pause();
		}
		char c;
		read(p[0], &c, 1);
		_exit(0);
	}
	reap("parent of the doomed", pid);
	close(p[1]);
	char c;
	T(read(p[0], &c, 1));
	return 0;
}

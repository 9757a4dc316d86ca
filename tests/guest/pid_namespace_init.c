/* The init of a pid namespace gets from inside only what it handles, from outside SIGKILL and SIGSTOP as well. bevor-test: user=both */
#include "t.h"
#include <sched.h>
static volatile int handled;
static void on_signal(int signo) { handled++; }
/* In a child of the init: sends it a signal in every way there is. */
static void send_all(int signo)
{
	kill(1, signo);
	syscall(SYS_tkill, 1, signo);
	syscall(SYS_tgkill, 1, 1, signo);
	kill(0, signo == SIGSTOP ? SIGSTOP : 0);
	int fd = syscall(SYS_pidfd_open, 1, 0);
	syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0);
	_exit(0);
}
static int init(void *word)
{
	setpgid(0, 0);
	signal(SIGUSR1, on_signal);
	const int signals[] = { SIGTERM, SIGKILL, SIGSTOP, SIGTSTP, SIGUSR2, SIGHUP, SIGRTMIN, SIGUSR1 };
	for (int i = 0; i < 8; i++) {
		pid_t pid = fork();
		if (pid == 0)
			setpgid(0, signals[i] == SIGSTOP ? 0 : 1), send_all(signals[i]);
		int status;
		/* A child that stops itself with its group is continued. */
		while (waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status))
			kill(pid, SIGCONT);
		out("after %s from inside: alive, handled %d\n", strsignal(signals[i]), handled > 0);
	}
	/* Blocked, a signal stays pending, and is dropped when it is taken. */
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(1, SIGTERM);
	sigset_t pending;
	sigpending(&pending);
	out("blocked: pending %d\n", sigismember(&pending, SIGTERM));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	out("unblocked: alive\n");
	raise(SIGKILL);
	out("killed itself: alive\n");
	write(*(int *)word, "x", 1);
	for (;;)
		pause();
}
static char stack[65536];
int main(void)
{
	int up[2];
	pipe(up);
	int user = getuid() ? CLONE_NEWUSER : 0;
	pid_t pid = clone(init, stack + sizeof stack, CLONE_NEWPID | user | SIGCHLD, &up[1]);
	char byte;
	read(up[0], &byte, 1);
	kill(pid, SIGTERM);
	int status = 0;
	kill(pid, SIGSTOP);
	out("stop from outside: %d\n", waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	kill(pid, SIGCONT);
	out("continued: %d\n", waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
	kill(pid, SIGKILL);
	out("kill from outside: %d\n", waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	return 0;
}

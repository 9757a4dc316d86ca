/* wait4, waitid, their options and siginfo, orphans, SIGCHLD. bevor-test: user=both waits=reloaded */
#include "t.h"
#include <sys/prctl.h>

static void show(const char *what, int result, siginfo_t *info, pid_t child)
{
	if (result == -1)
		out("%s: %s\n", what, errname(errno));
	else if (info->si_pid == 0)
		out("%s: nothing\n", what);
	else
		out("%s: signo %d code %d status %d pid %s uid %s\n", what, info->si_signo, info->si_code,
		    info->si_status, info->si_pid == child ? "right" : "wrong", info->si_uid == getuid() ? "own" : "other");
}

static volatile int chld_code, chld_status, chld_count;
static volatile pid_t chld_pid;

static void on_chld(int sig, siginfo_t *info, void *context)
{
	chld_code = info->si_code;
	chld_status = info->si_status;
	chld_pid = info->si_pid;
	chld_count++;
}

int main(void)
{
	int status;
	siginfo_t info;
	T(wait(&status));
	T(waitpid(-1, &status, WNOHANG));
	T(waitpid(getpid(), &status, 0));
	T(waitpid(1, &status, 0));
	T(waitpid(-1, &status, 0x100));
	T(waitid(P_ALL, 0, &info, 0));
	T(waitid(P_ALL, 0, &info, WEXITED));
	T(waitid(99, 0, &info, WEXITED));

	pid_t pid = fork();
	if (pid == 0)
		_exit(42);
	memset(&info, 0, sizeof info);
	show("WNOWAIT", waitid(P_PID, pid, &info, WEXITED | WNOWAIT), &info, pid);
	show("again", waitid(P_PID, pid, &info, WEXITED), &info, pid);
	show("gone", waitid(P_PID, pid, &info, WEXITED), &info, pid);

	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	memset(&info, 0, sizeof info);
	show("WNOHANG", waitid(P_PID, pid, &info, WEXITED | WNOHANG), &info, pid);
	T(waitpid(pid, &status, WNOHANG));
	kill(pid, SIGSTOP);
	show("stop", waitid(P_PID, pid, &info, WSTOPPED), &info, pid);
	memset(&info, 0, sizeof info);
	show("only once", waitid(P_PID, pid, &info, WSTOPPED | WNOHANG), &info, pid);
	kill(pid, SIGCONT);
	show("continue", waitid(P_PID, pid, &info, WCONTINUED), &info, pid);
	kill(pid, SIGTSTP);
	CHECK(waitpid(pid, &status, WUNTRACED) == pid);
	out_status("WUNTRACED", status);
	kill(pid, SIGCONT);
	CHECK(waitpid(pid, &status, WCONTINUED) == pid);
	out_status("WCONTINUED", status);
	kill(pid, SIGSTOP);
	show("stop without reaping", waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT), &info, pid);
	kill(pid, SIGKILL);
	show("killed while stopped", waitid(P_PID, pid, &info, WEXITED), &info, pid);

	/* Process groups as what to wait for. */
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		_exit(3);
	}
	setpgid(pid, pid);
	T(waitpid(0, &status, WNOHANG));
	CHECK(waitpid(-pid, &status, 0) == pid);
	out_status("own group", status);

	/* SIGCHLD with its siginfo. */
	handle(SIGCHLD, on_chld, 0);
	pid = fork();
	if (pid == 0)
		_exit(5);
	while (!chld_count)
		sleep_ms(1);
	CHECK(chld_pid == pid);
	V(chld_code);
	V(chld_status);
	reap("still there", pid);
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	chld_count = 0;
	kill(pid, SIGSTOP);
	while (!chld_count)
		sleep_ms(1);
	V(chld_code);
	V(chld_status);
	chld_count = 0;
	kill(pid, SIGCONT);
	while (!chld_count)
		sleep_ms(1);
	V(chld_code);
	V(chld_status);
	chld_count = 0;
	kill(pid, SIGTERM);
	while (!chld_count)
		sleep_ms(1);
	V(chld_code);
	V(chld_status);
	reap("terminated", pid);
	handle(SIGCHLD, on_chld, SA_NOCLDSTOP);
	chld_count = 0;
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	kill(pid, SIGSTOP);
	waitpid(pid, &status, WUNTRACED);
	sleep_ms(10);
	V(chld_count);
	kill(pid, SIGKILL);
	reap("killed", pid);
	V(chld_count);

	/* SA_NOCLDWAIT and SIG_IGN leave no zombies. */
	handle(SIGCHLD, on_chld, SA_NOCLDWAIT);
	pid = fork();
	if (pid == 0)
		_exit(0);
	T(waitpid(pid, &status, 0));
	signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (pid == 0)
		_exit(0);
	T(waitpid(-1, &status, 0));
	signal(SIGCHLD, SIG_DFL);

	/* Orphans go to the reaper. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = fork();
	if (pid == 0) {
		if (fork() == 0) {
			while (getppid() != getsid(0) && 0)
				;
			sleep_ms(30);
			_exit(getppid() == 0 ? 1 : 9);
		}
		_exit(8);
	}
	reap("child", pid);
	CHECK(wait(&status) > 0);
	out_status("grandchild", status);
	T(wait(&status));

	/* rusage of children. */
	struct rusage usage;
	pid = fork();
	if (pid == 0) {
		long end = now_ms() + 60;
		while (now_ms() < end)
			;
		_exit(0);
	}
	CHECK(wait4(pid, &status, 0, &usage) == pid);
	CHECK(usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec > 5000);
	getrusage(RUSAGE_CHILDREN, &usage);
	CHECK(usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec > 5000);
	T(getrusage(77, &usage));

	/* Many children, every status once. */
	int sum = 0;
	for (int i = 0; i < 50; i++)
		if (fork() == 0)
			_exit(i);
	while (wait(&status) > 0)
		sum += WEXITSTATUS(status);
	V(sum);
	/* A wait by one thread's child is everyone's: __WNOTHREAD is not. */
	T(waitpid(-1, &status, __WALL));
	return 0;
}

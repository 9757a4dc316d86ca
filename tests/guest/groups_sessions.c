/* Process groups and sessions, orphaned groups. bevor-test: user=both */
#include "t.h"

int main(void)
{
	CHILD("in a child", {
		pid_t self = getpid();
		T(setpgid(0, 0));
		CHECK(getpgrp() == self);
		CHECK(getpgid(0) == self && getpgid(self) == self);
		T(setpgid(self, self));
		T(setpgid(self, 999999));
		T(setpgid(self, -1));
		T(setpgid(999999, 0));
		T(getpgid(999999));
		T(getsid(999999));
		CHECK(getsid(0) != self);
		T(setsid());
		pid_t pid = fork();
		if (pid == 0) {
			CHECK(getpgrp() == self);
			CHECK(setsid() == getpid());
			CHECK(getsid(0) == getpid() && getpgrp() == getpid());
			T(setpgid(0, 0));
			T(setsid());
			_exit(0);
		}
		reap("session", pid);
		/* A child can be moved until it execs. */
		int p[2];
		pipe(p);
		pid = fork();
		if (pid == 0) {
			char c;
			read(p[0], &c, 1);
			CHECK(getpgrp() == getpid());
			execl("/bin/sleep", "sleep", "100", NULL);
		}
		T(setpgid(pid, pid));
		write(p[1], "x", 1);
		char path[64], text[64];
		for (int i = 0; i < 1000; i++) {
			snprintf(path, sizeof path, "/proc/%d/comm", pid);
			int fd = open(path, O_RDONLY);
			ssize_t len = read(fd, text, 63);
			close(fd);
			if (len > 4 && !memcmp(text, "sleep", 5))
				break;
			sleep_ms(1);
		}
		T(setpgid(pid, self));
		kill(pid, SIGKILL);
		reap("exec'ed", pid);
		/* Joining a group of the same session. */
		pid_t one = fork();
		if (one == 0) {
			setpgid(0, 0);
			for (;;)
				pause();
		}
		setpgid(one, one);
		pid_t two = fork();
		if (two == 0) {
			T(setpgid(0, one));
			CHECK(getpgrp() == one);
			for (;;)
				pause();
		}
		sleep_ms(5);
		while (getpgid(two) != one)
			sched_yield();
		sleep_ms(5);
		T(kill(-one, SIGTERM));
		reap("one", one);
		reap("two", two);
		T(kill(-one, 0));
	});
	/* A stopped group that becomes orphaned gets SIGHUP and SIGCONT. */
	int p[2];
	MUST(pipe(p));
	pid_t middle = fork();
	if (middle == 0) {
		setsid();
		pid_t child = fork();
		if (child == 0) {
			pid_t stopped = fork();
			if (stopped == 0) {
				setpgid(0, 0);
				raise(SIGSTOP);
				_exit(0);
			}
			setpgid(stopped, stopped);
			int status;
			waitpid(stopped, &status, WUNTRACED);
			out_status("before", status);
			_exit(0);
		}
		waitpid(child, NULL, 0);
		_exit(0);
	}
	close(p[1]);
	char c;
	T(read(p[0], &c, 1));
	reap("middle", middle);
	/* Stop signals of the terminal kind do nothing in an orphaned group. */
	pid_t pid = fork();
	if (pid == 0) {
		setsid();
		raise(SIGTSTP);
		raise(SIGTTIN);
		_exit(5);
	}
	reap("orphaned group", pid);
	return 0;
}

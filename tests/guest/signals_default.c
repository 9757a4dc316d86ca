/* Default actions of every signal. */
#include "t.h"

int main(void)
{
	for (int sig = 1; sig <= 64; sig++) {
		if (sig == 32 || sig == 33)
			continue;
		pid_t pid = fork();
		if (pid == 0) {
			raise(sig);
			_exit(0);
		}
		int status;
		waitpid(pid, &status, WUNTRACED);
		char what[32];
		snprintf(what, sizeof what, "%d %s", sig, sigabbrev_np(sig) ?: "real-time");
		out_status(what, status);
		if (WIFSTOPPED(status)) {
			kill(pid, SIGCONT);
			waitpid(pid, &status, 0);
			out_status("  then", status);
		}
	}
	/* SIGCONT to a stopped one even if blocked or ignored; pending stops are dropped. */
	sigset_t all;
	sigfillset(&all);
	for (int ignore = 0; ignore < 2; ignore++) {
		pid_t pid = fork();
		if (pid == 0) {
			if (ignore)
				signal(SIGCONT, SIG_IGN);
			else
				sigprocmask(SIG_BLOCK, &all, NULL);
			raise(SIGSTOP);
			sigset_t pending;
			sigpending(&pending);
			out("SIGCONT pending: %d\n", sigismember(&pending, SIGCONT));
			_exit(4);
		}
		int status;
		waitpid(pid, &status, WUNTRACED);
		out_status("stopped", status);
		kill(pid, SIGTERM);
		kill(pid, SIGCONT);
		waitpid(pid, &status, 0);
		out_status("continued", status);
	}
	/* A stop signal removes a pending SIGCONT and the other way round. */
	CHILD("cancel each other", {
		sigprocmask(SIG_BLOCK, &all, NULL);
		sigset_t pending;
		raise(SIGTSTP);
		sigpending(&pending);
		V(sigismember(&pending, SIGTSTP));
		raise(SIGCONT);
		sigpending(&pending);
		V(sigismember(&pending, SIGTSTP));
		V(sigismember(&pending, SIGCONT));
		raise(SIGTTIN);
		sigpending(&pending);
		V(sigismember(&pending, SIGCONT));
		V(sigismember(&pending, SIGTTIN));
	});
	/* SIGKILL beats a stop and a block. */
	pid_t pid = fork();
	if (pid == 0) {
		sigprocmask(SIG_BLOCK, &all, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	int status;
	waitpid(pid, &status, WUNTRACED);
	kill(pid, SIGKILL);
	reap("killed", pid);
	return 0;
}

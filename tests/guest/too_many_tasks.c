/* Who becomes a user that has more tasks than it may have executes nothing. */
#include "provoke.h"

/* Nobody else's. */
#define USER 31998

int main(void)
{
	struct rlimit none = { 0, 100 };
	char *argv[] = { "true", NULL }, byte;
	int ready[2];
	MUST(pipe(ready));
	CHILD("the first of the user", {
		MUST(setrlimit(RLIMIT_NPROC, &none));
		MUST(syscall(SYS_setresuid, USER, USER, USER));
		E(execve, "only itself", "/bin/true", argv, NULL);
	});
	pid_t other = MUST(fork());
	if (other == 0) {
		MUST(syscall(SYS_setresuid, USER, USER, USER));
		MUST(write(ready[1], "x", 1));
		pause();
	}
	MUST(read(ready[0], &byte, 1));
	CHILD("the second", {
		MUST(setrlimit(RLIMIT_NPROC, &none));
		MUST(syscall(SYS_setresuid, USER, USER, USER));
		E(execve, "too many", "/bin/true", argv, NULL);
		E(fork, "too many");
		E(execve, "once more", "/bin/true", argv, NULL);
	});
	CHILD("with the limit lifted meanwhile", {
		MUST(setrlimit(RLIMIT_NPROC, &none));
		MUST(syscall(SYS_setresuid, USER, USER, USER));
		none.rlim_cur = 100;
		MUST(setrlimit(RLIMIT_NPROC, &none));
		E(execve, "no longer", "/bin/true", argv, NULL);
	});
	MUST(kill(other, SIGKILL));
	reap("the other", other);
	return 0;
}

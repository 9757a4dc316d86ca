/* A fork bomb under a limit of processes. bevor-test: exit=0 do=--pids=64 timeout=60 */
#include "t.h"
int main(void)
{
	long end = now_ms() + 3000;
	int made = 0, refused = 0;
	while (now_ms() < end) {
		pid_t pid = fork();
		if (pid == 0)
			for (;;)
				if (fork() < 0)
					sleep_ms(1);
		if (pid < 0) {
			refused++;
			if (errno != EAGAIN)
				out("BAD %s\n", errname(errno));
			sleep_ms(1);
		} else
			made++;
	}
	if (!refused || made > 64)
		out("BAD made %d refused %d\n", made, refused);
	return 0;
}

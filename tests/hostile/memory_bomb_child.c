/* A child over the limit is killed; the parent lives on. bevor-test: exit=0 do=--memory=128M timeout=60 */
#include "t.h"
int main(void)
{
	for (int round = 0; round < 3; round++) {
		pid_t pid = fork();
		if (pid == 0) {
			for (int i = 0; i < 64; i++) {
				char *p = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
				if (p == MAP_FAILED)
					raise(SIGKILL);
				memset(p, 1, 16 << 20);
			}
			_exit(0);
		}
		int status;
		waitpid(pid, &status, 0);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			out_status("BAD child", status);
	}
	return 0;
}

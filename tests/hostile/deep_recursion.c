/* Structures that tempt the kernel to recurse: epoll in epoll, symlinks, folders, scripts. bevor-test: exit=0 timeout=120 */
#include "t.h"
#include <sys/epoll.h>
int main(void)
{
	scratch();
	int last = epoll_create1(0), depth = 0;
	for (; depth < 5000; depth++) {
		int next = epoll_create1(0);
		struct epoll_event e = { .events = EPOLLIN };
		if (next < 0 || epoll_ctl(next, EPOLL_CTL_ADD, last, &e) < 0)
			break;
		last = next;
	}
	if (depth >= 100)
		out("BAD epoll depth %d\n", depth);
	for (int i = 0; i < 4000; i++)
		if (mkdir("d", 0755) || chdir("d"))
			break;
	char cwd[100000];
	syscall(SYS_getcwd, cwd, sizeof cwd);
	chdir("/dev/shm");
	char path[4096];
	for (int i = 0; i < 4095; i++)
		path[i] = i % 2 ? '/' : '.';
	path[4095] = 0;
	for (int i = 0; i < 1000; i++)
		access(path, F_OK);
	CHILD("limit", {
		for (int i = 0; i < 3000; i++) {
			pid_t pid = fork();
			if (pid < 0)
				break;
			if (pid > 0) {
				int status;
				waitpid(pid, &status, 0);
				_exit(0);
			}
			if (i > 500)
				break;
		}
	});
	return 0;
}

/* Descriptors of every kind until they run out. bevor-test: exit=0 timeout=120 */
#include "t.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
int main(void)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int kind = 0; kind < 8; kind++) {
		pid_t pid = fork();
		if (pid == 0) {
			int made = 0, s[2], r;
			for (; made < 30000; made++) {
				switch (kind) {
				case 0: r = open("/dev/null", O_RDONLY); break;
				case 1: r = open("/etc/passwd", O_RDONLY); break;
				case 2: r = pipe(s); break;
				case 3: r = eventfd(0, 0); break;
				case 4: r = epoll_create1(0); break;
				case 5: r = socketpair(AF_UNIX, SOCK_STREAM, 0, s); break;
				case 6: r = memfd_create("x", 0); if (r >= 0) ftruncate(r, 4096); break;
				default: r = timerfd_create(CLOCK_MONOTONIC, 0); break;
				}
				if (r < 0)
					break;
			}
			if (r < 0 && errno != EMFILE && errno != ENFILE && errno != ENOMEM)
				out("BAD kind %d: %s\n", kind, errname(errno));
			_exit(made < 100);
		}
		int status;
		waitpid(pid, &status, 0);
		if (status)
			out_status("BAD", status);
	}
	int fd = open("/etc/hostname", O_RDONLY), p[2];
	return fd >= 0 && pipe(p) == 0 ? 0 : 1;
}

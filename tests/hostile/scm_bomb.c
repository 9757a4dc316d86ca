/* Sockets sent into sockets, in circles. bevor-test: exit=0 timeout=60 */
#include "t.h"
#include <sys/socket.h>
static int send_fd(int s, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec v = { "x", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	return sendmsg(s, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}
int main(void)
{
	for (int round = 0; round < 3000; round++) {
		int a[2], b[2];
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, b));
		send_fd(a[0], a[1]);
		send_fd(a[0], b[1]);
		send_fd(b[0], a[1]);
		send_fd(b[0], b[0]);
		for (int i = 0; i < 2; i++)
			close(a[i]), close(b[i]);
	}
	/* A chain of sockets, each inside the next. */
	int last = open("/dev/null", O_RDONLY);
	for (int i = 0; i < 3000; i++) {
		int s[2];
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
		send_fd(s[0], last);
		close(last);
		close(s[0]);
		last = s[1];
	}
	close(last);
	return 0;
}

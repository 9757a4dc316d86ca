/* Connections made without waiting: in progress, refused, more than the backlog takes. bevor-test: user=both */
#include "t.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

static int listener(struct sockaddr_in *a, int backlog)
{
	int l = MUST(socket(AF_INET, SOCK_STREAM, 0));
	socklen_t len = sizeof *a;
	*a = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	MUST(bind(l, (void *)a, sizeof *a));
	MUST(getsockname(l, (void *)a, &len));
	MUST(listen(l, backlog));
	return l;
}

static int client(void)
{
	return MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
}

static void polled(const char *what, int fd, int wait_ms)
{
	struct pollfd p = { fd, POLLIN | POLLOUT | POLLRDHUP };
	int ready = poll(&p, 1, wait_ms);
	out("%s: %d%s%s%s%s%s\n", what, ready, p.revents & POLLIN ? " in" : "", p.revents & POLLOUT ? " out" : "",
	    p.revents & POLLERR ? " err" : "", p.revents & POLLHUP ? " hup" : "", p.revents & POLLRDHUP ? " rdhup" : "");
}

static int soerror(int fd)
{
	int value = -1;
	socklen_t len = sizeof value;
	MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len));
	return value;
}

int main(void)
{
	struct sockaddr_in a, other;
	socklen_t len = sizeof other;
	char buf[100];
	signal(SIGPIPE, SIG_IGN);

	/* There is somebody. */
	int l = listener(&a, 5), c = client();
	polled("never connected", c, 0);
	T(connect(c, (void *)&a, sizeof a));
	polled("connected", c, 5000);
	V(soerror(c));
	T(connect(c, (void *)&a, sizeof a));
	T(connect(c, (void *)&a, sizeof a));
	int s = MUST(accept(l, NULL, NULL));
	T(send(c, "hello", 5, 0));
	out_bytes("received", buf, recv(s, buf, sizeof buf, 0));
	close(s), close(c), close(l);

	/* Nobody is there any more. */
	c = client();
	T(connect(c, (void *)&a, sizeof a));
	polled("refused", c, 5000);
	V(soerror(c));
	V(soerror(c));
	polled("after the refusal", c, 0);
	T(connect(c, (void *)&a, sizeof a));
	polled("refused again", c, 5000);
	T(connect(c, (void *)&a, sizeof a));
	T(send(c, "x", 1, 0));
	T(recv(c, buf, 1, 0));
	close(c);

	/* A backlog of one takes two; the third and fourth go on by themselves once there is room. */
	l = listener(&a, 1);
	int many[4];
	for (int i = 0; i < 4; i++) {
		many[i] = client();
		T(connect(many[i], (void *)&a, sizeof a));
	}
	polled("first", many[0], 1000);
	polled("second", many[1], 1000);
	polled("third", many[2], 0);
	T(connect(many[2], (void *)&a, sizeof a));
	T(getpeername(many[2], (void *)&other, &len));
	T(send(many[2], "x", 1, 0));
	T(recv(many[2], buf, 1, 0));
	V(soerror(many[2]));
	for (int i = 0; i < 2; i++)
		close(MUST(accept(l, NULL, NULL)));
	polled("third", many[2], 20000);
	V(soerror(many[2]));
	polled("fourth", many[3], 20000);
	T(connect(many[2], (void *)&a, sizeof a));
	T(connect(many[2], (void *)&a, sizeof a));
	for (int i = 2; i < 4; i++) {
		s = MUST(accept(l, NULL, NULL));
		T(send(s, "hi", 2, 0));
		close(s);
	}
	out_bytes("third", buf, recv(many[2], buf, sizeof buf, 0));
	out_bytes("fourth", buf, recv(many[3], buf, sizeof buf, 0));
	return 0;
}

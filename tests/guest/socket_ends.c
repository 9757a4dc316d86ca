/* Who sent a datagram without having a name, and what is sent to an end that is gone. bevor-test: user=both */
#include "t.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

static void unnamed(void)
{
	int pair[2];
	char buf[8];
	struct sockaddr_un from = { 77 };
	socklen_t len = sizeof from;
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	MUST(send(pair[0], "one", 3, 0));
	T(recvfrom(pair[1], buf, sizeof buf, 0, (void *)&from, &len));
	out("length %u, family %u\n", len, from.sun_family);
	struct iovec vec = { buf, sizeof buf };
	struct msghdr msg = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &vec, .msg_iovlen = 1 };
	MUST(send(pair[0], "two", 3, 0));
	T(recvmsg(pair[1], &msg, 0));
	out("length %u, family %u\n", msg.msg_namelen, from.sun_family);
	len = sizeof from;
	T(getpeername(pair[1], (void *)&from, &len));
	out("length %u, family %u\n", len, from.sun_family);
}

/* The other end was closed in good order: it answers the first bytes with a reset. */
static void gone(void)
{
	enum { PIECES = 64, PIECE = 1 << 20 };
	static char data[PIECE];
	struct iovec vecs[PIECES];
	struct sockaddr_in at = { AF_INET, 0, { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof at;
	int listener = MUST(socket(AF_INET, SOCK_STREAM, 0)), sender = MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(bind(listener, (void *)&at, sizeof at));
	MUST(listen(listener, 1));
	MUST(getsockname(listener, (void *)&at, &len));
	MUST(connect(sender, (void *)&at, sizeof at));
	close(MUST(accept(listener, NULL, NULL)));
	for (int i = 0; i < PIECES; i++)
		vecs[i] = (struct iovec){ data, PIECE };
	signal(SIGPIPE, SIG_IGN);
	ssize_t sent = writev(sender, vecs, PIECES);
	CHECK(sent < (ssize_t)PIECES * PIECE);
	while (sent > 0)
		sent = write(sender, data, PIECE);
	out("then: %s\n", errno == ECONNRESET || errno == EPIPE ? "it is known" : errname(errno));
	T(write(sender, data, 1));
}

/* A socket bound to an address of IPv6 takes nothing else from then on, and says so. */
static void only_v6(void)
{
	static const struct in6_addr BINDS[] = { IN6ADDR_ANY_INIT, IN6ADDR_LOOPBACK_INIT, { { { [10] = 255, 255, 127, 0, 0, 1 } } } };
	for (int i = 0; i < 3; i++) {
		struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_addr = BINDS[i] };
		int fd = MUST(socket(AF_INET6, SOCK_STREAM, 0)), only = 7, off = 0;
		socklen_t len = sizeof only;
		T(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off));
		T(bind(fd, (void *)&at, sizeof at));
		MUST(getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len));
		V(only);
		T(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off));
		close(fd);
	}
}

int main(void)
{
	unnamed();
	gone();
	only_v6();
	return 0;
}

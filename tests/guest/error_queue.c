/* Errors of UDP as ip(7) and ipv6(7) queue them, and what udp(7) splits and joins. bevor-test: user=both */
#include "t.h"
#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

union address {
	struct sockaddr at;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t size_of(int family)
{
	return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static union address loopback(int family)
{
	union address a;
	memset(&a, 0, sizeof a);
	a.at.sa_family = family;
	if (family == AF_INET)
		a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		a.v6.sin6_addr = in6addr_loopback;
	return a;
}

static int bound(int family, union address *a)
{
	int fd = MUST(socket(family, SOCK_DGRAM, 0));
	socklen_t len = sizeof *a;
	*a = loopback(family);
	MUST(bind(fd, &a->at, size_of(family)));
	MUST(getsockname(fd, &a->at, &len));
	return fd;
}

/* An address nobody is bound to. */
static union address nobody(int family)
{
	union address a;
	close(bound(family, &a));
	return a;
}

static const char *text(const struct sockaddr *at, char *buf)
{
	if (at->sa_family == AF_INET)
		return inet_ntop(AF_INET, &((struct sockaddr_in *)at)->sin_addr, buf, 100);
	if (at->sa_family == AF_INET6)
		return inet_ntop(AF_INET6, &((struct sockaddr_in6 *)at)->sin6_addr, buf, 100);
	snprintf(buf, 100, "family %d", at->sa_family);
	return buf;
}

/* Takes an error from the queue and shows all of it. */
static void take(int fd, size_t room, size_t control_room, int flags, int port)
{
	static char data[3000], control[500];
	char buf[100];
	union address from;
	memset(&from, 0, sizeof from);
	memset(data, 0, sizeof data);
	struct iovec iov = { data, room };
	struct msghdr msg = { &from, sizeof from, &iov, 1, control, control_room, 0 };
	int got = recvmsg(fd, &msg, MSG_ERRQUEUE | flags);
	if (got < 0) {
		out("  queue: %s\n", errname(errno));
		return;
	}
	out("  %d bytes, flags %x, from %s (%u bytes), port %s\n", got, msg.msg_flags, text(&from.at, buf), msg.msg_namelen,
	    from.v4.sin_port == htons(port) ? "right" : from.v4.sin_port ? "another" : "0");
	out_bytes("  data", data, got < 20 ? got : 20);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		out("  control %d %d of %d bytes", c->cmsg_level, c->cmsg_type, (int)c->cmsg_len);
		struct sock_extended_err *e = (void *)CMSG_DATA(c);
		if ((c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) ||
		    (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR)) {
			out(": %s origin %d type %d code %d info %u data %u offender %s\n", errname(e->ee_errno), e->ee_origin,
			    e->ee_type, e->ee_code, e->ee_info, e->ee_data, text(SO_EE_OFFENDER(e), buf));
			struct sockaddr_in *offender = (void *)SO_EE_OFFENDER(e);
			out("  offender's port %d\n", offender->sin_port);
		} else {
			out("\n");
		}
	}
}

static int error_of(int fd)
{
	int value = -1;
	socklen_t len = sizeof value;
	MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len));
	return value;
}

static int ready(int fd)
{
	struct pollfd p = { fd, POLLIN | POLLPRI, 0 };
	poll(&p, 1, 0);
	return p.revents;
}

static void want(int fd, int family, int on)
{
	if (family == AF_INET)
		MUST(setsockopt(fd, SOL_IP, IP_RECVERR, &on, sizeof on));
	else
		MUST(setsockopt(fd, SOL_IPV6, IPV6_RECVERR, &on, sizeof on));
}

static void unreachable(int family)
{
	static char big[2000];
	union address gone = nobody(family), own;
	socklen_t len = size_of(family);
	int port = ntohs(gone.v4.sin_port), one = 1;
	char byte;
	memset(big, 'b', sizeof big);

	out("unconnected, not wanted\n");
	int fd = bound(family, &own);
	T(sendto(fd, "abc", 3, 0, &gone.at, len));
	V(ready(fd));
	V(error_of(fd));
	take(fd, 100, 500, 0, port);

	out("unconnected, wanted\n");
	want(fd, family, 1);
	T(sendto(fd, "abc", 3, 0, &gone.at, len));
	V(ready(fd));
	take(fd, 100, 500, 0, port);
	V(ready(fd));
	V(error_of(fd));
	take(fd, 100, 500, 0, port);

	out("two, with a small buffer, and no room for control\n");
	T(sendto(fd, "first", 5, 0, &gone.at, len));
	T(sendto(fd, "second", 6, 0, &gone.at, len));
	T(sendto(fd, "third", 5, 0, &gone.at, len));
	V(ready(fd));
	take(fd, 2, 500, 0, port);
	V(ready(fd));
	take(fd, 100, 20, 0, port);
	V(error_of(fd));
	take(fd, 100, 0, 0, port);

	out("the error first, then the data\n");
	T(sendto(fd, "data", 4, 0, &own.at, len));
	T(sendto(fd, "lost", 4, 0, &gone.at, len));
	V(ready(fd));
	T(recv(fd, &byte, 1, MSG_DONTWAIT));
	T(recv(fd, &byte, 1, MSG_DONTWAIT));
	V(ready(fd));
	take(fd, 100, 500, MSG_PEEK, port);
	V(ready(fd));

	out("select error queue\n");
	MUST(setsockopt(fd, SOL_SOCKET, SO_SELECT_ERR_QUEUE, &one, sizeof one));
	T(sendto(fd, "abc", 3, 0, &gone.at, len));
	V(ready(fd));
	want(fd, family, 0);
	V(ready(fd));
	V(error_of(fd));
	take(fd, 100, 500, 0, port);
	close(fd);

	out("connected, not wanted\n");
	fd = MUST(socket(family, SOCK_DGRAM, 0));
	MUST(connect(fd, &gone.at, len));
	T(send(fd, "abc", 3, 0));
	V(ready(fd));
	take(fd, 100, 500, 0, port);
	T(send(fd, "abc", 3, 0));
	T(send(fd, "abc", 3, 0));
	T(recv(fd, &byte, 1, MSG_DONTWAIT));
	T(recv(fd, &byte, 1, MSG_DONTWAIT));

	out("connected, wanted\n");
	want(fd, family, 1);
	T(send(fd, big, sizeof big, 0));
	V(ready(fd));
	V(error_of(fd));
	V(ready(fd));
	take(fd, 3000, 500, 0, port);
	T(sendto(fd, "abc", 3, 0, &gone.at, len));
	take(fd, 3000, 500, 0, port);

	out("connected, sent elsewhere\n");
	int other = bound(family, &own);
	MUST(connect(fd, &own.at, len));
	T(sendto(fd, "abc", 3, 0, &gone.at, len));
	V(ready(fd));
	take(fd, 100, 500, 0, port);
	close(other);

	out("too long\n");
	static char huge[65536];
	size_t most = family == AF_INET ? 65507 : 65527;
	int dont = 1;
	T(send(fd, huge, 65536, 0));
	take(fd, 100, 500, 0, port);
	T(send(fd, huge, most + 1, 0));
	V(ready(fd));
	V(error_of(fd));
	take(fd, 100, 500, 0, port);
	int free_one = bound(family, &own);
	T(sendto(free_one, huge, most + 1, 0, &gone.at, len));
	take(free_one, 100, 500, 0, port);
	want(free_one, family, 1);
	T(sendto(free_one, huge, most + 1, 0, &gone.at, len));
	take(free_one, 100, 500, 0, port);
	T(setsockopt(free_one, family == AF_INET ? SOL_IP : SOL_IPV6, family == AF_INET ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER,
		     &(int){ IP_PMTUDISC_DO }, sizeof dont));
	T(sendto(free_one, huge, 65480, 0, &own.at, len));
	T(sendto(free_one, huge, family == AF_INET ? 65508 : 65500, 0, &own.at, len));
	take(free_one, 100, 500, 0, port);
	close(free_one);
	close(fd);
}

/* A v6 socket that talks to a v4 address. */
static void mapped(void)
{
	union address gone = nobody(AF_INET), to;
	int fd = MUST(socket(AF_INET6, SOCK_DGRAM, 0)), one = 1;
	memset(&to, 0, sizeof to);
	to.v6.sin6_family = AF_INET6;
	to.v6.sin6_port = gone.v4.sin_port;
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &to.v6.sin6_addr);
	out("mapped\n");
	want(fd, AF_INET6, 1);
	T(sendto(fd, "abc", 3, 0, &to.at, sizeof to.v6));
	take(fd, 100, 500, 0, ntohs(gone.v4.sin_port));
	MUST(setsockopt(fd, SOL_IP, IP_RECVERR, &one, sizeof one));
	T(sendto(fd, "abc", 3, 0, &to.at, sizeof to.v6));
	take(fd, 100, 500, 0, ntohs(gone.v4.sin_port));
	take(fd, 100, 500, 0, ntohs(gone.v4.sin_port));
	close(fd);
}

/* A call that waits for data hears of the error. */
static void *late(void *arg)
{
	int *fd = arg;
	sleep_ms(100);
	send(*fd, "abc", 3, 0);
	return NULL;
}

static void waiting(void)
{
	union address gone = nobody(AF_INET);
	int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	pthread_t thread;
	char byte;
	MUST(connect(fd, &gone.at, sizeof gone.v4));
	pthread_create(&thread, NULL, late, &fd);
	out("waiting\n");
	T(recv(fd, &byte, 1, 0));
	pthread_join(thread, NULL);
	want(fd, AF_INET, 1);
	pthread_create(&thread, NULL, late, &fd);
	struct pollfd p = { fd, POLLIN, 0 };
	T(poll(&p, 1, 5000));
	V(p.revents);
	pthread_join(thread, NULL);
	take(fd, 100, 500, 0, ntohs(gone.v4.sin_port));
	close(fd);
}

/* One datagram and what came with it. */
static void show(int fd)
{
	static char data[70000], control[200];
	struct iovec iov = { data, sizeof data };
	struct msghdr msg = { NULL, 0, &iov, 1, control, sizeof control, 0 };
	int got = recvmsg(fd, &msg, MSG_DONTWAIT);
	if (got < 0) {
		out("  %s\n", errname(errno));
		return;
	}
	out("  %d bytes, first %c", got, got ? data[0] : '-');
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		out(", control %d %d (%d): %d", c->cmsg_level, c->cmsg_type, (int)c->cmsg_len, *(int *)CMSG_DATA(c));
	out("\n");
}

static ssize_t send_parts(int fd, union address *to, socklen_t len, const char *data, size_t count, uint16_t part, size_t part_len)
{
	char control[CMSG_SPACE(sizeof part)] = { 0 };
	struct iovec iov = { (void *)data, count };
	struct msghdr msg = { to, len, &iov, 1, control, CMSG_SPACE(part_len), 0 };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(part_len);
	memcpy(CMSG_DATA(c), &part, part_len);
	return sendmsg(fd, &msg, 0);
}

static void segments(int family)
{
	static char data[60000];
	union address a, b;
	socklen_t len = size_of(family), size;
	int to = bound(family, &a), from = bound(family, &b), value, zero = 0, one = 1;
	static const int values[] = { 1000, 0, 65535, 65536, -1, 3 };
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = 'a' + i / 3 % 26;
	out("segments\n");
	for (int i = 0; i < 6; i++) {
		size = sizeof value;
		T(setsockopt(from, SOL_UDP, UDP_SEGMENT, &values[i], sizeof *values));
		getsockopt(from, SOL_UDP, UDP_SEGMENT, &value, &size);
		V(value);
	}
	T(sendto(from, data, 8, 0, &a.at, len));
	show(to), show(to), show(to), show(to);
	T(sendto(from, data, 3, 0, &a.at, len));
	show(to), show(to);
	T(sendto(from, data, 3 * 129, 0, &a.at, len));
	show(to);
	MUST(setsockopt(from, SOL_UDP, UDP_SEGMENT, &zero, sizeof zero));
	T(send_parts(from, &a, len, data, 8, 6, 2));
	show(to), show(to), show(to);
	T(send_parts(from, &a, len, data, 8, 6, 1));
	show(to);
	out("joined\n");
	size = sizeof value;
	T(getsockopt(to, SOL_UDP, UDP_GRO, &value, &size));
	V(value);
	T(setsockopt(to, SOL_UDP, UDP_GRO, &one, sizeof one));
	T(getsockopt(to, SOL_UDP, UDP_GRO, &value, &size));
	V(value);
	T(send_parts(from, &a, len, data, 20, 6, 2));
	show(to), show(to);
	T(send_parts(from, &a, len, data, 6, 6, 2));
	show(to), show(to);
	T(sendto(from, data, 20, 0, &a.at, len));
	show(to), show(to);
	close(to);
	close(from);
}

int main(void)
{
	out("v4\n");
	unreachable(AF_INET);
	out("v6\n");
	unreachable(AF_INET6);
	mapped();
	waiting();
	segments(AF_INET);
	segments(AF_INET6);
	return 0;
}

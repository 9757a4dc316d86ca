/* Sockets that are the host's. bevor-test: user=both do=--net,host */
#include "t.h"
#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef union {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
} Addr;

static Addr local(int family)
{
	Addr a = { 0 };
	a.any.sa_family = family;
	if (family == AF_INET)
		a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		a.v6.sin6_addr = in6addr_loopback;
	return a;
}

static int bound(int family, int type, Addr *a)
{
	socklen_t len = sizeof *a;
	int fd = MUST(socket(family, type, 0));
	*a = local(family);
	MUST(bind(fd, &a->any, sizeof *a));
	MUST(getsockname(fd, &a->any, &len));
	return fd;
}

static void pair(int family, int s[2])
{
	Addr a;
	int l = bound(family, SOCK_STREAM, &a);
	MUST(listen(l, 5));
	s[0] = MUST(socket(family, SOCK_STREAM, 0));
	MUST(connect(s[0], &a.any, sizeof a));
	s[1] = MUST(accept4(l, NULL, NULL, SOCK_CLOEXEC));
	close(l);
}

static const char *events(int e)
{
	static char text[100];
	snprintf(text, sizeof text, "%s%s%s%s%s%s", e & EPOLLIN ? "IN " : "", e & EPOLLOUT ? "OUT " : "", e & EPOLLPRI ? "PRI " : "",
		 e & EPOLLERR ? "ERR " : "", e & EPOLLHUP ? "HUP " : "", e & EPOLLRDHUP ? "RDHUP " : "");
	return text;
}

static void polled(const char *what, int fd)
{
	struct pollfd p = { fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP };
	poll(&p, 1, 0);
	out("%s: %s\n", what, events(p.revents));
}

static void arrives(int fd)
{
	struct pollfd p = { fd, POLLIN };
	MUST(poll(&p, 1, 5000));
}

static void streams(int family)
{
	char buf[200000];
	int s[2], value, on = 1;
	pair(family, s);
	out("family %s\n", family == AF_INET ? "4" : "6");
	polled("new", s[0]);
	T(send(s[0], "hello", 5, 0));
	arrives(s[1]);
	polled("with bytes", s[1]);
	T(ioctl(s[1], FIONREAD, &value));
	out("%d bytes wait\n", value);
	T(recv(s[1], buf, 2, MSG_PEEK));
	T(recv(s[1], NULL, 2, MSG_TRUNC));
	out_bytes("rest", buf, recv(s[1], buf, 10, 0));
	T(recv(s[1], buf, 10, MSG_DONTWAIT));
	T(fcntl(s[1], F_SETFL, O_NONBLOCK));
	T(read(s[1], buf, 10));
	T(fcntl(s[1], F_SETFL, 0));

	/* More than fits: the writer waits for the reader. */
	pid_t child = MUST(fork());
	if (child == 0) {
		memset(buf, 'x', sizeof buf);
		for (int i = 0; i < 40; i++)
			if (write(s[0], buf, sizeof buf) != sizeof buf)
				_exit(1);
		_exit(0);
	}
	long total = 0;
	for (int i = 0; i < 40; i++)
		total += recv(s[1], buf, sizeof buf, MSG_WAITALL);
	V(total);
	int status;
	MUST(waitpid(child, &status, 0));
	V(status);

	/* A wait for bytes that come later. */
	child = MUST(fork());
	if (child == 0) {
		usleep(50000);
		_exit(write(s[0], "later", 5) != 5);
	}
	T(read(s[1], buf, sizeof buf));
	MUST(waitpid(child, &status, 0));

	/* A reader that wants five bytes at least. */
	value = 5;
	T(setsockopt(s[1], SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value));
	child = MUST(fork());
	if (child == 0) {
		for (int i = 0; i < 2; i++)
			usleep(30000), MUST(write(s[0], "abc", 3));
		_exit(0);
	}
	T(recv(s[1], buf, sizeof buf, 0));
	MUST(waitpid(child, &status, 0));
	MUST(write(s[0], "abc", 3));
	value = 1;
	T(setsockopt(s[1], SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value));
	T(recv(s[1], buf, sizeof buf, 0));

	/* Time-outs. */
	struct timeval tv = { 0, 30000 };
	T(setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	T(recv(s[1], buf, 1, 0));
	T(read(s[1], buf, 1));
	memset(&tv, 0, sizeof tv);
	socklen_t len = sizeof tv;
	T(getsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, &len));
	V(tv.tv_usec / 10000);
	tv = (struct timeval){ 0, 0 };
	T(setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));

	/* An urgent byte. */
	T(send(s[0], "ab!", 3, MSG_OOB));
	struct pollfd p = { s[1], POLLPRI };
	T(poll(&p, 1, 5000));
	polled("urgent", s[1]);
	T(recv(s[1], buf, 10, MSG_OOB));
	out("urgent %c\n", buf[0]);
	out_bytes("before", buf, recv(s[1], buf, 10, 0));
	T(ioctl(s[1], SIOCATMARK, &value));
	V(value);

	/* Vectors, files and pipes. */
	struct iovec iov[3] = { { "one ", 4 }, { NULL, 0 }, { "two", 3 } };
	T(writev(s[0], iov, 3));
	out_bytes("vector", buf, recv(s[1], buf, 7, MSG_WAITALL));
	int file = memfd_create("file", 0);
	MUST(write(file, "in a file", 9));
	off_t at = 3;
	T(sendfile(s[0], file, &at, 100));
	out_bytes("file", buf, recv(s[1], buf, 6, MSG_WAITALL));
	int pipes[2];
	MUST(pipe(pipes));
	MUST(write(pipes[1], "in a pipe", 9));
	T(splice(pipes[0], NULL, s[0], NULL, 9, 0));
	arrives(s[1]);
	T(splice(s[1], NULL, pipes[1], NULL, 9, 0));
	out_bytes("pipe", buf, read(pipes[0], buf, 100));

	/* Passed to another socket and used there. */
	int u[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, u));
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	char byte = 'x';
	struct iovec one = { &byte, 1 };
	struct msghdr m = { .msg_iov = &one, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(c), &s[0], sizeof(int));
	T(sendmsg(u[0], &m, 0));
	close(s[0]);
	T(recvmsg(u[1], &m, 0));
	memcpy(&s[0], CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	T(send(s[0], "passed", 6, 0));
	out_bytes("passed", buf, recv(s[1], buf, 6, MSG_WAITALL));

	/* Halves closed, then both. */
	T(shutdown(s[0], SHUT_WR));
	T(read(s[1], buf, 10));
	polled("half closed", s[1]);
	signal(SIGPIPE, SIG_IGN);
	T(write(s[0], "x", 1));
	T(shutdown(s[1], SHUT_WR));
	arrives(s[0]);
	polled("closed", s[0]);
	T(shutdown(s[0], 7));
	close(s[0]);
	close(s[1]);

	/* A reset. */
	pair(family, s);
	struct linger linger = { 1, 0 };
	T(setsockopt(s[0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
	close(s[0]);
	arrives(s[1]);
	polled("reset", s[1]);
	T(read(s[1], buf, 1));
	T(read(s[1], buf, 1));
	T(setsockopt(s[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
	close(s[1]);

	/* A linger that waits is kept, and does not make close wait. */
	pair(family, s);
	linger = (struct linger){ 1, 5 };
	T(setsockopt(s[0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
	linger = (struct linger){ 0 };
	len = sizeof linger;
	T(getsockopt(s[0], SOL_SOCKET, SO_LINGER, &linger, &len));
	out("linger %d %d\n", linger.l_onoff, linger.l_linger);
	T(write(s[0], "last", 4));
	T(close(s[0]));
	out_bytes("last", buf, read(s[1], buf, 10));
	T(read(s[1], buf, 10));
	close(s[1]);
}

static void connecting(int family)
{
	Addr a;
	int value;
	socklen_t len = sizeof value;
	int l = bound(family, SOCK_STREAM, &a);
	int c = MUST(socket(family, SOCK_STREAM, 0));
	polled("unconnected", c);
	T(connect(c, &a.any, sizeof a));
	MUST(listen(l, 5));
	T(accept4(l, NULL, NULL, 1));
	fcntl(l, F_SETFL, O_NONBLOCK);
	T(accept(l, NULL, NULL));
	int n = MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
	int r = connect(n, &a.any, sizeof a);
	CHECK(r == 0 || errno == EINPROGRESS);
	struct pollfd p = { n, POLLOUT };
	T(poll(&p, 1, 5000));
	T(getsockopt(n, SOL_SOCKET, SO_ERROR, &value, &len));
	V(value);
	arrives(l);
	int s = MUST(accept4(l, NULL, NULL, SOCK_NONBLOCK));
	CHECK(fcntl(s, F_GETFL) & O_NONBLOCK);
	T(connect(n, &a.any, sizeof a) ? errno == EISCONN : 1);
	T(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &value, &len));
	V(value);
	Addr peer, own;
	len = sizeof peer;
	T(getpeername(s, &peer.any, &len));
	V(len);
	len = sizeof own;
	getsockname(n, &own.any, &len);
	CHECK(memcmp(&peer, &own, len) == 0);
	len = 4;
	T(getsockname(n, &own.any, &len));
	V(len);
	struct tcp_info info;
	len = sizeof info;
	T(getsockopt(n, IPPROTO_TCP, TCP_INFO, &info, &len));
	V(info.tcpi_state);
	char name[16] = { 0 };
	len = sizeof name;
	T(getsockopt(n, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	CHECK(name[0] != 0);
	close(n);
	close(s);

	/* Accepting waits. */
	fcntl(l, F_SETFL, 0);
	pid_t child = MUST(fork());
	if (child == 0) {
		usleep(50000);
		int c2 = socket(family, SOCK_STREAM, 0);
		_exit(connect(c2, &a.any, sizeof a) != 0);
	}
	s = accept(l, NULL, NULL);
	CHECK(s >= 0);
	MUST(waitpid(child, &value, 0));
	V(value);
	struct timeval tv = { 0, 30000 };
	T(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	T(accept(l, NULL, NULL));
	T(listen(c, 1));
	close(l);
}

static void datagrams(int family)
{
	Addr a, b, from;
	char buf[70000];
	int on = 1, value;
	socklen_t len;
	int x = bound(family, SOCK_DGRAM, &a), y = bound(family, SOCK_DGRAM, &b);
	T(send(y, "x", 1, 0));
	T(sendto(y, "first", 5, 0, &a.any, sizeof a));
	T(sendto(y, "", 0, 0, &a.any, sizeof a));
	arrives(x);
	len = sizeof from;
	T(recvfrom(x, buf, 3, MSG_TRUNC | MSG_PEEK, &from.any, &len));
	CHECK(memcmp(&from, &b, len) == 0);
	T(recv(x, buf, 3, 0));
	arrives(x);
	T(recv(x, buf, 3, 0));
	T(recv(x, buf, 3, MSG_DONTWAIT));
	T(sendto(y, buf, 65507, 0, &a.any, sizeof a));
	T(recv(x, buf, sizeof buf, 0));
	T(sendto(y, buf, sizeof buf, 0, &a.any, sizeof a));

	/* What comes beside the bytes. */
	int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	T(setsockopt(x, level, family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, &on, sizeof on));
	T(setsockopt(x, level, family == AF_INET ? IP_RECVTTL : IPV6_RECVHOPLIMIT, &on, sizeof on));
	T(setsockopt(x, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on));
	char control[300] = { 0 };
	struct iovec one = { "ttl", 3 };
	struct msghdr m = { .msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &one, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	*c = (struct cmsghdr){ .cmsg_level = level, .cmsg_type = family == AF_INET ? IP_TTL : IPV6_HOPLIMIT, .cmsg_len = CMSG_LEN(sizeof(int)) };
	*(int *)CMSG_DATA(c) = 33;
	T(sendmsg(y, &m, 0));
	c->cmsg_len = 3;
	T(sendmsg(y, &m, 0));
	c->cmsg_len = CMSG_LEN(sizeof(int));
	one = (struct iovec){ buf, sizeof buf };
	m = (struct msghdr){ .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &one, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	T(recvmsg(x, &m, 0));
	V(m.msg_flags);
	V(m.msg_controllen);
	V(m.msg_namelen);
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		out("control %d %d length %zu", c->cmsg_level, c->cmsg_type, c->cmsg_len);
		if (c->cmsg_type == IP_TTL || c->cmsg_type == IPV6_HOPLIMIT)
			out(" value %d", *(int *)CMSG_DATA(c));
		out("\n");
	}
	MUST(sendto(y, "again", 5, 0, &a.any, sizeof a));
	m.msg_controllen = 20;
	T(recvmsg(x, &m, 0));
	V(m.msg_flags);
	V(m.msg_controllen);

	/* Many at a time. */
	struct iovec parts[2] = { { "p", 1 }, { "qq", 2 } };
	struct mmsghdr mm[2] = { { { .msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &parts[0], .msg_iovlen = 1 } },
				 { { .msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &parts[1], .msg_iovlen = 1 } } };
	T(sendmmsg(y, mm, 2, 0));
	arrives(x);
	struct iovec in[2] = { { buf, 10 }, { buf + 10, 10 } };
	struct mmsghdr im[2] = { { { .msg_iov = &in[0], .msg_iovlen = 1 } }, { { .msg_iov = &in[1], .msg_iovlen = 1 } } };
	T(recvmmsg(x, im, 2, 0, NULL));
	out("lengths %u %u\n", im[0].msg_len, im[1].msg_len);

	/* Nobody is there: the error comes with the next call, and in the queue of errors. */
	close(x);
	T(setsockopt(y, level, family == AF_INET ? IP_RECVERR : IPV6_RECVERR, &on, sizeof on));
	T(connect(y, &a.any, sizeof a));
	T(send(y, "lost", 4, 0));
	struct pollfd p = { y, POLLIN };
	T(poll(&p, 1, 5000));
	polled("refused", y);
	len = sizeof value;
	T(getsockopt(y, SOL_SOCKET, SO_ERROR, &value, &len));
	out("error %s\n", errname(value));
	m.msg_controllen = sizeof control;
	T(recvmsg(y, &m, MSG_ERRQUEUE));
	V(m.msg_flags & MSG_ERRQUEUE ? 1 : 0);
	c = CMSG_FIRSTHDR(&m);
	CHECK(c != NULL);
	struct sock_extended_err *e = (void *)CMSG_DATA(c);
	out("queued %d %s origin %d\n", c->cmsg_level, errname(e->ee_errno), e->ee_origin);
	T(recvmsg(y, &m, MSG_ERRQUEUE));
	Addr none = { 0 };
	T(connect(y, &none.any, sizeof none));
	T(getpeername(y, &from.any, &len));
	polled("disconnected", y);
	close(y);
}

static void watched(void)
{
	char buf[100];
	int s[2];
	struct epoll_event e[4];
	pair(AF_INET, s);
	int ep = MUST(epoll_create1(0));
	T(epoll_ctl(ep, EPOLL_CTL_ADD, s[1], &(struct epoll_event){ EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, { .u64 = 1 } }));
	T(epoll_wait(ep, e, 4, 5000));
	out("edge %s\n", events(e[0].events));
	T(epoll_wait(ep, e, 4, 30));
	/* Each arrival is an edge, whether or not the bytes before it were read. */
	for (int i = 0; i < 3; i++) {
		MUST(write(s[0], "1234", 4));
		arrives(s[1]);
		T(epoll_wait(ep, e, 4, 5000));
		out("edge %s\n", events(e[0].events));
		if (i == 1)
			T(read(s[1], buf, 2));
	}
	T(read(s[1], buf, 100));
	MUST(write(s[0], "1234", 4));
	T(epoll_wait(ep, e, 4, 5000));
	T(epoll_ctl(ep, EPOLL_CTL_MOD, s[1], &(struct epoll_event){ EPOLLIN, { .u64 = 1 } }));
	T(epoll_wait(ep, e, 4, 5000));
	T(epoll_wait(ep, e, 4, 5000));
	T(read(s[1], buf, 100));
	T(epoll_wait(ep, e, 4, 0));
	T(epoll_ctl(ep, EPOLL_CTL_MOD, s[1], &(struct epoll_event){ EPOLLIN | EPOLLONESHOT, { .u64 = 1 } }));
	MUST(write(s[0], "1234", 4));
	T(epoll_wait(ep, e, 4, 5000));
	T(epoll_wait(ep, e, 4, 30));
	close(s[0]);
	T(epoll_ctl(ep, EPOLL_CTL_MOD, s[1], &(struct epoll_event){ EPOLLRDHUP, { .u64 = 1 } }));
	T(epoll_wait(ep, e, 4, 5000));
	out("end %s\n", events(e[0].events));
	close(s[1]);
	T(epoll_wait(ep, e, 4, 0));

	/* Level-triggered, waited for by another process. */
	pair(AF_INET6, s);
	T(epoll_ctl(ep, EPOLL_CTL_ADD, s[1], &(struct epoll_event){ EPOLLIN, { .u64 = 2 } }));
	pid_t child = MUST(fork());
	if (child == 0) {
		usleep(50000);
		_exit(write(s[0], "x", 1) != 1);
	}
	T(epoll_wait(ep, e, 4, 5000));
	int status;
	MUST(waitpid(child, &status, 0));
	fd_set set;
	FD_ZERO(&set);
	FD_SET(s[1], &set);
	T(select(s[1] + 1, &set, NULL, NULL, NULL));
	close(s[0]);
	close(s[1]);
	close(ep);
}

static void options(void)
{
	static const struct {
		int level, option, value;
	} kept[] = {
		{ SOL_SOCKET, SO_REUSEADDR, 1 }, { SOL_SOCKET, SO_REUSEPORT, 1 }, { SOL_SOCKET, SO_BROADCAST, 1 }, { SOL_SOCKET, SO_SNDBUF, 20000 },
		{ SOL_SOCKET, SO_RCVBUF, 20000 }, { SOL_SOCKET, SO_OOBINLINE, 1 }, { SOL_SOCKET, SO_PRIORITY, 3 }, { SOL_SOCKET, SO_RCVLOWAT, 5 },
		{ SOL_SOCKET, SO_DONTROUTE, 1 }, { SOL_SOCKET, SO_RXQ_OVFL, 1 }, { SOL_SOCKET, SO_TIMESTAMPNS, 1 },
		{ IPPROTO_IP, IP_TOS, 16 }, { IPPROTO_IP, IP_TTL, 9 }, { IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO }, { IPPROTO_IP, IP_RECVTOS, 1 },
		{ IPPROTO_IP, IP_FREEBIND, 1 }, { IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1 },
		{ IPPROTO_TCP, TCP_MAXSEG, 1000 }, { IPPROTO_TCP, TCP_CORK, 1 }, { IPPROTO_TCP, TCP_KEEPIDLE, 70 }, { IPPROTO_TCP, TCP_KEEPINTVL, 7 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 3 }, { IPPROTO_TCP, TCP_SYNCNT, 2 }, { IPPROTO_TCP, TCP_LINGER2, 10 }, { IPPROTO_TCP, TCP_DEFER_ACCEPT, 1 },
		{ IPPROTO_TCP, TCP_QUICKACK, 0 }, { IPPROTO_TCP, TCP_USER_TIMEOUT, 5000 }, { IPPROTO_TCP, TCP_NOTSENT_LOWAT, 9000 },
	}, kept6[] = {
		{ IPPROTO_IPV6, IPV6_V6ONLY, 1 }, { IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9 }, { IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 3 },
		{ IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0 }, { IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO }, { IPPROTO_IPV6, IPV6_DONTFRAG, 1 },
		{ IPPROTO_IPV6, IPV6_RECVTCLASS, 1 }, { IPPROTO_IPV6, IPV6_TCLASS, 16 },
	};
	int value, s = MUST(socket(AF_INET, SOCK_STREAM, 0)), s6 = MUST(socket(AF_INET6, SOCK_DGRAM, 0)), u = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	socklen_t len;
	for (unsigned i = 0; i < sizeof kept / sizeof *kept; i++) {
		int set = setsockopt(s, kept[i].level, kept[i].option, &kept[i].value, sizeof(int));
		value = -1, len = sizeof value;
		int got = getsockopt(s, kept[i].level, kept[i].option, &value, &len);
		out("option %d %d: %d %d value %d length %d\n", kept[i].level, kept[i].option, set, got, value, len);
	}
	for (unsigned i = 0; i < sizeof kept6 / sizeof *kept6; i++) {
		int set = setsockopt(s6, kept6[i].level, kept6[i].option, &kept6[i].value, sizeof(int));
		value = -1, len = sizeof value;
		int got = getsockopt(s6, kept6[i].level, kept6[i].option, &value, &len);
		out("option %d %d: %d %d value %d length %d\n", kept6[i].level, kept6[i].option, set, got, value, len);
	}
	static const int shown[] = { SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN, SO_ERROR, SO_SNDLOWAT };
	for (unsigned i = 0; i < sizeof shown / sizeof *shown; i++) {
		value = -1, len = sizeof value;
		T(getsockopt(u, SOL_SOCKET, shown[i], &value, &len));
		V(value);
	}
	/* A group on the loopback. */
	struct ip_mreq group = { { inet_addr("239.1.2.3") }, { htonl(INADDR_LOOPBACK) } };
	T(setsockopt(u, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
	T(setsockopt(u, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
	T(setsockopt(u, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group));
	unsigned char ttl = 4;
	T(setsockopt(u, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, 1));
	len = sizeof value;
	T(getsockopt(u, IPPROTO_IP, IP_MULTICAST_TTL, &value, &len));
	V(value);
	/* None there is. */
	T(setsockopt(s, IPPROTO_TCP, 999, &value, sizeof value));
	T(getsockopt(s, SOL_SOCKET, 999, &value, &len));
	T(setsockopt(s, SOL_SOCKET, SO_TYPE, &value, sizeof value));
	struct timeval wrong = { 0, 5000000 };
	T(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &wrong, sizeof wrong));
	T(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &value, 2));
	close(s);
	close(s6);
	close(u);
}

static void refused(void)
{
	T(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	T(socket(AF_INET, 15, 0));
	T(socket(AF_INET, SOCK_SEQPACKET, 0));
	T(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){ 0 }));
	int s = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "\0bevor" };
	T(bind(s, (void *)&un, sizeof un));
	T(connect(s, (void *)&un, sizeof un));
	T(sendto(s, "x", 1, 0, (void *)&un, sizeof un));
	Addr a = local(AF_INET);
	T(connect(s, &a.any, 1));
	T(connect(s, &a.any, 8));
	T(connect(s, &a.any, 1000));
	T(connect(s, NULL, sizeof a));
	T(bind(s, (void *)1, sizeof a));
	T(ioctl(s, FIONREAD, NULL));
	T(ioctl(s, 0x5401, &un));
	T(lseek(s, 0, SEEK_SET));
	T(pread(s, &un, 1, 0));
	T(listen(s, 1));
	T(accept(s, NULL, NULL));
	close(s);
	/* A network namespace of one's own has nothing of the host's. */
	pid_t child = MUST(fork());
	if (child == 0) {
		Addr b;
		int l = bound(AF_INET, SOCK_STREAM, &b);
		MUST(listen(l, 1));
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
			_exit(2);
		int c = MUST(socket(AF_INET, SOCK_STREAM, 0));
		_exit(connect(c, &b.any, sizeof b) == 0);
	}
	int status;
	MUST(waitpid(child, &status, 0));
	V(status);
}

int main(void)
{
	streams(AF_INET);
	streams(AF_INET6);
	connecting(AF_INET);
	connecting(AF_INET6);
	datagrams(AF_INET);
	datagrams(AF_INET6);
	watched();
	options();
	refused();
	return 0;
}

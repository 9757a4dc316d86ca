/* TCP and UDP over the loopback, IPv4 and IPv6. bevor-test: user=both waits=reloaded */
#include "t.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct sockaddr_in local(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

int main(void)
{
	char buf[100000];
	int on = 1, value;
	socklen_t len;
	struct sockaddr_in a = local(0), b;
	int l = MUST(socket(AF_INET, SOCK_STREAM, 0));
	T(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
	T(bind(l, (void *)&a, sizeof a));
	len = sizeof a;
	T(getsockname(l, (void *)&a, &len));
	CHECK(ntohs(a.sin_port) > 0 && a.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
	int early = socket(AF_INET, SOCK_STREAM, 0);
	T(connect(early, (void *)&a, sizeof a));
	T(listen(l, 5));
	int c = MUST(socket(AF_INET, SOCK_STREAM, 0));
	T(recv(c, buf, 1, 0));
	T(connect(c, (void *)&a, sizeof a));
	T(connect(c, (void *)&a, sizeof a));
	len = sizeof b;
	int s = accept(l, (void *)&b, &len);
	CHECK(s >= 0);
	struct sockaddr_in own;
	len = sizeof own;
	getsockname(c, (void *)&own, &len);
	CHECK(b.sin_port == own.sin_port && b.sin_family == AF_INET);
	len = sizeof own;
	T(getpeername(c, (void *)&own, &len));
	CHECK(own.sin_port == a.sin_port);
	T(send(c, "hello", 5, 0));
	out_bytes("received", buf, recv(s, buf, 100, 0));
	T(recv(s, buf, 1, MSG_DONTWAIT));
	T(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
	len = sizeof value;
	T(getsockopt(c, IPPROTO_TCP, TCP_NODELAY, &value, &len));
	V(value);
	T(setsockopt(c, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
	T(getsockopt(c, SOL_SOCKET, SO_KEEPALIVE, &value, &len));
	V(value);
	T(getsockopt(c, SOL_SOCKET, SO_ERROR, &value, &len));
	V(value);
	send(c, "waiting", 7, 0);
	struct pollfd p = { s, POLLIN };
	T(poll(&p, 1, 1000));
	T(ioctl(s, FIONREAD, &value));
	V(value);
	out_bytes("peek", buf, recv(s, buf, 3, MSG_PEEK));
	out_bytes("waitall", buf, recv(s, buf, 7, MSG_WAITALL));
	/* A large transfer through a child. */
	pid_t pid = fork();
	if (pid == 0) {
		unsigned sum = 0;
		long total = 0, got;
		close(c);
		while ((got = recv(s, buf, sizeof buf, 0)) > 0) {
			for (long i = 0; i < got; i++)
				sum = sum * 31 + (unsigned char)buf[i];
			total += got;
		}
		out("child got %ld %u\n", total, sum);
		send(s, "thanks", 6, 0);
		_exit(0);
	}
	unsigned sum = 0;
	for (int round = 0; round < 30; round++) {
		for (unsigned i = 0; i < sizeof buf; i++) {
			buf[i] = round * 7 + i * 3;
			sum = sum * 31 + (unsigned char)buf[i];
		}
		for (size_t at = 0; at < sizeof buf;)
			at += MUST(send(c, buf + at, sizeof buf - at, 0));
	}
	int shut = shutdown(c, SHUT_WR);
	reap("receiver", pid);
	V(shut);
	out("parent sent %u\n", sum);
	out_bytes("answer", buf, recv(c, buf, 100, 0));
	T(send(c, "x", 1, MSG_NOSIGNAL));
	close(s);
	T(recv(c, buf, 1, 0));
	close(c);
	/* Not blocking. */
	c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	fcntl(l, F_SETFL, O_NONBLOCK);
	T(accept(l, NULL, NULL));
	int r = connect(c, (void *)&a, sizeof a);
	CHECK(r == 0 || errno == EINPROGRESS);
	p = (struct pollfd){ c, POLLOUT };
	T(poll(&p, 1, 1000));
	len = sizeof value;
	getsockopt(c, SOL_SOCKET, SO_ERROR, &value, &len);
	V(value);
	p = (struct pollfd){ l, POLLIN };
	T(poll(&p, 1, 1000));
	s = accept4(l, NULL, NULL, SOCK_NONBLOCK);
	CHECK(s >= 0);
	T(recv(s, buf, 1, 0));
	/* Sending to one that has closed: the first bytes vanish. */
	int gone = MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(connect(gone, (void *)&a, sizeof a));
	fcntl(l, F_SETFL, 0);
	int left = MUST(accept(l, NULL, NULL));
	close(gone);
	T(recv(left, buf, 1, 0));
	T(send(left, "", 0, MSG_NOSIGNAL));
	T(send(left, "first", 5, MSG_NOSIGNAL));
	sleep_ms(5);
	T(send(left, "second", 6, MSG_NOSIGNAL));
	T(recv(left, buf, 1, 0));
	close(left);
	/* A reset. */
	struct linger linger = { 1, 0 };
	T(setsockopt(c, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
	close(c);
	p = (struct pollfd){ s, POLLIN };
	T(poll(&p, 1, 1000));
	T(recv(s, buf, 1, 0));
	T(recv(s, buf, 1, 0));
	close(s);
	/* Port in use, port that no one listens at. */
	int other = socket(AF_INET, SOCK_STREAM, 0);
	T(bind(other, (void *)&a, sizeof a));
	close(l);
	T(connect(other, (void *)&a, sizeof a));
	struct sockaddr_in elsewhere = a;
	elsewhere.sin_addr.s_addr = inet_addr("203.0.113.7");
	T(bind(other, (void *)&elsewhere, sizeof elsewhere));
	a.sin_family = 77;
	T(connect(other, (void *)&a, sizeof a));
	T(connect(other, (void *)&a, 3));
	/* 127.0.0.0/8 is all ours, and 0.0.0.0 means here. */
	a = local(0);
	a.sin_addr.s_addr = inet_addr("127.5.6.7");
	l = socket(AF_INET, SOCK_STREAM, 0);
	T(bind(l, (void *)&a, sizeof a));
	listen(l, 1);
	len = sizeof a;
	getsockname(l, (void *)&a, &len);
	c = socket(AF_INET, SOCK_STREAM, 0);
	T(connect(c, (void *)&a, sizeof a));
	close(l);
	close(c);

	/* UDP */
	int u1 = MUST(socket(AF_INET, SOCK_DGRAM, 0)), u2 = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	a = local(0);
	T(bind(u1, (void *)&a, sizeof a));
	len = sizeof a;
	getsockname(u1, (void *)&a, &len);
	T(sendto(u2, "datagram", 8, 0, (void *)&a, sizeof a));
	T(sendto(u2, "", 0, 0, (void *)&a, sizeof a));
	T(sendto(u2, "third", 5, 0, (void *)&a, sizeof a));
	len = sizeof b;
	out_bytes("udp", buf, recvfrom(u1, buf, 100, 0, (void *)&b, &len));
	T(recv(u1, buf, 100, 0));
	T(recv(u1, buf, 2, MSG_TRUNC));
	out_bytes("cut", buf, 2);
	T(recv(u1, buf, 2, MSG_DONTWAIT));
	T(sendto(u1, "back", 4, 0, (void *)&b, sizeof b));
	out_bytes("answer", buf, recv(u2, buf, 100, 0));
	T(connect(u2, (void *)&a, sizeof a));
	T(send(u2, "connected", 9, 0));
	out_bytes("udp", buf, recv(u1, buf, 100, 0));
	T(send(u1, "x", 1, 0));
	T(sendto(u2, buf, 70000, 0, (void *)&a, sizeof a));
	close(u1);
	T(send(u2, "x", 1, 0));
	T(send(u2, "x", 1, 0));
	T(recv(u2, buf, 1, MSG_DONTWAIT));

	/* A peer that is not there. */
	int u3 = socket(AF_INET, SOCK_DGRAM, 0);
	T(connect(u3, (void *)&a, sizeof a));
	len = sizeof b;
	T(getpeername(u3, (void *)&b, &len));
	T(write(u3, "x", 1));
	p = (struct pollfd){ u3, POLLIN };
	T(poll(&p, 1, 1000));
	out("%x\n", p.revents);
	T(recv(u3, buf, 1, MSG_DONTWAIT));
	T(recv(u3, buf, 1, MSG_DONTWAIT));
	T(sendto(u3, "x", 1, 0, (void *)&a, 7));
	/* A connected one hears nobody else. */
	u1 = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(bind(u1, (void *)&a, sizeof a));
	int u4 = socket(AF_INET, SOCK_DGRAM, 0);
	b = local(0);
	MUST(bind(u4, (void *)&b, sizeof b));
	len = sizeof b;
	getsockname(u4, (void *)&b, &len);
	T(connect(u1, (void *)&b, sizeof b));
	T(send(u3, "from another", 12, 0));
	T(sendto(u4, "from the peer", 13, 0, (void *)&a, sizeof a));
	out_bytes("heard", buf, recv(u1, buf, 100, 0));
	T(recv(u1, buf, 100, MSG_DONTWAIT));

	/* IPv6 */
	int l6 = socket(AF_INET6, SOCK_STREAM, 0);
	if (l6 >= 0) {
		struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
		T(bind(l6, (void *)&a6, sizeof a6));
		T(listen(l6, 1));
		len = sizeof a6;
		getsockname(l6, (void *)&a6, &len);
		int c6 = socket(AF_INET6, SOCK_STREAM, 0);
		T(connect(c6, (void *)&a6, sizeof a6));
		int s6 = accept(l6, NULL, NULL);
		send(c6, "six", 3, 0);
		out_bytes("six", buf, recv(s6, buf, 10, 0));
	} else
		out("no IPv6: %s\n", errname(errno));
	/* The interface. */
	struct ifreq ifr = { 0 };
	strcpy(ifr.ifr_name, "lo");
	T(ioctl(u2, SIOCGIFFLAGS, &ifr));
	out("%d %d\n", !!(ifr.ifr_flags & IFF_UP), !!(ifr.ifr_flags & IFF_LOOPBACK));
	T(ioctl(u2, SIOCGIFADDR, &ifr));
	out("%s\n", inet_ntoa(((struct sockaddr_in *)&ifr.ifr_addr)->sin_addr));
	V(if_nametoindex("lo"));
	if (getuid())
		T(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	return 0;
}

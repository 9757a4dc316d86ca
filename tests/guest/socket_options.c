/* Options of sockets: defaults, what set makes of values, errors. bevor-test: user=both */
#include "t.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

static const struct option { int level, option; const char *name; } options[] = {
#define O(level, option) { level, option, #option }
	O(SOL_SOCKET, SO_DEBUG), O(SOL_SOCKET, SO_REUSEADDR), O(SOL_SOCKET, SO_TYPE),
	O(SOL_SOCKET, SO_ERROR), O(SOL_SOCKET, SO_DONTROUTE), O(SOL_SOCKET, SO_BROADCAST),
	O(SOL_SOCKET, SO_KEEPALIVE), O(SOL_SOCKET, SO_OOBINLINE),
	O(SOL_SOCKET, SO_NO_CHECK), O(SOL_SOCKET, SO_PRIORITY), O(SOL_SOCKET, SO_REUSEPORT),
	O(SOL_SOCKET, SO_PASSCRED), O(SOL_SOCKET, SO_RCVLOWAT), O(SOL_SOCKET, SO_SNDLOWAT),
	O(SOL_SOCKET, SO_ACCEPTCONN), O(SOL_SOCKET, SO_PROTOCOL), O(SOL_SOCKET, SO_DOMAIN),
	O(SOL_SOCKET, SO_RXQ_OVFL), O(SOL_SOCKET, SO_TIMESTAMP), O(SOL_SOCKET, SO_TIMESTAMPNS),
	O(SOL_SOCKET, SO_NOFCS), O(SOL_SOCKET, SO_SELECT_ERR_QUEUE),
	O(SOL_SOCKET, 999), O(SOL_SOCKET, SO_MARK),
	O(IPPROTO_IP, IP_TOS), O(IPPROTO_IP, IP_TTL), O(IPPROTO_IP, IP_PKTINFO),
	O(IPPROTO_IP, IP_RECVTTL), O(IPPROTO_IP, IP_RECVTOS), O(IPPROTO_IP, IP_RECVERR),
	O(IPPROTO_IP, IP_MTU_DISCOVER), O(IPPROTO_IP, IP_MULTICAST_TTL),
	O(IPPROTO_IP, IP_MULTICAST_LOOP), O(IPPROTO_IP, IP_FREEBIND), O(IPPROTO_IP, IP_HDRINCL),
	O(IPPROTO_IP, IP_MULTICAST_ALL),
	O(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), O(IPPROTO_IP, IP_MINTTL), O(IPPROTO_IP, 150),
	O(IPPROTO_IPV6, IPV6_V6ONLY), O(IPPROTO_IPV6, IPV6_UNICAST_HOPS),
	O(IPPROTO_IPV6, IPV6_MULTICAST_HOPS), O(IPPROTO_IPV6, IPV6_MULTICAST_LOOP),
	O(IPPROTO_IPV6, IPV6_RECVPKTINFO), O(IPPROTO_IPV6, IPV6_TCLASS),
	O(IPPROTO_IPV6, IPV6_MTU_DISCOVER), O(IPPROTO_IPV6, IPV6_RECVERR),
	O(IPPROTO_TCP, TCP_NODELAY), O(IPPROTO_TCP, TCP_CORK), O(IPPROTO_TCP, TCP_KEEPIDLE),
	O(IPPROTO_TCP, TCP_KEEPINTVL), O(IPPROTO_TCP, TCP_KEEPCNT), O(IPPROTO_TCP, TCP_SYNCNT),
	O(IPPROTO_TCP, TCP_LINGER2), O(IPPROTO_TCP, TCP_DEFER_ACCEPT),
	O(IPPROTO_TCP, TCP_QUICKACK), O(IPPROTO_TCP, TCP_USER_TIMEOUT), O(IPPROTO_TCP, 150),
	O(IPPROTO_UDP, UDP_CORK),
};

static const struct kind { int domain, type; const char *name; } kinds[] = {
	{ AF_UNIX, SOCK_STREAM, "unix stream" }, { AF_UNIX, SOCK_DGRAM, "unix datagram" },
	{ AF_INET, SOCK_STREAM, "tcp" }, { AF_INET, SOCK_DGRAM, "udp" },
	{ AF_INET6, SOCK_STREAM, "tcp6" }, { AF_INET6, SOCK_DGRAM, "udp6" },
};

static int skipped(const struct option *o, int set)
{
	/* What depends on privilege or the build of the kernel. */
	return o->level == SOL_SOCKET && (o->option == SO_DEBUG || o->option == SO_MARK ||
		o->option == SO_PRIORITY) && set;
}

/* How many bytes make a socket readable, and a read return. */
static void low_water(int domain)
{
	int s[2];
	char buf[10];
	if (domain == AF_UNIX) {
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	} else {
		struct sockaddr_in in = { .sin_family = AF_INET,
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t len = sizeof in;
		int l = MUST(socket(AF_INET, SOCK_STREAM, 0));
		MUST(bind(l, (void *)&in, sizeof in));
		MUST(listen(l, 5));
		MUST(getsockname(l, (void *)&in, &len));
		s[1] = MUST(socket(AF_INET, SOCK_STREAM, 0));
		MUST(connect(s[1], (void *)&in, sizeof in));
		s[0] = MUST(accept(l, NULL, NULL));
		close(l);
	}
	int low = 5;
	struct timeval limit = { 0, 50000 };
	struct pollfd poller = { s[0], POLLIN };
	MUST(setsockopt(s[0], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low));
	MUST(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
	T(send(s[1], "abc", 3, 0));
	T(poll(&poller, 1, 20));
	T(recv(s[0], buf, 10, MSG_DONTWAIT | MSG_PEEK));
	long before = now_ms();
	T(recv(s[0], buf, 10, 0));
	CHECK(now_ms() >= before + 40);
	T(send(s[1], "defgh", 5, 0));
	T(poll(&poller, 1, 20));
	before = now_ms();
	T(recv(s[0], buf, 3, 0));
	T(recv(s[0], buf, 2, 0));
	T(recv(s[0], buf, 10, 0));
	T(send(s[1], "ij", 2, 0));
	close(s[1]);
	T(poll(&poller, 1, 20));
	T(recv(s[0], buf, 10, 0));
	T(recv(s[0], buf, 10, 0));
	close(s[0]);
}

int main(void)
{
	static const int values[] = { 0, 1, 5, -1, 300, 1000000 };
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		out("%s\n", kinds[k].name);
		for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
			const struct option *o = &options[i];
			int fd = MUST(socket(kinds[k].domain, kinds[k].type, 0));
			int value = 0x55555555;
			socklen_t len = sizeof value;
			char line[400];
			int at = 0;
			errno = 0;
			int got = getsockopt(fd, o->level, o->option, &value, &len);
			if (got)
				at += sprintf(line, "get %s", errname(errno));
			else
				at += sprintf(line, "%d (%d)", value, (int)len);
			for (size_t v = 0; v < 6 && !skipped(o, 1); v++) {
				value = values[v];
				errno = 0;
				int set = setsockopt(fd, o->level, o->option, &value, sizeof value);
				if (set) {
					at += sprintf(line + at, ", %d %s", values[v], errname(errno));
					continue;
				}
				len = sizeof value;
				value = 0x55555555;
				got = getsockopt(fd, o->level, o->option, &value, &len);
				at += sprintf(line + at, ", %d -> %d", values[v], got ? -99 : value);
			}
			out("  %s: %s\n", o->name, line);
			close(fd);
		}
		int fd = MUST(socket(kinds[k].domain, kinds[k].type, 0));
		int value = 1;
		T(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, 3));
		T(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, NULL, 4));
		T(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, -1));
		T(setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, 4));
		T(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &value, 4));
		T(setsockopt(fd, 77, 1, &value, 4));
		socklen_t len = -1;
		T(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, &len));
		len = 2;
		T(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len));
		V(len);
		T(getsockopt(fd, 77, 1, &value, &len));
		close(fd);
	}
	out("low water, tcp\n");
	low_water(AF_INET);
	out("low water, unix\n");
	low_water(AF_UNIX);
	int udp = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	T(recv(udp, (char[1]){ 0 }, 1, MSG_ERRQUEUE));
	int tcp = MUST(socket(AF_INET, SOCK_STREAM, 0));
	T(recv(tcp, (char[1]){ 0 }, 1, MSG_ERRQUEUE));
	return 0;
}

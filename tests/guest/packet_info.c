/* What datagrams carry beside their bytes: addresses, hop limits, classes, times; UDP-Lite.
 * bevor-test: user=both */
#include "t.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#ifndef IPPROTO_UDPLITE
#define IPPROTO_UDPLITE 136
#endif

static int on = 1, off = 0;

/* Receives one message and prints its control messages. */
static void receive(int fd, size_t room)
{
	char data[100], control[512];
	struct iovec iov = { data, sizeof data };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = room };
	memset(control, 0x55, sizeof control);
	ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);
	if (got < 0) {
		out("  recvmsg %s\n", errname(errno));
		return;
	}
	out("  %zd bytes flags %x control %zu\n", got, message.msg_flags, message.msg_controllen);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		size_t len = c->cmsg_len - CMSG_LEN(0);
		char text[200] = "";
		int time = c->cmsg_level == SOL_SOCKET;
		int port = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_ORIGDSTADDR) ||
			   (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == 74);
		for (size_t i = 0; i < len && i < 60 && !time; i++)
			sprintf(text + 2 * i, "%02x",
				port && (i == 2 || i == 3) ? 0 : CMSG_DATA(c)[i]);
		out("  level %d type %d length %zu %s\n", c->cmsg_level, c->cmsg_type, len, text);
		if (time && c->cmsg_type == SO_TIMESTAMP) {
			struct timeval t, now;
			memcpy(&t, CMSG_DATA(c), sizeof t);
			gettimeofday(&now, NULL);
			CHECK(t.tv_sec <= now.tv_sec && t.tv_sec > now.tv_sec - 60);
		}
	}
}

static ssize_t send_with(int fd, void *to, socklen_t len, int level, int type, void *data,
			 size_t bytes)
{
	char control[128] = { 0 };
	struct iovec iov = { "hello", 5 };
	struct msghdr message = { .msg_name = to, .msg_namelen = len, .msg_iov = &iov,
				  .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = CMSG_SPACE(bytes) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(bytes);
	memcpy(CMSG_DATA(c), data, bytes);
	return sendmsg(fd, &message, 0);
}

#define SEND(level, type, value)                                                              \
	({                                                                                    \
		__typeof__(value) v = (value);                                                \
		T(send_with(s, &to, len, level, type, &v, sizeof v));                         \
	})

static void v4(int protocol)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof to;
	int r = MUST(socket(AF_INET, SOCK_DGRAM, protocol));
	int s = MUST(socket(AF_INET, SOCK_DGRAM, protocol));
	int value;
	MUST(bind(r, (void *)&to, len));
	MUST(getsockname(r, (void *)&to, &len));
	socklen_t value_len = sizeof value;
	MUST(getsockopt(r, SOL_SOCKET, SO_PROTOCOL, &value, &value_len));
	V(value);
	T(sendto(s, "x", 1, 0, (void *)&to, len));
	receive(r, 512);
	int options[] = { IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVORIGDSTADDR };
	for (int i = 0; i < 4; i++)
		MUST(setsockopt(r, IPPROTO_IP, options[i], &on, sizeof on));
	T(sendto(s, "x", 1, 0, (void *)&to, len));
	receive(r, 512);
	T(sendto(s, "x", 1, 0, (void *)&to, len));
	receive(r, 60);
	value = 7;
	MUST(setsockopt(s, IPPROTO_IP, IP_TTL, &value, sizeof value));
	value = 16;
	MUST(setsockopt(s, IPPROTO_IP, IP_TOS, &value, sizeof value));
	T(sendto(s, "x", 1, 0, (void *)&to, len));
	receive(r, 512);
	MUST(setsockopt(r, IPPROTO_IP, IP_PKTINFO, &off, sizeof off));
	MUST(setsockopt(r, IPPROTO_IP, IP_RECVORIGDSTADDR, &off, sizeof off));
	SEND(IPPROTO_IP, IP_TTL, 9);
	receive(r, 512);
	SEND(IPPROTO_IP, IP_TTL, 0);
	SEND(IPPROTO_IP, IP_TTL, 256);
	SEND(IPPROTO_IP, IP_TTL, (char)1);
	SEND(IPPROTO_IP, IP_TOS, 8);
	receive(r, 512);
	SEND(IPPROTO_IP, IP_TOS, (char)4);
	receive(r, 512);
	SEND(IPPROTO_IP, IP_TOS, 256);
	SEND(IPPROTO_IP, 99, 1);
	SEND(SOL_SOCKET, 99, 1);
	SEND(SOL_SOCKET, SCM_RIGHTS, 1);
	receive(r, 512);
	SEND(1234, 99, 1);
	receive(r, 512);
	struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(INADDR_LOOPBACK) };
	SEND(IPPROTO_IP, IP_PKTINFO, info);
	receive(r, 512);
	close(r);
	close(s);
}

static void v6(int protocol)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	socklen_t len = sizeof to;
	int r = socket(AF_INET6, SOCK_DGRAM, protocol);
	int s = MUST(socket(AF_INET6, SOCK_DGRAM, protocol));
	if (bind(r, (void *)&to, len)) {
		out("no IPv6\n");
		return;
	}
	MUST(getsockname(r, (void *)&to, &len));
	int options[] = { IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_RECVRTHDR,
			  IPV6_RECVHOPOPTS, IPV6_RECVDSTOPTS, 74 };
	for (int i = 0; i < 7; i++)
		MUST(setsockopt(r, IPPROTO_IPV6, options[i], &on, sizeof on));
	T(sendto(s, "x", 1, 0, (void *)&to, len));
	receive(r, 512);
	T(sendto(s, "x", 1, 0, (void *)&to, len));
	receive(r, 57);
	T(sendto(s, "x", 1, 0, (void *)&to, len));
	receive(r, 8);
	MUST(setsockopt(r, IPPROTO_IPV6, IPV6_RECVPKTINFO, &off, sizeof off));
	MUST(setsockopt(r, IPPROTO_IPV6, 74, &off, sizeof off));
	int value = 9;
	MUST(setsockopt(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &value, sizeof value));
	value = 32;
	MUST(setsockopt(s, IPPROTO_IPV6, IPV6_TCLASS, &value, sizeof value));
	T(sendto(s, "x", 1, 0, (void *)&to, len));
	receive(r, 512);
	SEND(IPPROTO_IPV6, IPV6_HOPLIMIT, 3);
	receive(r, 512);
	SEND(IPPROTO_IPV6, IPV6_HOPLIMIT, -1);
	receive(r, 512);
	SEND(IPPROTO_IPV6, IPV6_HOPLIMIT, 256);
	SEND(IPPROTO_IPV6, IPV6_TCLASS, 5);
	receive(r, 512);
	SEND(IPPROTO_IPV6, IPV6_TCLASS, 300);
	SEND(IPPROTO_IPV6, 99, 1);
	close(r);

	/* A socket for both families. */
	r = MUST(socket(AF_INET6, SOCK_DGRAM, protocol));
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
	MUST(bind(r, (void *)&any, sizeof any));
	MUST(getsockname(r, (void *)&any, &len));
	for (int i = 0; i < 3; i++)
		MUST(setsockopt(r, IPPROTO_IPV6, options[i], &on, sizeof on));
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				    .sin_port = any.sin6_port };
	int f = MUST(socket(AF_INET, SOCK_DGRAM, protocol));
	T(sendto(f, "x", 1, 0, (void *)&four, sizeof four));
	receive(r, 512);
	close(f);
	close(r);
	close(s);
}

static void times(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof to;
	int r = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	int s = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(bind(r, (void *)&to, len));
	MUST(getsockname(r, (void *)&to, &len));
	int options[] = { SO_TIMESTAMP, SO_TIMESTAMPNS };
	for (int i = 0; i < 2; i++) {
		int value[2];
		T(setsockopt(r, SOL_SOCKET, options[i], &on, sizeof on));
		for (int j = 0; j < 2; j++) {
			len = sizeof value[j];
			MUST(getsockopt(r, SOL_SOCKET, options[j], &value[j], &len));
		}
		out("options %d %d\n", value[0], value[1]);
		len = sizeof to;
		T(sendto(s, "x", 1, 0, (void *)&to, len));
		receive(r, 512);
	}
	T(setsockopt(r, SOL_SOCKET, SO_TIMESTAMP, &off, sizeof off));
	T(sendto(s, "x", 1, 0, (void *)&to, len));
	receive(r, 512);
	int pair[2];
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	T(setsockopt(pair[0], SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on));
	T(send(pair[1], "x", 1, 0));
	receive(pair[0], 512);
}

int main(void)
{
	out("udp, 4\n");
	v4(0);
	out("udp-lite, 4\n");
	v4(IPPROTO_UDPLITE);
	out("udp, 6\n");
	v6(0);
	out("udp-lite, 6\n");
	v6(IPPROTO_UDPLITE);
	out("times\n");
	times();
	return 0;
}

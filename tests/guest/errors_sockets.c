/* Errors of the socket calls. bevor-test: user=both */
#include "provoke.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>

static int pipes[2];

static struct sockaddr_in loopback(int port)
{
	struct sockaddr_in at = { AF_INET, htons(port), { htonl(INADDR_LOOPBACK) } };
	return at;
}

static struct sockaddr_un path(const char *name)
{
	struct sockaddr_un at = { AF_UNIX };
	strncpy(at.sun_path, name, sizeof at.sun_path - 1);
	return at;
}

static struct sockaddr_in bound(int fd)
{
	struct sockaddr_in at = loopback(0);
	socklen_t len = sizeof at;
	MUST(bind(fd, (void *)&at, sizeof at));
	MUST(getsockname(fd, (void *)&at, &len));
	return at;
}

static int tcp(void)
{
	return MUST(socket(AF_INET, SOCK_STREAM, 0));
}

static int udp(void)
{
	return MUST(socket(AF_INET, SOCK_DGRAM, 0));
}

static void making(void)
{
	int two[2];
	E(socket, "fine", AF_INET, SOCK_STREAM, 0);
	E(socket, "no such family", 99, SOCK_STREAM, 0);
	E(socket, "strange kind", AF_INET, 99, 0);
	E(socket, "no such protocol", AF_INET, SOCK_STREAM, IPPROTO_UDP);
	E(socketpair, "fine", AF_UNIX, SOCK_STREAM, 0, two);
	E(socketpair, "bad address", AF_UNIX, SOCK_STREAM, 0, NOWHERE);
	E(socketpair, "no pairs", AF_INET, SOCK_STREAM, 0, two);
	E(socketpair, "no such family", 99, SOCK_STREAM, 0, two);
	E(socketpair, "no such protocol", AF_UNIX, SOCK_STREAM, 99, two);
	CHILD("no descriptor",
	      no_descriptors();
	      E(socket, "limit", AF_INET, SOCK_STREAM, 0);
	      E(socketpair, "limit", AF_UNIX, SOCK_STREAM, 0, two));
	CHILD("as nobody", become_nobody(); E(socket, "no right", AF_INET, SOCK_RAW, IPPROTO_ICMP));
	if (getuid() == 0)
		CHILD("own network",
		      MUST(unshare(CLONE_NEWNET));
		      E(socket, "no group may", AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
}

/* What every call says of a descriptor that is none, or no socket, and of bad addresses. */
static void descriptors(void)
{
	int fd[3] = { 999, pipes[0] }, value = 0;
	socklen_t len = sizeof value, size;
	struct sockaddr_in at = loopback(9);
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct mmsghdr many = { msg };
	for (int i = 0; i < 2; i++) {
		const char *why = i ? "not a socket" : "no descriptor";
		size = sizeof at;
		E(connect, why, fd[i], &at, sizeof at);
		E(accept, why, fd[i], NULL, NULL);
		E(accept4, why, fd[i], NULL, NULL, 0);
		E(bind, why, fd[i], &at, sizeof at);
		E(listen, why, fd[i], 1);
		E(shutdown, why, fd[i], SHUT_RD);
		E(getsockname, why, fd[i], &at, &size);
		E(getpeername, why, fd[i], &at, &size);
		E(getsockopt, why, fd[i], SOL_SOCKET, SO_TYPE, &value, &len);
		E(setsockopt, why, fd[i], SOL_SOCKET, SO_REUSEADDR, &value, 4);
		E(sendto, why, fd[i], &byte, 1L, 0, NULL, 0);
		E(recvfrom, why, fd[i], &byte, 1L, 0, NULL, NULL);
		E(sendmsg, why, fd[i], &msg, 0);
		E(recvmsg, why, fd[i], &msg, 0);
		E(sendmmsg, why, fd[i], &many, 1, 0);
		E(recvmmsg, why, fd[i], &many, 1, 0, NULL);
	}
	int two[2], listener = tcp(), peer = tcp(), sender = udp();
	at = bound(listener);
	MUST(listen(listener, 5));
	MUST(connect(peer, (void *)&at, sizeof at));
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, two));
	size = sizeof at;
	E(connect, "bad address", peer, NOWHERE, 16);
	E(bind, "bad address", sender, NOWHERE, 16);
	E(accept, "negative length", listener, &at, &(int){ -1 });
	MUST(connect(tcp(), (void *)&at, sizeof at));
	E(accept, "bad address", listener, NOWHERE, &size);
	MUST(connect(tcp(), (void *)&at, sizeof at));
	E(accept4, "bad address", listener, NOWHERE, &size, 0);
	E(accept4, "strange flag", listener, NULL, NULL, 1);
	E(getsockname, "fine", listener, &at, &size);
	E(getsockname, "bad address", listener, NOWHERE, &size);
	E(getsockname, "negative length", listener, &at, &(int){ -1 });
	E(getpeername, "fine", peer, &at, &size);
	E(getpeername, "bad address", peer, NOWHERE, &size);
	E(getpeername, "negative length", peer, &at, &(int){ -1 });
	E(getpeername, "not connected", listener, &at, &size);
	E(getsockopt, "fine", peer, SOL_SOCKET, SO_TYPE, &value, &len);
	E(getsockopt, "bad address", peer, SOL_SOCKET, SO_TYPE, NOWHERE, &len);
	E(getsockopt, "bad length", peer, SOL_SOCKET, SO_TYPE, &value, NOWHERE);
	E(getsockopt, "negative length", peer, SOL_SOCKET, SO_TYPE, &value, &(int){ -1 });
	E(getsockopt, "no such option", peer, SOL_SOCKET, 9999, &value, &len);
	E(setsockopt, "fine", peer, SOL_SOCKET, SO_KEEPALIVE, &value, 4);
	E(setsockopt, "bad address", peer, SOL_SOCKET, SO_KEEPALIVE, NOWHERE, 4);
	E(setsockopt, "too short", peer, SOL_SOCKET, SO_KEEPALIVE, &value, 1);
	E(setsockopt, "no such option", peer, SOL_SOCKET, 9999, &value, 4);
	E(sendto, "bad buffer", two[0], NOWHERE, 10L, 0, NULL, 0);
	E(sendto, "bad address", sender, &byte, 1L, 0, NOWHERE, 16);
	E(sendmsg, "bad message", two[0], NOWHERE, 0);
	E(sendmmsg, "bad message", two[0], NOWHERE, 1, 0);
	E(recvmsg, "bad message", two[0], NOWHERE, 0);
	E(recvmmsg, "bad message", two[0], NOWHERE, 1, 0, NULL);
	E(recvmmsg, "too many nanoseconds", two[0], &many, 1, 0, &(struct timespec){ 0, 1000000000 });
	E(recvmmsg, "would block", two[0], &many, 1, MSG_DONTWAIT, NULL);
	MUST(write(two[1], "x", 1));
	E(recvfrom, "bad buffer", two[0], NOWHERE, 10L, 0, NULL, NULL);
	E(sendmsg, "fine", two[0], &msg, 0);
	E(recvmsg, "fine", two[1], &msg, 0);
	E(sendmmsg, "fine", two[0], &many, 1, 0);
	E(recvmmsg, "fine", two[1], &many, 1, 0, NULL);
	MUST(write(two[1], "x", 1));
	E(recvfrom, "fine", two[0], &byte, 1L, 0, NULL, NULL);
	E(shutdown, "do what?", peer, 99);
	E(shutdown, "not connected", tcp(), SHUT_RD);
	E(shutdown, "fine", peer, SHUT_WR);
	E(listen, "cannot", sender, 1);
	E(accept, "cannot", sender, NULL, NULL);
	E(accept4, "cannot", sender, NULL, NULL, 0);
	E(accept, "not listening", tcp(), NULL, NULL);
	E(accept4, "not listening", tcp(), NULL, NULL, 0);
	fcntl(listener, F_SETFL, O_NONBLOCK);
	E(accept, "one", listener, NULL, NULL);
	E(accept, "none", listener, NULL, NULL);
	E(accept4, "none", listener, NULL, NULL, 0);
	fcntl(listener, F_SETFL, 0);
	EINTERRUPTED(accept, "interrupted", listener, NULL, NULL);
	EINTERRUPTED(accept4, "interrupted", listener, NULL, NULL, 0);
	MUST(connect(tcp(), (void *)&at, sizeof at));
	CHILD("no descriptor",
	      no_descriptors();
	      E(accept, "limit", listener, NULL, NULL);
	      E(accept4, "limit", listener, NULL, NULL, 0));
}

static void names(void)
{
	struct sockaddr_un at = path("socket"), deep = path("nowhere/socket"), loop = path("loop/socket"),
			   through = path("file/socket"), closed = path("closed/socket"), plain = path("file");
	struct sockaddr_in home = loopback(0), foreign = { AF_INET, 0, { htonl(0x08080808) } };
	int one = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), two = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(symlink("loop", "loop"));
	close(make_file("file", "x"));
	MUST(mkdir("closed", 0));
	E(bind, "fine", one, &at, sizeof at);
	E(bind, "has a name", one, &at, sizeof at);
	E(bind, "taken", two, &at, sizeof at);
	E(bind, "no folder", two, &deep, sizeof deep);
	E(bind, "loop", two, &loop, sizeof loop);
	E(bind, "below a file", two, &through, sizeof through);
	E(bind, "too short", two, &at, 1);
	E(bind, "foreign address", tcp(), &foreign, sizeof foreign);
	E(connect, "nobody listens", two, &at, sizeof at);
	MUST(listen(one, 1));
	E(connect, "another kind", MUST(socket(AF_UNIX, SOCK_DGRAM, 0)), &at, sizeof at);
	E(connect, "no socket", two, &plain, sizeof plain);
	E(connect, "missing", two, &deep, sizeof deep);
	E(connect, "fine", two, &at, sizeof at);
	E(connect, "again", two, &at, sizeof at);
	E(sendto, "to another", two, "x", 1L, 0, &at, sizeof at);
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_name = &at, .msg_namelen = sizeof at };
	E(sendmsg, "to another", two, &msg, 0);
	int late = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), later = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	MUST(connect(MUST(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&at, sizeof at));
	E(connect, "no room", later, &at, sizeof at);
	EINTERRUPTED(connect, "interrupted", late, &at, sizeof at);
	MUST(chmod("socket", 0600));
	CHILD("as nobody",
	      int datagram = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	      struct sockaddr_un box = path("box");
	      MUST(bind(datagram, (void *)&box, sizeof box));
	      MUST(chmod("box", 0));
	      become_nobody();
	      E(bind, "closed folder", MUST(socket(AF_UNIX, SOCK_STREAM, 0)), &closed, sizeof closed);
	      E(connect, "closed folder", MUST(socket(AF_UNIX, SOCK_STREAM, 0)), &closed, sizeof closed);
	      int sender = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	      struct msghdr to = { .msg_iov = &iov, .msg_iovlen = 1, .msg_name = &box, .msg_namelen = sizeof box };
	      struct mmsghdr many = { to };
	      E(sendto, "not for writing", sender, "x", 1L, 0, &box, sizeof box);
	      E(sendmsg, "not for writing", sender, &to, 0);
	      E(sendmmsg, "not for writing", sender, &many, 1, 0));
	if (getuid() == 0)
		CHILD("read-only",
		      struct sockaddr_un fixed = path("closed/other");
		      MUST(unshare(CLONE_NEWNS));
		      MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
		      MUST(mount("none", "closed", "tmpfs", MS_RDONLY, NULL));
		      E(bind, "read-only", MUST(socket(AF_UNIX, SOCK_STREAM, 0)), &fixed, sizeof fixed));
	int first = tcp(), second = tcp(), yes = 1;
	setsockopt(first, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	setsockopt(second, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	home = bound(first);
	E(bind, "shared", second, &home, sizeof home);
	E(listen, "fine", first, 1);
	E(listen, "somebody listens", second, 1);
	E(bind, "somebody listens", tcp(), &home, sizeof home);
}

/* Connections, and what one learns from sending. */
static void sending(void)
{
	struct sockaddr_in at = loopback(9), any = loopback(1);
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 }, to = msg, reply = msg;
	struct mmsghdr many = { msg };
	char byte, *large = calloc(1, 300000);
	int listener = tcp(), closed = udp(), fd, two[2], yes = 1;
	signal(SIGPIPE, SIG_IGN);
	struct iovec back = { &byte, 1 };
	reply.msg_iov = &back;

	/* A port that nobody listens at: ours, but not listening. */
	int silent = tcp();
	at = bound(silent);
	E(connect, "nobody listens", tcp(), &at, sizeof at);
	E(connect, "no such family", tcp(), &(struct sockaddr){ 99 }, sizeof(struct sockaddr));
	E(connect, "too short", tcp(), &at, 3);
	at = bound(listener);
	MUST(listen(listener, 5));
	fd = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	E(connect, "in progress", fd, &at, sizeof at);
	fd = tcp();
	E(connect, "fine", fd, &at, sizeof at);
	E(connect, "again", fd, &at, sizeof at);

	E(sendto, "not connected", tcp(), "x", 1L, 0, NULL, 0);
	E(sendmsg, "not connected", tcp(), &msg, 0);
	E(sendmmsg, "not connected", MUST(socket(AF_UNIX, SOCK_STREAM, 0)), &many, 1, 0);
	E(sendto, "not connected", MUST(socket(AF_UNIX, SOCK_STREAM, 0)), "x", 1L, 0, NULL, 0);
	E(sendmsg, "not connected", MUST(socket(AF_UNIX, SOCK_STREAM, 0)), &msg, 0);
	E(recvfrom, "not connected", tcp(), &byte, 1L, 0, NULL, NULL);
	E(recvmsg, "not connected", tcp(), &reply, 0);
	E(recvfrom, "nothing urgent", fd, &byte, 1L, MSG_OOB, NULL, NULL);
	E(recvmsg, "nothing urgent", fd, &reply, MSG_OOB);
	E(sendto, "no destination", udp(), "x", 1L, 0, NULL, 0);
	E(sendmsg, "no destination", udp(), &msg, 0);
	E(sendmmsg, "no destination", udp(), &many, 1, 0);
	struct sockaddr_in port = bound(closed);
	E(sendto, "too long", udp(), large, 100000L, 0, &port, sizeof port);
	struct iovec long_iov = { large, 100000 };
	struct msghdr long_msg = { .msg_iov = &long_iov, .msg_iovlen = 1, .msg_name = &port, .msg_namelen = sizeof port };
	struct mmsghdr long_many = { long_msg };
	E(sendmsg, "too long", udp(), &long_msg, 0);
	E(sendmmsg, "too long", udp(), &long_many, 1, 0);
	E(sendto, "cannot be urgent", udp(), "x", 1L, MSG_OOB, &port, sizeof port);
	long_msg.msg_iov = &iov;
	E(sendmsg, "cannot be urgent", udp(), &long_msg, MSG_OOB);
	E(sendto, "address too short", udp(), "x", 1L, 0, &port, 3);
	long_msg.msg_namelen = 3;
	E(sendmsg, "address too short", udp(), &long_msg, 0);
	long_msg.msg_iovlen = 5000;
	E(sendmsg, "too many buffers", udp(), &long_msg, 0);
	struct msghdr huge = msg;
	huge.msg_control = large;
	huge.msg_controllen = 1UL << 32;
	E(sendmsg, "too much control", udp(), &huge, 0);

	/* Refused datagrams. */
	for (int call = 0; call < 4; call++) {
		int gone = udp(), sender = udp();
		port = bound(gone);
		close(gone);
		MUST(connect(sender, (void *)&port, sizeof port));
		MUST(send(sender, "x", 1, 0));
		poll(&(struct pollfd){ sender, 0 }, 1, 5000);
		if (call == 0)
			E(sendto, "refused", sender, "x", 1L, 0, NULL, 0);
		else if (call == 1)
			E(sendmsg, "refused", sender, &msg, 0);
		else if (call == 2)
			E(recvfrom, "refused", sender, &byte, 1L, 0, NULL, NULL);
		else
			E(recvmsg, "refused", sender, &reply, 0);
	}

	/* Reset connections. */
	for (int call = 0; call < 4; call++) {
		struct linger hard = { 1, 0 };
		int side = tcp();
		MUST(connect(side, (void *)&at, sizeof at));
		int other;
		do {
			struct sockaddr_in who, mine;
			socklen_t len = sizeof who;
			other = MUST(accept(listener, (void *)&who, &len));
			len = sizeof mine;
			MUST(getsockname(side, (void *)&mine, &len));
			if (mine.sin_port == who.sin_port)
				break;
			close(other);
		} while (1);
		MUST(setsockopt(other, SOL_SOCKET, SO_LINGER, &hard, sizeof hard));
		close(other);
		poll(&(struct pollfd){ side, 0 }, 1, 5000);
		if (call == 0)
			E(sendto, "reset", side, "x", 1L, 0, NULL, 0);
		else if (call == 1)
			E(sendmsg, "reset", side, &msg, 0);
		else if (call == 2)
			E(recvfrom, "reset", side, &byte, 1L, 0, NULL, NULL);
		else
			E(recvmsg, "reset", side, &reply, 0);
		E(sendto, "reset before", side, "x", 1L, 0, NULL, 0);
	}

	/* Pipes of sockets. */
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, two));
	E(recvfrom, "would block", two[0], &byte, 1L, MSG_DONTWAIT, NULL, NULL);
	E(recvmsg, "would block", two[0], &reply, MSG_DONTWAIT);
	EINTERRUPTED(recvfrom, "interrupted", two[0], &byte, 1L, 0, NULL, NULL);
	EINTERRUPTED(recvmsg, "interrupted", two[0], &reply, 0);
	while (send(two[0], large, 10000, MSG_DONTWAIT) > 0)
		;
	while (send(two[0], large, 1, MSG_DONTWAIT) > 0)
		;
	E(sendto, "would block", two[0], "x", 1L, MSG_DONTWAIT, NULL, 0);
	E(sendmsg, "would block", two[0], &msg, MSG_DONTWAIT);
	E(sendmmsg, "would block", two[0], &many, 1, MSG_DONTWAIT);
	EINTERRUPTED(sendto, "interrupted", two[0], "x", 1L, 0, NULL, 0);
	EINTERRUPTED(sendmsg, "interrupted", two[0], &msg, 0);
	close(two[1]);
	E(sendto, "closed", two[0], "x", 1L, 0, NULL, 0);
	E(sendmsg, "closed", two[0], &msg, 0);
	E(sendmmsg, "closed", two[0], &many, 1, 0);
}

/* What needs a network of one's own. */
static void unreachable(void)
{
	struct sockaddr_in at = loopback(9), source = loopback(0);
	int first = tcp(), second = tcp(), listener = tcp(), yes = 1;
	setsockopt(first, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	setsockopt(second, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	at = bound(listener);
	MUST(listen(listener, 5));
	source = bound(first);
	MUST(bind(second, (void *)&source, sizeof source));
	E(connect, "from one port", first, &at, sizeof at);
	E(connect, "from the same port", second, &at, sizeof at);
	if (getuid() == 0)
		CHILD("own network",
		      MUST(unshare(CLONE_NEWNET));
		      struct sockaddr_in far = { AF_INET, htons(9), { htonl(0x08080808) } };
		      E(connect, "no route", tcp(), &far, sizeof far);
		      E(sendto, "no route", udp(), "x", 1L, 0, &far, sizeof far));
	/* A listener without room lets connections wait. */
	int full = tcp();
	at = bound(full);
	MUST(listen(full, 0));
	MUST(connect(tcp(), (void *)&at, sizeof at));
	int waiting = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	E(connect, "waits", waiting, &at, sizeof at);
	E(connect, "waits already", waiting, &at, sizeof at);
	int late = tcp();
	EINTERRUPTED(connect, "interrupted", late, &at, sizeof at);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	scratch();
	chmod(".", 0777);
	MUST(pipe(pipes));
	making();
	descriptors();
	names();
	sending();
	unreachable();
	unscratch();
	return 0;
}

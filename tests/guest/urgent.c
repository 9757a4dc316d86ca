/* Urgent data: MSG_OOB, SIOCATMARK, SIGURG, SO_OOBINLINE. bevor-test: user=both */
#include "t.h"
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define RT (SIGRTMIN + 3)

static sigset_t watched;
static int is_unix;

static void told(const char *what)
{
	siginfo_t info;
	struct timespec grace = { 0, 200 * 1000000 };
	int urgent = 0, priority = 0;
	while (sigtimedwait(&watched, &info, &grace) > 0) {
		grace.tv_nsec = 30 * 1000000;
		urgent |= info.si_signo == SIGURG;
		priority |= info.si_signo == RT && info.si_code == POLL_PRI;
	}
	out("%s:%s%s%s\n", what, urgent ? " SIGURG" : "", priority ? " POLL_PRI" : "",
	    urgent || priority ? "" : " nothing");
}

static void pair(int domain, int s[2])
{
	if (domain == AF_UNIX) {
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
		return;
	}
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
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

/* What poll, FIONREAD and SIOCATMARK say. Unix sockets count bytes already taken (as of 6.18). */
static void look(int fd)
{
	struct pollfd poller = { fd, POLLIN | POLLPRI };
	int bytes = -1, mark = -1;
	poll(&poller, 1, 0);
	ioctl(fd, FIONREAD, &bytes);
	ioctl(fd, SIOCATMARK, &mark);
	if (is_unix)
		out("  urgent %d mark %d\n", !!(poller.revents & POLLPRI), mark);
	else
		out("  poll %x bytes %d mark %d\n", poller.revents, bytes, mark);
}

static void get(int fd, int count, int flags)
{
	char buf[100];
	ssize_t got = recv(fd, buf, count, flags | MSG_DONTWAIT);
	if (got < 0)
		out("  recv %d flags %x: %s\n", count, flags, errname(errno));
	else
		out_bytes("  recv", buf, got);
}

static void run(const char *name, int domain)
{
	int s[2];
	int on = 1, off = 0;
	out("%s\n", name);
	is_unix = domain == AF_UNIX;
	pair(domain, s);
	int r = s[0], w = s[1];
	get(r, 10, MSG_OOB);
	T(send(w, "abc", 3, MSG_OOB));
	told("no owner");
	MUST(fcntl(r, F_SETOWN, getpid()));
	look(r);
	get(r, 10, 0);
	look(r);
	get(r, 10, MSG_OOB | MSG_PEEK);
	get(r, 10, MSG_OOB);
	get(r, 10, MSG_OOB);
	look(r);
	get(r, 10, 0);

	T(send(w, "def", 3, MSG_OOB));
	told("owner");
	T(send(w, "ghi", 3, 0));
	told("ordinary data");
	get(r, 2, 0);
	look(r);
	get(r, 10, 0);
	look(r);

	MUST(fcntl(r, F_SETSIG, RT));
	MUST(fcntl(r, F_SETFL, O_ASYNC));
	T(send(w, "j", 1, MSG_OOB));
	told("owner with a signal");
	MUST(fcntl(r, F_SETFL, 0));
	T(send(w, "kl", 2, 0));
	get(r, 10, MSG_PEEK);
	get(r, 10, 0);

	T(setsockopt(r, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
	T(send(w, "mno", 3, MSG_OOB));
	T(send(w, "pq", 2, 0));
	told("inline");
	get(r, 10, MSG_OOB);
	look(r);
	get(r, 10, 0);
	look(r);
	get(r, 10, 0);
	T(setsockopt(r, SOL_SOCKET, SO_OOBINLINE, &off, sizeof off));
	get(r, 10, 0);

	struct iovec iov = { (char[10]){ 0 }, 10 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	T(send(w, "r", 1, MSG_OOB));
	told("last one");
	T(recvmsg(r, &message, MSG_OOB));
	out("flags %x\n", message.msg_flags);
	T(send(w, "", 0, MSG_OOB));
	close(w);
	look(r);
	get(r, 10, 0);
	close(r);
}

int main(void)
{
	int s[2];
	sigemptyset(&watched);
	sigaddset(&watched, SIGURG);
	sigaddset(&watched, SIGIO);
	sigaddset(&watched, RT);
	sigprocmask(SIG_BLOCK, &watched, NULL);
	run("tcp", AF_INET);
	run("unix", AF_UNIX);
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	T(send(s[0], "x", 1, MSG_OOB));
	T(recv(s[0], (char[1]){ 0 }, 1, MSG_OOB | MSG_DONTWAIT));
	int udp = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				  .sin_port = htons(9) };
	T(sendto(udp, "x", 1, MSG_OOB, (void *)&in, sizeof in));
	T(recv(udp, (char[1]){ 0 }, 1, MSG_OOB | MSG_DONTWAIT));
	return 0;
}

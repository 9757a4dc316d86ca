/* Landlock: ports, signals, abstract sockets, looking into processes.
 * bevor-test: user=both kernel=6.15 */
#include "t.h"
#include "landlock.h"
#include <netinet/in.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_in inet(int port)
{
	return (struct sockaddr_in){ AF_INET, htons(port), { htonl(INADDR_LOOPBACK) } };
}

static int bound(int port, int type)
{
	struct sockaddr_in addr = inet(port);
	int s = socket(AF_INET, type, 0), one = 1;
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	errno = 0;
	int result = bind(s, (void *)&addr, sizeof addr);
	out("bind %d %d: %s\n", type, port, errname(result ? errno : 0));
	return s;
}

static void connected(int port, int type, const char *what)
{
	struct sockaddr_in addr = inet(port);
	int s = socket(AF_INET, type, 0);
	errno = 0;
	int result = connect(s, (void *)&addr, sizeof addr);
	out("connect %d %s: %s\n", type, what, errname(result ? errno : 0));
	close(s);
}

static void ports(void)
{
	/* ports the host gives, so that no other test is in the way */
	int listener = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in one = inet(0), two = inet(0);
	socklen_t len = sizeof one;
	MUST(bind(listener, (void *)&one, len));
	MUST(bind(other, (void *)&two, len));
	MUST(listen(listener, 5));
	MUST(listen(other, 5));
	MUST(getsockname(listener, (void *)&one, &len));
	MUST(getsockname(other, (void *)&two, &len));
	int rules = new_ruleset(0, BIND | CONNECT, 0);
	struct port rule = { CONNECT, ntohs(one.sin_port) };
	T(add(rules, 2, &rule, 0));
	rule.access = 0;
	T(add(rules, 2, &rule, 0));
	rule.access = 8;
	T(add(rules, 2, &rule, 0));
	rule.access = BIND, rule.port = 65536;
	T(add(rules, 2, &rule, 0));
	T(add(rules, 2, NULL, 0));
	rule.port = 0;
	T(add(rules, 2, &rule, 0));
	struct beneath beneath = { READ_FILE, 0 };
	T(add(rules, 1, &beneath, 0));
	enter(rules);
	bound(0, SOCK_STREAM);
	bound(0, SOCK_DGRAM);
	bound(47123, SOCK_STREAM);
	connected(ntohs(one.sin_port), SOCK_STREAM, "allowed");
	connected(ntohs(two.sin_port), SOCK_STREAM, "not allowed");
	connected(47124, SOCK_DGRAM, "datagrams");
	int s6 = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 six = { AF_INET6, htons(47125), 0, IN6ADDR_LOOPBACK_INIT, 0 };
	if (s6 >= 0)
		T(connect(s6, (void *)&six, sizeof six));
	else
		out("connect(s6, (void *)&six, sizeof six) = -1 EACCES\n");
	/* files are free */
	OK(open("/", O_RDONLY));
}

static void signals(void)
{
	pid_t parent = getppid(), me = getpid();
	int up[2], down[2];
	MUST(pipe(up));
	MUST(pipe(down));
	signal(SIGUSR1, SIG_IGN);
	T(kill(parent, 0));
	enter(new_ruleset(0, 0, SCOPE_SIGNAL));
	T(kill(parent, 0));
	T(syscall(SYS_tgkill, parent, parent, 0));
	T(kill(me, SIGUSR1));
	T(raise(SIGUSR1));
	int fd = syscall(SYS_pidfd_open, parent, 0);
	T(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	pid_t child = fork();
	if (child == 0) {
		char byte;
		T(kill(me, 0));
		enter(new_ruleset(0, 0, SCOPE_SIGNAL));
		T(kill(me, 0));
		T(kill(me, SIGTERM));
		if (write(up[1], "x", 1) != 1 || read(down[0], &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	char byte;
	MUST(read(up[0], &byte, 1));
	T(kill(child, 0));
	T(kill(child, SIGKILL));
	reap("child", child);
}

static int abstract(int type, const char *name, int connecting)
{
	struct sockaddr_un addr = { AF_UNIX, "" };
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + 1 +
		snprintf(addr.sun_path + 1, 100, "landlock-%s-%d-%d", name, getpgrp(), type);
	int s = MUST(socket(AF_UNIX, type, 0));
	if (!connecting) {
		MUST(bind(s, (void *)&addr, len));
		if (type != SOCK_DGRAM)
			MUST(listen(s, 4));
		return s;
	}
	out("connect %d to %s: %s\n", type, name, connect(s, (void *)&addr, len) ? errname(errno) : "ok");
	if (type == SOCK_DGRAM)
		out("send: %s\n", sendto(s, "x", 1, MSG_DONTWAIT, (void *)&addr, len) == 1 ? "ok" : errname(errno));
	close(s);
	return -1;
}

static void sockets(void)
{
	setpgid(0, 0);
	abstract(SOCK_STREAM, "outside", 0);
	abstract(SOCK_DGRAM, "outside", 0);
	int pair[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	unlink("path");
	struct sockaddr_un addr = { AF_UNIX, "path" };
	int named = socket(AF_UNIX, SOCK_STREAM, 0);
	MUST(bind(named, (void *)&addr, sizeof addr));
	MUST(listen(named, 1));
	enter(new_ruleset(0, 0, SCOPE_UNIX));
	abstract(SOCK_STREAM, "outside", 1);
	abstract(SOCK_DGRAM, "outside", 1);
	abstract(SOCK_STREAM, "inside", 0);
	abstract(SOCK_STREAM, "inside", 1);
	CHILD("deeper", enter(new_ruleset(0, 0, SCOPE_UNIX)); abstract(SOCK_STREAM, "inside", 1));
	T(write(pair[0], "x", 1));
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	T(connect(s, (void *)&addr, sizeof addr));
}

static void looking(void)
{
	int value = 5, copy = 0;
	struct iovec local = { &copy, sizeof copy }, remote = { &value, sizeof value };
	pid_t outside = fork();
	if (outside == 0) {
		pause();
		_exit(0);
	}
	T(process_vm_readv(outside, &local, 1, &remote, 1, 0));
	enter(new_ruleset(READ_FILE, 0, 0));
	T(process_vm_readv(outside, &local, 1, &remote, 1, 0));
	pid_t inside = fork();
	if (inside == 0) {
		pause();
		_exit(0);
	}
	T(process_vm_readv(inside, &local, 1, &remote, 1, 0));
	CHILD("deeper", enter(new_ruleset(READ_FILE, 0, 0)); T(process_vm_readv(inside, &local, 1, &remote, 1, 0)));
	kill(outside, SIGKILL);
	kill(inside, SIGKILL);
	while (wait(NULL) > 0)
		;
}

int main(void)
{
	scratch();
	CHILD("ports", ports());
	CHILD("signals", signals());
	CHILD("sockets", sockets());
	CHILD("looking", looking());
	unscratch();
}

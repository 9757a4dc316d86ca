/* O_ASYNC, F_SETOWN, F_SETSIG: signals that tell of readiness. bevor-test: user=both */
#include "t.h"
#include <netinet/in.h>
#include <pty.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17
#endif

#define RT (SIGRTMIN + 3)

static sigset_t watched;

/* Prints the signals that have come, each kind once. */
static void told(const char *what)
{
	siginfo_t info, last = { 0 };
	struct timespec grace = { 0, 200 * 1000000 };
	int count = 0;
	while (sigtimedwait(&watched, &info, &grace) > 0) {
		grace.tv_nsec = 30 * 1000000;
		if (count && last.si_signo == info.si_signo && last.si_code == info.si_code &&
		    last.si_fd == info.si_fd && last.si_band == info.si_band)
			continue;
		last = info;
		count++;
		if (info.si_code == SI_KERNEL)
			out("%s: SIG%s from the kernel\n", what, sigabbrev_np(info.si_signo));
		else
			out("%s: %s code %d band %lx fd %d\n", what,
			    info.si_signo == RT ? "RT" : sigabbrev_np(info.si_signo), info.si_code,
			    (unsigned long)info.si_band, info.si_fd);
	}
	if (!count)
		out("%s: nothing\n", what);
}

/* Puts a descriptor at a number of our choice and makes it asynchronous. */
static int arm(int fd, int number, int signal)
{
	if (fd != number) {
		MUST(dup2(fd, number));
		close(fd);
	}
	MUST(fcntl(number, F_SETOWN, getpid()));
	MUST(fcntl(number, F_SETSIG, signal));
	MUST(fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_ASYNC | O_NONBLOCK));
	return number;
}

static void pipes(void)
{
	int p[2];
	char buf[100];
	MUST(pipe(p));
	int r = arm(p[0], 50, 0), w = arm(p[1], 51, RT);
	CHECK(fcntl(r, F_GETFL) & O_ASYNC);
	told("before");
	T(write(w, "abc", 3));
	told("write");
	T(write(w, "def", 3));
	told("write again");
	T(read(r, buf, 2));
	told("read");
	T(fcntl(r, F_SETSIG, RT));
	T(fcntl(r, F_GETSIG));
	T(write(w, "x", 1));
	told("write with a signal");
	T(fcntl(r, F_SETSIG, SIGIO));
	T(write(w, "x", 1));
	told("write with SIGIO asked for");
	T(fcntl(r, F_SETSIG, SIGCHLD));
	T(write(w, "x", 1));
	told("write with SIGCHLD asked for");
	T(fcntl(r, F_SETSIG, 65));
	T(fcntl(r, F_SETSIG, -1));
	T(fcntl(r, F_SETSIG, RT));
	int other = MUST(dup2(r, 52));
	close(r);
	T(write(w, "x", 1));
	told("descriptor closed, description not");
	T(fcntl(other, F_SETFL, O_NONBLOCK | O_ASYNC));
	T(write(w, "x", 1));
	told("already asynchronous");
	T(fcntl(other, F_SETFL, O_NONBLOCK));
	CHECK(!(fcntl(other, F_GETFL) & O_ASYNC));
	T(write(w, "x", 1));
	told("switched off");
	int on = 1;
	T(ioctl(other, FIOASYNC, &on));
	CHECK(fcntl(other, F_GETFL) & O_ASYNC);
	T(write(w, "x", 1));
	told("FIOASYNC");
	T(ioctl(other, FIOASYNC, NULL));
	T(fcntl(other, F_SETOWN, 0));
	T(fcntl(other, F_GETOWN));
	T(write(w, "x", 1));
	told("nobody owns it");
	T(fcntl(other, F_SETOWN, getpid()) );
	close(w);
	told("writer gone");
	close(other);

	MUST(pipe(p));
	w = arm(p[1], 51, RT);
	close(p[0]);
	told("reader gone");
	close(w);

	MUST(mkfifo("fifo", 0600));
	int both = arm(MUST(open("fifo", O_RDWR)), 53, RT);
	T(write(both, "abc", 3));
	told("fifo write");
	T(read(both, buf, 3));
	told("fifo read");
	close(both);
}

static void owners(void)
{
	int p[2];
	MUST(pipe(p));
	struct f_owner_ex owner = { 9, 9 };
	unsigned ids[2] = { 77, 77 };
	T(fcntl(p[0], F_GETOWN));
	T(fcntl(p[0], F_GETOWN_EX, &owner));
	out("type %d pid %d\n", owner.type, owner.pid);
	T(fcntl(p[0], F_GETSIG));
	T(fcntl(p[0], F_SETOWN, 999999999));
	T(fcntl(p[0], F_SETOWN, -999999999));
	T(fcntl(p[0], F_SETOWN, INT_MIN));
	owner = (struct f_owner_ex){ 3, getpid() };
	T(fcntl(p[0], F_SETOWN_EX, &owner));
	T(fcntl(p[0], F_SETOWN_EX, NULL));
	owner = (struct f_owner_ex){ 2, getpgrp() };
	T(fcntl(p[0], F_SETOWN_EX, &owner));
	CHECK(fcntl(p[0], F_GETOWN) == -getpgrp());
	T(fcntl(p[0], F_GETOWNER_UIDS, ids));
	CHECK(ids[0] == getuid() && ids[1] == geteuid());
	owner = (struct f_owner_ex){ 0, gettid() };
	T(fcntl(p[0], F_SETOWN_EX, &owner));
	owner.type = 7;
	T(fcntl(p[0], F_GETOWN_EX, &owner));
	out("type %d self %d\n", owner.type, owner.pid == gettid());
	MUST(fcntl(p[0], F_SETOWN, getpid()));
	T(fcntl(p[0], F_SETOWN, 0));
	T(fcntl(p[0], F_GETOWN_EX, &owner));
	out("type %d pid %d\n", owner.type, owner.pid);

	pid_t child = fork();
	if (child == 0)
		pause();
	MUST(fcntl(p[0], F_SETOWN, child));
	CHECK(fcntl(p[0], F_GETOWN) == child);
	kill(child, SIGKILL);
	reap("child", child);
	T(fcntl(p[0], F_GETOWN));

	int file = make_file("file", "x");
	int event = MUST(eventfd(0, 0));
	int on = 1;
	T(fcntl(file, F_SETFL, O_ASYNC));
	V(fcntl(file, F_GETFL) & O_ASYNC);
	T(ioctl(file, FIOASYNC, &on));
	T(fcntl(event, F_SETFL, O_ASYNC));
	V(fcntl(event, F_GETFL) & O_ASYNC);
	T(ioctl(event, FIOASYNC, &on));
	T(fcntl(file, F_SETOWN, getpid()));
	close(file);
	close(event);
	close(p[0]);
	close(p[1]);
}

static void *thread(void *arg)
{
	int *p = arg;
	struct f_owner_ex owner = { 0, gettid() };
	MUST(fcntl(p[0], F_SETOWN_EX, &owner));
	MUST(fcntl(p[0], F_SETFL, O_ASYNC));
	sigset_t pending;
	T(write(p[1], "x", 1));
	sigpending(&pending);
	V(sigismember(&pending, SIGIO));
	told("in the thread");
	T(write(p[1], "x", 1));
	pthread_barrier_t *barrier = *(pthread_barrier_t **)(p + 2);
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	told("in the thread, later");
	return NULL;
}

static void threads(void)
{
	struct { int p[2]; pthread_barrier_t *barrier; } arg;
	pthread_barrier_t barrier;
	pthread_barrier_init(&barrier, NULL, 2);
	MUST(pipe(arg.p));
	arg.barrier = &barrier;
	pthread_t id;
	pthread_create(&id, NULL, thread, &arg);
	pthread_barrier_wait(&barrier);
	told("beside the thread");
	pthread_barrier_wait(&barrier);
	pthread_join(id, NULL);
	close(arg.p[0]);
	close(arg.p[1]);
}

static void group(void)
{
	int p[2], ready[2];
	char c;
	MUST(pipe(p));
	MUST(pipe(ready));
	pid_t children[2];
	for (int i = 0; i < 2; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			setpgid(0, i ? children[0] : 0);
			write(ready[1], "r", 1);
			siginfo_t info;
			struct timespec limit = { 5, 0 };
			_exit(sigtimedwait(&watched, &info, &limit) == SIGIO ? 7 : 1);
		}
		setpgid(children[i], children[0]);
		MUST(read(ready[0], &c, 1));
	}
	MUST(fcntl(p[0], F_SETOWN, -children[0]));
	CHECK(fcntl(p[0], F_GETOWN) == -children[0]);
	MUST(fcntl(p[0], F_SETFL, O_ASYNC));
	T(write(p[1], "x", 1));
	reap("first member", children[0]);
	reap("second member", children[1]);
	told("outside the group");
	T(fcntl(p[0], F_GETOWN));
	for (int i = 0; i < 2; i++) {
		close(p[i]);
		close(ready[i]);
	}
}

static void limits(void)
{
	int p[2];
	MUST(pipe(p));
	arm(p[0], 50, RT);
	struct rlimit old, none = { 0, 0 };
	getrlimit(RLIMIT_SIGPENDING, &old);
	none.rlim_max = old.rlim_max;
	MUST(setrlimit(RLIMIT_SIGPENDING, &none));
	T(write(p[1], "x", 1));
	MUST(setrlimit(RLIMIT_SIGPENDING, &old));
	told("no room in the queue");
	close(50);
	close(p[1]);
}

static void permission(void)
{
	if (getuid())
		return;
	int p[2];
	MUST(pipe(p));
	pid_t self = getpid();
	CHILD("other user", MUST(setresuid(1234, 1234, 1234)); T(fcntl(p[0], F_SETOWN, self));
	      MUST(fcntl(p[0], F_SETFL, O_ASYNC)); T(write(p[1], "x", 1)));
	told("by another user");
	T(write(p[1], "x", 1));
	told("still by another user");
	T(fcntl(p[0], F_SETOWN, self));
	T(write(p[1], "x", 1));
	told("by root");
	close(p[0]);
	close(p[1]);
}

static void sockets(void)
{
	int s[2];
	char buf[100];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	int owner = -getpgrp();
	T(ioctl(s[0], FIOSETOWN, &owner));
	CHECK(fcntl(s[0], F_GETOWN) == -getpgrp());
	owner = getpid();
	T(ioctl(s[0], SIOCSPGRP, &owner));
	owner = 0;
	T(ioctl(s[0], SIOCGPGRP, &owner));
	CHECK(owner == getpid());
	owner = 999999999;
	T(ioctl(s[0], FIOSETOWN, &owner));
	T(ioctl(s[0], FIOGETOWN, NULL));
	int a = arm(s[0], 60, RT);
	told("before");
	T(write(s[1], "abc", 3));
	told("unix stream");
	T(write(s[1], "abc", 3));
	told("unix stream again");
	T(read(a, buf, 100));
	told("after reading");
	T(shutdown(s[1], SHUT_WR));
	told("unix stream shut for writing");
	close(s[1]);
	told("unix stream closed");
	close(a);

	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	a = arm(s[0], 60, RT);
	T(write(s[1], "abc", 3));
	told("unix datagram");
	close(s[1]);
	close(a);

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	a = arm(s[0], 60, RT);
	static char big[1 << 20];
	while (write(a, big, sizeof big) > 0)
		;
	CHECK(errno == EAGAIN);
	told("full");
	while (recv(s[1], big, sizeof big, MSG_DONTWAIT) > 0)
		;
	told("emptied");
	close(a);
	close(s[1]);

	struct sockaddr_un un = { AF_UNIX, "listener" };
	int l = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(bind(l, (void *)&un, sizeof un));
	MUST(listen(l, 5));
	arm(l, 61, RT);
	int c = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(connect(c, (void *)&un, sizeof un));
	told("unix connection");
	close(61);
	close(c);

	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof in;
	l = MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(bind(l, (void *)&in, sizeof in));
	MUST(listen(l, 5));
	MUST(getsockname(l, (void *)&in, &len));
	arm(l, 61, RT);
	c = MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(connect(c, (void *)&in, sizeof in));
	told("tcp connection");
	s[0] = MUST(accept(61, NULL, NULL));
	V(fcntl(s[0], F_GETFL) & O_ASYNC);
	T(fcntl(s[0], F_GETOWN));
	a = arm(s[0], 62, RT);
	T(write(c, "abc", 3));
	told("tcp data");
	T(shutdown(c, SHUT_WR));
	told("tcp end");
	close(a);
	close(c);
	close(61);

	a = arm(MUST(socket(AF_INET, SOCK_DGRAM, 0)), 63, RT);
	in.sin_port = 0;
	MUST(bind(a, (void *)&in, sizeof in));
	MUST(getsockname(a, (void *)&in, &len));
	c = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	T(sendto(c, "x", 1, 0, (void *)&in, sizeof in));
	told("udp");
	close(a);
	close(c);
}

static void terminals(void)
{
	int m, s;
	MUST(openpty(&m, &s, NULL, NULL, NULL));
	MUST(dup2(s, 70));
	close(s);
	T(fcntl(70, F_GETOWN));
	MUST(fcntl(70, F_SETFL, O_RDWR | O_ASYNC | O_NONBLOCK));
	CHECK(fcntl(70, F_GETOWN) == getpid());
	MUST(fcntl(70, F_SETSIG, RT));
	T(write(m, "abc", 3));
	told("half a line");
	T(write(m, "\n", 1));
	told("a line");
	char buf[20];
	T(read(70, buf, sizeof buf));
	told("read");
	arm(m, 71, RT);
	T(write(70, "x", 1));
	told("for the master");
	close(70);
	close(71);
}

static void watches(void)
{
	int i = arm(MUST(inotify_init()), 80, RT);
	MUST(inotify_add_watch(i, ".", IN_CREATE));
	told("before");
	close(make_file("made", ""));
	told("created");
	close(i);
}

int main(void)
{
	scratch();
	sigemptyset(&watched);
	sigaddset(&watched, SIGIO);
	sigaddset(&watched, SIGURG);
	sigaddset(&watched, SIGCHLD);
	sigaddset(&watched, RT);
	sigset_t without = watched;
	sigdelset(&without, SIGCHLD);
	sigprocmask(SIG_BLOCK, &watched, NULL);
	pipes();
	watched = without;
	owners();
	threads();
	group();
	limits();
	permission();
	sockets();
	terminals();
	watches();
	unscratch();
	return 0;
}

/* epoll: level, edge, one-shot, exclusive, nested; eventfd; signalfd; pidfd. bevor-test: user=both waits=reloaded */
#include "t.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

static int ep;

static void wait_show(const char *what)
{
	struct epoll_event events[8];
	int got = epoll_wait(ep, events, 8, 0);
	out("%s: %d", what, got);
	for (int i = 0; i < got; i++)
		out(" [%x %llu]", events[i].events, (unsigned long long)events[i].data.u64);
	out("\n");
}

static int ctl(int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = { .events = events, .data.u64 = data };
	return epoll_ctl(ep, op, fd, &e);
}

int main(void)
{
	scratch();
	char c, buf[200];
	T(epoll_create1(0x1));
	T(epoll_create(0));
	ep = MUST(epoll_create1(EPOLL_CLOEXEC));
	int p[2], s[2];
	MUST(pipe(p));
	T(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
	T(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
	T(ctl(EPOLL_CTL_MOD, p[1], EPOLLIN, 1));
	T(ctl(EPOLL_CTL_DEL, p[1], 0, 1));
	T(ctl(EPOLL_CTL_ADD, ep, EPOLLIN, 1));
	T(ctl(EPOLL_CTL_ADD, 99, EPOLLIN, 1));
	T(ctl(EPOLL_CTL_ADD, make_file("f", ""), EPOLLIN, 1));
	T(ctl(99, p[0], EPOLLIN, 1));
	T(epoll_ctl(p[0], EPOLL_CTL_ADD, p[1], &(struct epoll_event){ 0 }));
	struct epoll_event e;
	T(epoll_wait(ep, &e, 0, 0));
	T(epoll_wait(p[0], &e, 1, 0));
	T(epoll_wait(ep, (void *)8, 1, 0));
	wait_show("nothing");
	write(p[1], "ab", 2);
	wait_show("level");
	wait_show("level again");
	read(p[0], &c, 1);
	wait_show("some left");
	T(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 2));
	wait_show("edge");
	wait_show("edge again");
	write(p[1], "c", 1);
	wait_show("edge, more data");
	read(p[0], &c, 1);
	wait_show("edge, after a read");
	T(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 3));
	wait_show("one shot");
	write(p[1], "d", 1);
	wait_show("one shot again");
	T(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 4));
	wait_show("rearmed");
	T(ctl(EPOLL_CTL_DEL, p[0], 0, 0));
	wait_show("removed");
	/* Order and fairness with more ready than asked for. */
	int many[5][2];
	for (int i = 0; i < 5; i++) {
		MUST(pipe(many[i]));
		ctl(EPOLL_CTL_ADD, many[i][0], EPOLLIN, 10 + i);
		write(many[i][1], "x", 1);
	}
	unsigned seen = 0;
	for (int i = 0; i < 5; i++) {
		struct epoll_event two[2];
		int got = epoll_wait(ep, two, 2, 0);
		for (int j = 0; j < got; j++)
			seen |= 1 << (two[j].data.u64 - 10);
	}
	out("seen %x\n", seen);
	/* Closing removes, unless there is a duplicate. */
	int copy = dup(many[0][0]);
	close(many[0][0]);
	struct epoll_event all[8];
	V(epoll_wait(ep, all, 8, 0));
	close(copy);
	V(epoll_wait(ep, all, 8, 0));
	for (int i = 1; i < 5; i++)
		close(many[i][0]);
	wait_show("all closed");
	/* Hang-up and error come unasked. */
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	ctl(EPOLL_CTL_ADD, s[0], 0, 20);
	wait_show("no interest");
	shutdown(s[1], SHUT_WR);
	wait_show("half closed");
	ctl(EPOLL_CTL_MOD, s[0], EPOLLRDHUP | EPOLLIN | EPOLLOUT, 20);
	wait_show("half closed, asked");
	close(s[1]);
	wait_show("closed");
	ctl(EPOLL_CTL_DEL, s[0], 0, 0);
	/* Nested. */
	int inner = epoll_create1(0);
	MUST(pipe(p));
	e = (struct epoll_event){ .events = EPOLLIN };
	epoll_ctl(inner, EPOLL_CTL_ADD, p[0], &e);
	T(ctl(EPOLL_CTL_ADD, inner, EPOLLIN, 30));
	e = (struct epoll_event){ .events = EPOLLIN };
	T(epoll_ctl(inner, EPOLL_CTL_ADD, ep, &e));
	wait_show("inner quiet");
	write(p[1], "x", 1);
	wait_show("inner ready");
	struct pollfd poller = { ep, POLLIN };
	T(poll(&poller, 1, 0));
	read(p[0], &c, 1);
	wait_show("inner quiet again");
	ctl(EPOLL_CTL_DEL, inner, 0, 0);
	/* Blocking wait is woken. */
	ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 40);
	pid_t pid = fork();
	if (pid == 0) {
		int got = epoll_wait(ep, &e, 1, -1);
		_exit(got == 1 && e.data.u64 == 40 ? 1 : 2);
	}
	wait_state(pid, pid, 'S');
	write(p[1], "x", 1);
	reap("waiter", pid);
	T(syscall(SYS_epoll_pwait2, ep, &e, 1, &(struct timespec){ 0, 0 }, NULL, 8));
	T(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLEXCLUSIVE, 40));
	ctl(EPOLL_CTL_DEL, p[0], 0, 0);
	T(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLEXCLUSIVE, 41));
	wait_show("exclusive");
	ctl(EPOLL_CTL_DEL, p[0], 0, 0);

	/* eventfd */
	T(eventfd(0, 0x2));
	int ev = MUST(eventfd(5, EFD_NONBLOCK));
	uint64_t value = 0;
	ctl(EPOLL_CTL_ADD, ev, EPOLLIN | EPOLLOUT | EPOLLET, 50);
	wait_show("eventfd");
	T(read(ev, &value, 8));
	V(value);
	T(read(ev, &value, 8));
	T(read(ev, &value, 7));
	value = 3;
	T(write(ev, &value, 8));
	T(write(ev, &value, 8));
	T(write(ev, &value, 4));
	wait_show("written");
	T(read(ev, &value, 8));
	V(value);
	value = -1;
	T(write(ev, &value, 8));
	value = -2;
	T(write(ev, &value, 8));
	value = 1;
	T(write(ev, &value, 8));
	wait_show("full");
	ev = MUST(eventfd(2, EFD_SEMAPHORE));
	T(read(ev, &value, 8));
	V(value);
	T(read(ev, &value, 8));
	pid = fork();
	if (pid == 0)
		_exit(read(ev, &value, 8) == 8 ? (int)value : 99);
	wait_state(pid, pid, 'S');
	value = 7;
	write(ev, &value, 8);
	reap("blocked reader", pid);

	/* signalfd */
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	T(signalfd(-1, &set, 0x1));
	T(signalfd(0, &set, 0));
	int sf = MUST(signalfd(-1, &set, SFD_NONBLOCK));
	struct signalfd_siginfo info[4];
	T(read(sf, info, sizeof info));
	T(read(sf, info, 10));
	ctl(EPOLL_CTL_ADD, sf, EPOLLIN, 60);
	wait_show("signalfd");
	raise(SIGUSR1);
	sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 11 });
	sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 12 });
	wait_show("signalfd");
	long got = read(sf, info, sizeof info);
	V(got / sizeof *info);
	for (unsigned i = 0; i < got / sizeof *info; i++)
		out("signal %s code %d int %d pid %d\n", info[i].ssi_signo == SIGUSR1 ? "USR1" : "RTMIN", info[i].ssi_code, info[i].ssi_int,
		    info[i].ssi_pid == getpid());
	pid = fork();
	if (pid == 0)
		_exit(6);
	poller = (struct pollfd){ sf, POLLIN };
	T(poll(&poller, 1, 3000));
	read(sf, info, sizeof *info);
	out("%d %d %d\n", info->ssi_signo == SIGCHLD, info->ssi_status, info->ssi_pid == pid);
	reap("child", pid);

	/* pidfd */
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	int pf = MUST(syscall(SYS_pidfd_open, pid, 0));
	T(syscall(SYS_pidfd_open, 999999, 0));
	T(syscall(SYS_pidfd_open, -1, 0));
	T(syscall(SYS_pidfd_open, pid, 0x1));
	poller = (struct pollfd){ pf, POLLIN };
	T(poll(&poller, 1, 0));
	T(syscall(SYS_pidfd_send_signal, pf, 0, NULL, 0));
	T(syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0));
	T(syscall(SYS_pidfd_send_signal, pf, 0, NULL, 2));
	T(syscall(SYS_pidfd_send_signal, pf, 0, NULL, 8));
	char path[64];
	snprintf(path, sizeof path, "/proc/%d", pid);
	int folder = MUST(open(path, O_RDONLY | O_DIRECTORY));
	T(syscall(SYS_pidfd_send_signal, folder, 0, NULL, 0));
	close(folder);
	folder = MUST(open(path, O_PATH));
	T(syscall(SYS_pidfd_send_signal, folder, 0, NULL, 0));
	close(folder);
	strcat(path, "/fd");
	folder = MUST(open(path, O_RDONLY | O_DIRECTORY));
	T(syscall(SYS_pidfd_send_signal, folder, 0, NULL, 0));
	close(folder);
	int their = syscall(SYS_pidfd_getfd, pf, 1, 0);
	CHECK(their > 0);
	T(syscall(SYS_pidfd_getfd, pf, 99, 0));
	T(syscall(SYS_pidfd_send_signal, pf, SIGTERM, NULL, 0));
	T(poll(&poller, 1, 3000));
	out("%x\n", poller.revents);
	T(read(pf, buf, 1));
	reap("by pidfd", pid);
	T(syscall(SYS_pidfd_send_signal, pf, 0, NULL, 0));
	unscratch();
	return 0;
}

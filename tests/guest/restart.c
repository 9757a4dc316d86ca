/* Which blocked calls a handler interrupts, and which go on with SA_RESTART. bevor-test: user=both timeout=60 waits=reloaded */
#include "t.h"
#include <linux/futex.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <mqueue.h>
#include <sys/msg.h>
#include <sys/sem.h>

/* Counts the handler's runs; the parent looks at it, too. */
static volatile int *handled;
static void on_signal(int sig, siginfo_t *info, void *context) { ++*handled; }

static int p[2], s[2], ep, ev, tfd;
static uint32_t word;

static long do_read(void) { char c; return read(p[0], &c, 1); }
static long do_readv(void) { char c; struct iovec v = { &c, 1 }; return readv(p[0], &v, 1); }
static long do_write(void) { static char b[200000]; int q[2]; pipe(q); return write(q[1], b, sizeof b) > 0 ? 1 : -1; }
static long do_recv(void) { char c; return recv(s[0], &c, 1, 0); }
static long do_recv_timeout(void)
{
	char c;
	struct timeval tv = { 0, 300000 };
	setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	return recv(s[0], &c, 1, 0);
}
static long do_accept(void)
{
	int l = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_storage a = { .ss_family = AF_UNIX };
	bind(l, (void *)&a, 2);
	listen(l, 1);
	return accept(l, NULL, NULL);
}
static long do_poll(void) { struct pollfd f = { p[0], POLLIN }; return poll(&f, 1, 150); }
static long do_ppoll(void) { struct pollfd f = { p[0], POLLIN }; struct timespec t = { 0, 150000000 }; return ppoll(&f, 1, &t, NULL); }
static long do_select(void) { fd_set r; FD_ZERO(&r); FD_SET(p[0], &r); struct timeval t = { 0, 150000 }; return select(p[0] + 1, &r, NULL, NULL, &t); }
static long do_pselect(void) { fd_set r; FD_ZERO(&r); FD_SET(p[0], &r); struct timespec t = { 0, 150000000 }; return pselect(p[0] + 1, &r, NULL, NULL, &t, NULL); }
static long do_epoll(void) { struct epoll_event e; return epoll_wait(ep, &e, 1, 150); }
static long do_nanosleep(void) { struct timespec t = { 0, 150000000 }; return nanosleep(&t, &t); }
static long do_clock_nanosleep(void) { struct timespec t = { 0, 150000000 }; int e = clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL); errno = e; return e ? -1 : 0; }
static long do_clock_nanosleep_abs(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += 150000000;
	if (t.tv_nsec >= 1000000000)
		t.tv_nsec -= 1000000000, t.tv_sec++;
	int e = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
	errno = e;
	return e ? -1 : 0;
}
static long do_pause(void) { return pause(); }
static long do_sigsuspend(void) { sigset_t set; sigemptyset(&set); return sigsuspend(&set); }
static long do_sigtimedwait(void) { sigset_t set; sigemptyset(&set); sigaddset(&set, SIGUSR2); struct timespec t = { 0, 150000000 }; return sigtimedwait(&set, NULL, &t); }
static long do_wait(void) { return waitpid(-1, NULL, 0) > 0 ? 1 : -1; }
static long do_waitid(void) { siginfo_t i; return waitid(P_ALL, 0, &i, WEXITED); }
static long do_futex(void) { return syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0); }
static long do_futex_timeout(void) { struct timespec t = { 0, 150000000 }; return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &t, NULL, 0); }
static long do_flock(void) { int fd = open("lock", O_RDWR); return flock(fd, LOCK_EX); }
static long do_eventfd(void) { uint64_t v; return read(ev, &v, 8); }
static long do_timerfd(void) { uint64_t v; return read(tfd, &v, 8); }
static long do_signalfd(void) { sigset_t set; sigemptyset(&set); sigaddset(&set, SIGUSR2); struct signalfd_siginfo i; return read(signalfd(-1, &set, 0), &i, sizeof i); }
static long do_open_fifo(void) { return open("fifo", O_RDONLY); }
static long do_semop(void) { int id = semget(IPC_PRIVATE, 1, 0600); struct sembuf b = { 0, -1, 0 }; long r = semop(id, &b, 1); int e = errno; semctl(id, 0, IPC_RMID); errno = e; return r; }
static long do_msgrcv(void) { int id = msgget(IPC_PRIVATE, 0600); struct { long t; char c; } m; long r = msgrcv(id, &m, 1, 0, 0); int e = errno; msgctl(id, IPC_RMID, NULL); errno = e; return r; }

static char state_of(pid_t pid)
{
	char path[64], text[512];
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	int fd = open(path, O_RDONLY);
	ssize_t len = read(fd, text, sizeof text - 1);
	close(fd);
	text[len > 0 ? len : 0] = 0;
	char *end = strrchr(text, ')');
	return end ? end[2] : 0;
}

/* Waits until the handler has run and the child has ended, or sleeps again. */
static void settle(pid_t pid)
{
	int asleep = 0;
	for (int round = 0; round < 5000 && asleep < 3; round++) {
		char state = state_of(pid);
		if (state == 'Z' || !state)
			return;
		asleep = *handled && state == 'S' ? asleep + 1 : 0;
		sleep_ms(2);
	}
}

/* A signal while the call waits; if it goes on then, it is killed or its own
 * time limit strikes. */
static void try(const char *name, long (*call)(void), int flags, int own_end)
{
	*handled = 0;
	pid_t pid = fork();
	if (pid == 0) {
		handle(SIGUSR1, on_signal, flags);
		pid_t child = 0;
		if (call == do_wait || call == do_waitid) {
			child = fork();
			if (child == 0) {
				sleep_ms(150);
				_exit(0);
			}
		}
		long result = call();
		int error = errno;
		out("%s %s: %s, handler ran %d\n", name, flags ? "SA_RESTART" : "no flags",
		    result == -1 ? errname(error) : "finished", *handled);
		if (child)
			waitpid(child, NULL, 0);
		_exit(0);
	}
	wait_state(pid, pid, 'S');
	kill(pid, SIGUSR1);
	if (!own_end) {
		settle(pid);
		/* Still there: the call went on. */
		int status;
		if (waitpid(pid, &status, WNOHANG) == 0) {
			out("%s %s: goes on\n", name, flags ? "SA_RESTART" : "no flags");
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
		}
		return;
	}
	waitpid(pid, NULL, 0);
}

int main(void)
{
	handled = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	scratch();
	MUST(pipe(p));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	ep = epoll_create1(0);
	struct epoll_event e = { .events = EPOLLIN };
	epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
	ev = eventfd(0, 0);
	tfd = timerfd_create(CLOCK_MONOTONIC, 0);
	int fd = make_file("lock", "");
	flock(fd, LOCK_EX);
	mkfifo("fifo", 0600);
	struct { const char *name; long (*call)(void); int own_end; } calls[] = {
		{ "read", do_read, 0 }, { "readv", do_readv, 0 }, { "write", do_write, 0 }, { "recv", do_recv, 0 },
		{ "recv with timeout", do_recv_timeout, 1 }, { "accept", do_accept, 0 }, { "poll", do_poll, 1 },
		{ "ppoll", do_ppoll, 1 }, { "select", do_select, 1 }, { "pselect", do_pselect, 1 }, { "epoll_wait", do_epoll, 1 },
		{ "nanosleep", do_nanosleep, 1 }, { "clock_nanosleep", do_clock_nanosleep, 1 },
		{ "clock_nanosleep abs", do_clock_nanosleep_abs, 1 }, { "pause", do_pause, 0 },
		{ "sigsuspend", do_sigsuspend, 0 }, { "sigtimedwait", do_sigtimedwait, 1 }, { "wait", do_wait, 1 },
		{ "waitid", do_waitid, 1 }, { "futex", do_futex, 0 }, { "futex with timeout", do_futex_timeout, 1 },
		{ "flock", do_flock, 0 }, { "eventfd", do_eventfd, 0 }, { "timerfd", do_timerfd, 0 },
		{ "signalfd", do_signalfd, 0 }, { "open fifo", do_open_fifo, 0 }, { "semop", do_semop, 0 },
		{ "msgrcv", do_msgrcv, 0 },
	};
	for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
		try(calls[i].name, calls[i].call, 0, calls[i].own_end);
		try(calls[i].name, calls[i].call, SA_RESTART, calls[i].own_end);
	}
	/* An ignored signal and a stop with continue do not show at all. */
	for (int kind = 0; kind < 3; kind++) {
		pid_t pid = fork();
		if (pid == 0) {
			signal(SIGUSR1, SIG_IGN);
			long result = kind == 0 ? do_nanosleep() : kind == 1 ? do_poll() : do_futex_timeout();
			out("%d: %s\n", kind, result == -1 ? errname(errno) : "finished");
			_exit(0);
		}
		wait_state(pid, pid, 'S');
		kill(pid, SIGUSR1);
		kill(pid, SIGSTOP);
		waitpid(pid, NULL, WUNTRACED);
		kill(pid, SIGCONT);
		reap("stopped and continued", pid);
	}
	/* epoll_wait is interrupted by a stop and continue. */
	unscratch();
	return 0;
}

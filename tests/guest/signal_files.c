/* signalfd: whose signals a reader gets, in other threads and children, and what wakes whom. bevor-test: user=both waits=reloaded kernel=6.12 */
#include "t.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

static int fd;
static sigset_t set;
static pthread_barrier_t step;
static volatile pid_t tid;

static void show(const char *what)
{
	struct signalfd_siginfo si[4];
	memset(si, 0, sizeof si);
	struct pollfd p = { fd, POLLIN | POLLOUT };
	poll(&p, 1, 0);
	ssize_t len = read(fd, si, sizeof si);
	out("%s: poll %x read %zd %s", what, p.revents, len, len < 0 ? errname(errno) : "");
	for (int i = 0; i < len / (ssize_t)sizeof *si; i++)
		out(" [%d code %d from %s]", si[i].ssi_signo == SIGRTMIN ? 1000 : (int)si[i].ssi_signo, si[i].ssi_code,
		    (pid_t)si[i].ssi_pid == getpid() ? "me" : (pid_t)si[i].ssi_pid == getppid() ? "parent" : "other");
	out("\n");
}

static void *thread(void *arg)
{
	tid = gettid();
	pthread_barrier_wait(&step);
	/* A signal for the other thread was sent here. */
	show("thread, signal for another");
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	/* And one for this. */
	show("thread, its own signal");
	pthread_barrier_wait(&step);
	/* Waits for a signal that comes to it alone. */
	fcntl(fd, F_SETFL, 0);
	show("thread, waited");
	return NULL;
}

static void threads(void)
{
	pthread_t id;
	pthread_barrier_init(&step, NULL, 2);
	syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1);
	pthread_create(&id, NULL, thread, NULL);
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	show("main, its signal");
	syscall(SYS_tgkill, getpid(), tid, SIGUSR2);
	show("main, signal for the thread");
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	wait_state(getpid(), tid, 'S');
	syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
	pthread_join(id, NULL);
	fcntl(fd, F_SETFL, O_NONBLOCK);
}

static void children(void)
{
	raise(SIGUSR1);
	CHILD("child", {
		show("child, signal of the parent");
		raise(SIGUSR2);
		show("child, its own");
		/* Waits in read, and in poll, for its own signals. */
		pid_t pid = fork();
		if (pid == 0) {
			fcntl(fd, F_SETFL, 0);
			show("grandchild, waited");
			struct pollfd p = { fd, POLLIN };
			T(poll(&p, 1, -1));
			show("grandchild, polled");
			_exit(0);
		}
		wait_state(pid, pid, 'S');
		kill(pid, SIGUSR2);
		sleep_ms(5);
		wait_state(pid, pid, 'S');
		kill(pid, SIGUSR1);
		reap("grandchild", pid);
		fcntl(fd, F_SETFL, O_NONBLOCK);
	});
	show("parent, its signal");
	/* An epoll set watches for the process that added the descriptor. */
	int ep = epoll_create1(0);
	struct epoll_event e = { EPOLLIN };
	T(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
	raise(SIGUSR1);
	T(epoll_wait(ep, &e, 1, 0));
	show("parent");
	T(epoll_wait(ep, &e, 1, 0));
}

int main(void)
{
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigdelset(&set, SIGCHLD);
	fd = MUST(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	show("nothing");
	threads();
	children();
	/* A mask that is changed while somebody waits. */
	sigset_t other;
	sigemptyset(&other);
	sigaddset(&other, SIGHUP);
	sigprocmask(SIG_BLOCK, &other, NULL);
	raise(SIGHUP);
	show("not in the set");
	T(signalfd(fd, &other, 0) == fd ? 0 : -1);
	show("in the set");
	raise(SIGUSR1);
	show("no more in the set");
	/* Vectors: a record may be in parts, one that does not fit stays. */
	signalfd(fd, &set, 0);
	struct signalfd_siginfo si[2];
	struct iovec parts[3] = { { si, 64 }, { (char *)si + 64, 64 }, { si + 1, 127 } };
	raise(SIGUSR2);
	T(readv(fd, parts, 3));
	out("%d\n", si[0].ssi_signo);
	T(readv(fd, parts + 2, 1));
	T(preadv(fd, parts, 3, 0));
	show("left");
	T(write(fd, si, 128));
	return 0;
}

/* For tests of pidfds: the calls, and a thread that signals itself and waits. Include after t.h. */
#include <poll.h>

#define SELF_THREAD (-10000)
#define SELF_PROCESS (-10001)

static int open_pid(pid_t pid, unsigned flags) { return syscall(SYS_pidfd_open, pid, flags); }
static int send_to(int fd, int sig, siginfo_t *info, unsigned flags)
{
	return syscall(SYS_pidfd_send_signal, fd, sig, info, flags);
}

static void look(const char *what, int fd)
{
	struct pollfd p = { fd, POLLIN };
	poll(&p, 1, 0);
	out("%s: %x\n", what, p.revents);
}

static pthread_barrier_t step;
static pid_t tid;
static volatile int got_tid, hits;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	got_tid = gettid();
	hits = info->si_code;
}

static void *thread(void *arg)
{
	tid = gettid();
	pthread_barrier_wait(&step);
	T(send_to(SELF_THREAD, SIGUSR1, NULL, 0));
	CHECK(got_tid == gettid());
	V(hits);
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	return NULL;
}

/* Starts the thread; it has signalled itself, and ends when it is met at `step` once more. */
static pthread_t start_thread(void)
{
	pthread_t id;
	handle(SIGUSR1, on_signal, 0);
	pthread_barrier_init(&step, NULL, 2);
	pthread_create(&id, NULL, thread, NULL);
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	return id;
}

/* POSIX message queues. bevor-test: user=both flags=-lrt waits=reloaded */
#include "t.h"
#include <mqueue.h>
#include <poll.h>

static volatile int notified;
static void on_signal(int sig, siginfo_t *info, void *context) { notified = info->si_code; }

static void on_thread(union sigval value) { __atomic_store_n(&notified, value.sival_int, __ATOMIC_SEQ_CST); }

int main(void)
{
	char name[64], buf[200];
	unsigned priority;
	snprintf(name, sizeof name, "/bevor-test-%d", getpid());
	struct mq_attr attr = { .mq_maxmsg = 3, .mq_msgsize = 100 };
	T(mq_open(name, O_RDWR));
	mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	CHECK(q >= 0);
	T(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr));
	T(mq_open("no-slash", O_RDWR | O_CREAT, 0600, &attr));
	T(mq_send(q, "low", 3, 1));
	T(mq_send(q, "high", 4, 9));
	T(mq_send(q, "mid", 3, 5));
	struct timespec past = { 1, 0 };
	T(mq_timedsend(q, "full", 4, 5, &past));
	T(mq_send(q, buf, 101, 5));
	T(mq_receive(q, buf, 50, &priority));
	for (int i = 0; i < 3; i++) {
		out_bytes("got", buf, mq_receive(q, buf, 100, &priority));
		V(priority);
	}
	T(mq_timedreceive(q, buf, 100, &priority, &past));
	struct mq_attr now, block = { .mq_flags = O_NONBLOCK };
	T(mq_setattr(q, &block, NULL));
	T(mq_receive(q, buf, 100, &priority));
	T(mq_getattr(q, &now));
	out("%ld %ld %ld %ld\n", now.mq_flags, now.mq_maxmsg, now.mq_msgsize, now.mq_curmsgs);
	struct pollfd p = { q, POLLIN | POLLOUT };
	T(poll(&p, 1, 0));
	out("%x\n", p.revents);
	handle(SIGUSR1, on_signal, 0);
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	T(mq_notify(q, &event));
	T(mq_notify(q, &event));
	mq_send(q, "note", 4, 0);
	V(notified);
	mq_receive(q, buf, 100, NULL);
	block.mq_flags = 0;
	mq_setattr(q, &block, NULL);
	pid_t pid = fork();
	if (pid == 0)
		_exit(mq_receive(q, buf, 100, NULL));
	wait_state(pid, pid, 'S');
	mq_send(q, "wake up", 7, 0);
	reap("receiver", pid);
	T(mq_notify(q, &event));
	T(mq_notify(q, NULL));
	event.sigev_signo = 65;
	T(mq_notify(q, &event));
	event.sigev_notify = SIGEV_NONE;
	T(mq_notify(q, &event));
	event.sigev_notify = 77;
	T(mq_notify(q, &event));
	event = (struct sigevent){ .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	T(mq_notify(q, &event));
	pid = fork();
	if (pid == 0) {
		/* Another process's registration. */
		T(mq_notify(q, &event));
		T(mq_notify(q, NULL));
		_exit(0);
	}
	reap("other", pid);
	mqd_t twin = mq_open(name, O_WRONLY);
	T(mq_receive(twin, buf, 100, NULL));
	T(mq_close(twin));
	/* Closing any descriptor of the queue ended the registration. */
	notified = 0;
	mq_send(q, "first", 5, 3);
	V(notified);
	mq_send(q, "second", 6, 3);
	mq_send(q, "third", 5, 0);
	for (int i = 0; i < 3; i++)
		out_bytes("got", buf, mq_receive(q, buf, 100, &priority));
	/* A thread that the C library starts. */
	struct sigevent by_thread = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread, .sigev_value.sival_int = 42 };
	notified = 0;
	T(mq_notify(q, &by_thread));
	T(mq_notify(q, &by_thread));
	mq_send(q, "thread", 6, 0);
	for (int i = 0; i < 3000 && !__atomic_load_n(&notified, __ATOMIC_SEQ_CST); i++)
		sleep_ms(1);
	V(notified);
	mq_receive(q, buf, 100, NULL);
	T(mq_notify(q, &by_thread));
	T(mq_notify(q, NULL));
	T(mq_send(q, "x", 1, 32768));
	T(mq_send(q, "", 0, 32767));
	T(mq_receive(q, buf, 100, &priority));
	V(priority);
	struct timespec bad = { 1, 1000000000 };
	T(mq_timedreceive(q, buf, 100, NULL, &bad));
	twin = mq_open(name, O_RDONLY | O_NONBLOCK);
	T(mq_send(twin, "x", 1, 0));
	T(mq_receive(twin, buf, 100, NULL));
	char text[200];
	int length = pread(twin, text, sizeof text, 0);
	out_bytes("file", text, length);
	V(pread(twin, text, sizeof text, 20) == length - 20);
	T(write(q, "x", 1));
	struct stat st;
	T(fstat(q, &st));
	out("%o %ld %ld\n", st.st_mode, (long)st.st_size, (long)st.st_nlink);
	struct mq_attr wrong[] = {
		{ .mq_maxmsg = 0, .mq_msgsize = 10 },
		{ .mq_maxmsg = 1, .mq_msgsize = 0 },
		{ .mq_maxmsg = -1, .mq_msgsize = 10 },
		{ .mq_maxmsg = 70000, .mq_msgsize = 10 },
		{ .mq_maxmsg = 1, .mq_msgsize = 20000000 },
	};
	for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
		T(mq_open("/bevor-test-wrong", O_RDWR | O_CREAT, 0600, &wrong[i]));
	T(mq_open("/a/b", O_RDWR | O_CREAT, 0600, &attr));
	T(mq_open("/", O_RDWR | O_CREAT, 0600, &attr));
	T(mq_open("/..", O_RDWR | O_CREAT, 0600, &attr));
	memset(text, 'n', sizeof text);
	struct rlimit limit = { 1000, 1000 };
	T(setrlimit(RLIMIT_MSGQUEUE, &limit));
	T(mq_open("/bevor-test-wrong", O_RDWR | O_CREAT, 0600, &attr));
	T(mq_unlink(name));
	T(mq_unlink(name));
	T(mq_send(q, "still", 5, 0));
	T(mq_close(q));
	T(mq_close(q));
	return 0;
}

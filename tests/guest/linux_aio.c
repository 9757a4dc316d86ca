/* Asynchronous I/O by system calls: contexts, requests, completions, polling, cancelling.
 * bevor-test: user=both waits=reloaded */
#include "t.h"
#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/eventfd.h>

static long setup(unsigned nr, aio_context_t *context) { return syscall(SYS_io_setup, nr, context); }
static long destroy(aio_context_t context) { return syscall(SYS_io_destroy, context); }
static long submit(aio_context_t context, long nr, struct iocb **list) { return syscall(SYS_io_submit, context, nr, list); }
static long one(aio_context_t context, struct iocb *cb) { return submit(context, 1, &cb); }
static long cancel(aio_context_t context, struct iocb *cb, struct io_event *e) { return syscall(SYS_io_cancel, context, cb, e); }
static long get(aio_context_t context, long min, long max, struct io_event *events, struct timespec *limit)
{
	return syscall(SYS_io_getevents, context, min, max, events, limit);
}

static struct iocb request(int op, int fd, void *buf, size_t len, long long at)
{
	return (struct iocb){ .aio_data = 77, .aio_key = 9, .aio_lio_opcode = op, .aio_fildes = fd,
		.aio_buf = (uintptr_t)buf, .aio_nbytes = len, .aio_offset = at };
}

/* Submits one request, waits for it if it was taken, and prints both results. */
static void run(aio_context_t context, const char *what, struct iocb cb)
{
	errno = 0;
	long taken = one(context, &cb);
	if (taken != 1) {
		out("%s: %ld %s\n", what, taken, errname(errno));
		return;
	}
	struct io_event e = { 0 };
	long got = get(context, 1, 1, &e, NULL);
	out("%s: taken, %ld event, res %lld %lld, data %lld, ours %d, key %u\n", what, got, (long long)e.res,
	    (long long)e.res2, (long long)e.data, e.obj == (uintptr_t)&cb, cb.aio_key);
}

static void contexts(void)
{
	aio_context_t a = 0, b = 0;
	T(setup(0, &a));
	T(setup(1, NULL));
	a = 5;
	T(setup(1, &a));
	a = 0;
	T(setup(0x80000000u, &a));
	T(setup(0x40000000u, &a));
	T(setup(8, &a));
	T(setup(8, &b));
	CHECK(a && b && a != b);
	T(setup(8, &a));
	T(destroy(b));
	T(destroy(b));
	T(destroy(0));
	T(destroy((uintptr_t)&a));
	struct io_event e[4];
	struct timespec none = { 0 }, some = { 0, 1000000 };
	T(get(a, 0, 4, e, NULL));
	T(get(a, 1, 4, e, &none));
	T(get(a, 1, 4, e, &some));
	T(get(a, 2, 1, e, &none));
	T(get(a, -1, 1, e, &none));
	T(get(a, 0, -1, e, &none));
	T(get(b, 0, 1, e, &none));
	T(get(a, 0, 1, e, (void *)8));
	T(submit(a, -1, NULL));
	T(submit(a, 0, NULL));
	T(submit(a, 1, NULL));
	T(submit(b, 0, NULL));
	struct iocb *list[] = { NULL };
	T(submit(a, 1, list));
	/* the mapping */
	char line[512];
	int shown = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof line, maps))
		if (strstr(line, "[aio]")) {
			shown++;
			out("maps: %.5s%s", strchr(line, ' '), strstr(line, "/[aio]"));
		}
	fclose(maps);
	V(shown);
	CHILD("child", T(get(a, 0, 1, e, &none)); T(destroy(a)));
	T(get(a, 0, 1, e, &none));
	/* without the mapping there is no context */
	aio_context_t c = 0;
	MUST(setup(1, &c));
	MUST(munmap((void *)c, 4096));
	T(get(c, 0, 1, e, &none));
	T(destroy(c));
	T(destroy(a));
}

static void transfers(void)
{
	aio_context_t a = 0;
	MUST(setup(16, &a));
	int fd = make_file("file", "0123456789");
	int rd = MUST(open("file", O_RDONLY)), wr = MUST(open("file", O_WRONLY)), dir = MUST(open(".", O_RDONLY));
	char buf[32] = { 0 }, more[8] = { 0 };
	run(a, "pread", request(IOCB_CMD_PREAD, fd, buf, 4, 3));
	out_bytes("read", buf, 4);
	run(a, "pread at the end", request(IOCB_CMD_PREAD, fd, buf, 4, 8));
	run(a, "pread behind the end", request(IOCB_CMD_PREAD, fd, buf, 4, 80));
	run(a, "pwrite", request(IOCB_CMD_PWRITE, fd, "abc", 3, 1));
	T(lseek(fd, 0, SEEK_CUR));
	struct iovec iov[2] = { { buf, 2 }, { more, 5 } };
	run(a, "preadv", request(IOCB_CMD_PREADV, fd, iov, 2, 0));
	out_bytes("first", buf, 2);
	out_bytes("second", more, 5);
	run(a, "pwritev", request(IOCB_CMD_PWRITEV, fd, iov, 2, 20));
	struct stat st;
	fstat(fd, &st);
	V(st.st_size);
	run(a, "fsync", request(IOCB_CMD_FSYNC, fd, NULL, 0, 0));
	run(a, "fdsync", request(IOCB_CMD_FDSYNC, fd, NULL, 0, 0));
	run(a, "fsync with more", request(IOCB_CMD_FSYNC, fd, buf, 0, 0));
	run(a, "fsync of a pipe's kind", request(IOCB_CMD_FSYNC, eventfd(0, 0), NULL, 0, 0));
	run(a, "noop", request(6, fd, NULL, 0, 0));
	run(a, "no such command", request(99, fd, NULL, 0, 0));
	run(a, "bad descriptor", request(IOCB_CMD_PREAD, 999, buf, 1, 0));
	run(a, "read of write-only", request(IOCB_CMD_PREAD, wr, buf, 1, 0));
	run(a, "write of read-only", request(IOCB_CMD_PWRITE, rd, buf, 1, 0));
	run(a, "read of a directory", request(IOCB_CMD_PREAD, dir, buf, 1, 0));
	run(a, "negative offset", request(IOCB_CMD_PREAD, fd, buf, 1, -1));
	run(a, "bad buffer", request(IOCB_CMD_PREAD, fd, (void *)64, 4, 0));
	run(a, "kernel's buffer", request(IOCB_CMD_PREAD, fd, (void *)(1ul << 63), 4, 0));
	run(a, "bad vector", request(IOCB_CMD_PREADV, fd, (void *)64, 2, 0));
	run(a, "long vector", request(IOCB_CMD_PREADV, fd, iov, 1025, 0));
	run(a, "negative length", request(IOCB_CMD_PREAD, fd, buf, -1, 0));
	struct iocb cb = request(IOCB_CMD_PREAD, fd, buf, 1, 0);
	cb.aio_reserved2 = 1;
	run(a, "reserved", cb);
	cb = request(IOCB_CMD_PWRITE, fd, "end", 3, 0);
	cb.aio_rw_flags = 0x10; /* RWF_APPEND */
	run(a, "append", cb);
	cb.aio_rw_flags = 0x2; /* RWF_DSYNC */
	run(a, "dsync", cb);
	cb.aio_rw_flags = 0x30;
	run(a, "append and not", cb);
	cb.aio_rw_flags = 0x40000000;
	run(a, "unknown flag", cb);
	cb.aio_rw_flags = 0;
	cb.aio_flags = IOCB_FLAG_IOPRIO;
	cb.aio_reqprio = 2 << 13 | 4;
	run(a, "best-effort", cb);
	cb.aio_reqprio = 5 << 13;
	run(a, "no such class", cb);
	cb.aio_reqprio = 1 << 13;
	struct { unsigned version; int pid; } header = { 0x20080522, 0 };
	struct { unsigned effective, permitted, inheritable; } caps[2] = { { 0 } };
	CHILD("without capabilities", MUST(syscall(SYS_capset, &header, caps)); aio_context_t b = 0; MUST(setup(1, &b));
	      run(b, "real-time", cb));
	fstat(fd, &st);
	V(st.st_size);
	/* several at once, the third is bad */
	struct iocb cbs[4];
	struct iocb *list[4];
	for (int i = 0; i < 4; i++) {
		cbs[i] = request(IOCB_CMD_PREAD, i == 2 ? 999 : fd, buf + i, 1, i);
		cbs[i].aio_data = i;
		list[i] = cbs + i;
	}
	T(submit(a, 4, list));
	struct io_event events[4];
	T(get(a, 2, 4, events, NULL));
	for (int i = 0; i < 2; i++)
		out("event %lld res %lld\n", (long long)events[i].data, (long long)events[i].res);
	/* completions that cannot be written stay */
	T(one(a, cbs));
	T(get(a, 1, 1, (void *)64, NULL));
	T(get(a, 1, 1, events, NULL));
	/* completions are told to an eventfd */
	int efd = eventfd(0, EFD_NONBLOCK);
	cb = request(IOCB_CMD_PREAD, fd, buf, 2, 0);
	cb.aio_flags = IOCB_FLAG_RESFD;
	cb.aio_resfd = efd;
	run(a, "with eventfd", cb);
	uint64_t count = 0;
	T(read(efd, &count, 8));
	V(count);
	cb.aio_resfd = fd;
	run(a, "with a file as eventfd", cb);
	cb.aio_resfd = 999;
	run(a, "with no eventfd", cb);
	T(destroy(a));
}

static void *writer(void *fd)
{
	sleep_ms(20);
	if (write(*(int *)fd, "late", 4) != 4)
		out("BAD write\n");
	return NULL;
}

static void pipes(void)
{
	aio_context_t a = 0;
	MUST(setup(16, &a));
	int p[2];
	MUST(pipe2(p, O_NONBLOCK));
	char buf[8] = { 0 };
	run(a, "empty pipe", request(IOCB_CMD_PREAD, p[0], buf, 4, 0));
	run(a, "write to a pipe", request(IOCB_CMD_PWRITE, p[1], "abcdef", 6, 0));
	run(a, "read of a pipe", request(IOCB_CMD_PREAD, p[0], buf, 8, 0));
	out_bytes("piped", buf, 6);
	/* a request that waits within io_submit */
	int q[2];
	MUST(pipe(q));
	pthread_t thread;
	pthread_create(&thread, NULL, writer, q + 1);
	run(a, "waiting pipe", request(IOCB_CMD_PREAD, q[0], buf, 8, 0));
	out_bytes("piped", buf, 4);
	pthread_join(thread, NULL);
	signal(SIGPIPE, SIG_IGN);
	close(q[0]);
	run(a, "broken pipe", request(IOCB_CMD_PWRITE, q[1], "x", 1, 0));
	/* polling */
	struct io_event e[4];
	struct timespec none = { 0 };
	struct iocb cb = request(IOCB_CMD_POLL, p[0], NULL, 0, 0), other = cb;
	cb.aio_buf = POLLIN;
	other.aio_buf = POLLIN;
	int efd = eventfd(0, EFD_NONBLOCK);
	cb.aio_flags = IOCB_FLAG_RESFD;
	cb.aio_resfd = efd;
	T(one(a, &cb));
	T(get(a, 0, 4, e, &none));
	struct pollfd pfd = { efd, POLLIN, 0 };
	T(poll(&pfd, 1, 0));
	pthread_create(&thread, NULL, writer, p + 1);
	T(get(a, 1, 4, e, NULL));
	V(e[0].res & POLLIN);
	T(poll(&pfd, 1, 5000));
	pthread_join(thread, NULL);
	run(a, "poll of a ready pipe", other);
	T(read(p[0], buf, 8));
	other.aio_buf = POLLOUT;
	run(a, "poll of the wrong end", (struct iocb){ .aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = p[1], .aio_buf = POLLOUT });
	other.aio_buf = 0x10001;
	run(a, "poll for too much", other);
	other.aio_buf = POLLIN;
	other.aio_nbytes = 1;
	run(a, "poll with length", other);
	other = request(IOCB_CMD_POLL, make_file("plain", "x"), NULL, 0, 0);
	other.aio_buf = POLLIN;
	run(a, "poll of a file", other);
	other.aio_buf = POLLPRI;
	run(a, "poll of a file for what never comes", other);
	/* cancelling */
	cb.aio_flags = 0;
	T(one(a, &cb));
	T(cancel(a, &other, e));
	T(cancel(a, NULL, e));
	cb.aio_key = 3;
	T(cancel(a, &cb, e));
	cb.aio_key = 0;
	T(cancel(0, &cb, e));
	T(cancel(a, &cb, e));
	T(get(a, 1, 4, e, NULL));
	V(e[0].res);
	CHECK(e[0].obj == (uintptr_t)&cb);
	T(cancel(a, &cb, e));
	/* the other end goes */
	T(one(a, &cb));
	close(p[1]);
	T(get(a, 1, 4, e, NULL));
	V(e[0].res);
	/* full: polling takes places */
	int r[2];
	MUST(pipe(r));
	static struct iocb many[20000];
	long taken = 0;
	for (; taken < 20000; taken++) {
		many[taken] = request(IOCB_CMD_POLL, r[0], NULL, 0, 0);
		many[taken].aio_buf = POLLIN;
		if (one(a, many + taken) != 1)
			break;
	}
	out("full: %s, %d\n", errname(errno), taken >= 16 && taken < 20000);
	T(destroy(a));
}

static aio_context_t shared;

static void *destroyer(void *arg)
{
	(void)arg;
	sleep_ms(20);
	return (void *)destroy(shared);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info, (void)context;
}

static void waiting(void)
{
	MUST(setup(4, &shared));
	struct io_event e[4];
	handle(SIGALRM, on_signal, SA_RESTART);
	struct itimerval soon = { { 0 }, { 0, 20000 } };
	setitimer(ITIMER_REAL, &soon, NULL);
	T(get(shared, 1, 4, e, NULL));
	/* under another mask */
	sigset_t block, empty;
	sigemptyset(&empty);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	sigprocmask(SIG_BLOCK, &block, NULL);
	struct { const sigset_t *set; size_t size; } pack = { &empty, 8 };
	setitimer(ITIMER_REAL, &soon, NULL);
	T(syscall(SYS_io_pgetevents, shared, 1L, 4L, e, NULL, &pack));
	struct timespec some = { 0, 1000000 };
	pack.set = &block;
	T(syscall(SYS_io_pgetevents, shared, 1L, 4L, e, &some, &pack));
	T(syscall(SYS_io_pgetevents, shared, 1L, 4L, e, &some, NULL));
	pack.size = 4;
	T(syscall(SYS_io_pgetevents, shared, 1L, 4L, e, &some, &pack));
	T(syscall(SYS_io_pgetevents, shared, 1L, 4L, e, &some, (void *)8));
	pack.set = NULL;
	T(syscall(SYS_io_pgetevents, shared, 1L, 4L, e, &some, &pack));
	/* ends under the waiting thread */
	pthread_t thread;
	pthread_create(&thread, NULL, destroyer, NULL);
	T(get(shared, 1, 4, e, NULL));
	void *result;
	pthread_join(thread, &result);
	V(result);
}

int main(void)
{
	scratch();
	contexts();
	transfers();
	pipes();
	waiting();
	unscratch();
}

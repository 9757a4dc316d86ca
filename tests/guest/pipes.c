/* Pipes and fifos. bevor-test: user=both waits=reloaded */
#include "t.h"
#include <poll.h>
#include <sys/ioctl.h>

static volatile int got_pipe;
static void on_pipe(int sig, siginfo_t *info, void *context) { got_pipe++; }

int main(void)
{
	int p[2];
	static char big[300000], buf[300000];
	T(pipe2(p, 0x1));
	T(pipe((int *)8));
	MUST(pipe(p));
	T(write(p[1], "hello", 5));
	int n;
	T(ioctl(p[0], FIONREAD, &n));
	V(n);
	out_bytes("read", buf, read(p[0], buf, 3));
	out_bytes("rest", buf, read(p[0], buf, 10));
	T(write(p[0], "x", 1));
	T(read(p[1], buf, 1));
	T(lseek(p[0], 0, SEEK_CUR));
	T(pread(p[0], buf, 1, 0));
	T(write(p[1], "", 0));
	T(fcntl(p[1], F_GETPIPE_SZ));
	T(fcntl(p[1], F_SETPIPE_SZ, 5000));
	T(fcntl(p[1], F_SETPIPE_SZ, 65536));
	T(fcntl(p[1], F_SETPIPE_SZ, -1));
	T(ftruncate(p[1], 0));
	T(fsync(p[1]));
	struct stat st;
	fstat(p[0], &st);
	out("mode %o size %ld\n", st.st_mode, (long)st.st_size);

	MUST(fcntl(p[1], F_SETFL, O_NONBLOCK));
	MUST(fcntl(p[0], F_SETFL, O_NONBLOCK));
	T(read(p[0], buf, 1));
	T(write(p[1], big, sizeof big));
	T(write(p[1], big, 1));
	struct pollfd poller = { p[1], POLLOUT };
	T(poll(&poller, 1, 0));
	T(read(p[0], buf, 4095));
	T(write(p[1], big, 4096));
	T(poll(&poller, 1, 0));
	T(read(p[0], buf, 1));
	T(poll(&poller, 1, 0));
	T(write(p[1], big, 4096));
	T(write(p[1], big, 4096));
	T(read(p[0], buf, sizeof buf));
	T(read(p[0], buf, sizeof buf));
	poller = (struct pollfd){ p[0], POLLIN };
	T(poll(&poller, 1, 0));
	close(p[1]);
	T(poll(&poller, 1, 0));
	out("revents %x\n", poller.revents);
	T(read(p[0], buf, 1));
	close(p[0]);

	/* No reader. */
	MUST(pipe(p));
	close(p[0]);
	CHILD("SIGPIPE", write(p[1], "x", 1));
	signal(SIGPIPE, SIG_IGN);
	T(write(p[1], "x", 1));
	handle(SIGPIPE, on_pipe, 0);
	T(write(p[1], "x", 1));
	V(got_pipe);
	poller = (struct pollfd){ p[1], POLLOUT };
	T(poll(&poller, 1, 0));
	out("revents %x\n", poller.revents);
	close(p[1]);
	/* The reader goes away while a writer is blocked. */
	MUST(pipe(p));
	pid_t pid = fork();
	if (pid == 0) {
		signal(SIGPIPE, SIG_IGN);
		close(p[0]);
		T(write(p[1], big, sizeof big));
		T(write(p[1], big, sizeof big));
		_exit(0);
	}
	close(p[1]);
	for (long total = 0; total < 10000;)
		total += read(p[0], buf, 5000);
	wait_state(pid, pid, 'S');
	close(p[0]);
	reap("blocked writer", pid);

	/* A blocked reader is woken by data, by the end, and by a signal. */
	MUST(pipe(p));
	pid = fork();
	if (pid == 0) {
		close(p[1]);
		out_bytes("woken", buf, read(p[0], buf, 100));
		out_bytes("end", buf, read(p[0], buf, 100));
		_exit(0);
	}
	wait_state(pid, pid, 'S');
	write(p[1], "data", 4);
	sleep_ms(5);
	wait_state(pid, pid, 'S');
	close(p[1]);
	reap("reader", pid);

	/* A large transfer with odd sizes arrives whole. */
	MUST(pipe(p));
	pid = fork();
	if (pid == 0) {
		close(p[0]);
		unsigned value = 1;
		for (int i = 0; i < 300000; i++) {
			value = value * 1103515245 + 12345;
			big[i] = value >> 16;
		}
		for (int at = 0, step = 1; at < 300000; step = step * 2 % 40009) {
			int len = step < 300000 - at ? step : 300000 - at;
			at += MUST(write(p[1], big + at, len));
		}
		_exit(0);
	}
	close(p[1]);
	unsigned value = 1, wrong = 0;
	long total = 0, got;
	while ((got = read(p[0], buf, 7777)) > 0)
		for (long i = 0; i < got; i++, total++) {
			value = value * 1103515245 + 12345;
			wrong += (unsigned char)buf[i] != (unsigned char)(value >> 16);
		}
	V(total);
	V(wrong);
	reap("writer", pid);

	/* Writes up to PIPE_BUF are never mixed. */
	MUST(pipe(p));
	for (int w = 0; w < 4; w++)
		if (fork() == 0) {
			char record[512];
			memset(record, 'a' + w, sizeof record);
			for (int i = 0; i < 100; i++)
				write(p[1], record, sizeof record);
			_exit(0);
		}
	close(p[1]);
	int mixed = 0;
	total = 0;
	char record[512];
	for (;;) {
		long at = 0;
		while (at < 512 && (got = read(p[0], record + at, 512 - at)) > 0)
			at += got;
		if (at < 512)
			break;
		for (int i = 1; i < 512; i++)
			mixed += record[i] != record[0];
		total++;
	}
	V(total);
	V(mixed);
	while (wait(NULL) > 0)
		;
	/* O_DIRECT: packets. */
	MUST(pipe2(p, O_DIRECT));
	write(p[1], "one", 3);
	write(p[1], "second", 6);
	out_bytes("packet", buf, read(p[0], buf, 100));
	out_bytes("cut", buf, read(p[0], buf, 2));
	MUST(fcntl(p[0], F_SETFL, O_NONBLOCK));
	T(read(p[0], buf, 100));

	/* Fifos. */
	scratch();
	MUST(mkfifo("fifo", 0600));
	pid = fork();
	if (pid == 0) {
		int fd = MUST(open("fifo", O_WRONLY));
		MUST(write(fd, "through", 7));
		_exit(0);
	}
	wait_state(pid, pid, 'S');
	int fd = MUST(open("fifo", O_RDONLY));
	out_bytes("fifo", buf, read(fd, buf, 100));
	reap("fifo writer", pid);
	T(read(fd, buf, 100));
	int w = OK(open("fifo", O_WRONLY | O_NONBLOCK));
	write(w, "again", 5);
	out_bytes("fifo", buf, read(fd, buf, 100));
	close(w);
	close(fd);
	fd = MUST(open("fifo", O_RDWR));
	write(fd, "self", 4);
	out_bytes("fifo", buf, read(fd, buf, 100));
	close(fd);
	/* Reopening through /proc. */
	MUST(pipe(p));
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", p[1]);
	w = OK(open(path, O_WRONLY));
	write(w, "proc", 4);
	out_bytes("reopened", buf, read(p[0], buf, 100));
	unscratch();
	return 0;
}

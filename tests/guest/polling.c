/* poll, select and what makes files ready. bevor-test: user=both waits=reloaded */
#include "t.h"
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>

static const char *bits(int revents)
{
	static char text[100];
	text[0] = 0;
	struct { int bit; const char *name; } names[] = { { POLLIN, "IN " }, { POLLPRI, "PRI " }, { POLLOUT, "OUT " },
		{ POLLERR, "ERR " }, { POLLHUP, "HUP " }, { POLLNVAL, "NVAL " }, { POLLRDHUP, "RDHUP " } };
	for (int i = 0; i < 7; i++)
		if (revents & names[i].bit)
			strcat(text, names[i].name);
	return text;
}

static void show(const char *what, int fd)
{
	struct pollfd f = { fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP };
	int got = poll(&f, 1, 0);
	out("%s: %d %s\n", what, got, bits(f.revents));
}

static volatile int handled;
static void on_signal(int sig, siginfo_t *info, void *context) { handled++; }

int main(void)
{
	scratch();
	int p[2], s[2];
	MUST(pipe(p));
	show("empty pipe, read end", p[0]);
	show("empty pipe, write end", p[1]);
	write(p[1], "x", 1);
	show("pipe with data", p[0]);
	close(p[1]);
	show("writer gone, data left", p[0]);
	char c;
	read(p[0], &c, 1);
	show("writer gone", p[0]);
	show("closed", 99);
	show("negative", -5);
	show("file", make_file("f", "x"));
	show("folder", open(".", O_RDONLY));
	show("null", open("/dev/null", O_RDWR));
	show("zero", open("/dev/zero", O_RDWR));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	show("socket", s[0]);
	write(s[1], "x", 1);
	show("socket with data", s[0]);
	shutdown(s[1], SHUT_WR);
	show("half closed", s[0]);
	show("half closed, other side", s[1]);
	close(s[1]);
	show("closed", s[0]);
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	show("datagram", s[0]);
	mkfifo("fifo", 0600);
	int r = open("fifo", O_RDONLY | O_NONBLOCK);
	show("fifo without writer", r);
	int w = open("fifo", O_WRONLY);
	show("fifo", r);
	close(w);
	show("fifo, writer gone", r);

	struct pollfd many[3] = { { p[0], POLLIN }, { -1, POLLIN }, { 1, 0 } };
	T(poll(many, 3, 0));
	T(poll(NULL, 0, 1));
	T(poll((void *)8, 1, 0));
	T(poll(many, -1, 0));
	struct timespec bad = { 0, -1 };
	T(ppoll(many, 1, &bad, NULL));

	/* select */
	MUST(pipe(p));
	fd_set rd, wr, ex;
	FD_ZERO(&rd);
	FD_ZERO(&wr);
	FD_ZERO(&ex);
	FD_SET(p[0], &rd);
	FD_SET(p[1], &wr);
	struct timeval tv = { 0, 0 };
	T(select(100, &rd, &wr, &ex, &tv));
	out("%d %d\n", !!FD_ISSET(p[0], &rd), !!FD_ISSET(p[1], &wr));
	FD_SET(p[0], &rd);
	FD_ZERO(&wr);
	tv.tv_usec = 5000;
	T(select(100, &rd, &wr, &ex, &tv));
	V(tv.tv_usec);
	FD_SET(60, &rd);
	T(select(300, &rd, NULL, NULL, &tv));
	T(select(-1, NULL, NULL, NULL, &tv));
	tv.tv_usec = -1;
	T(select(0, NULL, NULL, NULL, &tv));
	/* Woken by data, from another process. */
	pid_t pid = fork();
	if (pid == 0) {
		struct pollfd f = { p[0], POLLIN };
		int got = poll(&f, 1, -1);
		_exit(got == 1 && f.revents == POLLIN ? 1 : 2);
	}
	wait_state(pid, pid, 'S');
	write(p[1], "x", 1);
	reap("poller", pid);
	read(p[0], &c, 1);
	pid = fork();
	if (pid == 0) {
		close(p[1]);
		FD_ZERO(&rd);
		FD_SET(p[0], &rd);
		int got = select(p[0] + 1, &rd, NULL, NULL, NULL);
		_exit(got == 1 && read(p[0], &c, 1) == 0 ? 3 : 4);
	}
	wait_state(pid, pid, 'S');
	close(p[1]);
	reap("select sees the end", pid);
	/* The signal mask of ppoll is in force only inside. */
	handle(SIGUSR1, on_signal, 0);
	sigset_t set, none;
	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	struct timespec t = { 0, 1000000 };
	T(ppoll(NULL, 0, &t, NULL));
	V(handled);
	T(ppoll(NULL, 0, &t, &none));
	V(handled);
	raise(SIGUSR1);
	T(pselect(0, NULL, NULL, NULL, &t, &none));
	V(handled);
	sigprocmask(0, NULL, &none);
	V(sigismember(&none, SIGUSR1));
	/* Many descriptors. */
	struct pollfd lots[500];
	int pipes[500][2];
	for (int i = 0; i < 500; i++) {
		pipe(pipes[i]);
		lots[i] = (struct pollfd){ pipes[i][0], POLLIN };
		if (i % 7 == 0)
			write(pipes[i][1], "x", 1);
	}
	T(poll(lots, 500, -1));
	unscratch();
	return 0;
}

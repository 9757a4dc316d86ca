/* Pseudo-terminals beyond the usual: editing, modes, packets, flow control, timeouts, hang-ups,
 * devpts. bevor-test: user=both */
#include "t.h"
#include "terminal.h"
#include "pty_pair.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

static void put(const char *text) { write(master, text, strlen(text)); sleep_ms(10); }

/* Types text under the given settings; shows echo and input. */
static void type(const char *what, const char *text, int iflag, int noiflag, int lflag, int nolflag)
{
	struct termios t = initial;
	t.c_iflag = (t.c_iflag | iflag) & ~noiflag;
	t.c_lflag = (t.c_lflag | lflag) & ~nolflag;
	tcsetattr(slave, TCSANOW, &t);
	put(text);
	get(what, master);
	get("  read", slave);
	tcsetattr(slave, TCSANOW, &initial);
	tcflush(slave, TCIOFLUSH);
	tcflush(master, TCIOFLUSH);
}

static void form(const char *what, const char *text, int oflag)
{
	struct termios t = initial;
	t.c_oflag = oflag;
	tcsetattr(slave, TCSANOW, &t);
	write(slave, text, strlen(text));
	get(what, master);
	tcsetattr(slave, TCSANOW, &initial);
}

static void editing(void)
{
	open_pair();
	type("erase a tab", "ab\t\177c\n", 0, 0, 0, 0);
	type("erase a tab after a tab", "\tab\t\177c\n", 0, 0, 0, 0);
	type("erase a control character", "\001\177\n", 0, 0, 0, 0);
	type("erase nothing", "\177\025\027\n", 0, 0, 0, 0);
	type("erase words", "one two_3  \027\027x\n", 0, 0, 0, 0);
	type("reprint", "abc\022d\n", 0, 0, 0, 0);
	type("literal", "a\026\003\026\n\n", 0, 0, 0, 0);
	type("no IEXTEN", "a b\027\026\n", 0, 0, 0, IEXTEN);
	type("no ECHOE", "ab\177\n", 0, 0, 0, ECHOE);
	type("no ECHOKE", "ab\025c\n", 0, 0, 0, ECHOKE);
	type("no ECHOK", "ab\025c\n", 0, 0, 0, ECHOK | ECHOKE);
	type("ECHOPRT", "abc\177\177d\n", 0, 0, ECHOPRT, 0);
	type("no ECHOCTL", "\001b\177\n", 0, 0, 0, ECHOCTL);
	type("ECHONL", "ab\n", 0, 0, ECHONL, ECHO);
	type("IUTF8", "a\303\251\177b\n", IUTF8, 0, 0, 0);
	type("no IUTF8", "a\303\251\177b\n", 0, IUTF8, 0, 0);
	type("IGNCR", "a\rb\n", IGNCR, 0, 0, 0);
	type("INLCR", "a\nb\004", INLCR, ICRNL, 0, 0);
	type("no ICRNL", "a\rb\n", 0, ICRNL, 0, 0);
	type("ISTRIP", "\341b\n", ISTRIP, 0, 0, 0);
	type("IUCLC", "ABc\n", IUCLC, 0, 0, 0);
	type("PARMRK", "\377a\n", PARMRK, 0, 0, 0);
	type("no ISIG", "\003\032\n", 0, 0, 0, ISIG);
	type("interrupt drops input", "ab\003c\n", 0, 0, 0, 0);
	type("NOFLSH", "ab\003c\n", 0, 0, NOFLSH, 0);
	type("no ICANON", "ab\177\r\n\004", 0, 0, 0, ICANON);
	type("EXTPROC", "ab\177\n", 0, 0, EXTPROC, 0);
	form("OPOST off", "a\nb\tc\n", ONLCR | XTABS);
	form("XTABS", "a\tb\b\tc\n", OPOST | XTABS);
	form("OCRNL", "a\rb", OPOST | OCRNL);
	form("ONOCR", "\ra\r\rb\r", OPOST | ONOCR);
	form("ONLRET", "a\n\rb\n", OPOST | ONLRET | ONOCR);
	form("OLCUC", "aBc\n", OPOST | OLCUC);
	struct termios t = initial;
	t.c_cc[VEOL] = ';';
	t.c_cc[VEOL2] = '!';
	t.c_cc[VERASE] = '#';
	tcsetattr(slave, TCSANOW, &t);
	put("x#a;b!");
	get("VEOL", slave);
	get("VEOL2", slave);
	tcsetattr(slave, TCSAFLUSH, &initial);
	tcflush(master, TCIOFLUSH);
	/* The end of a file that comes with the last byte that fits. */
	char few[4];
	put("abcd\004e\n");
	T(read(slave, few, 4));
	get("after a full buffer", slave);
	/* A mode change with input waiting. */
	put("line\npart\004loose");
	t = initial;
	t.c_lflag &= ~ICANON;
	tcsetattr(slave, TCSANOW, &t);
	get("raw", slave);
	put("abc");
	tcsetattr(slave, TCSANOW, &initial);
	put("def\n");
	get("canonical again", slave);
	get("canonical again", slave);
	close_pair();
}

static void flow_and_packets(void)
{
	int on = 1, n;
	open_pair();
	T(ioctl(master, TIOCPKT, &on));
	n = 0;
	T(ioctl(master, TIOCGPKT, &n));
	V(n);
	T(ioctl(slave, TIOCPKT, &on));
	put("\023");
	struct pollfd p = { master, POLLIN | POLLPRI | POLLOUT };
	poll(&p, 1, 400);
	out("stopped %x\n", p.revents);
	get("stopped", master);
	fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
	T(write(slave, "held", 4));
	p = (struct pollfd){ slave, POLLOUT };
	T(poll(&p, 1, 0));
	put("\021");
	get("started", master);
	T(write(slave, "free", 4));
	get("data", master);
	T(tcflow(slave, TCOOFF));
	T(write(slave, "held", 4));
	put("\021");
	T(write(slave, "held", 4));
	T(tcflow(slave, TCOON));
	get("status", master);
	T(tcflow(slave, TCIOFF));
	get("stop sent", master);
	T(tcflow(slave, 77));
	T(tcflush(slave, TCIFLUSH));
	get("flushed input", master);
	T(tcflush(slave, TCOFLUSH));
	get("flushed output", master);
	T(tcflush(slave, 77));
	struct termios t = initial;
	t.c_iflag &= ~IXON;
	tcsetattr(slave, TCSANOW, &t);
	get("no IXON", master);
	tcsetattr(slave, TCSANOW, &initial);
	get("IXON", master);
	t = initial;
	t.c_lflag |= EXTPROC;
	tcsetattr(slave, TCSANOW, &t);
	get("EXTPROC", master);
	tcsetattr(slave, TCSANOW, &initial);
	get("no EXTPROC", master);
	put("\003");
	get("interrupt", master);
	get("interrupt", master);
	on = 0;
	ioctl(master, TIOCPKT, &on);
	t = initial;
	t.c_iflag |= IXANY;
	tcsetattr(slave, TCSANOW, &t);
	put("\023x");
	T(write(slave, "any", 3));
	get("IXANY", master);
	close_pair();
}

static void stop_wait(const char *what, pid_t pid)
{
	wait_state(pid, pid, 'S');
	sleep_ms(20);
	out("%s: %d\n", what, waitpid(pid, 0, WNOHANG));
}

/* What waits goes on as soon as it can. */
static void waiting(void)
{
	static char block[40000];
	char buf[100];
	open_pair();
	put("\023");
	pid_t pid = fork();
	if (pid == 0)
		_exit(write(slave, "held", 4));
	stop_wait("output is stopped", pid);
	put("\021");
	reap("started", pid);
	put("\023");
	pid = fork();
	if (pid == 0)
		_exit(write(slave, "held", 4));
	stop_wait("output is stopped", pid);
	struct termios t = initial;
	t.c_iflag &= ~IXON;
	tcsetattr(slave, TCSANOW, &t);
	reap("without IXON", pid);
	T(tcflow(slave, TCOOFF));
	pid = fork();
	if (pid == 0)
		_exit(write(slave, "held", 4));
	stop_wait("output is suspended", pid);
	T(tcflow(slave, TCOON));
	reap("resumed", pid);
	tcsetattr(slave, TCSANOW, &initial);
	pid = fork();
	if (pid == 0)
		_exit(read(slave, buf, 10));
	put("ab");
	stop_wait("half a line", pid);
	t = initial;
	t.c_lflag &= ~ICANON;
	tcsetattr(slave, TCSANOW, &t);
	reap("becomes what there is", pid);
	cfmakeraw(&t);
	tcsetattr(slave, TCSAFLUSH, &t);
	tcflush(master, TCIOFLUSH);
	pid = fork();
	if (pid == 0)
		_exit(write(master, block, sizeof block) == sizeof block);
	stop_wait("the master's writer", pid);
	long total = 0;
	while (total < (long)sizeof block)
		total += read(slave, buf, sizeof buf);
	reap("all written", pid);
	pid = fork();
	if (pid == 0)
		_exit(write(slave, block, sizeof block) == sizeof block);
	stop_wait("the slave's writer", pid);
	for (total = 0; total < (long)sizeof block;)
		total += read(master, buf, sizeof buf);
	reap("all written", pid);
	pid = fork();
	if (pid == 0)
		_exit(write(master, block, sizeof block) == sizeof block);
	stop_wait("the master's writer", pid);
	do {
		tcflush(slave, TCIFLUSH);
		sleep_ms(5);
	} while (waitpid(pid, 0, WNOHANG) == 0);
	pid = fork();
	if (pid == 0) {
		close(slave);
		int got = read(master, buf, 10);
		_exit(got == -1 && errno == EIO ? 7 : got);
	}
	stop_wait("the master's reader", pid);
	close(slave);
	reap("hung up", pid);
	slave = open(name, O_RDWR | O_NOCTTY);
	close_pair();
}

/* Settings that are locked stay as they are. */
static void locking(void)
{
	open_pair();
	struct termios locked, set;
	memset(&locked, 0xff, sizeof locked);
	T(ioctl(slave, TIOCGLCKTRMIOS, &locked));
	out("locked at first: %x %x %x %x %x\n", locked.c_iflag, locked.c_oflag, locked.c_cflag, locked.c_lflag, locked.c_cc[VINTR]);
	memset(&locked, 0, sizeof locked);
	locked.c_lflag = ECHO | ICANON;
	locked.c_cc[VINTR] = 1;
	if (ioctl(master, TIOCSLCKTRMIOS, &locked)) {
		out("locking: %s\n", errname(errno));
		return;
	}
	ioctl(slave, TCGETS, &set);
	set.c_lflag = 0;
	set.c_cc[VINTR] = 'i', set.c_cc[VQUIT] = 'q';
	T(ioctl(slave, TCSETS, &set));
	ioctl(slave, TCGETS, &set);
	out("after: %x %x %x\n", set.c_lflag, set.c_cc[VINTR], set.c_cc[VQUIT]);
	T(ioctl(slave, TIOCGLCKTRMIOS, &locked));
	out("locked: %x %x\n", locked.c_lflag, locked.c_cc[VINTR]);
	close(slave);
	close(master);
}

static void commands(void)
{
	int n = 7;
	unsigned u;
	open_pair();
	T(ioctl(slave, TIOCGPTN, &n));
	T(ioctl(slave, TIOCSPTLCK, &n));
	T(ioctl(master, TIOCGPTLCK, &n));
	V(n);
	n = 1;
	T(ioctl(master, TIOCSPTLCK, &n));
	T(open(name, O_RDWR | O_NOCTTY));
	/* Linux leaves the slave unusable after that. */
	close_pair();
	open_pair();
	T(ioctl(slave, TIOCGEXCL, &n));
	V(n);
	T(ioctl(slave, TIOCEXCL));
	T(ioctl(slave, TIOCGEXCL, &n));
	V(n);
	ioctl(slave, TIOCNXCL);
	T(ioctl(slave, TIOCGDEV, &u));
	struct stat st;
	fstat(slave, &st);
	CHECK(u == st.st_rdev && major(u) == 136 && minor(u) == atoi(name + 9));
	T(ioctl(master, TIOCGDEV, &u));
	CHECK(u == st.st_rdev);
	fstat(master, &st);
	CHECK(st.st_rdev == makedev(5, 2));
	T(ioctl(slave, TIOCGETD, &n));
	V(n);
	T(ioctl(slave, TIOCSETD, &n));
	n = 99;
	T(ioctl(slave, TIOCSETD, &n));
	T(ioctl(slave, TIOCMGET, &n));
	T(ioctl(slave, TIOCGSOFTCAR, &n));
	V(n);
	T(ioctl(slave, TIOCGSERIAL, &n));
	T(ioctl(slave, 0x5499, &n));
	T(ioctl(slave, TCGETS, 1));
	T(ioctl(slave, TCSETS, 1));
	T(ioctl(slave, TIOCGPGRP, &n));
	T(ioctl(slave, TIOCGSID, &n));
	T(ioctl(master, TIOCGSID, &n));
	T(ioctl(master, TIOCGPGRP, &n));
	V(n);
	T(ioctl(master, TIOCNOTTY));
	T(ioctl(slave, TIOCNOTTY));
	T(ioctl(master, TIOCSIG, SIGHUP));
	T(ioctl(master, TIOCSIG, SIGINT));
	T(ioctl(slave, TIOCSIG, SIGINT));
	struct { unsigned i, o, c, l; unsigned char line, cc[19]; unsigned is, os; } t2;
	T(ioctl(slave, 0x802c542a, &t2));
	out("speeds %u %u\n", t2.is, t2.os);
	t2.c = (t2.c & ~CBAUD) | 0x1000;
	t2.os = 12345;
	t2.is = 12345;
	T(ioctl(slave, 0x402c542b, &t2));
	T(ioctl(slave, 0x802c542a, &t2));
	out("speeds %u %u cflag %o\n", t2.is, t2.os, t2.c);
	struct termios t = initial;
	cfsetspeed(&t, B9600);
	t.c_cflag = (t.c_cflag & ~CSIZE) | CS5 | PARENB | HUPCL;
	T(tcsetattr(slave, TCSANOW, &t));
	T(ioctl(slave, 0x802c542a, &t2));
	out("speeds %u %u cflag %o\n", t2.is, t2.os, t2.c);
	T(tcgetattr(master, &t));
	out("master shows cflag %o lflag %o\n", t.c_cflag, t.c_lflag);
	t.c_lflag &= ~ECHO;
	T(tcsetattr(master, TCSANOW, &t));
	tcgetattr(slave, &t);
	out("slave has lflag %o\n", t.c_lflag);
	put("ab\n");
	T(ioctl(slave, FIONREAD, &n));
	V(n);
	tcflush(master, TCIFLUSH);
	write(slave, "12345", 5);
	sleep_ms(10);
	T(ioctl(master, FIONREAD, &n));
	V(n);
	T(tcflush(master, TCIFLUSH));
	T(ioctl(master, FIONREAD, &n));
	V(n);
	char c = 'i';
	T(ioctl(slave, TIOCSTI, &c) == 0 || errno == EPERM ? 0 : -1);
	T(lseek(slave, 0, SEEK_SET));
	T(pread(slave, &c, 1, 0));
	T(fsync(slave));
	T(ftruncate(slave, 0));
	T(mmap(0, 4096, PROT_READ, MAP_SHARED, slave, 0) == MAP_FAILED ? -1 : 0);
	T(read(slave, &c, 0));
	T(write(slave, &c, 0));
	T(write(slave, (void *)1, 1));
	close_pair();
}

static void timeouts(void)
{
	char buf[10];
	struct termios t;
	open_pair();
	cfmakeraw(&initial);
	t = initial;
	/* The time between bytes ends a read that has begun. */
	t.c_cc[VMIN] = 5;
	t.c_cc[VTIME] = 1;
	tcsetattr(slave, TCSANOW, &t);
	struct pollfd p = { slave, POLLIN };
	put("ab");
	T(poll(&p, 1, 0));
	long start = now_ms();
	T(read(slave, buf, 10));
	CHECK(now_ms() - start >= 80);
	put("abcdef");
	T(read(slave, buf, 10));
	put("abcdef");
	T(read(slave, buf, 2));
	T(read(slave, buf, 10));
	put("a");
	fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
	T(read(slave, buf, 10));
	T(read(slave, buf, 10));
	fcntl(slave, F_SETFL, O_RDWR);
	/* Without a limit only the number counts. */
	t.c_cc[VTIME] = 0;
	t.c_cc[VMIN] = 4;
	tcsetattr(slave, TCSANOW, &t);
	put("abc");
	T(poll(&p, 1, 0));
	T(read(slave, buf, 2));
	put("def");
	T(poll(&p, 1, 0));
	out("%x\n", p.revents);
	T(read(slave, buf, 10));
	/* A signal ends a read that has something. */
	pid_t pid = fork();
	if (pid == 0) {
		alarm(0);
		handle(SIGALRM, SIG_IGN, 0);
		handle(SIGUSR1, (void *)exit, 0);
		int got = read(slave, buf, 10);
		_exit(got);
	}
	wait_state(pid, pid, 'S');
	put("xy");
	kill(pid, SIGSTOP);
	int status;
	waitpid(pid, &status, WUNTRACED);
	kill(pid, SIGCONT);
	reap("read cut short by a stop", pid);
	t.c_cc[VMIN] = 0;
	t.c_cc[VTIME] = 0;
	tcsetattr(slave, TCSANOW, &t);
	fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
	T(read(slave, buf, 10));
	t.c_cc[VTIME] = 1;
	tcsetattr(slave, TCSANOW, &t);
	T(read(slave, buf, 10));
	close_pair();
}

static void closing(void)
{
	char buf[100];
	open_pair();
	put("kept\n");
	close(slave);
	struct pollfd p = { master, POLLIN | POLLOUT };
	T(poll(&p, 1, 0));
	out("%x\n", p.revents);
	get("echo", master);
	get("closed", master);
	T(write(master, "more\n", 5));
	slave = open(name, O_RDWR | O_NOCTTY);
	T(poll(&p, 1, 0));
	get("kept", slave);
	get("more", slave);
	get("echo of more", master);
	fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK);
	T(read(master, buf, 1));
	/* A reader that waits, and the names after the end. */
	pid_t pid = fork();
	if (pid == 0) {
		close(master);
		int len = read(slave, buf, 1);
		out("waiting reader %s\n", len < 0 ? errname(errno) : "end");
		_exit(0);
	}
	wait_state(pid, pid, 'S');
	int ep = epoll_create1(0);
	struct epoll_event ev = { EPOLLIN };
	epoll_ctl(ep, EPOLL_CTL_ADD, slave, &ev);
	T(epoll_wait(ep, &ev, 1, 0));
	close(master);
	reap("reader", pid);
	T(epoll_wait(ep, &ev, 1, 0));
	out("%x\n", ev.events);
	char link[64], path[64];
	snprintf(link, sizeof link, "/proc/self/fd/%d", slave);
	ssize_t len = readlink(link, path, sizeof path - 1);
	path[len > 0 ? len : 0] = 0;
	char wanted[80];
	snprintf(wanted, sizeof wanted, "%s (deleted)", name);
	CHECK(!strcmp(path, wanted));
	CHECK(!isatty(slave));
	V(errno == EIO);
	T(tcgetpgrp(slave));
	T(tcsetpgrp(slave, 1));
	T(ioctl(slave, FIONREAD, &len));
	T(access(name, F_OK));
	close(slave);
	/* Many at once. */
	int many[20];
	for (int i = 0; i < 20; i++)
		many[i] = posix_openpt(O_RDWR | O_NOCTTY);
	V(many[19] >= 0);
	for (int i = 0; i < 20; i++)
		close(many[i]);
	/* Much at once. */
	open_pair();
	cfmakeraw(&initial);
	tcsetattr(slave, TCSANOW, &initial);
	pid = fork();
	if (pid == 0) {
		char block[1000];
		close(master);
		memset(block, 'm', sizeof block);
		for (int i = 0; i < 300; i++)
			for (ssize_t done = 0, got; done < 1000; done += got)
				got = write(slave, block + done, 1000 - done);
		_exit(0);
	}
	close(slave);
	long total = 0;
	while ((len = read(master, buf, sizeof buf)) > 0)
		total += len;
	out("read %ld until %s\n", total, errname(errno));
	reap("writer", pid);
	close(master);
}

static volatile int hups, conts;
static void count(int sig) { sig == SIGHUP ? hups++ : conts++; }

static void sessions(void)
{
	CHILD("vhangup", {
		open_pair();
		handle(SIGHUP, (void *)count, 0);
		handle(SIGCONT, (void *)count, 0);
		if (getuid())
			T(vhangup());
		else {
			setsid();
			int tty = open(name, O_RDWR);
			CHECK(tcgetsid(tty) == getpid());
			char c;
			T(vhangup());
			out("HUP %d CONT %d\n", hups, conts);
			T(read(tty, &c, 1));
			T(write(tty, "x", 1));
			T(read(slave, &c, 1));
			T(open("/dev/tty", O_RDWR));
			get("master", master);
			T(open(name, O_RDWR | O_NOCTTY) >= 0 ? 0 : -1);
		}
	});
	CHILD("orphaned group", {
		open_pair();
		setsid();
		int tty = open(name, O_RDWR);
		char text[400] = "";
		int stat = open("/proc/self/stat", O_RDONLY);
		read(stat, text, sizeof text - 1);
		int nr = 0, fore = 0;
		sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %d %d", &nr, &fore);
		struct stat st;
		fstat(tty, &st);
		CHECK(nr == (int)st.st_rdev && fore == getpid());
		int done[2];
		pipe(done);
		pid_t pid = fork();
		if (pid == 0) {
			setpgid(0, 0);
			pid_t parent = getpid();
			if (fork() == 0) {
				while (getppid() == parent)
					sleep_ms(1);
				sleep_ms(20);
				char c;
				T(read(tty, &c, 1));
				struct termios t;
				T(tcgetattr(tty, &t));
				T(tcsetattr(tty, TCSANOW, &t));
				T(tcsetpgrp(tty, getpgrp()));
				T(write(tty, "still", 5));
				_exit(0);
			}
			_exit(0);
		}
		waitpid(pid, 0, 0);
		close(done[1]);
		read(done[0], text, 1);
		get("from the orphan", master);
	});
	CHILD("stealing", {
		open_pair();
		int pipes[2], stolen[2];
		char c;
		pipe(pipes);
		pipe(stolen);
		pid_t pid = fork();
		if (pid == 0) {
			setsid();
			open(name, O_RDWR);
			write(pipes[1], "x", 1);
			read(stolen[0], &c, 1);
			out("still mine: %d\n", open("/dev/tty", O_RDWR) >= 0);
			_exit(0);
		}
		read(pipes[0], &c, 1);
		if (fork() == 0) {
			setsid();
			T(ioctl(slave, TIOCSCTTY, 0));
			T(ioctl(slave, TIOCSCTTY, 1));
			write(stolen[1], "x", 1);
			_exit(0);
		}
		wait(0);
		wait(0);
	});
	CHILD("write-only and /dev/tty", {
		open_pair();
		setsid();
		int fd = open(name, O_WRONLY);
		T(open("/dev/tty", O_RDWR));
		close(fd);
		fd = open(name, O_RDONLY);
		int tty = open("/dev/tty", O_RDWR | O_NONBLOCK);
		V(tty >= 0);
		struct stat st;
		fstat(tty, &st);
		CHECK(st.st_rdev == makedev(5, 0));
		char c;
		T(read(tty, &c, 1));
		T(write(tty, "by name", 7));
		get("through /dev/tty", master);
		char path[64];
		T(ttyname_r(tty, path, sizeof path));
		pid_t pid = fork();
		if (pid == 0) {
			T(setsid() < 0 ? -1 : 0);
			T(open("/dev/tty", O_RDWR));
			T(ioctl(tty, TIOCSCTTY, 0));
			_exit(0);
		}
		waitpid(pid, 0, 0);
		/* Giving it up from below leaves it to the others. */
		pid = fork();
		if (pid == 0) {
			T(ioctl(tty, TIOCNOTTY));
			T(open("/dev/tty", O_RDWR));
			_exit(0);
		}
		waitpid(pid, 0, 0);
		T(open("/dev/tty", O_RDWR) >= 0 ? 0 : -1);
	});
	CHILD("TIOCGPTPEER", {
		open_pair();
		setsid();
		int peer = ioctl(master, TIOCGPTPEER, O_RDWR);
		CHECK(peer >= 0 && tcgetsid(peer) == getpid());
		CHECK(fcntl(peer, F_GETFD) == 0);
		peer = ioctl(master, TIOCGPTPEER, O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
		CHECK(fcntl(peer, F_GETFD) == FD_CLOEXEC);
		out("%o\n", fcntl(peer, F_GETFL) & ~O_CLOEXEC);
		char c;
		T(write(peer, "x", 1));
		T(read(peer, &c, 1));
		char path[64];
		T(ttyname_r(peer, path, sizeof path));
		CHECK(!strcmp(path, name));
	});
}

static void devpts(void)
{
	struct statfs fs;
	open_pair();
	T(statfs(name, &fs));
	out("%lx\n", (long)fs.f_type);
	T(unlink(name));
	T(mkdir("/dev/pts/dir", 0755));
	T(open("/dev/pts/new", O_CREAT | O_RDWR, 0600));
	T(rename(name, "/dev/pts/other"));
	T(chmod(name, 0666));
	struct stat st;
	stat(name, &st);
	out("%o\n", st.st_mode);
	T(fchmod(slave, 0600));
	T(truncate(name, 0));
	close_pair();
	if (getuid() == 0) {
		mkdir("pts", 0755);
		if (unshare(CLONE_NEWNS) || mount("none", "/", 0, MS_REC | MS_PRIVATE, 0))
			return;
		T(mount("devpts", "pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620,gid=5,max=2"));
		int a = open("pts/ptmx", O_RDWR | O_NOCTTY), b = open("pts/ptmx", O_RDWR | O_NOCTTY);
		V(a >= 0 && b >= 0);
		T(open("pts/ptmx", O_RDWR | O_NOCTTY));
		T(stat("pts/1", &st));
		out("%o %d %d\n", st.st_mode, st.st_gid, minor(st.st_rdev));
		int n;
		ioctl(b, TIOCGPTN, &n);
		V(n);
		unlink("ptmx");
		T(mknod("ptmx", S_IFCHR | 0666, makedev(5, 2)));
		close(b);
		b = open("ptmx", O_RDWR | O_NOCTTY);
		V(b >= 0);
		ioctl(b, TIOCGPTN, &n);
		V(n);
		T(ioctl(b, TIOCGPTPEER, O_RDWR | O_NOCTTY));
		n = 0;
		ioctl(b, TIOCSPTLCK, &n);
		T(ioctl(b, TIOCGPTPEER, O_RDWR | O_NOCTTY) >= 0 ? 0 : -1);
		T(mount("devpts", "pts", "devpts", 0, "bad=1"));
	}
}

int main(void)
{
	editing();
	flow_and_packets();
	waiting();
	commands();
	locking();
	timeouts();
	closing();
	sessions();
	devpts();
	return 0;
}

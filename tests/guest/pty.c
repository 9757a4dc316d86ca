/* Pseudo-terminals: line discipline, window size, termios. bevor-test: user=both waits=reloaded */
#include "t.h"
#include "terminal.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static int master, slave;

static void put(const char *text) { write(master, text, strlen(text)); }

int main(void)
{
	struct termios t;
	struct winsize w = { 0 };
	int n;
	T(ioctl(1, TCGETS, &t));
	V(isatty(0));
	master = MUST(posix_openpt(O_RDWR | O_NOCTTY));
	T(grantpt(master));
	char name[64];
	T(ptsname_r(master, name, sizeof name));
	CHECK(!strncmp(name, "/dev/pts/", 9));
	T(open(name, O_RDWR | O_NOCTTY));
	T(unlockpt(master));
	slave = MUST(open(name, O_RDWR | O_NOCTTY));
	struct stat st;
	fstat(slave, &st);
	out("mode %o uid %d\n", st.st_mode & 0170000, st.st_uid == getuid());
	CHECK(isatty(master) && isatty(slave));
	char tty[64];
	T(ttyname_r(slave, tty, sizeof tty));
	CHECK(!strcmp(tty, name));
	MUST(tcgetattr(slave, &t));
	out("iflag %o oflag %o cflag %o lflag %o\n", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
	for (int i = 0; i < 17; i++)
		out("%d ", t.c_cc[i]);
	out("speed %d\n", cfgetospeed(&t));
	T(ioctl(master, TIOCGWINSZ, &w));
	out("%d %d\n", w.ws_row, w.ws_col);
	w = (struct winsize){ 24, 80 };
	T(ioctl(slave, TIOCSWINSZ, &w));
	w.ws_row = 0;
	T(ioctl(master, TIOCGWINSZ, &w));
	out("%d %d\n", w.ws_row, w.ws_col);

	/* Canonical mode. */
	put("hel");
	get("incomplete line", slave);
	get("echo", master);
	put("lo\nsecond\n");
	get("line", slave);
	get("line", slave);
	get("echo", master);
	put("abc\177\177x\n");
	get("erase", slave);
	get("echo", master);
	put("word one\027two\n");
	get("word erase", slave);
	get("echo", master);
	put("gone\025kept\n");
	get("kill", slave);
	get("echo", master);
	put("a\026\177b\n");
	get("literal", slave);
	get("echo", master);
	put("cr\r");
	get("cr becomes nl", slave);
	get("echo", master);
	put("part\004");
	get("end of file flushes", slave);
	put("\004");
	get("end of file", slave);
	put("\001\n");
	get("control", slave);
	get("echo", master);
	put("long line");
	write(master, "\n", 1);
	char few[4];
	T(read(slave, few, 4));
	get("rest of the line", slave);
	get("echo", master);
	write(slave, "out\nput\n", 8);
	get("output", master);
	write(slave, "tab\there\r\n", 10);
	get("output", master);
	T(ioctl(slave, FIONREAD, &n));
	V(n);
	/* No echo. */
	t.c_lflag &= ~ECHO;
	T(tcsetattr(slave, TCSANOW, &t));
	put("secret\n");
	get("no echo", master);
	get("secret", slave);
	/* Raw. */
	cfmakeraw(&t);
	T(tcsetattr(slave, TCSAFLUSH, &t));
	put("\003\004\177x\r");
	get("raw", slave);
	write(slave, "a\nb", 3);
	get("raw output", master);
	t.c_cc[VMIN] = 0;
	t.c_cc[VTIME] = 0;
	tcsetattr(slave, TCSANOW, &t);
	T(read(slave, few, 4));
	t.c_cc[VTIME] = 1;
	tcsetattr(slave, TCSANOW, &t);
	long start = now_ms();
	T(read(slave, few, 4));
	CHECK(now_ms() - start >= 80);
	t.c_cc[VMIN] = 3;
	t.c_cc[VTIME] = 0;
	tcsetattr(slave, TCSANOW, &t);
	pid_t pid = fork();
	if (pid == 0)
		_exit(read(slave, few, 4));
	wait_state(pid, pid, 'S');
	put("ab");
	sleep_ms(5);
	wait_state(pid, pid, 'S');
	put("c");
	reap("VMIN 3", pid);
	/* Flushing and queues. */
	put("to be flushed");
	T(tcflush(slave, TCIFLUSH));
	T(ioctl(slave, FIONREAD, &n));
	V(n);
	T(tcflow(slave, TCOOFF));
	T(tcflow(slave, TCOON));
	T(tcdrain(slave));
	T(tcsendbreak(slave, 0));
	T(ioctl(slave, TIOCOUTQ, &n));
	T(ioctl(slave, TIOCEXCL));
	if (getuid())
		T(open(name, O_RDWR | O_NOCTTY));
	T(ioctl(slave, TIOCNXCL));
	int ptn;
	T(ioctl(master, TIOCGPTN, &ptn));
	CHECK(ptn == atoi(name + 9));
	int peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	CHECK(peer >= 0);
	close(peer);
	/* Nonblocking. */
	fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
	T(read(slave, few, 1));
	fcntl(slave, F_SETFL, O_RDWR);
	/* Packet mode. */
	int on = 1;
	T(ioctl(master, TIOCPKT, &on));
	write(slave, "p", 1);
	get("packet", master);
	on = 0;
	ioctl(master, TIOCPKT, &on);
	/* Hang-up. */
	write(slave, "last", 4);
	close(slave);
	get("after close", master);
	get("after close", master);
	slave = open(name, O_RDWR | O_NOCTTY);
	close(master);
	T(read(slave, few, 1));
	T(write(slave, "x", 1));
	struct pollfd p = { slave, POLLIN | POLLOUT };
	T(poll(&p, 1, 0));
	out("%x\n", p.revents);
	close(slave);
	T(open(name, O_RDWR | O_NOCTTY));
	return 0;
}

/* What terminals hold: the longest lines, full queues, how much is asked for. bevor-test: user=both */
#include "t.h"
#include "terminal.h"
#include "pty_pair.h"
#include <sys/ioctl.h>

/* Reads from the slave with a large buffer; prints the length and the ends. */
static void ends(const char *what)
{
	static char buf[20000];
	struct pollfd p = { slave, POLLIN };
	if (poll(&p, 1, 5000) == 0) { out("%s: nothing\n", what); return; }
	sleep_ms(20);
	ssize_t n = read(slave, buf, sizeof buf);
	out("%s: %zd first %d last %d\n", what, n, n > 0 ? buf[0] : -1, n > 0 ? buf[n - 1] : -1);
}

static void limits(void)
{
	static char block[10000];
	open_pair();
	struct termios t = initial;
	t.c_lflag &= ~ECHO;
	tcsetattr(slave, TCSANOW, &t);
	for (int len = 4093; len <= 4098; len++) {
		memset(block, 'a', sizeof block);
		block[len - 1] = 'z';
		T(write(master, block, len));
		T(write(master, "\n", 1));
		out("%d ", len);
		ends("line");
	}
	memset(block, 'b', sizeof block);
	T(write(master, block, 9000));
	sleep_ms(20);
	T(write(master, "\177\177\177\n", 4));
	ends("erased");
	T(write(master, block, 9000));
	sleep_ms(20);
	T(write(master, "\025kept\n", 6));
	ends("killed");
	T(write(master, block, 9000));
	T(write(master, "\004", 1));
	ends("eof");
	/* IMAXBEL makes no difference. */
	t.c_iflag |= IMAXBEL;
	tcsetattr(slave, TCSANOW, &t);
	T(write(master, block, 4200));
	get("no bell", master);
	T(write(master, "\n", 1));
	ends("with IMAXBEL");
	/* Small reads of long line */
	memset(block, 'c', 4000);
	T(write(master, block, 4000));
	T(write(master, "\n", 1));
	int n;
	struct pollfd p = { slave, POLLIN };
	T(poll(&p, 1, 5000));
	T(ioctl(slave, FIONREAD, &n)); V(n);
	T(read(slave, block, 1));
	T(ioctl(slave, FIONREAD, &n)); V(n);
	ends("rest");
	close_pair();
}
static void queues(void)
{
	int n;
	open_pair();
	T(write(slave, "abc\n", 4));
	struct pollfd p = { master, POLLIN };
	T(poll(&p, 1, 5000));
	T(ioctl(slave, TIOCOUTQ, &n)); V(n);
	T(ioctl(master, TIOCOUTQ, &n)); V(n);
	T(ioctl(master, FIONREAD, &n)); V(n);
	T(ioctl(master, TIOCINQ, NULL));
	get("abc", master);
	fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK);
	char buf[10];
	T(read(master, buf, 10));
	static char big[70000];
	memset(big, 'x', sizeof big);
	struct termios t = initial;
	cfmakeraw(&t);
	tcsetattr(slave, TCSANOW, &t);
	p = (struct pollfd){ master, POLLIN | POLLOUT | POLLPRI };
	poll(&p, 1, 0); out("master %x\n", p.revents);
	p.fd = slave;
	poll(&p, 1, 0); out("slave %x\n", p.revents);
	long total = 0, got;
	while ((got = write(master, big, 1000)) > 0) total += got;
	CHECK(errno == EAGAIN && total > 4095);
	p.fd = master; poll(&p, 1, 0); out("master full %x\n", p.revents);
	fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
	while ((got = write(slave, big, 1000)) > 0) ;
	CHECK(errno == EAGAIN);
	/* Linux moves what was written when it finds time. */
	for (int i = 0; i < 5000 && ioctl(slave, FIONREAD, &n) == 0 && n != 4095; i++)
		sleep_ms(1);
	T(ioctl(slave, FIONREAD, &n)); V(n);
	T(ioctl(slave, TCFLSH, TCIOFLUSH));
	T(ioctl(slave, FIONREAD, &n)); V(n);
	close(slave);
	p.fd = master; poll(&p, 1, 0); out("master hup %x\n", p.revents & ~POLLIN);
	close(master);
	T(open("/dev/ptmx", O_RDONLY | O_NOCTTY) >= 0 ? 0 : -1);
	close_pair();
}

int main(void)
{
	limits();
	queues();
	return 0;
}

/* For tests of terminals: shows what can be read from one. Include after t.h. */
#include <poll.h>

static void get(const char *what, int fd)
{
	char buf[5000];
	struct pollfd p = { fd, POLLIN };
	if (poll(&p, 1, 400) == 0) {
		out("%s: nothing\n", what);
		return;
	}
	/* What is under way on Linux arrives a little later, on a busy host not so little. */
	sleep_ms(20);
	ssize_t len = read(fd, buf, sizeof buf);
	if (len < 0)
		out("%s: %s\n", what, errname(errno));
	else {
		for (ssize_t i = 0; i < len; i++)
			if (buf[i] == '\n')
				buf[i] = '$';
			else if (buf[i] == '\r')
				buf[i] = '<';
			else if (buf[i] == '\b')
				buf[i] = '{';
		out_bytes(what, buf, len);
	}
}

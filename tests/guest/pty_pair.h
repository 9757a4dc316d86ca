/* For tests of terminals: the two ends of a pseudo-terminal. Include after t.h. */
#include <termios.h>

static int master, slave;
static char name[64];
static struct termios initial;

static void open_pair(void)
{
	master = MUST(posix_openpt(O_RDWR | O_NOCTTY));
	grantpt(master);
	unlockpt(master);
	ptsname_r(master, name, sizeof name);
	slave = MUST(open(name, O_RDWR | O_NOCTTY));
	tcgetattr(slave, &initial);
}

static void close_pair(void) { close(slave); close(master); }

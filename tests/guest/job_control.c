/* A controlling terminal: foreground groups, ^C ^Z ^\, SIGTTIN, SIGTTOU, SIGHUP, SIGWINCH. bevor-test: user=both waits=reloaded */
#include "t.h"
#include <sys/ioctl.h>
#include <termios.h>

static int master, report[2];
static volatile int got;
static void on_signal(int sig, siginfo_t *info, void *context) { got = sig; }

static void say(const char *text) { write(report[1], text, 1); }
static char hear(void) { char c = 0; read(report[0], &c, 1); return c; }

static void leader(const char *name)
{
	setsid();
	T(open("/dev/tty", O_RDWR));
	int tty = MUST(open(name, O_RDWR));
	CHECK(tcgetsid(tty) == getpid());
	CHECK(tcgetpgrp(tty) == getpid());
	int dev = open("/dev/tty", O_RDWR);
	CHECK(dev >= 0);
	handle(SIGWINCH, on_signal, 0);
	/* A foreground job. */
	pid_t job = fork();
	if (job == 0) {
		setpgid(0, 0);
		signal(SIGTTOU, SIG_IGN);
		tcsetpgrp(tty, getpid());
		signal(SIGTTOU, SIG_DFL);
		say("f");
		for (;;)
			pause();
	}
	setpgid(job, job);
	signal(SIGTTOU, SIG_IGN);
	CHECK(hear() == 'f');
	CHECK(tcgetpgrp(tty) == job);
	int status;
	write(master, "\032", 1);
	waitpid(job, &status, WUNTRACED);
	out_status("^Z", status);
	kill(-job, SIGCONT);
	waitpid(job, &status, WCONTINUED);
	out_status("continued", status);
	write(master, "\003", 1);
	waitpid(job, &status, 0);
	out_status("^C", status);
	job = fork();
	if (job == 0) {
		setpgid(0, 0);
		tcsetpgrp(tty, getpid());
		say("q");
		for (;;)
			pause();
	}
	setpgid(job, job);
	hear();
	write(master, "\034", 1);
	waitpid(job, &status, 0);
	out_status("^\\", status);
	T(tcsetpgrp(tty, getpid()));
	/* A background job that reads or writes. */
	job = fork();
	if (job == 0) {
		setpgid(0, 0);
		char c;
		read(tty, &c, 1);
		_exit(c);
	}
	setpgid(job, job);
	waitpid(job, &status, WUNTRACED);
	out_status("background read", status);
	tcsetpgrp(tty, job);
	kill(-job, SIGCONT);
	write(master, "A\n", 2);
	waitpid(job, &status, 0);
	out_status("in the foreground", status);
	tcsetpgrp(tty, getpid());
	job = fork();
	if (job == 0) {
		setpgid(0, 0);
		signal(SIGTTIN, SIG_IGN);
		char c;
		T(read(tty, &c, 1));
		signal(SIGTTOU, SIG_DFL);
		write(tty, "allowed\n", 8);
		struct termios t;
		tcgetattr(tty, &t);
		t.c_lflag |= TOSTOP;
		tcsetattr(tty, TCSANOW, &t);
		_exit(1);
	}
	setpgid(job, job);
	waitpid(job, &status, WUNTRACED);
	out_status("background tcsetattr", status);
	tcsetpgrp(tty, job);
	kill(-job, SIGCONT);
	waitpid(job, &status, 0);
	out_status("then", status);
	tcsetpgrp(tty, getpid());
	job = fork();
	if (job == 0) {
		setpgid(0, 0);
		signal(SIGTTOU, SIG_DFL);
		write(tty, "stopped\n", 8);
		_exit(2);
	}
	setpgid(job, job);
	waitpid(job, &status, WUNTRACED);
	out_status("background write with TOSTOP", status);
	kill(job, SIGKILL);
	waitpid(job, &status, 0);
	/* The window size. */
	struct winsize w = { 50, 100 };
	ioctl(master, TIOCSWINSZ, &w);
	while (!got)
		sleep_ms(1);
	out("got SIG%s\n", sigabbrev_np(got));
	/* Wrong uses. */
	T(tcsetpgrp(tty, 999999));
	T(tcsetpgrp(tty, -1));
	T(ioctl(0, TIOCSCTTY, 0));
	T(ioctl(tty, TIOCSCTTY, 0));
	T(tcsetpgrp(master, getpid()) == 0 || errno == ENOTTY ? 0 : -1);
	/* The leader's end hangs up the foreground. */
	job = fork();
	if (job == 0) {
		setpgid(0, 0);
		tcsetpgrp(tty, getpid());
		handle(SIGHUP, on_signal, 0);
		got = 0;
		say("h");
		while (got != SIGHUP)
			sleep_ms(1);
		say(open("/dev/tty", O_RDWR) == -1 && errno == ENXIO ? "d" : "x");
		_exit(0);
	}
	hear();
	out("leader leaves\n");
	_exit(0);
}

int main(void)
{
	MUST(pipe(report));
	master = MUST(posix_openpt(O_RDWR | O_NOCTTY));
	grantpt(master);
	unlockpt(master);
	char name[64];
	ptsname_r(master, name, sizeof name);
	pid_t pid = fork();
	if (pid == 0)
		leader(name);
	reap("leader", pid);
	CHECK(hear() == 'd');
	/* Closing the master hangs up the session. */
	master = MUST(posix_openpt(O_RDWR | O_NOCTTY));
	grantpt(master);
	unlockpt(master);
	ptsname_r(master, name, sizeof name);
	pid = fork();
	if (pid == 0) {
		close(master);
		setsid();
		int tty = open(name, O_RDWR | O_NOCTTY);
		T(open("/dev/tty", O_RDWR));
		T(ioctl(tty, TIOCSCTTY, 0));
		say("r");
		for (;;)
			pause();
	}
	hear();
	close(master);
	reap("hung up", pid);
	/* Giving up the terminal. */
	master = MUST(posix_openpt(O_RDWR | O_NOCTTY));
	grantpt(master);
	unlockpt(master);
	ptsname_r(master, name, sizeof name);
	CHILD("TIOCNOTTY", {
		setsid();
		int tty = open(name, O_RDWR);
		signal(SIGHUP, SIG_IGN);
		signal(SIGCONT, SIG_IGN);
		T(ioctl(tty, TIOCNOTTY));
		T(open("/dev/tty", O_RDWR));
	});
	return 0;
}

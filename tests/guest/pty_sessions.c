/* Terminals and sessions: background groups, hang-ups, window sizes, TIOCSTI. bevor-test: user=both */
#include "t.h"
#include "terminal.h"
#include "pty_pair.h"
#include <sys/ioctl.h>

static volatile int winch, hup, cont;
static void count(int sig, siginfo_t *i, void *c) { if (sig == SIGWINCH) winch++; if (sig == SIGHUP) hup++; if (sig == SIGCONT) cont++; }

static void sessions(void)
{
	CHILD("winch", {
		open_pair();
		setsid();
		handle(SIGWINCH, count, 0);
		int tty = open(name, O_RDWR);
		struct winsize w = { 10, 20, 3, 4 };
		T(ioctl(master, TIOCSWINSZ, &w));
		V(winch);
		T(ioctl(master, TIOCSWINSZ, &w));
		V(winch);
		w.ws_xpixel = 9;
		T(ioctl(tty, TIOCSWINSZ, &w));
		V(winch);
		T(ioctl(tty, TIOCSWINSZ, NULL));
		T(ioctl(tty, TIOCGWINSZ, NULL));
	});
	CHILD("background", {
		int done[2], go[2];
		pipe(done);
		pipe(go);
		open_pair();
		setsid();
		int tty = open(name, O_RDWR);
		pid_t pid = fork();
		if (pid == 0) {
			setpgid(0, 0);
			char c;
			struct termios t;
			T(tcgetattr(tty, &t));
			/* ignored TTOU: goes on */
			signal(SIGTTOU, SIG_IGN);
			T(tcsetattr(tty, TCSANOW, &t));
			T(tcflush(tty, TCIFLUSH));
			T(tcsendbreak(tty, 0));
			T(ioctl(tty, TCXONC, TCOON));
			t.c_lflag |= TOSTOP;
			T(tcsetattr(tty, TCSANOW, &t));
			T(write(tty, "ign", 3));
			signal(SIGTTOU, SIG_DFL);
			sigset_t s; sigemptyset(&s); sigaddset(&s, SIGTTOU); sigaddset(&s, SIGTTIN);
			sigprocmask(SIG_BLOCK, &s, NULL);
			T(write(tty, "blk", 3));
			T(read(tty, &c, 1));
			sigprocmask(SIG_UNBLOCK, &s, NULL);
			signal(SIGTTIN, SIG_IGN);
			T(read(tty, &c, 1));
			signal(SIGTTIN, SIG_DFL);
			read(tty, &c, 1);
			out("read %c\n", c);
			write(done[1], "r", 1);
			read(go[0], &c, 1);
			tcflush(tty, TCIFLUSH);
			write(tty, "w", 1);
			tcsendbreak(tty, 0);
			tcsetpgrp(tty, getpgrp());
			V(tcgetpgrp(tty) == getpgrp());
			_exit(5);
		}
		int status;
		waitpid(pid, &status, WUNTRACED); out_status("reads", status);
		tcsetpgrp(tty, pid);
		write(master, "k\n", 2);
		kill(-pid, SIGCONT);
		signal(SIGTTOU, SIG_IGN);
		char c;
		read(done[0], &c, 1);
		T(tcsetpgrp(tty, getpgrp()));
		write(go[1], "g", 1);
		for (int i = 0; i < 6; i++) {
			waitpid(pid, &status, WUNTRACED); out_status("child", status);
			if (!WIFSTOPPED(status)) break;
			if (i == 3) {
				tcsetpgrp(tty, pid);
			}
			kill(-pid, SIGCONT);
		}
		signal(SIGTTOU, SIG_DFL);
	});
	CHILD("setpgrp errors", {
		open_pair();
		setsid();
		T(tcsetpgrp(slave, getpgrp()));
		T(tcgetpgrp(slave));
		int tty = open(name, O_RDWR);
		T(tcsetpgrp(tty, -1));
		T(tcsetpgrp(tty, 0));
		T(tcsetpgrp(tty, 999999));
		T(tcsetpgrp(tty, getppid()));
		T(tcsetpgrp(tty, 1));
		T(ioctl(tty, TIOCSPGRP, NULL));
		T(ioctl(tty, TIOCGPGRP, NULL));
		T(tcsetpgrp(master, getpgrp()));
		pid_t g;
		T(ioctl(master, TIOCGPGRP, &g));
		CHECK(g == getpgrp());
		T(ioctl(master, TIOCGSID, &g));
		CHECK(g == getpid());
		T(ioctl(tty, TIOCSCTTY, 0));
		T(ioctl(master, TIOCSCTTY, 0));
		handle(SIGHUP, count, 0); handle(SIGCONT, count, 0);
		T(ioctl(tty, TIOCNOTTY));
		V(hup); V(cont);
		T(ioctl(tty, TIOCNOTTY));
		T(ioctl(master, TIOCGSID, &g));
		T(ioctl(master, TIOCGPGRP, &g)); V(g);
		T(ioctl(tty, TIOCSCTTY, 0));
		T(ioctl(master, TIOCGSID, &g));
		close(master);
		V(hup); V(cont);
		char c;
		T(read(tty, &c, 1));
		T(write(tty, &c, 1));
		T(ioctl(tty, TCGETS, &initial));
		T(open("/dev/tty", O_RDWR));
		struct pollfd p = { tty, POLLIN | POLLOUT | POLLPRI | POLLRDHUP };
		poll(&p, 1, 0); out("%x\n", p.revents);
	});
	CHILD("hangup", {
		open_pair();
		setsid();
		handle(SIGHUP, count, 0); handle(SIGCONT, count, 0);
		int tty = open(name, O_RDWR);
		if (getuid()) {
			T(ioctl(tty, TIOCVHANGUP));
		} else {
			write(tty, "before", 6);
			write(master, "x\n", 2);
			struct pollfd in = { tty, POLLIN };
			T(poll(&in, 1, 5000));
			T(ioctl(tty, TIOCVHANGUP));
			V(hup); V(cont);
			char c;
			struct pollfd p = { tty, POLLIN | POLLOUT };
			poll(&p, 1, 0); out("slave %x\n", p.revents);
			T(read(tty, &c, 1));
			T(write(tty, &c, 1));
			p.fd = master;
			poll(&p, 1, 0); out("master %x\n", p.revents);
			get("master", master);
			T(open("/dev/tty", O_RDWR));
			pid_t g;
			T(ioctl(master, TIOCGSID, &g));
			int again = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
			V(again >= 0);
			T(read(again, &c, 1));
			T(write(again, "again", 5));
			get("master", master);
			T(write(master, "y\n", 2));
			in.fd = again;
			T(poll(&in, 1, 5000));
			T(read(again, &c, 1));
			T(ioctl(again, TIOCSCTTY, 0));
			T(open("/dev/tty", O_RDWR) >= 0 ? 0 : -1);
		}
	});
	CHILD("leader exits", {
		open_pair();
		int tell[2];
		pipe(tell);
		pid_t pid = fork();
		if (pid == 0) {
			setsid();
			int tty = open(name, O_RDWR | O_NONBLOCK);
			if (fork() == 0) {
				handle(SIGHUP, count, 0);
				handle(SIGCONT, count, 0);
				write(tell[1], "x", 1);
				for (int i = 0; i < 5000 && !hup; i++)
					sleep_ms(1);
				V(hup);
				V(cont);
				/* Only the session lost its terminal, which nobody hung up. */
				char c = 'w';
				T(read(tty, &c, 1));
				T(write(tty, &c, 1));
				T(open("/dev/tty", O_RDWR));
				V(tcgetpgrp(tty));
				T(ioctl(tty, TIOCSCTTY, 0));
				_exit(0);
			}
			char c;
			read(tell[0], &c, 1);
			_exit(0);
		}
		waitpid(pid, 0, 0);
		close(tell[1]);
		char c;
		read(tell[0], &c, 1);
		pid_t g;
		T(ioctl(master, TIOCGSID, &g));
		get("written", master);
		/* Free for the next session. */
		setsid();
		T(ioctl(slave, TIOCSCTTY, 0));
		T(ioctl(master, TIOCGSID, &g));
		V(g == getpid());
	});
	CHILD("master closed", {
		open_pair();
		int tell[2];
		pipe(tell);
		pid_t pid = fork();
		if (pid == 0) {
			close(tell[0]);
			setsid();
			handle(SIGHUP, count, 0);
			handle(SIGCONT, count, 0);
			int tty = open(name, O_RDWR);
			close(master);
			/* Another group in front: only the leader hears of the end. */
			int done[2];
			pipe(done);
			pid_t front = fork();
			if (front == 0) {
				setpgid(0, 0);
				char c;
				write(tell[1], "f", 1);
				close(done[1]);
				read(done[0], &c, 1);
				out("in front: %d %d\n", hup, cont);
				_exit(0);
			}
			setpgid(front, front);
			signal(SIGTTOU, SIG_IGN);
			T(tcsetpgrp(tty, front));
			write(tell[1], "l", 1);
			for (int i = 0; i < 5000 && !(hup && cont); i++)
				sleep_ms(1);
			close(done[1]);
			waitpid(front, NULL, 0);
			out("leader: %d %d\n", hup, cont);
			char c;
			T(read(tty, &c, 1));
			T(write(tty, &c, 1));
			T(read(slave, &c, 1));
			T(tcgetpgrp(tty));
			_exit(0);
		}
		close(tell[1]);
		char c;
		read(tell[0], &c, 1);
		read(tell[0], &c, 1);
		close(slave);
		close(master);
		while (read(tell[0], &c, 1) > 0)
			;
		waitpid(pid, NULL, 0);
	});
	CHILD("steal", {
		open_pair();
		setsid();
		handle(SIGHUP, count, 0);
		handle(SIGCONT, count, 0);
		T(ioctl(slave, TIOCSCTTY, 0));
		pid_t pid = fork();
		if (pid == 0) {
			setsid();
			T(ioctl(slave, TIOCSCTTY, 0));
			if (getuid())
				T(ioctl(slave, TIOCSCTTY, 1));
			else {
				T(ioctl(slave, TIOCSCTTY, 2));
				T(ioctl(slave, TIOCSCTTY, 1));
			}
			T(open("/dev/tty", O_RDWR) >= 0 ? 0 : -1);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
		V(hup);
		V(cont);
		T(open("/dev/tty", O_RDWR) >= 0 ? 0 : -1);
	});
}

static void sti(void)
{
	open_pair();
	char c = 'q';
	int r;
	CHILD("sti", {
		setsid();
		int tty = open(name, O_RDWR);
		T(ioctl(tty, TIOCSTI, NULL));
		T(ioctl(tty, TIOCSTI, &c));
		c = '\n';
		T(ioctl(tty, TIOCSTI, &c));
		get("sti", tty);
		get("echo", master);
	});
	close_pair(); open_pair();
	T(ioctl(slave, TIOCSTI, &c));
	T(ioctl(master, TIOCSTI, &c));
	close_pair();
}

int main(void)
{
	sessions();
	sti();
	return 0;
}

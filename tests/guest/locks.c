/* flock, POSIX record locks, open-file-description locks. bevor-test: user=both waits=reloaded files=few */
#include "t.h"
#include <sys/file.h>

static struct flock range(int type, long start, long len)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
}

static void getlk(const char *what, int fd, int type, long start, long len)
{
	struct flock lock = range(type, start, len);
	if (fcntl(fd, F_GETLK, &lock))
		out("%s: %s\n", what, errname(errno));
	else
		out("%s: type %d start %ld len %ld pid %s\n", what, lock.l_type, (long)lock.l_start, (long)lock.l_len,
		    lock.l_type == F_UNLCK ? "-" : lock.l_pid == getppid() ? "parent" : lock.l_pid == -1 ? "-1" : "other");
}

static volatile int alarms;
static void on_alarm(int sig, siginfo_t *info, void *context) { alarms++; }

int main(void)
{
	scratch();
	int fd = make_file("f", "0123456789012345678901234567890123456789");
	int other = MUST(open("f", O_RDWR));
	int reader = MUST(open("f", O_RDONLY));
	struct flock lock;

	/* flock belongs to the open file. */
	T(flock(fd, LOCK_EX));
	T(flock(other, LOCK_EX | LOCK_NB));
	T(flock(other, LOCK_SH | LOCK_NB));
	T(flock(fd, LOCK_SH));
	T(flock(other, LOCK_SH | LOCK_NB));
	T(flock(fd, LOCK_EX | LOCK_NB));
	T(flock(other, LOCK_UN));
	T(flock(fd, LOCK_EX | LOCK_NB));
	int copy = dup(fd);
	T(flock(copy, LOCK_EX | LOCK_NB));
	CHILD("inherited", T(flock(fd, LOCK_EX | LOCK_NB)); T(flock(other, LOCK_EX | LOCK_NB)));
	close(copy);
	T(flock(other, LOCK_EX | LOCK_NB));
	T(flock(fd, 0));
	T(flock(fd, LOCK_EX | LOCK_SH));
	T(flock(-1, LOCK_EX));
	CHILD("unlocks for all", T(flock(fd, LOCK_UN)));
	T(flock(other, LOCK_EX | LOCK_NB));
	T(flock(other, LOCK_UN));
	/* A blocked flock is woken. */
	flock(fd, LOCK_EX);
	pid_t pid = fork();
	if (pid == 0) {
		int own = open("f", O_RDWR);
		_exit(flock(own, LOCK_EX) ? 1 : 0);
	}
	wait_state(pid, pid, 'S');
	out("unlocking\n");
	flock(fd, LOCK_UN);
	reap("flock waiter", pid);

	/* POSIX locks belong to the process. */
	lock = range(F_WRLCK, 0, 10);
	T(fcntl(fd, F_SETLK, &lock));
	lock = range(F_WRLCK, 5, 10);
	T(fcntl(other, F_SETLK, &lock));
	getlk("own", fd, F_WRLCK, 0, 0);
	CHILD("child sees", {
		getlk("0,0", fd, F_WRLCK, 0, 0);
		getlk("15,5", fd, F_WRLCK, 15, 5);
		getlk("14,1 read", fd, F_RDLCK, 14, 1);
		lock = range(F_RDLCK, 14, 1);
		T(fcntl(fd, F_SETLK, &lock));
		lock = range(F_WRLCK, 15, 1);
		T(fcntl(fd, F_SETLK, &lock));
	});
	lock = range(F_UNLCK, 4, 3);
	T(fcntl(fd, F_SETLK, &lock));
	lock = range(F_RDLCK, 10, 2);
	T(fcntl(fd, F_SETLK, &lock));
	CHILD("split", {
		getlk("0", fd, F_RDLCK, 0, 0);
		getlk("4", fd, F_RDLCK, 4, 3);
		getlk("4+", fd, F_RDLCK, 4, 0);
		getlk("10 read", fd, F_RDLCK, 10, 2);
		getlk("10 write", fd, F_WRLCK, 10, 2);
		getlk("12", fd, F_WRLCK, 12, 0);
	});
	lock = range(F_WRLCK, 0, -1);
	T(fcntl(fd, F_SETLK, &lock));
	lock = range(F_RDLCK, 0, 1);
	lock.l_whence = SEEK_END;
	T(fcntl(reader, F_SETLK, &lock));
	lock = range(F_WRLCK, 0, 1);
	T(fcntl(reader, F_SETLK, &lock));
	lock = range(77, 0, 1);
	T(fcntl(fd, F_SETLK, &lock));
	lock = range(F_RDLCK, 10, -5);
	T(fcntl(fd, F_SETLK, &lock));
	/* Any close drops them all. */
	close(reader);
	CHILD("after close", getlk("all", fd, F_WRLCK, 0, 0));
	/* Waiting, and a deadlock. */
	lock = range(F_WRLCK, 0, 1);
	MUST(fcntl(fd, F_SETLK, &lock));
	int p[2];
	MUST(pipe(p));
	pid = fork();
	if (pid == 0) {
		lock = range(F_WRLCK, 1, 1);
		MUST(fcntl(fd, F_SETLK, &lock));
		write(p[1], "x", 1);
		lock = range(F_WRLCK, 0, 1);
		_exit(fcntl(fd, F_SETLKW, &lock) ? 1 : 0);
	}
	char c;
	read(p[0], &c, 1);
	wait_state(pid, pid, 'S');
	lock = range(F_WRLCK, 1, 1);
	T(fcntl(fd, F_SETLKW, &lock));
	lock = range(F_UNLCK, 0, 0);
	T(fcntl(fd, F_SETLK, &lock));
	reap("waiter", pid);
	lock = range(F_WRLCK, 1, 1);
	T(fcntl(fd, F_SETLK, &lock));
	/* A signal ends the wait. */
	CHILD("interrupted", {
		handle(SIGALRM, on_alarm, 0);
		struct itimerval it = { { 0, 20000 }, { 0, 20000 } };
		setitimer(ITIMER_REAL, &it, NULL);
		lock = range(F_WRLCK, 1, 1);
		T(fcntl(fd, F_SETLKW, &lock));
		V(alarms > 0);
		int own = open("f", O_RDWR);
		flock(fd, LOCK_EX);
		T(flock(own, LOCK_EX));
	});

	/* Locks of open files. */
	lock = range(F_UNLCK, 0, 0);
	fcntl(fd, F_SETLK, &lock);
	lock = range(F_WRLCK, 0, 10);
	T(fcntl(fd, F_OFD_SETLK, &lock));
	lock = range(F_WRLCK, 0, 10);
	T(fcntl(other, F_OFD_SETLK, &lock));
	lock = range(F_WRLCK, 0, 10);
	lock.l_pid = 1;
	T(fcntl(fd, F_OFD_SETLK, &lock));
	lock = range(F_WRLCK, 0, 10);
	T(fcntl(other, F_OFD_GETLK, &lock));
	out("type %d start %ld len %ld pid %d\n", lock.l_type, (long)lock.l_start, (long)lock.l_len, lock.l_pid);
	lock = range(F_RDLCK, 5, 1);
	T(fcntl(fd, F_SETLK, &lock));
	CHILD("shared with children", {
		lock = range(F_WRLCK, 0, 10);
		T(fcntl(fd, F_OFD_SETLK, &lock));
	});
	lock = range(F_UNLCK, 0, 0);
	T(fcntl(fd, F_OFD_SETLK, &lock));
	lock = range(F_RDLCK, 0, 10);
	T(fcntl(other, F_OFD_SETLK, &lock));
	unscratch();
	return 0;
}

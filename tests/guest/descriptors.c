/* dup, fcntl, close_range, limits of the descriptor table. bevor-test: user=both files=few */
#include "t.h"
#include <sys/ioctl.h>
#include <linux/close_range.h>

static int open_count(void)
{
	int count = 0;
	for (int fd = 0; fd < 1100; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

int main(void)
{
	scratch();
	close_range(3, ~0U, 0);
	int fd = make_file("f", "contents");
	V(fd);
	T(dup(fd));
	T(dup(-1));
	T(dup2(fd, 10));
	T(dup2(fd, fd));
	T(dup2(77, 77));
	T(dup2(fd, -1));
	T(dup2(fd, 1 << 20));
	T(dup3(fd, 11, O_CLOEXEC));
	T(dup3(fd, fd, 0));
	T(dup3(fd, 12, O_APPEND));
	T(fcntl(10, F_GETFD));
	T(fcntl(11, F_GETFD));
	T(fcntl(fd, F_DUPFD, 20));
	T(fcntl(fd, F_DUPFD, 20));
	T(fcntl(fd, F_DUPFD_CLOEXEC, 30));
	T(fcntl(30, F_GETFD));
	T(fcntl(fd, F_DUPFD, -1));
	T(fcntl(fd, F_DUPFD, 1 << 24));
	T(fcntl(fd, 9999));
	T(fcntl(10, F_SETFD, FD_CLOEXEC | 6));
	T(fcntl(10, F_GETFD));
	T(fcntl(10, F_SETFD, 0));
	T(ioctl(10, FIOCLEX));
	T(fcntl(10, F_GETFD));
	T(ioctl(10, FIONCLEX));
	T(fcntl(10, F_GETFD));
	int on = 1;
	T(ioctl(10, FIONBIO, &on));
	out("%o\n", fcntl(fd, F_GETFL));
	T(ioctl(10, 0x12345678, &on));
	T(ioctl(-1, FIONBIO, &on));
	T(fcntl(fd, F_SETFL, O_APPEND));
	out("%o\n", fcntl(10, F_GETFL));
	V(open_count());
	T(close_range(20, 25, CLOSE_RANGE_CLOEXEC));
	T(fcntl(21, F_GETFD));
	T(close_range(20, 20, 0));
	T(fcntl(20, F_GETFD));
	T(close_range(25, 20, 0));
	T(close_range(20, 25, 0x80));
	V(open_count());
	CHILD("unshare", {
		T(close_range(3, ~0U, CLOSE_RANGE_UNSHARE));
		V(open_count());
	});
	V(open_count());
	T(close_range(3, ~0U, 0));
	V(open_count());

	struct rlimit limit = { 16, 32 };
	T(setrlimit(RLIMIT_NOFILE, &limit));
	int opened = 0;
	while ((fd = open("f", O_RDONLY)) >= 0)
		opened++;
	out("opened %d then %s\n", opened, errname(errno));
	T(dup(0));
	T(dup2(0, 15));
	T(dup2(0, 16));
	int p[2];
	T(pipe(p));
	T(fcntl(0, F_DUPFD, 16));
	T(fcntl(0, F_DUPFD, 5));
	close(7);
	T(pipe(p));
	T(open("f", O_RDONLY));
	limit.rlim_cur = 20;
	T(setrlimit(RLIMIT_NOFILE, &limit));
	T(open("f", O_RDONLY));
	limit.rlim_cur = 5;
	T(setrlimit(RLIMIT_NOFILE, &limit));
	T(open("f", O_RDONLY));
	T(fcntl(10, F_GETFD));

	/* Closing from one thread is closing for all; fork makes a copy. */
	limit.rlim_cur = 32;
	setrlimit(RLIMIT_NOFILE, &limit);
	close_range(3, ~0U, 0);
	fd = MUST(open("f", O_RDONLY));
	CHILD("copy", close(fd));
	T(fcntl(fd, F_GETFD));
	/* F_SETOWN and leases. */
	MUST(pipe(p));
	T(fcntl(p[0], F_GETOWN));
	T(fcntl(p[0], F_SETOWN, getpid()));
	CHECK(fcntl(p[0], F_GETOWN) == getpid());
	T(fcntl(p[0], F_SETSIG, SIGUSR1));
	T(fcntl(p[0], F_GETSIG));
	T(fcntl(p[0], F_SETSIG, 1000));
	T(fcntl(fd, F_GETLEASE));
	/* kcmp */
	fd = MUST(open("f", O_RDONLY));
	int two = dup(fd), three = open("f", O_RDONLY);
	V(syscall(SYS_kcmp, getpid(), getpid(), 0, fd, two));
	V(syscall(SYS_kcmp, getpid(), getpid(), 0, fd, three) != 0);
	T(syscall(SYS_kcmp, getpid(), getpid(), 0, fd, 999));
	T(syscall(SYS_kcmp, getpid(), getpid(), 1, 0, 0));
	unscratch();
	return 0;
}

/* eventfd, timerfd, signalfd: limits, wrong arguments, what is left in them. bevor-test: user=both kernel=6.12 */
#include "t.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static void events(void)
{
	uint64_t v;
	int e = eventfd(5, EFD_NONBLOCK | EFD_SEMAPHORE);
	for (int i = 0; i < 6; i++) { T(read(e, &v, 8)); out("%lx\n", (long)v); }
	close(e);
	e = eventfd(0xffffffff, EFD_NONBLOCK);
	v = -1ULL; T(write(e, &v, 8));
	v = -2ULL; T(write(e, &v, 8));
	v = -2ULL - 0xffffffffULL; T(write(e, &v, 8));
	struct pollfd p = { e, POLLIN | POLLOUT }; poll(&p, 1, 0); out("%x\n", p.revents);
	v = 0; T(write(e, &v, 8));
	v = 1; T(write(e, &v, 8));
	T(write(e, &v, 7)); T(read(e, &v, 7)); T(write(e, &v, 9));
	T(read(e, (void *)8, 8));
	T(read(e, &v, 8)); out("%lx\n", (long)v);
	poll(&p, 1, 0); out("%x\n", p.revents);
	T(eventfd(0, 4));
	struct iovec iv[2] = {{ &v, 4 }, { (char *)&v + 4, 4 }};
	v = 77; T(writev(e, iv, 2)); v = 0; T(readv(e, iv, 2)); V(v);
	/* Each part of a vector is a call of its own. */
	uint64_t two[2] = { 3, 4 };
	struct iovec whole[3] = { { two, 8 }, { two + 1, 8 }, { two, 7 } };
	T(writev(e, whole, 2));
	T(writev(e, whole, 3));
	T(read(e, &v, 16));
	V(v);
	T(writev(e, whole + 2, 1));
	v = -2ULL - 4;
	T(write(e, &v, 8));
	T(writev(e, whole, 2));
	T(readv(e, whole, 2));
	out("%lx %lx\n", (long)two[0], (long)two[1]);
	T(write(e, &v, 0));
	T(read(e, &v, 0));
	T(pread(e, &v, 8, 0));
	T(pwrite(e, &v, 8, 0));
	T(preadv(e, iv, 1, 0));
	T(pwritev(e, iv, 1, 0));
	T(preadv(e, (void *)8, 1, 0));
	T(lseek(e, 0, 0));
	T(ftruncate(e, 0));
	T(fsync(e));
	T(ioctl(e, FIONREAD, &v));
	T((long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, e, 0));
	/* timerfd */
	struct itimerspec it = { { 0, 0 }, { 1000, 0 } };
	int clocks[] = { CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME };
	for (int i = 0; i < 3; i++) {
		int f = timerfd_create(clocks[i], TFD_NONBLOCK);
		T(timerfd_settime(f, TFD_TIMER_CANCEL_ON_SET, &it, NULL));
		T(timerfd_settime(f, TFD_TIMER_CANCEL_ON_SET | TFD_TIMER_ABSTIME, &it, NULL));
		if (clocks[i] == CLOCK_MONOTONIC) { it.it_value.tv_sec = 1; T(timerfd_settime(f, TFD_TIMER_ABSTIME, &it, NULL)); T(read(f, &v, 8)); V(v); it.it_value.tv_sec=1000;}
		T(timerfd_settime(f, 4, &it, NULL));
		struct itimerspec now;
		T(timerfd_settime(f, 0, &it, NULL));
		T(read(f, &v, 8));
		T(read(f, &v, 4));
		T(write(f, &v, 8));
		T(timerfd_gettime(f, &now));
		V(now.it_value.tv_sec);
		v = 3; T(ioctl(f, _IOW('T', 0, uint64_t), &v));
		v = 0; T(read(f, &v, 8)); V(v);
		v = 0; T(ioctl(f, _IOW('T', 0, uint64_t), &v));
		struct itimerspec bad = { { 0, 0 }, { 0, 1000000000 } };
		T(timerfd_settime(f, 0, &bad, NULL));
		bad = (struct itimerspec){ { 0, 0 }, { -1, 0 } };
		T(timerfd_settime(f, 0, &bad, NULL));
		T(timerfd_settime(f, 0, NULL, NULL));
		close(f);
	}
	/* A period: how many have passed, and which clock does not matter. */
	for (int i = 0; i < 3; i++) {
		int f = timerfd_create(clocks[i], TFD_NONBLOCK);
		struct timespec at;
		clock_gettime(clocks[i], &at);
		struct itimerspec every = { { 1000, 0 }, { at.tv_sec - 2500, at.tv_nsec } };
		if (at.tv_sec > 2600) {
			T(timerfd_settime(f, TFD_TIMER_ABSTIME, &every, NULL));
			T(read(f, &v, 8));
			V(v);
			struct itimerspec old;
			T(timerfd_gettime(f, &old));
			CHECK(old.it_value.tv_sec >= 490 && old.it_value.tv_sec < 500);
			V(old.it_interval.tv_sec);
			T(timerfd_settime(f, 0, &(struct itimerspec){ 0 }, &old));
			V(old.it_interval.tv_sec);
			T(timerfd_gettime(f, &old));
			out("%ld %ld %ld\n", old.it_interval.tv_sec, old.it_value.tv_sec, old.it_value.tv_nsec);
		} else
			for (int line = 0; line < 8; line++)
				out("BAD: the host has not been up for long enough\n");
		/* Nothing is due once it was set anew. */
		every = (struct itimerspec){ { 0, 0 }, { 0, 1 } };
		T(timerfd_settime(f, 0, &every, NULL));
		p.fd = f;
		T(poll(&p, 1, 1000));
		out("%x\n", p.revents);
		every.it_value.tv_sec = 1000;
		T(timerfd_settime(f, 0, &every, NULL));
		T(poll(&p, 1, 0));
		T(read(f, &v, 8));
		T(pread(f, &v, 8, 0));
		T(lseek(f, 5, SEEK_SET));
		T(ioctl(f, FIONREAD, &v));
		close(f);
	}
	T(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
	T(timerfd_create(CLOCK_REALTIME_ALARM, 0) < 0 ? -1 : 0);
	T(timerfd_create(CLOCK_MONOTONIC, 1));
	T(timerfd_settime(e, 0, &it, NULL));
	/* signalfd */
	sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR1); sigaddset(&s, SIGRTMIN); sigaddset(&s, SIGKILL);
	sigprocmask(SIG_BLOCK, &s, NULL);
	int f = signalfd(-1, &s, SFD_NONBLOCK);
	struct signalfd_siginfo si[4];
	T(read(f, si, sizeof si[0]));
	T(read(f, si, sizeof si[0] - 1));
	union sigval sv = { .sival_int = 42 };
	sigqueue(getpid(), SIGRTMIN, sv); sigqueue(getpid(), SIGRTMIN, sv); raise(SIGUSR1);
	T(read(f, si, sizeof si));
	for (int i = 0; i < 3; i++) out("%d %d %d %d\n", si[i].ssi_signo == SIGRTMIN, si[i].ssi_signo == SIGUSR1, si[i].ssi_code, si[i].ssi_int);
	T(signalfd(e, &s, 0)); T(signalfd(f, &s, 1));
	T(signalfd(f, &s, 0) == f ? 0 : -1);
	T(syscall(SYS_signalfd4, f, &s, 4, 0));
	char line[400], path[64]; snprintf(path, 64, "/proc/self/fdinfo/%d", f);
	int in = open(path, O_RDONLY); int len = read(in, line, 399); line[len] = 0;
	char *m = strstr(line, "sigmask"); out("%s", m ? m : "none\n");
}

int main(void)
{
	events();
	return 0;
}

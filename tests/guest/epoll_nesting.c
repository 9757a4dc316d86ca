/* epoll: depth and loops of nested instances, who is woken, one-shot and edge with several readers; timerfd, eventfd and pidfd beside it. bevor-test: user=both */
#include "t.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW(0x54, 0, uint64_t)
#endif

static int add(int ep, int fd, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };
	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}

static int ready(int ep)
{
	struct epoll_event e;
	return epoll_wait(ep, &e, 1, 0);
}

/* The deepest chain of instances over a pipe, made from the pipe up or from the top down. */
static void chain(int upwards)
{
	int p[2], eps[8], made = 0;
	MUST(pipe(p));
	for (int i = 0; i < 8; i++)
		eps[i] = MUST(epoll_create1(0));
	if (upwards) {
		V(add(eps[0], p[0], EPOLLIN));
		for (made = 1; made < 8 && !add(eps[made], eps[made - 1], EPOLLIN); made++)
			;
		out("upwards: %d, then %s\n", made, errname(errno));
		write(p[1], "x", 1);
		V(ready(eps[made - 1]));
	} else {
		for (made = 1; made < 8 && !add(eps[made - 1], eps[made], EPOLLIN); made++)
			;
		out("downwards: %d, then %s\n", made, errname(errno));
		V(add(eps[made - 1], p[0], EPOLLIN));
		write(p[1], "x", 1);
		V(ready(eps[0]));
	}
	for (int i = 0; i < 8; i++)
		close(eps[i]);
	close(p[0]);
	close(p[1]);
}

struct sleeper {
	pthread_t thread;
	int ep, got, tid;
};

static void *sleep_in_wait(void *arg)
{
	struct sleeper *me = arg;
	struct epoll_event e;
	__atomic_store_n(&me->tid, gettid(), __ATOMIC_SEQ_CST);
	me->got = epoll_wait(me->ep, &e, 1, 400);
	return NULL;
}

/* How many of several sleepers one event wakes. */
static void wake_count(const char *what, struct sleeper *sleepers, int count, int fd)
{
	for (int i = 0; i < count; i++) {
		sleepers[i].tid = 0;
		pthread_create(&sleepers[i].thread, NULL, sleep_in_wait, &sleepers[i]);
		while (!__atomic_load_n(&sleepers[i].tid, __ATOMIC_SEQ_CST))
			usleep(100);
		wait_state(getpid(), sleepers[i].tid, 'S');
	}
	uint64_t one = 1;
	write(fd, &one, 8);
	int woken = 0;
	for (int i = 0; i < count; i++) {
		pthread_join(sleepers[i].thread, NULL);
		woken += sleepers[i].got == 1;
	}
	read(fd, &one, 8);
	out("%s: %d\n", what, woken);
}

int main(void)
{
	scratch();
	chain(1);
	chain(0);
	/* Loops, of any length; and an instance in itself. */
	int a = epoll_create1(0), b = epoll_create1(0), c = epoll_create1(0);
	T(add(a, a, EPOLLIN));
	T(add(a, b, EPOLLIN));
	T(add(b, c, EPOLLIN));
	T(add(c, a, EPOLLIN));
	T(add(b, a, EPOLLIN));
	T(add(a, c, EPOLLIN));
	T(add(a, c, EPOLLIN | EPOLLEXCLUSIVE));
	int ev = eventfd(0, EFD_NONBLOCK);
	T(add(c, ev, EPOLLIN));
	V(ready(a));
	uint64_t one = 1;
	write(ev, &one, 8);
	V(ready(a));
	V(ready(a));
	read(ev, &one, 8);
	V(ready(a));
	/* Edge-triggered nested: only new events. */
	int outer = epoll_create1(0);
	T(add(outer, c, EPOLLIN | EPOLLET));
	V(ready(outer));
	one = 1;
	write(ev, &one, 8);
	V(ready(outer));
	V(ready(outer));
	write(ev, &one, 8);
	V(ready(outer));
	read(ev, &one, 8);
	close(a);
	close(b);
	close(c);
	close(outer);

	/* Who is woken: all that wait on an instance of their own, one with exclusive, one of one. */
	struct sleeper sleepers[3];
	int shared = epoll_create1(0);
	add(shared, ev, EPOLLIN | EPOLLET);
	for (int i = 0; i < 3; i++)
		sleepers[i].ep = shared;
	wake_count("one instance, edge", sleepers, 3, ev);
	close(shared);
	for (int i = 0; i < 3; i++) {
		sleepers[i].ep = epoll_create1(0);
		add(sleepers[i].ep, ev, EPOLLIN);
	}
	wake_count("three instances", sleepers, 3, ev);
	for (int i = 0; i < 3; i++)
		close(sleepers[i].ep);

	/* What exclusive allows. */
	int ep = epoll_create1(0);
	T(add(ep, ev, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT));
	T(add(ep, ev, EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP));
	T(add(ep, ev, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET | EPOLLWAKEUP));
	struct epoll_event e = { .events = EPOLLIN };
	T(epoll_ctl(ep, EPOLL_CTL_MOD, ev, &e));
	T(epoll_ctl(ep, EPOLL_CTL_DEL, ev, NULL));
	T(epoll_ctl(ep, EPOLL_CTL_DEL, ev, NULL));
	T(epoll_ctl(ep, EPOLL_CTL_ADD, ev, NULL));

	/* timerfd */
	int timer = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
	uint64_t ticks = 42;
	T(ioctl(timer, TFD_IOC_SET_TICKS, &ticks));
	T(read(timer, &ticks, 8));
	V(ticks);
	ticks = 0;
	T(ioctl(timer, TFD_IOC_SET_TICKS, &ticks));
	T(ioctl(timer, TFD_IOC_SET_TICKS, NULL));
	T(ioctl(timer, 0x1234, &ticks));
	struct itimerspec when = { .it_value = { 4000000000, 0 } };
	T(timerfd_settime(timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL));
	T(read(timer, &ticks, 8));
	T(timerfd_settime(timer, TFD_TIMER_CANCEL_ON_SET, &when, NULL));
	T(timerfd_settime(timer, 4, &when, NULL));
	when.it_value.tv_nsec = 1000000000;
	T(timerfd_settime(timer, 0, &when, NULL));
	T(timerfd_settime(ev, 0, &when, NULL));
	T(timerfd_gettime(timer, NULL));
	T(timerfd_create(99, 0));
	T(timerfd_create(CLOCK_MONOTONIC, 0x8));
	T(read(timer, &ticks, 4));
	T(write(timer, &ticks, 8));
	when = (struct itimerspec){ .it_value = { 0, 1 }, .it_interval = { 0, 1000000 } };
	int repeating = timerfd_create(CLOCK_MONOTONIC, 0);
	timerfd_settime(repeating, 0, &when, NULL);
	usleep(5000);
	struct pollfd p = { repeating, POLLIN };
	T(poll(&p, 1, 0));
	T(read(repeating, &ticks, 8));
	CHECK(ticks >= 5);
	T(read(repeating, &ticks, 8));
	CHECK(ticks >= 1);

	/* eventfd: limits, and what poll says of a full one. */
	int full = eventfd(0, EFD_NONBLOCK);
	one = 0xfffffffffffffffe;
	T(write(full, &one, 8));
	p = (struct pollfd){ full, POLLIN | POLLOUT };
	poll(&p, 1, 0);
	out("%x\n", p.revents);
	one = 0;
	T(write(full, &one, 8));
	T(lseek(full, 0, SEEK_SET));
	T(pread(full, &one, 8, 0));
	T(ftruncate(full, 0));
	T(fsync(full));
	char path[64], target[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", full);
	ssize_t len = readlink(path, target, sizeof target - 1);
	target[len] = 0;
	out("%s\n", target);
	T(open(path, O_RDWR));
	struct stat st;
	fstat(full, &st);
	out("mode %o size %ld links %ld\n", st.st_mode, st.st_size, (long)st.st_nlink);
	unscratch();
	return 0;
}

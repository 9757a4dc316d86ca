/* Errors of the calls about signals, and of waiting by eventfd, signalfd, epoll, poll and select. */
#include "provoke.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>

static void masks(void)
{
	sigset_t set;
	siginfo_t info;
	struct sigaction action = { .sa_handler = SIG_DFL };
	struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } raw = { 0 };
	struct timespec none = { 0, 0 }, wrong = { 0, 1000000000 };
	stack_t stack = { .ss_flags = SS_DISABLE }, small = { &stack, 0, 8 }, strange = { &stack, 99, 65536 };
	sigemptyset(&set);
	E(rt_sigaction, "fine", SIGUSR1, &raw, NULL, 8L);
	E(rt_sigaction, "no such signal", 99, &raw, NULL, 8L);
	E(rt_sigaction, "not to be handled", SIGKILL, &raw, NULL, 8L);
	E(rt_sigaction, "wrong size", SIGUSR1, &raw, NULL, 4L);
	E(rt_sigaction, "bad address", SIGUSR1, NOWHERE, NULL, 8L);
	E(rt_sigprocmask, "fine", SIG_BLOCK, &set, NULL, 8L);
	E(rt_sigprocmask, "do what?", 99, &set, NULL, 8L);
	E(rt_sigprocmask, "wrong size", SIG_BLOCK, &set, NULL, 4L);
	E(rt_sigprocmask, "bad address", SIG_BLOCK, NOWHERE, NULL, 8L);
	E(rt_sigprocmask, "bad old address", SIG_BLOCK, &set, NOWHERE, 8L);
	E(rt_sigpending, "fine", &set, 8L);
	E(rt_sigpending, "bad address", NOWHERE, 8L);
	E(rt_sigpending, "wrong size", &set, 99L);
	E(sigaltstack, "fine", NULL, NULL);
	E(sigaltstack, "too small", &small, NULL);
	E(sigaltstack, "strange flag", &strange, NULL);
	E(sigaltstack, "bad address", NOWHERE, NULL);
	sigaddset(&set, SIGUSR2);
	E(rt_sigtimedwait, "none", &set, &info, &none, 8L);
	E(rt_sigtimedwait, "too many nanoseconds", &set, &info, &wrong, 8L);
	E(rt_sigtimedwait, "wrong size", &set, &info, &none, 4L);
	E(rt_sigtimedwait, "bad address", NOWHERE, &info, &none, 8L);
	EINTERRUPTED(rt_sigtimedwait, "interrupted", &set, &info, NULL, 8L);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR2);
	E(rt_sigtimedwait, "fine", &set, &info, NULL, 8L);
	sigemptyset(&set);
	E(rt_sigsuspend, "bad address", NOWHERE, 8L);
	E(rt_sigsuspend, "wrong size", &set, 4L);
	EINTERRUPTED(rt_sigsuspend, "interrupted", &set, 8L);
	EINTERRUPTED(pause, "interrupted");
	E(restart_syscall, "nothing to restart");
}

static void signalfds(void)
{
	sigset_t set;
	int pipes[2];
	MUST(pipe(pipes));
	sigemptyset(&set);
	int fd = E(signalfd, "fine", -1, &set, 8L);
	E(signalfd, "changed", fd, &set, 8L);
	E(signalfd, "no descriptor", 999, &set, 8L);
	E(signalfd, "not a signalfd", pipes[0], &set, 8L);
	E(signalfd, "wrong size", -1, &set, 4L);
	E(signalfd4, "fine", -1, &set, 8L, 0);
	E(signalfd4, "no descriptor", 999, &set, 8L, 0);
	E(signalfd4, "not a signalfd", pipes[0], &set, 8L, 0);
	E(signalfd4, "strange flag", -1, &set, 8L, 1);
	E(eventfd, "fine", 5);
	E(eventfd2, "fine", 5, 0);
	E(eventfd2, "strange flag", 5, 0x100);
	CHILD("no descriptor",
	      no_descriptors();
	      E(signalfd, "limit", -1, &set, 8L);
	      E(signalfd4, "limit", -1, &set, 8L, 0);
	      E(eventfd, "limit", 5);
	      E(eventfd2, "limit", 5, 0);
	      E(epoll_create, "limit", 5);
	      E(epoll_create1, "limit", 0));
}

static void epolls(void)
{
	struct epoll_event event = { EPOLLIN }, got[4];
	struct timespec none = { 0, 0 }, wrong = { 0, 1000000000 };
	int pipes[2], file = MUST(open("/proc/self/status", O_RDONLY));
	MUST(pipe(pipes));
	int fd = E(epoll_create, "fine", 5), other = E(epoll_create1, "fine", 0);
	E(epoll_create, "no size", 0);
	E(epoll_create1, "strange flag", 99);
	E(epoll_ctl, "fine", fd, EPOLL_CTL_ADD, pipes[0], &event);
	E(epoll_ctl, "there already", fd, EPOLL_CTL_ADD, pipes[0], &event);
	E(epoll_ctl, "no descriptor", 999, EPOLL_CTL_ADD, pipes[0], &event);
	E(epoll_ctl, "no descriptor to watch", fd, EPOLL_CTL_ADD, 999, &event);
	E(epoll_ctl, "itself", fd, EPOLL_CTL_ADD, fd, &event);
	E(epoll_ctl, "not there", fd, EPOLL_CTL_DEL, pipes[1], &event);
	E(epoll_ctl, "cannot be watched", fd, EPOLL_CTL_ADD, file, &event);
	E(epoll_ctl, "bad address", fd, EPOLL_CTL_ADD, pipes[1], NOWHERE);
	E(epoll_ctl, "do what?", fd, 99, pipes[0], &event);
	MUST(epoll_ctl(other, EPOLL_CTL_ADD, fd, &event));
	E(epoll_ctl, "circle", fd, EPOLL_CTL_ADD, other, &event);
	E(epoll_wait, "fine", fd, got, 4, 0);
	E(epoll_wait, "no room", fd, got, 0, 0);
	E(epoll_wait, "no descriptor", 999, got, 4, 0);
	E(epoll_wait, "not an epoll", pipes[0], got, 4, 0);
	EINTERRUPTED(epoll_wait, "interrupted", fd, got, 4, -1);
	E(epoll_pwait, "fine", fd, got, 4, 0, NULL, 8L);
	E(epoll_pwait, "no room", fd, got, 0, 0, NULL, 8L);
	E(epoll_pwait, "no descriptor", 999, got, 4, 0, NULL, 8L);
	EINTERRUPTED(epoll_pwait, "interrupted", fd, got, 4, -1, NULL, 8L);
	E(epoll_pwait2, "fine", fd, got, 4, &none, NULL, 8L);
	E(epoll_pwait2, "no room", fd, got, 0, &none, NULL, 8L);
	E(epoll_pwait2, "no descriptor", 999, got, 4, &none, NULL, 8L);
	E(epoll_pwait2, "too many nanoseconds", fd, got, 4, &wrong, NULL, 8L);
	E(epoll_pwait2, "bad time", fd, got, 4, NOWHERE, NULL, 8L);
	EINTERRUPTED(epoll_pwait2, "interrupted", fd, got, 4, NULL, NULL, 8L);
	MUST(write(pipes[1], "x", 1));
	E(epoll_wait, "bad address", fd, NOWHERE, 4, 0);
	E(epoll_pwait, "bad address", fd, NOWHERE, 4, 0, NULL, 8L);
	E(epoll_pwait2, "bad address", fd, NOWHERE, 4, &none, NULL, 8L);
}

static void polls(void)
{
	int pipes[2];
	MUST(pipe(pipes));
	struct pollfd one = { pipes[0], POLLIN };
	struct timespec none = { 0, 0 }, wrong = { 0, 1000000000 };
	struct timeval now = { 0, 0 }, negative = { -1, 0 };
	fd_set set, gone;
	FD_ZERO(&set);
	FD_SET(pipes[0], &set);
	FD_ZERO(&gone);
	FD_SET(40, &gone);
	E(poll, "fine", &one, 1L, 0);
	E(poll, "bad address", NOWHERE, 1L, 0);
	E(poll, "too many", &one, 1L << 30, 0);
	EINTERRUPTED(poll, "interrupted", &one, 1L, -1);
	E(ppoll, "fine", &one, 1L, &none, NULL, 8L);
	E(ppoll, "bad address", NOWHERE, 1L, &none, NULL, 8L);
	E(ppoll, "bad time", &one, 1L, NOWHERE, NULL, 8L);
	E(ppoll, "too many nanoseconds", &one, 1L, &wrong, NULL, 8L);
	EINTERRUPTED(ppoll, "interrupted", &one, 1L, NULL, NULL, 8L);
	E(select, "fine", 1000, &set, NULL, NULL, &now);
	E(select, "negative", -1, &set, NULL, NULL, &now);
	E(select, "no descriptor", 41, &gone, NULL, NULL, &now);
	E(select, "negative time", 1, NULL, NULL, NULL, &negative);
	E(select, "bad address", 100, NOWHERE, NULL, NULL, &now);
	FD_SET(pipes[0], &set);
	EINTERRUPTED(select, "interrupted", pipes[0] + 1, &set, NULL, NULL, NULL);
	FD_SET(pipes[0], &set);
	E(pselect6, "fine", 1000, &set, NULL, NULL, &none, NULL);
	E(pselect6, "negative", -1, &set, NULL, NULL, &none, NULL);
	E(pselect6, "no descriptor", 41, &gone, NULL, NULL, &none, NULL);
	E(pselect6, "too many nanoseconds", 1, NULL, NULL, NULL, &wrong, NULL);
	FD_SET(pipes[0], &set);
	EINTERRUPTED(pselect6, "interrupted", pipes[0] + 1, &set, NULL, NULL, NULL, NULL);
}

int main(void)
{
	masks();
	signalfds();
	epolls();
	polls();
	return 0;
}

/* Handlers, masks, flags, queues, siginfo. bevor-test: user=both waits=reloaded */
#include "t.h"

static volatile int count, last, nested, depth, max_depth;
static volatile siginfo_t seen;
static volatile sigset_t mask_inside;

static void on_any(int sig, siginfo_t *info, void *context)
{
	count++;
	last = sig;
	seen = *info;
	sigprocmask(SIG_BLOCK, NULL, (sigset_t *)&mask_inside);
}

static void on_nested(int sig, siginfo_t *info, void *context)
{
	if (++depth > max_depth)
		max_depth = depth;
	if (nested-- > 0)
		raise(sig);
	depth--;
}

static void on_order(int sig, siginfo_t *info, void *context)
{
	out("signal %s%d value %d code %d\n", sig >= SIGRTMIN ? "RTMIN+" : "", sig >= SIGRTMIN ? sig - SIGRTMIN : sig,
	    info->si_code == SI_QUEUE ? info->si_value.sival_int : 0, info->si_code);
}

int main(void)
{
	sigset_t set, old;
	struct sigaction action;
	T(sigaction(SIGKILL, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL));
	T(sigaction(SIGSTOP, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL));
	T(sigaction(0, NULL, &action));
	T(sigaction(65, NULL, &action));
	T(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4));
	T(syscall(SYS_rt_sigaction, SIGUSR1, (void *)8, NULL, 8));
	T(kill(getpid(), 0));
	T(kill(getpid(), 65));
	T(kill(getpid(), -1));
	T(kill(999999, 0));
	T(kill(-999999, 0));
	T(raise(0));

	handle(SIGUSR1, on_any, 0);
	sigaction(SIGUSR1, NULL, &action);
	out("flags %x\n", action.sa_flags & ~0x04000000);
	kill(getpid(), SIGUSR1);
	V(count);
	V(seen.si_signo);
	V(seen.si_code);
	V(seen.si_pid == getpid());
	V(seen.si_uid == getuid());
	V(sigismember((sigset_t *)&mask_inside, SIGUSR1));
	V(sigismember((sigset_t *)&mask_inside, SIGUSR2));
	raise(SIGUSR1);
	V(seen.si_code);
	sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 4711 });
	V(seen.si_code);
	V(seen.si_value.sival_int);
	T(sigqueue(999999, SIGUSR1, (union sigval){ 0 }));
	siginfo_t forged = { .si_code = SI_USER };
	CHILD("forged for another", T(syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &forged)));
	forged.si_code = -77;
	T(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &forged));
	V(seen.si_code);
	T(syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGUSR1, &forged));
	T(syscall(SYS_tgkill, getpid(), 999999, SIGUSR1));
	T(syscall(SYS_tgkill, 999999, getpid(), SIGUSR1));
	T(syscall(SYS_tgkill, getpid(), -1, SIGUSR1));
	T(syscall(SYS_tkill, syscall(SYS_gettid), SIGUSR1));
	V(seen.si_code);

	/* Flags. */
	action = (struct sigaction){ .sa_sigaction = on_any, .sa_flags = SA_SIGINFO };
	sigaddset(&action.sa_mask, SIGUSR2);
	sigaddset(&action.sa_mask, SIGKILL);
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	V(sigismember((sigset_t *)&mask_inside, SIGUSR2));
	V(sigismember((sigset_t *)&mask_inside, SIGKILL));
	sigprocmask(SIG_BLOCK, NULL, &set);
	V(sigismember(&set, SIGUSR2));
	handle(SIGUSR1, on_any, SA_NODEFER);
	raise(SIGUSR1);
	V(sigismember((sigset_t *)&mask_inside, SIGUSR1));
	handle(SIGUSR1, on_nested, SA_NODEFER);
	nested = 5;
	raise(SIGUSR1);
	V(max_depth);
	handle(SIGUSR1, on_nested, 0);
	max_depth = 0;
	nested = 5;
	raise(SIGUSR1);
	V(max_depth);
	V(nested);
	handle(SIGUSR1, on_any, SA_RESETHAND);
	raise(SIGUSR1);
	sigaction(SIGUSR1, NULL, &action);
	V(action.sa_handler == SIG_DFL);
	CHILD("reset", raise(SIGUSR1));

	/* Blocking and pending. */
	handle(SIGUSR1, on_any, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGKILL);
	sigaddset(&set, SIGSTOP);
	T(sigprocmask(SIG_BLOCK, &set, &old));
	sigprocmask(0, NULL, &set);
	V(sigismember(&set, SIGKILL));
	T(sigprocmask(99, &set, NULL));
	count = 0;
	raise(SIGUSR1);
	raise(SIGUSR1);
	kill(getpid(), SIGUSR1);
	V(count);
	sigpending(&set);
	V(sigismember(&set, SIGUSR1));
	T(sigprocmask(SIG_SETMASK, &old, NULL));
	V(count);
	/* One for the thread and one for the process are two. */
	/* Ignoring throws away what is pending. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_IGN);
	sigpending(&set);
	V(sigismember(&set, SIGUSR1));
	handle(SIGUSR1, on_any, 0);
	sigprocmask(SIG_SETMASK, &old, NULL);

	/* Real-time signals queue, lowest number first, in order. */
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, &old);
	for (int i = 0; i < 3; i++)
		handle(SIGRTMIN + i, on_order, 0);
	handle(SIGUSR2, on_order, 0);
	handle(SIGTERM, on_order, 0);
	for (int i = 0; i < 3; i++)
		for (int j = 2; j >= 0; j--)
			sigqueue(getpid(), SIGRTMIN + j, (union sigval){ .sival_int = i * 10 + j });
	kill(getpid(), SIGUSR2);
	kill(getpid(), SIGTERM);
	kill(getpid(), SIGUSR2);
	out("unblocking\n");
	sigset_t take;
	sigemptyset(&take);
	sigaddset(&take, SIGRTMIN + 1);
	siginfo_t info;
	CHECK(sigwaitinfo(&take, &info) == SIGRTMIN + 1);
	V(info.si_value.sival_int);
	sigprocmask(SIG_SETMASK, &old, NULL);

	/* sigsuspend, sigtimedwait, sigwait. */
	handle(SIGUSR1, on_any, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	count = 0;
	raise(SIGUSR1);
	sigemptyset(&old);
	T(sigsuspend(&old));
	V(count);
	struct timespec zero = { 0 }, soon = { 0, 3000000 }, bad = { 0, -1 };
	T(sigtimedwait(&set, &info, &zero));
	T(sigtimedwait(&set, &info, &soon));
	T(sigtimedwait(&set, &info, &bad));
	raise(SIGUSR1);
	T(sigtimedwait(&set, &info, &zero));
	V(info.si_code);
	V(count);
	pid_t pid = fork();
	if (pid == 0) {
		int got;
		sigwait(&set, &got);
		_exit(got);
	}
	wait_state(pid, pid, 'S');
	kill(pid, SIGUSR1);
	reap("sigwait", pid);
	/* An unrelated signal interrupts sigtimedwait. */
	pid = fork();
	if (pid == 0) {
		handle(SIGUSR2, on_any, SA_RESTART);
		T(sigwaitinfo(&set, &info));
		_exit(0);
	}
	wait_state(pid, pid, 'S');
	kill(pid, SIGUSR2);
	reap("interrupted", pid);
	/* kill to everyone we may, except ourselves: run in a small family only if we are no one else's. */
	/* Signals to a group. */
	int p[2];
	pipe(p);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGUSR1, SIG_DFL);
		for (int i = 0; i < 3; i++)
			if (fork() == 0) {
				write(p[1], "x", 1);
				for (;;)
					pause();
			}
		signal(SIGUSR1, SIG_IGN);
		write(p[1], "x", 1);
		int status, killed = 0;
		while (wait(&status) > 0)
			killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1;
		_exit(killed);
	}
	char four[4];
	for (int i = 0; i < 4; i++)
		read(p[0], four, 1);
	T(kill(-pid, SIGUSR1));
	reap("group", pid);
	return 0;
}

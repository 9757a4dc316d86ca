/* Every system call number with wild arguments; what is left must still work. bevor-test: exit=0 timeout=120 */
#include "t.h"
static unsigned long seed = 88172645463325252UL;
static unsigned long next(void) { seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17; return seed; }
static long wild(void *page)
{
	switch (next() % 12) {
	case 0: return 0;
	case 1: return -1;
	case 2: return next() % 16;
	case 3: return (long)page;
	case 4: return (long)page + 4090;
	case 5: return 1L << (next() % 64);
	case 6: return LONG_MIN;
	case 7: return LONG_MAX;
	case 8: return 0x7fffffff0000 + next() % 0x20000;
	case 9: return (long)0xffff800000000000;
	case 10: return 0x100;
	default: return next();
	}
}
int main(void)
{
	for (int round = 0; round < 24; round++) {
		pid_t pid = fork();
		if (pid == 0) {
			seed += round * 7919;
			char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			mprotect(page + 4096, 4096, PROT_NONE);
			struct rlimit limit = { 2, 2 };
			setrlimit(RLIMIT_CPU, &limit);
			chdir("/tmp");
			for (int step = 0; step < 1500; step++) {
				long nr = next() % 470;
				/* Not those that end or stop this loop by design. */
				if (nr == SYS_exit || nr == SYS_exit_group || nr == SYS_pause || nr == SYS_rt_sigsuspend || nr == SYS_fork ||
				    nr == SYS_vfork || nr == SYS_clone || nr == SYS_clone3 || nr == SYS_kill || nr == SYS_tkill || nr == SYS_tgkill ||
				    nr == SYS_rt_sigreturn || nr == SYS_reboot || nr == SYS_setrlimit || nr == SYS_prlimit64)
					continue;
				if (next() % 8 == 0)
					alarm(1);
				syscall(nr, wild(page), wild(page), wild(page), wild(page), wild(page), wild(page));
			}
			_exit(0);
		}
		for (int i = 0; i < 400; i++) {
			int status;
			if (waitpid(pid, &status, WNOHANG) == pid)
				goto next_round;
			sleep_ms(10);
		}
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	next_round:;
	}
	int fd = open("/etc/passwd", O_RDONLY);
	return fd >= 0 ? 0 : 1;
}

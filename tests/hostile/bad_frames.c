/* Signal frames filled with rubbish and returned from. bevor-test: exit=0 timeout=60 */
#include "t.h"
#include <ucontext.h>
static unsigned long seed;
static unsigned long next(void) { seed = seed * 6364136223846793005UL + 1442695040888963407UL; return seed >> 11; }
static void on_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	unsigned char *bytes = context;
	switch (next() % 6) {
	case 0:
		for (int i = 0; i < 5; i++)
			bytes[next() % sizeof *uc] = next();
		break;
	case 1: uc->uc_mcontext.gregs[REG_RIP] = next() << (next() % 20); break;
	case 2: uc->uc_mcontext.fpregs = (void *)(next() % 2 ? 0 : 0x1000 + next() % 100000); break;
	case 3: uc->uc_mcontext.gregs[REG_CSGSFS] = next(); break;
	case 4: uc->uc_mcontext.gregs[REG_EFL] = next(); break;
	default:
		for (int i = 0; i < 200; i++)
			((unsigned char *)uc->uc_mcontext.fpregs)[next() % 832] = next();
	}
}
int main(void)
{
	int alive = 0;
	for (int i = 0; i < 300; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			seed = i * 7919 + 1;
			alarm(2);
			handle(SIGUSR1, on_signal, 0);
			raise(SIGUSR1);
			_exit(0);
		}
		int status;
		waitpid(pid, &status, 0);
		alive += status == 0;
	}
	return alive > 300;
}

/* Exit statuses and how a parent sees them. bevor-test: user=both */
#include "t.h"

int main(void)
{
	int codes[] = { 0, 1, 2, 127, 128, 255, 256, 257, -1 };
	for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++) {
		CHILD("exit", exit(codes[i]));
		CHILD("_exit", _exit(codes[i]));
		CHILD("raw exit", syscall(SYS_exit, codes[i]));
	}
	CHILD("abort", abort());
	CHILD("kill", raise(SIGKILL));
	CHILD("term", raise(SIGTERM));
	CHILD("real-time", raise(SIGRTMIN + 3));
	CHILD("trap", __builtin_trap());
	CHILD("null", *(volatile int *)8 = 1);
	CHILD("div", { volatile int zero = 0; out("%d\n", 1 / zero); });
	CHILD("hlt", __asm__ volatile("hlt"));
	CHILD("int3", __asm__ volatile("int3"));
	CHILD("ignored", { signal(SIGCHLD, SIG_IGN); raise(SIGCHLD); raise(SIGURG); raise(SIGWINCH); _exit(7); });
	return 77;
}

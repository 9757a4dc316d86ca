/* Stacks that grow down, and where they end. */
#include "t.h"
#include <setjmp.h>

static sigjmp_buf back;
static void on_fault(int sig, siginfo_t *info, void *context) { siglongjmp(back, sig); }

static int __attribute__((noinline)) recurse(int depth)
{
	volatile char frame[4096];
	frame[0] = depth;
	if (depth == 0)
		return 0;
	return recurse(depth - 1) + (frame[0] == (char)depth ? 1 : 0);
}

int main(void)
{
	V(recurse(1500));
	/* Far below the stack pointer, within the limit. */
	char *sp = __builtin_frame_address(0);
	*(volatile char *)(sp - 1024 * 1024) = 1;
	out("a megabyte below is fine\n");
	/* As an argument of a system call. */
	int zero = open("/dev/zero", O_RDONLY);
	T(read(zero, sp - 3 * 1024 * 1024, 100));
	/* Beyond the limit. */
	static char alt[65536];
	stack_t ss = { .ss_sp = alt, .ss_size = sizeof alt };
	sigaltstack(&ss, NULL);
	handle(SIGSEGV, on_fault, SA_ONSTACK);
	int sig = sigsetjmp(back, 1);
	if (sig == 0)
		recurse(1000000);
	out("overflow: SIG%s\n", sigabbrev_np(sig));
	CHILD("no alternate stack", signal(SIGSEGV, SIG_DFL); recurse(1000000));
	CHILD("handler without stack", handle(SIGSEGV, on_fault, 0); recurse(1000000));
	CHILD("smaller limit", {
		struct rlimit limit = { 1 << 20, RLIM_INFINITY };
		setrlimit(RLIMIT_STACK, &limit);
		signal(SIGSEGV, SIG_DFL);
		out("%d\n", recurse(150));
		recurse(300);
	});
	/* MAP_GROWSDOWN */
	char *area = mmap(NULL, 512 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *base = area + 500 * 4096;
	munmap(area, 512 * 4096);
	char *p = mmap(base, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
	CHECK(p == base);
	for (int i = 1; i < 10; i++)
		p[-i * 4096] = i;
	V(p[-9 * 4096]);
	return 0;
}

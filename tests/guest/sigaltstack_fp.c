/* Alternate stacks, and floating-point state kept across handlers. bevor-test: user=both */
#include "t.h"
#include <immintrin.h>
#include <ucontext.h>

static volatile int on_alt, deep;
static char alt[65536];

static void on_signal(int sig, siginfo_t *info, void *context)
{
	char here;
	on_alt = &here > alt && &here < alt + sizeof alt;
	stack_t ss;
	sigaltstack(NULL, &ss);
	out("flags inside: %d\n", ss.ss_flags);
	if (on_alt) {
		stack_t other = { .ss_sp = alt, .ss_size = sizeof alt };
		out("change inside: %s\n", sigaltstack(&other, NULL) ? errname(errno) : "ok");
	}
	if (deep) {
		deep = 0;
		raise(SIGUSR2);
	}
	ucontext_t *uc = context;
	out("uc_stack: %d %d\n", uc->uc_stack.ss_sp == alt, uc->uc_stack.ss_flags);
}

static void clobber(int sig, siginfo_t *info, void *context)
{
	__asm__ volatile("vpcmpeqd %%ymm0, %%ymm0, %%ymm0; vpcmpeqd %%ymm7, %%ymm7, %%ymm7; vpcmpeqd %%ymm15, %%ymm15, %%ymm15;"
			 "fninit; fld1; fld1; fldpi" ::: "xmm0", "xmm7", "xmm15");
	unsigned csr = 0x1f80;
	__asm__ volatile("ldmxcsr %0" ::"m"(csr));
}

static void edit(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uc->uc_mcontext.fpregs->_xmm[3].element[0] = 0xabcdef01;
	uc->uc_mcontext.gregs[REG_R15] = 0x1234567;
}

static int state_survives(void (*cause)(void))
{
	unsigned char before[16][32] __attribute__((aligned(32))), after[16][32] __attribute__((aligned(32)));
	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 32; j++)
			before[i][j] = i * 37 + j * 11 + 1;
	unsigned csr = 0x3fa0, csr_after;
	unsigned short cw = 0x0e7f, cw_after;
	double x87 = 1234.5, x87_after;
	register void (*c)(void) __asm__("rbx") = cause;
	__asm__ volatile(
		"ldmxcsr %[csr]\n fldcw %[cw]\n fldl %[x87]\n"
		"vmovdqa 0(%[b]), %%ymm0\n vmovdqa 96(%[b]), %%ymm3\n vmovdqa 224(%[b]), %%ymm7\n vmovdqa 480(%[b]), %%ymm15\n"
		"call *%%rbx\n"
		"vmovdqa %%ymm0, 0(%[a])\n vmovdqa %%ymm3, 96(%[a])\n vmovdqa %%ymm7, 224(%[a])\n vmovdqa %%ymm15, 480(%[a])\n"
		"fstpl %[x87a]\n fnstcw %[cwa]\n stmxcsr %[csra]\n fninit\n"
		: [x87a] "=m"(x87_after), [cwa] "=m"(cw_after), [csra] "=m"(csr_after)
		: [csr] "m"(csr), [cw] "m"(cw), [x87] "m"(x87), [b] "r"(before), [a] "r"(after), "r"(c)
		: "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm15", "memory", "rax", "rcx", "rdx",
		  "rsi", "rdi", "r8", "r9", "r10", "r11");
	csr = 0x1f80;
	__asm__ volatile("ldmxcsr %0" ::"m"(csr));
	int same = csr_after == 0x3fa0 && cw_after == cw && x87_after == x87;
	int rows[] = { 0, 3, 7, 15 };
	for (int i = 0; i < 4; i++)
		same = same && !memcmp(before[rows[i]], after[rows[i]], 32);
	return same;
}

/* The causes are naked: they must not touch vector registers themselves. */
static long self_pid, self_tid;
#define SYSCALL3(nr, a, b, c) \
	({ long r; register long r10 __asm__("r10") = 0; __asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory"); r; })
__attribute__((target("general-regs-only"))) static void by_kill(void) { SYSCALL3(SYS_kill, self_pid, SIGUSR1, 0); }
__attribute__((target("general-regs-only"))) static void by_tgkill(void) { SYSCALL3(SYS_tgkill, self_pid, self_tid, SIGUSR1); }
__attribute__((target("general-regs-only"))) static void by_ud2(void) { __asm__ volatile("ud2"); }
__attribute__((target("general-regs-only"))) static void by_getpid(void) { for (int i = 0; i < 1000; i++) SYSCALL3(SYS_getpid, 0, 0, 0); }
__attribute__((target("general-regs-only"))) static void by_getppid_slow(void) { for (int i = 0; i < 1000; i++) SYSCALL3(SYS_getpgid, 0, 0, 0); }
__attribute__((target("general-regs-only"))) static void by_yield(void) { for (int i = 0; i < 1000; i++) SYSCALL3(SYS_sched_yield, 0, 0, 0); }
__attribute__((target("general-regs-only"))) static void by_time(void)
{
	static struct timespec t = { 0, 2000000 };
	SYSCALL3(SYS_nanosleep, &t, 0, 0);
}
static volatile int ticks;
__attribute__((target("general-regs-only"))) static void by_ticks(void)
{
	int until = ticks + 5;
	while (ticks < until)
		SYSCALL3(SYS_getpid, 0, 0, 0);
}
__attribute__((target("general-regs-only"))) static void by_spin(void)
{
	int until = ticks + 5;
	while (ticks < until)
		;
}
__attribute__((target("general-regs-only"))) static void by_fork(void)
{
	long pid = SYSCALL3(SYS_fork, 0, 0, 0);
	if (pid == 0)
		SYSCALL3(SYS_exit, 0, 0, 0);
	SYSCALL3(SYS_wait4, pid, 0, 0);
}

static void on_tick(int sig, siginfo_t *info, void *context) { clobber(0, NULL, NULL); ticks++; }
static void skip_ud2(int sig, siginfo_t *info, void *context) { clobber(0, NULL, NULL); ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2; }

int main(void)
{
	stack_t ss = { .ss_sp = alt, .ss_size = 100 };
	T(sigaltstack(&ss, NULL));
	ss.ss_size = sizeof alt;
	ss.ss_flags = 0x100;
	T(sigaltstack(&ss, NULL));
	ss.ss_flags = 0;
	T(sigaltstack(&ss, NULL));
	T(sigaltstack((void *)8, NULL));
	stack_t now;
	sigaltstack(NULL, &now);
	CHECK(now.ss_sp == alt && now.ss_size == sizeof alt && now.ss_flags == 0);
	handle(SIGUSR1, on_signal, SA_ONSTACK);
	handle(SIGUSR2, on_signal, SA_ONSTACK);
	raise(SIGUSR1);
	V(on_alt);
	deep = 1;
	raise(SIGUSR1);
	V(on_alt);
	handle(SIGUSR1, on_signal, 0);
	raise(SIGUSR1);
	V(on_alt);
	ss.ss_flags = 1 << 31;
	T(sigaltstack(&ss, NULL));
	handle(SIGUSR1, on_signal, SA_ONSTACK);
	raise(SIGUSR1);
	sigaltstack(NULL, &now);
	out("after autodisarm %x\n", now.ss_flags);
	ss.ss_flags = SS_DISABLE;
	T(sigaltstack(&ss, NULL));
	raise(SIGUSR1);
	V(on_alt);
	/* A stack that cannot be written. */
	CHILD("bad stack", {
		ss = (stack_t){ .ss_sp = (void *)0x10000, .ss_size = 65536 };
		sigaltstack(&ss, NULL);
		raise(SIGUSR1);
	});
	CHILD("stack pointer gone", {
		handle(SIGUSR1, on_signal, 0);
		__asm__ volatile("movq %0, %%rdi; movl $10, %%esi; movl $62, %%eax; movl $0x1000, %%esp; syscall" ::"r"((long)getpid()));
	});

	self_pid = getpid();
	self_tid = syscall(SYS_gettid);
	handle(SIGUSR1, clobber, 0);
	handle(SIGILL, skip_ud2, 0);
	handle(SIGALRM, on_tick, SA_RESTART);
	CHECK(state_survives(by_kill));
	CHECK(state_survives(by_tgkill));
	CHECK(state_survives(by_ud2));
	CHECK(state_survives(by_getpid));
	CHECK(state_survives(by_getppid_slow));
	CHECK(state_survives(by_yield));
	CHECK(state_survives(by_time));
	CHECK(state_survives(by_fork));
	struct itimerval it = { { 0, 1000 }, { 0, 1000 } };
	setitimer(ITIMER_REAL, &it, NULL);
	CHECK(state_survives(by_ticks));
	CHECK(state_survives(by_spin));
	int good = 0;
	for (int i = 0; i < 20; i++)
		good += state_survives(by_ticks);
	V(good);
	it = (struct itimerval){ 0 };
	setitimer(ITIMER_REAL, &it, NULL);
	/* What a handler writes into its frame is what comes back. */
	handle(SIGUSR1, edit, 0);
	unsigned xmm = 0;
	long r15 = 0;
	__asm__ volatile("xorps %%xmm3, %%xmm3; movl $0, %%r15d; syscall; movd %%xmm3, %0; movq %%r15, %1"
			 : "=r"(xmm), "=r"(r15)
			 : "a"(SYS_kill), "D"(self_pid), "S"(SIGUSR1)
			 : "rcx", "r11", "xmm3", "r15", "memory");
	out("%x %lx\n", xmm, r15);
	return 0;
}

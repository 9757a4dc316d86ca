/* Signals of the processor's making: siginfo, registers, recovery. bevor-test: user=both flags=-lm */
#include "t.h"
#include <ucontext.h>
#include <fenv.h>

static volatile int got_sig, got_code, skip;
static volatile uintptr_t got_addr, got_rip, got_trap, got_err, got_cr2;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	got_sig = sig;
	got_code = info->si_code;
	got_addr = (uintptr_t)info->si_addr;
	got_rip = uc->uc_mcontext.gregs[REG_RIP];
	got_trap = uc->uc_mcontext.gregs[REG_TRAPNO];
	got_err = uc->uc_mcontext.gregs[REG_ERR];
	got_cr2 = uc->uc_mcontext.gregs[REG_CR2];
	uc->uc_mcontext.gregs[REG_RIP] += skip;
}

static void show(const char *what, uintptr_t addr, int rip_matters)
{
	out("%s: SIG%s code %d trap %ld err %lx addr %s\n", what, sigabbrev_np(got_sig), got_code, (long)got_trap,
	    (long)got_err, got_addr == addr ? "as expected" : got_addr == got_rip ? "rip" : got_addr == 0 ? "0" : "other");
	got_sig = 0;
}

int main(void)
{
	int all[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
	for (int i = 0; i < 5; i++)
		handle(all[i], on_fault, 0);
	skip = 2;
	__asm__ volatile("movl $0x1234, %%eax; movb (%%rax), %%al" ::: "rax");
	show("read", 0x1234, 0);
	__asm__ volatile("movl $0x5678, %%eax; movb %%al, (%%rax)" ::: "rax");
	show("write", 0x5678, 0);
	__asm__ volatile("ud2");
	show("ud2", got_rip, 0);
	skip = 1;
	__asm__ volatile("hlt");
	show("hlt", 0, 0);
	__asm__ volatile("cli");
	show("cli", 0, 0);
	skip = 0;
	__asm__ volatile("int3");
	show("int3", 0, 0);
	skip = 2;
	__asm__ volatile("xorl %%edx, %%edx; movl $1, %%eax; xorl %%ecx, %%ecx; divl %%ecx" ::: "rax", "rcx", "rdx");
	show("div", got_rip, 0);
	__asm__ volatile("int $0x90");
	show("int 0x90", 0, 0);
	__asm__ volatile("movq $0x8000000000000000, %%rax; movb (%%rax), %%al" ::: "rax");
	show("not canonical", 0, 0);
	__asm__ volatile("wrmsr");
	show("wrmsr", 0, 0);
	skip = 3;
	__asm__ volatile("movq %%cr0, %%rax" ::: "rax");
	show("cr0", 0, 0);
	/* Single step by the trap flag. */
	skip = 0;
	__asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq; nop; pushfq; andq $~0x100, (%%rsp); popfq" ::: "cc", "memory");
	out("trap flag: SIG%s code %d\n", sigabbrev_np(got_sig), got_code);
	got_sig = 0;
	/* Floating point. */
	static volatile double zero;
	static volatile double result;
	feenableexcept(FE_DIVBYZERO);
	CHILD("fp division", signal(SIGFPE, SIG_DFL); result = 1.0 / zero);
	fedisableexcept(FE_ALL_EXCEPT);
	/* Alignment check is off, so this is fine. */
	char bytes[16] = { 0 };
	V(*(volatile int *)(bytes + 1));
	/* Executing data. */
	char *data = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	data[0] = 0xc3;
	CHILD("execute data", {
		signal(SIGSEGV, SIG_DFL);
		((void (*)(void))data)();
	});
	/* A fault with the signal blocked or ignored kills. */
	CHILD("blocked", {
		sigset_t set;
		sigfillset(&set);
		sigprocmask(SIG_BLOCK, &set, NULL);
		*(volatile int *)16 = 1;
	});
	CHILD("ignored", signal(SIGSEGV, SIG_IGN); *(volatile int *)16 = 1);
	CHILD("raised while ignored", signal(SIGSEGV, SIG_IGN); raise(SIGSEGV); _exit(3));
	return 0;
}

/* What a system call may change: rax, rcx, r11, and nothing else. */
#include "t.h"

struct regs { long rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, flags, rip; };

/* Loads every register from *in, makes the call, stores them all in *out. */
void raw(const struct regs *in, struct regs *out);
__asm__(
	".globl raw\n raw:\n"
	"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rsi\n"
	"mov %rdi, %rax\n push 120(%rax)\n"
	"mov 8(%rax), %rbx; mov 16(%rax), %rcx; mov 24(%rax), %rdx; mov 32(%rax), %rsi; mov 40(%rax), %rdi\n"
	"mov 48(%rax), %rbp; mov 56(%rax), %r8; mov 64(%rax), %r9; mov 72(%rax), %r10; mov 80(%rax), %r11\n"
	"mov 88(%rax), %r12; mov 96(%rax), %r13; mov 104(%rax), %r14; mov 112(%rax), %r15\n"
	"mov (%rax), %rax\n popfq\n"
	".globl raw_call\n raw_call: syscall\n .globl raw_back\n raw_back:\n"
	"pushfq\n push %rax\n mov 16(%rsp), %rax\n"
	"mov %rbx, 8(%rax); mov %rcx, 16(%rax); mov %rdx, 24(%rax); mov %rsi, 32(%rax); mov %rdi, 40(%rax)\n"
	"mov %rbp, 48(%rax); mov %r8, 56(%rax); mov %r9, 64(%rax); mov %r10, 72(%rax); mov %r11, 80(%rax)\n"
	"mov %r12, 88(%rax); mov %r13, 96(%rax); mov %r14, 104(%rax); mov %r15, 112(%rax)\n"
	"pop %rbx\n mov %rbx, (%rax)\n pop %rbx\n mov %rbx, 120(%rax)\n"
	"pop %rsi; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n push $0x202\n popfq\n cld\n ret\n");
extern char raw_call[], raw_back[];

static void check(const char *what, long nr, long a, long b, long c, long flags)
{
	struct regs in = { nr, 0x1b, 0x1c, c, b, a, 0x1ffff, 0x18, 0x19, 0x1a, 0x111, 0x112, 0x113, 0x114, 0x115, flags };
	for (int round = 0; round < 3; round++) {
		struct regs out_regs;
		raw(&in, &out_regs);
		int kept = in.rbx == out_regs.rbx && in.rdx == out_regs.rdx && in.rsi == out_regs.rsi && in.rdi == out_regs.rdi &&
			   in.rbp == out_regs.rbp && in.r8 == out_regs.r8 && in.r9 == out_regs.r9 && in.r10 == out_regs.r10 &&
			   in.r12 == out_regs.r12 && in.r13 == out_regs.r13 && in.r14 == out_regs.r14 && in.r15 == out_regs.r15;
		out("%s: kept %d rcx %s r11 %lx flags %lx\n", what, kept, out_regs.rcx == (long)raw_back ? "rip" : "other",
		    out_regs.r11, out_regs.flags);
	}
}

/* A call with data in the red zone, in code of the usual form. */
static int red_zone(long nr)
{
	long ok;
	__asm__ volatile(
		"movabs $0x1122334455667788, %%rbx\n"
		"mov %%rbx, -8(%%rsp); mov %%rbx, -16(%%rsp); mov %%rbx, -64(%%rsp); mov %%rbx, -120(%%rsp); mov %%rbx, -128(%%rsp)\n"
		"mov %1, %%eax\n syscall\n"
		"xor %0, %0\n"
		"cmp %%rbx, -8(%%rsp); jne 1f; cmp %%rbx, -16(%%rsp); jne 1f; cmp %%rbx, -64(%%rsp); jne 1f\n"
		"cmp %%rbx, -120(%%rsp); jne 1f; cmp %%rbx, -128(%%rsp); jne 1f\n mov $1, %0\n 1:\n"
		: "=&r"(ok) : "r"((int)nr) : "rax", "rbx", "rcx", "r11", "memory", "cc", "rdi", "rsi", "rdx", "r10", "r8", "r9");
	return ok;
}

static int forms(void)
{
	long pid = getpid(), a, b, c, d, e;
	/* As glibc writes it. */
	__asm__ volatile("mov $39, %%eax\n syscall\n" : "=a"(a)::"rcx", "r11", "memory");
	/* As a generic wrapper writes it. */
	__asm__ volatile("mov %1, %%rax\n syscall\n cmp $-4095, %%rax\n" : "=a"(b) : "r"(39L) : "rcx", "r11", "memory", "cc");
	/* xor and a short immediate. */
	__asm__ volatile("xor %%eax, %%eax\n mov $39, %%al\n syscall\n" : "=a"(c)::"rcx", "r11", "memory");
	__asm__ volatile("push $39\n pop %%rax\n syscall\n" : "=a"(d)::"rcx", "r11", "memory");
	/* A branch right to the instruction, and one just behind it. */
	__asm__ volatile("mov $39, %%eax\n jmp 2f\n 1: nop\n nop\n nop\n 2: syscall\n 3: test %%rax, %%rax\n js 1b\n" : "=a"(e)::"rcx", "r11", "memory", "cc");
	return (a == pid) + (b == pid) + (c == pid) + (d == pid) + (e == pid);
}

/* One site, entered with different numbers: first by falling in, then by jumping to the syscall itself. */
static long jump_in(long nr, int direct)
{
	long result;
	__asm__ volatile("test %2, %2\n mov %1, %%rax\n jnz 2f\n mov $39, %%eax\n 2: syscall\n mov %%rax, %0\n"
			 : "=r"(result) : "r"(nr), "r"(direct) : "rax", "rcx", "r11", "memory", "cc");
	return result;
}

int main(void)
{
	check("getpid", SYS_getpid, 1, 2, 3, 0x202);
	check("getpid with flags", SYS_getpid, 1, 2, 3, 0xad7);
	check("getpgid", SYS_getpgid, 0, 2, 3, 0x202);
	check("getpgid with flags", SYS_getpgid, 0, 2, 3, 0xad7);
	check("no such call", 10000, 1, 2, 3, 0x202);
	check("negative", -1, 1, 2, 3, 0x202);
	check("high bits", SYS_getpid | 1L << 32, 1, 2, 3, 0x202);
	check("write bad", SYS_write, -1, 0, 1, 0x246);
	check("sched_yield", SYS_sched_yield, 1, 2, 3, 0x202);
	check("fault", SYS_uname, 8, 2, 3, 0x202);
	for (int round = 0; round < 3; round++) {
		V(red_zone(SYS_getpid));
		V(red_zone(SYS_getppid));
		V(red_zone(SYS_sched_yield));
		V(red_zone(SYS_getpgrp));
		V(forms());
		CHECK(jump_in(SYS_getpid, 0) == getpid());
		CHECK(jump_in(SYS_getppid, 1) == getppid());
		CHECK(jump_in(SYS_getppid, 0) == getpid());
		CHECK(jump_in(12345, 1) == -ENOSYS);
	}
	/* Code that is written at run time and made executable, then changed. */
	unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(code, "\xb8\x27\x00\x00\x00\x0f\x05\xc3", 8);
	mprotect(code, 4096, PROT_READ | PROT_EXEC);
	for (int i = 0; i < 4; i++)
		CHECK(((long (*)(void))code)() == getpid());
	out("%02x %02x %02x %02x %02x %02x %02x\n", code[0], code[1], code[2], code[3], code[4], code[5], code[6]);
	mprotect(code, 4096, PROT_READ | PROT_WRITE);
	code[1] = SYS_getppid;
	mprotect(code, 4096, PROT_READ | PROT_EXEC);
	for (int i = 0; i < 4; i++)
		CHECK(((long (*)(void))code)() == getppid());
	/* The text of the program as the program reads it. */
	const unsigned char *text = (const unsigned char *)raw_call;
	out("%02x %02x\n", text[0], text[1]);
	int fd = open("/proc/self/mem", O_RDONLY);
	unsigned char bytes[2] = { 0 };
	pread(fd, bytes, 2, (off_t)(uintptr_t)raw_call);
	out("%02x %02x\n", bytes[0], bytes[1]);
	return 0;
}

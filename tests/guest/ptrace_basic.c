/* ptrace(2): TRACEME, ATTACH, memory and registers, system calls, signals, errors.
 * bevor-test: user=both waits=reloaded */
#include "t.h"
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <stddef.h>

static volatile long word = 0x1122334455667788;
static const char text_page[4096] __attribute__((aligned(4096))) = "read only";

static pid_t tracee;

static void show(const char *what)
{
	int status;
	pid_t got = waitpid(tracee, &status, __WALL);
	if (got != tracee)
		out("%s: waitpid %s\n", what, errname(errno));
	else if (WIFEXITED(status))
		out("%s: exited %d\n", what, WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		out("%s: killed by %d\n", what, WTERMSIG(status));
	else if (WIFSTOPPED(status))
		out("%s: stopped %x event %d\n", what, WSTOPSIG(status), status >> 16);
	else
		out("%s: status %x\n", what, status);
}

static long req(int request, void *addr, void *data)
{
	return ptrace(request, tracee, addr, data);
}

/* Lets it go on. What it prints then comes before what we print next. */
static void go(int request, long signo)
{
	if (ptrace(request, tracee, 0, signo))
		out("going on: %s\n", errname(errno));
}

static void info(const char *what)
{
	siginfo_t si;
	memset(&si, 0, sizeof si);
	if (req(PTRACE_GETSIGINFO, 0, &si))
		out("%s: siginfo %s\n", what, errname(errno));
	else
		out("%s: siginfo signo %d code %x\n", what, si.si_signo, si.si_code);
}

static void memory(void)
{
	errno = 0;
	out("peek %lx\n", req(PTRACE_PEEKDATA, (void *)&word, 0));
	out("poke %ld\n", req(PTRACE_POKEDATA, (void *)&word, (void *)0x99));
	out("peek %lx, ours %lx\n", req(PTRACE_PEEKTEXT, (void *)&word, 0), word);
	out("poke into read-only %ld\n", req(PTRACE_POKETEXT, (void *)text_page, (void *)0x4142434445464748));
	out("peek %lx, ours %.9s\n", req(PTRACE_PEEKTEXT, (void *)text_page, 0), text_page);
	errno = 0;
	T(req(PTRACE_PEEKDATA, (void *)8, 0));
	T(req(PTRACE_POKEDATA, (void *)8, 0));
	T(syscall(SYS_ptrace, PTRACE_PEEKDATA, tracee, &word, 8));
	errno = 0;
	T(req(PTRACE_PEEKUSER, (void *)4, 0));
	errno = 0;
	T(req(PTRACE_PEEKUSER, (void *)100000, 0));
	T(req(PTRACE_POKEUSER, (void *)3, 0));
}

static void registers(void)
{
	struct user_regs_struct regs, again;
	out("getregs %ld\n", req(PTRACE_GETREGS, 0, &regs));
	out("orig_rax %lld rax %lld cs %llx ss %llx rdi %lld\n", regs.orig_rax, regs.rax, regs.cs, regs.ss, regs.rdi);
	out("rcx is rip %d, r11 is flags %d\n", regs.rcx == regs.rip, (regs.r11 & ~0x10100ULL) == (regs.eflags & ~0x10100ULL));
	errno = 0;
	long rip = req(PTRACE_PEEKUSER, (void *)offsetof(struct user_regs_struct, rip), 0);
	out("peekuser rip %d\n", rip == (long)regs.rip);
	long code = req(PTRACE_PEEKTEXT, (void *)(regs.rip - 2), 0);
	out("before rip: %lx\n", code & 0xffff);
	struct iovec iov = {&again, sizeof again};
	T(req(PTRACE_GETREGSET, (void *)NT_PRSTATUS, &iov));
	out("len %zu same %d\n", iov.iov_len, !memcmp(&regs, &again, sizeof regs));
	iov.iov_len = 17;
	T(req(PTRACE_GETREGSET, (void *)NT_PRSTATUS, &iov));
	iov.iov_len = 16;
	T(req(PTRACE_GETREGSET, (void *)NT_PRSTATUS, &iov));
	out("len %zu\n", iov.iov_len);
	T(req(PTRACE_GETREGSET, (void *)12345, &iov));
	regs.cs = 0;
	T(req(PTRACE_SETREGS, 0, &regs));
	regs.cs = again.cs;
	regs.fs_base = ~0ULL;
	T(req(PTRACE_SETREGS, 0, &regs));
	T(req(PTRACE_SETREGS, 0, &again));
	T(req(PTRACE_SETREGS, 0, (void *)8));
	struct user_fpregs_struct fp, fp2;
	T(req(PTRACE_GETFPREGS, 0, &fp));
	out("mxcsr %x cwd %x\n", fp.mxcsr, fp.cwd);
	fp.xmm_space[60] = 0x1234567;
	T(req(PTRACE_SETFPREGS, 0, &fp));
	T(req(PTRACE_GETFPREGS, 0, &fp2));
	out("xmm15 %x\n", fp2.xmm_space[60]);
	static char xsave[65536];
	iov.iov_base = xsave;
	iov.iov_len = sizeof xsave;
	T(req(PTRACE_GETREGSET, (void *)NT_X86_XSTATE, &iov));
	out("enough %d features %d\n", iov.iov_len >= 576, (xsave[464] & 3) == 3);
	out("xmm15 %x\n", *(unsigned *)(xsave + 160 + 240));
	*(unsigned *)(xsave + 160 + 240) = 0x7654321;
	T(req(PTRACE_SETREGSET, (void *)NT_X86_XSTATE, &iov));
	T(req(PTRACE_GETFPREGS, 0, &fp2));
	out("xmm15 %x\n", fp2.xmm_space[60]);
	iov.iov_len = 64;
	T(req(PTRACE_SETREGSET, (void *)NT_X86_XSTATE, &iov));
}

static void calls(void)
{
	struct user_regs_struct regs;
	struct __ptrace_syscall_info call;
	T(req(PTRACE_SETOPTIONS, 0, (void *)0x8000000));
	T(req(PTRACE_SETOPTIONS, 0, (void *)PTRACE_O_TRACESYSGOOD));
	go(PTRACE_SYSCALL, 0);
	show("entry");
	info("entry");
	unsigned long message = 99;
	T(req(PTRACE_GETEVENTMSG, 0, &message));
	out("message %lu\n", message);
	memset(&call, 0, sizeof call);
	out("syscall info %ld\n", req(PTRACE_GET_SYSCALL_INFO, (void *)sizeof call, &call));
	out("op %d arch %x nr %ld arg %ld\n", call.op, call.arch, call.entry.nr, call.entry.args[0]);
	registers();
	out("tail %ld\n", req(PTRACE_GET_SYSCALL_INFO, (void *)1, &call));
	go(PTRACE_SYSCALL, 0);
	show("exit");
	info("exit");
	out("syscall info %ld\n", req(PTRACE_GET_SYSCALL_INFO, (void *)sizeof call, &call));
	out("op %d value %ld error %d\n", call.op, call.exit.rval, call.exit.is_error);
	/* The next one becomes another call. */
	go(PTRACE_SYSCALL, 0);
	show("entry");
	T(req(PTRACE_GETREGS, 0, &regs));
	out("nr %lld\n", regs.orig_rax);
	regs.orig_rax = SYS_getpid;
	T(req(PTRACE_SETREGS, 0, &regs));
	go(PTRACE_SYSCALL, 0);
	show("exit");
	T(req(PTRACE_GETREGS, 0, &regs));
	out("its pid %d nr %lld\n", (pid_t)regs.rax == tracee, regs.orig_rax);
	/* This one is skipped. */
	go(PTRACE_SYSCALL, 0);
	show("entry");
	T(req(PTRACE_POKEUSER, (void *)offsetof(struct user_regs_struct, orig_rax), (void *)-1L));
	go(PTRACE_SYSCALL, 0);
	show("exit");
	T(req(PTRACE_GETREGS, 0, &regs));
	out("result %lld\n", regs.rax);
	regs.rax = 4321;
	T(req(PTRACE_SETREGS, 0, &regs));
	/* This one returns what we say. */
	go(PTRACE_SYSCALL, 0);
	show("entry");
	go(PTRACE_SYSCALL, 0);
	show("exit");
	T(req(PTRACE_POKEUSER, (void *)offsetof(struct user_regs_struct, rax), (void *)77L));
	go(PTRACE_CONT, 0);
}

static volatile int handled;

static void handler(int sig)
{
	handled += sig;
}

static void child_of_calls(void)
{
	T(ptrace(PTRACE_TRACEME, 0, 0, 0));
	T(ptrace(PTRACE_TRACEME, 0, 0, 0));
	pid_t me = getpid();
	kill(me, SIGSTOP);
	syscall(SYS_dup, 1234567);
	long a = syscall(SYS_dup, 1000001), b = syscall(SYS_dup, 1000002), c = syscall(SYS_dup, 1000003);
	out("child sees %lx %.8s\n", word, text_page);
	out("child: %d %ld %ld\n", a == me, b, c);
	signal(SIGUSR1, handler);
	signal(SIGUSR2, SIG_IGN);
	for (int i = 0; i < 3; i++)
		kill(me, SIGUSR1);
	kill(me, SIGUSR2);
	out("child handled %d\n", handled);
	kill(me, SIGTERM);
	_exit(handled & 0xff);
}

static void all_errors(void)
{
	tracee = getpid();
	T(req(PTRACE_CONT, 0, 0));
	T(req(PTRACE_ATTACH, 0, 0));
	T(req(PTRACE_SEIZE, 0, 0));
	T(ptrace(PTRACE_ATTACH, 0, 0, 0));
	T(ptrace(PTRACE_ATTACH, -5, 0, 0));
	T(ptrace(PTRACE_CONT, 999999, 0, 0));
	pid_t child = fork();
	if (!child) {
		for (;;)
			pause();
	}
	tracee = child;
	T(req(PTRACE_CONT, 0, 0));
	T(req(PTRACE_PEEKDATA, 0, 0));
	T(req(PTRACE_SEIZE, (void *)1, 0));
	T(req(PTRACE_SEIZE, 0, (void *)0x8000000));
	T(req(PTRACE_SEIZE, 0, 0));
	T(req(PTRACE_ATTACH, 0, 0));
	T(req(PTRACE_CONT, 0, 0));
	T(req(PTRACE_LISTEN, 0, 0));
	T(ptrace(12345, child, 0, 0));
	T(req(PTRACE_INTERRUPT, 0, 0));
	show("interrupt");
	info("interrupt");
	T(ptrace(12345, child, 0, 0));
	T(req(PTRACE_CONT, 0, (void *)65));
	T(req(PTRACE_DETACH, 0, (void *)-1));
	T(req(PTRACE_GETSIGMASK, (void *)4, &child));
	T(req(PTRACE_KILL, 0, 0));
	show("kill");
	T(req(PTRACE_KILL, 0, 0));
}

int main(void)
{
	all_errors();
	tracee = fork();
	if (tracee == 0)
		child_of_calls();
	show("start");
	info("start");
	memory();
	calls();
	/* Three SIGUSR1: as it is, suppressed, replaced by SIGUSR2, which is ignored. */
	show("signal");
	info("signal");
	go(PTRACE_CONT, SIGUSR1);
	show("signal");
	go(PTRACE_CONT, 0);
	show("signal");
	go(PTRACE_CONT, SIGUSR2);
	show("ignored");
	go(PTRACE_CONT, SIGUSR1);
	show("term");
	siginfo_t si;
	T(req(PTRACE_GETSIGINFO, 0, &si));
	si.si_code = -77;
	T(req(PTRACE_SETSIGINFO, 0, &si));
	info("changed");
	go(PTRACE_CONT, 0);
	show("end");
	T(req(PTRACE_CONT, 0, 0));
	return 0;
}

/* Stops of tracees: events of fork, vfork, clone, exec and exit, group stops, SEIZE, INTERRUPT and LISTEN,
 * single steps, threads, and the ends of tracers.
 * bevor-test: user=both waits=reloaded */
#include "t.h"
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>

static pid_t tracee;

static void go(int request, pid_t pid, long signo)
{
	if (ptrace(request, pid, 0, signo))
		out("going on: %s\n", errname(errno));
}

/* Waits for one of them; prints what it says, 0 for pid where that may be any. */
static int next(const char *what, pid_t pid)
{
	int status = 0;
	pid_t got = waitpid(pid ? pid : -1, &status, __WALL);
	if (got == -1)
		out("%s: waitpid %s\n", what, errname(errno));
	else if (WIFSTOPPED(status))
		out("%s: %s stopped %d event %d\n", what, got == tracee ? "it" : "other", WSTOPSIG(status), status >> 16);
	else if (WIFEXITED(status))
		out("%s: %s exited %d\n", what, got == tracee ? "it" : "other", WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		out("%s: %s killed by %d\n", what, got == tracee ? "it" : "other", WTERMSIG(status));
	else
		out("%s: %s status %x\n", what, got == tracee ? "it" : "other", status);
	return got;
}

static long message(pid_t pid)
{
	unsigned long message = 0;
	if (ptrace(PTRACE_GETEVENTMSG, pid, 0, &message))
		out("message: %s\n", errname(errno));
	return message;
}

/* A child that stops itself, traced, with these options. */
#define TRACED(options, ...)                                                   \
	do {                                                                   \
		tracee = fork();                                               \
		if (tracee == 0) {                                             \
			ptrace(PTRACE_TRACEME, 0, 0, 0);                       \
			kill(getpid(), SIGSTOP);                               \
			__VA_ARGS__;                                           \
			_exit(0);                                              \
		}                                                              \
		next("start", tracee);                                         \
		T(ptrace(PTRACE_SETOPTIONS, tracee, 0, (options)));            \
	} while (0)

static void follow(const char *what, int clone_flags, int event_option)
{
	out("-- %s\n", what);
	TRACED(event_option | PTRACE_O_TRACEVFORKDONE, {
		pid_t pid = syscall(SYS_clone, clone_flags, 0, 0, 0, 0);
		if (pid == 0)
			syscall(SYS_exit_group, 6);
		int status;
		waitpid(pid, &status, __WALL);
		syscall(SYS_exit_group, WEXITSTATUS(status));
	});
	go(PTRACE_CONT, tracee, 0);
	next("event", tracee);
	pid_t child = message(tracee);
	next("child", child);
	siginfo_t si;
	T(ptrace(PTRACE_GETSIGINFO, child, 0, &si));
	out("signo %d code %d\n", si.si_signo, si.si_code);
	go(PTRACE_CONT, child, 0);
	if (clone_flags & CLONE_VFORK) {
		go(PTRACE_CONT, tracee, 0);
		next("child", child);
		next("vfork done", tracee);
		out("the child %d\n", message(tracee) == child);
		go(PTRACE_CONT, tracee, 0);
	} else {
		next("child", child);
		go(PTRACE_CONT, tracee, 0);
	}
	/* The end of the child makes SIGCHLD, if it sends that. */
	if ((clone_flags & 0xff) == SIGCHLD) {
		next("SIGCHLD", tracee);
		go(PTRACE_CONT, tracee, 0);
	}
	next("end", tracee);
}

static void exec_and_exit(char *self)
{
	out("-- exec and exit\n");
	TRACED(PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT, execl(self, self, "7", NULL));
	go(PTRACE_CONT, tracee, 0);
	next("exec", tracee);
	out("the same %d\n", message(tracee) == tracee);
	go(PTRACE_CONT, tracee, 0);
	next("exit", tracee);
	out("message %lx\n", message(tracee));
	struct user_regs_struct regs;
	T(ptrace(PTRACE_GETREGS, tracee, 0, &regs));
	out("in exit_group %d\n", regs.orig_rax == SYS_exit_group);
	go(PTRACE_CONT, tracee, 0);
	next("end", tracee);

	TRACED(0, execl(self, self, "8", NULL));
	go(PTRACE_CONT, tracee, 0);
	next("trap after exec", tracee);
	siginfo_t si;
	T(ptrace(PTRACE_GETSIGINFO, tracee, 0, &si));
	out("code %d from itself %d\n", si.si_code, si.si_pid == tracee);
	go(PTRACE_CONT, tracee, 0);
	next("end", tracee);

	TRACED(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC, execl(self, self, "9", NULL));
	go(PTRACE_SYSCALL, tracee, 0);
	next("entry", tracee);
	go(PTRACE_SYSCALL, tracee, 0);
	next("exec", tracee);
	go(PTRACE_SYSCALL, tracee, 0);
	next("exit", tracee);
	T(ptrace(PTRACE_GETREGS, tracee, 0, &regs));
	out("nr %lld rax %lld\n", regs.orig_rax, regs.rax);
	go(PTRACE_CONT, tracee, 0);
	next("end", tracee);

	TRACED(PTRACE_O_TRACEEXIT, pause());
	go(PTRACE_CONT, tracee, 0);
	kill(tracee, SIGTERM);
	next("signal", tracee);
	go(PTRACE_CONT, tracee, SIGTERM);
	next("exit", tracee);
	out("message %lx\n", message(tracee));
	go(PTRACE_CONT, tracee, 0);
	next("end", tracee);
}

static void group_stops(void)
{
	out("-- group stops\n");
	siginfo_t si;
	TRACED(0, for (;;) pause());
	go(PTRACE_CONT, tracee, SIGSTOP);
	next("group stop", tracee);
	T(ptrace(PTRACE_GETSIGINFO, tracee, 0, &si));
	T(ptrace(PTRACE_LISTEN, tracee, 0, 0));
	go(PTRACE_CONT, tracee, 0);
	wait_state(tracee, tracee, 'S');
	kill(tracee, SIGCONT);
	next("SIGCONT", tracee);
	T(ptrace(PTRACE_DETACH, tracee, 0, 0));
	kill(tracee, SIGKILL);
	reap("end", tracee);

	out("-- seized\n");
	tracee = fork();
	if (tracee == 0)
		for (;;)
			pause();
	wait_state(tracee, tracee, 'S');
	T(ptrace(PTRACE_SEIZE, tracee, 0, PTRACE_O_TRACESYSGOOD));
	T(ptrace(PTRACE_INTERRUPT, tracee, 0, 0));
	next("interrupt", tracee);
	struct user_regs_struct regs;
	T(ptrace(PTRACE_GETREGS, tracee, 0, &regs));
	out("nr %lld rax %lld\n", regs.orig_rax, regs.rax);
	go(PTRACE_SYSCALL, tracee, 0);
	next("pause again", tracee);
	go(PTRACE_CONT, tracee, 0);
	kill(tracee, SIGSTOP);
	next("SIGSTOP", tracee);
	go(PTRACE_CONT, tracee, SIGSTOP);
	next("group stop", tracee);
	T(ptrace(PTRACE_GETSIGINFO, tracee, 0, &si));
	out("signo %d code %x\n", si.si_signo, si.si_code);
	T(ptrace(PTRACE_LISTEN, tracee, 0, 0));
	T(ptrace(PTRACE_GETSIGINFO, tracee, 0, &si));
	wait_state(tracee, tracee, 't');
	int status;
	T(waitpid(tracee, &status, WNOHANG | __WALL));
	T(ptrace(PTRACE_INTERRUPT, tracee, 0, 0));
	next("interrupt", tracee);
	T(ptrace(PTRACE_LISTEN, tracee, 0, 0));
	kill(tracee, SIGCONT);
	next("continued", tracee);
	go(PTRACE_CONT, tracee, 0);
	next("SIGCONT", tracee);
	go(PTRACE_CONT, tracee, SIGCONT);
	kill(tracee, SIGKILL);
	next("end", tracee);

	out("-- attached to a stopped process\n");
	tracee = fork();
	if (tracee == 0)
		for (;;)
			pause();
	kill(tracee, SIGSTOP);
	T(waitpid(tracee, &status, WUNTRACED) == tracee);
	T(ptrace(PTRACE_ATTACH, tracee, 0, 0));
	next("attached", tracee);
	go(PTRACE_CONT, tracee, 0);
	next("SIGSTOP", tracee);
	T(ptrace(PTRACE_DETACH, tracee, 0, SIGSTOP));
	wait_state(tracee, tracee, 'T');
	kill(tracee, SIGKILL);
	kill(tracee, SIGCONT);
	reap("end", tracee);

	out("-- attached to a sleeper\n");
	tracee = fork();
	if (tracee == 0) {
		struct timespec second = { 0, 300000000 };
		_exit(nanosleep(&second, NULL) ? 1 : 0);
	}
	wait_state(tracee, tracee, 'S');
	T(ptrace(PTRACE_ATTACH, tracee, 0, 0));
	next("attached", tracee);
	T(ptrace(PTRACE_GETREGS, tracee, 0, &regs));
	out("rax %lld\n", regs.rax);
	T(ptrace(PTRACE_DETACH, tracee, 0, 0));
	reap("end", tracee);
}

static void waits(void)
{
	out("-- waitid\n");
	siginfo_t si;
	TRACED(PTRACE_O_TRACESYSGOOD, { syscall(SYS_dup, 1000000); });
	go(PTRACE_SYSCALL, tracee, 0);
	for (int round = 0; round < 2; round++) {
		memset(&si, 0, sizeof si);
		int result = waitid(P_PID, tracee, &si, WEXITED | (round ? 0 : WNOWAIT));
		out("waitid %d signo %d code %d status %x pid %d\n", result, si.si_signo, si.si_code, si.si_status, si.si_pid == tracee);
	}
	memset(&si, 0, sizeof si);
	T(waitid(P_PID, tracee, &si, WSTOPPED | WNOHANG));
	out("signo %d\n", si.si_signo);
	T(waitpid(tracee, NULL, WNOHANG));
	kill(tracee, SIGKILL);
	next("end", tracee);
}

static volatile int traps;
static volatile int trap_code;

static void on_trap(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	traps++;
	trap_code = info->si_code;
	if (traps >= 20)
		uc->uc_mcontext.gregs[REG_EFL] &= ~0x100L;
}

static void steps(void)
{
	out("-- steps\n");
	struct user_regs_struct regs;
	siginfo_t si;
	TRACED(0, {
		handle(SIGUSR1, on_trap, 0);
		__asm__ volatile("int3; nop; nop; mov $39, %%eax; syscall; mov %%rax, %%rbx; nop; int3" ::: "rax", "rbx", "rcx", "r11");
		raise(SIGUSR1);
	});
	go(PTRACE_CONT, tracee, 0);
	next("int3", tracee);
	T(ptrace(PTRACE_GETSIGINFO, tracee, 0, &si));
	out("code %x\n", si.si_code);
	T(ptrace(PTRACE_GETREGS, tracee, 0, &regs));
	long start = regs.rip;
	for (int i = 0; i < 6; i++) {
		go(PTRACE_SINGLESTEP, tracee, 0);
		next("step", tracee);
		T(ptrace(PTRACE_GETREGS, tracee, 0, &regs));
		T(ptrace(PTRACE_GETSIGINFO, tracee, 0, &si));
		out("at %lld code %d trap flag %lld\n", regs.rip - start, si.si_code, regs.eflags & 0x100);
	}
	out("getpid %d\n", regs.rbx == tracee);
	go(PTRACE_CONT, tracee, 0);
	next("int3", tracee);
	go(PTRACE_CONT, tracee, 0);
	next("SIGUSR1", tracee);
	go(PTRACE_SINGLESTEP, tracee, SIGUSR1);
	next("into the handler", tracee);
	T(ptrace(PTRACE_GETREGS, tracee, 0, &regs));
	T(ptrace(PTRACE_GETSIGINFO, tracee, 0, &si));
	out("handler %d code %d\n", regs.rip == (long)on_trap, si.si_code);
	go(PTRACE_CONT, tracee, 0);
	next("end", tracee);

	out("-- the trap flag of one's own\n");
	traps = 0;
	handle(SIGTRAP, on_trap, 0);
	for (int i = 0; i < 20; i++)
		syscall(SYS_dup, -1);
	__asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "cc", "memory");
	long bad = syscall(SYS_dup, -1);
	for (int i = 0; i < 20; i++)
		__asm__ volatile("nop");
	out("traps %d code %d\n", traps, trap_code);
}

static void emulated(void)
{
	out("-- SYSEMU\n");
	struct user_regs_struct regs;
	TRACED(PTRACE_O_TRACESYSGOOD, {
		long got = syscall(SYS_dup, 1000000);
		syscall(SYS_exit_group, got);
	});
	go(PTRACE_SYSEMU, tracee, 0);
	next("call", tracee);
	T(ptrace(PTRACE_GETREGS, tracee, 0, &regs));
	out("nr %lld rax %lld\n", regs.orig_rax, regs.rax);
	regs.rax = 33;
	T(ptrace(PTRACE_SETREGS, tracee, 0, &regs));
	go(PTRACE_SYSEMU, tracee, 0);
	next("call", tracee);
	T(ptrace(PTRACE_GETREGS, tracee, 0, &regs));
	out("nr %lld rdi %lld\n", regs.orig_rax, regs.rdi);
	regs.orig_rax = SYS_getpid;
	kill(tracee, SIGKILL);
	next("end", tracee);
}

static void tracer_ends(int options)
{
	out("-- the tracer ends\n");
	int fds[2];
	MUST(pipe(fds));
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t tracer = fork();
	if (tracer == 0) {
		tracee = fork();
		if (tracee == 0)
			for (;;)
				pause();
		ptrace(PTRACE_SEIZE, tracee, 0, options);
		ptrace(PTRACE_INTERRUPT, tracee, 0, 0);
		waitpid(tracee, NULL, __WALL);
		write(fds[1], &tracee, sizeof tracee);
		_exit(0);
	}
	read(fds[0], &tracee, sizeof tracee);
	reap("tracer", tracer);
	if (!options) {
		wait_state(tracee, tracee, 'S');
		kill(tracee, SIGTERM);
	}
	reap("tracee", tracee);
	close(fds[0]);
	close(fds[1]);
}

/* Tracing what is somebody else's child: its parent waits until the tracer has. */
static void stranger(void)
{
	out("-- another's child\n");
	int fds[2], back[2];
	MUST(pipe(fds));
	MUST(pipe(back));
	pid_t child = fork();
	if (child == 0)
		for (;;)
			pause();
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	pid_t tracer = fork();
	if (tracer == 0) {
		tracee = child;
		T(ptrace(PTRACE_ATTACH, child, 0, 0));
		next("attached", child);
		write(fds[1], "a", 1);
		go(PTRACE_CONT, child, 0);
		next("signal", child);
		go(PTRACE_CONT, child, SIGTERM);
		siginfo_t si;
		T(waitid(P_PID, child, &si, WEXITED | WNOWAIT));
		out("tracer sees %d %d\n", si.si_code, si.si_status);
		write(fds[1], "b", 1);
		char c;
		read(back[0], &c, 1);
		next("end", child);
		_exit(0);
	}
	char c;
	read(fds[0], &c, 1);
	kill(child, SIGTERM);
	read(fds[0], &c, 1);
	int status;
	out("not yet: %d\n", waitpid(child, &status, WNOHANG));
	write(back[1], "c", 1);
	reap("tracer", tracer);
	reap("child", child);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		_exit(atoi(argv[1]));
	follow("fork", SIGCHLD, PTRACE_O_TRACEFORK);
	follow("vfork", CLONE_VFORK | SIGCHLD, PTRACE_O_TRACEVFORK);
	follow("clone", 0, PTRACE_O_TRACECLONE);
	exec_and_exit(argv[0]);
	group_stops();
	waits();
	steps();
	emulated();
	tracer_ends(0);
	tracer_ends(PTRACE_O_EXITKILL);
	stranger();
	return 0;
}

/* Filters that ask the tracer: PTRACE_EVENT_SECCOMP, what it may change, PTRACE_O_SUSPEND_SECCOMP.
 * bevor-test: user=root */
#include "t.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>

static pid_t tracee;

static void go(int request)
{
	if (ptrace(request, tracee, 0, 0))
		out("going on: %s\n", errname(errno));
}

static void next(const char *what)
{
	int status = 0;
	waitpid(tracee, &status, __WALL);
	if (WIFSTOPPED(status))
		out("%s: stopped %d event %d\n", what, WSTOPSIG(status), status >> 16);
	else
		out_status(what, status);
}

/* dup: the tracer, with 42; dup2: EBADMSG. */
static void filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_dup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 42),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_dup2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EBADMSG),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		out("filter: %s\n", errname(errno));
}

static void calls(void)
{
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	kill(getpid(), SIGSTOP);
	filter();
	long results[5];
	for (int i = 0; i < 4; i++)
		results[i] = syscall(SYS_dup, 1000000 + i) == -1 ? -errno : 0;
	results[4] = syscall(SYS_dup2, 1000000, 3) == -1 ? -errno : 0;
	for (int i = 0; i < 5; i++)
		out("%d: %s\n", i, errname(-results[i]));
	_exit(0);
}

int main(void)
{
	struct user_regs_struct regs;
	unsigned long message = 0;
	tracee = fork();
	if (!tracee)
		calls();
	next("start");
	T(ptrace(PTRACE_SETOPTIONS, tracee, 0, PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD));
	go(PTRACE_CONT);
	for (int i = 0; i < 4; i++) {
		next("filter");
		T(ptrace(PTRACE_GETEVENTMSG, tracee, 0, &message));
		T(ptrace(PTRACE_GETREGS, tracee, 0, &regs));
		out("message %lu nr %lld arg %lld rax %lld\n", message, regs.orig_rax, regs.rdi, regs.rax);
		struct __ptrace_syscall_info info = { 0 };
		T(ptrace(PTRACE_GET_SYSCALL_INFO, tracee, sizeof info, &info));
		out("op %d nr %lu arg %lu data %u\n", info.op, (long)info.seccomp.nr, (long)info.seccomp.args[0], info.seccomp.ret_data);
		if (i == 1) {
			/* Skipped, with a result. */
			regs.orig_rax = -1;
			regs.rax = -EXDEV;
			ptrace(PTRACE_SETREGS, tracee, 0, &regs);
		} else if (i == 2) {
			/* Another call, which the filter refuses. */
			regs.orig_rax = SYS_dup2;
			ptrace(PTRACE_SETREGS, tracee, 0, &regs);
		}
		if (i == 3) {
			go(PTRACE_SYSCALL);
			next("exit");
		}
		go(PTRACE_CONT);
	}
	next("end");

	out("-- nobody asked\n");
	tracee = fork();
	if (!tracee)
		calls();
	next("start");
	go(PTRACE_CONT);
	next("end");

	out("-- suspended\n");
	tracee = fork();
	if (!tracee)
		calls();
	next("start");
	T(ptrace(PTRACE_SETOPTIONS, tracee, 0, PTRACE_O_SUSPEND_SECCOMP | PTRACE_O_TRACESECCOMP));
	go(PTRACE_CONT);
	next("end");
	return 0;
}

/* seccomp(2): programs that are taken and refused, every action, precedence, arguments, the place of the
 * call, inheritance, strict mode. bevor-test: user=both kernel=6.0 */
#include "seccomp.h"
#include <sys/utsname.h>

static long try_code(struct sock_filter *code, size_t count)
{
	struct sock_fprog filter = { count, code };
	return install(&filter, 0);
}

#define TRY(...)                                                               \
	do {                                                                   \
		struct sock_filter code[] = { __VA_ARGS__ };                   \
		errno = 0;                                                     \
		long got = try_code(code, sizeof code / sizeof *code);         \
		out("%s: %s\n", #__VA_ARGS__, got ? errname(errno) : "ok");    \
	} while (0)

static void programs(void)
{
	struct sock_filter load = LOAD(nr);
	TRY(load);
	TRY(ALLOW, load);
	TRY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), ALLOW);
	TRY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 60), ALLOW);
	TRY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), ALLOW);
	TRY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, -4096), ALLOW);
	TRY(BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0), ALLOW);
	TRY(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), ALLOW);
	TRY(BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0), ALLOW);
	TRY(BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), ALLOW);
	TRY(BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), ALLOW);
	TRY(BPF_STMT(BPF_LDX | BPF_W | BPF_LEN, 0), ALLOW);
	TRY(BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), ALLOW);
	TRY(BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 2), ALLOW);
	TRY(BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 2), ALLOW);
	TRY(BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 31), ALLOW);
	TRY(BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), ALLOW);
	TRY(BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 32), ALLOW);
	TRY(BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0), ALLOW);
	TRY(BPF_STMT(BPF_ALU | BPF_NEG, 0), ALLOW);
	TRY(BPF_STMT(BPF_JMP | BPF_JA, 1), ALLOW);
	TRY(BPF_STMT(BPF_JMP | BPF_JA, 0), ALLOW);
	TRY(BPF_STMT(BPF_JMP | BPF_JA, -1), ALLOW);
	TRY(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), ALLOW);
	TRY(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_X, 0, 0, 1), ALLOW);
	TRY(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_X, 0, 0, 1), ALLOW, ALLOW);
	TRY(BPF_STMT(BPF_ST, 16), ALLOW);
	TRY(BPF_STMT(BPF_LD | BPF_MEM, 3), ALLOW);
	TRY(BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LDX | BPF_MEM, 3), ALLOW);
	TRY(BPF_STMT(BPF_STX, 15), BPF_STMT(BPF_LD | BPF_MEM, 15), ALLOW);
	TRY(BPF_STMT(BPF_MISC | BPF_TXA, 0), BPF_STMT(BPF_MISC | BPF_TAX, 0), ALLOW);
	TRY(BPF_STMT(BPF_MISC | 0x40, 0), ALLOW);
	TRY(BPF_STMT(0x1234, 0), ALLOW);
	TRY(BPF_STMT(BPF_RET | BPF_X, 0));
}

static void refusals(void)
{
	FILTER(good, ALLOW);
	struct sock_fprog empty = { 0, good_code }, none = { 1, NULL }, bad = { 1, (void *)8 };
	struct sock_fprog wild = { 1, (void *)~0UL }, large = { 4097, good_code };
	if (geteuid()) {
		T(install(&good, 0));
		T(install(&empty, 0));
		T(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &good));
	}
	no_new_privs();
	T(seccomp(99, 0, NULL));
	T(seccomp(SECCOMP_SET_MODE_STRICT, 1, NULL));
	T(seccomp(SECCOMP_SET_MODE_STRICT, 0, &good));
	T(install(&good, 0x40));
	T(install(&good, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_NEW_LISTENER));
	T(install(&good, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV));
	T(install(NULL, 0));
	T(install((void *)8, 0));
	T(install(&empty, 0));
	T(install(&large, 0));
	T(install(&none, 0));
	T(install(&bad, 0));
	T(install(&wild, 0));
	T(prctl(PR_SET_SECCOMP, 0, &good));
	T(prctl(PR_SET_SECCOMP, 3, &good));
	T(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL));

	unsigned actions[] = {
		SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO,
		SECCOMP_RET_USER_NOTIF, SECCOMP_RET_TRACE, SECCOMP_RET_LOG, SECCOMP_RET_ALLOW, 1, 0x10000,
	};
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
		long got = seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &actions[i]);
		out("action %#x: %s\n", actions[i], got ? errname(errno) : "ok");
	}
	T(seccomp(SECCOMP_GET_ACTION_AVAIL, 1, &actions[0]));
	T(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, (void *)8));
	struct seccomp_notif_sizes sizes;
	T(seccomp(SECCOMP_GET_NOTIF_SIZES, 0, &sizes));
	out("sizes %d %d %d\n", sizes.seccomp_notif, sizes.seccomp_notif_resp, sizes.seccomp_data);
	T(seccomp(SECCOMP_GET_NOTIF_SIZES, 1, &sizes));
	T(seccomp(SECCOMP_GET_NOTIF_SIZES, 0, (void *)8));
	CHILD("programs", programs());
}

/* How much fits into one task, in large pieces. */
static void limit(void)
{
	static struct sock_filter code[4096];
	struct {
		const char *what;
		struct sock_filter insn;
	} kinds[] = {
		{ "loads", LOAD(nr) },
		{ "branches forward", BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 5, 0, 0) },
		{ "large constants", BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 0x80000000, 0, 0) },
		{ "branches both ways", BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 5, 1, 1) },
		{ "branches if", BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 5, 0, 1) },
		{ "bits if", BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 5, 0, 1) },
		{ "divisions", BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0) },
		{ "returns", RETURN(SECCOMP_RET_ALLOW) },
		{ "returns of A", BPF_STMT(BPF_RET | BPF_A, 0) },
	};
	struct sock_filter last = ALLOW;
	for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
		for (int i = 0; i < 4096; i++)
			code[i] = i > 0 && i < 4094 ? kinds[kind].insn : last;
		CHILD(kinds[kind].what, {
			struct sock_fprog filter = { 4096, code };
			int large = 0, error;
			while (!install(&filter, 0))
				large++;
			error = errno;
			/* What is left, to the instruction. */
			int low = 1, high = 4096;
			while (low < high) {
				int middle = (low + high + 1) / 2;
				pid_t pid = fork();
				if (pid == 0) {
					code[4096 - middle] = last;
					filter.len = middle;
					filter.filter = code + 4096 - middle;
					_exit(install(&filter, 0) != 0);
				}
				int status;
				waitpid(pid, &status, 0);
				if (status)
					high = middle - 1;
				else
					low = middle;
			}
			out("%s: %d and %d, then %s\n", kinds[kind].what, large, low, errname(error));
		});
	}
}

extern char call_here[], after_call[];
/* A call whose place is known. */
static __attribute__((noinline, noclone)) long other_place(long nr)
{
	long result;
	__asm__ volatile(".globl call_here\n"
			 "call_here: syscall\n"
			 ".globl after_call\n"
			 "after_call: cmp $-4095, %%rax"
			 : "=a"(result)
			 : "a"(nr)
			 : "rcx", "r11", "memory");
	return result;
}

static volatile int handled;
static siginfo_t seen;
static long seen_rax, seen_rip_is_call;

static void on_sys(int number, siginfo_t *info, void *context)
{
	ucontext_t *frame = context;
	handled++;
	seen = *info;
	seen_rax = frame->uc_mcontext.gregs[REG_RAX];
	seen_rip_is_call = (char *)info->si_call_addr == after_call &&
			   (char *)frame->uc_mcontext.gregs[REG_RIP] == after_call;
	frame->uc_mcontext.gregs[REG_RAX] = 4711;
}

static void on_trap(int number, siginfo_t *info, void *context)
{
	handled++;
}

static void *sleeper(void *arg)
{
	pause();
	return NULL;
}

static void *forbidden(void *arg)
{
	getppid();
	out("BAD: still alive\n");
	return NULL;
}

static void actions(void)
{
	FOR_NR(errno_one, SYS_getppid, SECCOMP_RET_ERRNO | 1);
	FOR_NR(errno_zero, SYS_getppid, SECCOMP_RET_ERRNO);
	FOR_NR(errno_4095, SYS_getppid, SECCOMP_RET_ERRNO | 4095);
	FOR_NR(errno_large, SYS_getppid, SECCOMP_RET_ERRNO | 0xffff);
	FOR_NR(trap, SYS_getppid, SECCOMP_RET_TRAP | 77);
	FOR_NR(trace, SYS_getppid, SECCOMP_RET_TRACE | 7);
	FOR_NR(log, SYS_getppid, SECCOMP_RET_LOG);
	FOR_NR(notif, SYS_getppid, SECCOMP_RET_USER_NOTIF);
	FOR_NR(thread, SYS_getppid, SECCOMP_RET_KILL_THREAD);
	FOR_NR(process, SYS_getppid, SECCOMP_RET_KILL_PROCESS);
	FOR_NR(unknown, SYS_getppid, 0x12340000);
	FOR_NR(no_such, 9999, SECCOMP_RET_ERRNO | 5);
	FOR_NR(minus_one, -1, SECCOMP_RET_ERRNO | 6);
	FOR_NR(x32, 0x40000027, SECCOMP_RET_ERRNO | 7);

	CHILD("errno 1", T(install(&errno_one, 0)); T(syscall(SYS_getppid)));
	CHILD("errno 0", T(install(&errno_zero, 0)); T(syscall(SYS_getppid)));
	CHILD("errno 4095", T(install(&errno_4095, 0)); T(syscall(SYS_getppid)); V(errno));
	CHILD("errno too large", T(install(&errno_large, 0)); T(syscall(SYS_getppid)); V(errno));
	CHILD("trap, default", T(install(&trap, 0)); getppid());
	CHILD("trap, ignored", signal(SIGSYS, SIG_IGN); T(install(&trap, 0)); getppid());
	CHILD("trap, handled", {
		handle(SIGSYS, on_sys, 0);
		T(install(&trap, 0));
		for (int i = 0; i < 200; i++)
			if (other_place(SYS_getppid) != 4711)
				out("BAD: not what the handler said\n");
		V(handled);
		V(seen.si_code);
		V(seen.si_errno);
		V(seen.si_syscall == SYS_getppid);
		V(seen.si_arch == AUDIT_ARCH_X86_64);
		V(seen_rax == SYS_getppid);
		V(seen_rip_is_call);
	});
	CHILD("trap, blocked", {
		handle(SIGSYS, on_sys, 0);
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGSYS);
		sigprocmask(SIG_BLOCK, &set, NULL);
		T(install(&trap, 0));
		getppid();
	});
	CHILD("trace without tracer", T(install(&trace, 0)); T(syscall(SYS_getppid)));
	CHILD("log", T(install(&log, SECCOMP_FILTER_FLAG_LOG)); V(syscall(SYS_getppid) > 0));
	CHILD("nobody listens", T(install(&notif, 0)); T(syscall(SYS_getppid)));
	CHILD("kill thread, alone", T(install(&thread, 0)); getppid());
	CHILD("kill thread, handled", handle(SIGSYS, on_sys, 0); T(install(&thread, 0)); getppid());
	CHILD("kill process", T(install(&process, 0)); getppid());
	CHILD("unknown action", T(install(&unknown, 0)); getppid());
	CHILD("kill process, two threads", {
		pthread_t other;
		pthread_create(&other, NULL, sleeper, NULL);
		T(install(&process, 0));
		getppid();
	});
	CHILD("kill one of two threads", {
		T(install(&thread, SECCOMP_FILTER_FLAG_TSYNC));
		pthread_t other;
		pthread_create(&other, NULL, forbidden, NULL);
		T(pthread_join(other, NULL));
		out("the first goes on\n");
	});
	CHILD("numbers that are none", {
		T(install(&no_such, 0));
		T(install(&minus_one, 0));
		T(syscall(9999));
		T(syscall(9998));
		T(syscall(-1));
	});
	CHILD("x32", T(install(&x32, 0)); T(syscall(0x40000027)); T(syscall(0x40000028)));
}

static void precedence(void)
{
	static const unsigned order[] = {
		SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO | 3,
		SECCOMP_RET_USER_NOTIF, SECCOMP_RET_TRACE, SECCOMP_RET_LOG, SECCOMP_RET_ALLOW,
	};
	/* Neighbours in both orders. */
	for (int i = 2; i < 7; i++)
		for (int swap = 0; swap < 2; swap++) {
			FOR_NR(first, SYS_getppid, order[i + swap]);
			FOR_NR(second, SYS_getppid, order[i + 1 - swap]);
			CHILD("two filters", {
				handle(SIGSYS, on_sys, 0);
				install(&first, 0);
				install(&second, 0);
				long got = syscall(SYS_getppid);
				out("%d %d: %ld %s\n", i, swap, got > 1 && got != 4711 ? 1 : got,
				    got == -1 ? errname(errno) : "");
			});
		}
	/* Of equal actions the last one's data counts. */
	CHILD("same action", {
		FOR_NR(first, SYS_getppid, SECCOMP_RET_ERRNO | 10);
		FOR_NR(second, SYS_getppid, SECCOMP_RET_ERRNO | 9);
		install(&first, 0);
		install(&second, 0);
		T(syscall(SYS_getppid));
		out_seccomp_status("two");
	});
}

static void what_is_seen(void)
{
	CHILD("arguments", {
		/* dup2(low half of 1, any) only; the high half counts, too. */
		FILTER(arguments, LOAD(nr), IF_NOT(SYS_lseek, 7), LOAD_AT(24), IF_NOT(0x11111111, 4),
		       LOAD_AT(28), IF_NOT(0x22222222, 2), RETURN(SECCOMP_RET_ERRNO | 42), ALLOW, ALLOW,
		       ALLOW);
		T(install(&arguments, 0));
		for (int i = 0; i < 50; i++)
			if (lseek(-1, 0x2222222211111111, 0) != -1 || errno != 42)
				out("BAD: %d\n", errno);
		T(lseek(-1, 0x2222222211111111, 0));
		T(lseek(-1, 0x2222222311111111, 0));
		T(lseek(-1, 0x2222222211111112, 0));
	});
	CHILD("all six", {
		FILTER(six, LOAD(nr), IF_NOT(9999, 8), LOAD_AT(16), BPF_STMT(BPF_MISC | BPF_TAX, 0),
		       LOAD_AT(24), BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0), BPF_STMT(BPF_MISC | BPF_TAX, 0),
		       LOAD_AT(56), BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
		       BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0), ALLOW,
		       BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfff),
		       BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO), BPF_STMT(BPF_RET | BPF_A, 0));
		T(install(&six, 0));
		T(syscall(9999, 1, 2, 0, 0, 0, 30));
		V(errno);
	});
	CHILD("the place of the call", {
		unsigned long place = (unsigned long)after_call;
		FILTER(elsewhere, LOAD(nr), IF_NOT(SYS_getppid, 5), LOAD_AT(8), IF_NOT((unsigned)place, 3),
		       LOAD_AT(12), IF_NOT((unsigned)(place >> 32), 1), RETURN(SECCOMP_RET_ERRNO | 11), ALLOW);
		T(install(&elsewhere, 0));
		for (int i = 0; i < 200; i++)
			if (other_place(SYS_getppid) != -11)
				out("BAD: seen at another place\n");
		V(syscall(SYS_getppid) > 0);
	});
	CHILD("architecture", {
		FILTER(arch, LOAD(arch), IF_NOT(AUDIT_ARCH_X86_64, 3), LOAD(nr), IF_NOT(SYS_getppid, 1),
		       RETURN(SECCOMP_RET_ERRNO | 12), ALLOW);
		T(install(&arch, 0));
		T(syscall(SYS_getppid));
	});
	/* Division by zero ends with 0: the thread is killed. */
	CHILD("division by zero", {
		FILTER(zero, LOAD(nr), IF_NOT(SYS_getppid, 2), BPF_STMT(BPF_LDX | BPF_IMM, 0),
		       BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), ALLOW);
		T(install(&zero, 0));
		getppid();
	});
}

/* Calls that are answered without the kernel where there is no filter. */
static void often_asked(void)
{
	static const int numbers[] = {
		SYS_getpid, SYS_gettid, SYS_getppid, SYS_getpgrp, SYS_getuid, SYS_geteuid, SYS_getgid,
		SYS_getegid, SYS_sched_yield, SYS_uname, SYS_getcpu, SYS_getresuid, SYS_getresgid, SYS_getsid,
		SYS_getpgid,
	};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		CHILD("often asked", {
			FOR_NR(filter, numbers[i], SECCOMP_RET_ERRNO | 99);
			struct utsname u;
			int ids[3];
			void *at = numbers[i] == SYS_uname ? (void *)&u : (void *)ids;
			long zero = numbers[i] == SYS_getsid || numbers[i] == SYS_getpgid;
			/* Until its place is known. */
			for (int round = 0; round < 100; round++)
				syscall(numbers[i], zero ? 0 : at, ids + 1, ids + 2);
			install(&filter, 0);
			int bad = 0;
			for (int round = 0; round < 100; round++)
				bad += syscall(numbers[i], zero ? 0 : at, ids + 1, ids + 2) != -1 ||
				       errno != 99;
			out("%d: %d passed the filter\n", numbers[i], bad);
		});
}

static void inheritance(char *self)
{
	FOR_NR(filter, SYS_getppid, SECCOMP_RET_ERRNO | 13);
	out_seccomp_status("before");
	T(prctl(PR_GET_SECCOMP));
	CHILD("by fork and exec", {
		T(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
		out_seccomp_status("with filter");
		T(prctl(PR_GET_SECCOMP));
		CHILD("grandchild", {
			T(syscall(SYS_getppid));
			T(install(&filter, 0));
			out_seccomp_status("grandchild");
			execl(self, self, "executed", NULL);
		});
		pid_t pid = vfork();
		if (pid == 0) {
			execl(self, self, "executed", NULL);
			_exit(1);
		}
		reap("vfork", pid);
		out_seccomp_status("still");
		T(seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL));
		T(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
	});
	out_seccomp_status("after");
}

static void strict(void)
{
	CHILD("strict, leaves", {
		T(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
		out("writes\n");
		syscall(SYS_exit, 7);
	});
	CHILD("strict twice", {
		T(seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL));
		out("writes\n");
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	});
	CHILD("strict, getpid", T(seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL)); syscall(SYS_getpid));
	CHILD("strict, sched_yield", {
		for (int i = 0; i < 100; i++)
			sched_yield();
		T(seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL));
		sched_yield();
	});
	CHILD("strict, exit_group", T(seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL)); _exit(3));
	CHILD("strict, handler of an exception", {
		handle(SIGTRAP, on_trap, 0);
		T(seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL));
		__asm__ volatile("int3");
		out("behind it\n");
		syscall(SYS_exit, handled);
	});
}

static void settings(void)
{
	char text[128] = "";
	int fd = MUST(open("/proc/sys/kernel/seccomp/actions_avail", O_RDONLY | O_CLOEXEC));
	read(fd, text, sizeof text - 1);
	close(fd);
	out("%s", text);
	fd = MUST(open("/proc/sys/kernel/seccomp/actions_logged", O_RDONLY | O_CLOEXEC));
	V(read(fd, text, sizeof text) > 0);
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		T(syscall(SYS_getppid));
		out_seccomp_status("executed");
		return 0;
	}
	no_core();
	settings();
	refusals();
	limit();
	actions();
	precedence();
	what_is_seen();
	often_asked();
	inheritance("/proc/self/exe");
	strict();
	return 0;
}

/*
 * bevor-test: flags=-static
 * Random system calls with random arguments, by guests that die often and are started again.
 *
 *   guest SEED GENERATIONS FOLDER [FIRST [CALLS]]
 *
 * A generation is a process that makes files, memory and descriptors of every kind and starts a few workers with
 * a few threads; each executes calls. The first process only starts generations, ends those that take
 * too long, and says how far it is; its last line is `done`. What a worker does is a function of the seed, the generation
 * and the worker alone, but for what others do to it meanwhile.
 *
 * ONLY FOR SANDBOXES. It would do to a machine whatever its user may. It starts only where BEVOR_FUZZ_SANDBOX says so.
 */
#include "objects.h"
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum {
#define KIND(name) K_##name,
#include "kinds.h"
#undef KIND
};

static const struct call {
	int nr, kinds[6];
} calls[] = {
#define FIRST_ARG(...) FIRST_ARG_(__VA_ARGS__, None)
#define CALL(nr, name, ...) { nr, { __VA_ARGS__ } },
#include "calls.h"
#undef CALL
};

enum { WORKERS = 4, LIMIT_MS = 1200, STUCK_MS = 25 };
static word per_worker = 500;
/* Shared by everybody: calls done by each worker, and all of them. */
static struct shared {
	volatile word total, progress[WORKERS];
} *shared;
static __thread sigjmp_buf *back;
static __thread word hint;
static word focus[10], nr_focus;

void restorer(void);
__asm__("restorer: mov $15, %eax\n syscall\n");

void on_signal(int signo, siginfo_t *info, void *context)
{
	word *words = context;
	if (one_in(tame ? 60 : 6))
		for (int n = below(4); n; n--)
			words[below(sizeof(ucontext_t) / 8 + (one_in(3) ? 120 : 0))] = one_in(2) ? address() : number();
	if (back && (signo == SIGSEGV || signo == SIGBUS || signo == SIGILL || signo == SIGFPE || signo == SIGTRAP || signo == SIGSYS))
		siglongjmp(*back, 1);
}

static word value(int kind)
{
	word nr, at = hint;
	hint = 0;
	switch (kind) {
	case K_Fd: return descriptor();
	case K_Path: return path();
	case K_Text: return text();
	case K_Pid: return process();
	case K_Sig: return one_in(8) ? number() : below(66);
	case K_Size: case K_Int: return at && !one_in(6) ? at : one_in(3) ? below(16) : kind == K_Size ? size() : number();
	case K_Flags: return flags();
	case K_Small: return one_in(8) ? number() : below(one_in(3) ? 40 : 16);
	case K_Mode: return one_in(6) ? number() : (one_in(3) ? PICK(S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFDIR) : 0) | below(010000);
	case K_Uid: return PICK(0, 1, 1000, 65534, -1UL, getuid(), number());
	case K_Prot: return one_in(10) ? number() : below(8);
	case K_Long: return one_in(2) ? below(20000) : number();
	case K_Word: return one_in(2) ? address() : one_in(2) ? below(16) : one_in(2) ? descriptor() : number();
	case K_Buffer: return address();
	case K_Bytes: hint = size(); return one_in(4) ? address() : (word)room(256);
	case K_Offset: return one_in(3) ? 0 : address();
	case K_Timespec: return one_in(10) ? address() : seconds();
	case K_Timeval: case K_Itimerspec: case K_Itimerval: return one_in(10) ? address() : intervals();
	case K_Iovec: at = one_in(10) ? address() : vector(&nr); hint = nr; return at;
	case K_Msghdr: if (one_in(10)) return address(); message((void *)(at = (word)room(64))); return at;
	case K_Mmsghdr: {
		struct mmsghdr *m = room(4 * sizeof *m);
		for (int i = 0; i < 4; i++)
			message(&m[i].msg_hdr);
		hint = 1 + below(4);
		return (word)m;
	}
	case K_Sockaddr: at = one_in(12) ? address() : sockaddr(&nr); hint = nr; return at;
	case K_Sigset: hint = 8; return one_in(4) ? address() : (word)room(8);
	case K_Sigaction: hint = 8; return one_in(10) ? address() : action();
	case K_SigeventT: return event();
	case K_CloneArgs: at = clone_args(&nr); hint = nr; return at;
	case K_CloneFlags: return one_in(4) ? flags() : PICK(SIGCHLD, SIGCHLD, CLONE_VM | SIGCHLD, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, CLONE_VM | CLONE_VFORK, CLONE_FILES | CLONE_FS, CLONE_PARENT | SIGCHLD, CLONE_PIDFD, CLONE_NEWNS | 17, CLONE_NEWPID | 17, CLONE_NEWUSER | 17, CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | 17);
	case K_NsFlags: return one_in(3) ? number() : 1UL << PICK(7, 9, 10, 11, 16, 17, 18, 25, 26, 27, 28, 29, 30);
	case K_OpenHow: {
		word *how = room(32);
		how[0] = one_in(3) ? flags() : PICK(0, 1, 2, O_CREAT | 2, O_DIRECTORY, O_PATH, O_TMPFILE | 2);
		how[1] = one_in(3) ? flags() : 0;
		how[2] = below(64);
		hint = PICK(24, 24, 24, 23, 25, 32, 4096);
		return (word)how;
	}
	case K_EpollEvent: case K_PollFd: {
		struct pollfd *p = room(8 * sizeof *p);
		for (int i = 0; i < 8; i++)
			p[i] = (struct pollfd){ descriptor(), any(), any() };
		hint = below(8);
		return (word)p;
	}
	case K_Sembuf: {
		struct sembuf *s = room(4 * 8);
		for (int i = 0; i < 4; i++)
			s[i] = (struct sembuf){ below(4), below(5) - 2, PICK(0, IPC_NOWAIT, SEM_UNDO, IPC_NOWAIT | SEM_UNDO, any()) };
		hint = 1 + below(4);
		return (word)s;
	}
	case K_FutexWaitv: {
		word *w = room(128 * 24);
		hint = one_in(6) ? 128 : 1 + below(4);
		for (word i = 0; i < hint; i++)
			w[3 * i] = below(2), w[3 * i + 1] = address() & -4UL, w[3 * i + 2] = one_in(4) ? flags() : 2;
		return (word)w;
	}
	case K_FutexOp: return one_in(4) ? number() : below(14) | PICK(0, 128, 256, 384);
	case K_IoctlCmd:
		switch (below(8)) {
		case 0: return number();
		case 1: return 0x5400 + below(0x70);
		case 2: return 0x8900 + below(0x100);
		case 3: return PICK(FIONREAD, FIONBIO, FIOASYNC, FIOCLEX, 0x5460, 0x80086601, 0x40086602, 0xc020660b, 0x801c581f, 0x401c5820, 0x40049409, 0x4020940d);
		case 4: return PICK(0xc0502100, 0xc0182101, 0x40082102, 0x40182103, 0x40082104);
		case 5: return 0xb701 + below(12) + PICK(0, 0x80040000, 0x80080000);
		case 6: return PICK(0xff01 + below(16), 0xc048ff0b, 0xc040ff0b, 0x80045430, 0x40045431, 0x5441, 0x80045438, 0x80045439, 0x80045440);
		default: return 0x5400 + below(0x20);
		}
	case K_FcntlCmd: return one_in(3) ? 1024 + below(20) : below(42);
	case K_Prctl: return one_in(8) ? PICK(0x41555856, 0x53564d41, 0x59616d61, number()) : below(80);
	case K_ArchPrctl: return PICK(0x1001, 0x1002, 0x1003, 0x1004, 0x1011, 0x1012, 0x1021, 0x1022, 0x1023, 0x1024, 0x1025, 0x2001, 0x2003, 0x4001, 0x5001, number());
	case K_PtraceRequest: return one_in(2) ? below(34) : one_in(3) ? 0x4200 + below(20) : PICK(16, 0x4206, 7, 24, 1, 4, 12, 13, 14, 15, 0x4207, 0x4208);
	case K_SockLevel: return PICK(1, 1, 0, 6, 17, 41, 270, 263, 255, 58, 284, number());
	case K_SockOpt: return one_in(10) ? number() : below(85);
	case K_Family: return PICK(1, 1, 2, 2, 10, 16, 17, number());
	case K_SocketType: return PICK(1, 2, 3, 5, 10, 1 | SOCK_NONBLOCK, 2 | SOCK_CLOEXEC, number());
	case K_Protocol: return PICK(0, 0, 1, 4, 6, 15, 17, 58, 255, 0x300, number());
	case K_Madvice: return one_in(2) ? below(26) : PICK(100, 101, 4, 8, 14, 18, 19);
	case K_MapFlags: return one_in(6) ? number() : PICK(MAP_PRIVATE, MAP_SHARED, MAP_PRIVATE | MAP_ANONYMOUS, MAP_SHARED | MAP_ANONYMOUS, 3) | (one_in(3) ? PICK(MAP_FIXED, MAP_GROWSDOWN, MAP_LOCKED, MAP_NORESERVE, MAP_POPULATE, MAP_STACK, MAP_32BIT, 0x100000, 0x80000) : 0);
	case K_OpenFlags: return one_in(4) ? flags() : below(3) | PICK(0, O_CREAT, O_CREAT | O_EXCL, O_TRUNC, O_NONBLOCK, O_DIRECTORY, O_PATH, O_TMPFILE, O_NOFOLLOW, O_APPEND, O_DIRECT, O_ASYNC);
	case K_KeyctlCmd: return one_in(8) ? number() : below(33);
	case K_Key: case K_IpcKey: return one_in(3) ? number() : -below(9) + 1;
	case K_RebootCmd: return number();
	case K_Texts: {
		word *list = room(64);
		for (int i = 0; i < 4; i++)
			list[i] = one_in(8) ? address() : text();
		list[one_in(8) ? 7 : below(5)] = 0;
		return (word)list;
	}
	case K_CapUserHeader: {
		int *h = room(8);
		h[0] = PICK(0x20080522, 0x19980330, 0x20071026, any());
		h[1] = process();
		return (word)h;
	}
	case K_SchedAttr: {
		unsigned *s = room(128);
		s[0] = PICK(0, 48, 56, 56, 57, 60, 64, 4096, any());
		s[1] = below(8);
		return (word)s;
	}
	case K_FileHandle: {
		unsigned *h = room(160);
		h[0] = PICK(0, 8, 12, 16, 24, 128, 129, any());
		return (word)h;
	}
	default: hint = size(); return one_in(8) ? address() : (word)room(128);
	}
}

/* What the kinds of arguments alone do not say. */
static void adjust(word nr, word *a)
{
	switch (nr) {
	case SYS_fcntl:
		if ((a[1] >= 5 && a[1] <= 7) || (a[1] >= 36 && a[1] <= 38)) {
			struct flock *f = room(sizeof *f);
			*f = (struct flock){ below(4), below(4), one_in(3) ? number() : below(100), one_in(3) ? number() : below(100), one_in(4) ? getpid() : 0 };
			a[2] = (word)f;
		}
		break;
	case SYS_seccomp:
		a[0] = below(5);
		if (a[0] == 1)
			a[1] = one_in(2) ? 0 : 1UL << below(7), a[2] = program();
		break;
	case SYS_prctl:
		if (a[0] == 22)
			a[1] = 2, a[2] = program();
		break;
	case SYS_setsockopt:
		if (a[1] == 1 && (a[2] == 26 || a[2] == 51 || one_in(12)))
			a[2] = PICK(26, 51), a[3] = program(), a[4] = 16;
		break;
	case SYS_io_setup:
		*(word *)(a[1] = (word)room(8)) = one_in(4) ? number() : 0;
		break;
	case SYS_io_submit:
		a[0] = *(word *)inside(), a[1] = one_in(6) ? number() : below(5), a[2] = iocbs();
		break;
	case SYS_sigaltstack:
		if (one_in(2))
			((word *)(a[0] = (word)room(24)))[0] = address(), ((word *)a[0])[1] = PICK(0, 1, 2, 4, 1UL << 31), ((word *)a[0])[2] = size();
		break;
	case SYS_futex:
		a[0] = a[0] & (one_in(8) ? -1UL : -4UL);
		if (one_in(2))
			a[3] = seconds();
		if (one_in(2))
			a[2] = *(unsigned *)inside();
		break;
	case SYS_alarm: case SYS_setitimer:
		if (!one_in(4))
			a[0] = 7;
		break;
	case SYS_poll: case SYS_epoll_wait: case SYS_epoll_pwait:
		if (!one_in(6))
			a[nr == SYS_poll ? 2 : 3] = below(3);
		break;
	case SYS_clone:
		if (!one_in(4))
			a[1] = 0, a[0] &= ~(word)CLONE_VM;
		break;
	case SYS_select: case SYS_pselect6:
		a[0] = one_in(6) ? number() : below(100);
		break;
	case SYS_close_range: case SYS_close:
		if (!one_in(6))
			a[0] = 20 + below(60), a[1] = a[0] + below(4);
		break;
	case SYS_munmap: case SYS_mprotect: case SYS_mremap: case SYS_madvise: case 462: case SYS_mlock: case SYS_msync: case SYS_pkey_mprotect:
		if (!one_in(4))
			a[0] &= -PAGE, a[1] = PAGE * below(5);
		if (nr == SYS_mremap && one_in(2))
			a[2] = PAGE * below(9), a[3] = below(8), a[4] &= -PAGE;
		break;
	case SYS_mmap:
		if (!one_in(4))
			a[0] = one_in(2) ? 0 : a[0] & -PAGE, a[1] = PAGE * below(9), a[5] = PAGE * below(4);
		break;
	case SYS_exit: case SYS_exit_group: case SYS_pause: case SYS_rt_sigsuspend: case SYS_vhangup: case SYS_reboot: case SYS_rt_sigreturn:
		if (!one_in(6))
			a[0] = 39, a[1] = -1UL;
	}
}

static long issue(word nr, const word *a)
{
	long result;
	if (one_in(40)) {
		/* A call at a place of its own, written a moment ago. */
		unsigned char *at = (void *)(code + below(PAGE - 32));
		int n = 0;
		for (int pad = below(6); pad; pad--)
			at[n++] = 0x90;
		at[n++] = 0x0f, at[n++] = 0x05;
		for (int pad = below(4); pad; pad--)
			at[n++] = PICK(0x90, 0xf8, 0xfc);
		at[n] = 0xc3;
		register word r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
		__asm__ volatile("sub $128, %%rsp; call *%[at]; add $128, %%rsp" : "=a"(result) : "0"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9), [at] "b"(at) : "rcx", "r11", "memory");
		return result;
	}
	if (one_in(400)) {
		__asm__ volatile("int $0x80" : "=a"(result) : "0"(nr), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4]) : "memory", "r8", "r9", "r10", "r11");
		return result;
	}
	register word r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
	__asm__ volatile("syscall" : "=a"(result) : "0"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return result;
}

/* Mostly one that is served: what is refused needs no second try. */
static const struct call *pick(void)
{
	static const short refused[] = { 134, 139, 153, 154, 156, 163, 167, 168, 172, 173, 174, 175, 176, 177, 178, 179, 180, 181, 182, 183, 184, 185, 205, 211, 212, 214, 215, 236, 246, 298, 300, 301, 313, 320, 321, 323, 330, 331, 334, 335, 425, 426, 427, 443, 447, 453 };
	for (;;) {
		const struct call *c = &calls[nr_focus && !one_in(3) ? focus[below(nr_focus)] : below(COUNT(calls))];
		word is_refused = 0;
		for (word i = 0; i < COUNT(refused); i++)
			is_refused |= refused[i] == c->nr;
		if (!is_refused || one_in(20))
			return c;
	}
}

static void one_call(volatile word *left)
{
	word a[6] = {}, nr;
	hint = 0;
	if (one_in(60)) {
		nr = one_in(3) ? number() : one_in(2) ? below(700) : 0x40000000 + below(600);
		for (int i = 0; i < 6; i++)
			a[i] = one_in(2) ? address() : number();
	} else {
		const struct call *c = pick();
		nr = c->nr;
		for (int i = 0; i < 6 && c->kinds[i]; i++)
			a[i] = value(c->kinds[i]);
		adjust(nr, a);
		if (one_in(tame ? 80 : 12))
			a[below(6)] = number();
	}
	if (one_in(tame ? 60 : 16))
		fill(inside(), 64);
	long result = issue(nr, a);
	/* A child goes on for a little while, on a way of its own. */
	if (result == 0 && (nr == SYS_fork || nr == SYS_vfork || nr == SYS_clone || nr == SYS_clone3)) {
		any();
		state ^= 0x5555;
		*left = below(12);
	}
}

static void loop(word seed, word count, volatile word *progress)
{
	static __thread char stack[64 << 10];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
	sigaltstack(&alternate, NULL);
	state = seed;
	sigjmp_buf buffer;
	back = &buffer;
	volatile word left = count, faults = 0;
	if (sigsetjmp(buffer, 0) && ++faults > 100)
		_exit(1);
	sigset_t none;
	sigemptyset(&none);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8);
	/* Two tasks on one stack can count below zero. */
	while (left && left <= count) {
		left--;
		++*progress;
		__atomic_fetch_add(&shared->total, 1, __ATOMIC_RELAXED);
		one_call(&left);
	}
	back = NULL;
}

struct order {
	word seed;
	volatile word *progress;
};
static void *thread(void *order)
{
	struct order *o = order;
	loop(o->seed, per_worker / 2, o->progress);
	return NULL;
}
/* Changes what others are about to hand to the kernel. */
static void *scribbler(void *seed)
{
	state = (word)seed;
	sigjmp_buf buffer;
	back = &buffer;
	volatile int rounds = 0;
	sigsetjmp(buffer, 0);
	while (rounds++ < 20000) {
		*(volatile word *)(arena + PAGE * below(ARENA) + 8 * below(512)) = one_in(2) ? number() : address();
		if (one_in(64))
			sched_yield();
	}
	return NULL;
}

static void worker(word seed, volatile word *progress)
{
	state = seed;
	struct rlimit limit = { 4 << 20, 4 << 20 };
	setrlimit(RLIMIT_FSIZE, &limit);
	setrlimit(RLIMIT_CORE, &(struct rlimit){});
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	for (int signo = 1; signo < 65; signo++)
		sigaction(signo, &action, NULL);
	struct itimerval often = { { 0, 7000 }, { 0, 7000 } };
	setitimer(ITIMER_REAL, &often, NULL);
	if (one_in(2))
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	tame = one_in(2);
	nr_focus = one_in(4) ? 0 : 3 + below(COUNT(focus) - 2);
	for (word i = 0; i < nr_focus; i++)
		focus[i] = below(COUNT(calls));
	struct order orders[2] = { { any(), progress }, { any(), progress } };
	pthread_t threads[3];
	for (int n = one_in(2) ? below(3) : 0; n; n--)
		pthread_create(&threads[n], NULL, thread, &orders[n - 1]);
	if (one_in(4))
		pthread_create(&threads[0], NULL, scribbler, (void *)any());
	loop(any(), per_worker, progress);
	_exit(0);
}

static word now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Starts the workers of one generation, again whenever one died or waits for ever, until each has made its calls. */
static void generation(word seed)
{
	state = mix(seed);
	word end = now_ms() + LIMIT_MS, starts = 0, last[WORKERS] = {}, since[WORKERS] = {};
	word nr = 1 + below(WORKERS);
	memset((void *)shared->progress, 0, sizeof shared->progress);
	make_memory();
	for (word i = 0; i < PAGE * 6; i += 8)
		fill(arena + i, 8);
	make_objects();
	pid_t own[WORKERS] = {};
	for (;;) {
		word busy = 0;
		for (word i = 0; i < nr; i++) {
			word progress = shared->progress[i];
			if (own[i] && waitpid(own[i], NULL, WNOHANG) == own[i])
				own[i] = 0;
			if (own[i] && progress == last[i] && now_ms() - since[i] > STUCK_MS) {
				kill(own[i], SIGKILL);
				continue;
			}
			if (own[i] && progress != last[i])
				last[i] = progress, since[i] = now_ms();
			if (!own[i] && (progress >= per_worker || starts > 60))
				continue;
			busy++;
			if (own[i])
				continue;
			word sub = mix(seed + 1000 * ++starts + i);
			since[i] = now_ms();
			own[i] = fork();
			if (own[i] == 0)
				worker(sub, &shared->progress[i]);
			if (own[i] < 0)
				own[i] = 0;
			pids[i] = pids[i + 4] = own[i] ?: getpid();
		}
		if (!busy || now_ms() > end)
			_exit(0);
		usleep(1000);
	}
}

static void ids(const char *file, int id)
{
	char line[40];
	int fd = open(file, O_WRONLY);
	write(fd, line, sprintf(line, "0 %d 1", id));
	close(fd);
}

int main(int argc, char **argv)
{
	if (!getenv("BEVOR_FUZZ_SANDBOX") || argc < 4) {
		fprintf(stderr, "guest: not outside of a sandbox\n");
		return 2;
	}
	word seed = strtoul(argv[1], NULL, 0), count = strtoul(argv[2], NULL, 0);
	word first = argc > 4 ? strtoul(argv[4], NULL, 0) : 0;
	if (argc > 5)
		per_worker = strtoul(argv[5], NULL, 0);
	int uid = getuid(), gid = getgid();
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (chdir(argv[3]))
		return perror(argv[3]), 2;
	for (word g = first; g < first + count; g++) {
		/* In a namespace of its own nothing of a generation outlives it, and nobody can stop this process. */
		word all = mix(seed * 1000003 + g), kinds = CLONE_NEWPID | (uid || all % 4 == 0 ? CLONE_NEWUSER : 0);
		kinds |= (all >> 8) % 4 ? CLONE_NEWNS | CLONE_NEWIPC : 0;
		kinds |= (all >> 16) % 4 ? 0 : CLONE_NEWNET | CLONE_NEWUTS;
		printf("generation %lu\n", g);
		fflush(stdout);
		int go[2];
		pipe(go);
		pid_t pid = syscall(SYS_clone, kinds | SIGCHLD, 0, 0, 0, 0);
		if (pid < 0)
			return printf("BAD clone: %s\n", strerror(errno)), 1;
		if (pid == 0) {
			char byte, name[32];
			close(go[1]);
			read(go[0], &byte, 1);
			for (int fd = 0; fd < 10; fd++)
				close(fd);
			open("/dev/null", O_RDWR), dup(0), dup(0);
			sprintf(name, "%lu", g);
			mkdir(name, 0777);
			/* Those in this group stop and continue the first process, too. */
			if (all >> 24 & 15)
				setsid();
			chdir(name);
			generation(all);
		}
		if (kinds & CLONE_NEWUSER) {
			char file[64];
			sprintf(file, "/proc/%d/setgroups", pid);
			int fd = open(file, O_WRONLY);
			write(fd, "deny", 4);
			close(fd);
			sprintf(file, "/proc/%d/uid_map", pid), ids(file, uid);
			sprintf(file, "/proc/%d/gid_map", pid), ids(file, gid);
		}
		close(go[0]);
		close(go[1]);
		word start = now_ms(), ended = 0;
		while (!ended && now_ms() - start < LIMIT_MS + 800) {
			ended = waitpid(pid, NULL, WNOHANG) == pid;
			usleep(ended ? 0 : 2000);
		}
		if (!ended) {
			kill(pid, SIGKILL);
			/* A hang here is one of the kernel's: the caller's time limit finds it. */
			waitpid(pid, NULL, 0);
		}
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	printf("done %lu calls\n", shared->total);
	return 0;
}

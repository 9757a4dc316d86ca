/* Seldom used calls about memory and processes: process_mrelease, remap_file_pages, kcmp of epoll entries and undo
 * lists, prctl about executable memory, merging, failures.
 * bevor-test: user=both kernel=6.4 */
#include "t.h"
#include <linux/kcmp.h>
#include <linux/prctl.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/sem.h>

/* Younger than some headers. */
#undef PR_SET_MDWE
#undef PR_GET_MDWE
#undef PR_SET_MEMORY_MERGE
#undef PR_GET_MEMORY_MERGE
enum { PR_SET_MDWE = 65, PR_GET_MDWE, PR_SET_MEMORY_MERGE, PR_GET_MEMORY_MERGE };

static long mrelease(int fd, unsigned flags) { return syscall(448, fd, flags); }
static int pidfd(pid_t pid) { return syscall(SYS_pidfd_open, pid, 0); }

static void release(void)
{
	T(mrelease(-1, 0));
	T(mrelease(0, 0));
	pid_t pid = fork();
	if (pid == 0) {
		pause();
		_exit(1);
	}
	int fd = MUST(pidfd(pid));
	T(mrelease(fd, 1));
	T(mrelease(fd, 0));
	kill(pid, SIGKILL);
	int result = mrelease(fd, 0) ? errno : 0;
	CHECK(result == 0 || result == ESRCH || result == EINVAL);
	siginfo_t info;
	MUST(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	T(mrelease(fd, 0));
	reap("killed", pid);
	T(mrelease(fd, 0));
}

#define remap(addr, size, prot, page, flags) syscall(SYS_remap_file_pages, addr, size, prot, page, flags)

static void remapping(void)
{
	int fd = make_file("pages", "");
	for (int i = 0; i < 4; i++) {
		char page[4096];
		memset(page, 'a' + i, sizeof page);
		MUST(write(fd, page, sizeof page));
	}
	char *at = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	T(remap(at, 4096L, 0L, 2L, 0L));
	out("%c %c %c %c\n", at[0], at[4096], at[8192], at[12288]);
	T(remap(at + 100, 4097L, 0L, 3L, MAP_NONBLOCK));
	out("%c\n", at[0]);
	T(remap(at, 8192L, 0L, 1L, 0L));
	T(remap(at + 4096, 8192L, 0L, 0L, 0L));
	out("%c %c %c %c\n", at[0], at[4096], at[8192], at[12288]);
	at[4096] = 'X';
	char byte;
	T(pread(fd, &byte, 1, 0));
	out("%c\n", byte);
	T(remap(at, 4096L, (long)PROT_READ, 0L, 0L));
	T(remap(at, 0L, 0L, 0L, 0L));
	T(remap(at, -4096L, 0L, 0L, 0L));
	T(remap(at, 4096L, 0L, -1L, 0L));
	char *private = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	T(remap(private, 4096L, 0L, 1L, 0L));
	char *read_only = mmap(NULL, 4096, PROT_READ, MAP_SHARED, open("pages", O_RDONLY), 0);
	T(remap(read_only, 4096L, 0L, 1L, 0L));
	munmap(private, 4096);
	T(remap(private, 4096L, 0L, 1L, 0L));
	char *anonymous = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	anonymous[4096] = 'z';
	T(remap(anonymous, 4096L, 0L, 1L, 0L));
	out("%c\n", anonymous[0]);
}

static void comparing(void)
{
	pid_t me = getpid();
	int ep = epoll_create1(0), p[2];
	MUST(pipe(p));
	struct epoll_event event = { .events = EPOLLIN };
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &event));
	struct kcmp_epoll_slot slot = { ep, p[0], 0 };
	T(syscall(SYS_kcmp, me, me, KCMP_EPOLL_TFD, p[0], &slot));
	CHECK(syscall(SYS_kcmp, me, me, KCMP_EPOLL_TFD, p[1], &slot) > 0);
	slot.toff = 1;
	T(syscall(SYS_kcmp, me, me, KCMP_EPOLL_TFD, p[0], &slot));
	slot.toff = 0, slot.tfd = 77;
	T(syscall(SYS_kcmp, me, me, KCMP_EPOLL_TFD, p[0], &slot));
	slot.tfd = p[0], slot.efd = p[0];
	T(syscall(SYS_kcmp, me, me, KCMP_EPOLL_TFD, p[0], &slot));
	slot.efd = 99;
	T(syscall(SYS_kcmp, me, me, KCMP_EPOLL_TFD, p[0], &slot));
	T(syscall(SYS_kcmp, me, me, KCMP_EPOLL_TFD, p[0], 8L));
	T(syscall(SYS_kcmp, 0, me, KCMP_VM, 0L, 0L));
	CHILD("another user", if (!geteuid()) { MUST(setresgid(1, 1, 1)); MUST(setresuid(1, 1, 1));
	      T(syscall(SYS_kcmp, getpid(), me, KCMP_VM, 0L, 0L)); });
	slot.efd = ep;
	T(syscall(SYS_kcmp, me, me, KCMP_EPOLL_TFD, 99L, &slot));
	pid_t child = fork();
	if (child == 0) {
		pause();
		_exit(1);
	}
	T(syscall(SYS_kcmp, me, me, KCMP_SYSVSEM, 0L, 0L));
	T(syscall(SYS_kcmp, me, child, KCMP_SYSVSEM, 0L, 0L));
	int set = MUST(semget(IPC_PRIVATE, 1, 0600));
	struct sembuf up = { 0, 1, SEM_UNDO };
	MUST(semop(set, &up, 1));
	T(syscall(SYS_kcmp, me, me, KCMP_SYSVSEM, 0L, 0L));
	CHECK(syscall(SYS_kcmp, me, child, KCMP_SYSVSEM, 0L, 0L) > 0);
	semctl(set, 0, IPC_RMID);
	kill(child, SIGKILL);
	reap("child", child);
}

/* Rights of new and changed mappings. */
static void gains(void)
{
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	out("map wx: %s\n", at == MAP_FAILED ? errname(errno) : "ok");
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	OK(mprotect(at, 4096, PROT_READ | PROT_EXEC));
	at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	out("map x: %s\n", at == MAP_FAILED ? errname(errno) : "ok");
	OK(mprotect(at, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
	OK(mprotect(at, 4096, PROT_EXEC));
	OK(mprotect(at, 4096, PROT_READ));
	OK(mprotect(at, 4096, PROT_READ | PROT_EXEC));
}

static void attributes(char **argv)
{
	T(prctl(PR_GET_MDWE, 0, 0, 0, 0));
	T(prctl(PR_GET_MDWE, 1, 0, 0, 0));
	T(prctl(PR_SET_MDWE, 4, 0, 0, 0));
	T(prctl(PR_SET_MDWE, 2, 0, 0, 0));
	T(prctl(PR_SET_MDWE, 1, 1, 0, 0));
	T(prctl(PR_SET_MDWE, 0, 0, 0, 0));
	CHILD("not inherited", T(prctl(PR_SET_MDWE, 3, 0, 0, 0)); T(prctl(PR_GET_MDWE, 0, 0, 0, 0)); gains();
	      CHILD("grandchild", T(prctl(PR_GET_MDWE, 0, 0, 0, 0)); gains()));
	CHILD("inherited", T(prctl(PR_SET_MDWE, 1, 0, 0, 0)); T(prctl(PR_SET_MDWE, 1, 0, 0, 0));
	      T(prctl(PR_SET_MDWE, 0, 0, 0, 0)); T(prctl(PR_SET_MDWE, 3, 0, 0, 0));
	      CHILD("grandchild", T(prctl(PR_GET_MDWE, 0, 0, 0, 0)); gains());
	      execl("/proc/self/exe", argv[0], "again", NULL));
	/* kept and reported */
	T(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0));
	T(prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0));
	T(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0));
	T(prctl(PR_SET_MEMORY_MERGE, 0, 1, 0, 0));
	T(prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0));
	T(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
	T(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
	T(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
	CHILD("child", T(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0)));
	T(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, 9, 0, 0));
	T(prctl(PR_MCE_KILL, 9, 0, 0, 0));
	T(prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 1, 0, 0));
	T(prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0));
	T(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
	T(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0));
	T(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 1, 0, 0));
	T(prctl(PR_SET_SYSCALL_USER_DISPATCH, 9, 0, 0, 0));
	/* arguments that are wrong whoever asks */
	T(prctl(PR_SET_MM, PR_SET_MM_ARG_START, argv[0], 0, 1));
	T(prctl(PR_SET_MM, PR_SET_MM_ARG_START, argv[0], 1, 0));
	/* without CAP_SYS_RESOURCE */
	struct { unsigned version; int pid; } header = { 0x20080522, 0 };
	struct { unsigned effective, permitted, inheritable; } caps[2] = { { 0 } };
	MUST(syscall(SYS_capset, &header, caps));
	T(prctl(PR_SET_MM, PR_SET_MM_ARG_START, argv[0], 0, 0));
	T(prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0));
	T(prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0));
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		T(prctl(PR_GET_MDWE, 0, 0, 0, 0));
		gains();
		return 0;
	}
	scratch();
	release();
	remapping();
	comparing();
	attributes(argv);
	unscratch();
}

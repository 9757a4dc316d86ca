/* Errors of the calls that make, run, watch and end processes. bevor-test: user=both */
#include "provoke.h"
#include <linux/close_range.h>
#include <linux/elf.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <sys/mount.h>
#include <sys/xattr.h>

static char stack[65536] __attribute__((aligned(16)));

/* A call that returns twice: the child ends at once. */
#define EFORK(call, why, ...)                                                  \
	do {                                                                   \
		long e_result = syscall(SYS_##call, ##__VA_ARGS__);            \
		if (e_result == 0)                                             \
			_exit(7);                                              \
		errors_show(#call, why, e_result);                             \
		if (e_result > 0)                                              \
			reap(#call, e_result);                                 \
	} while (0)

static void write_file(const char *path, const char *text)
{
	int fd = MUST(open(path, O_WRONLY));
	MUST(write(fd, text, strlen(text)));
	close(fd);
}

static void forks(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD }, wrong;
	EFORK(fork, "fine");
	EFORK(clone, "fine", SIGCHLD, NULL, NULL, NULL, NULL);
	EFORK(clone3, "fine", &args, sizeof args);
	EFORK(clone, "signal handlers without memory", CLONE_SIGHAND, NULL, NULL, NULL, NULL);
	EFORK(clone, "thread without signal handlers", CLONE_THREAD, NULL, NULL, NULL, NULL);
	EFORK(clone3, "bad address", NOWHERE, sizeof args);
	EFORK(clone3, "too small", &args, 8L);
	wrong = args;
	wrong.flags = CLONE_SIGHAND;
	EFORK(clone3, "signal handlers without memory", &wrong, sizeof wrong);
	wrong = args;
	wrong.stack = (unsigned long)stack;
	EFORK(clone3, "stack without a size", &wrong, sizeof wrong);
	pid_t one = 1, taken = getpid();
	wrong = args;
	wrong.set_tid = (unsigned long)&one;
	wrong.set_tid_size = 99;
	EFORK(clone3, "too many ids", &wrong, sizeof wrong);
	wrong.set_tid_size = 1;
	wrong.set_tid = (unsigned long)&taken;
	CHILD("chosen id", EFORK(clone3, "taken, or no right", &wrong, sizeof wrong));
	wrong = args;
	wrong.flags = CLONE_INTO_CGROUP;
	wrong.cgroup = 999;
	EFORK(clone3, "no such control group", &wrong, sizeof wrong);
	CHILD("as nobody",
	      become_nobody();
	      EFORK(clone, "no right", CLONE_NEWUTS | SIGCHLD, NULL, NULL, NULL, NULL);
	      wrong = args;
	      wrong.flags = CLONE_NEWUTS;
	      EFORK(clone3, "no right", &wrong, sizeof wrong);
	      E(unshare, "no right", CLONE_NEWUTS);
	      setrlimit(RLIMIT_NPROC, &(struct rlimit){ 0, 0 });
	      EFORK(fork, "limit");
	      EFORK(vfork, "limit");
	      EFORK(clone, "limit", SIGCHLD, NULL, NULL, NULL, NULL);
	      EFORK(clone3, "limit", &args, sizeof args));
	E(unshare, "strange flag", 1);
	if (getuid() == 0) {
		CHILD("without a first process",
		      MUST(unshare(CLONE_NEWPID));
		      EFORK(fork, "the first");
		      EFORK(fork, "its namespace has ended");
		      EFORK(vfork, "its namespace has ended");
		      EFORK(clone, "its namespace has ended", SIGCHLD, NULL, NULL, NULL, NULL);
		      EFORK(clone3, "its namespace has ended", &args, sizeof args));
		CHILD("nested",
		      wrong = args;
		      wrong.flags = CLONE_NEWUSER;
		      for (int depth = 0; depth < 40 && unshare(CLONE_NEWUSER) == 0; depth++) {
			      write_file("/proc/self/setgroups", "deny");
			      write_file("/proc/self/uid_map", "0 0 1");
			      write_file("/proc/self/gid_map", "0 0 1");
		      }
		      E(unshare, "too deep", CLONE_NEWUSER);
		      EFORK(clone, "too deep", CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
		      EFORK(clone3, "too deep", &wrong, sizeof wrong));
	}
}

static const char *make_elf(const char *name, const char *interpreter, int times)
{
	struct { Elf64_Ehdr header; Elf64_Phdr segments[2]; char name[64]; } elf = { 0 };
	memcpy(elf.header.e_ident, ELFMAG "\2\1\1", 7);
	elf.header.e_type = ET_EXEC;
	elf.header.e_machine = EM_X86_64;
	elf.header.e_version = 1;
	elf.header.e_phoff = sizeof elf.header;
	elf.header.e_ehsize = sizeof elf.header;
	elf.header.e_phentsize = sizeof(Elf64_Phdr);
	elf.header.e_phnum = times;
	strcpy(elf.name, interpreter);
	for (int i = 0; i < times; i++)
		elf.segments[i] = (Elf64_Phdr){ .p_type = PT_INTERP, .p_offset = offsetof(typeof(elf), name),
						.p_filesz = strlen(interpreter) + 1 };
	int fd = MUST(open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755));
	MUST(write(fd, &elf, sizeof elf));
	close(fd);
	return name;
}

static void execs(void)
{
	char *args[] = { "x", NULL }, *none[] = { NULL };
	char *big[3] = { "x", malloc(200000), NULL }, name[5000];
	memset(big[1], 'a', 199999);
	big[1][199999] = 0;
	memset(name, 'a', sizeof name);
	name[4999] = 0;
	close(make_file("text", "no program at all"));
	close(make_file("empty", ""));
	chmod("text", 0755);
	MUST(mkdir("dir", 0755));
	MUST(symlink("loop", "loop"));
	close(make_file("plain", "#!/bin/sh\n"));
	int writer = make_file("busy", "#!/bin/sh\n"), dir = MUST(open(".", O_RDONLY | O_DIRECTORY));
	chmod("busy", 0755);
	make_elf("directory", "/", 1);
	make_elf("no-program", "/proc/self/cmdline", 1);
	make_elf("missing", "/nowhere/at/all", 1);
	char full[PATH_MAX];
	getcwd(full, sizeof full);
	strcat(full, "/text");
	close(make_file("text", "no program at all, and longer than the header of any program would have been"));
	chmod("text", 0755);
	make_elf("text-interpreter", full, 1);
#define EXEC(why, path, argv, envp)                                            \
	do {                                                                   \
		CHILD(why, E(execve, why, path, argv, envp));                  \
		CHILD(why, E(execveat, why, dir, path, argv, envp, 0));        \
	} while (0)
	EXEC("fine", "/bin/true", args, none);
	EXEC("argument too long", "/bin/true", big, none);
	EXEC("not executable", "plain", args, none);
	EXEC("a directory", "dir", args, none);
	EXEC("bad path", NOWHERE, args, none);
	EXEC("bad arguments", "/bin/true", NOWHERE, none);
	EXEC("bad environment", "/bin/true", args, NOWHERE);
	EXEC("loop", "loop", args, none);
	EXEC("long name", name, args, none);
	EXEC("missing", "nothing", args, none);
	EXEC("interpreter missing", "missing", args, none);
	EXEC("interpreter a directory", "directory", args, none);
	EXEC("interpreter not a program", "text-interpreter", args, none);
	EXEC("no program", "text", args, none);
	EXEC("through a file", "text/x", args, none);
	EXEC("written", "busy", args, none);
	close(writer);
	E(execveat, "no descriptor", 999, "text", args, none, 0);
	E(execveat, "strange flag", dir, "text", args, none, 1);
	E(execveat, "of a link", dir, "loop", args, none, AT_SYMLINK_NOFOLLOW);
	E(execveat, "below a file", MUST(open("text", O_RDONLY)), "text", args, none, 0);
	if (getuid() == 0) {
		struct { unsigned magic, permitted, inheritable, permitted2, inheritable2; } caps = { 0x02000001, 1 };
		CHILD("capabilities that cannot be had",
		      MUST(unshare(CLONE_NEWNS));
		      MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
		      MUST(mount("none", "dir", "tmpfs", 0, "mode=755"));
		      MUST(system("cp /bin/true dir/capable") ? -1 : 0);
		      MUST(setxattr("dir/capable", "security.capability", &caps, sizeof caps, 0));
		      MUST(prctl(PR_CAPBSET_DROP, 0));
		      become_nobody();
		      E(execve, "capability", "dir/capable", args, none);
		      E(execveat, "capability", AT_FDCWD, "dir/capable", args, none, 0));
	}
}

static void waits(void)
{
	siginfo_t info;
	int status;
	pid_t child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	int pidfd = MUST(syscall(SYS_pidfd_open, child, O_NONBLOCK));
	E(wait4, "none yet", child, &status, WNOHANG, NULL);
	E(wait4, "strange flag", child, &status, 0x100, NULL);
	E(wait4, "negative", INT_MIN, &status, 0, NULL);
	E(waitid, "strange kind", 99, child, &info, WEXITED, NULL);
	E(waitid, "for nothing", P_PID, child, &info, 0, NULL);
	E(waitid, "would block", P_PIDFD, pidfd, &info, WEXITED, NULL);
	E(waitid, "no descriptor", P_PIDFD, 999, &info, WEXITED, NULL);
	EINTERRUPTED(wait4, "interrupted", child, &status, 0, NULL);
	EINTERRUPTED(waitid, "interrupted", P_PID, child, &info, WEXITED, NULL);
	kill(child, SIGKILL);
	E(waitid, "bad address", P_PID, child, NOWHERE, WEXITED | WNOWAIT, NULL);
	E(waitid, "fine", P_PID, child, &info, WEXITED | WNOWAIT, NULL);
	E(wait4, "bad address", child, NOWHERE, 0, NULL);
	E(wait4, "no child", -1, &status, 0, NULL);
	E(waitid, "no child", P_ALL, 0, &info, WEXITED, NULL);
	CHILD("quick", E(exit, "never printed", 0));
	CHILD("quick", E(exit_group, "never printed", 0));
	child = fork();
	if (child == 0)
		_exit(0);
	E(wait4, "fine", child, &status, 0, NULL);
}

static void signals(pid_t other)
{
	siginfo_t info = { .si_signo = SIGUSR1, .si_code = SI_QUEUE };
	pid_t own = getpid();
	int pidfd = MUST(syscall(SYS_pidfd_open, own, 0));
	E(kill, "nothing sent", own, 0);
	E(kill, "no such signal", own, 99);
	E(kill, "no such process", INT_MAX, 0);
	E(tkill, "nothing sent", own, 0);
	E(tkill, "no such signal", own, 99);
	E(tkill, "negative", -1, 0);
	E(tkill, "no such thread", INT_MAX, 0);
	E(tgkill, "nothing sent", own, own, 0);
	E(tgkill, "no such signal", own, own, 99);
	E(tgkill, "negative", -1, own, 0);
	E(tgkill, "no such thread", INT_MAX, INT_MAX, 0);
	E(rt_sigqueueinfo, "no such signal", own, 99, &info);
	E(rt_sigqueueinfo, "no such process", INT_MAX, SIGUSR1, &info);
	E(rt_sigqueueinfo, "bad address", own, SIGUSR1, NOWHERE);
	E(rt_tgsigqueueinfo, "no such signal", own, own, 99, &info);
	E(rt_tgsigqueueinfo, "negative", -1, own, SIGUSR1, &info);
	E(rt_tgsigqueueinfo, "no such thread", INT_MAX, INT_MAX, SIGUSR1, &info);
	E(rt_tgsigqueueinfo, "bad address", own, own, SIGUSR1, NOWHERE);
	E(pidfd_send_signal, "nothing sent", pidfd, 0, NULL, 0);
	E(pidfd_send_signal, "no descriptor", 999, 0, NULL, 0);
	E(pidfd_send_signal, "strange flag", pidfd, 0, NULL, 99);
	E(pidfd_send_signal, "other signal in the record", pidfd, SIGUSR2, &info, 0);
	handle(SIGUSR1, errors_ignore, 0);
	E(rt_sigqueueinfo, "fine", own, SIGUSR1, &info);
	E(rt_tgsigqueueinfo, "fine", own, own, SIGUSR1, &info);
	CHILD("as nobody",
	      int fd = MUST(syscall(SYS_pidfd_open, other, 0));
	      info.si_code = SI_USER;
	      E(rt_sigqueueinfo, "pretends to be kill", getppid(), SIGUSR1, &info);
	      E(rt_tgsigqueueinfo, "pretends to be kill", getppid(), getppid(), SIGUSR1, &info);
	      E(pidfd_send_signal, "pretends to be kill", pidfd, SIGUSR1, &info, 0);
	      if (getuid() == 0) {
		      become_nobody();
		      E(kill, "of another user", other, SIGTERM);
		      E(tkill, "of another user", other, SIGTERM);
		      E(tgkill, "of another user", other, other, SIGTERM);
		      E(pidfd_send_signal, "of another user", fd, SIGTERM, NULL, 0);
	      }
	      sigset_t all;
	      sigfillset(&all);
	      sigprocmask(SIG_BLOCK, &all, NULL);
	      info.si_code = SI_QUEUE;
	      info.si_signo = SIGRTMIN;
	      setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){ 0, 0 });
	      E(tkill, "limit", getpid(), SIGRTMIN);
	      E(tgkill, "limit", getpid(), getpid(), SIGRTMIN);
	      E(rt_sigqueueinfo, "limit", getpid(), SIGRTMIN, &info);
	      E(rt_tgsigqueueinfo, "limit", getpid(), getpid(), SIGRTMIN, &info));
	kill(other, SIGKILL);
	int fd = MUST(syscall(SYS_pidfd_open, other, 0));
	reap("other", other);
	E(pidfd_send_signal, "ended", fd, SIGTERM, NULL, 0);
}

static void pidfds(pid_t other)
{
	int own = E(pidfd_open, "fine", getpid(), 0), fd = MUST(syscall(SYS_pidfd_open, other, 0)), pipes[2];
	MUST(pipe(pipes));
	E(pidfd_open, "negative", -1, 0);
	E(pidfd_open, "strange flag", getpid(), 99);
	E(pidfd_open, "no such process", INT_MAX, 0);
	E(pidfd_getfd, "fine", own, 1, 0);
	E(pidfd_getfd, "flags", own, 1, 1);
	E(pidfd_getfd, "no descriptor", 999, 1, 0);
	E(pidfd_getfd, "no descriptor there", own, 999, 0);
	E(pidfd_getfd, "not a pidfd", pipes[0], 1, 0);
	E(close_range, "fine", 1000, 2000, 0);
	E(close_range, "wrong order", 5, 4, 0);
	E(close_range, "strange flag", 1000, 2000, 1);
	CHILD("no descriptor",
	      no_descriptors();
	      E(pidfd_open, "limit", getpid(), 0);
	      E(pidfd_getfd, "limit", own, 1, 0));
	E(kcmp, "fine", getpid(), getpid(), KCMP_FILE, 1, 1);
	E(kcmp, "no descriptor", getpid(), getpid(), KCMP_FILE, 1, 999);
	E(kcmp, "strange kind", getpid(), getpid(), 99, 1, 1);
	E(kcmp, "no such process", getpid(), INT_MAX, KCMP_FILE, 1, 1);
	char from[8] = "12345", to[8];
	struct iovec local = { to, 8 }, remote = { from, 8 }, far = { NOWHERE, 8 };
	E(process_vm_readv, "fine", getpid(), &local, 1L, &remote, 1L, 0L);
	E(process_vm_writev, "fine", getpid(), &remote, 1L, &local, 1L, 0L);
	E(process_vm_readv, "flags", getpid(), &local, 1L, &remote, 1L, 1L);
	E(process_vm_writev, "flags", getpid(), &local, 1L, &remote, 1L, 1L);
	E(process_vm_readv, "no such process", INT_MAX, &local, 1L, &remote, 1L, 0L);
	E(process_vm_writev, "no such process", INT_MAX, &local, 1L, &remote, 1L, 0L);
	E(process_vm_readv, "bad address", getpid(), &local, 1L, &far, 1L, 0L);
	E(process_vm_writev, "bad address", getpid(), &local, 1L, &far, 1L, 0L);
	E(process_vm_writev, "bad list", getpid(), NOWHERE, 1L, &remote, 1L, 0L);
	CHILD("as nobody",
	      if (getuid() == 0) {
		      become_nobody();
		      E(pidfd_getfd, "of another user", fd, 1, 0);
		      E(kcmp, "of another user", getpid(), other, KCMP_FILE, 1, 1);
		      E(process_vm_readv, "of another user", other, &local, 1L, &remote, 1L, 0L);
		      E(process_vm_writev, "of another user", other, &local, 1L, &remote, 1L, 0L);
	      });
	kill(other, SIGKILL);
	reap("other", other);
	E(pidfd_getfd, "ended", fd, 1, 0);
}

static void own(void)
{
	unsigned long base;
	E(personality, "asked for", 0xffffffff);
	E(prctl, "no such option", 9999, 0L, 0L, 0L, 0L);
	E(prctl, "bad address", PR_SET_NAME, NOWHERE);
	E(prctl, "fine", PR_SET_NAME, "name");
	E(arch_prctl, "fine", 0x1003, &base);
	E(arch_prctl, "no such option", 99, 0L);
	E(arch_prctl, "beyond the address space", 0x1002, -1L);
	E(arch_prctl, "bad address", 0x1003, NOWHERE);
	E(set_tid_address, "fine", NULL);
	E(sched_yield, "fine");
	E(gettid, "fine");
	E(getppid, "fine");
	E(umask, "fine", 022);
}

static void namespaces(void)
{
	int file = MUST(open("plain", O_RDONLY)), uts = MUST(open("/proc/self/ns/uts", O_RDONLY));
	E(setns, "no descriptor", 999, 0);
	E(setns, "not a namespace", file, 0);
	E(setns, "another kind", uts, CLONE_NEWNET);
	pid_t child = fork();
	if (child == 0)
		_exit(0);
	int pidfd = MUST(syscall(SYS_pidfd_open, child, 0));
	reap("ended", child);
	E(setns, "ended", pidfd, CLONE_NEWUTS);
	CHILD("as nobody", become_nobody(); E(setns, "no right", uts, 0));
	if (getuid() == 0)
		CHILD("own", E(setns, "fine", uts, CLONE_NEWUTS); E(unshare, "fine", CLONE_NEWUTS));
}

static pid_t waiting(void)
{
	pid_t child = fork();
	if (child == 0) {
		for (;;)
			pause();
	}
	return child;
}

int main(void)
{
	scratch();
	forks();
	execs();
	waits();
	signals(waiting());
	pidfds(waiting());
	own();
	namespaces();
	unscratch();
	return 0;
}

/* execve: arguments, environment, scripts, and every error. bevor-test: user=both */
#include "t.h"
#include <sys/auxv.h>
#include <sys/prctl.h>

extern char **environ;

static void try(const char *what, const char *path, char *const argv[], char *const envp[])
{
	pid_t pid = fork();
	if (pid == 0) {
		execve(path, argv, envp);
		out("%s: %s\n", what, errname(errno));
		_exit(111);
	}
	reap(what, pid);
}

static void script(const char *name, const char *text, int mode)
{
	close(make_file(name, text));
	chmod(name, mode);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "state") && strcmp(argv[1], "auxv")) {
		for (int i = 0; i < argc; i++)
			out("arg %d: %s\n", i, i == 0 && argv[0][0] == '/' ? "(path)" : argv[i]);
		for (char **e = environ; *e; e++)
			out("env: %s\n", *e);
		return argc;
	}
	if (argc > 1 && !strcmp(argv[1], "state")) {
		sigset_t set;
		struct sigaction action;
		sigprocmask(SIG_BLOCK, NULL, &set);
		V(sigismember(&set, SIGUSR1));
		sigpending(&set);
		V(sigismember(&set, SIGUSR1));
		sigaction(SIGUSR2, NULL, &action);
		V(action.sa_handler == SIG_IGN);
		sigaction(SIGHUP, NULL, &action);
		V(action.sa_handler == SIG_DFL);
		stack_t ss;
		sigaltstack(NULL, &ss);
		V(ss.ss_flags);
		T(fcntl(100, F_GETFD));
		T(fcntl(101, F_GETFD));
		char name[16];
		prctl(PR_GET_NAME, name);
		out("name %s\n", name);
		V(alarm(0) > 0);
		V(umask(0));
		struct rlimit limit;
		getrlimit(RLIMIT_NOFILE, &limit);
		V(limit.rlim_cur);
		V(getpid() == atoi(argv[2]));
		struct itimerval it;
		getitimer(ITIMER_REAL, &it);
		V(prctl(PR_GET_DUMPABLE) != 3);
		return 0;
	}
	if (argc > 1 && !strcmp(argv[1], "auxv")) {
		V(getauxval(AT_PAGESZ));
		V(getauxval(AT_CLKTCK));
		V(getauxval(AT_PHENT));
		V(getauxval(AT_PHDR) != 0);
		V(getauxval(AT_ENTRY) != 0);
		V(getauxval(AT_UID) == getuid());
		V(getauxval(AT_EUID) == geteuid());
		V(getauxval(AT_GID) == getgid());
		V(getauxval(AT_SECURE));
		V(getauxval(AT_RANDOM) != 0);
		V(getauxval(AT_HWCAP) != 0);
		V(getauxval(AT_FLAGS));
		out("platform %s\n", (char *)getauxval(AT_PLATFORM));
		out("execfn %s\n", (char *)getauxval(AT_EXECFN));
		V(getauxval(AT_MINSIGSTKSZ) >= 2048);
		V(getauxval(AT_SYSINFO_EHDR) != 0);
		return 0;
	}
	scratch();
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
	self[len] = 0;
	char *none[] = { NULL };
	char *args[] = { "zero", "echo", "", "two words", "x=y", NULL };
	char *env[] = { "A=1", "B=", "odd", "=x", NULL };
	try("args", self, args, env);
	try("no env", self, args, none);
	char *only[] = { "only", NULL };
	try("true", "/bin/true", only, none);
	try("false", "/bin/false", only, none);
	try("missing", "/nonexistent", only, none);
	try("folder", "/tmp", only, none);
	try("not executable", "/etc/passwd", only, none);
	try("empty path", "", only, none);
	try("below a file", "/etc/passwd/x", only, none);
	try("bad path pointer", (char *)8, only, none);
	try("bad argv pointer", "/bin/true", (char **)8, none);
	char *bad[] = { "x", (char *)8, NULL };
	try("bad argv element", "/bin/true", bad, none);
	try("bad env element", "/bin/true", only, bad);
	try("null argv", "/bin/true", NULL, NULL);
	script("empty", "", 0755);
	try("empty file", "empty", only, none);
	script("text", "echo hello\n", 0755);
	try("text file", "text", only, none);
	script("elfish", "\177ELFxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 0755);
	try("bad elf", "elfish", only, none);
	script("short", "\177ELF", 0755);
	try("short elf", "short", only, none);

	/* Scripts. */
	char line[PATH_MAX + 100];
	snprintf(line, sizeof line, "#!%s echo\nrest\n", self);
	script("s1", line, 0755);
	try("script", "./s1", args, none);
	snprintf(line, sizeof line, "#! \t %s   echo two  words \t \nrest\n", self);
	script("s2", line, 0755);
	try("script with one argument", "./s2", args, none);
	script("s3", "#!./s1 more\n", 0755);
	try("nested", "./s3", args, none);
	script("s4", "#!./s3\n", 0755);
	script("s5", "#!./s4\n", 0755);
	script("s6", "#!./s5\n", 0755);
	script("s7", "#!./s6\n", 0755);
	try("depth 4", "./s5", only, none);
	try("depth 5", "./s6", only, none);
	try("depth 6", "./s7", only, none);
	script("loop", "#!./loop\n", 0755);
	try("loop", "./loop", only, none);
	script("nointerp", "#!/nonexistent/interpreter\n", 0755);
	try("no interpreter", "./nointerp", only, none);
	script("blank", "#!\n", 0755);
	try("blank interpreter", "./blank", only, none);
	script("dir", "#!/tmp\n", 0755);
	try("folder as interpreter", "./dir", only, none);
	script("noexec", "#!/bin/sh\necho no\n", 0644);
	try("script without x", "./noexec", only, none);
	script("sh", "#!/bin/sh\necho shell \"$0\" \"$@\"; exit 6", 0755);
	char *shargs[] = { "ignored", "a b", "c", NULL };
	try("shell", "./sh", shargs, none);
	char *long_line = malloc(1000);
	memset(long_line, 'a', 999);
	memcpy(long_line, "#!/bin/sh ", 10);
	long_line[999] = 0;
	script("long", long_line, 0755);
	try("long line", "./long", only, none);
	memcpy(long_line, "#!", 2);
	memset(long_line + 2, '/', 998);
	script("long2", long_line, 0755);
	try("long interpreter", "./long2", only, none);

	/* Sizes. */
	size_t big_len = 131072;
	char *big = malloc(big_len + 10);
	memset(big, 'x', big_len + 10);
	big[big_len - 1] = 0;
	char *big_args[] = { "zero", big, NULL };
	try("longest argument", "/bin/true", big_args, none);
	big[big_len - 1] = 'x';
	big[big_len] = 0;
	try("too long argument", "/bin/true", big_args, none);
	big[100000] = 0;
	char **many = calloc(202, sizeof *many);
	for (int i = 0; i < 15; i++)
		many[i] = big;
	try("1.5 MB", "/bin/true", many, none);
	for (int i = 0; i < 200; i++)
		many[i] = big;
	try("20 MB", "/bin/true", many, none);

	/* Permissions. */
	if (getuid()) {
		script("mine", "#!/bin/true\n", 0077);
		try("owner may not", "./mine", only, none);
	} else {
		script("mine", "#!/bin/true\n", 0001);
		try("root may if anyone may", "./mine", only, none);
		script("mine", "#!/bin/true\n", 0000);
		try("root may not", "./mine", only, none);
	}
	symlink("sh", "link");
	try("symlink", "./link", shargs, none);
	int fd = MUST(open("sh", O_RDWR));
	try("open for writing", "./sh", shargs, none);
	close(fd);

	/* fexecve and execveat. */
	fd = MUST(open(self, O_RDONLY));
	CHILD("fexecve", fexecve(fd, args, none));
	fd = MUST(open(self, O_PATH | O_CLOEXEC));
	CHILD("execveat O_PATH", syscall(SYS_execveat, fd, "", args, none, AT_EMPTY_PATH));
	CHILD("execveat no flag", syscall(SYS_execveat, fd, "", args, none, 0); out("%s\n", errname(errno)));
	CHILD("execveat NOFOLLOW", syscall(SYS_execveat, AT_FDCWD, "link", args, none, AT_SYMLINK_NOFOLLOW);
	      out("%s\n", errname(errno)));
	CHILD("execveat bad flag", syscall(SYS_execveat, AT_FDCWD, "link", args, none, 0x4); out("%s\n", errname(errno)));
	fd = MUST(open("sh", O_RDONLY | O_CLOEXEC));
	CHILD("script by cloexec fd", syscall(SYS_execveat, fd, "", args, none, AT_EMPTY_PATH);
	      out("%s\n", errname(errno)));
	fd = MUST(open("s1", O_RDONLY));
	CHILD("script by fd", syscall(SYS_execveat, fd, "", only, none, AT_EMPTY_PATH));

	/* What stays and what goes. */
	CHILD("state", {
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigprocmask(SIG_BLOCK, &set, NULL);
		raise(SIGUSR1);
		signal(SIGUSR2, SIG_IGN);
		signal(SIGHUP, (void *)on_exit);
		static char alt[65536];
		stack_t ss = { .ss_sp = alt, .ss_size = sizeof alt };
		sigaltstack(&ss, NULL);
		dup2(1, 100);
		dup2(1, 101);
		fcntl(101, F_SETFD, FD_CLOEXEC);
		alarm(1000);
		umask(0123);
		struct rlimit limit = { 200, 300 };
		setrlimit(RLIMIT_NOFILE, &limit);
		char number[20];
		snprintf(number, sizeof number, "%d", getpid());
		char *state[] = { "zero", "state", number, NULL };
		symlink(self, "a-rather-long-program-name");
		execve("./a-rather-long-program-name", state, none);
	});
	char *aux[] = { "zero", "auxv", NULL };
	symlink(self, "aux");
	try("auxv", "./aux", aux, none);
	unscratch();
	return 0;
}

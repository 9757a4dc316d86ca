/* posix_spawn, system, popen. bevor-test: user=both waits=reloaded */
#include "t.h"
#include <spawn.h>

extern char **environ;

int main(void)
{
	scratch();
	pid_t pid;
	char *argv[] = { "sh", "-c", "echo spawned; exit 3", NULL };
	int error = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ);
	reap("spawn", pid);
	out("%s\n", errname(error));
	out("%s\n", errname(posix_spawn(&pid, "/nonexistent", NULL, NULL, argv, environ)));
	error = posix_spawnp(&pid, "sh", NULL, NULL, argv, environ);
	reap("spawnp", pid);
	out("%s\n", errname(error));
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "output", O_WRONLY | O_CREAT, 0644);
	posix_spawn_file_actions_adddup2(&actions, 1, 2);
	posix_spawnattr_t attr;
	posix_spawnattr_init(&attr);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	posix_spawnattr_setsigmask(&attr, &set);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	char *grep[] = { "sh", "-c", "grep SigBlk /proc/self/status; echo error >&2", NULL };
	out("%s\n", errname(posix_spawn(&pid, "/bin/sh", &actions, &attr, grep, environ)));
	reap("spawn", pid);
	char buf[200];
	int fd = open("output", O_RDONLY);
	out_bytes("output", buf, read(fd, buf, sizeof buf));
	out("%x\n", system("exit 7"));
	out("%x\n", system("kill -KILL $$"));
	V(system(NULL) != 0);
	FILE *pipe = popen("tr a-z A-Z", "w");
	fputs("through a pipe\n", pipe);
	out("%x\n", pclose(pipe));
	pipe = popen("echo back; exit 5", "r");
	out("%s", fgets(buf, sizeof buf, pipe));
	out("%x\n", pclose(pipe));
	for (int i = 0; i < 50; i++) {
		char *quick[] = { "true", NULL };
		if (posix_spawn(&pid, "/bin/true", NULL, NULL, quick, environ))
			out("BAD spawn\n");
		waitpid(pid, NULL, 0);
	}
	unscratch();
	return 0;
}

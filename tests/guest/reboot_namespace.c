/* A reboot in a pid namespace ends its init, and nothing else. bevor-test: user=both */
#include "provoke.h"
#include <linux/reboot.h>

/* In a pid namespace of one's own, and only there, or the machine would do it. */
static void reboot_in_namespace(const char *what, unsigned command)
{
	pid_t pid = MUST(syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, 0));
	if (pid == 0) {
		if (getpid() != 1)
			_exit(9);
		E(reboot, "wrong magic", LINUX_REBOOT_MAGIC1, 0, LINUX_REBOOT_CMD_CAD_OFF, NULL);
		E(reboot, "no such command", LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, 1, NULL);
		E(reboot, "no command of a namespace", LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2A, LINUX_REBOOT_CMD_CAD_OFF, NULL);
		pid_t other = fork();
		if (other == 0) {
			if (getpid() == 2)
				syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, command, NULL);
			_exit(1);
		}
		pause();
	}
	reap(what, pid);
}

int main(void)
{
	reboot_in_namespace("power off", LINUX_REBOOT_CMD_POWER_OFF);
	reboot_in_namespace("halt", LINUX_REBOOT_CMD_HALT);
	reboot_in_namespace("restart", LINUX_REBOOT_CMD_RESTART);
	CHILD("nobody", {
		become_nobody();
		E(reboot, "without the capability", 0, 0, 0, NULL);
	});
	return 0;
}

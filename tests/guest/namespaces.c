/* unshare, clone and setns with namespaces, as root. */
#include "t.h"
#include <sys/mount.h>
#include <sys/prctl.h>

static char stack[65536] __attribute__((aligned(16)));

static int in_pid(void *arg)
{
	out("pid %d ppid %d\n", getpid(), getppid());
	pid_t child = fork();
	if (child == 0)
		_exit(getpid());
	reap("inside", child);
	return 7;
}

int main(void)
{
	char name[64];
	CHILD("uts", {
		T(unshare(CLONE_NEWUTS));
		T(sethostname("changed", 7));
		gethostname(name, sizeof name);
		out("%s\n", name);
	});
	gethostname(name, sizeof name);
	CHECK(strcmp(name, "changed"));
	CHILD("mount", {
		T(unshare(CLONE_NEWNS));
		T(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
		T(mount("none", "/mnt", "tmpfs", 0, NULL));
		int fd = open("/mnt/only-here", O_CREAT | O_RDWR, 0600);
		CHECK(fd >= 0);
		T(umount("/mnt"));
		close(fd);
		T(umount("/mnt"));
	});
	CHECK(access("/mnt/only-here", F_OK) == -1);
	pid_t pid = clone(in_pid, stack + sizeof stack, CLONE_NEWPID | SIGCHLD, NULL);
	reap("pid namespace", pid);
	CHILD("unshare pid", {
		T(unshare(CLONE_NEWPID));
		pid_t child = fork();
		if (child == 0)
			_exit(getpid());
		reap("first", child);
	});
	CHILD("user", {
		setresuid(1234, 1234, 1234);
		prctl(PR_SET_DUMPABLE, 1);
		T(unshare(CLONE_NEWUSER));
		out("%d %d\n", getuid(), getgid());
		int fd = open("/proc/self/uid_map", O_WRONLY);
		T(write(fd, "0 1234 1\n", 9));
		out("%d\n", getuid());
		T(sethostname("x", 1));
		T(unshare(CLONE_NEWUTS));
		T(sethostname("x", 1));
	});
	CHILD("ipc", T(unshare(CLONE_NEWIPC)));
	CHILD("net", T(unshare(CLONE_NEWNET)));
	CHILD("setns", {
		int fd = open("/proc/self/ns/uts", O_RDONLY);
		CHECK(fd >= 0);
		T(unshare(CLONE_NEWUTS));
		T(sethostname("other", 5));
		T(setns(fd, CLONE_NEWUTS));
		char back[64];
		gethostname(back, sizeof back);
		CHECK(!strcmp(back, name));
		T(setns(fd, CLONE_NEWNET));
		T(setns(0, 0));
	});
	T(unshare(0x1));
	CHILD("no right", setresuid(1234, 1234, 1234); T(unshare(CLONE_NEWNS)); T(unshare(CLONE_NEWPID)));
	CHILD("files and fs", T(unshare(CLONE_FILES | CLONE_FS)));
	/* Mounts that need a right or make no sense. */
	T(mount("none", "/nothing", "tmpfs", 0, NULL));
	T(mount("none", "/mnt", "nosuchfs", 0, NULL));
	T(umount("/etc"));
	CHILD("mount as a user", setresuid(1234, 1234, 1234); T(mount("none", "/mnt", "tmpfs", 0, NULL)); T(umount("/proc")));
	return 0;
}

/* proc and sysfs mounted afresh in a user namespace show no more than those that are there: EPERM where all of
   them are covered in part. bevor-test: user=root */
#include "mnt.h"
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void try_mount(const char *type, unsigned long flags)
{
	out("%s %lx: ", type, flags);
	if (mount("none", "q", type, flags, NULL)) {
		out("%s\n", errname(errno));
		return;
	}
	out("mounted, ");
	out("writable %s\n", mount(NULL, "q", NULL, MS_REMOUNT | MS_BIND, NULL) ? errname(errno) : "again");
	MUST(umount2("q", MNT_DETACH));
}

static void try_fsmount(const char *type)
{
	int context = MUST(syscall(SYS_fsopen, type, 0));
	/* FSCONFIG_CMD_CREATE */
	MUST(syscall(SYS_fsconfig, context, 6, NULL, NULL, 0));
	int tree = syscall(SYS_fsmount, context, 0, 0);
	out("fsmount %s: %s\n", type, tree < 0 ? errname(errno) : "done");
	close(tree);
	close(context);
}

/* In namespaces of its own: user, mount, process and network. */
static void inside(const char *what)
{
	out("-- %s\n", what);
	pid_t child = fork();
	if (!child) {
		mnt_user_namespace();
		MUST(unshare(CLONE_NEWPID | CLONE_NEWNET));
		child = fork();
		if (!child) {
			try_mount("proc", 0);
			try_mount("proc", MS_RDONLY);
			try_mount("sysfs", 0);
			try_mount("sysfs", MS_RDONLY);
			try_mount("tmpfs", 0);
			try_fsmount("proc");
			try_fsmount("sysfs");
			_exit(0);
		}
		waitpid(child, NULL, 0);
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

int main(void)
{
	mnt_scratch();
	mkdir("p", 0755);
	mkdir("s", 0755);
	mkdir("q", 0755);
	close(make_file("file", "x"));
	/* The ones there were before do not count from here on. */
	MUST(mount("none", "/proc/sys", "tmpfs", 0, NULL));
	MUST(mount("none", "/sys/fs", "tmpfs", 0, NULL));
	inside("covered");
	MUST(mount("none", "p", "proc", 0, NULL));
	MUST(mount("none", "s", "sysfs", 0, NULL));
	inside("whole");
	MUST(mount("none", "s/fs/cgroup", "tmpfs", 0, NULL));
	inside("an empty directory covered");
	MUST(umount2("s/fs/cgroup", 0));
	MUST(mount("file", "p/meminfo", NULL, MS_BIND, NULL));
	MUST(mount("none", "s/devices", "tmpfs", 0, NULL));
	inside("a file covered");
	MUST(umount2("p/meminfo", 0));
	MUST(umount2("s/devices", 0));
	MUST(mount(NULL, "p", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	MUST(mount(NULL, "s", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	inside("read-only");
	MUST(umount2("p", MNT_DETACH));
	MUST(umount2("s", MNT_DETACH));
	inside("gone");
	MUST(umount2("/sys/fs", 0));
	MUST(umount2("/proc/sys", 0));
	mnt_unscratch();
	return 0;
}

/* mount, umount2 and pivot_root: forms, flags, errors. bevor-test: user=both */
#include "mnt.h"
#include <sys/statvfs.h>

static void flags_of(const char *path)
{
	struct statvfs buf;
	if (statvfs(path, &buf))
		out("%s: %s\n", path, errname(errno));
	else
		out("%s: %lx\n", path, buf.f_flag & ~0x20UL);
}

static void forms(void)
{
	mkdir("a", 0755);
	mkdir("b", 0755);
	close(make_file("file", "x"));
	close(make_file("file2", "y"));
	symlink("a", "link");
	/* arguments */
	T(mount("none", "a", NULL, 0, NULL));
	T(mount("none", "a", "nosuchfs", 0, NULL));
	T(mount("none", "a", "", 0, NULL));
	T(mount("none", "missing", "tmpfs", 0, NULL));
	T(mount("none", "", "tmpfs", 0, NULL));
	T(mount("none", "file", "tmpfs", 0, NULL));
	T(mount("none", (void *)8, "tmpfs", 0, NULL));
	T(mount((void *)8, "a", "tmpfs", 0, NULL));
	T(mount("none", "a", (void *)8, 0, NULL));
	T(mount("none", "a", "tmpfs", 0, (void *)8));
	T(mount("none", "a", "tmpfs", 1UL << 31, NULL));
	T(mount("none", "a", "tmpfs", 0, "bogus"));
	T(mount("none", "a", "tmpfs", 0, "size=x"));
	T(mount("none", "a", "tmpfs", 0, "mode=9"));
	T(mount(NULL, "a", NULL, MS_BIND, NULL));
	T(mount("", "a", NULL, MS_BIND, NULL));
	T(mount("missing", "a", NULL, MS_BIND, NULL));
	T(mount("file", "a", NULL, MS_BIND, NULL));
	T(mount("a", "file", NULL, MS_BIND, NULL));
	T(mount(NULL, "a", NULL, MS_MOVE, NULL));
	T(mount("", "a", NULL, MS_MOVE, NULL));
	T(mount("missing", "a", NULL, MS_MOVE, NULL));
	T(mount("a", "b", NULL, MS_MOVE, NULL));
	T(mount("file", "b", NULL, MS_MOVE, NULL));
	T(mount(NULL, "a", NULL, MS_SHARED, NULL));
	T(mount(NULL, "file", NULL, MS_SLAVE, NULL));
	T(mount(NULL, ".", NULL, MS_SHARED | MS_PRIVATE, NULL));
	T(mount(NULL, ".", NULL, MS_SHARED | MS_RDONLY, NULL));
	T(mount(NULL, "a", NULL, MS_REMOUNT, NULL));
	T(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND, NULL));
	T(umount2("a", 0));
	T(umount2("missing", 0));
	T(umount2("file", 0));
	T(umount2(".", 0x100));
	T(umount2("a", MNT_EXPIRE | MNT_FORCE));
	T(umount2("a", MNT_EXPIRE | MNT_DETACH));
	T(umount2("a", MNT_EXPIRE));
	T(umount2("", 0));
	T(umount2((void *)8, 0));
	/* what works */
	T(mount("src", "a", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | 0xc0ed0000, "size=1m"));
	T(mount("src2", "link", "tmpfs", MS_NOATIME, NULL));
	mnt_show("two on one place");
	T(umount2("link", UMOUNT_NOFOLLOW));
	T(umount2("link", 0));
	close(make_file("a/in", "1"));
	mkdir("a/sub", 0755);
	T(mount("a/sub", "b", NULL, MS_BIND, NULL));
	T(mount("file", "file2", NULL, MS_BIND | MS_RDONLY, NULL));
	T(mount("a/in", "file2", NULL, MS_BIND, NULL));
	mnt_show("binds");
	T(umount2("file2", 0));
	T(umount2("file2", 0));
	T(mount("a", "a", "tmpfs", MS_RDONLY, NULL));
	T(open("a/x", O_CREAT | O_RDWR, 0600));
	T(umount2("a", 0));
	T(umount2("b", 0));
	T(umount2("a", 0));
	/* busy */
	T(mount("src", "a", "tmpfs", 0, NULL));
	int fd = open("a/open", O_CREAT | O_RDWR, 0600);
	T(umount2("a", 0));
	close(fd);
	fd = open("a", O_PATH);
	T(umount2("a", 0));
	close(fd);
	mkdir("a/m", 0755);
	T(mount("inner", "a/m", "tmpfs", 0, NULL));
	T(umount2("a", 0));
	T(rmdir("a/m"));
	T(rename("a/m", "a/n"));
	T(rename("a", "c"));
	T(rmdir("a"));
	T(unlink("a"));
	fd = open("a/m/inside", O_CREAT | O_RDWR, 0600);
	T(umount2("a", MNT_DETACH));
	T(write(fd, "still", 5));
	mnt_show("detached");
	T(umount2("a", 0));
	close(fd);
	T(rmdir("a"));
	mkdir("a", 0755);
	/* expiry */
	T(mount("src", "a", "tmpfs", 0, NULL));
	T(umount2("a", MNT_EXPIRE));
	T(access("a/.", F_OK));
	T(umount2("a", MNT_EXPIRE));
	T(umount2("a", MNT_EXPIRE));
	T(umount2("a", MNT_EXPIRE));
	T(mount("src", "a", "tmpfs", 0, NULL));
	fd = open("a", O_RDONLY);
	T(umount2("a", MNT_EXPIRE));
	close(fd);
	/* move */
	mkdir("a/x", 0755);
	T(mount("a", "b", NULL, MS_MOVE, NULL));
	T(access("b/x", F_OK));
	T(access("a/x", F_OK));
	T(mount("b", "b/x", NULL, MS_MOVE, NULL));
	T(mount("b/x", "a", NULL, MS_MOVE, NULL));
	T(mount("b", "file", NULL, MS_MOVE, NULL));
	T(mount("inner", "b/x", "tmpfs", 0, NULL));
	T(mount("b/x", "a", NULL, MS_MOVE, NULL));
	mnt_show("moved");
	T(umount2("a", 0));
	T(umount2("b", 0));
}

static void mount_flags(void)
{
	flags_of(".");
	T(mount("f", "a", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NODIRATIME | MS_NOSYMFOLLOW, NULL));
	flags_of("a");
	T(mount("/bin/true", "file", NULL, MS_BIND, NULL));
	T(umount2("file", 0));
	symlink("in", "a/link");
	close(make_file("a/in", "x"));
	T(open("a/link", O_RDONLY) >= 0 ? 0 : -1);
	T(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_NOEXEC, NULL));
	flags_of("a");
	T(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_STRICTATIME, NULL));
	flags_of("a");
	T(open("a/new", O_CREAT | O_RDWR, 0600));
	T(open("a/in", O_RDWR));
	T(mkdir("a/dir", 0700));
	T(unlink("a/in"));
	T(chmod("a/in", 0600));
	T(rename("a/in", "a/out"));
	T(truncate("a/in", 1));
	T(access("a/in", W_OK));
	T(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_NOATIME, NULL));
	flags_of("a");
	T(mount(NULL, "a", NULL, MS_REMOUNT, "size=2m"));
	flags_of("a");
	T(mount(NULL, "a", NULL, MS_REMOUNT | MS_RELATIME, NULL));
	flags_of("a");
	T(mount(NULL, "a", NULL, MS_REMOUNT, "bogus=1"));
	/* read-only while written to */
	int fd = open("a/in", O_RDWR);
	T(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	T(mount(NULL, "a", NULL, MS_REMOUNT | MS_RDONLY, NULL));
	close(fd);
	T(mount(NULL, "a", NULL, MS_REMOUNT | MS_RDONLY, NULL));
	flags_of("a");
	T(mount("a", "b", NULL, MS_BIND, NULL));
	flags_of("b");
	T(mount(NULL, "a", NULL, MS_REMOUNT, NULL));
	flags_of("a");
	flags_of("b");
	T(umount2("b", 0));
	/* noexec, nosuid, nodev are looked at where they count */
	T(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_NOEXEC, NULL));
	fd = open("a/prog", O_CREAT | O_RDWR, 0755);
	write(fd, "#!/bin/sh\nexit 3\n", 17);
	close(fd);
	CHILD("noexec", execl("a/prog", "prog", (char *)NULL); out("%s\n", errname(errno)));
	T(access("a/prog", X_OK));
	fd = open("a/prog", O_RDONLY);
	void *map = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	out("mmap: %s\n", map == MAP_FAILED ? errname(errno) : "ok");
	map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	T(mprotect(map, 4096, PROT_READ | PROT_EXEC));
	close(fd);
	T(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND, NULL));
	CHILD("exec", execl("a/prog", "prog", (char *)NULL); out("%s\n", errname(errno)));
	if (!getuid()) {
		T(mknod("a/null", S_IFCHR | 0666, 0x103));
		T(open("a/null", O_RDONLY) >= 0 ? 0 : -1);
		T(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_NODEV, NULL));
		T(open("a/null", O_RDONLY));
		T(open("a/null", O_PATH) >= 0 ? 0 : -1);
	}
	T(umount2("a", MNT_DETACH));
}

static void access_times(void)
{
	struct stat st;
	struct timespec old[2] = { { 1000, 0 }, { 2000, 0 } };
	char c;
	static const struct { const char *name; unsigned long flags; } rules[] = {
		{ "relatime", 0 }, { "noatime", MS_NOATIME }, { "strictatime", MS_STRICTATIME },
		{ "nodiratime", MS_NODIRATIME | MS_STRICTATIME }, { "ro", MS_RDONLY },
	};
	for (int i = 0; i < 5; i++) {
		T(mount("t", "a", "tmpfs", 0, NULL));
		close(make_file("a/f", "x"));
		mkdir("a/d", 0755);
		for (int later = 0; later < 2; later++) {
			/* first older than the change, then newer */
			old[0].tv_sec = later ? 4000000000 : 1000;
			utimensat(AT_FDCWD, "a/f", old, 0);
			utimensat(AT_FDCWD, "a/d", old, 0);
			MUST(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | rules[i].flags, NULL));
			int fd = open("a/f", O_RDONLY);
			read(fd, &c, 1);
			close(fd);
			fd = open("a/d", O_RDONLY | O_DIRECTORY);
			char entries[512];
			syscall(SYS_getdents64, fd, entries, sizeof entries);
			close(fd);
			stat("a/f", &st);
			out("%s %d file %s\n", rules[i].name, later, st.st_atime == old[0].tv_sec ? "kept" : "moved");
			stat("a/d", &st);
			out("%s %d dir %s\n", rules[i].name, later, st.st_atime == old[0].tv_sec ? "kept" : "moved");
			MUST(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND, NULL));
		}
		T(umount2("a", 0));
	}
}

static void pivot(void)
{
	mkdir("new", 0755);
	mkdir("other", 0755);
	T(syscall(SYS_pivot_root, "missing", "new"));
	T(syscall(SYS_pivot_root, "file", "new"));
	T(syscall(SYS_pivot_root, "new", "file"));
	T(syscall(SYS_pivot_root, "new", "new"));
	T(mount("newroot", "new", "tmpfs", 0, NULL));
	mkdir("new/old", 0755);
	mkdir("new/sub", 0755);
	close(make_file("new/old-file", ""));
	T(syscall(SYS_pivot_root, "new", "other"));
	T(syscall(SYS_pivot_root, "new/sub", "new/sub"));
	T(syscall(SYS_pivot_root, "/", "new/old"));
	T(syscall(SYS_pivot_root, "new", "new/old-file"));
	CHILD("shared parent", {
		T(mount(NULL, ".", NULL, MS_SHARED, NULL));
		T(syscall(SYS_pivot_root, "new", "new/old"));
		T(mount(NULL, ".", NULL, MS_PRIVATE, NULL));
		T(unshare(CLONE_NEWNS));
		T(mount(NULL, "new", NULL, MS_SHARED, NULL));
		T(syscall(SYS_pivot_root, "new", "new/old"));
	});
	CHILD("chrooted", {
		T(chroot("other"));
		T(syscall(SYS_pivot_root, "/", "/"));
	});
	CHILD("pivot", {
		T(unshare(CLONE_NEWNS));
		T(syscall(SYS_pivot_root, "new", "new/old"));
		char cwd[PATH_MAX];
		out("%d\n", getcwd(cwd, sizeof cwd) ? !strncmp(cwd, "/old/dev/shm/", 13) : -errno);
		T(access("/old/proc/self", F_OK));
		T(access("/sub", F_OK));
		T(access("/proc", F_OK));
		T(chdir("/"));
		T(umount2("/old", 0));
		T(umount2("/old", MNT_DETACH));
		T(access("/old/proc", F_OK));
		T(umount2("/", 0));
		T(open("/sub/new", O_CREAT | O_RDWR, 0600));
		T(access("/sub", F_OK));
	});
	CHILD("pivot onto itself", {
		T(unshare(CLONE_NEWNS));
		int old = open("/", O_RDONLY | O_DIRECTORY);
		T(chdir("new"));
		T(syscall(SYS_pivot_root, ".", "."));
		T(fchdir(old));
		T(umount2(".", MNT_DETACH));
		T(chdir("/"));
		T(access("/sub", F_OK));
		T(access("/proc", F_OK));
	});
	T(umount2("new", 0));
}

static void refused(void)
{
	CHILD("without the capability", {
		if (!getuid())
			setresuid(1234, 1234, 1234);
		else
			MUST(unshare(CLONE_NEWUSER));
		T(mount("none", "a", "tmpfs", 0, NULL));
		T(mount("none", "missing", "tmpfs", 0, NULL));
		T(mount("none", "a", "nosuchfs", 0, NULL));
		T(mount(NULL, ".", NULL, MS_SHARED, NULL));
		T(mount("a", "b", NULL, MS_BIND, NULL));
		T(umount2(".", 0));
		T(umount2("missing", 0));
		T(umount2(".", 0x100));
		T(syscall(SYS_pivot_root, "a", "b"));
		T(syscall(SYS_pivot_root, "missing", "b"));
	});
}

int main(void)
{
	mnt_scratch();
	forms();
	mount_flags();
	access_times();
	pivot();
	refused();
	mnt_unscratch();
	return 0;
}

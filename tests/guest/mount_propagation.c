/* Shared, slave, private and unbindable mounts, and what user namespaces lock.
 * bevor-test: user=both */
#include "mnt.h"

static void fresh(void)
{
	static int nr;
	char name[16];
	snprintf(name, sizeof name, "n%d", nr++);
	MUST(mkdir(name, 0755));
	MUST(mount("fresh", name, "tmpfs", 0, NULL));
	MUST(chdir(name));
	for (const char *at = "abcdefgh"; *at; at++)
		mkdir((char[]){ *at, 0 }, 0755);
}

static void done(void)
{
	MUST(chdir(mnt_base));
	char name[16];
	static int nr;
	snprintf(name, sizeof name, "n%d", nr++);
	umount2(name, MNT_DETACH);
}

static void in(const char *title, void (*body)(void))
{
	out("== %s\n", title);
	fresh();
	body();
	done();
}

static void types(void)
{
	T(mount("m", "a", "tmpfs", 0, NULL));
	T(mount(NULL, "a", NULL, MS_SHARED, NULL));
	mnt_show("shared");
	T(mount("a", "b", NULL, MS_BIND, NULL));
	mnt_show("peers");
	T(mount(NULL, "b", NULL, MS_SLAVE, NULL));
	mnt_show("slave");
	T(mount(NULL, "b", NULL, MS_SHARED, NULL));
	mnt_show("shared slave");
	T(mount("b", "c", NULL, MS_BIND, NULL));
	T(mount(NULL, "c", NULL, MS_SLAVE, NULL));
	T(mount(NULL, "b", NULL, MS_PRIVATE, NULL));
	mnt_show("the middle one is private");
	T(mount(NULL, "a", NULL, MS_PRIVATE, NULL));
	mnt_show("the master is private");
	T(mount(NULL, "a", NULL, MS_UNBINDABLE, NULL));
	T(mount("a", "d", NULL, MS_BIND, NULL));
	T(mount(".", "d", NULL, MS_BIND | MS_REC, NULL));
	mnt_show("unbindable");
	T(mount(NULL, "a", NULL, MS_SHARED, NULL));
	T(mount(NULL, "a", NULL, MS_SLAVE, NULL));
	T(mount(NULL, "a", NULL, MS_SLAVE, NULL));
	mnt_show("a slave without master");
}

static void spreading(void)
{
	T(mount("m", "a", "tmpfs", 0, NULL));
	T(mount(NULL, "a", NULL, MS_SHARED, NULL));
	mkdir("a/x", 0755);
	mkdir("a/y", 0755);
	mkdir("a/x/z", 0755);
	T(mount("a", "b", NULL, MS_BIND, NULL));
	T(mount("a", "c", NULL, MS_BIND, NULL));
	T(mount(NULL, "c", NULL, MS_SLAVE, NULL));
	T(mount("a/x", "d", NULL, MS_BIND, NULL));
	T(mount("sub", "a/y", "tmpfs", 0, NULL));
	mnt_show("one mount, three places");
	T(mount("deep", "a/x/z", "tmpfs", 0, NULL));
	mnt_show("also where only a part is visible");
	T(mount("own", "c/x", "tmpfs", 0, NULL));
	mnt_show("not from a slave");
	T(umount2("a/y", 0));
	mnt_show("gone everywhere");
	T(umount2("b/x/z", 0));
	mnt_show("also from a peer");
}

static void tucked(void)
{
	T(mount("m", "a", "tmpfs", 0, NULL));
	mkdir("a/x", 0755);
	T(mount(NULL, "a", NULL, MS_SHARED, NULL));
	T(mount("a", "b", NULL, MS_BIND, NULL));
	T(mount(NULL, "b", NULL, MS_SLAVE, NULL));
	T(mount("over", "b/x", "tmpfs", 0, NULL));
	close(make_file("b/x/over", ""));
	T(mount("under", "a/x", "tmpfs", 0, NULL));
	close(make_file("a/x/under", ""));
	mnt_show("the slave's own mount stays on top");
	T(access("b/x/over", F_OK));
	T(umount2("b/x", 0));
	T(access("b/x/under", F_OK));
	T(umount2("a/x", 0));
	mnt_show("both gone");
	T(mount("over", "b/x", "tmpfs", 0, NULL));
	T(mount("under", "a/x", "tmpfs", 0, NULL));
	T(umount2("a/x", 0));
	mnt_show("the tucked one is taken out again");
	T(umount2("b/x", 0));
	T(mount("here", "a/x", "tmpfs", 0, NULL));
	T(umount2("b/x", 0));
	T(mount("other", "b/x", "tmpfs", 0, NULL));
	T(umount2("a/x", 0));
	mnt_show("whatever is mounted there goes");
}

static void trees(void)
{
	T(mount("m", "a", "tmpfs", 0, NULL));
	mkdir("a/x", 0755);
	mkdir("a/y", 0755);
	T(mount("x", "a/x", "tmpfs", MS_NODEV, NULL));
	mkdir("a/x/deep", 0755);
	T(mount("deep", "a/x/deep", "tmpfs", MS_RDONLY, NULL));
	T(mount("y", "a/y", "tmpfs", 0, NULL));
	T(mount("a", "b", NULL, MS_BIND, NULL));
	mnt_show("plain bind");
	T(umount2("b", 0));
	T(mount("a", "b", NULL, MS_BIND | MS_REC, NULL));
	mnt_show("recursive bind");
	T(umount2("b", MNT_DETACH));
	T(mount(NULL, "a/x", NULL, MS_UNBINDABLE, NULL));
	T(mount("a", "b", NULL, MS_BIND | MS_REC, NULL));
	mnt_show("unbindable parts left out");
	T(umount2("b", MNT_DETACH));
	T(mount("t", "c", "tmpfs", 0, NULL));
	T(mount(NULL, "c", NULL, MS_SHARED, NULL));
	mkdir("c/in", 0755);
	T(mount("a", "c/in", NULL, MS_MOVE, NULL));
	T(mount(NULL, "a/x", NULL, MS_PRIVATE, NULL));
	T(mount("a", "c/in", NULL, MS_MOVE, NULL));
	mnt_show("moved to where it is shared");
	T(mount("c/in/x", "d", NULL, MS_MOVE, NULL));
	T(mount(NULL, "c", NULL, MS_REC | MS_PRIVATE, NULL));
	T(mount("c/in/x", "d", NULL, MS_MOVE, NULL));
	T(mount(NULL, "c", NULL, MS_REC | MS_SLAVE, NULL));
	mnt_show("end");
	/* a bind of a tree onto a place inside itself */
	mkdir("e/in", 0755);
	T(mount("e", "e", NULL, MS_BIND, NULL));
	T(mount(NULL, "e", NULL, MS_SHARED, NULL));
	T(mount("e", "e/in", NULL, MS_BIND | MS_REC, NULL));
	mnt_show("into itself");
}

static void namespaces(void)
{
	T(mount("m", "a", "tmpfs", 0, NULL));
	T(mount(NULL, "a", NULL, MS_SHARED, NULL));
	mkdir("a/x", 0755);
	mkdir("a/y", 0755);
	int go[2], back[2];
	char c;
	MUST(pipe(go));
	MUST(pipe(back));
	pid_t pid = fork();
	if (!pid) {
		T(unshare(CLONE_NEWNS));
		mnt_show("the copy");
		write(back[1], "1", 1);
		read(go[0], &c, 1);
		mnt_show("came over");
		T(mount("there", "a/y", "tmpfs", 0, NULL));
		write(back[1], "1", 1);
		read(go[0], &c, 1);
		_exit(0);
	}
	read(back[0], &c, 1);
	T(mount("here", "a/x", "tmpfs", 0, NULL));
	write(go[1], "1", 1);
	read(back[0], &c, 1);
	mnt_show("went back");
	write(go[1], "1", 1);
	reap("other namespace", pid);
	T(umount2("a/y", 0));
	T(umount2("a/x", 0));
}

static void locked(void)
{
	T(mount("m", "a", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY | MS_NOATIME, NULL));
	T(mount("s", "b", "tmpfs", 0, NULL));
	T(mount(NULL, "b", NULL, MS_SHARED, NULL));
	mkdir("b/x", 0755);
	T(mount("u", "c", "tmpfs", 0, NULL));
	T(mount(NULL, "c", NULL, MS_UNBINDABLE, NULL));
	mkdir("d/in", 0755);
	T(mount("d", "d", "tmpfs", 0, NULL));
	mkdir("d/in", 0755);
	T(mount("inner", "d/in", "tmpfs", 0, NULL));
	CHILD("in a user namespace", {
		mnt_user_namespace();
		mnt_show("copy");
		T(umount2("a", 0));
		T(umount2("a", MNT_DETACH));
		T(mount("a", "e", NULL, MS_MOVE, NULL));
		T(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND, NULL));
		T(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
		T(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
		T(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME, NULL));
		T(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME, NULL));
		T(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID, NULL));
		T(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND, NULL));
		T(mount(NULL, "b", NULL, MS_REMOUNT, "size=1m"));
		T(mount("a", "e", NULL, MS_BIND, NULL));
		T(umount2("e", 0));
		T(mount("d", "e", NULL, MS_BIND, NULL));
		T(mount("d", "e", NULL, MS_BIND | MS_REC, NULL));
		T(umount2("e/in", 0));
		T(umount2("e", 0));
		T(umount2("e", MNT_DETACH));
		T(mount(".", "e", NULL, MS_BIND | MS_REC, NULL));
		T(mount("own", "b/x", "tmpfs", 0, NULL));
		T(umount2("b/x", 0));
		T(mount(NULL, "b", NULL, MS_PRIVATE, NULL));
		T(mount("none", "f", "devtmpfs", 0, NULL));
		T(mount("none", "f", "proc", 0, NULL));
		T(mount("none", "f", "sysfs", 0, NULL));
		T(mount("none", "f", "mqueue", 0, NULL));
		mnt_show("end");
	});
	mnt_show("unharmed");
}

int main(void)
{
	mnt_scratch();
	in("types", types);
	in("spreading", spreading);
	in("tucked", tucked);
	in("trees", trees);
	in("namespaces", namespaces);
	in("locked", locked);
	mnt_unscratch();
	return 0;
}

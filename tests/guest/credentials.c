/* User and group ids, capabilities, no-new-privs, setuid programs. */
#include "t.h"
#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

static void ids(const char *what)
{
	uid_t r, e, s;
	gid_t gr, ge, gs;
	getresuid(&r, &e, &s);
	getresgid(&gr, &ge, &gs);
	out("%s: uid %d %d %d gid %d %d %d fs %d %d\n", what, r, e, s, gr, ge, gs, setfsuid(-1), setfsgid(-1));
}

static uint64_t caps(int which)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];
	if (syscall(SYS_capget, &h, d))
		return ~0ULL;
	return which == 0 ? d[0].effective | (uint64_t)d[1].effective << 32
			  : which == 1 ? d[0].permitted | (uint64_t)d[1].permitted << 32 : d[0].inheritable | (uint64_t)d[1].inheritable << 32;
}

static int has(int cap) { return caps(0) >> cap & 1; }

static int set_caps(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = {
		{ effective, permitted, inheritable }, { effective >> 32, permitted >> 32, inheritable >> 32 } };
	return syscall(SYS_capset, &h, d);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		ids(argv[1]);
		out("effective %s permitted %s\n", caps(0) ? "some" : "none", caps(1) ? "some" : "none");
		V(prctl(PR_GET_DUMPABLE));
		V(prctl(PR_GET_KEEPCAPS));
		return 0;
	}
	char start[PATH_MAX];
	getcwd(start, sizeof start);
	scratch();
	chmod(".", 0777);
	char self[PATH_MAX];
	self[readlink("/proc/self/exe", self, sizeof self - 1)] = 0;
	ids("start");
	CHECK(has(CAP_SETUID) && has(CAP_CHOWN) && has(CAP_KILL));
	gid_t groups[40] = { 5, 6, 7 };
	CHILD("groups", {
		T(setgroups(3, groups));
		T(getgroups(0, NULL));
		T(getgroups(2, groups));
		T(getgroups(40, groups));
		out("%d %d %d\n", groups[0], groups[1], groups[2]);
		T(setgroups(70000, groups));
		T(setgroups(0, NULL));
		T(getgroups(0, NULL));
	});
	CHILD("setuid as root", {
		T(setuid(1000));
		ids("after");
		out("caps %s\n", caps(1) ? "some" : "none");
		T(setuid(0));
		T(seteuid(0));
		T(setresuid(-1, -1, -1));
		T(setresuid(1001, -1, -1));
		T(setgid(5));
		T(setgroups(0, NULL));
		T(chroot("/"));
		T(sethostname("x", 1));
		T(kill(getppid(), 0));
		T(nice(-5) == -1 ? -1 : 0);
	});
	CHILD("seteuid and back", {
		T(seteuid(1000));
		ids("down");
		out("effective %s permitted %s\n", caps(0) ? "some" : "none", caps(1) ? "some" : "none");
		T(open("/etc/shadow", O_RDONLY));
		T(setreuid(-1, 0));
		ids("up");
		out("effective %s\n", caps(0) ? "some" : "none");
		T(setreuid(1000, 1001));
		ids("setreuid");
		T(setresuid(1001, 1000, 1001));
		ids("swap");
	});
	CHILD("setresgid", {
		T(setresgid(1, 2, 3));
		ids("gids");
		T(setegid(99));
		T(setgid(4));
		ids("gids");
	});
	CHILD("fsuid", {
		out("%d\n", setfsuid(1000));
		ids("fsuid");
		close(make_file("by_fsuid", ""));
		struct stat st;
		stat("by_fsuid", &st);
		V(st.st_uid);
		T(open("/etc/shadow", O_RDONLY));
	});
	/* Keeping capabilities. */
	CHILD("keepcaps", {
		T(prctl(PR_SET_KEEPCAPS, 1));
		T(setresuid(1000, 1000, 1000));
		out("effective %s permitted %s\n", caps(0) ? "some" : "none", caps(1) ? "some" : "none");
		T(set_caps(1ULL << CAP_CHOWN, 1ULL << CAP_CHOWN, 0));
		close(make_file("mine", ""));
		T(chown("mine", 77, 77));
		T(set_caps(1ULL << CAP_KILL, 1ULL << CAP_KILL, 0));
		char *args[] = { "x", "exec'ed", NULL };
		execv(self, args);
	});
	CHILD("dropping", {
		uint64_t all = caps(1);
		T(set_caps(all & ~(1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_DAC_READ_SEARCH), all, 0));
		close(make_file("closed", ""));
		chmod("closed", 0);
		T(open("closed", O_RDONLY));
		T(set_caps(all, all, 0));
		T(open("closed", O_RDONLY) >= 0 ? 0 : -1);
		T(prctl(PR_CAPBSET_READ, CAP_CHOWN));
		T(prctl(PR_CAPBSET_DROP, CAP_CHOWN));
		T(prctl(PR_CAPBSET_READ, CAP_CHOWN));
		T(prctl(PR_CAPBSET_READ, 63));
		T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0));
		T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
		T(set_caps(all, all, 1ULL << CAP_KILL));
		T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
		T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0));
		T(prctl(PR_SET_SECUREBITS, 0x3f));
		T(prctl(PR_GET_SECUREBITS));
	});
	CHILD("ambient through exec", {
		set_caps(caps(0), caps(1), 1ULL << CAP_KILL);
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0);
		prctl(PR_SET_KEEPCAPS, 1);
		setresuid(1000, 1000, 1000);
		out("ambient %d\n", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0));
		char *args[] = { "x", "exec'ed", NULL };
		execv(self, args);
	});
	struct __user_cap_header_struct odd = { 0x12345678, 0 };
	T(syscall(SYS_capget, &odd, NULL));
	out("%x\n", odd.version);
	/* Set-user-id programs; tmpfs may be mounted without them. */
	char tmpfs[PATH_MAX];
	getcwd(tmpfs, sizeof tmpfs);
	chdir(start);
	int from = open(self, O_RDONLY), to = open("suid", O_CREAT | O_RDWR, 0755);
	char block[65536];
	ssize_t len;
	while ((len = read(from, block, sizeof block)) > 0)
		write(to, block, len);
	fchown(to, 4321, 8765);
	fchmod(to, 06755);
	close(to);
	char *args[] = { "x", "set-user-id", NULL };
	CHILD("suid", setresuid(1000, 1000, 1000); setresgid(1000, 1000, 1000); execv("./suid", args));
	CHILD("suid with no-new-privs", {
		T(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		T(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
		T(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
		setresuid(1000, 1000, 1000);
		execv("./suid", args);
	});
	chown("suid", 0, 0);
	chmod("suid", 04755);
	CHILD("suid root", setresgid(1000, 1000, 1000); setresuid(1000, 1000, 1000); execv("./suid", args));
	unlink("suid");
	chdir(tmpfs);
	/* Permission by group and other. */
	int f = make_file("modes", "x");
	fchown(f, 10, 20);
	for (int mode = 0; mode < 8; mode++) {
		fchmod(f, mode << 6 | (7 - mode) << 3 | mode % 3 * 2);
		CHILD("access", {
			setgroups(0, NULL);
			setresgid(20, 20, 20);
			setresuid(10, 10, 10);
			int owner = access("modes", R_OK) * -4 + access("modes", W_OK) * -2 + access("modes", X_OK) * -1;
			_exit(7 - owner);
		});
		CHILD("access by group", {
			groups[0] = 20;
			setgroups(1, groups);
			setresgid(99, 99, 99);
			setresuid(11, 11, 11);
			int group = access("modes", R_OK) * -4 + access("modes", W_OK) * -2 + access("modes", X_OK) * -1;
			_exit(7 - group);
		});
	}
	/* Group inheritance from a set-group-id folder. */
	mkdir("sg", 0755);
	chown("sg", 0, 333);
	chmod("sg", 02755);
	close(make_file("sg/f", ""));
	mkdir("sg/d", 0755);
	struct stat st;
	stat("sg/f", &st);
	V(st.st_gid);
	stat("sg/d", &st);
	out("%d %o\n", st.st_gid, st.st_mode);
	unscratch();
	return 0;
}

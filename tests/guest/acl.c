/* POSIX access control lists as extended attributes, and their effect. bevor-test: user=both */
#include "t.h"
#include <grp.h>
#include <sys/xattr.h>

#define A "system.posix_acl_access"
#define D "system.posix_acl_default"
enum { U = 1, NU = 2, G = 4, NG = 8, M = 16, O = 32 };

struct entry { uint16_t tag, perm; uint32_t id; };
struct list { uint32_t version; struct entry entries[16]; };

static int set(const char *path, const char *name, int count, const struct entry *entries)
{
	struct list list = { 2 };
	memcpy(list.entries, entries, count * sizeof *entries);
	for (int i = 0; i < count; i++)
		if (list.entries[i].tag != NU && list.entries[i].tag != NG)
			list.entries[i].id = -1;
	return lsetxattr(path, name, &list, 4 + count * 8, 0);
}
#define SET(path, name, ...)                                                   \
	({                                                                     \
		struct entry s_entries[] = { __VA_ARGS__ };                    \
		int s_result = set(path, name, sizeof s_entries / 8, s_entries); \
		out("%s %s %s: %s\n", path, name + 17, #__VA_ARGS__, errname(s_result ? errno : 0)); \
		s_result;                                                      \
	})

static void show(const char *path)
{
	struct stat st;
	struct list list;
	char names[256], line[512] = "";
	if (lstat(path, &st)) {
		out("%s: %s\n", path, errname(errno));
		return;
	}
	for (int i = 0; i < 2; i++) {
		ssize_t len = lgetxattr(path, i ? D : A, &list, sizeof list);
		if (len < 0) {
			snprintf(line + strlen(line), sizeof line - strlen(line), " %s", errname(errno));
			continue;
		}
		snprintf(line + strlen(line), sizeof line - strlen(line), " v%d", list.version);
		for (int j = 0; j < (len - 4) / 8; j++)
			snprintf(line + strlen(line), sizeof line - strlen(line), " %d:%o:%d", list.entries[j].tag, list.entries[j].perm, list.entries[j].id);
	}
	ssize_t len = llistxattr(path, names, sizeof names);
	for (int i = 0; i < len; i++)
		if (!names[i])
			names[i] = ' ';
	out("%s: %o%s [%.*s]\n", path, st.st_mode & 07777, line, len < 0 ? 0 : (int)len, names);
}

static void as(uid_t uid, gid_t gid, const char *path)
{
	CHILD("as", {
		if (setgroups(0, NULL) | setresgid(gid, gid, gid) | setresuid(uid, uid, uid))
			out("BAD ids\n");
		out("%s as %d:%d:%s%s%s", path, uid, gid, access(path, R_OK) ? "" : " r", access(path, W_OK) ? "" : " w", access(path, X_OK) ? "" : " x");
		int fd = open(path, O_RDWR);
		out(" open %s\n", fd < 0 ? errname(errno) : "ok");
	});
}

static void forms(void)
{
	close(make_file("f", "x"));
	mkdir("d", 0755);
	symlink("f", "l");
	mkfifo("p", 0600);
	struct list list = { 2, { { U, 7, -1 }, { G, 5, -1 }, { O, 5, -1 } } };
	char buf[64];
	T(getxattr("f", A, buf, sizeof buf));
	T(getxattr("d", D, buf, sizeof buf));
	T(getxattr("f", D, buf, sizeof buf));
	T(lgetxattr("l", A, buf, sizeof buf));
	T(getxattr("f", "system.bogus", buf, sizeof buf));
	T(setxattr("f", "system.bogus", "x", 1, 0));
	T(setxattr("f", A, &list, 3, 0));
	T(setxattr("f", A, &list, 5, 0));
	T(setxattr("f", A, NULL, 0, 0));
	T(setxattr("f", A, &list, 4, 0));
	list.version = 1;
	T(setxattr("f", A, &list, 28, 0));
	list.version = 2;
	T(lsetxattr("l", A, &list, 28, 0));
	T(setxattr("f", D, &list, 28, 0));
	T(setxattr("f", D, &list, 4, 0));
	T(setxattr("f", A, &list, 28, XATTR_CREATE));
	T(setxattr("f", A, &list, 28, XATTR_REPLACE));
	T(setxattr("f", A, &list, 28, 4));
	show("f");
	SET("f", A, { U, 6 }, { G, 4 });
	SET("f", A, { G, 4 }, { U, 6 }, { O, 0 });
	SET("f", A, { U, 6 }, { NU, 4, 7 }, { G, 4 }, { O, 0 });
	SET("f", A, { U, 6 }, { NU, 4, -1 }, { G, 4 }, { M, 4 }, { O, 0 });
	SET("f", A, { U, 8 }, { G, 4 }, { O, 0 });
	SET("f", A, { U, 6 }, { U, 6 }, { G, 4 }, { O, 0 });
	SET("f", A, { U, 6 }, { G, 4 }, { M, 4 }, { M, 4 }, { O, 0 });
	SET("f", A, { U, 6 }, { 64, 4 }, { G, 4 }, { O, 0 });
	SET("f", A, { U, 6 }, { G, 4 }, { M, 6 }, { O, 1 });
	show("f");
	T(getxattr("f", A, buf, 0));
	T(getxattr("f", A, buf, 10));
	T(chmod("f", 0751));
	show("f");
	T(removexattr("f", A));
	show("f");
	T(removexattr("f", A));
	T(removexattr("f", D));
	T(removexattr("d", D));
	T(lremovexattr("l", A));
	SET("p", A, { U, 6 }, { G, 4 }, { M, 6 }, { O, 1 });
	show("p");
}

static void inheritance(void)
{
	umask(022);
	SET("d", D, { U, 7 }, { NU, 7, 0 }, { G, 5 }, { M, 7 }, { O, 1 });
	show("d");
	close(open("d/file", O_CREAT | O_RDWR, 0666));
	close(open("d/private", O_CREAT | O_RDWR, 0600));
	mkdir("d/dir", 0777);
	mkdir("d/dir/below", 0700);
	mkfifo("d/fifo", 0666);
	mknod("d/node", S_IFREG | 0664, 0);
	symlink("x", "d/link");
	int fd = open("d", O_TMPFILE | O_RDWR, 0666);
	char proc[64];
	snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
	T(linkat(AT_FDCWD, proc, AT_FDCWD, "d/linked", AT_SYMLINK_FOLLOW));
	close(fd);
	static const char *const names[] = { "file", "private", "dir", "dir/below", "fifo", "node", "link", "linked" };
	for (int i = 0; i < 8; i++) {
		char path[64];
		snprintf(path, sizeof path, "d/%s", names[i]);
		show(path);
	}
	SET("d", D, { U, 6 }, { G, 6 }, { O, 6 });
	close(open("d/plain", O_CREAT | O_RDWR, 0666));
	show("d/plain");
	T(rename("d/file", "moved"));
	show("moved");
	T(link("moved", "d/again"));
	show("d/again");
	T(setxattr("d", D, "\2\0\0", 4, 0));
	show("d");
	close(open("d/masked", O_CREAT | O_RDWR, 0666));
	show("d/masked");
}

static void effects(void)
{
	close(make_file("e", "x"));
	chmod("e", 0640);
	as(1000, 2000, "e");
	SET("e", A, { U, 6 }, { NU, 6, 1000 }, { G, 0 }, { NG, 4, 2000 }, { NG, 2, 3000 }, { M, 7 }, { O, 0 });
	show("e");
	as(1000, 2000, "e");
	as(1001, 2000, "e");
	as(1001, 3000, "e");
	as(1001, 2001, "e");
	as(1001, 0, "e");
	as(0, 2000, "e");
	chmod("e", 0600);
	show("e");
	as(1000, 2000, "e");
	chmod("e", 0620);
	as(1000, 2000, "e");
	as(1001, 3000, "e");
	chmod("e", 0677);
	show("e");
	as(1002, 2002, "e");
	as(1000, 2002, "e");
	SET("e", A, { U, 0 }, { NU, 7, 1000 }, { G, 7 }, { M, 7 }, { O, 7 });
	as(0, 0, "e");
	SET("e", A, { U, 6 }, { NU, 0, 1000 }, { G, 7 }, { M, 7 }, { O, 7 });
	as(1000, 0, "e");
	as(1003, 2003, "e");
	chown("e", 1000, 0);
	as(1000, 0, "e");
	/* a set-group-ID bit goes with a group one is not in */
	chown("e", 1000, 2000);
	chmod("e", 02755);
	CHILD("owner", {
		setgroups(0, NULL);
		setresgid(1, 1, 1);
		setresuid(1000, 1000, 1000);
		SET("e", A, { U, 7 }, { NU, 7, 1 }, { G, 7 }, { M, 7 }, { O, 7 });
		show("e");
	});
	/* directories */
	mkdir("s", 0700);
	close(make_file("s/in", "x"));
	as(1000, 2000, "s/in");
	SET("s", A, { U, 7 }, { NU, 1, 1000 }, { G, 0 }, { M, 7 }, { O, 0 });
	as(1000, 2000, "s/in");
	as(1000, 2000, "s");
	as(1001, 2000, "s/in");
	/* others may not change them */
	CHILD("not the owner", {
		setresuid(1001, 1001, 1001);
		SET("e", A, { U, 7 }, { G, 7 }, { O, 7 });
		SET("s", D, { U, 7 }, { G, 7 }, { O, 7 });
		T(removexattr("e", A));
		T(removexattr("e", D));
		show("e");
	});
}

int main(void)
{
	scratch();
	forms();
	inheritance();
	if (!getuid())
		effects();
	unscratch();
	return 0;
}

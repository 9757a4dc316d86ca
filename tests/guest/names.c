/* rename, link, symlink, readlink, unlink. bevor-test: user=both files=few */
#include "t.h"

static void ls(const char *what)
{
	(void)what;
	const char *names[] = { "a", "b", "c", "d", "e", "d/x", "e/x", "d/y", "e/y" };
	char line[256] = "";
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		struct stat st;
		if (lstat(names[i], &st) == 0) {
			char one[64];
			snprintf(one, sizeof one, " %s(%o,%ld,%ld)", names[i], st.st_mode >> 12, (long)st.st_nlink,
				 S_ISREG(st.st_mode) ? (long)st.st_size : 0L);
			strcat(line, one);
		}
	}
	out("%s:%s\n", what, line);
}

int main(void)
{
	scratch();
	char buf[100];
	close(make_file("a", "a"));
	close(make_file("b", "bb"));
	mkdir("d", 0755);
	mkdir("e", 0755);
	ls("start");
	T(rename("a", "c"));
	T(rename("c", "b"));
	ls("over");
	T(rename("nothing", "x"));
	T(rename("b", "nothing/x"));
	T(rename("b", "d"));
	T(rename("d", "b"));
	T(rename("b", "b"));
	T(rename("b", "b/"));
	T(rename("b", "x/"));
	T(rename("d", "x/"));
	T(rename("x", "d"));
	T(rename("d", "d/sub"));
	T(rename("d/.", "y"));
	T(rename("d", "e/."));
	T(rename("/", "y"));
	T(rename(".", "y"));
	T(rename("", "y"));
	T(rename("b", ""));
	close(make_file("e/x", "xxx"));
	T(rename("d", "e"));
	T(rename("e", "d"));
	ls("folders");
	mkdir("e", 0755);
	T(rename("d/x", "e/y"));
	T(link("e/y", "a"));
	T(rename("a", "e/y"));
	ls("same inode");
	T(unlink("a"));

	T(renameat2(AT_FDCWD, "b", AT_FDCWD, "e/y", RENAME_NOREPLACE));
	T(renameat2(AT_FDCWD, "b", AT_FDCWD, "e/y", RENAME_EXCHANGE));
	ls("exchange");
	T(renameat2(AT_FDCWD, "b", AT_FDCWD, "d", RENAME_EXCHANGE));
	ls("exchange kinds");
	T(renameat2(AT_FDCWD, "b", AT_FDCWD, "d", RENAME_EXCHANGE));
	T(renameat2(AT_FDCWD, "b", AT_FDCWD, "nothing", RENAME_EXCHANGE));
	T(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_NOREPLACE));
	T(renameat2(AT_FDCWD, "c", AT_FDCWD, "b", 0x100));
	T(renameat2(AT_FDCWD, "c", AT_FDCWD, "b", RENAME_EXCHANGE | RENAME_NOREPLACE));
	T(rename("c", "b"));
	T(rename("b", "/proc/x"));
	ls("more");

	T(link("b", "c"));
	ls("linked");
	T(link("b", "c"));
	T(link("d", "x"));
	T(link("nothing", "x"));
	T(link("b", "nothing/x"));
	T(link("b", "/proc/x"));
	T(unlink("b"));
	ls("one name left");
	T(unlink("b"));
	T(unlink("d"));
	T(unlink("c/"));
	T(unlink(""));
	T(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
	T(unlinkat(AT_FDCWD, "c", AT_REMOVEDIR));
	T(unlinkat(AT_FDCWD, "c", 0x40));

	T(symlink("target", "s"));
	T(symlink("target", "s"));
	T(symlink("", "empty"));
	T(symlink("x", "nothing/s"));
	T(readlink("s", buf, sizeof buf));
	T(readlink("s", buf, 3));
	out_bytes("cut", buf, 3);
	T(readlink("s", buf, 0));
	T(readlink("c", buf, 10));
	T(readlink("nothing", buf, 10));
	T(readlink("d", buf, 10));
	T(link("s", "s2"));
	struct stat st;
	MUST(lstat("s2", &st));
	V(S_ISLNK(st.st_mode));
	T(linkat(AT_FDCWD, "s", AT_FDCWD, "s3", AT_SYMLINK_FOLLOW));
	T(rename("s", "s4"));
	T(rename("s4", "c"));
	MUST(lstat("c", &st));
	V(S_ISLNK(st.st_mode));
	T(unlink("c"));
	int opath = MUST(open("s2", O_PATH | O_NOFOLLOW));
	T(readlinkat(opath, "", buf, sizeof buf));
	T(mkdir("real", 0755));
	T(symlink("real", "via"));
	T(symlink("../real/f", "real/up"));
	close(make_file("via/f", "deep"));
	T(access("real/up", F_OK));
	T(access("via/up", F_OK));
	T(unlink("via/"));
	T(rmdir("via/"));
	T(rename("via/", "moved"));
	T(rename("real", "via/inside"));
	T(mkdir("via/new", 0755));
	T(rmdir("real/new"));

	/* Forty links in a row are followed, no more. */
	close(make_file("l0", "end"));
	for (int i = 1; i <= 45; i++) {
		char from[10], to[10];
		snprintf(from, sizeof from, "l%d", i - 1);
		snprintf(to, sizeof to, "l%d", i);
		symlink(from, to);
	}
	T(access("l40", F_OK));
	T(access("l41", F_OK));

	/* An open file lives on without a name. */
	int fd = make_file("u", "alive");
	T(unlink("u"));
	T(pread(fd, buf, 10, 0));
	MUST(fstat(fd, &st));
	V(st.st_nlink);
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t len = readlink(path, buf, sizeof buf);
	CHECK(len > 10 && !memcmp(buf + len - 10, " (deleted)", 10));
	int again = open(path, O_RDONLY);
	T(read(again, buf, 10));

	/* Sticky folders. */
	if (getuid() == 0) {
		mkdir("sticky", 01777);
		chmod("sticky", 01777);
		chmod(".", 0777);
		close(make_file("sticky/root", ""));
		CHILD("sticky", {
			MUST(setresuid(1234, 1234, 1234));
			T(unlink("sticky/root"));
			T(rename("sticky/root", "sticky/mine"));
			close(make_file("sticky/mine", ""));
			T(rename("sticky/mine", "sticky/root"));
			T(unlink("sticky/mine"));
		});
	}
	unscratch();
	return 0;
}

/* Random sequences of file operations; every result is printed. bevor-test: user=both timeout=60 files=few */
#include "t.h"
#include <dirent.h>

static unsigned long seed;
static unsigned rnd(unsigned below)
{
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return (seed >> 33) % below;
}

static const char *name(void)
{
	static char texts[4][64];
	static int next;
	char *text = texts[next++ % 4];
	static const char *parts[] = { "a", "b", "c", "d", ".", "..", "e" };
	int depth = 1 + rnd(3);
	text[0] = 0;
	for (int i = 0; i < depth; i++) {
		if (i)
			strcat(text, "/");
		strcat(text, parts[rnd(i ? 7 : 4)]);
	}
	if (rnd(20) == 0)
		strcat(text, "/");
	return text;
}

static void result(const char *what, const char *a, const char *b, long value)
{
	if (value < 0)
		out("%s %s %s: %s\n", what, a, b, errname(errno));
	else
		out("%s %s %s: %ld\n", what, a, b, value);
}

static unsigned long sum(const char *bytes, ssize_t len)
{
	unsigned long total = 7;
	for (ssize_t i = 0; i < len; i++)
		total = total * 31 + (unsigned char)bytes[i];
	return total;
}

static int fds[6] = { -1, -1, -1, -1, -1, -1 };
static char buf[70000];

static void step(void)
{
	const char *a = name(), *b = name();
	struct stat st;
	int slot = rnd(6), fd = fds[slot];
	char number[32];
	snprintf(number, sizeof number, "fd%d", slot);
	switch (rnd(24)) {
	case 0: case 1: result("mkdir", a, "", mkdir(a, 0755)); break;
	case 2: result("rmdir", a, "", rmdir(a)); break;
	case 3: result("unlink", a, "", unlink(a)); break;
	case 4: case 5: result("rename", a, b, rename(a, b)); break;
	case 6: result("link", a, b, link(a, b)); break;
	case 7: result("symlink", a, b, symlink(a, b)); break;
	case 8: case 9: case 10: {
		static const int flags[] = { O_RDONLY, O_RDWR, O_WRONLY, O_RDWR | O_CREAT, O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_EXCL,
					     O_RDWR | O_TRUNC, O_WRONLY | O_APPEND | O_CREAT, O_RDONLY | O_NOFOLLOW, O_RDONLY | O_DIRECTORY };
		int flag = flags[rnd(10)];
		if (fd >= 0)
			close(fd);
		fds[slot] = open(a, flag, 0644);
		snprintf(number, sizeof number, "%o", flag);
		result("open", a, number, fds[slot] < 0 ? -1 : 0);
		break;
	}
	case 11: case 12: {
		unsigned len = rnd(4) ? rnd(300) : rnd(sizeof buf), fill = rnd(256);
		memset(buf, fill, len);
		result("write", number, "", write(fd, buf, len));
		break;
	}
	case 13: {
		ssize_t len = read(fd, buf, rnd(5000));
		result("read", number, "", len);
		if (len > 0)
			out("  %lx\n", sum(buf, len));
		break;
	}
	case 14: result("lseek", number, "", lseek(fd, rnd(100000), rnd(3))); break;
	case 15: result("ftruncate", number, "", ftruncate(fd, rnd(100000))); break;
	case 16: {
		unsigned at = rnd(90000), len = rnd(500);
		memset(buf, at, len);
		result("pwrite", number, "", pwrite(fd, buf, len, at));
		break;
	}
	case 17: {
		ssize_t len = pread(fd, buf, sizeof buf, rnd(50000));
		result("pread", number, "", len);
		if (len > 0)
			out("  %lx\n", sum(buf, len));
		break;
	}
	case 18: {
		long r = lstat(a, &st);
		result("lstat", a, "", r);
		if (r == 0)
			out("  mode %o nlink %ld size %ld\n", st.st_mode, (long)st.st_nlink, S_ISREG(st.st_mode) ? (long)st.st_size : -1);
		break;
	}
	case 19: {
		long r = stat(a, &st);
		result("stat", a, "", r);
		if (r == 0 && S_ISREG(st.st_mode))
			out("  size %ld\n", (long)st.st_size);
		break;
	}
	case 20: result("chmod", a, "", chmod(a, 0400 + rnd(0400))); break;
	case 21: {
		struct dirent **list;
		int count = scandir(a, &list, NULL, alphasort);
		result("list", a, "", count);
		for (int i = 0; i < count; i++) {
			out("  %s %d\n", list[i]->d_name, list[i]->d_type);
			free(list[i]);
		}
		break;
	}
	case 22: {
		static const int kinds[] = { RENAME_NOREPLACE, RENAME_EXCHANGE };
		result("renameat2", a, b, renameat2(AT_FDCWD, a, AT_FDCWD, b, kinds[rnd(2)]));
		break;
	}
	default: {
		ssize_t len = readlink(a, buf, 100);
		result("readlink", a, "", len);
	}
	}
}

int main(void)
{
	/* In the folder the program was started in, and on tmpfs. */
	for (int where = 0; where < 2; where++) {
		if (where)
			scratch();
		umask(022);
		for (int run = 1; run <= 8; run++) {
			char dir[16];
			snprintf(dir, sizeof dir, "run%d", run);
			MUST(mkdir(dir, 0755));
			MUST(chdir(dir));
			MUST(mkdir("d", 0755));
			MUST(mkdir("root", 0755));
			MUST(chdir("root"));
			seed = run * 1000 + where;
			out("== %d %d\n", where, run);
			for (int i = 0; i < 500; i++) {
				step();
			}
			for (int i = 0; i < 6; i++)
				if (fds[i] >= 0)
					close(fds[i]), fds[i] = -1;
			MUST(chdir("../.."));
		}
	}
	unscratch();
	return 0;
}

/* Folders: mkdir, rmdir, getdents, seekdir, chdir, getcwd. bevor-test: user=both files=few */
#include "t.h"
#include <dirent.h>

static int compare(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

static void list(const char *path)
{
	DIR *dir = opendir(path);
	if (!dir) {
		out("opendir %s: %s\n", path, errname(errno));
		return;
	}
	char *names[3000];
	int count = 0;
	struct dirent *entry;
	while ((entry = readdir(dir)) && count < 3000) {
		char line[300];
		snprintf(line, sizeof line, "%s type %d", entry->d_name, entry->d_type);
		names[count++] = strdup(line);
	}
	closedir(dir);
	qsort(names, count, sizeof *names, compare);
	out("%s: %d entries\n", path, count);
	for (int i = 0; i < count && i < 20; i++)
		out("  %s\n", names[i]);
}

struct dirent64_raw {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

int main(void)
{
	scratch();
	char buf[4096], cwd[PATH_MAX], name[300];
	T(mkdir("d", 0755));
	T(mkdir("d", 0755));
	T(mkdir("d/a/b", 0755));
	T(mkdir("d/a/", 0755));
	T(mkdir("", 0755));
	T(mkdir("/", 0755));
	T(mkdir(".", 0755));
	T(mkdir("d/..", 0755));
	T(mkdir("d/a/b", 0700));
	struct stat st;
	MUST(stat("d", &st));
	V(st.st_nlink);
	close(make_file("d/f", "x"));
	symlink("f", "d/l");
	mkfifo("d/p", 0600);
	list("d");
	list("d/a/b");
	list("d/f");
	list("nothing");
	T(rmdir("d"));
	T(rmdir("d/f"));
	T(rmdir("d/l"));
	T(rmdir("d/a/b/."));
	T(rmdir("d/a/b/.."));
	T(rmdir("nothing"));
	T(rmdir("/"));
	T(rmdir("d/a/b/"));
	T(rmdir("d/a"));
	MUST(stat("d", &st));
	V(st.st_nlink);

	/* Many entries, a small buffer: every name once. */
	mkdir("many", 0755);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "many/file-with-a-longish-name-%04d", i);
		close(MUST(open(name, O_CREAT | O_WRONLY, 0600)));
	}
	int fd = MUST(open("many", O_RDONLY | O_DIRECTORY));
	static char seen[1000];
	int count = 0, calls = 0;
	long got;
	while ((got = syscall(SYS_getdents64, fd, buf, 200)) > 0) {
		calls++;
		for (long at = 0; at < got;) {
			struct dirent64_raw *entry = (void *)(buf + at);
			at += entry->reclen;
			int number;
			if (sscanf(entry->name, "file-with-a-longish-name-%d", &number) == 1)
				seen[number]++;
			count++;
		}
	}
	V(count);
	V(calls > 100);
	int once = 0;
	for (int i = 0; i < 1000; i++)
		once += seen[i] == 1;
	V(once);
	T(syscall(SYS_getdents64, fd, buf, sizeof buf));
	T(lseek(fd, 0, SEEK_SET));
	T(syscall(SYS_getdents64, fd, buf, 10));
	T(syscall(SYS_getdents64, fd, (void *)8, 4096));
	T(syscall(SYS_getdents64, -1, buf, 4096));
	int file = MUST(open("d/f", O_RDONLY));
	T(syscall(SYS_getdents64, file, buf, 4096));

	/* telldir and seekdir come back to the same entry. */
	DIR *dir = fdopendir(fd);
	rewinddir(dir);
	for (int i = 0; i < 300; i++)
		readdir(dir);
	long where = telldir(dir);
	char *first = strdup(readdir(dir)->d_name);
	for (int i = 0; i < 100; i++)
		readdir(dir);
	seekdir(dir, where);
	CHECK(!strcmp(first, readdir(dir)->d_name));
	/* Removing while reading misses nothing that stays. */
	rewinddir(dir);
	struct dirent *entry;
	int removed = 0, left = 0;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] == 'f' && unlinkat(dirfd(dir), entry->d_name, 0) == 0)
			removed++;
	V(removed);
	rewinddir(dir);
	while ((entry = readdir(dir)))
		left++;
	V(left);
	closedir(dir);

	/* A removed folder: empty, and nothing can be made in it. */
	mkdir("gone", 0755);
	fd = MUST(open("gone", O_RDONLY));
	T(rmdir("gone"));
	T(openat(fd, "x", O_CREAT | O_RDWR, 0600));
	T(mkdirat(fd, "x", 0700));
	T(syscall(SYS_getdents64, fd, buf, sizeof buf));
	MUST(fstat(fd, &st));
	V(st.st_nlink);

	/* chdir, fchdir, getcwd. */
	char *home = strdup(getcwd(cwd, sizeof cwd));
	T(chdir("d"));
	CHECK(getcwd(cwd, sizeof cwd) && !strcmp(cwd + strlen(home), "/d"));
	T(chdir("nothing"));
	T(chdir("f"));
	T(chdir(""));
	T(chdir(".."));
	CHECK(getcwd(cwd, sizeof cwd) && !strcmp(cwd, home));
	T(fchdir(file));
	T(fchdir(-1));
	V(syscall(SYS_getcwd, cwd, sizeof cwd) == (long)strlen(home) + 1);
	T(syscall(SYS_getcwd, cwd, 3));
	T(syscall(SYS_getcwd, (void *)8, 4096));
	mkdir("here", 0755);
	chdir("here");
	rmdir("../here");
	T((long)getcwd(cwd, sizeof cwd) ? 1 : -1);
	T(open("x", O_CREAT | O_RDWR, 0600));
	T(chdir("."));
	T(chdir(".."));
	CHECK(getcwd(cwd, sizeof cwd) && !strcmp(cwd, home));
	T(chdir("/"));
	T(chdir(".."));
	out("%s\n", getcwd(cwd, sizeof cwd));
	T(chdir("/usr/bin/../lib"));
	out("%s\n", getcwd(cwd, sizeof cwd));
	chdir(home);
	/* Deep nesting. */
	for (int i = 0; i < 60; i++) {
		MUST(mkdir("nested-folder", 0755));
		MUST(chdir("nested-folder"));
	}
	V(strlen(getcwd(cwd, sizeof cwd)) - strlen(home));
	chdir(home);
	unscratch();
	return 0;
}

/* Landlock: rulesets, rules, and what domains forbid about files.
 * bevor-test: user=both kernel=6.15 */
#include "t.h"
#include "landlock.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>

static void calls(void)
{
	struct ruleset attr = { ALL, 3, 3 };
	T(create(NULL, 0, 1) >= 7);
	T(create(&attr, 0, 1));
	T(create(NULL, 8, 1));
	T(create(NULL, 0, 2) >= 0);
	T(create(NULL, 0, 8));
	T(create(NULL, 24, 0));
	T(create(&attr, 4, 0));
	T(create(&attr, 5000, 0));
	T(create((void *)8, 24, 0));
	attr.fs = 1ull << 40;
	T(create(&attr, 24, 0));
	attr.fs = 0, attr.net = 1 << 10;
	T(create(&attr, 24, 0));
	attr.net = 0, attr.scoped = 1 << 10;
	T(create(&attr, 24, 0));
	attr.scoped = 0;
	T(create(&attr, 24, 0));
	char longer[32] = { 1 };
	OK(create(longer, 32, 0));
	longer[30] = 1;
	T(create(longer, 32, 0));
	attr.fs = READ_FILE | READ_DIR;
	int fd = MUST(create(&attr, 8, 0));
	V(fcntl(fd, F_GETFD));
	V(fcntl(fd, F_GETFL) & O_ACCMODE);
	char link[64] = { 0 }, path[32];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	T(readlink(path, link, 63));
	out("%s\n", link);
	T(read(fd, link, 1));
	T(write(fd, link, 1));
	struct beneath rule = { READ_FILE, open("d1", O_PATH) };
	T(add(fd, 1, &rule, 1));
	T(add(fd, 9, &rule, 0));
	T(add(fd, 1, NULL, 0));
	T(add(999, 1, &rule, 0));
	T(add(rule.fd, 1, &rule, 0));
	T(add(0, 1, &rule, 0));
	T(add(fd, 1, &rule, 0));
	rule.access = 0;
	T(add(fd, 1, &rule, 0));
	rule.access = WRITE_FILE;
	T(add(fd, 1, &rule, 0));
	rule.access = READ_FILE, rule.fd = 999;
	T(add(fd, 1, &rule, 0));
	rule.fd = fd;
	T(add(fd, 1, &rule, 0));
	int p[2];
	MUST(pipe(p));
	rule.fd = p[0];
	T(add(fd, 1, &rule, 0));
	rule.fd = open("d1/f1", O_RDONLY);
	T(add(fd, 1, &rule, 0));
	rule.access = READ_DIR;
	T(add(fd, 1, &rule, 0));
	struct port port = { BIND, 80 };
	T(add(fd, 2, &port, 0));
	T(restrict_self(999, 0));
	CHILD("without no_new_privs", if (geteuid()) T(restrict_self(fd, 0)));
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	T(restrict_self(fd, 0x100));
	T(restrict_self(999, 0));
	T(restrict_self(p[0], 0));
	T(restrict_self(-1, 0));
	T(restrict_self(-1, 4));
	T(restrict_self(-1, 5));
	CHILD("layers", for (int i = 0; i < 16; i++) MUST(restrict_self(fd, i % 8)); T(restrict_self(fd, 0)));
	close(fd);
}

static int opens(const char *path, int flags)
{
	int fd = open(path, flags, 0644);
	int error = errno;
	out("open %s %x: %s\n", path, flags, fd < 0 ? errname(error) : "ok");
	return fd;
}

static void opening(void)
{
	int rules = new_ruleset(ALL & ~REFER, 0, 0);
	allow(rules, "d1", READ_FILE | READ_DIR);
	allow(rules, "d2", READ_FILE | WRITE_FILE | MAKE_REG | REMOVE_FILE);
	allow(rules, "d3/f3", WRITE_FILE);
	int before = open("d3/f3", O_RDWR);
	enter(rules);
	opens("d1/f1", O_RDONLY);
	opens("d1/f1", O_RDWR);
	opens("d1", O_RDONLY | O_DIRECTORY);
	opens("d1/sub/deep", O_RDONLY);
	opens("d2/f2", O_RDWR);
	opens("d2/f2", O_RDWR | O_TRUNC);
	opens("d2", O_RDONLY);
	opens("d2/new", O_RDWR | O_CREAT);
	opens("d2/new", O_RDWR | O_CREAT | O_EXCL);
	opens("d1/new", O_RDWR | O_CREAT);
	opens("d3/f3", O_RDONLY);
	opens("d3/f3", O_WRONLY);
	opens("d3", O_PATH);
	opens(".", O_RDONLY);
	opens("missing", O_RDONLY);
	opens("/dev/null", O_RDONLY);
	int path = open("d3/f3", O_PATH);
	char link[64];
	snprintf(link, sizeof link, "/proc/self/fd/%d", path);
	OK(open(link, O_RDONLY));
	/* what was open stays so */
	char byte;
	T(read(before, &byte, 1));
	T(ftruncate(before, 1));
	int file = open("d2/f2", O_RDWR);
	T(ftruncate(file, 1));
	T(fallocate(file, 0, 0, 10));
	T(truncate("d2/f2", 1));
	T(truncate("d3/f3", 1));
	struct stat st;
	T(stat("d3/f3", &st));
	T(access("d3/f3", R_OK));
	T(chdir("d3"));
	T(chdir(".."));
	T(chmod("d3/f3", 0600));
	/* a fork and a program inherit */
	CHILD("child", opens("d3/f3", O_RDONLY));
	CHILD("program", execl("/bin/true", "true", NULL); out("exec: %s\n", errname(errno)));
}

static void making(void)
{
	int rules = new_ruleset(ALL & ~REFER, 0, 0);
	allow(rules, "d1", MAKE_DIR | MAKE_SYM | REMOVE_FILE);
	allow(rules, "d2", MAKE_REG | MAKE_FIFO | MAKE_SOCK | REMOVE_DIR);
	enter(rules);
	const char *dirs[] = { "d1", "d2" };
	for (int i = 0; i < 2; i++) {
		out("in %s\n", dirs[i]);
		MUST(chdir(dirs[i]));
		T(mkdir("dir", 0755));
		T(mkdir("sub", 0755));
		T(symlink("x", "symlink"));
		T(mknod("regular", S_IFREG | 0600, 0));
		T(mknod("fifo", S_IFIFO | 0600, 0));
		T(mknod("sock", S_IFSOCK | 0600, 0));
		struct sockaddr_un addr = { AF_UNIX, "bound" };
		int s = socket(AF_UNIX, SOCK_STREAM, 0);
		T(bind(s, (void *)&addr, sizeof addr));
		close(s);
		T(link("fifo", "hard"));
		T(unlink("symlink"));
		T(unlink("regular"));
		T(unlink("missing"));
		T(rmdir("dir"));
		T(rmdir("sub"));
		T(rename("fifo", "renamed"));
		MUST(chdir(".."));
	}
	T(unlinkat(AT_FDCWD, "d3/f3", 0));
	T(mkdir("d3/x", 0755));
}

static void moving(uint64_t handled, uint64_t one, uint64_t two, uint64_t file)
{
	pid_t pid = fork();
	if (pid) {
		reap("moving", pid);
		return;
	}
	out("moving: %lx %lx %lx %lx\n", (long)handled, (long)one, (long)two, (long)file);
	close(make_file("d1/a", "a"));
	close(make_file("d2/b", "b"));
	mkdir("d1/da", 0755);
	int rules = new_ruleset(handled, 0, 0);
	if (one)
		allow(rules, "d1", one);
	if (two)
		allow(rules, "d2", two);
	if (file)
		allow(rules, "d1/a", file);
	enter(rules);
	T(link("d1/a", "d2/linked"));
	T(rename("d1/a", "d1/a2"));
	T(rename("d1/a2", "d1/a"));
	T(renameat2(AT_FDCWD, "d1/a", AT_FDCWD, "d2/b", RENAME_EXCHANGE));
	T(rename("d1/a", "d2/a"));
	T(rename("d2/a", "d1/a"));
	T(rename("d1/da", "d2/da"));
	T(rename("d2/b", "d1/sub/b"));
	T(rename("d1/missing", "d2/missing"));
	_exit(0);
}

static void devices(void)
{
	int before = open("/dev/null", O_RDWR), one = 0;
	int rules = new_ruleset(IOCTL_DEV | TRUNCATE, 0, 0);
	enter(rules);
	int fd = open("/dev/null", O_RDWR);
	T(ioctl(before, BLKGETSIZE, &one));
	T(ioctl(fd, BLKGETSIZE, &one));
	T(ioctl(fd, FIONBIO, &one));
	T(ioctl(fd, FIOCLEX));
	int file = open("d1/f1", O_RDWR);
	T(ioctl(file, BLKGETSIZE, &one));
	T(ftruncate(file, 0));
	opens("d1/f1", O_RDWR | O_TRUNC);
}

static void programs(void)
{
	int rules = new_ruleset(EXECUTE, 0, 0);
	allow(rules, "/", EXECUTE);
	CHILD("all of it", enter(rules); execl("/bin/sh", "sh", "-c", "exec 3<d3/f3 && echo ran", NULL));
	int none = new_ruleset(EXECUTE, 0, 0);
	CHILD("nothing", enter(none); execl("/bin/sh", "sh", "-c", "echo ran", NULL);
	      out("%s\n", errname(errno)));
}

static void layers(void)
{
	int outer = new_ruleset(READ_FILE | WRITE_FILE, 0, 0), inner = new_ruleset(READ_FILE, 0, 0);
	allow(outer, "d1", READ_FILE | WRITE_FILE);
	allow(outer, "d2", READ_FILE);
	allow(inner, "d2", READ_FILE);
	allow(inner, "d1/sub", READ_FILE);
	enter(outer);
	opens("d1/f1", O_RDWR);
	opens("d2/f2", O_RDONLY);
	enter(inner);
	opens("d1/f1", O_RDWR);
	opens("d1/f1", O_WRONLY);
	opens("d1/sub/deep", O_RDWR);
	opens("d2/f2", O_RDONLY);
	opens("d2/f2", O_RDWR);
	T(rename("d1/f1", "d2/f1"));
	T(rename("d1/f1", "d1/renamed"));
}

static void mounts(void)
{
	if (geteuid())
		return;
	enter(new_ruleset(READ_FILE, 0, 0));
	T(mount("d1", "d2", NULL, MS_BIND, NULL));
	T(umount2("/", 0));
}

#define FRESH(call)                                                            \
	do {                                                                   \
		scratch();                                                     \
		mkdir("d1", 0755);                                             \
		mkdir("d1/sub", 0755);                                         \
		mkdir("d2", 0755);                                             \
		mkdir("d3", 0755);                                             \
		close(make_file("d1/f1", "one"));                              \
		close(make_file("d1/sub/deep", "deep"));                       \
		close(make_file("d2/f2", "two"));                              \
		close(make_file("d3/f3", "three"));                            \
		CHILD(#call, call);                                            \
		unscratch();                                                   \
	} while (0)

int main(void)
{
	pid_t pid;
#define RUN(call) if ((pid = fork()) == 0) { FRESH(call); _exit(0); } reap("run", pid)
	RUN(calls());
	RUN(opening());
	RUN(making());
	uint64_t change = MAKE_REG | REMOVE_FILE | MAKE_DIR | REMOVE_DIR, files = READ_FILE | WRITE_FILE;
	RUN(moving(change | REFER, change | REFER, change | REFER, 0));
	RUN(moving(change | REFER, change | REFER, change, 0));
	RUN(moving(change, change, change, 0));
	RUN(moving(change | REFER, REFER, REFER, 0));
	RUN(moving(REFER, REFER, REFER, 0));
	RUN(moving(READ_FILE, 0, 0, 0));
	RUN(moving(REFER | files, REFER | files, REFER | READ_FILE, 0));
	RUN(moving(REFER | files, REFER | READ_FILE, REFER | files, 0));
	RUN(moving(REFER | files, REFER | READ_FILE, REFER | files, WRITE_FILE));
	RUN(moving(REFER | READ_DIR, REFER, REFER | READ_DIR, 0));
	RUN(moving(REFER | MAKE_REG | READ_DIR, REFER, REFER | MAKE_REG, 0));
	RUN(devices());
	RUN(programs());
	RUN(layers());
	RUN(mounts());
}

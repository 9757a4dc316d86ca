/* An ordinary user's own files: set-ID bits that a change of contents takes, and the events of that; links to what it
 * has open. bevor-test: kernel=6.12 */
#include "t.h"
#include <sys/inotify.h>

static int watch;

static void events(const char *what)
{
	char buf[4096];
	ssize_t len = read(watch, buf, sizeof buf);
	out("%s:", what);
	for (ssize_t at = 0; at < len;) {
		struct inotify_event *e = (void *)(buf + at);
		out(" %x", e->mask);
		at += sizeof *e + e->len;
	}
	struct stat st;
	stat("f", &st);
	out(" mode %o size %ld\n", st.st_mode & 07777, (long)st.st_size);
}

static void set_ids(void)
{
	int fd = make_file("f", "some text");
	watch = inotify_init1(IN_NONBLOCK);
	inotify_add_watch(watch, "f", IN_ALL_EVENTS);
	for (int i = 0; i < 3; i++) {
		mode_t mode = i == 0 ? 04755 : i == 1 ? 06711 : 02644;
		chmod("f", mode);
		events("chmod");
		T(close(open("f", O_RDONLY | O_TRUNC)));
		events("O_TRUNC");
		chmod("f", mode);
		T(truncate("f", 5));
		events("truncate");
		chmod("f", mode);
		T(ftruncate(fd, 8));
		events("ftruncate");
		chmod("f", mode);
		T(pwrite(fd, "x", 1, 0));
		events("write");
		chmod("f", mode);
		T(fallocate(fd, 0, 0, 100));
		events("fallocate");
		chmod("f", mode);
		T(chown("f", -1, -1));
		events("chown");
	}
	close(fd);
}

static void links(void)
{
	int fd = make_file("g", "x"), dir = MUST(open(".", O_RDONLY));
	T(linkat(fd, "", AT_FDCWD, "h", AT_EMPTY_PATH));
	T(linkat(dir, "", AT_FDCWD, "i", AT_EMPTY_PATH));
	int path = MUST(open("g", O_PATH));
	T(linkat(path, "", AT_FDCWD, "j", AT_EMPTY_PATH));
	T(linkat(AT_FDCWD, "", AT_FDCWD, "k", AT_EMPTY_PATH));
	T(linkat(99, "", AT_FDCWD, "k", AT_EMPTY_PATH));
	int other = dup(fd);
	T(linkat(other, "", AT_FDCWD, "l", AT_EMPTY_PATH));
	/* Another's rights, though the same: a child, and who changed them. */
	CHILD("child", T(linkat(fd, "", AT_FDCWD, "m", AT_EMPTY_PATH)));
	CHILD("child's own", {
		int own = MUST(open("g", O_RDONLY));
		T(linkat(own, "", AT_FDCWD, "m", AT_EMPTY_PATH));
	});
	unlink("g");
	unlink("h");
	unlink("j");
	unlink("l");
	unlink("m");
	T(linkat(fd, "", AT_FDCWD, "o", AT_EMPTY_PATH));
}

int main(void)
{
	scratch();
	mkdir("d", 0777);
	chmod("d", 0777);
	chdir("d");
	CHILD("user", {
		setresgid(1234, 1234, 1234);
		setresuid(1234, 1234, 1234);
		set_ids();
		links();
	});
	chdir("..");
	unscratch();
	return 0;
}

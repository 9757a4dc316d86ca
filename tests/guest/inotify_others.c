/* inotify: what other processes do, every mask, cookies, overflow, unlinked names, mounts that go. bevor-test: user=both */
#include "t.h"
#include <poll.h>
#include <sys/inotify.h>
#include <sys/mount.h>

static int fd;
static uint32_t last_cookie;

static void drain(const char *what)
{
	char buf[4096] __attribute__((aligned(8)));
	out("%s:\n", what);
	for (;;) {
		ssize_t len = read(fd, buf, sizeof buf);
		if (len <= 0)
			break;
		for (char *at = buf; at < buf + len;) {
			struct inotify_event *e = (void *)at;
			out("  wd %d mask %x name %s%s\n", e->wd, e->mask, e->len ? e->name : "-",
			    e->cookie ? e->cookie == last_cookie ? " same cookie" : " new cookie" : "");
			if (e->cookie)
				last_cookie = e->cookie;
			at += sizeof *e + e->len;
		}
	}
}

static void shell(const char *command)
{
	pid_t pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(99);
	}
	int status;
	waitpid(pid, &status, 0);
	if (status)
		out("%s: %x\n", command, status);
}

int main(void)
{
	scratch();
	fd = MUST(inotify_init1(IN_NONBLOCK));
	mkdir("d", 0755);
	mkdir("e", 0755);
	/* What others do, program by program. */
	T(inotify_add_watch(fd, "d", IN_CREATE | IN_DELETE | IN_MOVE | IN_CLOSE_WRITE | IN_ATTRIB));
	shell("echo x > d/a; mv d/a d/b; chmod 600 d/b; ln d/b d/c; rm d/b d/c; mkdir d/s; rmdir d/s");
	drain("a shell");
	shell("echo x > e/in; mv e/in d/in; mv d/in e/out; mv d e/d; mv e/d d");
	drain("between folders");
	pid_t pid = fork();
	if (pid == 0) {
		int file = open("d/by mapping", O_CREAT | O_RDWR, 0600);
		ftruncate(file, 4096);
		fallocate(file, 0, 0, 8192);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	drain("closed by its end");

	/* On a file itself: moves, links, deletion. */
	close(make_file("f", "text"));
	int wd = T(inotify_add_watch(fd, "f", IN_ALL_EVENTS));
	link("f", "g");
	rename("f", "h");
	drain("linked and moved");
	unlink("g");
	drain("one name less");
	int open_file = open("h", O_RDWR);
	unlink("h");
	drain("no name, but open");
	write(open_file, "x", 1);
	close(open_file);
	drain("closed for good");
	T(inotify_rm_watch(fd, wd));

	/* A watched directory that goes. */
	mkdir("gone", 0755);
	T(inotify_add_watch(fd, "gone", IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR));
	rename("gone", "went");
	rmdir("went");
	drain("directory");

	/* Names that are gone tell nothing with IN_EXCL_UNLINK. */
	for (int exclude = 0; exclude < 2; exclude++) {
		mkdir("x", 0755);
		wd = inotify_add_watch(fd, "x", IN_MODIFY | IN_CLOSE | (exclude ? IN_EXCL_UNLINK : 0));
		int file = open("x/file", O_CREAT | O_RDWR, 0600);
		write(file, "1", 1);
		unlink("x/file");
		write(file, "2", 1);
		close(file);
		inotify_rm_watch(fd, wd);
		rmdir("x");
		drain(exclude ? "excluded" : "included");
	}

	/* Reading wants room for an event; a smaller one comes alone. */
	wd = inotify_add_watch(fd, "d", IN_CREATE);
	close(make_file("d/a name of some length", ""));
	close(make_file("d/b", ""));
	char small[40] __attribute__((aligned(8)));
	T(read(fd, small, 16));
	T(read(fd, small, 40));
	T(read(fd, small, 48 > sizeof small ? sizeof small : 48));
	drain("the rest");
	T(write(fd, small, 1));

	/* Overflow: the queue ends with one event that says so. */
	int max = 0;
	FILE *limit = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
	if (!limit || fscanf(limit, "%d", &max) != 1)
		out("BAD limit\n");
	fclose(limit);
	inotify_rm_watch(fd, wd);
	drain("removed");
	inotify_add_watch(fd, "e", IN_CREATE | IN_DELETE);
	for (int i = 0; i < max / 2 + 50; i++) {
		close(open("e/n", O_CREAT | O_RDWR, 0600));
		unlink("e/n");
	}
	int events = 0, overflows = 0, last = 0;
	for (;;) {
		static char many[65536] __attribute__((aligned(8)));
		ssize_t len = read(fd, many, sizeof many);
		if (len <= 0)
			break;
		for (char *at = many; at < many + len;) {
			struct inotify_event *e = (void *)at;
			events++;
			last = e->mask;
			if (e->mask & IN_Q_OVERFLOW)
				overflows += e->wd == -1 && e->len == 0;
			at += sizeof *e + e->len;
		}
	}
	CHECK(events == max + 1);
	V(overflows);
	out("%x\n", last);

	/* Flags. */
	T(inotify_add_watch(fd, "e", IN_CREATE | IN_MASK_ADD | IN_MASK_CREATE));
	T(inotify_add_watch(fd, "e", 0x00400000));
	symlink("e", "link");
	T(inotify_add_watch(fd, "link", IN_CREATE | IN_DONT_FOLLOW));
	T(inotify_add_watch(fd, "link", IN_CREATE | IN_DONT_FOLLOW | IN_ONLYDIR));
	chmod("e", 0);
	if (geteuid() != 0)
		T(inotify_add_watch(fd, "e", IN_CREATE));
	chmod("e", 0755);

	/* A file system that is unmounted. */
	if (geteuid() == 0) {
		mkdir("m", 0755);
		if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mount("none", "m", "tmpfs", 0, NULL) == 0) {
			inotify_add_watch(fd, "m", IN_CREATE);
			T(umount("m"));
			drain("unmounted");
		}
	}
	unscratch();
	return 0;
}

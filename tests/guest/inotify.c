/* inotify on a folder and on a file. bevor-test: user=both */
#include "t.h"
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <poll.h>

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

int main(void)
{
	scratch();
	T(inotify_init1(0x1));
	fd = MUST(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	mkdir("d", 0755);
	mkdir("e", 0755);
	T(inotify_add_watch(fd, "d", IN_ALL_EVENTS));
	T(inotify_add_watch(fd, "nothing", IN_ALL_EVENTS));
	T(inotify_add_watch(fd, "d", 0));
	T(inotify_add_watch(0, "d", IN_CREATE));
	close(make_file("d/f", "text"));
	drain("create, write, close");
	int f = open("d/f", O_RDONLY);
	char c;
	read(f, &c, 1);
	close(f);
	drain("read");
	chmod("d/f", 0600);
	drain("chmod");
	rename("d/f", "d/g");
	drain("rename inside");
	rename("d/g", "e/g");
	drain("rename out");
	rename("e/g", "d/h");
	drain("rename in");
	link("d/h", "d/i");
	symlink("h", "d/j");
	mkdir("d/k", 0755);
	drain("link, symlink, mkdir");
	unlink("d/i");
	rmdir("d/k");
	drain("unlink, rmdir");
	truncate("d/h", 1);
	drain("truncate");
	int wd = T(inotify_add_watch(fd, "d/h", IN_MODIFY | IN_DELETE_SELF | IN_ATTRIB));
	f = open("d/h", O_WRONLY);
	write(f, "x", 1);
	drain("two watches");
	int n;
	write(f, "x", 1);
	write(f, "x", 1);
	T(ioctl(fd, FIONREAD, &n));
	V(n);
	struct pollfd p = { fd, POLLIN };
	T(poll(&p, 1, 0));
	drain("same events are merged");
	close(f);
	unlink("d/h");
	drain("deleted");
	T(inotify_rm_watch(fd, wd));
	T(inotify_rm_watch(fd, 99));
	T(inotify_add_watch(fd, "d", IN_CREATE | IN_ONESHOT));
	close(make_file("d/once", ""));
	close(make_file("d/twice", ""));
	drain("one shot");
	wd = T(inotify_add_watch(fd, "e", IN_CREATE));
	T(inotify_add_watch(fd, "e", IN_DELETE | IN_MASK_ADD));
	T(inotify_add_watch(fd, "e", IN_DELETE | IN_MASK_CREATE));
	T(inotify_add_watch(fd, "d/once", IN_DELETE | IN_ONLYDIR));
	close(make_file("e/x", ""));
	unlink("e/x");
	T(inotify_rm_watch(fd, wd));
	drain("removed");
	pid_t pid = fork();
	if (pid == 0) {
		fcntl(fd, F_SETFL, 0);
		inotify_add_watch(fd, "e", IN_CREATE);
		char buf[512];
		_exit(read(fd, buf, sizeof buf) > 0 ? 1 : 2);
	}
	wait_state(pid, pid, 'S');
	close(make_file("e/wake", ""));
	reap("blocked reader", pid);
	unscratch();
	return 0;
}

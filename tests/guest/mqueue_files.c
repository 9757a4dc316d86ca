/* Message queues as files: a mount of them, names, sizes, watchers, what an open queue can do, queues without names.
 * bevor-test: flags=-lrt kernel=6.12 */
#include "t.h"
#include <dirent.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/ioctl.h>

static int watch;

static void events(const char *what)
{
	char buf[4096];
	ssize_t len = read(watch, buf, sizeof buf);
	out("%s:", what);
	for (ssize_t at = 0; at < len;) {
		struct inotify_event *e = (void *)(buf + at);
		out(" %d:%x:%s", e->wd, e->mask, e->len ? e->name : "");
		at += sizeof *e + e->len;
	}
	out("\n");
}

static void look(const char *what, int fd)
{
	struct pollfd p = { fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP };
	int got = poll(&p, 1, 0);
	out("%s: %d %x\n", what, got, p.revents);
}

static void content(const char *what, int fd)
{
	char text[200];
	ssize_t len = pread(fd, text, sizeof text - 1, 0);
	out_bytes(what, text, len);
}

static void run(void)
{
	MUST(unshare(CLONE_NEWNS | CLONE_NEWIPC));
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	mkdir("q", 0755);
	T(mount("none", "q", "mqueue", 0, "size=5"));
	T(mount("mqueue", "q", "mqueue", 0, NULL));
	struct stat st;
	struct statfs fs;
	stat("q", &st);
	out("root %o %ld %ld\n", st.st_mode, (long)st.st_size, (long)st.st_nlink);
	statfs("q", &fs);
	out("%lx %ld %ld %ld\n", (long)fs.f_type, (long)fs.f_bsize, (long)fs.f_namelen, (long)fs.f_files);
	watch = inotify_init1(IN_NONBLOCK);
	T(inotify_add_watch(watch, "q", IN_ALL_EVENTS));
	struct mq_attr attr = { .mq_maxmsg = 2, .mq_msgsize = 10 };
	mqd_t a = mq_open("/a", O_RDWR | O_CREAT | O_NONBLOCK, 0640, &attr);
	CHECK(a >= 0);
	events("made by mq_open");
	stat("q/a", &st);
	out("queue %o %ld\n", st.st_mode, (long)st.st_size);
	/* Made as a file, with the defaults. */
	int b = T(open("q/b", O_RDWR | O_CREAT | O_EXCL, 0666)) >= 0 ? open("q/b", O_RDWR | O_NONBLOCK) : -1;
	events("made by open");
	T(mq_getattr(b, &attr));
	out("%ld %ld %ld %lx\n", attr.mq_maxmsg, attr.mq_msgsize, attr.mq_curmsgs, attr.mq_flags & ~O_LARGEFILE);
	T(mq_send(b, "message", 7, 3));
	events("sent");
	content("text", b);
	look("one of ten", b);
	look("empty", a);
	T(mq_send(a, "1", 1, 0));
	T(mq_send(a, "23", 2, 31));
	look("full", a);
	T(mq_send(a, "4", 1, 0));
	content("text", a);
	/* Queues of several priorities. */
	char text[20];
	unsigned prio;
	T(mq_receive(a, text, 9, &prio));
	T(mq_receive(a, text, 10, &prio));
	V(prio);
	events("received");
	look("one of two", a);
	/* What files can do, and queues cannot. */
	T(write(a, "x", 1));
	T(lseek(a, 3, SEEK_SET));
	T(read(a, text, 5));
	out_bytes("from 3", text, 5);
	T(lseek(a, 0, SEEK_END));
	T(fallocate(a, 0, 0, 10));
	T(fsync(a));
	T((long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, a, 0));
	T(ioctl(a, FIONREAD, text));
	T(fchmod(a, 0600));
	T(fchown(a, 0, 0));
	T(flock(a, LOCK_EX | LOCK_NB));
	T(posix_fadvise(a, 0, 0, POSIX_FADV_DONTNEED));
	T(copy_file_range(a, NULL, b, NULL, 1, 0));
	T(fsetxattr(a, "user.x", "y", 1, 0));
	events("file calls");
	/* Names. */
	T(mkdir("q/dir", 0755));
	T(symlink("a", "q/sym"));
	T(mknod("q/fifo", S_IFIFO | 0600, 0));
	T(mknod("q/file", S_IFREG | 0600, 0));
	T(link("q/a", "q/c"));
	T(rename("q/a", "q/c"));
	T(rename("q/b", "q/a"));
	T(access("q/a", R_OK));
	T(execl("q/a", "a", NULL));
	events("names");
	DIR *dir = opendir("q");
	int n = 0, found = 0;
	for (struct dirent *e; (e = readdir(dir)); n++)
		found += !strcmp(e->d_name, "a") + 10 * !strcmp(e->d_name, "b") + 100 * (e->d_type == DT_REG);
	out("%d entries %d\n", n, found);
	closedir(dir);
	events("listed");
	/* Watchers of readiness. */
	int ep = epoll_create1(0);
	struct epoll_event e = { EPOLLIN | EPOLLET };
	T(epoll_ctl(ep, EPOLL_CTL_ADD, a, &e));
	T(epoll_wait(ep, &e, 1, 0));
	T(epoll_wait(ep, &e, 1, 0));
	T(mq_send(a, "again", 5, 1));
	T(epoll_wait(ep, &e, 1, 0));
	/* Without names. */
	T(unlink("q/a"));
	events("unlinked");
	T(mq_unlink("/a"));
	fstat(a, &st);
	out("%ld %ld\n", (long)st.st_nlink, (long)st.st_size);
	T(mq_receive(a, text, 10, &prio));
	out("%.5s\n", text);
	T(mq_open("/a", O_RDWR));
	attr = (struct mq_attr){ .mq_maxmsg = 1, .mq_msgsize = 1 };
	mqd_t new = mq_open("/a", O_RDWR | O_CREAT, 0600, &attr);
	CHECK(new >= 0);
	T(mq_getattr(a, &attr));
	V(attr.mq_maxmsg);
	close(a);
	events("closed");
	T(umount2("q", 0));
	T(umount2("q", MNT_DETACH));
	/* Another's queues. */
	CHILD("other ids", {
		setresgid(1234, 1234, 1234);
		setresuid(1234, 1234, 1234);
		T(mq_open("/a", O_RDWR));
		T(mq_open("/a", O_RDONLY));
		T(mq_unlink("/a"));
		T(mq_open("/mine", O_RDWR | O_CREAT, 0600, NULL) >= 0 ? 0 : -1);
		T(mq_unlink("/mine"));
	});
	CHILD("other namespace", {
		unshare(CLONE_NEWIPC);
		T(mq_open("/a", O_RDWR));
		T(mq_send(new, "x", 1, 0));
	});
	T(mq_receive(new, text, 1, NULL));
	/* All settings at their ends. */
	attr = (struct mq_attr){ .mq_maxmsg = 65537, .mq_msgsize = 1 };
	T(mq_open("/large", O_RDWR | O_CREAT, 0600, &attr));
	memset(text, 'n', sizeof text);
	char name[300] = "/";
	memset(name + 1, 'n', 256);
	T(mq_open(name, O_RDWR | O_CREAT, 0600, NULL));
	name[256] = 0;
	T(mq_open(name, O_RDWR | O_CREAT, 0600, NULL) >= 0 ? 0 : -1);
	T(mq_unlink(name));
}

int main(void)
{
	scratch();
	CHILD("queues", run());
	rmdir("q");
	unscratch();
	return 0;
}

/* What file calls check first, and what they leave alone: differences that random sequences found.
 * bevor-test: kernel=6.12 */
#include "t.h"
#include <dirent.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static void order_of_checks(void)
{
	char longer[5000];
	struct flock own = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 9 }, ask = { .l_type = F_UNLCK };
	struct timespec omit[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };
	int fd = make_file("f", "0123456789"), only = open("f", O_RDONLY), pipes[2];
	memset(longer, 'x', sizeof longer);
	longer[4999] = 0;
	T(mkdirat(99, "", 0700));
	T(mkdirat(99, "name", 0700));
	T(renameat(AT_FDCWD, "missing/x", 99, "name"));
	T(renameat(AT_FDCWD, "f", 99, ""));
	T(renameat(99, "f", AT_FDCWD, longer));
	T(open("", O_RDWR | O_CREAT | O_DIRECTORY, 0600));
	T(mknod("", S_IFDIR, 0));
	T(utimensat(AT_FDCWD, "missing", omit, 0));
	T(fallocate(only, 0, 0, 0));
	T(fallocate(only, FALLOC_FL_PUNCH_HOLE, 0, 9));
	T(fallocate(only, 0, 0, 9));
	OK((long)mmap(NULL, 0, PROT_READ | PROT_WRITE, MAP_SHARED, only, 0));
	MUST(pipe(pipes));
	T(sendfile(99, pipes[0], &(off_t){ 5 }, 1));
	T(sendfile(pipes[1], pipes[0], NULL, 0));
	T(copy_file_range(fd, &(loff_t){ 100 }, fd, &(loff_t){ 150 }, 400, 0));
	close(pipes[0]);
	signal(SIGPIPE, SIG_IGN);
	T(write(pipes[1], "", 0));
	T(fcntl(fd, F_OFD_SETLK, &own));
	T(fcntl(fd, F_OFD_GETLK, &ask));
	V(ask.l_type);
	V(ask.l_len);
	close(pipes[1]);
	close(only);
	close(fd);
}

static void what_stays(void)
{
	int left = -1, fd = make_file("g", "0123456789"), path;
	struct stat before, after;
	struct timespec old[2] = { { 1000, 0 }, { 1000, 0 } };
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	lseek(fd, 4, SEEK_SET);
	T(ioctl(fd, FIONREAD, &left));
	V(left);
	MUST(futimens(fd, old));
	T(write(fd, "", 0));
	MUST(fstat(fd, &after));
	V(after.st_mtime);
	lseek(fd, 0, SEEK_SET);
	T(sendfile(fd, fd, NULL, 100));
	T(lseek(fd, 0, SEEK_CUR));
	MUST(fstat(fd, &after));
	V(after.st_size);
	T(fcntl(fd, F_SETLK, &lock));
	path = MUST(open("g", O_PATH));
	close(path);
	CHILD("locked still", struct flock other = { .l_type = F_RDLCK, .l_whence = SEEK_SET }; T(fcntl(fd, F_SETLK, &other)));
	struct iovec part = { "ab", 2 };
	MUST(fcntl(fd, F_SETFL, O_APPEND));
	T(pwritev2(fd, &part, 1, 0, RWF_NOAPPEND));
	MUST(fstat(fd, &after));
	V(after.st_size);
	close(fd);
}

static void show_events(int queue)
{
	char bytes[4096] __attribute__((aligned(8)));
	ssize_t len = read(queue, bytes, sizeof bytes);
	for (char *at = bytes; at < bytes + len;) {
		struct inotify_event *event = (void *)at;
		out("  event %x %s\n", event->mask, event->len ? event->name : "");
		at += sizeof *event + event->len;
	}
	out("  end\n");
}

static void events(void)
{
	char byte;
	struct timespec access[2] = { { 5, 0 }, { 0, UTIME_OMIT } }, change[2] = { { 0, UTIME_OMIT }, { 5, 0 } };
	int queue = MUST(inotify_init1(IN_NONBLOCK)), fd = make_file("h", "");
	T(inotify_add_watch(queue, "h", IN_ALL_EVENTS));
	T(read(fd, &byte, 1));
	T(write(fd, "", 0));
	show_events(queue);
	close(MUST(open("h", O_RDWR | O_TRUNC)));
	show_events(queue);
	T(utimensat(AT_FDCWD, "h", access, 0));
	T(utimensat(AT_FDCWD, "h", change, 0));
	show_events(queue);
	T(unlink("h"));
	show_events(queue);
	close(fd);
	show_events(queue);
	MUST(mkfifo("p", 0600));
	T(inotify_add_watch(queue, "p", IN_ALL_EVENTS));
	pid_t pid = MUST(fork());
	if (pid == 0)
		_exit(open("p", O_RDONLY) < 0);
	wait_state(pid, pid, 'S');
	show_events(queue);
	kill(pid, SIGKILL);
	reap("opener", pid);
	show_events(queue);
	close(queue);
}

/* What is mapped stays open; vectored reads of nothing count; a directory moves without saying that it is one. */
static void more_events(void)
{
	int queue = MUST(inotify_init1(IN_NONBLOCK)), fd = make_file("k", "0123456789"), held, pipes[2];
	struct iovec none = { NULL, 0 };
	char byte, *map;
	struct iovec part = { &byte, 1 };
	T(inotify_add_watch(queue, "k", IN_ALL_EVENTS));
	MUST(lseek(fd, 10, SEEK_SET));
	T(readv(fd, &part, 1));
	show_events(queue);
	T(preadv(fd, &part, 1, 100));
	show_events(queue);
	T(readv(fd, &none, 1));
	show_events(queue);
	T(writev(fd, &none, 1));
	T(read(fd, &byte, 1));
	show_events(queue);
	close(fd);
	show_events(queue);
	held = MUST(open("k", O_RDWR));
	MUST(flock(held, LOCK_EX));
	map = mmap(NULL, 8192, PROT_READ, MAP_SHARED, held, 0);
	close(held);
	show_events(queue);
	held = MUST(open("k", O_RDWR));
	T(flock(held, LOCK_SH | LOCK_NB));
	MUST(munmap(map, 4096));
	T(flock(held, LOCK_SH | LOCK_NB));
	MUST(munmap(map + 4096, 4096));
	T(flock(held, LOCK_SH | LOCK_NB));
	close(held);
	show_events(queue);
	MUST(pipe(pipes));
	pid_t pid = MUST(fork());
	if (pid == 0) {
		int mapped = MUST(open("k", O_RDONLY));
		mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, mapped, 0);
		close(mapped);
		MUST(write(pipes[1], "x", 1));
		pause();
	}
	MUST(read(pipes[0], &byte, 1));
	show_events(queue);
	kill(pid, SIGKILL);
	reap("mapper", pid);
	show_events(queue);
	MUST(mkdir("one", 0700));
	MUST(mkdir("two", 0700));
	MUST(mkfifo("q", 0600));
	int fifo = MUST(open("q", O_RDWR | O_NONBLOCK)), from = MUST(open("k", O_RDWR));
	loff_t at = 0;
	T(inotify_rm_watch(queue, 1));
	show_events(queue);
	T(inotify_add_watch(queue, "q", IN_ALL_EVENTS));
	T(sendfile(fifo, from, NULL, 4));
	show_events(queue);
	T(splice(from, &at, fifo, NULL, 4, 0));
	show_events(queue);
	T(tee(fifo, pipes[1], 2, 0));
	show_events(queue);
	T(splice(fifo, NULL, pipes[1], NULL, 2, 0));
	show_events(queue);
	at = 0;
	T(splice(fifo, NULL, from, &at, 4, 0));
	show_events(queue);
	T(inotify_add_watch(queue, "one", IN_MOVE_SELF));
	T(syscall(SYS_renameat2, AT_FDCWD, "one", AT_FDCWD, "two", RENAME_EXCHANGE));
	show_events(queue);
	close(queue);
}

/* Whoever writes, file capabilities go. */
static void capabilities(void)
{
	char value[20] = { 0, 0, 0, 2, 1 };
	int fd = make_file("c", "0123456789");
	if (fsetxattr(fd, "security.capability", value, sizeof value, 0)) {
		close(fd);
		return;
	}
	T(fgetxattr(fd, "security.capability", NULL, 0));
	T(write(fd, "", 0));
	T(fgetxattr(fd, "security.capability", NULL, 0));
	T(write(fd, "x", 1));
	T(fgetxattr(fd, "security.capability", NULL, 0));
	close(fd);
}

static void own_descriptors(void)
{
	if (seteuid(1000))
		out("cannot become another\n");
	DIR *dir = opendir("/proc/self/fd");
	out("own descriptors: %s\n", dir ? "listed" : errname(errno));
	if (dir)
		closedir(dir);
	T(open("/proc/self/fd/999", O_RDONLY));
	seteuid(0);
}

int main(void)
{
	scratch();
	order_of_checks();
	what_stays();
	events();
	more_events();
	capabilities();
	own_descriptors();
	unscratch();
	return 0;
}

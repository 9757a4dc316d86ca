/* What file calls check first, and what they leave alone: differences that random sequences found.
 * bevor-test: kernel=6.12 */
#include "t.h"
#include <dirent.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>

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
	own_descriptors();
	unscratch();
	return 0;
}

/* Inode flags by ioctl, file_getattr and file_setattr; cachestat, ustat, leases, fanotify.
 * bevor-test: user=both kernel=6.17 */
#include "t.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

struct fattr { uint64_t xflags; uint32_t extsize, nextents, projid, cowextsize; };

static long get(int dir, const char *path, void *attr, size_t size, unsigned flags)
{
	return syscall(468, dir, path, attr, size, flags);
}

static long set(int dir, const char *path, const void *attr, size_t size, unsigned flags)
{
	return syscall(469, dir, path, attr, size, flags);
}

static void show(int fd)
{
	int flags = -1;
	struct fsxattr x = { 0 };
	struct fattr attr = { 0 };
	struct statx st = { 0 };
	int one = ioctl(fd, FS_IOC_GETFLAGS, &flags) ? errno : 0;
	int two = ioctl(fd, FS_IOC_FSGETXATTR, &x) ? errno : 0;
	int three = get(fd, "", &attr, sizeof attr, AT_EMPTY_PATH) ? errno : 0;
	statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st);
	out("flags %x %s, xflags %x %s, %lx %s, statx %lx\n", flags, errname(one), x.fsx_xflags, errname(two),
	    (long)attr.xflags, errname(three), (long)(st.stx_attributes & 0x70));
}

static int setflags(int fd, int flags) { return ioctl(fd, FS_IOC_SETFLAGS, &flags); }
static int setx(int fd, unsigned xflags, unsigned projid)
{
	struct fsxattr x = { .fsx_xflags = xflags, .fsx_projid = projid };
	return ioctl(fd, FS_IOC_FSSETXATTR, &x);
}

static void flags(void)
{
	int fd = make_file("f", "text");
	mkdir("d", 0755);
	int d = open("d", O_RDONLY);
	mkfifo("p", 0600);
	symlink("f", "l");
	show(fd);
	show(d);
	int p = open("p", O_RDWR);
	show(p);
	int c = open("/dev/null", O_RDWR);
	show(c);
	T(setflags(c, 0));
	T(ioctl(fd, FS_IOC_GETFLAGS, 8));
	T(ioctl(fd, FS_IOC_SETFLAGS, 8));
	T(setflags(fd, FS_NODUMP_FL));
	show(fd);
	T(setflags(fd, FS_NOATIME_FL));
	show(fd);
	T(setflags(fd, FS_SYNC_FL));
	T(setflags(fd, 0x40000000));
	T(setx(fd, FS_XFLAG_NODUMP | FS_XFLAG_NOATIME, 0));
	show(fd);
	T(setx(fd, FS_XFLAG_EXTSIZE, 0));
	T(setx(fd, 0, 5));
	T(setx(fd, 0x20000, 0));
	T(setx(fd, 0, 0));
	T(setflags(d, FS_NODUMP_FL));
	show(d);
	int file = open("d/new", O_CREAT | O_RDWR, 0600);
	show(file);
	close(file);
	/* the system calls */
	struct fattr attr[2] = { { 0 } };
	T(get(AT_FDCWD, "f", attr, 23, 0));
	T(get(AT_FDCWD, "f", attr, 8192, 0));
	T(get(AT_FDCWD, "f", attr, 24, 0x1));
	T(get(AT_FDCWD, "missing", attr, 24, 0));
	T(get(AT_FDCWD, "f", (void *)8, 24, 0));
	T(get(99, "", attr, 24, AT_EMPTY_PATH));
	T(get(AT_FDCWD, "l", attr, 24, AT_SYMLINK_NOFOLLOW));
	T(get(AT_FDCWD, "l", attr, 24, 0));
	T(get(AT_FDCWD, "p", attr, 24, 0));
	memset(attr, 0xff, sizeof attr);
	T(get(AT_FDCWD, "f", attr, 48, 0));
	out("%lx %lx\n", (long)attr[0].xflags, (long)attr[1].xflags);
	memset(attr, 0, sizeof attr);
	attr->xflags = FS_XFLAG_NODUMP;
	T(set(AT_FDCWD, "f", attr, 23, 0));
	T(set(AT_FDCWD, "f", (void *)8, 24, 0));
	T(set(AT_FDCWD, "f", attr, 48, 0));
	show(fd);
	attr[1].xflags = 1;
	T(set(AT_FDCWD, "f", attr, 48, 0));
	attr->xflags = 1ULL << 40;
	T(set(AT_FDCWD, "f", attr, 24, 0));
	attr->xflags = 0;
	attr->projid = 7;
	T(set(AT_FDCWD, "f", attr, 24, 0));
	attr->projid = 0;
	T(set(AT_FDCWD, "p", attr, 24, 0));
	T(set(AT_FDCWD, "l", attr, 24, 0));
	show(fd);
	/* what immutable and append-only files refuse */
	T(setflags(fd, FS_IMMUTABLE_FL));
	if (!getuid()) {
		show(fd);
		T(open("f", O_RDWR));
		T(open("f", O_RDONLY) >= 0 ? 0 : -1);
		T(write(fd, "x", 1));
		T(unlink("f"));
		T(rename("f", "g"));
		T(link("f", "g"));
		T(chmod("f", 0600));
		T(chown("f", 0, 0));
		T(truncate("f", 0));
		T(utimensat(AT_FDCWD, "f", NULL, 0));
		T(setflags(fd, FS_APPEND_FL));
		T(open("f", O_RDWR));
		T(open("f", O_RDWR | O_APPEND) >= 0 ? 0 : -1);
		T(open("f", O_RDWR | O_APPEND | O_TRUNC));
		T(unlink("f"));
		T(chmod("f", 0600));
		T(truncate("f", 0));
		T(setflags(d, FS_APPEND_FL));
		T(unlink("d/new"));
		close(open("d/more", O_CREAT | O_RDWR, 0600));
		T(access("d/more", F_OK));
		T(setflags(d, FS_IMMUTABLE_FL));
		T(open("d/again", O_CREAT | O_RDWR, 0600));
		T(setflags(d, 0));
		CHILD("without the capability", {
			setresuid(1234, 1234, 1234);
			T(setflags(fd, 0));
			T(setflags(d, FS_NODUMP_FL));
		});
		T(setflags(fd, 0));
	}
	close(fd), close(d), close(p), close(c);
}

static void cached(void)
{
	struct { uint64_t off, len; } range = { 0, 0 };
	uint64_t stat[5];
	int fd = open("c", O_CREAT | O_RDWR, 0600);
	T(syscall(451, fd, &range, stat, 0));
	out("%ld\n", (long)stat[0]);
	ftruncate(fd, 10 * 4096);
	pwrite(fd, "x", 1, 4096);
	pwrite(fd, "x", 1, 5 * 4096);
	pwrite(fd, "xx", 2, 8 * 4096 - 1);
	T(syscall(451, fd, &range, stat, 0));
	out("%ld %ld\n", (long)stat[0], (long)stat[2]);
	range.off = 5 * 4096 + 7;
	range.len = 4096;
	T(syscall(451, fd, &range, stat, 0));
	out("%ld\n", (long)stat[0]);
	range.off = 100 * 4096;
	T(syscall(451, fd, &range, stat, 0));
	out("%ld\n", (long)stat[0]);
	T(syscall(451, fd, &range, stat, 1));
	T(syscall(451, fd, (void *)8, stat, 0));
	T(syscall(451, fd, &range, (void *)8, 0));
	T(syscall(451, 99, &range, stat, 0));
	int path = open("c", O_PATH);
	T(syscall(451, path, &range, stat, 0));
	close(path);
	close(fd);
}

static void others(void)
{
	struct stat st;
	stat(".", &st);
	struct { int tfree; unsigned long tinode; char fname[6], fpack[6]; } us;
	T(syscall(SYS_ustat, st.st_dev, &us));
	CHECK(us.tfree > 0 && us.tinode > 0);
	T(syscall(SYS_ustat, makedev(200, 77), &us));
	T(syscall(SYS_ustat, st.st_dev, (void *)8));
	/* leases that are refused */
	int fd = make_file("lease", "x");
	int d = open(".", O_RDONLY);
	T(fcntl(fd, F_GETLEASE));
	T(fcntl(d, F_GETLEASE));
	T(fcntl(d, F_SETLEASE, F_RDLCK));
	T(fcntl(fd, F_SETLEASE, F_UNLCK));
	T(fcntl(fd, F_SETLEASE, 77));
	T(fcntl(99, F_SETLEASE, F_RDLCK));
	int pipes[2];
	pipe(pipes);
	T(fcntl(pipes[0], F_SETLEASE, F_RDLCK));
	if (!getuid())
		CHILD("another's file", setresuid(1234, 1234, 1234); T(fcntl(fd, F_SETLEASE, F_RDLCK)));
}

int main(void)
{
	scratch();
	flags();
	cached();
	others();
	unscratch();
	return 0;
}

/* open and its errors. bevor-test: user=both files=few */
#include "t.h"

#define TRY(call) do { int t_fd = OK(call); if (t_fd >= 0) close(t_fd); } while (0)

int main(void)
{
	scratch();
	char path[5000];
	close(make_file("f", "text"));
	MUST(mkdir("d", 0755));
	MUST(symlink("f", "to_f"));
	MUST(symlink("d", "to_d"));
	MUST(symlink("nowhere", "dangling"));
	MUST(symlink("loop2", "loop1"));
	MUST(symlink("loop1", "loop2"));
	MUST(mkfifo("fifo", 0644));

	TRY(open("f", O_RDONLY));
	TRY(open("nothing", O_RDONLY));
	TRY(open("", O_RDONLY));
	TRY(open((char *)8, O_RDONLY));
	TRY(open("f/", O_RDONLY));
	TRY(open("f/x", O_RDONLY));
	TRY(open("d/", O_RDONLY));
	TRY(open("d/.", O_RDONLY));
	TRY(open("d/..", O_RDONLY));
	TRY(open("d//../f", O_RDONLY));
	TRY(open("nothing/../f", O_RDONLY));
	TRY(open("d", O_RDWR));
	TRY(open("d", O_WRONLY));
	TRY(open("d", O_RDONLY | O_CREAT, 0644));
	TRY(open("d/new/", O_RDONLY | O_CREAT, 0644));
	TRY(open("f", O_RDONLY | O_DIRECTORY));
	TRY(open("d", O_RDONLY | O_DIRECTORY));
	TRY(open("to_d", O_RDONLY | O_DIRECTORY));
	TRY(open("to_d", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
	TRY(open("to_f", O_RDONLY | O_NOFOLLOW));
	TRY(open("to_d/../f", O_RDONLY | O_NOFOLLOW));
	TRY(open("to_f", O_PATH | O_NOFOLLOW));
	TRY(open("f", O_RDWR | O_CREAT | O_EXCL, 0644));
	TRY(open("to_f", O_RDWR | O_CREAT | O_EXCL, 0644));
	TRY(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0644));
	TRY(open("dangling", O_RDONLY));
	TRY(open("dangling", O_RDWR | O_CREAT, 0644));
	TRY(open("nowhere", O_RDONLY));
	TRY(open("loop1", O_RDONLY));
	TRY(open("loop1", O_RDONLY | O_NOFOLLOW));
	TRY(open("loop1/x", O_RDONLY));
	TRY(open("fifo", O_WRONLY | O_NONBLOCK));
	TRY(open("fifo", O_RDONLY | O_NONBLOCK));
	TRY(open("fifo", O_RDWR));
	TRY(open("f", O_RDONLY | O_TRUNC));
	TRY(open("f", O_ACCMODE));
	TRY(open("f", O_RDONLY | O_TMPFILE));
	TRY(open("f", O_RDWR | O_TMPFILE, 0600));
	TRY(open("d", O_RDWR | O_TMPFILE, 0600));
	TRY(open("nothing", O_RDWR | O_TMPFILE, 0600));
	TRY(open("f", O_PATH));
	TRY(open("f", O_RDONLY | O_NOATIME));
	TRY(openat(-1, "f", O_RDONLY));
	TRY(openat(AT_FDCWD, "f", O_RDONLY));
	TRY(openat(-1, "/", O_RDONLY));
	int d = MUST(open("d", O_RDONLY));
	int f = MUST(open("f", O_RDONLY));
	TRY(openat(d, "../f", O_RDONLY));
	TRY(openat(d, "f", O_RDONLY));
	TRY(openat(f, "f", O_RDONLY));
	TRY(openat(f, "", O_RDONLY));
	TRY(openat(d, "made", O_WRONLY | O_CREAT, 0600));
	TRY(open("d/made", O_RDONLY));
	TRY(creat("created", 0444));
	TRY(creat("d", 0444));

	memset(path, 'a', sizeof path);
	path[255] = 0;
	TRY(open(path, O_RDWR | O_CREAT, 0600));
	path[255] = 'a';
	path[256] = 0;
	TRY(open(path, O_RDWR | O_CREAT, 0600));
	for (int i = 0; i < 5000; i++)
		path[i] = i % 2 ? '/' : '.';
	path[4094] = 'f';
	path[4095] = 0;
	TRY(open(path, O_RDONLY));
	path[4095] = '/';
	path[4096] = 0;
	TRY(open(path, O_RDONLY));

	/* The lowest descriptor is taken, flags read back. */
	close(f);
	close(d);
	int low = MUST(open("f", O_RDONLY));
	int next = MUST(open("f", O_RDWR | O_APPEND | O_NONBLOCK | O_CLOEXEC));
	CHECK(next == low + 1);
	close(low);
	CHECK(open("f", O_RDONLY) == low);
	out("flags %o\n", fcntl(next, F_GETFL));
	out("fdflags %d\n", fcntl(next, F_GETFD));
	out("flags %o\n", fcntl(low, F_GETFL));
	T(fcntl(next, F_SETFL, O_RDONLY | O_CREAT));
	out("flags %o\n", fcntl(next, F_GETFL));
	int opath = MUST(open("f", O_PATH));
	out("flags %o\n", fcntl(opath, F_GETFL));
	T(read(opath, path, 1));
	T(write(opath, path, 1));
	T(lseek(opath, 0, SEEK_SET));
	T(fchmod(opath, 0600));
	T(ftruncate(opath, 0));
	struct stat st;
	T(fstat(opath, &st));
	snprintf(path, sizeof path, "/proc/self/fd/%d", opath);
	TRY(open(path, O_RDWR));
	T(fcntl(opath, F_SETFL, O_APPEND));
	int o2 = T(fcntl(opath, F_DUPFD, 100));
	T(close(o2));

	/* Modes against the umask. */
	umask(027);
	close(open("m1", O_CREAT | O_WRONLY, 0777));
	close(open("m2", O_CREAT | O_WRONLY, 07777));
	mkdir("m3", 0777);
	mkdir("m4", 07777);
	mknod("m5", S_IFREG | 0666, 0);
	mkfifo("m6", 0666);
	for (int i = 1; i <= 6; i++) {
		snprintf(path, sizeof path, "m%d", i);
		MUST(stat(path, &st));
		out("%s %o\n", path, st.st_mode);
	}
	V(umask(0));
	V(umask(01777));
	V(umask(022));
	/* O_TMPFILE becomes a file by linkat. */
	int tmp = MUST(open(".", O_TMPFILE | O_RDWR, 0640));
	MUST(write(tmp, "hidden", 6));
	MUST(fstat(tmp, &st));
	V(st.st_nlink);
	snprintf(path, sizeof path, "/proc/self/fd/%d", tmp);
	T(linkat(AT_FDCWD, path, AT_FDCWD, "visible", AT_SYMLINK_FOLLOW));
	MUST(fstat(tmp, &st));
	V(st.st_nlink);
	V(st.st_size);
	tmp = MUST(open(".", O_TMPFILE | O_RDWR | O_EXCL, 0640));
	snprintf(path, sizeof path, "/proc/self/fd/%d", tmp);
	T(linkat(AT_FDCWD, path, AT_FDCWD, "never", AT_SYMLINK_FOLLOW));
	unscratch();
	return 0;
}

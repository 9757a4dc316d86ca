/* What calls on descriptors refuse. bevor-test: kernel=6.15 */
#include "errors.h"
#include <arpa/inet.h>
#include <linux/fadvise.h>
#include <linux/memfd.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/statfs.h>

static char buf[65536];
static int file, reader, folder, sink, source, pipe_in, pipe_out, full;

static void reads(void)
{
	struct iovec good = { buf, 4 }, bad = { e_bad, 4 };
	S(read, 99, buf, 4L);
	S(read, sink, buf, 4L);
	S(pread64, 99, buf, 4L, 0L);
	S(pread64, file, e_bad, 4L, 0L);
	S(pread64, file, buf, 4L, -1L);
	S(pread64, folder, buf, 4L, 0L);
	S(pread64, pipe_out, buf, 4L, 0L);
	S(pread64, file, buf, 4L, 0L);
	S(readv, 99, &good, 1);
	S(readv, file, &good, -1);
	S(readv, file, &good, 1025);
	S(readv, file, e_bad, 1);
	S(readv, file, &bad, 1);
	S(readv, file, &good, 1);
	S(preadv, 99, &good, 1, 0L, 0L);
	S(preadv, file, &good, -1, 0L, 0L);
	S(preadv, file, &good, 1, -1L, 0L);
	S(preadv, file, &bad, 1, 0L, 0L);
	S(preadv, folder, &good, 1, 0L, 0L);
	S(preadv, pipe_out, &good, 1, 0L, 0L);
	S(preadv, file, &good, 1, 0L, 0L);
	S(preadv2, 99, &good, 1, 0L, 0L, 0);
	S(preadv2, file, &good, -1, 0L, 0L, 0);
	S(preadv2, file, &good, 1, -2L, 0L, 0);
	S(preadv2, file, &bad, 1, 0L, 0L, 0);
	S(preadv2, file, &good, 1, 0L, 0L, 0x40000000);
	S(preadv2, file, &good, 1, 0L, 0L, 0);
	S(preadv2, file, &good, 1, -1L, 0L, 0);
}

static void writes(void)
{
	struct iovec good = { buf, 4 }, bad = { e_bad, 4 };
	off_t at = 0;
	int broken[2], datagram = socket(AF_INET, SOCK_DGRAM, 0);
	S(write, 99, buf, 4L);
	S(write, reader, buf, 4L);
	S(write, datagram, buf, 4L);
	S(write, full, buf, 4L);
	S(pwrite64, 99, buf, 4L, 0L);
	S(pwrite64, file, e_bad, 4L, 0L);
	S(pwrite64, file, buf, 4L, -1L);
	S(pwrite64, pipe_in, buf, 4L, 0L);
	S(pwrite64, full, buf, 4L, 9000L);
	S(pwrite64, file, buf, 4L, 0L);
	S(writev, 99, &good, 1);
	S(writev, file, &good, -1);
	S(writev, file, &bad, 1);
	S(writev, full, &good, 1);
	S(writev, file, &good, 1);
	S(pwritev, 99, &good, 1, 0L, 0L);
	S(pwritev, file, &good, -1, 0L, 0L);
	S(pwritev, file, &good, 1, -1L, 0L);
	S(pwritev, file, &bad, 1, 0L, 0L);
	S(pwritev, pipe_in, &good, 1, 0L, 0L);
	S(pwritev, file, &good, 1, 0L, 0L);
	S(pwritev2, 99, &good, 1, 0L, 0L, 0);
	S(pwritev2, file, &good, -1, 0L, 0L, 0);
	S(pwritev2, file, &good, 1, -2L, 0L, 0);
	S(pwritev2, file, &bad, 1, 0L, 0L, 0);
	S(pwritev2, file, &good, 1, 0L, 0L, 0x40000000);
	S(pwritev2, file, &good, 1, 0L, 0L, 0);
	MUST(pipe(broken));
	close(broken[0]);
	signal(SIGPIPE, SIG_IGN);
	S(write, broken[1], buf, 4L);
	close(broken[1]);
	/* A full pipe. */
	MUST(pipe2(broken, O_NONBLOCK));
	MUST(fcntl(broken[1], F_SETPIPE_SZ, 4096));
	while (write(broken[1], buf, 4096) > 0)
		;
	S(write, broken[1], buf, 4L);
	S(sendfile, broken[1], file, &at, 4L);
	fcntl(broken[1], F_SETFL, 0);
	interrupt_ms(50);
	S(write, broken[1], buf, 4L);
	interrupt_ms(0);
	close(broken[0]), close(broken[1]), close(datagram);
}

static void lengths(void)
{
	off_t at = 0, far = 100;
	int long_file = MUST(open("d/g", O_RDWR | O_APPEND)), fds[2];
	signal(SIGXFSZ, SIG_IGN);
	MUST(pipe(fds));
	MUST(write(fds[1], buf, 300));
	LIMITED(write, long_file, buf, 200L);
	LIMITED(write, long_file, buf, 1L);
	LIMITED(pwrite64, file, buf, 4L, 100L);
	LIMITED(ftruncate, file, 101L);
	LIMITED(fallocate, file, 0, 0L, 101L);
	LIMITED(copy_file_range, reader, &at, file, &far, 4L, 0);
	MUST(lseek(file, 98, SEEK_SET));
	LIMITED(sendfile, file, reader, &at, 4L);
	V(at);
	LIMITED(sendfile, file, reader, &at, 4L);
	LIMITED(splice, fds[0], NULL, file, &far, 4L, 0);
	far = 0;
	LIMITED(splice, fds[0], NULL, file, &far, 300L, 0);
	V(far);
}

static void positions(void)
{
	off_t at = 0, one = 1, negative = -1, huge = 3L << 30, last = INT64_MAX, end = 9000;
	int status = MUST(open("/proc/self/status", O_RDONLY)), null = MUST(open("/dev/null", O_RDWR));
	S(lseek, 99, 0L, SEEK_SET);
	S(lseek, file, -1L, SEEK_SET);
	S(lseek, file, 0L, 9);
	S(lseek, file, 1000L, SEEK_DATA);
	S(lseek, pipe_out, 0L, SEEK_SET);
	S(lseek, file, 0L, SEEK_SET);
	S(sendfile, 99, reader, NULL, 4L);
	S(sendfile, file, 99, NULL, 4L);
	S(sendfile, file, sink, NULL, 4L);
	S(sendfile, file, reader, e_bad, 4L);
	S(sendfile, file, reader, &negative, 4L);
	S(sendfile, null, status, &huge, 4L);
	S(sendfile, file, pipe_out, &at, 4L);
	S(sendfile, file, reader, &at, 4L);
	at = 0;
	S(copy_file_range, 99, &at, file, &at, 4L, 0);
	S(copy_file_range, sink, &at, file, &at, 4L, 0);
	S(copy_file_range, reader, &at, reader, &at, 4L, 0);
	S(copy_file_range, reader, &at, file, &at, 4L, 1);
	S(copy_file_range, folder, &at, file, &at, 4L, 0);
	S(copy_file_range, pipe_out, NULL, file, &at, 4L, 0);
	S(copy_file_range, reader, e_bad, file, &at, 4L, 0);
	S(copy_file_range, reader, &at, file, &last, 4L, 0);
	S(copy_file_range, reader, &one, file, &one, -1L, 0);
	S(copy_file_range, reader, &at, full, &at, 9000L, 0);
	S(copy_file_range, MUST(open("full/g", O_RDONLY)), &at, full, &end, 4L, 0);
	S(copy_file_range, status, &at, file, &at, 4L, 0);
	S(copy_file_range, reader, &at, file, &at, 4L, 0);
	close(status), close(null);
}

static void sizes(void)
{
	int null = MUST(open("/dev/null", O_RDWR)), sealed = MUST(memfd_create("sealed", MFD_ALLOW_SEALING));
	int locked = MUST(open("d/g", O_RDWR));
	MUST(ftruncate(sealed, 10));
	MUST(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
	S(ftruncate, 99, 0L);
	S(ftruncate, reader, 0L);
	S(ftruncate, file, -1L);
	S(ftruncate, pipe_in, 0L);
	S(ftruncate, folder, 0L);
	S(ftruncate, sealed, 0L);
	S(ftruncate, file, 9L);
	S(fallocate, 99, 0, 0L, 1L);
	S(fallocate, reader, 0, 0L, 1L);
	S(fallocate, file, 0, -1L, 1L);
	S(fallocate, file, 0, 0L, 0L);
	S(fallocate, file, 0, INT64_MAX, 1L);
	S(fallocate, file, 0x4000, 0L, 1L);
	S(fallocate, pipe_in, 0, 0L, 1L);
	S(fallocate, null, 0, 0L, 1L);
	S(fallocate, folder, 0, 0L, 1L);
	S(fallocate, sealed, 0, 0L, 100L);
	S(fallocate, full, 0, 0L, 100000L);
	S(fallocate, file, 0, 0L, 9L);
	e_flags("d/g", FS_IMMUTABLE_FL);
	off_t at = 0;
	S(ftruncate, locked, 0L);
	S(copy_file_range, reader, &at, locked, &at, 4L, 0);
	S(fchmod, locked, 0600);
	S(fchown, locked, 0, 0);
	e_flags("d/g", 0);
	close(null), close(sealed), close(locked);
}

static void attributes(void)
{
	struct stat st;
	struct statfs sfs;
	int readonly = MUST(open("ro/f", O_RDONLY));
	S(fstat, 99, &st);
	S(fstat, file, e_bad);
	S(fstat, file, &st);
	S(fstatfs, 99, &sfs);
	S(fstatfs, file, e_bad);
	S(fstatfs, file, &sfs);
	S(fchmod, 99, 0644);
	S(fchmod, readonly, 0644);
	S(fchmod, file, 0644);
	S(fchown, 99, NOBODY, NOBODY);
	S(fchown, readonly, NOBODY, NOBODY);
	S(fchown, file, NOBODY, NOBODY);
	AS_NOBODY("not the owner", {
		int theirs = open("readable", O_RDONLY);
		S(fchmod, theirs, 0644);
		S(fchown, theirs, NOBODY, NOBODY);
	});
	S(fsync, 99);
	S(fsync, pipe_in);
	S(fsync, file);
	S(fdatasync, 99);
	S(fdatasync, pipe_in);
	S(fdatasync, file);
	S(sync);
	S(syncfs, 99);
	S(syncfs, file);
	S(sync_file_range, 99, 0L, 0L, 0);
	S(sync_file_range, file, -1L, 0L, 0);
	S(sync_file_range, file, 0L, 0L, 8);
	S(sync_file_range, pipe_in, 0L, 0L, 0);
	S(sync_file_range, file, 0L, 0L, SYNC_FILE_RANGE_WRITE);
	S(readahead, 99, 0L, 1L);
	S(readahead, sink, 0L, 1L);
	S(readahead, pipe_out, 0L, 1L);
	S(readahead, file, 0L, 1L);
	S(fadvise64, 99, 0L, 0L, POSIX_FADV_NORMAL);
	S(fadvise64, file, 0L, 0L, 77);
	S(fadvise64, pipe_out, 0L, 0L, POSIX_FADV_NORMAL);
	S(fadvise64, file, 0L, 0L, POSIX_FADV_NORMAL);
	close(readonly);
}

static void folders(void)
{
	MUST(mkdir("gone", 0700));
	int gone = MUST(open("gone", O_RDONLY | O_DIRECTORY));
	MUST(rmdir("gone"));
	S(getdents, 99, buf, sizeof buf);
	S(getdents, file, buf, sizeof buf);
	S(getdents, folder, buf, 3);
	S(getdents, folder, e_bad, 1000);
	S(getdents, gone, buf, sizeof buf);
	S(getdents, folder, buf, sizeof buf);
	MUST(lseek(folder, 0, SEEK_SET));
	S(getdents64, 99, buf, sizeof buf);
	S(getdents64, file, buf, sizeof buf);
	S(getdents64, folder, buf, 3);
	S(getdents64, folder, e_bad, 1000);
	S(getdents64, gone, buf, sizeof buf);
	S(getdents64, folder, buf, sizeof buf);
	S(fchdir, 99);
	S(fchdir, file);
	close(gone);
}

static void few_descriptors(void)
{
	struct rlimit limit = { 30, 30 };
	int fds[2];
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	S(dup2, file, 30);
	S(dup3, file, 30, 0);
	while (dup(file) >= 0)
		;
	S(dup, file);
	S(fcntl, file, F_DUPFD, 0);
	S(pipe, fds);
	S(pipe2, fds, 0);
	S(inotify_init);
	S(inotify_init1, 0);
	S(memfd_create, "m", 0);
	S(close_range, 3, ~0U, 0);
}

static void descriptors(void)
{
	int fds[2], none[2], watch, wd, other;
	S(close, 99);
	S(close, dup(file));
	S(dup, 99);
	S(dup2, 99, 50);
	S(dup2, file, -1);
	S(dup3, 99, 50, 0);
	S(dup3, file, file, 0);
	S(dup3, file, 50, 1);
	S(dup, file);
	S(dup2, file, 50);
	S(dup3, file, 51, 0);
	S(pipe, e_bad);
	S(pipe, fds);
	S(pipe2, e_bad, 0);
	S(pipe2, fds, 1);
	S(pipe2, fds, 0);
	S(close_range, 60, 50, 0);
	S(close_range, 50, 60, 0x10);
	S(close_range, 50, 60, 0);
	S(memfd_create, e_bad, 0);
	S(memfd_create, "m", 0x40000000);
	S(memfd_create, e_long, 0);
	S(memfd_create, "m", 0);
	S(inotify_init1, 1);
	watch = S(inotify_init);
	S(inotify_init1, IN_NONBLOCK);
	S(inotify_add_watch, 99, "f", IN_MODIFY);
	S(inotify_add_watch, file, "f", IN_MODIFY);
	S(inotify_add_watch, watch, e_bad, IN_MODIFY);
	S(inotify_add_watch, watch, "f", 0);
	S(inotify_add_watch, watch, "f", IN_MODIFY | IN_ONLYDIR);
	wd = S(inotify_add_watch, watch, "f", IN_MODIFY);
	S(inotify_add_watch, watch, "f", IN_MODIFY | IN_MASK_CREATE);
	S(inotify_add_watch, watch, "f", IN_MODIFY | IN_MASK_CREATE | IN_MASK_ADD);
	S(inotify_rm_watch, 99, wd);
	S(inotify_rm_watch, file, wd);
	S(inotify_rm_watch, watch, 77);
	S(inotify_rm_watch, watch, wd);
	other = MUST(open("f", O_RDWR));
	S(flock, 99, LOCK_SH);
	S(flock, file, 77);
	S(flock, other, LOCK_EX);
	S(flock, file, LOCK_EX | LOCK_NB);
	interrupt_ms(50);
	S(flock, file, LOCK_EX);
	interrupt_ms(0);
	CHILD("few", few_descriptors());
}

static void pipes(void)
{
	off_t at = 0, negative = -1;
	struct iovec good = { buf, 4 }, bad = { e_bad, 4 };
	int fds[2], more[2];
	MUST(pipe2(fds, O_NONBLOCK));
	MUST(pipe2(more, O_NONBLOCK));
	S(splice, 99, NULL, fds[1], NULL, 4L, 0);
	S(splice, reader, NULL, 99, NULL, 4L, 0);
	S(splice, reader, NULL, file, NULL, 4L, 0);
	S(splice, reader, NULL, fds[1], NULL, 4L, 0x100);
	S(splice, reader, NULL, fds[1], &at, 4L, 0);
	S(splice, reader, e_bad, fds[1], NULL, 4L, 0);
	S(splice, reader, &negative, fds[1], NULL, 4L, 0);
	S(splice, fds[0], NULL, file, NULL, 4L, 0);
	S(tee, 99, fds[1], 4L, 0);
	S(tee, file, fds[1], 4L, 0);
	S(tee, fds[0], fds[1], 4L, 0);
	S(tee, fds[0], more[1], 4L, 0x100);
	S(tee, fds[0], more[1], 4L, 0);
	S(vmsplice, 99, &good, 1L, 0);
	S(vmsplice, file, &good, 1L, 0);
	S(vmsplice, fds[1], &good, 1L, 0x100);
	S(vmsplice, fds[1], &good, 1025L, 0);
	S(vmsplice, fds[1], e_bad, 1L, 0);
	S(vmsplice, fds[1], &bad, 1L, 0);
	S(vmsplice, fds[0], &good, 1L, SPLICE_F_NONBLOCK);
	interrupt_ms(50);
	S(vmsplice, fds[0], &good, 1L, 0);
	interrupt_ms(0);
	S(vmsplice, fds[1], &good, 1L, 0);
	S(tee, fds[0], more[1], 4L, 0);
	S(splice, reader, &at, fds[1], NULL, 4L, 0);
	S(splice, fds[0], NULL, file, NULL, 4L, 0);
}

int main(void)
{
	int fds[2];
	e_fixture();
	MUST(umount2("full", MNT_DETACH));
	MUST(mount("full", "full", "tmpfs", 0, "size=8k,nr_inodes=9"));
	file = MUST(open("f", O_RDWR));
	reader = MUST(open("x", O_RDONLY));
	sink = MUST(open("x", O_WRONLY));
	folder = MUST(open("d", O_RDONLY));
	full = MUST(open("full/f", O_RDWR | O_CREAT, 0600));
	MUST(write(MUST(open("full/g", O_RDWR | O_CREAT, 0600)), "text", 4));
	MUST(pipe(fds));
	pipe_out = fds[0], pipe_in = fds[1];
	while (write(full, buf, 4096) > 0)
		;
	reads();
	writes();
	positions();
	sizes();
	attributes();
	folders();
	CHILD("lengths", lengths());
	pipes();
	descriptors();
	mnt_unscratch();
	return 0;
}

/* read, write, lseek, pread, pwrite and their vector forms. bevor-test: user=both files=few */
#include "t.h"
#include <sys/sendfile.h>

int main(void)
{
	scratch();
	char buf[64];
	int fd = make_file("f", "0123456789");
	T(lseek(fd, 0, SEEK_CUR));
	T(lseek(fd, 3, SEEK_SET));
	out_bytes("read", buf, read(fd, buf, 4));
	T(lseek(fd, -2, SEEK_CUR));
	T(lseek(fd, -100, SEEK_CUR));
	T(lseek(fd, -1, SEEK_SET));
	T(lseek(fd, 5, 99));
	T(lseek(fd, 2, SEEK_END));
	out_bytes("at end", buf, read(fd, buf, 4));
	T(pread(fd, buf, 4, 8));
	T(pread(fd, buf, 4, 10));
	T(pread(fd, buf, 4, -1));
	T(pwrite(fd, "XY", 2, 20));
	T(pwrite(fd, "XY", 2, -1));
	T(lseek(fd, 0, SEEK_CUR));
	out_bytes("hole", buf, pread(fd, buf, 64, 0));
	T(lseek(fd, 0, SEEK_DATA));
	T(lseek(fd, 1000, SEEK_DATA));
	T(lseek(fd, 0, SEEK_HOLE));
	T(read(fd, buf, 0));
	T(read(fd, (void *)8, 0));
	T(lseek(fd, 0, SEEK_SET));
	T(read(fd, (void *)8, 5));
	T(write(fd, (void *)8, 5));
	T(write(fd, (void *)8, 0));
	T(lseek(fd, 0, SEEK_CUR));
	T(read(-1, buf, 1));
	T(write(1000, buf, 1));
	T(read(fd, buf, -1));

	struct iovec v[3] = { { buf, 2 }, { buf + 10, 0 }, { buf + 20, 5 } };
	memset(buf, '.', sizeof buf);
	T(readv(fd, v, 3));
	out_bytes("readv", buf, 30);
	T(readv(fd, v, 0));
	T(readv(fd, v, -1));
	T(readv(fd, v, 1025));
	T(writev(fd, v, 3));
	T(lseek(fd, 0, SEEK_CUR));
	v[1].iov_base = (void *)8;
	v[1].iov_len = 4;
	T(lseek(fd, 0, SEEK_SET));
	T(readv(fd, v, 3));
	T(writev(fd, v, 3));
	T(lseek(fd, 0, SEEK_CUR));
	v[1].iov_len = -1;
	T(readv(fd, v, 3));
	v[1] = (struct iovec){ buf + 30, 3 };
	T(preadv(fd, v, 3, 1));
	T(pwritev(fd, v, 3, 2));
	T(preadv2(fd, v, 3, 1, 0));
	T(preadv2(fd, v, 3, -1, 0));
	T(preadv2(fd, v, 3, 1, 0x4000));
	T(pwritev2(fd, v, 2, 0, RWF_APPEND));
	struct stat st;
	MUST(fstat(fd, &st));
	V(st.st_size);

	T(ftruncate(fd, 5));
	T(ftruncate(fd, -1));
	T(lseek(fd, 0, SEEK_END));
	T(truncate("f", 100));
	T(truncate("nothing", 100));
	T(truncate("f", -1));
	out_bytes("grown", buf, pread(fd, buf, 20, 0));
	close(fd);

	fd = MUST(open("f", O_WRONLY | O_APPEND));
	T(read(fd, buf, 1));
	T(write(fd, "end", 3));
	T(lseek(fd, 0, SEEK_CUR));
	T(lseek(fd, 0, SEEK_SET));
	T(write(fd, "!", 1));
	T(pwrite(fd, "?", 1, 0));
	T(lseek(fd, 0, SEEK_CUR));
	MUST(fstat(fd, &st));
	V(st.st_size);
	close(fd);
	fd = MUST(open("f", O_RDONLY));
	T(write(fd, "a", 1));
	T(ftruncate(fd, 0));
	out_bytes("tail", buf, pread(fd, buf, 60, 95));
	T(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
	T(posix_fadvise(fd, 0, 0, 77));
	T(readahead(fd, 0, 100));
	T(fsync(fd));
	T(fdatasync(fd));
	T(sync_file_range(fd, 0, 0, 0));
	T(syncfs(fd));
	T(close(fd));
	T(close(fd));

	fd = MUST(open(".", O_RDONLY | O_DIRECTORY));
	T(read(fd, buf, 1));
	T(pread(fd, buf, 1, 0));
	T(write(fd, buf, 1));
	T(fsync(fd));
	close(fd);

	/* The offset belongs to the open file, not to the descriptor. */
	fd = MUST(open("f", O_RDONLY));
	int two = MUST(dup(fd));
	int other = MUST(open("f", O_RDONLY));
	read(fd, buf, 7);
	T(lseek(two, 0, SEEK_CUR));
	T(lseek(other, 0, SEEK_CUR));
	CHILD("child", read(fd, buf, 5));
	T(lseek(fd, 0, SEEK_CUR));

	/* Large offsets. */
	fd = MUST(open("big", O_RDWR | O_CREAT, 0600));
	T(pwrite(fd, "x", 1, 1L << 40));
	MUST(fstat(fd, &st));
	V(st.st_size);
	V(st.st_blocks <= 64);
	T(lseek(fd, 0, SEEK_DATA));
	T(lseek(fd, (1L << 40) + 1, SEEK_DATA));
	T(lseek(fd, 1L << 40, SEEK_HOLE));
	T(lseek(fd, 0x7fffffffffffffff, SEEK_SET));
	T(write(fd, "x", 1));
	T(lseek(fd, 1, SEEK_CUR));
	T(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1L << 41));
	T(lseek(fd, 0, SEEK_DATA));
	T(ftruncate(fd, 0));
	T(fallocate(fd, 0, 0, 10000));
	T(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20000));
	T(fallocate(fd, 0, 0, 0));
	T(fallocate(fd, 0, -1, 10));
	T(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10));
	T(lseek(fd, 0, SEEK_END));
	unscratch();
	return 0;
}

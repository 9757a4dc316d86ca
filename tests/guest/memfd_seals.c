/* memfd_create and seals. bevor-test: user=both */
#include "t.h"

int main(void)
{
	char buf[64];
	int fd = MUST(memfd_create("name", MFD_ALLOW_SEALING | MFD_CLOEXEC));
	T(fcntl(fd, F_GETFD));
	snprintf(buf, sizeof buf, "/proc/self/fd/%d", fd);
	char link[64] = "";
	readlink(buf, link, sizeof link - 1);
	out("%s\n", link);
	struct stat st;
	fstat(fd, &st);
	out("mode %o size %ld nlink %ld\n", st.st_mode & 0170000, (long)st.st_size, (long)st.st_nlink);
	T(fcntl(fd, F_GET_SEALS));
	T(write(fd, "hello", 5));
	T(ftruncate(fd, 8192));
	char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	out_bytes("map", map, 5);
	T(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	T(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	T(ftruncate(fd, 10000));
	T(pwrite(fd, "x", 1, 8192));
	T(pwrite(fd, "xy", 2, 8191));
	T(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	T(ftruncate(fd, 100));
	T(ftruncate(fd, 8192));
	T(fcntl(fd, F_GET_SEALS));
	T(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	T(write(fd, "x", 1));
	map[0] = 'H';
	out_bytes("old mapping writes", map, 5);
	T((long)mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == -1 ? -1 : 0);
	T((long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == -1 ? -1 : 0);
	T((long)mmap(NULL, 4096, PROT_WRITE, MAP_PRIVATE, fd, 0) == -1 ? -1 : 0);
	munmap(map, 8192);
	T(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	T(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	T(fcntl(fd, F_ADD_SEALS, 0x1000));
	T(fcntl(fd, F_GET_SEALS));
	T(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));

	fd = MUST(memfd_create("unsealable", 0));
	T(fcntl(fd, F_GET_SEALS));
	T(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	T(fcntl(0, F_GET_SEALS));
	T(memfd_create("x", 0x1000));
	memset(buf, 'n', sizeof buf);
	char longer[300];
	memset(longer, 'n', sizeof longer);
	longer[249] = 0;
	OK(memfd_create(longer, 0));
	longer[249] = 'n';
	longer[250] = 0;
	OK(memfd_create(longer, 0));
	OK(memfd_create((char *)8, 0));
	/* Sealed against writing with a write in it. */
	fd = MUST(memfd_create("w", MFD_ALLOW_SEALING));
	write(fd, "abc", 3);
	T(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	T(write(fd, "abc", 3));
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	T(mprotect(map, 4096, PROT_READ | PROT_WRITE));
	/* Shared with children, and executable. */
	fd = MUST(memfd_create("shared", 0));
	ftruncate(fd, 4096);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHILD("writes", strcpy(map, "from the child"));
	out("%s\n", map);
	fd = MUST(memfd_create("sh", MFD_CLOEXEC));
	int bin = MUST(open("/bin/true", O_RDONLY));
	char block[65536];
	ssize_t len;
	while ((len = read(bin, block, sizeof block)) > 0)
		write(fd, block, len);
	char *argv[] = { "true", NULL };
	CHILD("run", fexecve(fd, argv, environ));
	return 0;
}

/* Seals one by one, seals of programs, shared mappings that seals find, names and flags. bevor-test: user=both */
#include "t.h"

static void memfds(void)
{
	struct stat st;
	int fd = memfd_create("a", 0x8 /* NOEXEC_SEAL */);
	fstat(fd, &st); out("%o seals %x\n", st.st_mode, fcntl(fd, F_GET_SEALS));
	T(fchmod(fd, 0700)); T(fchmod(fd, 0600)); T(fchmod(fd, 04600));
	T(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	V(fcntl(fd, F_GET_SEALS));
	fd = memfd_create("b", 0x10 | MFD_ALLOW_SEALING);
	fstat(fd, &st); out("%o seals %x\n", st.st_mode, fcntl(fd, F_GET_SEALS));
	T(fcntl(fd, F_ADD_SEALS, 0x20));
	V(fcntl(fd, F_GET_SEALS));
	T(fchmod(fd, 0600)); T(fchmod(fd, 0777));
	fd = memfd_create("b", MFD_ALLOW_SEALING);
	fchmod(fd, 0600);
	T(fcntl(fd, F_ADD_SEALS, 0x20));
	V(fcntl(fd, F_GET_SEALS));
	T(fchmod(fd, 0700));
	T(memfd_create("c", 0x18));
	T(memfd_create("c", MFD_HUGETLB | (63U << 26)));
	T(memfd_create("c", 21U << 26));
	fd = memfd_create("f", MFD_ALLOW_SEALING);
	ftruncate(fd, 8192);
	char *map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	T(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	map[0] = 7;
	T(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	T(fallocate(fd, 0, 0, 4096)); T(fallocate(fd, 3, 0, 4096)); T(fallocate(fd, 0, 8192, 4096));
	T(pwrite(fd, "x", 1, 0));
	char p[64]; snprintf(p, 64, "/proc/self/fd/%d", fd);
	int ro = open(p, O_RDONLY), rw = open(p, O_RDWR);
	T(fcntl(ro, F_ADD_SEALS, F_SEAL_GROW));
	T(write(rw, "x", 1));
	char *r = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
	T(mprotect(r, 4096, PROT_READ | PROT_WRITE));
	V(r[0]);
	T(mprotect(map, 4096, PROT_READ)); T(mprotect(map, 4096, PROT_READ | PROT_WRITE));
	r = mmap(0, 4096, PROT_READ, MAP_SHARED, ro, 0); T(mprotect(r, 4096, PROT_READ | PROT_WRITE));
	fd = memfd_create("w", MFD_ALLOW_SEALING);
	ftruncate(fd, 4096);
	r = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
	T(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	T(mprotect(r, 4096, PROT_READ | PROT_WRITE));
	T((long)mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0) == -1 ? -1 : 0);
	T(fcntl(fd, F_ADD_SEALS, 0));
	T(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	T(fcntl(fd, F_ADD_SEALS, 0));
	snprintf(p, 64, "/dev/shm/b%d", getpid());
	fd = open(p, O_RDWR | O_CREAT, 0600); unlink(p);
	T(fcntl(fd, F_GET_SEALS)); T(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
}

int main(void)
{
	memfds();
	return 0;
}

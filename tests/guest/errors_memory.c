/* Errors of the calls about memory. bevor-test: user=both */
#include "provoke.h"
#include <linux/mempolicy.h>
#include <sys/eventfd.h>

#define PAGE 4096UL

/* Pages at a low address: nothing moves into a hole there by itself. */
static char *pages(unsigned long number)
{
	static char *next = (char *)0x200000000;
	char *at = mmap(next, number * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
			-1, 0);
	if (at != next)
		_exit(90);
	next += 1 << 20;
	memset(at, 1, number * PAGE);
	return at;
}

static void mappings(int fd)
{
	char *at = pages(4), vec[8];
	int read_only = MUST(open("file", O_RDONLY)), write_only = MUST(open("file", O_WRONLY));
	int pipes[2], eventfd_ = MUST(eventfd(0, 0));
	MUST(pipe(pipes));
	E(mmap, "fine", NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0L);
	E(mmap, "no length", NULL, 0L, PROT_READ, MAP_PRIVATE, fd, 0L);
	E(mmap, "offset not aligned", NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 5L);
	E(mmap, "neither private nor shared", NULL, PAGE, PROT_READ, 0, fd, 0L);
	E(mmap, "fixed, not aligned", at + 5, PAGE, PROT_READ, MAP_FIXED | MAP_PRIVATE, fd, 0L);
	E(mmap, "no descriptor", NULL, PAGE, PROT_READ, MAP_PRIVATE, 999, 0L);
	E(mmap, "cannot be mapped", NULL, PAGE, PROT_READ, MAP_PRIVATE, eventfd_, 0L);
	E(mmap, "not for reading", NULL, PAGE, PROT_READ, MAP_PRIVATE, write_only, 0L);
	E(mmap, "not for writing", NULL, PAGE, PROT_WRITE, MAP_SHARED, read_only, 0L);
	E(mmap, "taken", at, PAGE, PROT_READ, MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
	E(mmap, "too long", NULL, 1L << 60, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
	E(mmap, "beyond every file", NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, LONG_MIN);
	E(munmap, "fine", at + 3 * PAGE, PAGE);
	E(munmap, "not aligned", at + 5, PAGE);
	E(munmap, "no length", at, 0L);
	E(munmap, "beyond the address space", at, 1L << 60);
	E(mprotect, "fine", at, PAGE, PROT_READ);
	E(mprotect, "not aligned", at + 5, PAGE, PROT_READ);
	E(mprotect, "both directions", at, PAGE, PROT_GROWSDOWN | PROT_GROWSUP);
	E(mprotect, "nothing there", at, 4 * PAGE, PROT_READ);
	void *shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, read_only, 0);
	E(mprotect, "file not for writing", shared, PAGE, PROT_READ | PROT_WRITE);
	E(pkey_mprotect, "no key", at, PAGE, PROT_READ, -1);
	E(pkey_mprotect, "not aligned", at + 5, PAGE, PROT_READ, -1);
	E(pkey_mprotect, "nothing there", at, 4 * PAGE, PROT_READ, -1);
	E(pkey_mprotect, "no such key", at, PAGE, PROT_READ, 14);
	E(pkey_mprotect, "file not for writing", shared, PAGE, PROT_READ | PROT_WRITE, -1);
	E(mremap, "fine", at, PAGE, PAGE, 0);
	E(mremap, "not aligned", at + 5, PAGE, PAGE, 0);
	E(mremap, "nothing there", at + 3 * PAGE, PAGE, PAGE, 0);
	E(mremap, "no room", at, PAGE, 1L << 47, MREMAP_MAYMOVE);
	E(mremap, "strange flag", at, PAGE, PAGE, 64);
	E(msync, "fine", shared, PAGE, MS_SYNC);
	E(msync, "not aligned", at + 5, PAGE, MS_SYNC);
	E(msync, "strange flag", at, PAGE, 64);
	E(msync, "nothing there", at, 4 * PAGE, MS_SYNC);
	E(mincore, "fine", at, PAGE, vec);
	E(mincore, "not aligned", at + 5, PAGE, vec);
	E(mincore, "bad address", at, PAGE, NOWHERE);
	E(mincore, "nothing there", at, 4 * PAGE, vec);
	E(brk, "fine", NULL);
	E(memfd_create, "fine", "name", 0);
	E(memfd_create, "bad address", NOWHERE, 0);
	E(memfd_create, "strange flag", "name", 0x8000);
	CHILD("no descriptor", no_descriptors(); E(memfd_create, "limit", "name", 0));
	munmap(at, 3 * PAGE);
}

/* As many mappings as there may be: then none can be split. */
static void many(void)
{
	unsigned long length = 1UL << 33, at = 0;
	char *area = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(area != MAP_FAILED);
	while (at < length - 8 * PAGE && mprotect(area + at, PAGE, PROT_READ) == 0)
		at += 2 * PAGE;
	E(mprotect, "too many", area + at + 4 * PAGE, PAGE, PROT_READ);
	E(munmap, "too many", area + at + 4 * PAGE, PAGE);
	munmap(area, length);
}

static void advice(int fd)
{
	char *at = pages(4);
	munmap(at + 3 * PAGE, PAGE);
	char *file = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	E(madvise, "fine", at, PAGE, MADV_NORMAL);
	E(madvise, "not aligned", at + 5, PAGE, MADV_NORMAL);
	E(madvise, "no such advice", at, PAGE, 9999);
	E(madvise, "nothing there", at, 4 * PAGE, MADV_DONTNEED);
	E(madvise, "remove what is private", private, PAGE, MADV_REMOVE);
	E(madvise, "populate beyond the file", file, 4 * PAGE, MADV_POPULATE_READ);
	pid_t child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	int pidfd = MUST(syscall(SYS_pidfd_open, child, 0)), self = MUST(syscall(SYS_pidfd_open, getpid(), 0));
	struct iovec iov = { at, PAGE }, hole = { at, 4 * PAGE };
	E(process_madvise, "fine", pidfd, &iov, 1, MADV_COLD, 0);
	E(process_madvise, "no descriptor", 999, &iov, 1, MADV_COLD, 0);
	E(process_madvise, "not a pidfd", fd, &iov, 1, MADV_COLD, 0);
	E(process_madvise, "bad address", pidfd, NOWHERE, 1, MADV_COLD, 0);
	E(process_madvise, "flags", pidfd, &iov, 1, MADV_COLD, 1);
	E(process_madvise, "not of another", pidfd, &iov, 1, MADV_DONTNEED, 0);
	E(process_madvise, "nothing there", pidfd, &hole, 1, MADV_COLD, 0);
	CHILD("as nobody",
	      if (getuid() == 0) {
		      become_nobody();
		      E(process_madvise, "of another user", pidfd, &iov, 1, MADV_COLD, 0);
	      });
	kill(child, SIGKILL);
	reap("advised", child);
	E(process_madvise, "ended", pidfd, &iov, 1, MADV_COLD, 0);
}

static void locked(int fd)
{
	char *at = pages(4);
	munmap(at + 3 * PAGE, PAGE);
	E(mlock, "fine", at, PAGE);
	E(mlock2, "fine", at, PAGE, MLOCK_ONFAULT);
	E(mlock2, "strange flag", at, PAGE, 64);
	E(mlock, "nothing there", at, 4 * PAGE);
	E(mlock2, "nothing there", at, 4 * PAGE, 0);
	if (getuid() == 0) {
		E(mlock, "end before the start", at, -2 * PAGE);
		E(mlock2, "end before the start", at, -2 * PAGE, 0);
	}
	E(msync, "locked", at, PAGE, MS_INVALIDATE);
	E(munlock, "fine", at, PAGE);
	E(munlock, "nothing there", at, 4 * PAGE);
	E(munlock, "end before the start", at, -2 * PAGE);
	E(mlockall, "strange flag", 64);
	E(mlockall, "no flag", 0);
	E(munlockall, "fine");
	CHILD("as nobody",
	      become_nobody();
	      setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ PAGE, PAGE });
	      E(mlock, "above the limit", at, 3 * PAGE);
	      E(mlock2, "above the limit", at, 3 * PAGE, 0);
	      E(mlockall, "above the limit", MCL_CURRENT);
	      E(mmap, "above the limit", NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0L);
	      E(mlock, "within the limit", at, PAGE);
	      E(mremap, "above the limit", at, PAGE, 4 * PAGE, MREMAP_MAYMOVE);
	      setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ 0, 0 });
	      E(mlock, "no right", at, PAGE);
	      E(mlock2, "no right", at, PAGE, 0);
	      E(mlockall, "no right", MCL_CURRENT));
	CHILD("all", E(mlockall, "fine", MCL_FUTURE | MCL_ONFAULT));
}

static void nodes(void)
{
	unsigned long mask = 1, far = 1UL << 63, none = 0;
	int mode, status[2], where[2] = { 0, 0 };
	char *at = pages(4);
	void *two[2] = { at, at + PAGE };
	munmap(at + 3 * PAGE, PAGE);
	E(set_mempolicy, "fine", MPOL_DEFAULT, NULL, 0L);
	E(set_mempolicy, "no such mode", 99, &mask, 64L);
	E(set_mempolicy, "bad address", MPOL_BIND, NOWHERE, 64L);
	E(set_mempolicy, "no nodes", MPOL_BIND, &none, 64L);
	E(get_mempolicy, "fine", &mode, &mask, 1024L, NULL, 0L);
	E(get_mempolicy, "bad address", NOWHERE, NULL, 0L, NULL, 0L);
	E(get_mempolicy, "strange flag", &mode, NULL, 0L, NULL, 64L);
	E(get_mempolicy, "nothing there", &mode, NULL, 0L, NOWHERE, MPOL_F_ADDR);
	mask = 1;
	E(mbind, "fine", at, PAGE, MPOL_DEFAULT, NULL, 0L, 0);
	E(mbind, "not aligned", at + 5, PAGE, MPOL_BIND, &mask, 64L, 0);
	E(mbind, "nothing there", at, 4 * PAGE, MPOL_BIND, &mask, 64L, 0);
	E(mbind, "bad address", at, PAGE, MPOL_BIND, NOWHERE, 64L, 0);
	E(mbind, "no such mode", at, PAGE, 99, &mask, 64L, 0);
	E(move_pages, "fine", 0, 2L, two, NULL, status, 0);
	E(move_pages, "bad address", 0, 2L, NOWHERE, NULL, status, 0);
	E(move_pages, "bad status", 0, 2L, two, NULL, NOWHERE, 0);
	E(move_pages, "strange flag", 0, 2L, two, NULL, status, 1);
	E(move_pages, "no such process", INT_MAX, 2L, two, NULL, status, 0);
	where[0] = 1000;
	E(move_pages, "no such node", 0, 2L, two, where, status, MPOL_MF_MOVE);
	E(migrate_pages, "fine", 0, 64L, &mask, &mask);
	E(migrate_pages, "bad address", 0, 64L, NOWHERE, &mask);
	E(migrate_pages, "bad new address", 0, 64L, &mask, NOWHERE);
	E(migrate_pages, "no such node", 0, 64L, &mask, &none);
	E(migrate_pages, "no such process", INT_MAX, 64L, &mask, &mask);
	E(set_mempolicy_home_node, "flags", at, PAGE, 0L, 1L);
	E(set_mempolicy_home_node, "not aligned", at + 5, PAGE, 0L, 0L);
	E(set_mempolicy_home_node, "no such node", at, PAGE, 1000L, 0L);
	CHILD("as nobody",
	      become_nobody();
	      E(mbind, "move all", at, PAGE, MPOL_BIND, &mask, 64L, MPOL_MF_MOVE_ALL);
	      E(move_pages, "move all", 0, 2L, two, NULL, status, MPOL_MF_MOVE_ALL));
	pid_t child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	if (getuid() == 0)
		CHILD("as nobody",
		      become_nobody();
		      E(move_pages, "of another user", child, 2L, two, NULL, status, 0);
		      E(migrate_pages, "of another user", child, 64L, &mask, &mask));
	kill(child, SIGKILL);
	reap("other", child);
}

int main(void)
{
	scratch();
	int fd = make_file("file", "some bytes");
	mappings(fd);
	if (getuid() == 0)
		CHILD("many", many());
	advice(fd);
	locked(fd);
	nodes();
	unscratch();
	return 0;
}

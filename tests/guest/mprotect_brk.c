/* mprotect, brk, mremap. bevor-test: user=both */
#include "t.h"
#include <setjmp.h>

static sigjmp_buf back;
static volatile int fault_code;
static void on_fault(int sig, siginfo_t *info, void *context)
{
	fault_code = info->si_code;
	siglongjmp(back, sig);
}

static int can(volatile char *at, int write)
{
	int sig = sigsetjmp(back, 1);
	if (sig)
		return -sig;
	if (write)
		*at = *at;
	else
		(void)*at;
	return 1;
}

static char *map(size_t pages)
{
	return mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

#define REMAP(...) ({ void *t_p = mremap(__VA_ARGS__); out("mremap(%s): %s\n", #__VA_ARGS__, t_p == MAP_FAILED ? errname(errno) : "ok"); t_p; })

int main(void)
{
	scratch();
	const size_t page = 4096;
	handle(SIGSEGV, on_fault, 0);
	handle(SIGBUS, on_fault, 0);
	char *p = map(10);
	memset(p, 'm', 10 * page);
	T(mprotect(p + page, page, PROT_NONE));
	T(mprotect(p + 2 * page, page, PROT_READ));
	V(can(p, 1));
	V(can(p + page, 0));
	V(fault_code);
	V(can(p + 2 * page, 0));
	V(can(p + 2 * page, 1));
	V(fault_code);
	V(can(p + 3 * page, 1));
	T(mprotect(p, 10 * page, PROT_READ | PROT_WRITE));
	V(can(p + page, 1));
	out("%c%c\n", p[page], p[2 * page]);
	T(mprotect(p + 1, page, PROT_READ));
	T(mprotect(p, 0, PROT_READ));
	T(mprotect(p, page, 0x100));
	T(mprotect(p, page, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP));
	munmap(p + 5 * page, page);
	T(mprotect(p, 10 * page, PROT_READ));
	V(can(p + 4 * page, 1));
	V(can(p + 6 * page, 1));
	T(mprotect((void *)0x7ffffffff000, page, PROT_READ));
	/* A loop of flips with a fault each time. */
	int faults = 0;
	for (int i = 0; i < 200; i++) {
		mprotect(p, page, PROT_READ);
		faults += can(p, 1) == -SIGSEGV;
		mprotect(p, page, PROT_READ | PROT_WRITE);
		faults += can(p, 1) == 1;
	}
	V(faults);

	/* brk */
	char *start = sbrk(0);
	T(brk(start + 3 * page));
	start[0] = 'b';
	start[3 * page - 1] = 'e';
	V(can(start + 4 * page, 0));
	CHECK(sbrk(0) == start + 3 * page);
	T(brk(start + page));
	V(can(start + 2 * page, 0));
	T(brk(start + 2 * page));
	V(start[page]);
	T(brk(start));
	CHECK(syscall(SYS_brk, 0) == (long)start);
	CHECK(syscall(SYS_brk, 1) == (long)start);
	T((long)sbrk(1L << 46) == -1 ? -1 : 0);
	struct rlimit limit = { 1 << 20, RLIM_INFINITY }, old;
	getrlimit(RLIMIT_DATA, &old);
	limit.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_DATA, &limit);
	T(brk(start + (2 << 20)));
	setrlimit(RLIMIT_DATA, &old);

	/* mremap */
	p = map(4);
	for (int i = 0; i < 4; i++)
		p[i * page] = '0' + i;
	char *q = REMAP(p, 4 * page, 2 * page, 0);
	CHECK(q == p);
	V(can(p + 2 * page, 0));
	q = REMAP(p, 2 * page, 3 * page, 0);
	V(q == p && q[2 * page] == 0);
	char *wall = mmap(p + 3 * page, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	REMAP(p, 3 * page, 8 * page, 0);
	q = REMAP(p, 3 * page, 8 * page, MREMAP_MAYMOVE);
	CHECK(q != p);
	out("%c %c %d\n", q[0], q[page], q[7 * page]);
	V(can(p, 0));
	p = q;
	char *target = map(20);
	memset(target, 't', 20 * page);
	q = REMAP(p, 8 * page, 10 * page, MREMAP_MAYMOVE | MREMAP_FIXED, target + page);
	CHECK(q == target + page);
	out("%c %c %d %c %c\n", q[0], q[page], q[9 * page], target[0], target[11 * page]);
	V(can(p, 0));
	q = REMAP(target + page, 2 * page, 2 * page, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	out("%c %d\n", q[0], target[page]);
	REMAP(target, 2 * page, 2 * page, MREMAP_FIXED, target + 10 * page);
	REMAP(target, 4 * page, 4 * page, MREMAP_MAYMOVE | MREMAP_FIXED, target + 2 * page);
	REMAP(target + 1, page, page, 0);
	REMAP(target, page, 0, 0);
	REMAP(target, page, page, 0x100);
	REMAP((void *)0x30000, page, page, MREMAP_MAYMOVE);
	munmap(target + 15 * page, page);
	REMAP(target + 14 * page, 3 * page, 5 * page, MREMAP_MAYMOVE);
	/* A second view of shared memory: old size 0. */
	char *s = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	s[page] = 's';
	char *twin = REMAP(s, 0, 2 * page, MREMAP_MAYMOVE);
	out("%c\n", twin[page]);
	twin[0] = 'T';
	out("%c\n", s[0]);
	REMAP(target, 0, page, MREMAP_MAYMOVE);
	/* A file mapping grows over more of the file. */
	int fd = make_file("f", "");
	ftruncate(fd, 4 * page);
	pwrite(fd, "end", 3, 3 * page);
	p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	q = REMAP(p, page, 4 * page, MREMAP_MAYMOVE);
	out_bytes("file", q + 3 * page, 3);
	/* realloc of something large uses it. */
	char *heap = malloc(1 << 20);
	memset(heap, 'h', 1 << 20);
	heap = realloc(heap, 32 << 20);
	V(heap[(1 << 20) - 1]);
	heap[(32 << 20) - 1] = 1;
	free(heap);
	unscratch();
	return 0;
}

/* mmap in all its forms, munmap, msync. bevor-test: user=both files=few */
#include "t.h"
#include <setjmp.h>

static sigjmp_buf back;
static volatile int fault_sig, fault_code;
static void *volatile fault_addr;
static void on_fault(int sig, siginfo_t *info, void *context)
{
	fault_sig = sig;
	fault_code = info->si_code;
	fault_addr = info->si_addr;
	siglongjmp(back, 1);
}

/* How touching an address ends. */
static void touch(const char *what, volatile char *at, int write)
{
	if (sigsetjmp(back, 1) == 0) {
		if (write)
			*at = 'w';
		else
			(void)*at;
		out("%s: fine\n", what);
	} else {
		out("%s: SIG%s code %d address %s\n", what, sigabbrev_np(fault_sig), fault_code,
		    fault_addr == at ? "right" : "wrong");
	}
}

#define MAP(...) ({ void *t_p = mmap(__VA_ARGS__); out("mmap(%s): %s\n", #__VA_ARGS__, t_p == MAP_FAILED ? errname(errno) : "ok"); t_p; })

int main(void)
{
	scratch();
	handle(SIGSEGV, on_fault, 0);
	handle(SIGBUS, on_fault, 0);
	const size_t page = 4096;
	char *p = MAP(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(((uintptr_t)p & 4095) == 0);
	long sum = 0;
	for (size_t i = 0; i < 3 * page; i++)
		sum += p[i];
	V(sum);
	touch("write", p + page, 1);
	T(munmap(p + page, page));
	touch("hole", p + page, 0);
	touch("before", p, 1);
	touch("after", p + 2 * page, 1);
	T(munmap(p, 3 * page));
	T(munmap(p, 3 * page));
	T(munmap(p + 1, page));
	T(munmap(p, 0));
	T(munmap((void *)0xffff800000000000, page));
	touch("gone", p, 0);

	MAP(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MAP(NULL, page, PROT_READ, MAP_ANONYMOUS, -1, 0);
	MAP(NULL, page, PROT_READ, MAP_PRIVATE | MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MAP(NULL, page, PROT_READ, MAP_PRIVATE, -1, 0);
	MAP(NULL, page, PROT_READ, MAP_PRIVATE, 0x7fff, 0);
	MAP(NULL, (size_t)1 << 60, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MAP(NULL, -1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MAP((void *)123, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	MAP((void *)0x7ffffffff000, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	MAP(NULL, page, PROT_READ, MAP_SHARED_VALIDATE | MAP_ANONYMOUS | 0x8000000, -1, 0);

	/* Protection. */
	p = MAP(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	touch("none", p, 0);
	p = MAP(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	touch("read of ro", p, 0);
	touch("write of ro", p, 1);
	p = MAP(NULL, page, PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	touch("read of wo", p, 0);
	touch("null", NULL, 0);
	touch("low", (char *)0x1000, 1);
	touch("not canonical", (char *)0x8000000000000000, 0);
	touch("kernel", (char *)0xffffffff81000000, 0);

	/* Hints and fixed addresses. */
	p = MAP(NULL, 10 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p, 'o', 10 * page);
	char *q = MAP(p + 2 * page, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(q == p + 2 * page);
	V(p[2 * page]);
	V(p[4 * page]);
	MAP(p + 2 * page, 2 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	munmap(p + 2 * page, 2 * page);
	q = MAP(p + 2 * page, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(q == p + 2 * page);
	q = MAP(p + page, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(q != p + page);
	munmap(p, 10 * page);
	q = MAP(p, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(q == p);
	q = MAP(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	CHECK((uintptr_t)q < 0x80000000);
	q = MAP((void *)0x10000, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	touch("at 64k", (char *)0x10000, 1);
	q = MAP(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_NORESERVE | MAP_STACK, -1, 0);
	q = MAP(NULL, 1UL << 40, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	touch("reserved", q + (1L << 39), 1);
	T(mprotect(q + (1L << 39), page, PROT_READ | PROT_WRITE));
	touch("committed", q + (1L << 39), 1);
	T(munmap(q, 1UL << 40));

	/* Files. */
	int fd = make_file("f", "");
	for (int i = 0; i < 3; i++) {
		char block[4096];
		memset(block, 'a' + i, sizeof block);
		write(fd, block, i == 2 ? 100 : 4096);
	}
	char *s = MAP(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *v = MAP(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	out("%c %c %c %d %c %c\n", s[0], s[page], s[2 * page], s[2 * page + 100], v[0], v[page]);
	touch("past the end", s + 3 * page, 0);
	touch("past the end, write", s + 3 * page, 1);
	touch("past the end, private", v + 3 * page, 0);
	s[1] = 'S';
	v[page + 1] = 'V';
	char c[8];
	pread(fd, c, 2, 0);
	out_bytes("shared write is seen", c, 2);
	pread(fd, c, 2, page);
	out_bytes("private write is not", c, 2);
	pwrite(fd, "file", 4, 10);
	out_bytes("mapping sees file", s + 10, 4);
	out_bytes("so does the private one", v + 10, 4);
	pwrite(fd, "file", 4, page);
	out_bytes("but not where it wrote", v + page, 4);
	s[2 * page + 50] = 'x';
	s[2 * page + 200] = 'y';
	struct stat st;
	fstat(fd, &st);
	V(st.st_size);
	T(msync(s, 4 * page, MS_SYNC));
	T(msync(s, page, MS_ASYNC));
	T(msync(s, page, MS_INVALIDATE));
	T(msync(s, page, MS_ASYNC | MS_SYNC));
	T(msync(s + 1, page, MS_SYNC));
	T(msync(s, page, 0x100));
	T(msync((void *)0x20000, page, MS_SYNC));
	/* Truncation under a mapping. */
	T(ftruncate(fd, page));
	touch("cut off", s + page, 0);
	touch("cut off, private, written", v + page, 0);
	touch("kept", s, 0);
	T(ftruncate(fd, 4 * page));
	touch("grown again", s + page, 0);
	out("%d %d\n", s[page], s[3 * page]);
	T(ftruncate(fd, 10));
	T(ftruncate(fd, page));
	out("%c %d\n", s[9], s[10]);
	/* A syscall on a cut-off page is EFAULT, and partial transfers count. */
	T(ftruncate(fd, page));
	int zero = open("/dev/zero", O_RDONLY);
	T(read(zero, s + page, 10));
	T(read(zero, s + page - 5, 10));
	int p2[2];
	pipe(p2);
	T(write(p2[1], s + page, 10));
	T(write(p2[1], s + page - 5, 10));
	/* Offsets. */
	T(ftruncate(fd, 3 * page));
	pwrite(fd, "two", 3, 2 * page);
	q = MAP(NULL, page, PROT_READ, MAP_SHARED, fd, 2 * page);
	out_bytes("offset", q, 3);
	MAP(NULL, page, PROT_READ, MAP_SHARED, fd, 100);
	q = MAP(NULL, page, PROT_READ, MAP_SHARED, fd, 100 * page);
	touch("beyond", q, 0);
	/* Descriptors that are not open for it. */
	int ro = open("f", O_RDONLY), wo = open("f", O_WRONLY);
	MAP(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0);
	q = MAP(NULL, page, PROT_READ, MAP_SHARED, ro, 0);
	T(mprotect(q, page, PROT_READ | PROT_WRITE));
	q = MAP(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, ro, 0);
	touch("private of ro", q, 1);
	MAP(NULL, page, PROT_WRITE, MAP_SHARED, wo, 0);
	MAP(NULL, page, PROT_READ, MAP_PRIVATE, wo, 0);
	int dir = open(".", O_RDONLY);
	MAP(NULL, page, PROT_READ, MAP_PRIVATE, dir, 0);
	MAP(NULL, page, PROT_READ, MAP_PRIVATE, p2[0], 0);
	MAP(NULL, page, PROT_READ, MAP_PRIVATE, open("f", O_PATH), 0);
	q = MAP(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, open("/dev/zero", O_RDWR), 0);
	touch("/dev/zero", q, 1);
	MAP(NULL, page, PROT_READ, MAP_PRIVATE, open("/dev/null", O_RDONLY), 0);
	/* The mapping outlives the descriptor and the name. */
	close(fd);
	unlink("f");
	s[0] = 'Z';
	out("%c\n", s[0]);
	/* Shared anonymous memory goes across fork, private does not. */
	s = MAP(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	v = MAP(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	s[0] = v[0] = '1';
	CHILD("child", s[0] = v[0] = '2');
	out("%c %c\n", s[0], v[0]);
	/* A real file of the root: read, private write. */
	fd = MUST(open("/etc/passwd", O_RDONLY));
	q = MAP(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	out_bytes("passwd", q, 5);
	q[0] = 'X';
	pread(fd, c, 5, 0);
	out_bytes("unchanged", c, 5);
	/* Code. */
	q = MAP(NULL, page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(q, "\xb8\x2a\x00\x00\x00\xc3", 6);
	V(((int (*)(void))q)());
	q[1] = 43;
	V(((int (*)(void))q)());
	T(mprotect(q, page, PROT_READ));
	if (sigsetjmp(back, 1) == 0)
		V(((int (*)(void))q)());
	else
		out("not executable: SIG%s code %d %d\n", sigabbrev_np(fault_sig), fault_code, fault_addr == q);
	unscratch();
	return 0;
}

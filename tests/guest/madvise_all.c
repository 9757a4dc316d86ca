/* madvise of each kind, mincore, mlock. */
#include "t.h"
#include <sys/prctl.h>

#define PAGE 4096

static char *map(size_t pages, int flags)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);
	memset(p, 'm', pages * PAGE);
	return p;
}

static long field(const char *name)
{
	char line[256];
	long value = -1;
	FILE *file = fopen("/proc/self/status", "r");
	while (fgets(line, sizeof line, file))
		if (!strncmp(line, name, strlen(name)))
			sscanf(line + strlen(name), ": %ld", &value);
	fclose(file);
	return value;
}

int main(void)
{
	scratch();
	char *p = map(8, MAP_PRIVATE);
	T(madvise(p, 2 * PAGE, MADV_DONTNEED));
	out("%d %d %c\n", p[0], p[2 * PAGE - 1], p[2 * PAGE]);
	T(madvise(p + 1, PAGE, MADV_DONTNEED));
	T(madvise(p, 0, MADV_DONTNEED));
	T(madvise(p, PAGE, 12345));
	T(madvise((void *)0x30000, PAGE, MADV_DONTNEED));
	T(madvise(p + 4 * PAGE, PAGE, MADV_FREE));
	char after = p[4 * PAGE];
	CHECK(after == 'm' || after == 0);
	p[4 * PAGE] = 'n';
	CHECK(p[4 * PAGE] == 'n');
	T(madvise(p, PAGE, MADV_NORMAL));
	T(madvise(p, PAGE, MADV_RANDOM));
	T(madvise(p, PAGE, MADV_SEQUENTIAL));
	T(madvise(p, PAGE, MADV_WILLNEED));
	T(madvise(p, PAGE, MADV_POPULATE_READ));
	T(madvise(p, PAGE, MADV_POPULATE_WRITE));
	T(madvise(p, PAGE, MADV_COLD));
	T(madvise(p, PAGE, MADV_PAGEOUT));
	T(madvise(p, PAGE, MADV_DONTDUMP));
	T(madvise(p, PAGE, MADV_DODUMP));
	T(madvise(p, 2 * PAGE, MADV_REMOVE));
	out("%c\n", p[5 * PAGE]);

	/* DONTNEED over shared and file memory keeps what is there. */
	char *s = map(2, MAP_SHARED);
	T(madvise(s, 2 * PAGE, MADV_DONTNEED));
	out("%c\n", s[0]);
	T(madvise(s, PAGE, MADV_REMOVE));
	out("%d %c\n", s[0], s[PAGE]);
	T(madvise(s, PAGE, MADV_FREE));
	int fd = make_file("f", "file content");
	char *f = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	f[0] = 'F';
	T(madvise(f, PAGE, MADV_DONTNEED));
	out_bytes("private file", f, 12);
	char *ro = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	T(madvise(ro, PAGE, MADV_POPULATE_WRITE));
	T(madvise(ro, PAGE, MADV_DONTNEED));
	/* Holes: the rest is done, then ENOMEM. */
	char *h = map(5, MAP_PRIVATE);
	munmap(h + 2 * PAGE, PAGE);
	T(madvise(h, 5 * PAGE, MADV_DONTNEED));
	out("%d %d\n", h[0], h[4 * PAGE]);

	/* Fork. */
	char *d = map(2, MAP_PRIVATE), *w = map(2, MAP_PRIVATE);
	T(madvise(d, PAGE, MADV_DONTFORK));
	T(madvise(w, PAGE, MADV_WIPEONFORK));
	CHILD("wiped", out("%d %c\n", w[0], w[PAGE]));
	CHILD("not there", out("%c\n", d[PAGE]); *(volatile char *)d = 1);
	T(madvise(d, PAGE, MADV_DOFORK));
	T(madvise(w, PAGE, MADV_KEEPONFORK));
	CHILD("again", out("%c %c\n", d[0], w[0]));
	T(madvise(s, PAGE, MADV_WIPEONFORK));
	/* Through an execve nothing stays; vfork and threads do not count as forks. */
	/* mincore */
	unsigned char vec[8] = { 0 };
	/* A small mapping may come with pages that are in memory already. */
	char *m = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(madvise(m, 64 * PAGE, MADV_NOHUGEPAGE));
	m[PAGE] = 1;
	T(mincore(m, 4 * PAGE, vec));
	out("%d%d%d%d\n", vec[0] & 1, vec[1] & 1, vec[2] & 1, vec[3] & 1);
	T(mincore(m + 1, PAGE, vec));
	T(mincore(m, 4 * PAGE, (void *)8));
	munmap(m + 2 * PAGE, PAGE);
	T(mincore(m, 4 * PAGE, vec));
	T(mincore((void *)0x30000, PAGE, vec));
	T(mincore(m, 0, vec));

	/* mlock */
	m = map(4, MAP_PRIVATE);
	T(mlock(m, 2 * PAGE));
	V(field("VmLck"));
	T(mlock(m + PAGE, 2 * PAGE));
	V(field("VmLck"));
	T(munlock(m, PAGE));
	V(field("VmLck"));
	T(madvise(m + PAGE, PAGE, MADV_DONTNEED));
	T(mlock2(m, PAGE, MLOCK_ONFAULT));
	T(mlock2(m, PAGE, 0x10));
	T(mlock((void *)0x30000, PAGE));
	T(mlockall(MCL_CURRENT | 0x100));
	T(mlockall(0));
	T(mlockall(MCL_FUTURE));
	char *l = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	T(mincore(l, PAGE, vec));
	V(vec[0] & 1);
	T(munlockall());
	V(field("VmLck"));
	CHILD("no right", {
		struct rlimit limit = { 2 * PAGE, 2 * PAGE };
		MUST(setrlimit(RLIMIT_MEMLOCK, &limit));
		MUST(setresuid(1234, 1234, 1234));
		T(mlock(m, PAGE));
		T(mlock(m, 4 * PAGE));
		T(munlockall());
		limit.rlim_cur = 0;
		MUST(setrlimit(RLIMIT_MEMLOCK, &limit));
		T(mlock(m, PAGE));
		T(mlockall(MCL_CURRENT));
	});
	/* Names. */
	T(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, m, PAGE, "a name") == 0 || errno == EINVAL ? 0 : -1);
	unscratch();
	return 0;
}

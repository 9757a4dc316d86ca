/* Each flag of the calls about memory. bevor-test: user=both */
#include "provoke.h"

#define PAGE 4096L

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 8
#endif
#ifndef MAP_ABOVE4G
#define MAP_ABOVE4G 0x80
#endif
#ifndef MAP_UNINITIALIZED
#define MAP_UNINITIALIZED 0x4000000
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
#define PROT_SEM 8

struct flag {
	const char *name;
	int value;
};

#define F(name) { #name, name }

static const struct flag PROTS[] = { F(PROT_NONE), F(PROT_READ), F(PROT_WRITE), F(PROT_EXEC), F(PROT_SEM) };

static const struct flag MAPS[] = {
	F(MAP_PRIVATE),	   F(MAP_SHARED),    F(MAP_SHARED_VALIDATE), F(MAP_32BIT),  F(MAP_DENYWRITE), F(MAP_EXECUTABLE),
	F(MAP_GROWSDOWN),  F(MAP_NONBLOCK),  F(MAP_NORESERVE),	     F(MAP_POPULATE), F(MAP_STACK),   F(MAP_LOCKED),
	F(MAP_UNINITIALIZED), F(MAP_ABOVE4G), F(MAP_DROPPABLE),
};

/* Advice that may be given of written private memory, and leaves it there unless told otherwise. */
static const struct flag ADVICES[] = {
	{ "MADV_NORMAL", 0 },	     { "MADV_RANDOM", 1 },	  { "MADV_SEQUENTIAL", 2 },  { "MADV_WILLNEED", 3 },
	{ "MADV_DONTNEED", 4 },	     { "MADV_DONTFORK", 10 },	  { "MADV_DOFORK", 11 },     { "MADV_MERGEABLE", 12 },
	{ "MADV_UNMERGEABLE", 13 },  { "MADV_HUGEPAGE", 14 },	  { "MADV_NOHUGEPAGE", 15 }, { "MADV_DONTDUMP", 16 },
	{ "MADV_DODUMP", 17 },	     { "MADV_WIPEONFORK", 18 },	  { "MADV_KEEPONFORK", 19 }, { "MADV_COLD", 20 },
	{ "MADV_PAGEOUT", 21 },	     { "MADV_POPULATE_READ", 22 }, { "MADV_POPULATE_WRITE", 23 },
	{ "MADV_DONTNEED_LOCKED", 24 }, { "MADV_GUARD_INSTALL", 102 }, { "MADV_GUARD_REMOVE", 103 },
};

static void maps(void)
{
	for (size_t i = 0; i < sizeof PROTS / sizeof *PROTS; i++) {
		char *at = mmap(NULL, PAGE, PROTS[i].value, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		out("mmap %s: %s\n", PROTS[i].name, at == MAP_FAILED ? errname(errno) : "ok");
		at = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		out("mprotect %s: %s\n", PROTS[i].name, errname(mprotect(at, PAGE, PROTS[i].value) ? errno : 0));
	}
	for (size_t i = 0; i < sizeof MAPS / sizeof *MAPS; i++) {
		int kind = MAPS[i].value & 15 ? 0 : MAP_PRIVATE;
		char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAPS[i].value | kind | MAP_ANONYMOUS, -1, 0);
		out("mmap %s: %s\n", MAPS[i].name, at == MAP_FAILED ? errname(errno) : "ok");
		if (at == MAP_FAILED)
			continue;
		out("  holds %d\n", *at = 7);
		if (MAPS[i].value == MAP_32BIT)
			out("  below %d\n", (unsigned long)at < 1UL << 31);
		if (MAPS[i].value == MAP_ABOVE4G)
			out("  above %d\n", (unsigned long)at >= 1UL << 32);
	}
	int fd = MUST(open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0600));
	MUST(ftruncate(fd, PAGE));
	for (size_t i = 0; i < 3; i++) {
		char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAPS[i].value, fd, 0);
		out("mmap %s of a file: %s\n", MAPS[i].name, at == MAP_FAILED ? errname(errno) : "ok");
	}
	/* A mapping of a file is not made past its caches, and tells unknown flags. */
	out("sync: %s\n", mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0) == MAP_FAILED ? errname(errno) : "ok");
	char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	out("fixed: %d\n", mmap(at + PAGE, PAGE, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == at + PAGE);
	MUST(munmap(at + PAGE, PAGE));
	out("noreplace: %d\n", mmap(at + PAGE, PAGE, PROT_READ, MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
				       at + PAGE);
	/* Downwards, from what grows that way. */
	char *low = mmap((void *)0x10000000, PAGE, PROT_READ | PROT_WRITE, MAP_GROWSDOWN | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	E(mprotect, "PROT_GROWSDOWN", low, PAGE, PROT_READ | PROT_GROWSDOWN);
	E(mprotect, "PROT_GROWSDOWN where nothing grows", at, PAGE, PROT_READ | PROT_GROWSDOWN);
	E(mprotect, "PROT_GROWSUP where nothing grows", at, PAGE, PROT_READ | PROT_GROWSUP);
	close(fd);
}

static void moves(void)
{
	char *at = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *other = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(at, 3, 8 * PAGE);
	char *moved = mremap(at, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other);
	out("fixed: %d holds %d\n", moved == other, *moved);
	moved = mremap(at + 2 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	out("not unmapped: %d holds %d and %d\n", moved != MAP_FAILED, *moved, at[2 * PAGE]);
}

static void advise(void)
{
	for (size_t i = 0; i < sizeof ADVICES / sizeof *ADVICES; i++) {
		char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(at, 5, 4 * PAGE);
		int result = madvise(at, 2 * PAGE, ADVICES[i].value);
		out("%s: %s", ADVICES[i].name, errname(result ? errno : 0));
		if (ADVICES[i].value != 102)
			out(", holds %d\n", *at);
		else
			out("\n");
		MUST(munmap(at, 4 * PAGE));
	}
	int fd = MUST(open("shared", O_RDWR | O_CREAT | O_TRUNC, 0600));
	MUST(ftruncate(fd, 4 * PAGE));
	char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memset(at, 9, 4 * PAGE);
	int result = madvise(at, PAGE, MADV_FREE);
	out("MADV_FREE of a file: %s\n", errname(result ? errno : 0));
	at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	OK(madvise(at, 4 * PAGE, MADV_FREE));
	/* A whole huge page, if the machine makes them at all. */
	char *huge = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	huge = (char *)(((unsigned long)huge + (2 << 20) - 1) & -(2UL << 20));
	memset(huge, 1, 2 << 20);
	result = madvise(huge, 2 << 20, 25);
	out("MADV_COLLAPSE: %s\n", result == 0 || errno == EAGAIN || errno == EBUSY || errno == ENOMEM ? "answered" : errname(errno));
	/* Locked pages go only when asked by name. */
	char *locked = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*locked = 1;
	MUST(mlock(locked, PAGE));
	OK(madvise(locked, PAGE, MADV_DONTNEED));
	OK(madvise(locked, PAGE, 24));
	out("holds %d\n", *locked);
}

/* Lines of /proc/self/maps that touch a range. */
static int lines_of(const char *from, long len)
{
	char line[4096];
	int lines = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof line, maps)) {
		unsigned long start, end;
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start < (unsigned long)from + len && end > (unsigned long)from)
			lines++;
	}
	fclose(maps);
	return lines;
}

/* A guard kills who touches it, keeps nothing, is not seen, and goes with its removal. */
static void guards(void)
{
	char *at = mmap(NULL, 6 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ends[2];
	memset(at, 5, 6 * PAGE);
	MUST(pipe(ends));
	OK(madvise(at + PAGE, PAGE, MADV_GUARD_INSTALL));
	OK(madvise(at + 3 * PAGE, PAGE, MADV_GUARD_INSTALL));
	V(lines_of(at, 6 * PAGE));
	CHILD("reads the guard", V(*(volatile char *)(at + PAGE)));
	CHILD("writes the guard", at[PAGE] = 1);
	CHILD("touches beside it", at[2 * PAGE] = 1);
	OK(write(ends[1], at + PAGE, 1));
	T(write(ends[1], at, 2 * PAGE));
	OK(madvise(at, 2 * PAGE, MADV_DONTNEED));
	CHILD("after MADV_DONTNEED", at[PAGE] = 1);
	OK(mprotect(at, 2 * PAGE, PROT_READ));
	OK(mprotect(at, 2 * PAGE, PROT_READ | PROT_WRITE));
	CHILD("after mprotect", at[PAGE] = 1);
	OK(madvise(at, 2 * PAGE, MADV_POPULATE_WRITE));
	OK(mlock(at, PAGE));
	OK(madvise(at, PAGE, MADV_GUARD_INSTALL));
	OK(munlock(at, PAGE));
	/* It moves with what is around it. */
	char *moved = mmap(NULL, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(mremap(at, 6 * PAGE, 7 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, moved) == moved);
	V(moved[2 * PAGE]);
	CHILD("the moved guard", moved[PAGE] = 1);
	CHILD("the other moved guard", moved[3 * PAGE] = 1);
	CHILD("what it grew by", moved[6 * PAGE] = 1);
	OK(madvise(moved, 7 * PAGE, MADV_GUARD_REMOVE));
	V(moved[PAGE] + moved[3 * PAGE]);
	V(moved[2 * PAGE]);
	/* Zeros in a child have no guards. */
	OK(madvise(moved, PAGE, MADV_GUARD_INSTALL));
	OK(madvise(moved, PAGE, MADV_WIPEONFORK));
	CHILD("wiped", moved[0] = 1);
	int fd = MUST(open("guarded", O_RDWR | O_CREAT | O_TRUNC, 0600));
	MUST(ftruncate(fd, 2 * PAGE));
	at = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	*at = 4;
	OK(madvise(at, PAGE, MADV_GUARD_INSTALL));
	CHILD("guard over a file", at[0] = 1);
	OK(madvise(at, PAGE, MADV_GUARD_REMOVE));
	V(*at);
	close(fd);
}

static void droppable(void)
{
	char *at = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
	*at = 3;
	CHILD("in a child", V(*at));
	OK(madvise(at, PAGE, MADV_KEEPONFORK));
	OK(madvise(at, PAGE, MADV_DODUMP));
	OK(mlock(at, PAGE));
	OK(madvise(at, PAGE, MADV_DONTNEED));
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_DROPPABLE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED);
	V(errno == EINVAL);
}

static void files(void)
{
	static const struct flag FLAGS[] = { { "MFD_CLOEXEC", 1 }, { "MFD_ALLOW_SEALING", 2 }, { "MFD_NOEXEC_SEAL", 8 }, { "MFD_EXEC", 16 } };
	for (size_t i = 0; i < sizeof FLAGS / sizeof *FLAGS; i++) {
		long fd = syscall(SYS_memfd_create, "name", FLAGS[i].value);
		if (fd == -1) {
			out("%s: %s\n", FLAGS[i].name, errname(errno));
			continue;
		}
		struct stat st;
		MUST(fstat(fd, &st));
		out("%s: cloexec %ld, seals %#lx, mode %#o\n", FLAGS[i].name, MUST(fcntl(fd, F_GETFD)), MUST(fcntl(fd, F_GET_SEALS)),
		    st.st_mode);
		close(fd);
	}
	char bytes[8];
	for (int flags = 0; flags < 8; flags++)
		out("getrandom %d: %ld\n", flags, syscall(SYS_getrandom, bytes, sizeof bytes, flags));
}

int main(void)
{
	maps();
	moves();
	advise();
	guards();
	droppable();
	files();
	return 0;
}

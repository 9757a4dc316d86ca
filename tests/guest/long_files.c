/* Long contents, written in pieces of all sizes: what is read, mapped, cut off, punched out and
 * written on is what was written, and zeros where nothing was. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1L << 20)
#define LEN (7 * MIB + 12345)

static unsigned char expected[16 * MIB], seen[16 * MIB];

static void fill(int fd, long from, long to, long piece, int seed)
{
	for (long at = from; at < to; at += piece) {
		long len = to - at < piece ? to - at : piece;
		for (long i = 0; i < len; i++)
			expected[at + i] = (at + i) * 7 + (at + i) / 4096 + seed;
		if (pwrite(fd, expected + at, len, at) != len)
			perror("pwrite");
	}
}

static void check(const char *what, int fd, long size)
{
	struct stat st;
	fstat(fd, &st);
	memset(seen, 0xee, sizeof seen);
	long got = 0, n;
	while ((n = pread(fd, seen + got, sizeof seen - got, got)) > 0)
		got += n;
	printf("%s: size %ld, read %ld, %s", what, (long)st.st_size, got,
	       memcmp(seen, expected, size) ? "differs" : "same");
	unsigned char *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	printf(", mapped %s", map == MAP_FAILED ? "not" : memcmp(map, expected, size) ? "differs" : "same");
	/* The rest of the last page is zeros. */
	long bad = 0;
	for (long at = size; at % 4096; at++)
		bad += map[at] != 0;
	printf(", %ld bytes behind the end\n", bad);
	munmap(map, size);
}

static void series(const char *name, int fd, long piece)
{
	char what[100];
	memset(expected, 0, sizeof expected);
	ftruncate(fd, 0);
	fill(fd, 0, LEN, piece, 1);
	snprintf(what, sizeof what, "%s, pieces of %ld", name, piece);
	check(what, fd, LEN);

	ftruncate(fd, 5 * MIB + 100);
	memset(expected + 5 * MIB + 100, 0, 11 * MIB - 100);
	ftruncate(fd, LEN);
	check("cut and grown", fd, LEN);

	fill(fd, 6 * MIB + 4096 * 3 + 7, 6 * MIB + 4096 * 30, piece, 2);
	check("written in the new hole", fd, LEN);

	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * MIB + 10, MIB + 4096) == 0) {
		memset(expected + 3 * MIB + 10, 0, MIB + 4096);
		check("punched", fd, LEN);
		fill(fd, 3 * MIB + 8192, 4 * MIB, piece, 3);
		check("filled again", fd, LEN);
	}

	/* Stores through a mapping that was there before, into pages, holes and beyond what was long. */
	unsigned char *map = mmap(NULL, 9 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (long at = 0; at < LEN; at += 333333)
		map[at] = expected[at] = 77;
	ftruncate(fd, 9 * MIB);
	map[9 * MIB - 1] = expected[9 * MIB - 1] = 78;
	check("stored", fd, 9 * MIB);
	fill(fd, 8 * MIB, 9 * MIB, piece, 4);
	printf("mapping sees writes: %s\n", memcmp(map, expected, 9 * MIB) ? "no" : "yes");
	munmap(map, 9 * MIB);

	/* A private mapping keeps its own pages. */
	map = mmap(NULL, 9 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	memset(map + 4 * MIB, 5, MIB);
	printf("private: %s\n", (pread(fd, seen, MIB, 4 * MIB), memcmp(seen, expected + 4 * MIB, MIB)) ? "leaks" : "kept");
	munmap(map, 9 * MIB);
}

int main(void)
{
	long pieces[] = { 4096, 100000, 128 << 10, 3 * MIB, LEN };
	for (unsigned i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		int fd = open("long", O_RDWR | O_CREAT | O_TRUNC, 0644);
		series("file", fd, pieces[i]);
		close(fd);
		unlink("long");
		fd = memfd_create("long", 0);
		series("memfd", fd, pieces[i]);
		struct stat st;
		ftruncate(fd, 0);
		fill(fd, 0, LEN, pieces[i], 5);
		fstat(fd, &st);
		printf("blocks of the memfd: %ld\n", (long)st.st_blocks);
		close(fd);
	}

	/* What is mapped executable was written there: code in a long file. */
	static const unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 }; /* mov $42,%eax; ret */
	int fd = memfd_create("code", 0);
	memset(expected, 0x90, 6 * MIB);
	for (long at = 0; at < 6 * MIB; at += 64 << 10)
		pwrite(fd, expected, 64 << 10, at);
	pwrite(fd, code, sizeof code, 5 * MIB);
	int (*run)(void) = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 5 * MIB);
	printf("code answers %d\n", run == MAP_FAILED ? -1 : run());
	return 0;
}

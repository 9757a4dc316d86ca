/* Reservations of terabytes, many mappings, much memory. bevor-test: timeout=60 */
#include "t.h"

int main(void)
{
	/* As Go, Java and the sanitizers do. */
	char *huge[5];
	for (int i = 0; i < 5; i++) {
		huge[i] = mmap(NULL, 4UL << 40, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		CHECK(huge[i] != MAP_FAILED);
	}
	for (int i = 0; i < 5; i++)
		for (long at = 0; at < 4L << 40; at += 512L << 30) {
			MUST(mprotect(huge[i] + at, 4096, PROT_READ | PROT_WRITE));
			huge[i][at] = i;
		}
	for (int i = 0; i < 5; i++)
		MUST(munmap(huge[i], 4UL << 40));
	char *rw = mmap(NULL, 1UL << 40, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(rw != MAP_FAILED);
	for (long at = 0; at < 1L << 40; at += 1L << 30)
		rw[at] = at >> 30;
	long sum = 0;
	for (long at = 0; at < 1L << 40; at += 1L << 30)
		sum += (unsigned char)rw[at];
	V(sum);
	CHILD("fork with it", rw[0] = 9; V(rw[1L << 30]));
	V(rw[0]);
	MUST(munmap(rw, 1UL << 40));
	/* Many small mappings with different protections. */
	char *many = mmap(NULL, 8192 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 8192; i += 2)
		MUST(mprotect(many + i * 4096, 4096, PROT_READ));
	for (int i = 1; i < 8192; i += 2)
		many[i * 4096] = i;
	CHILD("fork with many", sum = 0; for (int i = 0; i < 8192; i++) sum += (unsigned char)many[i * 4096]; V(sum));
	for (int i = 0; i < 8192; i += 3)
		MUST(munmap(many + i * 4096, 4096));
	for (int i = 0; i < 8192; i += 3)
		MUST(mmap(many + i * 4096, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	/* 256 MiB touched, checked, given back. */
	size_t size = 256 << 20;
	unsigned *words = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < size / 4; i += 64)
		words[i] = i * 2654435761u;
	int wrong = 0;
	for (size_t i = 0; i < size / 4; i += 64)
		wrong += words[i] != (unsigned)(i * 2654435761u);
	V(wrong);
	madvise(words, size, MADV_DONTNEED);
	wrong = 0;
	for (size_t i = 0; i < size / 4; i += 1024)
		wrong += words[i] != 0;
	V(wrong);
	/* Random maps and unmaps against a model. */
	enum { SLOTS = 64 };
	static unsigned char model[SLOTS * 16];
	char *area = mmap(NULL, SLOTS * 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned seed = 12345;
	for (int round = 0; round < 3000; round++) {
		seed = seed * 1103515245 + 12345;
		unsigned page = seed >> 8 & (SLOTS * 16 - 1), len = (seed >> 20 & 15) + 1;
		if (page + len > SLOTS * 16)
			len = SLOTS * 16 - page;
		if (seed & 1) {
			memset(area + page * 4096, round, 1);
			model[page] = round;
		} else if (seed & 2) {
			madvise(area + page * 4096, len * 4096, MADV_DONTNEED);
			memset(model + page, 0, len);
		} else {
			MUST(mmap(area + page * 4096, len * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
			memset(model + page, 0, len);
		}
	}
	wrong = 0;
	for (int i = 0; i < SLOTS * 16; i++)
		wrong += (unsigned char)area[i * 4096] != model[i];
	V(wrong);
	return 0;
}

/* Random sequences of memory calls; the contents and what faults are printed. bevor-test: timeout=60 */
#include "t.h"
#include <setjmp.h>

#define PAGES 48
#define PAGE 4096

static unsigned long seed;
static unsigned rnd(unsigned below)
{
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return (seed >> 33) % below;
}

static sigjmp_buf back;
static void on_fault(int sig, siginfo_t *info, void *context) { siglongjmp(back, sig * 100 + info->si_code); }

static char *area;

static void show(void)
{
	/* One letter for each page: how a read ends, and how a write ends. */
	char line[PAGES * 5 + 2] = "";
	for (int i = 0; i < PAGES; i++) {
		volatile char *at = area + i * PAGE;
		char cell[8];
		volatile int value = -1;
		int got = sigsetjmp(back, 1);
		if (got == 0)
			value = (unsigned char)*at;
		if (got)
			snprintf(cell, sizeof cell, got / 100 == SIGBUS ? "B" : got % 100 == 1 ? "-" : "x");
		else {
			got = sigsetjmp(back, 1);
			if (got == 0)
				*at = *at;
			snprintf(cell, sizeof cell, "%d%s", value, got ? "r" : "w");
		}
		strcat(line, cell);
		strcat(line, " ");
	}
	out("%s\n", line);
}

int main(void)
{
	scratch();
	handle(SIGSEGV, on_fault, 0);
	handle(SIGBUS, on_fault, 0);
	int fd = make_file("f", "");
	for (int i = 0; i < 16; i++) {
		char page[PAGE];
		memset(page, 100 + i, PAGE);
		write(fd, page, PAGE);
	}
	int prots[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC };
	for (int run = 1; run <= 6; run++) {
		seed = run;
		area = mmap(NULL, (PAGES + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		munmap(area, (PAGES + 2) * PAGE);
		area += PAGE;
		for (int i = 0; i < 150; i++) {
			unsigned page = rnd(PAGES), len = 1 + rnd(8), prot = prots[rnd(5)];
			if (page + len > PAGES)
				len = PAGES - page;
			char *at = area + page * PAGE;
			size_t size = len * PAGE;
			switch (rnd(11)) {
			case 0: case 1: {
				int flags = MAP_FIXED | MAP_ANONYMOUS | (rnd(4) ? MAP_PRIVATE : MAP_SHARED);
				OK(mmap(at, size, prot, flags, -1, 0));
				break;
			}
			case 2: {
				int flags = MAP_FIXED | (rnd(2) ? MAP_PRIVATE : MAP_SHARED);
				OK(mmap(at, size, prot, flags, fd, rnd(16) * PAGE));
				break;
			}
			case 3: T(munmap(at, size)); break;
			case 4: case 5: T(mprotect(at, size, prot)); break;
			case 6: T(madvise(at, size, MADV_DONTNEED)); break;
			case 7: {
				unsigned to = rnd(PAGES);
				OK(mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area + to * PAGE));
				break;
			}
			case 8: {
				/* Write what can be written. */
				for (unsigned j = 0; j < len; j++)
					if (sigsetjmp(back, 1) == 0)
						at[j * PAGE] = run * 10 + i;
				break;
			}
			case 9: {
				/* A child sees the same and changes its own copy only. */
				if (i % 3)
					break;
				CHILD("child", show());
				break;
			}
			default: {
				int zero = open("/dev/zero", O_RDONLY);
				T(read(zero, at, size));
				close(zero);
			}
			}
			if (i % 10 == 9)
				show();
		}
		munmap(area, PAGES * PAGE);
	}
	unscratch();
	return 0;
}

/* Thousands of malformed executables: an error or a death of the child, never more. bevor-test: exit=0 timeout=240 */
#include "t.h"
#include <elf.h>
static unsigned long seed = 20201120;
static unsigned long next(void) { seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17; return seed; }
static unsigned char good[200000];
static const unsigned long odd[] = { 0, 1, 2, 0xff, 0x1000, 0xfff, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff,
				     0x8000000000000000, 0xffffffffffffffff, 0x7ffffffff000, 0x800000000000, 0xffffffffffff0000 };
static void run(const unsigned char *image, size_t len)
{
	int fd = open("elf", O_CREAT | O_TRUNC | O_WRONLY, 0755);
	write(fd, image, len);
	close(fd);
	pid_t pid = fork();
	if (pid == 0) {
		struct itimerval soon = { { 0, 0 }, { 0, 100000 } };
		setitimer(ITIMER_REAL, &soon, NULL);
		struct rlimit limit = { 1, 1 };
		setrlimit(RLIMIT_CPU, &limit);
		close(1);
		close(2);
		execl("./elf", "elf", (char *)NULL);
		_exit(100);
	}
	int status;
	waitpid(pid, &status, 0);
}
int main(int argc, char **argv)
{
	scratch();
	const char *sources[] = { "/bin/true", "/proc/self/exe", "/bin/busybox" };
	for (int s = 0; s < 2; s++) {
		int fd = open(sources[s], O_RDONLY);
		size_t len = read(fd, good, sizeof good);
		close(fd);
		static unsigned char bad[sizeof good];
		Elf64_Ehdr *e = (void *)good;
		size_t headers = e->e_phoff + (size_t)e->e_phnum * sizeof(Elf64_Phdr);
		for (int round = 0; round < 250; round++) {
			memcpy(bad, good, len);
			for (unsigned long change = next() % 3 + 1; change; change--) {
				size_t at = next() % headers;
				switch (next() % 4) {
				case 0: bad[at] = next(); break;
				case 1: bad[at] ^= 1 << next() % 8; break;
				case 2: at = at / 8 * 8; memcpy(bad + at, &odd[next() % (sizeof odd / sizeof *odd)], 8); break;
				default: {
					/* A field of a program header. */
					Elf64_Phdr *p = (void *)(bad + e->e_phoff + next() % e->e_phnum * sizeof *p);
					unsigned long *fields[] = { &p->p_offset, &p->p_vaddr, &p->p_filesz, &p->p_memsz, &p->p_align };
					*fields[next() % 5] = odd[next() % (sizeof odd / sizeof *odd)] + next() % 3 - 1;
				}
				}
			}
			run(bad, len);
		}
		/* Cut off at every place in the headers. */
		for (size_t cut = 0; cut < headers + 64; cut += 7)
			run(good, cut);
		/* Many headers, overlapping segments, a long interpreter. */
		memcpy(bad, good, len);
		((Elf64_Ehdr *)bad)->e_phnum = 65535;
		run(bad, len);
	}
	out("done\n");
	unscratch();
	return 0;
}

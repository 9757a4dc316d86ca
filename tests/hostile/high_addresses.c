/* Jumps and reads all over the top of the address space. bevor-test: exit=0 timeout=120 */
#include "t.h"
#include <setjmp.h>
static sigjmp_buf back;
static void on_fault(int sig) { siglongjmp(back, sig); }
int main(void)
{
	/* Nothing above the guest's last address may be changed by the guest. */
	unsigned long last = 0x7fffffffe000, low = last - last / 128;
	int mapped = 0;
	for (unsigned long at = low; at < last; at += 1UL << 30) {
		void *p = mmap((void *)at, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		mapped += p == (void *)at;
		munmap((void *)at, 1UL << 30);
		mprotect((void *)at, 1UL << 30, PROT_READ | PROT_WRITE | PROT_EXEC);
		mremap((void *)at, 4096, 4096, MREMAP_MAYMOVE);
		madvise((void *)at, 1UL << 30, MADV_DONTNEED);
	}
	/* Jump to random places there, in children. */
	unsigned long seed = 99991;
	for (int i = 0; i < 200; i++) {
		seed = seed * 6364136223846793005UL + 1442695040888963407UL;
		unsigned long at = low + (seed >> 16) % (last - low);
		pid_t pid = fork();
		if (pid == 0) {
			alarm(2);
			__asm__ volatile("mov $231, %%eax; mov $60, %%edi; jmp *%0" ::"r"(i % 2 ? at & ~4095UL : at));
		}
		int status;
		waitpid(pid, &status, 0);
	}
	/* And read: no secret of the sandbox may look like a file descriptor, a path or a pointer to it. */
	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	volatile long readable = 0;
	for (unsigned long at = low; at < last; at += 64 << 20)
		if (sigsetjmp(back, 1) == 0) {
			(void)*(volatile char *)at;
			readable++;
		}
	/* The program is still whole. */
	int fd = open("/etc/passwd", O_RDONLY);
	return fd >= 0 ? 0 : 1;
}

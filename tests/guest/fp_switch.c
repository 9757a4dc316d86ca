/* Vector and x87 registers kept across switches between threads and processes. */
#include "t.h"
#include <immintrin.h>

static volatile int bad;

__attribute__((noinline)) static void work(unsigned seed, int rounds)
{
	unsigned char in[4][32] __attribute__((aligned(32))), res[4][32] __attribute__((aligned(32)));
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < 128; i++)
			((unsigned char *)in)[i] = (seed = seed * 1103515245 + 12345) >> 16;
		double x = seed, y = 0;
		long nr = round % 4 == 0 ? SYS_sched_yield : round % 4 == 1 ? SYS_getpid : round % 4 == 2 ? SYS_getpgid : SYS_futex;
		static uint32_t word;
		static struct timespec t = { 0, 1000 };
		__asm__ volatile("vmovdqa (%[in]), %%ymm1; vmovdqa 32(%[in]), %%ymm6; vmovdqa 64(%[in]), %%ymm9; vmovdqa 96(%[in]), %%ymm14\n"
				 "fldl %[x]\n xor %%r8d, %%r8d\n xor %%r9d, %%r9d\n mov %[t], %%r10\n syscall\n"
				 "vmovdqa %%ymm1, (%[res]); vmovdqa %%ymm6, 32(%[res]); vmovdqa %%ymm9, 64(%[res]); vmovdqa %%ymm14, 96(%[res])\n fstpl %[y]\n"
				 : "+a"(nr), [y] "=m"(y)
				 : [in] "r"(in), [res] "r"(res), [x] "m"(x), [t] "r"(&t), "D"(nr == SYS_futex ? (long)&word : 0), "S"(0L), "d"(0L)
				 : "rcx", "r8", "r9", "r10", "r11", "memory", "xmm1", "xmm6", "xmm9", "xmm14");
		if (memcmp(in, res, sizeof in) || x != y)
			bad++;
	}
}

static void *thread(void *arg) { work((unsigned long)arg, 1000); return NULL; }

int main(void)
{
	for (int i = 0; i < 3; i++)
		if (fork() == 0) {
			work(100 + i, 1000);
			_exit(bad != 0);
		}
	pthread_t threads[6];
	for (long i = 0; i < 6; i++)
		pthread_create(&threads[i], NULL, thread, (void *)i);
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	V(bad);
	int status;
	while (wait(&status) > 0)
		out_status("child", status);
	/* A child inherits the parent's registers, an exec starts fresh. */
	unsigned csr = 0x3f80, now = 0;
	unsigned short cw = 0x0f7f, cw_now = 0;
	__asm__ volatile("ldmxcsr %0; fldcw %1" ::"m"(csr), "m"(cw));
	CHILD("child's control words", __asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(now), "=m"(cw_now)); out("%x %x\n", now & ~0x3f, cw_now));
	return 0;
}

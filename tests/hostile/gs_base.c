/* The GS base set to every odd value, with and without system calls after it. bevor-test: exit=0 timeout=60 */
#include "t.h"
#include <asm/prctl.h>
static long gs_words[512];
static void wrgsbase(unsigned long v) { __asm__ volatile("wrgsbase %0" ::"r"(v) : "memory"); }
int main(void)
{
	unsigned long values[] = { 0, 1, (unsigned long)gs_words, 0x7ffffffff000, 0x10000, 0x7fffffffefff, 0x7effffff0000, ~0xfffUL };
	for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
		CHILD("wrgsbase", {
			wrgsbase(values[i]);
			for (int j = 0; j < 1000; j++)
				if (syscall(SYS_getpid) != getpid() || syscall(SYS_getpgid, 0) < 0)
					_exit(9);
			sleep_ms(1);
		});
		CHILD("arch_prctl", {
			syscall(SYS_arch_prctl, ARCH_SET_GS, values[i]);
			for (int j = 0; j < 1000; j++)
				if (syscall(SYS_getpid) != getpid())
					_exit(9);
		});
		CHILD("fs", {
			syscall(SYS_arch_prctl, ARCH_SET_FS, values[i]);
			for (int j = 0; j < 100; j++) {
				long r;
				__asm__ volatile("syscall" : "=a"(r) : "a"(SYS_getpid) : "rcx", "r11", "memory");
				if (r <= 0)
					__asm__ volatile("syscall" ::"a"(SYS_exit_group), "D"(9));
			}
			__asm__ volatile("syscall" ::"a"(SYS_exit_group), "D"(0));
		});
	}
	return 0;
}

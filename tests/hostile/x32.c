/* x32 numbers do not exist. bevor-test: exit=0 */
#include "t.h"
static long raw(long nr)
{
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(0), "S"(0), "d"(0) : "rcx", "r11", "memory");
	return r;
}
int main(void)
{
	for (long nr = 0; nr < 600; nr++)
		if (raw(0x40000000L | nr) != -ENOSYS) {
			out("BAD x32 %ld\n", nr);
			return 1;
		}
	return 0;
}

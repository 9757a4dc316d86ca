/* The 32-bit gate: killed by SIGSEGV, as on a kernel without it. bevor-test: exit=139 */
#include "t.h"
int main(void)
{
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
	out("BAD int80 returned %ld\n", result);
	return 1;
}

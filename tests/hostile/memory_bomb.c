/* More memory than allowed: the guest is killed, not the host. bevor-test: exit=137 do=--memory=128M timeout=60 */
#include "t.h"
int main(void)
{
	for (int i = 0; i < 64; i++) {
		char *p = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			_exit(137);
		memset(p, i + 1, 16 << 20);
	}
	out("BAD a gigabyte was allowed\n");
	return 0;
}

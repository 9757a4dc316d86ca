/* Files in memory count, too. bevor-test: exit=0 do=--memory=128M timeout=60 */
#include "t.h"
int main(void)
{
	CHILD("fill", {
		static char block[1 << 20];
		memset(block, 1, sizeof block);
		int fd = open("/dev/shm/big", O_CREAT | O_RDWR, 0600);
		for (int i = 0; i < 1024; i++)
			if (write(fd, block, sizeof block) != sizeof block)
				_exit(7);
		out("BAD a gigabyte was allowed\n");
	});
	return 0;
}

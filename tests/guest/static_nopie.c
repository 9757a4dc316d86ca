/* A static program at a fixed address. bevor-test: user=both flags=-static,-no-pie */
#include "t.h"
int main(void)
{
	CHECK((unsigned long)main < 0x10000000);
	char *end = sbrk(0);
	CHECK(end > (char *)main);
	CHILD("child", _exit(3));
	return 0;
}

/* The vsyscall page answers as on Linux or is not there; no other page near it is. bevor-test: exit=0 */
#include "t.h"
int main(void)
{
	CHILD("time", {
		time_t (*f)(time_t *) = (void *)0xffffffffff600400;
		time_t now = f(NULL);
		if (labs(now - time(NULL)) > 2)
			out("BAD time\n");
	});
	CHILD("inside", ((void (*)(void))0xffffffffff600003)());
	CHILD("beyond", ((void (*)(void))0xffffffffff601000)());
	CHILD("kernel", ((void (*)(void))0xffffffff81000000)());
	return 0;
}

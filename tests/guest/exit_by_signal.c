/* The status of a program that dies by a signal. bevor-test: user=both exit=138 */
#include "t.h"
int main(void)
{
	out("before\n");
	raise(SIGUSR1);
	out("BAD after\n");
	return 0;
}

/* Threads without end under a limit. bevor-test: exit=0 do=--pids=100 timeout=60 */
#include "t.h"
static void *idle(void *arg) { for (;;) pause(); }
int main(void)
{
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	int made = 0, error;
	pthread_t t;
	while ((error = pthread_create(&t, &attr, idle, NULL)) == 0 && made < 200)
		made++;
	if (error != EAGAIN || made >= 100)
		out("BAD made %d then %s\n", made, errname(error));
	return 0;
}

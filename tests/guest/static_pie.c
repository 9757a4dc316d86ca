/* A static position-independent program, with threads. bevor-test: user=both flags=-static-pie */
#include "t.h"
static void *body(void *arg) { return (void *)((long)arg * 2); }
int main(int argc, char **argv)
{
	pthread_t t;
	void *r;
	pthread_create(&t, NULL, body, (void *)21L);
	pthread_join(t, &r);
	V((long)r);
	CHILD("child", _exit(3));
	V(argc);
	return 0;
}

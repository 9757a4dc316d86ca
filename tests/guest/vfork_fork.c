/* A child of vfork forks while another thread of the parent stores: the copy is of one moment. */
#include "t.h"
#include <pthread.h>

static volatile long *page;
static volatile int stop;

/* The second word is at most one behind the first. */
static void *store(void *unused)
{
	for (long n = 1; !stop; n++) {
		page[0] = n;
		page[500] = n;
	}
	return NULL;
}

static int torn(void)
{
	long first = page[0], second = page[500];
	return first != second && first != second + 1;
}

int main(void)
{
	long stack[1024] __attribute__((aligned(4096))) = { 0 };
	page = stack;
	pthread_t writer;
	pthread_create(&writer, NULL, store, NULL);
	int bad = 0;
	for (int i = 0; i < 300; i++) {
		volatile int status = 0;
		pid_t child = vfork();
		if (child == 0) {
			pid_t copy = fork();
			if (copy == 0)
				_exit(torn());
			int of_copy = 0;
			waitpid(copy, &of_copy, 0);
			status = of_copy;
			_exit(0);
		}
		waitpid(child, NULL, 0);
		bad += status != 0;
	}
	stop = 1;
	pthread_join(writer, NULL);
	V(bad);
	return 0;
}

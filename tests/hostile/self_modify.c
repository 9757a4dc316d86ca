/* Code that rewrites itself while other threads run it, and system-call sites that move. bevor-test: exit=0 timeout=60 */
#include "t.h"
static unsigned char *code;
static volatile int stop;
static void *runner(void *arg)
{
	long wrong = 0;
	while (!stop) {
		long r = ((long (*)(void))code)();
		if (r != getpid() && r != getppid())
			wrong++;
	}
	return (void *)wrong;
}
int main(void)
{
	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(code, "\xb8\x27\x00\x00\x00\x0f\x05\xc3", 8);
	pthread_t t[3];
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, runner, NULL);
	for (int i = 0; i < 20000; i++) {
		__atomic_store_n(&code[1], i % 2 ? SYS_getppid : SYS_getpid, __ATOMIC_SEQ_CST);
		if (i % 100 == 0) {
			mprotect(code, 4096, PROT_READ | PROT_EXEC);
			sched_yield();
			mprotect(code, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
		}
	}
	stop = 1;
	for (int i = 0; i < 3; i++) {
		void *wrong;
		pthread_join(t[i], &wrong);
		if (wrong)
			out("BAD %ld wrong answers\n", (long)wrong);
	}
	return 0;
}

/* Threads that use the same new call sites at once, in fresh processes, while one maps and unmaps. */
#include "t.h"
#include <pthread.h>

enum { SITES = 64, THREADS = 4, ROUNDS = 40 };
static unsigned char *code;
static pthread_barrier_t together;

/* lseek(-1, 0, 0) at a site of its own. */
static const unsigned char call[] = {
	0xb8, 8, 0, 0, 0,		/* mov eax, 8 */
	0x0f, 0x05,			/* syscall */
	0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, /* cmp rax, -4095 */
	0xc3,				/* ret */
};

static void *use(void *unused)
{
	long bad = 0;
	pthread_barrier_wait(&together);
	for (int i = 0; i < 24; i++)
		for (int site = 0; site < SITES; site++) {
			long (*f)(long, long, long) = (void *)(code + site * 16);
			bad += f(-1, 0, 0) != -EBADF;
		}
	return (void *)bad;
}

static int round_of_calls(void)
{
	pthread_t threads[THREADS];
	long bad = 0;
	code = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (int site = 0; site < SITES; site++)
		memcpy(code + site * 16, call, sizeof call);
	MUST(mprotect(code, 4096, PROT_READ | PROT_EXEC));
	pthread_barrier_init(&together, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, use, NULL);
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			long (*f)(long, long, long) = (void *)code;
			_exit(f(-1, 0, 0) != -EBADF);
		}
		int status;
		waitpid(pid, &status, 0);
		bad += status != 0;
	}
	for (int i = 0; i < THREADS; i++) {
		void *result;
		pthread_join(threads[i], &result);
		bad += (long)result;
	}
	munmap(code, 4096);
	return bad != 0;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return round_of_calls();
	int bad = 0;
	for (int i = 0; i < ROUNDS; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			execl("/proc/self/exe", argv[0], "round", (char *)NULL);
			_exit(96);
		}
		int status;
		waitpid(pid, &status, 0);
		if (status)
			out_status("round", status);
		bad += status != 0;
	}
	V(bad);
	return 0;
}

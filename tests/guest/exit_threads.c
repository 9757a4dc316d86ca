/* exit, exit_group and signals in a process with threads. */
#include "t.h"

static void *wait_forever(void *arg) { for (;;) pause(); }
static void *leave(void *arg) { return NULL; }
static void *exit_soon(void *arg) { sleep_ms(20); exit(9); }
static void *exit_thread(void *arg) { sleep_ms(20); syscall(SYS_exit, 33); return NULL; }
static void *crash(void *arg) { *(volatile int *)16 = 0; return NULL; }
static void *group(void *arg) { sleep_ms(10); syscall(SYS_exit_group, 44); return NULL; }

int main(void)
{
	pthread_t t;
	CHILD("exit by a thread", pthread_create(&t, NULL, exit_soon, NULL); wait_forever(NULL));
	CHILD("exit_group", pthread_create(&t, NULL, group, NULL); wait_forever(NULL));
	CHILD("main returns first", pthread_create(&t, NULL, wait_forever, NULL); exit(3));
	CHILD("main exits its thread", pthread_create(&t, NULL, exit_soon, NULL); syscall(SYS_exit, 5));
	CHILD("last thread counts not", pthread_create(&t, NULL, exit_thread, NULL); syscall(SYS_exit, 5));
	CHILD("crash in a thread", pthread_create(&t, NULL, crash, NULL); wait_forever(NULL));
	CHILD("kill", pthread_create(&t, NULL, wait_forever, NULL); kill(getpid(), SIGKILL); pause());
	CHILD("signal in a thread", pthread_create(&t, NULL, wait_forever, NULL); pthread_kill(t, SIGUSR1); pause());
	CHILD("join", for (int i = 0; i < 200; i++) { pthread_create(&t, NULL, leave, NULL); pthread_join(t, NULL); } exit(6));
	CHILD("many at once", {
		pthread_t all[100];
		for (int i = 0; i < 100; i++)
			pthread_create(&all[i], NULL, wait_forever, NULL);
		exit(7);
	});
	return 0;
}

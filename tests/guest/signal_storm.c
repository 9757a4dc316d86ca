/* Signals between processes and threads that do system calls of every kind. bevor-test: timeout=60 */
#include "t.h"

static volatile long got;
static void on_signal(int sig, siginfo_t *info, void *context) { got++; }

static volatile int stop;
static void *sender(void *arg)
{
	while (!stop) {
		pthread_kill(*(pthread_t *)arg, SIGUSR1);
		sched_yield();
	}
	return NULL;
}

int main(void)
{
	handle(SIGUSR1, on_signal, SA_RESTART);
	/* Every sent real-time signal arrives exactly once. */
	handle(SIGRTMIN, on_signal, SA_RESTART);
	pid_t parent = getpid();
	for (int i = 0; i < 4; i++)
		if (fork() == 0) {
			for (int j = 0; j < 500; j++)
				while (sigqueue(parent, SIGRTMIN, (union sigval){ .sival_int = j }) == -1)
					sched_yield();
			_exit(0);
		}
	int status;
	while (wait(&status) > 0 || errno == EINTR)
		;
	V(got);
	/* A thread under fire writes and reads through a pipe, none lost. */
	int p[2];
	pipe(p);
	pthread_t self = pthread_self(), other;
	pid_t pid = fork();
	if (pid == 0) {
		close(p[0]);
		unsigned value = 0;
		for (int i = 0; i < 20000; i++, value++)
			write(p[1], &value, sizeof value);
		_exit(0);
	}
	close(p[1]);
	pthread_create(&other, NULL, sender, &self);
	unsigned value, expected = 0, wrong = 0;
	ssize_t len;
	while ((len = read(p[0], &value, sizeof value)) == sizeof value)
		wrong += value != expected++;
	stop = 1;
	pthread_join(other, NULL);
	out("%u %u\n", expected, wrong);
	reap("writer", pid);
	CHECK(got > 2000);
	/* Faults under fire. */
	stop = 0;
	pthread_create(&other, NULL, sender, &self);
	char *area = mmap(NULL, 2000 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 2000; i++)
		area[i * 4096] = i;
	for (int i = 0; i < 20; i++) {
		pid = fork();
		if (pid == 0) {
			for (int j = 0; j < 2000; j += 10)
				area[j * 4096] = 1;
			_exit(5);
		}
		do
			len = waitpid(pid, &status, 0);
		while (len == -1 && errno == EINTR);
		wrong += WEXITSTATUS(status) != 5;
	}
	stop = 1;
	pthread_join(other, NULL);
	for (int i = 0; i < 2000; i++)
		wrong += area[i * 4096] != (char)i;
	V(wrong);
	return 0;
}

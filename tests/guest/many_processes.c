/* Hundreds of processes and threads, ping-pong over pipes. bevor-test: timeout=60 */
#include "t.h"

static void *idle(void *arg)
{
	char c;
	read(*(int *)arg, &c, 1);
	return NULL;
}

int main(void)
{
	int p[2], q[2];
	MUST(pipe(p));
	MUST(pipe(q));
	/* Two hundred at once, all waiting for one pipe to close. */
	for (int i = 0; i < 200; i++)
		if (fork() == 0) {
			close(p[1]);
			char c;
			read(p[0], &c, 1);
			_exit(i % 100);
		}
	close(p[1]);
	int sum = 0, status, count = 0;
	while (wait(&status) > 0) {
		sum += WEXITSTATUS(status);
		count++;
	}
	out("%d %d\n", count, sum);
	/* One thousand one after another. */
	sum = 0;
	for (int i = 0; i < 1000; i++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(i & 7);
		waitpid(pid, &status, 0);
		sum += WEXITSTATUS(status);
	}
	V(sum);
	/* A chain of a hundred generations. */
	int depth = 0;
	pid_t pid = 0;
	while (depth < 100 && (pid = fork()) == 0)
		depth++;
	if (depth > 0) {
		status = 0;
		if (depth < 100)
			waitpid(pid, &status, 0);
		_exit(depth == 100 ? 1 : WEXITSTATUS(status) + 1);
	}
	reap("chain", pid);
	/* Five hundred threads. */
	MUST(pipe(p));
	pthread_t threads[500];
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (int i = 0; i < 500; i++)
		if (pthread_create(&threads[i], &attr, idle, &p[0]))
			out("BAD thread %d\n", i);
	close(p[1]);
	for (int i = 0; i < 500; i++)
		pthread_join(threads[i], NULL);
	/* Ping-pong. */
	MUST(pipe(p));
	pid = fork();
	char c = 0;
	if (pid == 0) {
		for (int i = 0; i < 5000; i++) {
			read(p[0], &c, 1);
			c++;
			write(q[1], &c, 1);
		}
		_exit(0);
	}
	for (int i = 0; i < 5000; i++) {
		write(p[1], &c, 1);
		read(q[0], &c, 1);
	}
	V(c);
	reap("partner", pid);
	/* fork and exec. */
	for (int i = 0; i < 50; i++) {
		pid = fork();
		if (pid == 0) {
			execl("/bin/true", "true", NULL);
			_exit(99);
		}
		waitpid(pid, &status, 0);
		if (status)
			out("BAD exec\n");
	}
	out("done\n");
	return 0;
}

/* execve in a process with threads: all others go, the pid stays. bevor-test: waits=reloaded */
#include "t.h"

static char self[PATH_MAX];

static void *spin(void *arg) { for (;;) pause(); }
static void *exec_it(void *arg)
{
	char *argv[] = { "x", "after", arg, NULL };
	execv(self, argv);
	_exit(99);
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc > 2) {
		CHECK(getpid() == atoi(argv[2]));
		CHECK(syscall(SYS_gettid) == getpid());
			return 12;
	}
	MUST(readlink("/proc/self/exe", self, sizeof self - 1));
	for (int leader = 0; leader < 2; leader++)
		CHILD(leader ? "leader" : "other thread", {
			pthread_t threads[5];
			char pid[20];
			snprintf(pid, sizeof pid, "%d", getpid());
			for (int i = 0; i < 4; i++)
				pthread_create(&threads[i], NULL, spin, NULL);
			if (leader)
				exec_it(pid);
			pthread_create(&threads[4], NULL, exec_it, pid);
			pthread_exit(NULL);
		});
	/* The leader has gone when another thread calls execve. */
	CHILD("leader has exited", {
		pthread_t thread;
		static char pid[20];
		snprintf(pid, sizeof pid, "%d", getpid());
		pthread_create(&thread, NULL, exec_it, pid);
		syscall(SYS_exit, 0);
	});
	return 0;
}

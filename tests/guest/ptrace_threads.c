/* Threads as tracees and as tracers: each is traced by itself, their ends, execve by one that is no leader,
 * __WNOTHREAD, and what /proc says.
 * bevor-test: user=both waits=reloaded */
#include "t.h"
#include <sys/ptrace.h>
#include <sys/user.h>

static pid_t leader, other;

static const char *who(pid_t pid)
{
	return pid == leader ? "leader" : pid == other ? "thread" : "nobody";
}

static void go(int request, pid_t pid, long signo)
{
	if (ptrace(request, pid, 0, signo))
		out("going on: %s\n", errname(errno));
}

static void next(const char *what, pid_t pid)
{
	int status = 0;
	pid_t got = waitpid(pid, &status, __WALL);
	if (got == -1)
		out("%s: waitpid %s\n", what, errname(errno));
	else if (WIFSTOPPED(status))
		out("%s: %s stopped %d event %d\n", what, who(got), WSTOPSIG(status), status >> 16);
	else if (WIFEXITED(status))
		out("%s: %s exited %d\n", what, who(got), WEXITSTATUS(status));
	else
		out("%s: %s killed by %d\n", what, who(got), WTERMSIG(status));
}

static char *self;

static void *exits(void *arg)
{
	syscall(SYS_exit, 3);
	return NULL;
}

static void *executes(void *arg)
{
	execl(self, self, "5", NULL);
	return NULL;
}

static void *waits(void *arg)
{
	for (;;)
		pause();
}

/* A traced process that makes a thread and then does what is asked. */
static void begin(void *(*routine)(void *), int options, int stays)
{
	leader = fork();
	if (leader == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		kill(getpid(), SIGSTOP);
		pthread_t id;
		pthread_create(&id, NULL, routine, NULL);
		if (stays)
			for (;;)
				pause();
		pthread_join(id, NULL);
		_exit(4);
	}
	other = 0;
	next("start", leader);
	T(ptrace(PTRACE_SETOPTIONS, leader, 0, options));
	go(PTRACE_CONT, leader, 0);
	next("clone", leader);
	unsigned long message = 0;
	T(ptrace(PTRACE_GETEVENTMSG, leader, 0, &message));
	other = message;
	next("thread", other);
}

static void thread_exits(void)
{
	out("-- a thread ends\n");
	begin(exits, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT, 0);
	T(waitpid(other, NULL, WNOHANG | __WCLONE));
	go(PTRACE_CONT, other, 0);
	next("exit", other);
	unsigned long message = 0;
	T(ptrace(PTRACE_GETEVENTMSG, other, 0, &message));
	out("message %lx\n", message);
	go(PTRACE_CONT, other, 0);
	next("end", other);
	go(PTRACE_CONT, leader, 0);
	next("exit", leader);
	go(PTRACE_CONT, leader, 0);
	next("end", leader);
}

static void executing(int options)
{
	out("-- a thread executes\n");
	begin(executes, PTRACE_O_TRACECLONE | options, 1);
	go(PTRACE_CONT, leader, 0);
	wait_state(leader, leader, 'S');
	go(PTRACE_CONT, other, 0);
	next("exec", leader);
	unsigned long message = 0;
	T(ptrace(PTRACE_GETEVENTMSG, leader, 0, &message));
	if (options)
		out("old thread %d\n", message == other);
	T(ptrace(PTRACE_CONT, other, 0, 0));
	T(waitpid(other, NULL, WNOHANG | __WALL));
	go(PTRACE_CONT, leader, 0);
	next("end", leader);
}

static void group_end(void)
{
	out("-- all threads end\n");
	begin(waits, PTRACE_O_TRACECLONE, 1);
	go(PTRACE_CONT, leader, 0);
	/* The thread is still stopped. */
	T(ptrace(PTRACE_CONT, leader, 0, 0));
	struct user_regs_struct regs;
	T(ptrace(PTRACE_GETREGS, other, 0, &regs));
	wait_state(leader, other, 't');
	wait_state(leader, leader, 'S');
	kill(leader, SIGUSR1);
	next("SIGUSR1", leader);
	go(PTRACE_CONT, leader, SIGUSR1);
	next("thread", other);
	next("leader", leader);
}

static void group_stop(void)
{
	out("-- all threads stop\n");
	begin(waits, PTRACE_O_TRACECLONE, 1);
	go(PTRACE_CONT, other, 0);
	go(PTRACE_CONT, leader, 0);
	wait_state(leader, leader, 'S');
	wait_state(leader, other, 'S');
	syscall(SYS_tgkill, leader, other, SIGSTOP);
	next("SIGSTOP", other);
	go(PTRACE_CONT, other, SIGSTOP);
	next("group stop", other);
	next("group stop", leader);
	go(PTRACE_CONT, other, 0);
	go(PTRACE_CONT, leader, 0);
	kill(leader, SIGKILL);
	next("thread", other);
	next("leader", leader);
}

static void *trace(void *arg)
{
	T(ptrace(PTRACE_SEIZE, leader, 0, 0));
	T(ptrace(PTRACE_INTERRUPT, leader, 0, 0));
	next("interrupt", leader);
	char path[64], line[256];
	sprintf(path, "/proc/%d/status", leader);
	FILE *file = fopen(path, "r");
	while (fgets(line, sizeof line, file)) {
		int tracer;
		if (sscanf(line, "TracerPid: %d", &tracer) == 1)
			out("TracerPid %d\n", tracer == gettid());
		if (!strncmp(line, "State:", 6))
			out("%s", line);
	}
	fclose(file);
	pthread_barrier_wait(arg);
	pthread_barrier_wait(arg);
	return NULL;
}

static void tracing_thread(void)
{
	out("-- a thread traces\n");
	leader = fork();
	if (leader == 0)
		for (;;)
			pause();
	pthread_barrier_t barrier;
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_t id;
	pthread_create(&id, NULL, trace, &barrier);
	pthread_barrier_wait(&barrier);
	T(ptrace(PTRACE_CONT, leader, 0, 0));
	pthread_barrier_wait(&barrier);
	/* With the thread the tracing ends. */
	pthread_join(id, NULL);
	wait_state(leader, leader, 'S');
	T(ptrace(PTRACE_SEIZE, leader, 0, 0));
	T(ptrace(PTRACE_INTERRUPT, leader, 0, 0));
	next("interrupt", leader);
	T(ptrace(PTRACE_DETACH, leader, 0, 0));
	kill(leader, SIGTERM);
	reap("end", leader);
}

static void *make(void *arg)
{
	leader = fork();
	if (leader == 0) {
		out("child TRACEME\n");
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		kill(getpid(), SIGSTOP);
		_exit(0);
	}
	next("made by this thread", leader);
	pthread_barrier_wait(arg);
	pthread_barrier_wait(arg);
	go(PTRACE_CONT, leader, 0);
	next("end", leader);
	return NULL;
}

static void making_thread(void)
{
	out("-- a thread makes a tracee\n");
	pthread_barrier_t barrier;
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_t id;
	pthread_create(&id, NULL, make, &barrier);
	pthread_barrier_wait(&barrier);
	int status;
	T(ptrace(PTRACE_CONT, leader, 0, 0));
	T(waitpid(leader, &status, WNOHANG | __WALL));
	T(waitpid(leader, &status, WNOHANG | __WALL | __WNOTHREAD));
	pthread_barrier_wait(&barrier);
	pthread_join(id, NULL);
}

int main(int argc, char **argv)
{
	self = argv[0];
	if (argc > 1)
		_exit(atoi(argv[1]));
	thread_exits();
	executing(PTRACE_O_TRACEEXEC);
	executing(0);
	group_end();
	group_stop();
	tracing_thread();
	making_thread();
	return 0;
}

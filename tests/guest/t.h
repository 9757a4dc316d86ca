/* What every guest program includes.
 *
 * A program prints what it observes, one line each, and nothing that may differ
 * between two runs: no address, process id, time or descriptor it did not choose.
 * Lines go out with one write(2) each, so that fork never copies half a line.
 * A line that starts with BAD says the program itself is wrong about Linux.
 */
#ifndef T_H
#define T_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void out(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void out(const char *format, ...)
{
	char line[4096];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	int saved = errno;
	if (len > (int)sizeof line - 1)
		len = sizeof line - 1;
	if (write(1, line, len) != len)
		_exit(99);
	errno = saved;
}

static const char *errname(int error)
{
	const char *name = error ? strerrorname_np(error) : "ok";
	return name ? name : "E???";
}

/* Prints the text of a call, its result, and the errno if it is -1. */
#define T(call)                                                                \
	({                                                                     \
		errno = 0;                                                     \
		long t_result = (long)(call);                                  \
		int t_error = errno;                                           \
		if (t_result == -1)                                            \
			out("%s = -1 %s\n", #call, errname(t_error));          \
		else                                                           \
			out("%s = %ld\n", #call, t_result);                    \
		errno = t_error;                                               \
		t_result;                                                      \
	})

/* The same for a result that differs from run to run: ok or the errno. */
#define OK(call)                                                               \
	({                                                                     \
		errno = 0;                                                     \
		long t_result = (long)(call);                                  \
		int t_error = errno;                                           \
		out("%s: %s\n", #call, t_result == -1 ? errname(t_error) : "ok"); \
		errno = t_error;                                               \
		t_result;                                                      \
	})

/* Prints a name and a number. */
#define V(value) out("%s: %ld\n", #value, (long)(value))

/* What must hold on Linux; the line is part of the output either way. */
#define CHECK(condition)                                                       \
	out("%s line %d: %s\n", (condition) ? "yes" : "BAD", __LINE__, #condition)

/* A step that the rest of the program depends on. */
#define MUST(call)                                                             \
	({                                                                     \
		long t_result = (long)(call);                                  \
		if (t_result == -1) {                                          \
			out("BAD line %d: %s: %s\n", __LINE__, #call, errname(errno)); \
			_exit(98);                                             \
		}                                                              \
		t_result;                                                      \
	})

/* Moves into a fresh folder on the shared-memory tmpfs, which both sides have. */
static void scratch(void)
{
	static char dir[] = "/dev/shm/t.XXXXXX";
	if (!mkdtemp(dir) || chdir(dir)) {
		out("BAD scratch: %s\n", errname(errno));
		_exit(97);
	}
	chmod(dir, 0755);
	umask(022);
}

/* Removes what scratch() made. */
static void unscratch(void)
{
	char dir[PATH_MAX];
	if (getcwd(dir, sizeof dir) && !strncmp(dir, "/dev/shm/t.", 11)) {
		pid_t pid = fork();
		if (pid == 0) {
			execl("/bin/sh", "sh", "-c", "chmod -R u+rwx \"$0\" && rm -rf \"$0\"", dir, (char *)NULL);
			_exit(96);
		}
		waitpid(pid, NULL, 0);
	}
}

/* Prints a wait status the way a shell would think of it. */
static void out_status(const char *what, int status)
{
	if (WIFEXITED(status))
		out("%s: exited %d\n", what, WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		out("%s: killed by SIG%s%s\n", what, sigabbrev_np(WTERMSIG(status)) ?: "RT",
		    WCOREDUMP(status) ? " (core)" : "");
	else if (WIFSTOPPED(status))
		out("%s: stopped by SIG%s\n", what, sigabbrev_np(WSTOPSIG(status)) ?: "RT");
	else if (WIFCONTINUED(status))
		out("%s: continued\n", what);
	else
		out("%s: strange status %x\n", what, status);
}

/* Waits for a child and prints its status. */
static int reap(const char *what, pid_t pid)
{
	int status = 0;
	pid_t got;
	do
		got = waitpid(pid, &status, 0);
	while (got == -1 && errno == EINTR);
	if (got != pid)
		out("%s: waitpid %s\n", what, errname(errno));
	else
		out_status(what, status);
	return status;
}

/* Runs a block in a child and prints how it ended. */
#define CHILD(what, ...)                                                       \
	do {                                                                   \
		pid_t t_pid = fork();                                          \
		if (t_pid == 0) {                                              \
			__VA_ARGS__;                                           \
			_exit(0);                                              \
		}                                                              \
		reap(what, t_pid);                                             \
	} while (0)

static void sleep_ms(long ms)
{
	struct timespec left = { ms / 1000, ms % 1000 * 1000000 };
	while (nanosleep(&left, &left) == -1 && errno == EINTR)
		;
}

static long now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until a process (or thread) is in a state, as /proc tells it. */
static void wait_state(pid_t pid, pid_t tid, char state)
{
	char path[64], text[512];
	snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
	for (int round = 0; round < 5000; round++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			ssize_t len = read(fd, text, sizeof text - 1);
			close(fd);
			if (len > 0) {
				text[len] = 0;
				char *end = strrchr(text, ')');
				if (end && end[2] == state)
					return;
			}
		}
		sleep_ms(1);
	}
	out("BAD: %c never reached\n", state);
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };
	sigemptyset(&action.sa_mask);
	MUST(sigaction(number, &action, NULL));
}

static int make_file(const char *path, const char *text)
{
	int fd = MUST(open(path, O_RDWR | O_CREAT | O_TRUNC, 0644));
	size_t len = strlen(text);
	if (write(fd, text, len) != (ssize_t)len)
		out("BAD make_file %s\n", path);
	return fd;
}

/* Prints the bytes of a buffer with dots for what cannot be printed. */
static void out_bytes(const char *what, const void *bytes, ssize_t len)
{
	char text[1024];
	ssize_t shown = len < 1000 ? len : 1000;
	for (ssize_t i = 0; i < shown; i++) {
		unsigned char c = ((const unsigned char *)bytes)[i];
		text[i] = c >= 32 && c < 127 ? c : '.';
	}
	if (shown < 0)
		shown = 0;
	text[shown] = 0;
	out("%s: %zd [%s]\n", what, len, text);
}

#endif

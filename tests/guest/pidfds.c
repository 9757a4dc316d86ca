/* Descriptors of processes: their end, their namespaces, the caller itself in place of one. bevor-test: user=both waits=reloaded */
#include "t.h"
#include "pidfd.h"
#include <sys/ioctl.h>

static void ending(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	int fd = MUST(open_pid(pid, 0));
	look("alive", fd);
	T(ioctl(fd, _IO(0xff, 77), 0));
	T(ioctl(fd, TIOCGWINSZ, NULL));
	kill(pid, SIGKILL);
	siginfo_t si;
	waitid(P_PID, pid, &si, WEXITED | WNOWAIT);
	look("zombie", fd);
	waitpid(pid, NULL, 0);
	look("reaped", fd);
	T(send_to(fd, 0, NULL, 0));
	T(ioctl(fd, _IO(0xff, 4), 0));
	T(syscall(SYS_pidfd_getfd, fd, 0, 0));
	T(waitid(P_PIDFD, fd, &si, WEXITED));
	close(fd);
}

static void threads(void)
{
	pthread_t id = start_thread();
	T(open_pid(tid, 0));
	pthread_barrier_wait(&step);
	pthread_join(id, NULL);
	T(open_pid(getpid(), 0x1000));
	T(open_pid(0, 0));
}

static void self(void)
{
	hits = 99;
	T(send_to(SELF_PROCESS, SIGUSR1, NULL, 0));
	V(hits);
	T(send_to(SELF_PROCESS, SIGUSR1, NULL, 1));
	V(hits);
	T(send_to(SELF_THREAD, SIGUSR1, NULL, 2));
	V(hits);
	T(send_to(SELF_THREAD, 0, NULL, 8));
	T(send_to(-10002, 0, NULL, 0));
	T(send_to(-1, 0, NULL, 0));
	T(send_to(SELF_THREAD, 65, NULL, 0));
	siginfo_t si = { .si_signo = SIGUSR1, .si_code = SI_QUEUE };
	T(send_to(SELF_PROCESS, SIGUSR1, &si, 0));
	V(hits);
	si.si_signo = SIGUSR2;
	T(send_to(SELF_PROCESS, SIGUSR1, &si, 0));
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	map[0] = 1;
	struct iovec v = { map, 4096 };
	T(syscall(SYS_process_madvise, SELF_PROCESS, &v, 1, MADV_DONTNEED, 0));
	V(map[0]);
	T(syscall(SYS_process_madvise, SELF_THREAD, &v, 1, MADV_DONTNEED, 0));
	T(syscall(SYS_pidfd_getfd, SELF_PROCESS, 0, 0));
	T(waitid(P_PIDFD, SELF_PROCESS, &si, WEXITED));
	T(setns(SELF_PROCESS, CLONE_NEWUTS));
}

static void namespaces(void)
{
	static const char *const names[] = { "cgroup", "ipc", "mnt", "net", "pid", NULL,
		"time", NULL, "user", "uts" };
	int fd = MUST(open_pid(getpid(), 0));
	for (unsigned i = 0; i < 10; i++) {
		char path[64];
		struct stat a, b;
		if (!names[i])
			continue;
		int ns = ioctl(fd, _IO(0xff, 1 + i), 0);
		snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
		out("%s: %d same %d cloexec %d flags %o\n", names[i], ns >= 0,
		    fstat(ns, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev,
		    fcntl(ns, F_GETFD), fcntl(ns, F_GETFL));
		close(ns);
	}
	T(ioctl(fd, _IO(0xff, 1), 1));
	if (getuid()) {
		int init = open_pid(1, 0);
		if (init >= 0) {
			T(ioctl(init, _IO(0xff, 9), 0) >= 0 || errno == EACCES ? 0 : -1);
			close(init);
		}
	}
	close(fd);
}

int main(void)
{
	ending();
	threads();
	self();
	namespaces();
	return 0;
}

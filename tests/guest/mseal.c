/* mseal, process_madvise, F_DUPFD_QUERY, and long getrandom. bevor-test: user=both kernel=6.10 */
#include "t.h"
#include <sys/random.h>

#define PAGE 4096
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#define DUPFD_QUERY 1027

int main(void)
{
	char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p, 'm', 8 * PAGE);
	T(syscall(SYS_mseal, p + 1, PAGE, 0));
	T(syscall(SYS_mseal, p, PAGE, 1));
	T(syscall(SYS_mseal, p, -1L, 0));
	T(syscall(SYS_mseal, p, 0, 0));
	T(syscall(SYS_mseal, (void *)0x30000, PAGE, 0));
	T(munmap(p + 7 * PAGE, PAGE));
	T(syscall(SYS_mseal, p + 6 * PAGE, 2 * PAGE, 0));
	T(syscall(SYS_mseal, p + 2 * PAGE, 2 * PAGE, 0));
	T(syscall(SYS_mseal, p + 2 * PAGE, PAGE, 0));
	T(munmap(p + 2 * PAGE, PAGE));
	T(munmap(p, 6 * PAGE));
	V(p[0]);
	V(p[3 * PAGE]);
	T(mprotect(p + 3 * PAGE, PAGE, PROT_READ));
	T(mprotect(p + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	T(mmap(p + 3 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
	T(mremap(p + 2 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
	T(madvise(p + 2 * PAGE, PAGE, MADV_DONTNEED));
	V(p[2 * PAGE]);
	p[2 * PAGE] = 'x';
	T(munmap(p, PAGE));
	T(munmap(p + 4 * PAGE, PAGE));
	char *ro = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	T(syscall(SYS_mseal, ro, PAGE, 0));
	T(madvise(ro, PAGE, MADV_DONTNEED));
	T(madvise(ro, PAGE, MADV_WILLNEED));
	T(madvise(ro + PAGE, PAGE, MADV_DONTNEED));
	/* A child has it sealed, too; an end or an execve unmaps it all the same. */
	CHILD("child", T(munmap(ro, PAGE)));

	/* Advice from outside. */
	pid_t pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	int pidfd = MUST(syscall(SYS_pidfd_open, pid, 0));
	struct iovec v[2] = { { p + 5 * PAGE, PAGE }, { (void *)0x30000, PAGE } };
	T(syscall(SYS_process_madvise, pidfd, v, 1, MADV_COLD, 0) < 0 && errno == EPERM ? 0 : 1);
	T(syscall(SYS_process_madvise, pidfd, v, 1, MADV_COLD, 1));
	T(syscall(SYS_process_madvise, pidfd, v, 1, MADV_DONTNEED, 0));
	T(syscall(SYS_process_madvise, 0, v, 1, MADV_COLD, 0));
	T(syscall(SYS_process_madvise, pidfd, v, -1L, MADV_COLD, 0));
	if (!getuid()) {
		T(syscall(SYS_process_madvise, pidfd, v, 2, MADV_COLD, 0));
		T(syscall(SYS_process_madvise, pidfd, v + 1, 1, MADV_COLD, 0));
		T(syscall(SYS_process_madvise, pidfd, v, 1, MADV_WILLNEED, 0));
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	T(syscall(SYS_process_madvise, pidfd, v, 1, MADV_COLD, 0));

	/* Whether two descriptors are one description. */
	int first = open("/dev/null", O_RDONLY), second = open("/dev/null", O_RDONLY), same = dup(first);
	T(fcntl(first, DUPFD_QUERY, second));
	T(fcntl(first, DUPFD_QUERY, same));
	T(fcntl(first, DUPFD_QUERY, 999));
	size_t len = 8 << 20;
	char *random = malloc(len);
	V(getrandom(random, len, 0) == (ssize_t)len);
	return 0;
}

/* Copy-on-write after fork, in every direction. bevor-test: user=both */
#include "t.h"

#define PAGE 4096
#define PAGES 512

static unsigned long digest(const unsigned char *p, size_t len)
{
	unsigned long sum = 5381;
	for (size_t i = 0; i < len; i += 64)
		sum = sum * 33 + p[i];
	return sum;
}

int main(void)
{
	scratch();
	unsigned char *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < PAGES; i++)
		memset(p + i * PAGE, i, PAGE);
	unsigned long start = digest(p, PAGES * PAGE);
	int go[2], done[2];
	MUST(pipe(go));
	MUST(pipe(done));
	char c;
	/* Child writes, parent keeps its view. */
	CHILD("child writes all", memset(p, 'c', PAGES * PAGE); CHECK(p[PAGE] == 'c'));
	CHECK(digest(p, PAGES * PAGE) == start);
	/* Parent writes, child keeps its view. */
	pid_t pid = fork();
	if (pid == 0) {
		read(go[0], &c, 1);
		CHECK(digest(p, PAGES * PAGE) == start);
		_exit(0);
	}
	for (int i = 0; i < PAGES; i += 3)
		p[i * PAGE + 7] ^= 0xff;
	unsigned long second = digest(p, PAGES * PAGE);
	write(go[1], "x", 1);
	reap("child's view", pid);
	/* A chain of forks, each changing one page. */
	for (int depth = 0; depth < 20; depth++) {
		pid = fork();
		if (pid == 0) {
			p[depth * PAGE] = 0xee;
			if (depth == 19) {
				int changed = 0;
				for (int i = 0; i < 20; i++)
					changed += p[i * PAGE] == 0xee;
				V(changed);
				_exit(0);
			}
			continue;
		}
		int status;
		waitpid(pid, &status, 0);
		if (depth > 0)
			_exit(WEXITSTATUS(status));
		out_status("chain", status);
		break;
	}
	CHECK(digest(p, PAGES * PAGE) == second);
	/* Unmapping and protecting in the child does not touch the parent. */
	CHILD("unmap", munmap(p, PAGES * PAGE / 2); mprotect(p + PAGES * PAGE / 2, PAGE, PROT_READ));
	p[PAGES * PAGE / 2] = 1;
	p[0] = 2;
	/* Writes by system calls break sharing as well. */
	pid = fork();
	if (pid == 0) {
		int fd = open("/dev/zero", O_RDONLY);
		MUST(read(fd, p, PAGES * PAGE));
		V(p[5 * PAGE]);
		_exit(0);
	}
	reap("read into", pid);
	V(p[5 * PAGE]);
	/* Many children at once from one page, each sees its own. */
	p[0] = 0;
	for (int i = 0; i < 30; i++)
		if (fork() == 0) {
			p[0] = i;
			p[PAGE] = 200 - i;
			sched_yield();
			_exit(p[0] == i && p[PAGE] == 200 - i ? 0 : 1);
		}
	int bad = 0, status;
	while (wait(&status) > 0)
		bad += status != 0;
	V(bad);
	V(p[0]);
	/* Private file pages: written before and after the fork. */
	int fd = make_file("f", "");
	ftruncate(fd, 4 * PAGE);
	pwrite(fd, "file0", 5, 0);
	pwrite(fd, "file1", 5, PAGE);
	char *f = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	f[0] = 'W';
	CHILD("private file", {
		out("%.5s %.5s\n", f, f + PAGE);
		f[0] = 'C';
		f[PAGE] = 'C';
		out("%.5s %.5s\n", f, f + PAGE);
	});
	out("%.5s %.5s\n", f, f + PAGE);
	/* Stack and globals. */
	static int global = 1;
	int local = 1;
	int *heap = malloc(sizeof *heap);
	*heap = 1;
	CHILD("all kinds", global = local = *heap = 2);
	out("%d %d %d\n", global, local, *heap);
	/* A child forks and leaves, the grandchild lives on with the pages. */
	pid = fork();
	if (pid == 0) {
		p[9 * PAGE] = 99;
		if (fork() == 0) {
			read(go[0], &c, 1);
			c = p[9 * PAGE] == 99 && p[10 * PAGE + 1] == 10;
			write(done[1], &c, 1);
			_exit(0);
		}
		_exit(0);
	}
	reap("middle", pid);
	memset(p, 0, PAGES * PAGE);
	write(go[1], "x", 1);
	read(done[0], &c, 1);
	V(c);
	/* Forking while another thread writes. */
	unscratch();
	return 0;
}

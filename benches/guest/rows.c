/* The rows of the comparison, measured from inside.
 *
 *   rows ITERATIONS ROW...    ITERATIONS may be 0: as many as fill 200 ms
 *
 * prints for each row "ROW ITERATIONS NANOSECONDS", the whole time for all of
 * them. It is linked statically, so that native, gVisor and Bevor run the same
 * instructions. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096L
#define FILL_NS 200000000L

static const char *self;

static long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void fail(const char *what)
{
	fprintf(stderr, "rows: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long row_getpid(long n)
{
	long start = now();
	for (long i = 0; i < n; i++)
		syscall(SYS_getpid);
	return now() - start;
}

static long row_clock(long n)
{
	struct timespec t;
	long start = now();
	for (long i = 0; i < n; i++)
		clock_gettime(CLOCK_REALTIME, &t);
	return now() - start;
}

static long row_read(long n)
{
	char byte;
	int fd = open("/dev/zero", O_RDONLY);
	if (fd < 0)
		fail("/dev/zero");
	long start = now();
	for (long i = 0; i < n; i++)
		if (read(fd, &byte, 1) != 1)
			fail("read");
	long took = now() - start;
	close(fd);
	return took;
}

static long row_stat(long n)
{
	struct stat st;
	long start = now();
	for (long i = 0; i < n; i++)
		if (stat("/etc/passwd", &st))
			fail("stat");
	return now() - start;
}

static long row_stat_missing(long n)
{
	struct stat st;
	long start = now();
	for (long i = 0; i < n; i++)
		if (stat("/etc/no-such-file", &st) == 0)
			fail("stat");
	return now() - start;
}

static long row_open_close(long n)
{
	long start = now();
	for (long i = 0; i < n; i++) {
		int fd = open("/etc/passwd", O_RDONLY);
		if (fd < 0)
			fail("open");
		close(fd);
	}
	return now() - start;
}

/* The working directory holds `names`, a directory of 1,000 files. */
static long row_readdir(long n)
{
	static char entries[32768];
	long start = now();
	for (long i = 0; i < n; i++) {
		long got;
		int fd = open("names", O_RDONLY | O_DIRECTORY);
		if (fd < 0)
			fail("names");
		while ((got = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0)
			;
		if (got < 0)
			fail("getdents64");
		close(fd);
	}
	return now() - start;
}

static long row_create_unlink(long n)
{
	long start = now();
	for (long i = 0; i < n; i++) {
		int fd = open("created", O_RDWR | O_CREAT | O_EXCL, 0644);
		if (fd < 0)
			fail("created");
		close(fd);
		if (unlink("created"))
			fail("unlink");
	}
	return now() - start;
}

#define MIB (1L << 20)
/* Size of `large`, a file in the working directory, and of what is written. */
#define LARGE (64 * MIB)
/* Bytes of one call of a sequential row. */
#define CHUNK (128L << 10)

static char chunk[CHUNK];

static long row_pread(long n)
{
	int fd = open("large", O_RDONLY);
	if (fd < 0)
		fail("large");
	long start = now();
	for (long i = 0; i < n; i++)
		if (pread(fd, chunk, PAGE, i * 17 * PAGE % LARGE) != PAGE)
			fail("pread");
	long took = now() - start;
	close(fd);
	return took;
}

static int written_file(long size)
{
	int fd = open("written", O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		fail("written");
	for (long at = 0; at < size; at += CHUNK)
		if (pwrite(fd, chunk, CHUNK, at) != CHUNK)
			fail("pwrite");
	return fd;
}

/* Over pages that are there already. */
static long row_pwrite(long n)
{
	int fd = written_file(4 * MIB);
	long start = now();
	for (long i = 0; i < n; i++)
		if (pwrite(fd, chunk, PAGE, i * 17 * PAGE % (4 * MIB)) != PAGE)
			fail("pwrite");
	long took = now() - start;
	close(fd);
	unlink("written");
	return took;
}

/* One iteration is a MiB. */
static long row_seq_read(long n)
{
	int fd = open("large", O_RDONLY);
	if (fd < 0)
		fail("large");
	long start = now();
	for (long at = 0; at < n * MIB; at += CHUNK)
		if (pread(fd, chunk, CHUNK, at % LARGE) != CHUNK)
			fail("read");
	long took = now() - start;
	close(fd);
	return took;
}

/* A new file; one iteration is a MiB. */
static long row_seq_write(long n)
{
	long start = now();
	int fd = written_file(n * MIB);
	close(fd);
	long took = now() - start;
	unlink("written");
	return took;
}

static long row_pipe(long n)
{
	int there[2], back[2];
	char byte = 0;
	if (pipe(there) || pipe(back))
		fail("pipe");
	pid_t child = fork();
	if (child == 0) {
		close(there[1]);
		while (read(there[0], &byte, 1) == 1)
			if (write(back[1], &byte, 1) != 1)
				break;
		_exit(0);
	}
	close(there[0]);
	long start = now();
	for (long i = 0; i < n; i++)
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			fail("pipe");
	long took = now() - start;
	close(there[1]);
	close(back[0]);
	close(back[1]);
	waitpid(child, NULL, 0);
	return took;
}

static uint32_t turn;
static volatile int over;

static void hand_over(uint32_t mine)
{
	__atomic_store_n(&turn, 1 - mine, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	while (__atomic_load_n(&turn, __ATOMIC_SEQ_CST) != mine && !over)
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, 1 - mine, NULL, NULL, 0);
}

static void pin(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof set, &set);
}

static void *partner(void *arg)
{
	if (arg)
		pin(0);
	while (__atomic_load_n(&turn, __ATOMIC_SEQ_CST) != 1 && !over)
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	while (!over)
		hand_over(1);
	return NULL;
}

static long futex_pair(long n, int same_core)
{
	cpu_set_t before;
	sched_getaffinity(0, sizeof before, &before);
	pthread_t thread;
	turn = 0;
	over = 0;
	if (same_core)
		pin(0);
	pthread_create(&thread, NULL, partner, (void *)(long)same_core);
	long start = now();
	for (long i = 0; i < n; i++)
		hand_over(0);
	long took = now() - start;
	over = 1;
	__atomic_store_n(&turn, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0);
	pthread_join(thread, NULL);
	sched_setaffinity(0, sizeof before, &before);
	return took;
}

static long row_futex_same_core(long n) { return futex_pair(n, 1); }
static long row_futex(long n) { return futex_pair(n, 0); }

static long touch(char *p, long pages)
{
	long start = now();
	for (long i = 0; i < pages; i++)
		*(volatile char *)(p + i * PAGE) = 1;
	return now() - start;
}

/* A fresh process touches memory for the first time. */
static long row_touch_cold(long n)
{
	char *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		fail("mmap");
	long took = touch(p, n);
	munmap(p, n * PAGE);
	return took;
}

/* Small areas, as a heap grows: whatever stock there is should serve them. */
static long row_touch_stock(long n)
{
	long took = 0;
	for (long done = 0; done < n; done += 64) {
		char *p = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			fail("mmap");
		took += touch(p, 64);
		munmap(p, 64 * PAGE);
	}
	return took;
}

static long row_mmap_munmap(long n)
{
	long start = now();
	for (long i = 0; i < n; i++) {
		char *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			fail("mmap");
		munmap(p, 16 * PAGE);
	}
	return now() - start;
}

static long row_fork(long n)
{
	long start = now();
	for (long i = 0; i < n; i++) {
		pid_t child = fork();
		if (child == 0)
			_exit(0);
		if (child < 0 || waitpid(child, NULL, 0) != child)
			fail("fork");
	}
	return now() - start;
}

static long row_exec(long n)
{
	char *argv[] = { (char *)self, "exit", NULL };
	char *envp[] = { NULL };
	long start = now();
	for (long i = 0; i < n; i++) {
		int status;
		pid_t child = fork();
		if (child == 0) {
			execve(self, argv, envp);
			_exit(1);
		}
		if (child < 0 || waitpid(child, &status, 0) != child || status)
			fail("exec");
	}
	return now() - start;
}

static void *nothing(void *arg) { return arg; }

static long row_thread(long n)
{
	long start = now();
	for (long i = 0; i < n; i++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, nothing, NULL))
			fail("thread");
		pthread_join(thread, NULL);
	}
	return now() - start;
}

/* Runs a program with nothing on its streams and waits for it. */
static void run(char *const argv[])
{
	int status;
	pid_t child = fork();
	if (child == 0) {
		int null = open("/dev/null", O_RDWR);
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		fail(argv[0]);
	if (status) {
		fprintf(stderr, "rows: %s ended with status %#x\n", argv[0], status);
		exit(1);
	}
}

static long programs(long n, char *const argv[])
{
	long start = now();
	for (long i = 0; i < n; i++)
		run(argv);
	return now() - start;
}

#define PROGRAM(name, ...) \
	static long row_##name(long n) \
	{ \
		char *const argv[] = { __VA_ARGS__, NULL }; \
		return programs(n, argv); \
	}

/* The working directory holds `tree`, a git repository of small files, and `one.c`. */
PROGRAM(find, "find", "/usr", "-xdev")
PROGRAM(dd, "dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=200000")
PROGRAM(python, "python3", "-c", "pass")
PROGRAM(git, "git", "-C", "tree", "status")
PROGRAM(tar, "tar", "cf", "tree.tar", "tree")
PROGRAM(gcc, "gcc", "-O1", "-c", "-o", "one.o", "one.c")

/* `git10k` is a repository of 10,000 files, `tar20k` a tree of 20,000 small ones. */
PROGRAM(git10k, "git", "-C", "git10k", "status")
PROGRAM(tar20k, "sh", "-c", "tar c tar20k | cat >/dev/null")
PROGRAM(untar20k, "sh", "-c", "mkdir out && tar xf tar20k.tar -C out")

/* The same once more: what a cache is worth. */
#define AGAIN(name) \
	static long row_##name##_again(long n) \
	{ \
		row_##name(1); \
		return row_##name(n); \
	}

AGAIN(find)
AGAIN(git10k)
AGAIN(tar20k)

/* What was made is removed again, outside the time. */
static long row_untar(long n)
{
	long took = row_untar20k(n);
	char *const argv[] = { "rm", "-rf", "out", NULL };
	run(argv);
	return took;
}

static const struct row {
	const char *name;
	long (*run)(long);
	/* Where the search for a number that fills the time starts and ends. */
	long first, most;
} rows[] = {
	{ "getpid", row_getpid, 1000, 100000000 },
	{ "clock", row_clock, 1000, 100000000 },
	{ "read", row_read, 1000, 100000000 },
	{ "stat", row_stat, 1000, 100000000 },
	{ "stat-missing", row_stat_missing, 1000, 100000000 },
	{ "open-close", row_open_close, 500, 100000000 },
	{ "readdir-1000", row_readdir, 20, 1000000 },
	{ "create-unlink", row_create_unlink, 100, 10000000 },
	{ "pread-4k", row_pread, 500, 100000000 },
	{ "pwrite-4k", row_pwrite, 500, 100000000 },
	{ "seq-read-mib", row_seq_read, 64, 65536 },
	{ "seq-write-mib", row_seq_write, 64, 64 },
	{ "pipe", row_pipe, 200, 10000000 },
	{ "futex", row_futex, 200, 10000000 },
	{ "futex-same-core", row_futex_same_core, 200, 10000000 },
	{ "touch-cold", row_touch_cold, 16384, 16384 },
	{ "touch-stock", row_touch_stock, 4096, 100000 },
	{ "mmap-munmap", row_mmap_munmap, 200, 10000000 },
	{ "fork", row_fork, 20, 100000 },
	{ "exec", row_exec, 20, 100000 },
	{ "thread", row_thread, 50, 1000000 },
	{ "find-usr", row_find, 1, 1 },
	{ "find-usr-again", row_find_again, 1, 1 },
	{ "dd-bs1-200k", row_dd, 1, 1 },
	{ "python-start", row_python, 5, 5 },
	{ "git-status", row_git, 3, 3 },
	{ "tar-small-files", row_tar, 1, 1 },
	{ "git-status-10k", row_git10k, 1, 1 },
	{ "git-status-10k-again", row_git10k_again, 1, 1 },
	{ "tar-20k", row_tar20k, 1, 1 },
	{ "tar-20k-again", row_tar20k_again, 1, 1 },
	{ "untar-20k", row_untar, 1, 1 },
	{ "gcc-compile", row_gcc, 2, 2 },
};

static void measure(const struct row *row, long n)
{
	if (n > 0) {
		printf("%s %ld %ld\n", row->name, n, row->run(n));
		return;
	}
	/* The first run warms up whatever there is to warm up, except where cold is the point. */
	if (row->first == row->most) {
		printf("%s %ld %ld\n", row->name, row->first, row->run(row->first));
		return;
	}
	row->run(row->first);
	long took = row->run(row->first);
	n = took > 0 ? row->first * (FILL_NS / 1000) / (took / 1000 + 1) : row->most;
	if (n < row->first)
		n = row->first;
	if (n > row->most)
		n = row->most;
	printf("%s %ld %ld\n", row->name, n, row->run(n));
}

int main(int argc, char **argv)
{
	self = argv[0];
	if (argc == 2 && !strcmp(argv[1], "exit"))
		return 0;
	if (argc < 3) {
		fprintf(stderr, "usage: rows ITERATIONS ROW...\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 2; i < argc; i++) {
		const struct row *row = NULL;
		for (unsigned j = 0; j < sizeof rows / sizeof *rows; j++)
			if (!strcmp(rows[j].name, argv[i]))
				row = &rows[j];
		if (!row) {
			fprintf(stderr, "rows: no row is called %s\n", argv[i]);
			return 2;
		}
		measure(row, atol(argv[1]));
	}
	return 0;
}

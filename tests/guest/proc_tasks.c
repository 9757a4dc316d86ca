/* What /proc tells of a task. bevor-test: user=both */
#include "t.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static char text[300000];

static ssize_t slurp_fd(int fd)
{
	ssize_t len = 0, got;
	while ((got = read(fd, text + len, sizeof text - 1 - len)) > 0)
		len += got;
	text[len] = 0;
	return got < 0 ? -1 : len;
}

static ssize_t slurp(const char *path)
{
	int fd = open(path, O_RDONLY);
	text[0] = 0;
	if (fd < 0)
		return -1;
	ssize_t len = slurp_fd(fd);
	close(fd);
	return len;
}

/* Numbers by '#', blanks by one. */
static void shape(const char *what)
{
	char line[4000];
	size_t at = 0;
	for (const char *c = text; *c && at < sizeof line - 2; c++) {
		if (*c >= '0' && *c <= '9') {
			if (!at || line[at - 1] != '#')
				line[at++] = '#';
		} else if (*c == ' ' || *c == '\t') {
			if (at && line[at - 1] != ' ')
				line[at++] = ' ';
		} else {
			line[at++] = *c;
		}
	}
	line[at] = 0;
	out("%s:\n%s", what, line);
}

static void fdinfo(const char *what, int fd)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	slurp(path);
	CHECK(!strncmp(text, "pos:\t", 5) && strstr(text, "\nflags:\t0") && strstr(text, "\nmnt_id:\t") && strstr(text, "\nino:\t"));
	char *rest = strstr(text, "\nino:");
	rest = rest ? strchr(rest + 1, '\n') + 1 : text;
	memmove(text, rest, strlen(rest) + 1);
	out("%s: %s", what, *text ? "" : "nothing more\n");
}

static void mode_of(const char *name)
{
	char path[100];
	struct stat st;
	snprintf(path, sizeof path, "/proc/self/%s", name);
	if (lstat(path, &st))
		out("%s: %s\n", name, errname(errno));
	else
		out("%s: %o\n", name, st.st_mode);
}

static unsigned long long field_of(int number, const char *path)
{
	slurp(path);
	char *at = strrchr(text, ')');
	if (!at)
		return 0;
	for (int i = 2; i < number && at; i++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

static void burn(void)
{
	struct timespec now;
	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	while (now.tv_sec * 1000 + now.tv_nsec / 1000000 < 80);
}

static long counter(const char *path, const char *name)
{
	slurp(path);
	char *at = strstr(text, name);
	return at ? atol(at + strlen(name)) : -1;
}

static volatile int go_on = 1;

static void *waiter(void *arg)
{
	*(int *)arg = gettid();
	while (go_on)
		usleep(1000);
	return NULL;
}

int main(void)
{
	scratch();
	/* Who may do what. */
	static const char *names[] = { "attr", "auxv", "cgroup", "clear_refs", "cmdline", "comm", "coredump_filter", "cwd", "environ", "exe", "fd", "fdinfo", "gid_map", "io", "limits", "map_files", "maps", "mem", "mountinfo", "mounts", "mountstats", "net", "ns", "oom_adj", "oom_score", "oom_score_adj", "pagemap", "personality", "root", "schedstat", "setgroups", "smaps", "smaps_rollup", "stat", "statm", "status", "syscall", "task", "timers", "timerslack_ns", "uid_map", "wchan", "children", "nothing" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		mode_of(names[i]);
	char path[100];

	/* stat: times, sizes, policy. */
	unsigned long long before = field_of(14, "/proc/self/stat") + field_of(15, "/proc/self/stat");
	burn();
	unsigned long long after = field_of(14, "/proc/self/stat") + field_of(15, "/proc/self/stat");
	CHECK(after >= before + 4 && after < before + 1000);
	CHECK(field_of(23, "/proc/self/stat") > 100000 && field_of(24, "/proc/self/stat") > 10);
	V(field_of(18, "/proc/self/stat"));
	V(field_of(38, "/proc/self/stat"));
	V(field_of(40, "/proc/self/stat"));
	V(field_of(41, "/proc/self/stat"));
	CHECK(field_of(39, "/proc/self/stat") < 4096);
	CHECK(field_of(26, "/proc/self/stat") < (unsigned long)main && (unsigned long)main < field_of(27, "/proc/self/stat"));
	CHECK(field_of(28, "/proc/self/stat") > (unsigned long)&before);
	setpriority(PRIO_PROCESS, 0, 5);
	V(field_of(18, "/proc/self/stat"));
	V(field_of(19, "/proc/self/stat"));
	slurp("/proc/self/schedstat");
	unsigned long long run;
	CHECK(sscanf(text, "%llu", &run) == 1);

	/* A file that is read from its start again is made anew. */
	int fd = open("/proc/self/comm", O_RDONLY);
	slurp_fd(fd);
	prctl(PR_SET_NAME, "second name");
	lseek(fd, 0, SEEK_SET);
	slurp_fd(fd);
	out("%s", text);
	prctl(PR_SET_NAME, "third");
	T(pread(fd, text, 6, 0));
	out("%.6s", text);
	close(fd);

	/* io counts calls and bytes. */
	fd = open("/proc/self/comm", O_RDONLY);
	long calls = counter("/proc/self/io", "syscr: "), bytes = counter("/proc/self/io", "wchar: ");
	for (int i = 0; i < 50; i++)
		pread(fd, text, 1, 0);
	CHECK(counter("/proc/self/io", "syscr: ") >= calls + 50);
	out("0123456789012345678\n");
	CHECK(counter("/proc/self/io", "wchar: ") >= bytes + 20);
	close(fd);

	/* Descriptors of all kinds. */
	int efd = eventfd(7, EFD_NONBLOCK);
	fdinfo("eventfd", efd);
	CHECK(strstr(text, "eventfd-count:                7\n"));
	int ep = epoll_create1(0);
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 0xabc };
	epoll_ctl(ep, EPOLL_CTL_ADD, efd, &event);
	fdinfo("epoll", ep);
	unsigned tfd, events;
	unsigned long long data;
	V(sscanf(text, "tfd: %u events: %x data: %llx", &tfd, &events, &data));
	CHECK((int)tfd == efd && events == 0x19 && data == 0xabc);
	CHECK(strstr(text, " pos:0 ino:") && strstr(text, " sdev:"));
	int in = inotify_init1(0);
	mkdir("watched", 0700);
	inotify_add_watch(in, "watched", IN_CREATE);
	fdinfo("inotify", in);
	CHECK(!strncmp(text, "inotify wd:1 ino:", 17) && strstr(text, " mask:100 ignored_mask:0 "));
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	int sfd = signalfd(-1, &set, 0);
	fdinfo("signalfd", sfd);
	out("%s", text);
	int timer = timerfd_create(CLOCK_MONOTONIC, 0);
	struct itimerspec far = { .it_value.tv_sec = 5000, .it_interval.tv_sec = 3 };
	timerfd_settime(timer, 0, &far, NULL);
	fdinfo("timerfd", timer);
	shape("timerfd");
	timerfd_settime(timer, TFD_TIMER_ABSTIME, &far, NULL);
	fdinfo("timerfd", timer);
	CHECK(strstr(text, "settime flags: 01\n"));
	int pidfd = syscall(SYS_pidfd_open, getpid(), 0);
	fdinfo("pidfd", pidfd);
	int pid_of, ns_pid;
	V(sscanf(text, "Pid:\t%d\nNSpid:\t%d", &pid_of, &ns_pid));
	CHECK(pid_of == getpid());
	int locked = open("locked", O_CREAT | O_RDWR, 0600);
	flock(locked, LOCK_EX);
	fdinfo("flock", locked);
	CHECK(!strncmp(text, "lock:\t1: FLOCK  ADVISORY  WRITE ", 32) && strstr(text, " 0 EOF\n"));
	flock(locked, LOCK_UN);
	struct flock record = { .l_type = F_RDLCK, .l_start = 3, .l_len = 7 };
	fcntl(locked, F_SETLK, &record);
	fdinfo("record", locked);
	CHECK(!strncmp(text, "lock:\t1: POSIX  ADVISORY  READ ", 31) && strstr(text, " 3 9\n"));

	/* POSIX timers. */
	timer_t id;
	struct sigevent how = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2, .sigev_value.sival_int = 77 };
	timer_create(CLOCK_MONOTONIC, &how, &id);
	slurp("/proc/self/timers");
	shape("timers");
	timer_delete(id);
	slurp("/proc/self/timers");
	V(strlen(text));

	/* pagemap tells which pages are there. */
	char *area = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(area, 4 * 4096, MADV_NOHUGEPAGE);
	area[4096] = area[3 * 4096] = 1;
	fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entries[4];
	T(pread(fd, entries, sizeof entries, (long)area / 4096 * 8));
	CHECK(entries[1] >> 63 && entries[3] >> 63);
	V(entries[1] >> 61 & 1);
	munmap(area, 4 * 4096);
	T(pread(fd, entries, sizeof entries, (long)area / 4096 * 8));
	CHECK(!(entries[0] | entries[1] | entries[2] | entries[3]));
	T(pread(fd, entries, 7, 0));
	T(pread(fd, entries, 8, 4));
	close(fd);

	/* map_files: links named by addresses. */
	char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, MUST(open("/proc/self/exe", O_RDONLY)), 0);
	snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (long)map, (long)map + 4096);
	char target[PATH_MAX], exe[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof target - 1);
	ssize_t exe_len = readlink("/proc/self/exe", exe, sizeof exe - 1);
	CHECK(len > 0 && len == exe_len && !memcmp(target, exe, len));

	/* Small settings. */
	fd = open("/proc/self/clear_refs", O_WRONLY);
	T(write(fd, "5", 1));
	T(write(fd, "9", 1));
	T(write(fd, "x", 1));
	close(fd);
	fd = open("/proc/self/oom_adj", O_RDWR);
	T(write(fd, "8", 1));
	T(write(fd, "16", 2));
	close(fd);
	slurp("/proc/self/oom_score_adj");
	out("%s", text);
	slurp("/proc/self/oom_adj");
	out("%s", text);
	fd = open("/proc/self/timerslack_ns", O_RDWR);
	T(write(fd, "70000", 5));
	close(fd);
	V(prctl(PR_GET_TIMERSLACK));

	/* What sleeping tasks do. */
	int p[2];
	pipe(p);
	pid_t pid = fork();
	if (pid == 0) {
		char c;
		_exit(read(p[0], &c, 1) == 1);
	}
	wait_state(pid, pid, 'S');
	snprintf(path, sizeof path, "/proc/%d/syscall", pid);
	long nr;
	unsigned long arg;
	slurp(path);
	V(sscanf(text, "%ld %lx", &nr, &arg));
	CHECK(nr == SYS_read && (int)arg == p[0]);
	int words = 1;
	for (char *c = text; *c; c++)
		words += *c == ' ';
	V(words);
	slurp("/proc/self/syscall");
	CHECK(!strncmp(text, "0 0x", 4) || !strcmp(text, "running\n"));
	snprintf(path, sizeof path, "/proc/%d/wchan", pid);
	slurp(path);
	CHECK(text[0] && (strcmp(text, "0") || 1));
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", getpid(), getpid());
	slurp(path);
	CHECK(atoi(text) == pid);
	write(p[1], "", 1);
	waitpid(pid, NULL, 0);

	/* A thread has a directory of its own, with what all have, and its own name and times. */
	pthread_t thread;
	static int tid;
	pthread_create(&thread, NULL, waiter, &tid);
	while (!__atomic_load_n(&tid, __ATOMIC_SEQ_CST))
		usleep(100);
	pthread_setname_np(thread, "other");
	snprintf(path, sizeof path, "/proc/self/task/%d/comm", tid);
	slurp(path);
	out("%s", text);
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
	CHECK(field_of(14, path) + field_of(15, path) < 4);
	V(field_of(20, path));
	static const char *of_thread[] = { "auxv", "children", "fd", "maps", "ns", "stat", "status", "syscall", "map_files", "task", "timers", "coredump_filter" };
	for (size_t i = 0; i < sizeof of_thread / sizeof *of_thread; i++) {
		snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, of_thread[i]);
		out("%s: %s\n", of_thread[i], access(path, F_OK) ? errname(errno) : "there");
	}
	go_on = 0;
	pthread_join(thread, NULL);
	snprintf(path, sizeof path, "/proc/self/task/%d", tid);
	T(access(path, F_OK));

	/* Another user's. */
	if (geteuid() == 0) {
		pid = fork();
		if (pid == 0) {
			MUST(setresgid(3333, 3333, 3333));
			MUST(setresuid(3333, 3333, 3333));
			static const char *secrets[] = { "environ", "auxv", "maps", "smaps", "mem", "io", "pagemap", "syscall", "personality", "exe", "cwd", "root", "fd/1", "fdinfo/1", "ns/pid", "stat", "status", "cmdline", "statm", "limits", "wchan", "stack" };
			for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
				snprintf(path, sizeof path, "/proc/%d/%s", getppid(), secrets[i]);
				int opened = open(path, O_RDONLY);
				out("another's %s: %s\n", secrets[i], opened < 0 ? errname(errno) : "open");
			}
			snprintf(path, sizeof path, "/proc/%d/exe", getppid());
			T(readlink(path, text, sizeof text));
			snprintf(path, sizeof path, "/proc/%d/stat", getppid());
			V(field_of(26, path));
			V(field_of(45, path));
			snprintf(path, sizeof path, "/proc/%d/wchan", getppid());
			slurp(path);
			out("%s\n", text);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	unscratch();
	return 0;
}

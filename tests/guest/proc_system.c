/* What /proc tells of the whole system. bevor-test: user=both */
#include "t.h"
#include <dirent.h>
#include <sys/file.h>
#include <sys/shm.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>

static char text[400000];

static ssize_t slurp(const char *path)
{
	int fd = open(path, O_RDONLY);
	text[0] = 0;
	if (fd < 0)
		return -1;
	ssize_t len = 0, got;
	while ((got = read(fd, text + len, sizeof text - 1 - len)) > 0)
		len += got;
	text[len] = 0;
	close(fd);
	return len;
}

static long row(const char *path, const char *name)
{
	char line[100];
	slurp(path);
	snprintf(line, sizeof line, "\n%s", name);
	char *at = !strncmp(text, name, strlen(name)) ? text : strstr(text, line);
	if (!at)
		return -1;
	at += strlen(name) + (*at == '\n');
	return *at == ':' || *at == ' ' ? atol(at + 1) : -1;
}

static void has_rows(const char *path, const char *const *names)
{
	for (; *names; names++)
		if (row(path, *names) < 0)
			out("%s lacks %s\n", path, *names);
}

static unsigned long long busy_ticks(void)
{
	unsigned long long user, nice, system;
	slurp("/proc/stat");
	return sscanf(text, "cpu %llu %llu %llu", &user, &nice, &system) == 3 ? user + nice + system : 0;
}

static void burn(int ms)
{
	struct timespec now;
	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	while (now.tv_sec * 1000 + now.tv_nsec / 1000000 < ms);
}

/* The lines of /proc/locks about an inode, without numbers and processes. */
static void locks_of(const char *what, int fd)
{
	struct stat st;
	char ino[40], *save;
	fstat(fd, &st);
	snprintf(ino, sizeof ino, ":%lu ", st.st_ino);
	slurp("/proc/locks");
	out("%s:\n", what);
	char found[10][100];
	int count = 0;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *at = strstr(line, ino), *colon = strchr(line, ':');
		if (!at || !colon || count == 10)
			continue;
		char *words = colon + 2;
		char class[8], kind[8], mode[8];
		int pid, waits = !strncmp(words, "-> ", 3);
		if (waits)
			words += 3;
		int got = sscanf(words, "%7s %*s %7s %d", class, kind, &pid);
		snprintf(mode, sizeof mode, "%s", pid == getpid() ? "mine" : pid == -1 ? "none" : "other");
		snprintf(found[count++], sizeof *found, "%d %s%s %s %s %s", got, waits ? "waits " : "", class, kind, mode, at + strlen(ino));
	}
	/* Their order is the kernel's business. */
	qsort(found, count, sizeof *found, (int (*)(const void *, const void *))strcmp);
	for (int i = 0; i < count; i++)
		out("  %s\n", found[i]);
}

/* Whether a row of meminfo grows and shrinks with a file in memory. Others use memory, too: one round of many will do. */
static int follows(const char *name)
{
	static char chunk[1 << 20];
	int fd = open("big", O_CREAT | O_RDWR, 0600), grew = 0, shrank = 0;
	memset(chunk, 1, sizeof chunk);
	for (int round = 0; round < 40 && !(grew && shrank); round++) {
		long before = row("/proc/meminfo", name);
		for (int i = 0; i < 64; i++)
			write(fd, chunk, sizeof chunk);
		long with = row("/proc/meminfo", name);
		ftruncate(fd, 0);
		lseek(fd, 0, SEEK_SET);
		long after = row("/proc/meminfo", name);
		grew |= with >= before + 32 * 1024;
		shrank |= after <= with - 32 * 1024;
		if (!(grew && shrank))
			usleep(20000 + getpid() % 7 * 3000);
	}
	close(fd);
	return grew && shrank;
}

static void mode_of(const char *path)
{
	struct stat st;
	if (lstat(path, &st))
		out("%s: %s\n", path, errname(errno));
	else
		out("%s: %o\n", path, st.st_mode);
}

static void line_of(const char *path)
{
	slurp(path);
	out("%s: %s%s", path, text, strchr(text, '\n') ? "" : "\n");
}

int main(void)
{
	scratch();
	/* Processor time: the sum grows with what processes use, also with what ended ones used. */
	static const char *const stat_rows[] = { "cpu", "cpu0", "intr", "ctxt", "btime", "processes", "procs_running", "procs_blocked", "softirq", NULL };
	has_rows("/proc/stat", stat_rows);
	unsigned long long before = busy_ticks();
	burn(150);
	unsigned long long later = busy_ticks();
	CHECK(later >= before + 10);
	pid_t pid = fork();
	if (pid == 0) {
		burn(150);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	CHECK(busy_ticks() >= later + 10);
	long switches = row("/proc/stat", "ctxt");
	for (int i = 0; i < 20; i++)
		usleep(500);
	CHECK(row("/proc/stat", "ctxt") >= switches + 15);
	slurp("/proc/stat");
	int cpus = 0;
	for (char *at = text; (at = strstr(at, "\ncpu")); at++)
		cpus++;
	CHECK(cpus == sysconf(_SC_NPROCESSORS_ONLN));
	double up, idle, one, five, fifteen;
	int running, all, last;
	slurp("/proc/uptime");
	V(sscanf(text, "%lf %lf", &up, &idle));
	CHECK(up > 0.1 && idle >= 0);
	slurp("/proc/loadavg");
	V(sscanf(text, "%lf %lf %lf %d/%d %d", &one, &five, &fifteen, &running, &all, &last));
	CHECK(one >= 0 && five >= 0 && fifteen >= 0 && running >= 1 && all >= running && last > 0);
	struct sysinfo info;
	MUST(sysinfo(&info));
	CHECK(info.totalram > info.freeram && info.mem_unit >= 1);

	/* Memory: files in memory are there. */
	static const char *const meminfo[] = { "MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapCached", "Active", "Inactive", "Active(anon)", "Inactive(anon)", "Active(file)", "Inactive(file)", "Unevictable", "Mlocked", "SwapTotal", "SwapFree", "Dirty", "Writeback", "AnonPages", "Mapped", "Shmem", "KReclaimable", "Slab", "SReclaimable", "SUnreclaim", "KernelStack", "PageTables", "NFS_Unstable", "Bounce", "WritebackTmp", "CommitLimit", "Committed_AS", "VmallocTotal", "VmallocUsed", "VmallocChunk", "Percpu", "AnonHugePages", "HugePages_Total", "HugePages_Free", "HugePages_Rsvd", "HugePages_Surp", "Hugepagesize", "Hugetlb", "DirectMap4k", NULL };
	has_rows("/proc/meminfo", meminfo);
	CHECK(follows("Shmem"));
	CHECK(follows("Cached"));
	static const char *const vmstat[] = { "nr_free_pages", "nr_anon_pages", "nr_mapped", "nr_file_pages", "nr_dirty", "nr_writeback", "nr_shmem", "pgpgin", "pgpgout", "pswpin", "pswpout", "pgfault", "pgmajfault", "oom_kill", NULL };
	has_rows("/proc/vmstat", vmstat);

	/* Others every system has. */
	static const char *const files[] = { "buddyinfo", "bus", "cgroups", "cmdline", "consoles", "cpuinfo", "devices", "diskstats", "driver", "execdomains", "filesystems", "fs", "interrupts", "iomem", "ioports", "loadavg", "locks", "meminfo", "mounts", "net", "partitions", "self", "slabinfo", "softirqs", "stat", "swaps", "sys", "sysvipc", "thread-self", "tty", "uptime", "version", "vmstat", "zoneinfo" };
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/%s", files[i]);
		mode_of(path);
	}
	line_of("/proc/execdomains");
	slurp("/proc/buddyinfo");
	CHECK(!strncmp(text, "Node 0, zone ", 13));
	slurp("/proc/zoneinfo");
	CHECK(!strncmp(text, "Node 0, zone ", 13) && strstr(text, "\n  pages free "));
	slurp("/proc/interrupts");
	CHECK(strstr(text, "CPU0"));
	slurp("/proc/softirqs");
	CHECK(strstr(text, "CPU0") && strstr(text, "TIMER:") && strstr(text, "RCU:"));
	T(open("/proc/slabinfo", O_RDONLY) >= 0 || geteuid() != 0);

	/* Locks: all kinds, and who waits. */
	int fd = open("locked", O_CREAT | O_RDWR, 0600), other = open("locked", O_RDWR);
	locks_of("none", fd);
	flock(fd, LOCK_SH);
	locks_of("flock", fd);
	pid = fork();
	if (pid == 0) {
		close(other);
		flock(open("locked", O_RDWR), LOCK_EX);
		_exit(0);
	}
	wait_state(pid, pid, 'S');
	locks_of("somebody waits", fd);
	flock(fd, LOCK_UN);
	waitpid(pid, NULL, 0);
	struct flock lock = { .l_type = F_WRLCK, .l_start = 10, .l_len = 5 };
	fcntl(fd, F_SETLK, &lock);
	lock = (struct flock){ .l_type = F_RDLCK, .l_start = 100 };
	fcntl(fd, F_SETLK, &lock);
	locks_of("records", fd);
	lock = (struct flock){ .l_type = F_WRLCK, .l_start = 50, .l_len = 1 };
	fcntl(other, F_OFD_SETLK, &lock);
	locks_of("and of a description", fd);
	pid = fork();
	if (pid == 0) {
		lock = (struct flock){ .l_type = F_WRLCK, .l_start = 12, .l_len = 1 };
		fcntl(fd, F_SETLKW, &lock);
		_exit(0);
	}
	wait_state(pid, pid, 'S');
	locks_of("somebody waits for a record", fd);
	close(fd);
	waitpid(pid, NULL, 0);
	locks_of("after close", other);
	close(other);

	/* System V objects. */
	int id = MUST(shmget(IPC_PRIVATE, 12345, IPC_CREAT | 0640));
	void *at = shmat(id, NULL, 0);
	slurp("/proc/sysvipc/shm");
	CHECK(!strncmp(text, "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n", 170));
	char *save;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		int key, its, perms, cpid, lpid, attached;
		unsigned long size;
		if (sscanf(line, "%d %d %o %lu %d %d %d", &key, &its, &perms, &size, &cpid, &lpid, &attached) == 7 && its == id)
			out("key %d mode %o size %lu by me %d %d attached %d\n", key, perms, size, cpid == getpid(), lpid == getpid(), attached);
	}
	shmdt(at);
	shmctl(id, IPC_RMID, NULL);

	/* Settings: what is there, and what some say. */
	static const char *const settings[] = { "fs/aio-max-nr", "fs/dentry-state", "fs/epoll/max_user_watches", "fs/file-nr", "fs/inode-nr", "fs/inotify/max_queued_events", "fs/lease-break-time", "fs/leases-enable", "fs/mount-max", "fs/pipe-max-size", "fs/protected_hardlinks", "kernel/arch", "kernel/auto_msgmni", "kernel/cap_last_cap", "kernel/core_pattern", "kernel/dmesg_restrict", "kernel/hostname", "kernel/msgmax", "kernel/ngroups_max", "kernel/ns_last_pid", "kernel/osrelease", "kernel/panic", "kernel/perf_event_paranoid", "kernel/pid_max", "kernel/print-fatal-signals", "kernel/printk", "kernel/pty/max", "kernel/random/boot_id", "kernel/randomize_va_space", "kernel/sem", "kernel/shm_rmid_forced", "kernel/tainted", "kernel/threads-max", "user/max_inotify_watches", "user/max_user_namespaces", "vm/admin_reserve_kbytes", "vm/dirty_ratio", "vm/drop_caches", "vm/max_map_count", "vm/min_free_kbytes", "vm/overcommit_memory", "vm/stat_interval", "vm/swappiness", "vm/nothing" };
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		char path[100];
		snprintf(path, sizeof path, "/proc/sys/%s", settings[i]);
		out("%s: %s\n", settings[i], access(path, F_OK) ? errname(errno) : "there");
	}
	line_of("/proc/sys/kernel/arch");
	line_of("/proc/sys/fs/leases-enable");
	mode_of("/proc/sys/vm/swappiness");
	mode_of("/proc/sys/vm/drop_caches");
	mode_of("/proc/sys/kernel/ns_last_pid");
	mode_of("/proc/sys/kernel/osrelease");
	if (geteuid() != 0) {
		T(open("/proc/sys/vm/swappiness", O_WRONLY));
		T(open("/proc/sys/vm/drop_caches", O_WRONLY));
	} else if (unshare(CLONE_NEWPID) == 0) {
		pid = fork();
		if (pid == 0) {
			fd = MUST(open("/proc/sys/kernel/ns_last_pid", O_RDWR));
			T(pwrite(fd, "x", 1, 0));
			T(pwrite(fd, "-7", 2, 0));
			T(pwrite(fd, "5000", 4, 0));
			pid = fork();
			if (pid == 0)
				_exit(0);
			V(pid);
			waitpid(pid, NULL, 0);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}

	/* sysfs: processors and the loopback interface. */
	struct statfs fs;
	T(statfs("/sys", &fs));
	out("%lx\n", (long)fs.f_type);
	slurp("/sys/devices/system/cpu/online");
	CHECK(text[0] == '0');
	static const char *const topology[] = { "core_cpus", "core_cpus_list", "core_id", "core_siblings", "die_id", "package_cpus", "physical_package_id", "thread_siblings_list" };
	for (size_t i = 0; i < sizeof topology / sizeof *topology; i++) {
		char path[100];
		snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/topology/%s", topology[i]);
		CHECK(slurp(path) > 0);
	}
	int caches = 0, whole = 0;
	for (;; caches++) {
		static const char *const parts[] = { "coherency_line_size", "level", "number_of_sets", "shared_cpu_list", "shared_cpu_map", "size", "type", "ways_of_associativity" };
		char path[100];
		snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d", caches);
		if (access(path, F_OK))
			break;
		for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
			snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", caches, parts[i]);
			whole += slurp(path) > 0;
		}
	}
	CHECK(whole == 8 * caches);
	line_of("/sys/class/net/lo/mtu");
	line_of("/sys/class/net/lo/address");
	line_of("/sys/class/net/lo/type");
	T(slurp("/sys/class/net/lo/speed"));
	mode_of("/sys/class/net/lo/mtu/x");
	for (const char *const *dir = (const char *const[]){ "block", "bus", "class", "class/net", "dev/block", "dev/char", "devices/system/node/node0", "fs/cgroup", "kernel/mm/transparent_hugepage", "module", NULL }; *dir; dir++) {
		char path[100];
		snprintf(path, sizeof path, "/sys/%s", *dir);
		DIR *opened = opendir(path);
		out("%s: %s\n", *dir, opened ? "a directory" : errname(errno));
		if (opened)
			closedir(opened);
	}
	line_of("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
	unscratch();
	return 0;
}

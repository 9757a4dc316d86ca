/* What programs read in /proc. bevor-test: user=both */
#include "t.h"
#include <dirent.h>
#include <sys/prctl.h>

static char text[200000];

static ssize_t slurp(const char *path)
{
	int fd = open(path, O_RDONLY);
	if (fd < 0) {
		text[0] = 0;
		return -1;
	}
	ssize_t len = 0, got;
	while ((got = read(fd, text + len, sizeof text - 1 - len)) > 0)
		len += got;
	text[len] = 0;
	close(fd);
	return len;
}

static void names(const char *path, const char *wanted)
{
	char list[2000], line[100], *save;
	slurp(path);
	strcpy(list, wanted);
	for (char *name = strtok_r(list, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		snprintf(line, sizeof line, "%s:", name);
		if (strncmp(text, line, strlen(line))) {
			snprintf(line, sizeof line, "\n%s:", name);
			if (!strstr(text, line))
				out("%s lacks %s\n", path, name);
		}
	}
}

static void field(const char *path, const char *name)
{
	slurp(path);
	char *save;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
			out("%s\n", line);
}

static void has(const char *path, const char *word)
{
	slurp(path);
	out("%s has %s: %s\n", path, word, strstr(text, word) ? "yes" : "no");
}

static void link_of(const char *path)
{
	char target[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof target - 1);
	if (len < 0) {
		out("%s: %s\n", path, errname(errno));
		return;
	}
	target[len] = 0;
	out("%s -> %s\n", path, target);
}

int main(int argc, char **argv)
{
	scratch();
	char cwd[PATH_MAX], exe[PATH_MAX], path[64];
	getcwd(cwd, sizeof cwd);
	/* maps: every line has the right shape, and the usual regions are there. */
	FILE *file = fopen("/proc/self/maps", "r");
	char line[1000];
	int lines = 0, wrong = 0, stack = 0, heap = 0, vdso = 0, own = 0;
	unsigned long last = 0;
	ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
	exe[len] = 0;
	free(malloc(100000));
	while (fgets(line, sizeof line, file)) {
		unsigned long start, end, offset, inode;
		unsigned major, minor;
		char perms[5], name[500] = "";
		int got = sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %499s", &start, &end, perms, &offset, &major, &minor, &inode, name);
		lines++;
		wrong += got < 7 || start >= end || start < last || start % 4096 || end % 4096 || strlen(perms) != 4;
		last = end;
		stack += !strcmp(name, "[stack]") && start <= (unsigned long)line && end > (unsigned long)line;
		heap += !strcmp(name, "[heap]");
		vdso += !strcmp(name, "[vdso]");
		own += !strcmp(name, exe) && inode > 0;
	}
	fclose(file);
	CHECK(lines > 8);
	V(wrong);
	V(stack);
	V(heap);
	V(vdso);
	CHECK(own >= 3);
	/* A fresh mapping shows with the right protection. */
	char *fresh = mmap(NULL, 3 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(fresh + 4096, 4096, PROT_NONE);
	snprintf(line, sizeof line, "%lx-%lx ---p 00000000 00:00 0", (long)fresh + 4096, (long)fresh + 8192);
	slurp("/proc/self/maps");
	CHECK(strstr(text, line));
	int fd = make_file("mapped", "x");
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	slurp("/proc/self/maps");
	snprintf(line, sizeof line, "%lx-%lx rw-s", (long)map, (long)map + 4096);
	char *found = strstr(text, line);
	CHECK(found && strstr(found, "/mapped"));
	slurp("/proc/self/smaps");
	CHECK(strstr(text, "Rss:") && strstr(text, "Pss:") && strstr(text, "Private_Dirty:") && strstr(text, "VmFlags:"));
	has("/proc/self/smaps_rollup", "[rollup]");

	/* status, stat, statm. */
	names("/proc/self/status", "Name Umask State Tgid Ngid Pid PPid TracerPid Uid Gid FDSize Groups VmPeak VmSize VmLck VmPin VmHWM VmRSS RssAnon RssFile RssShmem VmData VmStk VmExe VmLib VmPTE VmSwap Threads SigQ SigPnd ShdPnd SigBlk SigIgn SigCgt CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Cpus_allowed Cpus_allowed_list Mems_allowed Mems_allowed_list voluntary_ctxt_switches nonvoluntary_ctxt_switches");
	prctl(PR_SET_NAME, "new name");
	field("/proc/self/status", "Name");
	field("/proc/self/status", "State");
	field("/proc/self/status", "Threads");
	field("/proc/self/status", "Uid");
	field("/proc/self/status", "Gid");
	field("/proc/self/status", "TracerPid");
	field("/proc/self/status", "NoNewPrivs");
	field("/proc/self/status", "Umask");
	slurp("/proc/self/stat");
	CHECK(atoi(text) == getpid());
	char *rest = strrchr(text, ')');
	CHECK(rest && strstr(text, "(new name)"));
	int count = 2, ppid, pgrp, sid;
	for (char *at = rest + 1; *at; at++)
		count += *at == ' ';
	V(count);
	sscanf(rest + 2, "R %d %d %d", &ppid, &pgrp, &sid);
	CHECK(ppid == getppid() && pgrp == getpgrp() && sid == getsid(0));
	long size, resident;
	slurp("/proc/self/statm");
	sscanf(text, "%ld %ld", &size, &resident);
	CHECK(size > 100 && resident > 10 && size >= resident);
	slurp("/proc/self/comm");
	out("comm %s", text);
	fd = open("/proc/self/comm", O_WRONLY);
	T(write(fd, "written", 7));
	slurp("/proc/self/comm");
	out("comm %s", text);
	len = slurp("/proc/self/cmdline");
	CHECK(len == (long)strlen(argv[0]) + 1 && !strcmp(text, argv[0]));
	slurp("/proc/self/environ");
	CHECK(strstr(text, "PATH=") || memmem(text, 5000, "PATH=", 5));
	/* Links. */
	CHECK(strcmp(exe, argv[0]) == 0);
	snprintf(line, sizeof line, "%s", cwd);
	len = readlink("/proc/self/cwd", path, sizeof path - 1);
	path[len] = 0;
	CHECK(!strcmp(path, cwd));
	link_of("/proc/self/root");
	link_of("/proc/mounts");
	len = readlink("/proc/self", path, sizeof path - 1);
	path[len] = 0;
	CHECK(atoi(path) == getpid());
	len = readlink("/proc/thread-self", path, sizeof path - 1);
	path[len] = 0;
	CHECK(strstr(path, "/task/"));
	/* Descriptors. */
	int p[2];
	pipe(p);
	snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
	len = readlink(path, line, sizeof line - 1);
	CHECK(len > 6 && !memcmp(line, "pipe:[", 6));
	struct stat st;
	lstat(path, &st);
	out("fd mode %o\n", st.st_mode);
	snprintf(path, sizeof path, "/proc/self/fd/%d", p[1]);
	lstat(path, &st);
	out("fd mode %o\n", st.st_mode);
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", p[1]);
	slurp(path);
	CHECK(strstr(text, "pos:\t0") && strstr(text, "flags:\t01") && strstr(text, "mnt_id:"));
	DIR *dir = opendir("/proc/self/fd");
	int entries = 0, bad = 0;
	for (struct dirent *e; (e = readdir(dir));)
		if (e->d_name[0] != '.') {
			entries++;
			bad += fcntl(atoi(e->d_name), F_GETFD) < 0;
		}
	closedir(dir);
	CHECK(entries >= 5);
	V(bad);
	T(open("/proc/self/fd/999", O_RDONLY));
	T(open("/proc/999999/stat", O_RDONLY));
	T(open("/proc/nothing", O_RDONLY));
	T(mkdir("/proc/x", 0700));
	T(open("/proc/self/x", O_CREAT | O_RDWR, 0600));
	/* Tasks. */
	dir = opendir("/proc/self/task");
	entries = 0;
	for (struct dirent *e; (e = readdir(dir));)
		entries += e->d_name[0] != '.';
	closedir(dir);
	V(entries);
	/* Processes are listed. */
	dir = opendir("/proc");
	int me = 0, digits = 0;
	for (struct dirent *e; (e = readdir(dir));) {
		me += atoi(e->d_name) == getpid();
		digits += e->d_name[0] >= '1' && e->d_name[0] <= '9';
	}
	closedir(dir);
	V(me);
	CHECK(digits >= 1);
	/* A zombie, a stopped one, another user's. */
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	wait_state(pid, pid, 'Z');
	snprintf(path, sizeof path, "/proc/%d/status", pid);
	field(path, "State");
	snprintf(path, sizeof path, "/proc/%d/exe", pid);
	T(readlink(path, line, sizeof line));
	waitpid(pid, NULL, 0);
	T(access(path, F_OK));
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	kill(pid, SIGSTOP);
	waitpid(pid, NULL, WUNTRACED);
	snprintf(path, sizeof path, "/proc/%d/status", pid);
	field(path, "State");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* limits, mounts, io, system-wide files. */
	slurp("/proc/self/limits");
	out("%.78s\n", text);
	slurp("/proc/self/mountinfo");
	CHECK(strstr(text, " / ") && strstr(text, " - proc "));
	slurp("/proc/self/mounts");
	CHECK(strstr(text, " /proc proc "));
	CHECK(strstr(text, " /dev/shm tmpfs "));
	has("/proc/filesystems", "tmpfs");
	names("/proc/meminfo", "MemTotal MemFree MemAvailable Buffers Cached SwapCached Active Inactive SwapTotal SwapFree Dirty Shmem Slab Mapped AnonPages CommitLimit Committed_AS VmallocTotal HugePages_Total Hugepagesize");
	slurp("/proc/meminfo");
	CHECK(strncmp(text, "MemTotal:", 9) == 0);
	slurp("/proc/cpuinfo");
	int processors = 0;
	for (char *at = text; (at = strstr(at, "processor\t:")); at++)
		processors++;
	CHECK(processors == sysconf(_SC_NPROCESSORS_CONF));
	has("/proc/cpuinfo", "flags\t\t:");
	slurp("/proc/stat");
	CHECK(!strncmp(text, "cpu  ", 5) && strstr(text, "btime ") && strstr(text, "ctxt "));
	slurp("/proc/uptime");
	CHECK(atof(text) > 0);
	slurp("/proc/loadavg");
	double l;
	int r;
	CHECK(sscanf(text, "%lf %lf %lf %d/", &l, &l, &l, &r) == 4);
	has("/proc/version", "Linux version");
	slurp("/proc/sys/kernel/pid_max");
	CHECK(atoi(text) > 1000);
	slurp("/proc/sys/kernel/random/uuid");
	V(strlen(text));
	slurp("/proc/sys/kernel/random/boot_id");
	V(strlen(text));
	slurp("/proc/sys/kernel/ostype");
	out("%s", text);
	slurp("/proc/sys/kernel/hostname");
	gethostname(line, sizeof line);
	CHECK(!strncmp(text, line, strlen(line)));
	slurp("/proc/sys/fs/pipe-max-size");
	out("%s", text);
	slurp("/proc/sys/vm/overcommit_memory");
	CHECK(text[0] >= '0' && text[0] <= '2');
	CHECK(slurp("/proc/sys/kernel/cap_last_cap") > 0);
	CHECK(slurp("/proc/sys/vm/max_map_count") > 0);
	CHECK(slurp("/proc/sys/fs/file-max") > 0);
	CHECK(slurp("/proc/self/oom_score_adj") > 0);
	CHECK(slurp("/proc/self/cgroup") >= 0);
	CHECK(slurp("/proc/self/auxv") % 16 == 0);
	CHECK(slurp("/proc/self/wchan") >= 0);
	CHECK(slurp("/proc/self/io") > 0);
	CHECK(slurp("/proc/self/personality") > 0);
	CHECK(slurp("/proc/self/uid_map") > 0);
	CHECK(access("/proc/self/ns/pid", F_OK) == 0);
	CHECK(slurp("/proc/net/dev") > 0);
	CHECK(slurp("/proc/net/tcp") > 0);
	CHECK(slurp("/proc/net/unix") > 0);
	/* Small reads get the whole. */
	slurp("/proc/self/status");
	size_t whole = strlen(text);
	fd = open("/proc/self/status", O_RDONLY);
	size_t sum = 0;
	char one[7];
	while ((len = read(fd, one, 7)) > 0)
		sum += len;
	CHECK(sum + 100 > whole && whole + 100 > sum);
	T(lseek(fd, 3, SEEK_SET));
	T(read(fd, one, 2));
	out("%.2s\n", one);
	/* Memory through /proc/self/mem. */
	static char target[] = "before";
	fd = open("/proc/self/mem", O_RDWR);
	T(pwrite(fd, "after!", 6, (off_t)(long)target));
	out("%s\n", target);
	T(pread(fd, one, 2, 16));
	unscratch();
	return 0;
}

/* What one process does in one step: a line of words becomes one system call and a line of results. */
#include <dirent.h>
#include <linux/openat2.h>
#include <setjmp.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>
#include "symbols.h"

enum { SLOTS = 6, MAPS = 3, WORKERS = 3, ANSWER = 16000 };

/* The folder of this sequence; what is printed is relative to it. */
static char base[PATH_MAX];
/* The folder of all sequences. */
static char top[PATH_MAX];
static int slots[SLOTS] = { -1, -1, -1, -1, -1, -1 };
static struct { char *at; size_t len; int shared; } maps[MAPS];
static int inotify = -1;
/* What a process and the coordinator both see. */
struct shared { int started, done, later; pid_t pid; };
static struct shared *shared[WORKERS];
/* Of the process itself. */
static struct shared *own;
/* What a step replaced while some process waits: closed on order, lest it come at the same time as what that does. */
static int replaced = -1;
/* Whether somebody wrote through a shared mapping. */
static int *stored;
/* Whether somebody wrote through a private mapping. */
static int *copied;
static char buf[1 << 20];

static char answer[ANSWER];
static size_t answer_len;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	va_list args;
	int saved = errno;
	va_start(args, format);
	int len = vsnprintf(answer + answer_len, sizeof answer - answer_len, format, args);
	va_end(args);
	answer_len += len;
	if (answer_len > sizeof answer - 1)
		answer_len = sizeof answer - 1;
	errno = saved;
}

static long show(long result)
{
	if (result == -1)
		say("%s", errname(errno));
	else
		say("%ld", result);
	return result;
}

static int is_dir(int fd);

/* The result of a read. At the end of some file systems' directories no position is left to read to. */
static long read_of(int fd, long result)
{
	if (result == -1 && errno == EINVAL && is_dir(fd))
		errno = EISDIR;
	return result;
}

/* A long result that differs from run to run: only whether it worked. */
static long fine(long result)
{
	if (result == -1)
		say("%s", errname(errno));
	else
		say("ok");
	return result;
}

/* Bytes as runs of equal ones, and a sum over all. */
static void show_bytes(const char *bytes, size_t len)
{
	unsigned long total = 7;
	int runs = 0;
	for (size_t at = 0; at < len;) {
		size_t end = at;
		while (end < len && bytes[end] == bytes[at])
			total = total * 31 + (unsigned char)bytes[end++];
		if (runs++ < 6)
			say(" %02x*%zu", (unsigned char)bytes[at], end - at);
		at = end;
	}
	if (runs > 6)
		say(" %d runs %lx", runs, total);
}

struct at { int fd; const char *path; };

/* `@3:a/b` is a/b below slot 3, `''` the empty path, `x*255` a long name. */
static struct at at(const char *word)
{
	static char long_names[2][5000];
	static int next;
	struct at place = { AT_FDCWD, word };
	if (word[0] == '@') {
		place.fd = slots[(word[1] - '0') % SLOTS];
		place.path = word + 3;
	}
	if (!strcmp(place.path, "''"))
		place.path = "";
	const char *star = strchr(place.path, '*');
	if (star) {
		char *name = long_names[next++ % 2];
		size_t len = strtoul(star + 1, NULL, 10) % 4999, head = star - place.path;
		memset(name, 'x', len);
		memcpy(name, place.path, head < len ? head : len);
		name[len] = 0;
		place.path = name;
	}
	return place;
}

/* A nameless file is called after its number. */
static const char *or_nameless(const char *name)
{
	return name[0] == '#' && strspn(name + 1, "0123456789") ? "#NUMBER" : name;
}

static void show_path(const char *path)
{
	const char *nameless = strstr(path, "/#");
	size_t len = strlen(base);
	if (nameless && strspn(nameless + 2, "0123456789"))
		say(" nameless");
	else if (!strncmp(path, base, len))
		say(" BASE%s", path + len);
	else if (!strncmp(path, top, strlen(top)))
		say(" TOP%s", path + strlen(top));
	else if (!strncmp(path, "pipe:[", 6))
		say(" pipe:[INODE]");
	else
		say(" %s", path);
}

static void show_time(struct timespec time)
{
	/* When such a write moves the time of modification is left open by POSIX. */
	if (*stored)
		say(" m=?");
	else if (time.tv_sec < 1000000000)
		say(" m=%ld.%09ld", (long)time.tv_sec, time.tv_nsec);
	else
		say(" m=now");
}

static void show_stat(const struct stat *st)
{
	say(" %o links=%ld %d:%d", st->st_mode, (long)st->st_nlink, st->st_uid, st->st_gid);
	if (!S_ISDIR(st->st_mode))
		say(" size=%ld rdev=%lx", (long)st->st_size, (long)st->st_rdev);
	show_time(st->st_mtim);
}

static int by_name(const void *left, const void *right)
{
	return strcmp(*(char **)left, *(char **)right);
}

/* Lists an open directory, sorted, and checks the inode numbers it names. */
static void show_entries(int fd)
{
	struct entry { unsigned long ino; long off; unsigned short len; unsigned char type; char name[]; } *entry;
	static char *lines[2000];
	int count = 0;
	long len;
	lseek(fd, 0, SEEK_SET);
	while ((len = syscall(SYS_getdents64, fd, buf, 65536)) > 0)
		for (long pos = 0; pos < len; pos += entry->len) {
			struct stat st;
			entry = (void *)(buf + pos);
			int dots = !strcmp(entry->name, "..") || !strcmp(entry->name, ".");
			int known = !dots && fstatat(fd, entry->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
			if (count < 2000)
				asprintf(&lines[count++], "%s:%d%s", entry->name, entry->type,
					 known && st.st_ino != entry->ino ? "(ino?)" : "");
		}
	show(len);
	qsort(lines, count, sizeof *lines, by_name);
	for (int i = 0; i < count; i++) {
		say(" %.40s", lines[i]);
		free(lines[i]);
	}
}

static void show_xattr_list(const char *list, ssize_t len)
{
	static char *found[200];
	int count = 0;
	for (const char *name = list; name < list + len && count < 200; name += strlen(name) + 1)
		if (!strncmp(name, "user.", 5) || !strncmp(name, "trusted.", 8) || !strncmp(name, "system.", 7))
			found[count++] = (char *)name;
	qsort(found, count, sizeof *found, by_name);
	for (int i = 0; i < count; i++)
		say(" %.40s", found[i]);
}

static void show_events(void)
{
	static unsigned cookies[64];
	static int known;
	char *text = buf;
	ssize_t len = read(inotify, buf, 65536);
	if (len < 0) {
		show(len);
		return;
	}
	while (text < buf + len) {
		struct inotify_event *event = (void *)text;
		int cookie = 0;
		if (event->cookie) {
			while (cookie < known && cookies[cookie] != event->cookie)
				cookie++;
			if (cookie == known && known < 64)
				cookies[known++] = event->cookie;
			cookie++;
		}
		say(" [%d %x %d %s]", event->wd, event->mask, cookie, event->len ? or_nameless(event->name) : "");
		text += sizeof *event + event->len;
	}
}

static sigjmp_buf fault;
static void on_fault(int signal) { siglongjmp(fault, signal); }

static void touch_map(char **w, int store)
{
	int map = number(w[1]) % MAPS;
	size_t from = number(w[2]), len = number(w[3]);
	if (!maps[map].at || from + len > maps[map].len) {
		say("no such place");
		return;
	}
	int signal = sigsetjmp(fault, 1);
	if (signal) {
		say("SIG%s", sigabbrev_np(signal));
		return;
	}
	if (store) {
		memset(maps[map].at + from, w[4][0], len);
		*(maps[map].shared ? stored : copied) = 1;
	} else
		memcpy(buf, maps[map].at + from, len);
	say("ok");
	if (!store)
		show_bytes(buf, len);
}

static void lock(int fd, char **w)
{
	struct flock range = { .l_type = number(w[3]), .l_whence = number(w[4]), .l_start = number(w[5]), .l_len = number(w[6]) };
	int command = number(w[2]);
	long result = show(fcntl(fd, command, &range));
	if (result == 0 && (command == F_GETLK || command == F_OFD_GETLK)) {
		say(" type=%d", range.l_type);
		if (range.l_type != F_UNLCK) {
			int owner = 0;
			while (owner < WORKERS && shared[owner]->pid != range.l_pid)
				owner++;
			say(" %d+%ld,%ld by %d", range.l_whence, (long)range.l_start, (long)range.l_len,
			    owner == WORKERS ? range.l_pid : owner);
		}
	}
}

static int is_dir(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static void opened(int slot, int fd)
{
	/* What could not be opened leaves the slot as it is. */
	if (fine(fd) < 0)
		return;
	if (slots[slot] >= 0) {
		if (replaced < 0 && __atomic_load_n(&own->later, __ATOMIC_SEQ_CST))
			replaced = slots[slot];
		else
			close(slots[slot]);
	}
	slots[slot] = fd;
}

static off_t *offset(const char *word, off_t *place)
{
	if (!strcmp(word, "."))
		return NULL;
	*place = number(word);
	return place;
}

/* Runs one step; w[0] is its name, and what is missing is NULL. */
static void operate(char **w)
{
	const char *op = w[0];
	int slot = w[1] && w[1][0] >= '0' && w[1][0] <= '9' ? number(w[1]) % SLOTS : 0, fd = slots[slot];
	struct at a = { 0, "" }, b = { 0, "" };
	struct stat st;
	char path[PATH_MAX + 1];
	ssize_t len;
	off_t from, to;
#define IS(name) (!strcmp(op, name))
	if (w[1])
		a = at(w[1]);
	if (w[1] && w[2])
		b = at(w[2]);
	if (IS("open")) {
		opened(slot, openat(b.fd, b.path, number(w[3]), number(w[4])));
	} else if (IS("openat2")) {
		struct open_how how = { number(w[3]), number(w[3]) & (O_CREAT | 020000000) ? number(w[4]) : 0, number(w[5]) };
		opened(slot, syscall(SYS_openat2, b.fd, b.path, &how, sizeof how));
	} else if (IS("reopen")) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", slots[number(w[2]) % SLOTS]);
		opened(slot, open(path, number(w[3])));
	} else if (IS("close")) {
		slots[slot] = -1;
		show(close(fd));
	} else if (IS("dup")) {
		opened(slot, dup(slots[number(w[2]) % SLOTS]));
	} else if (IS("pipe")) {
		int ends[2];
		long made = pipe2(ends, O_NONBLOCK);
		opened(slot, made ? -1 : ends[0]);
		opened(number(w[2]) % SLOTS, made ? -1 : ends[1]);
	} else if (IS("mkdir")) {
		show(mkdirat(a.fd, a.path, number(w[2])));
	} else if (IS("unlink")) {
		show(unlinkat(a.fd, a.path, number(w[2])));
	} else if (IS("mknod")) {
		show(mknodat(a.fd, a.path, number(w[2]), 0));
	} else if (IS("link")) {
		show(linkat(a.fd, a.path, b.fd, b.path, number(w[3])));
	} else if (IS("linkfd")) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		show(linkat(AT_FDCWD, path, b.fd, b.path, AT_SYMLINK_FOLLOW));
	} else if (IS("symlink")) {
		show(symlinkat(w[1], b.fd, b.path));
	} else if (IS("rename")) {
		show(renameat2(a.fd, a.path, b.fd, b.path, number(w[3])));
	} else if (IS("readlink")) {
		len = show(readlinkat(a.fd, a.path, path, number(w[2])));
		if (len > 0)
			say(" %.*s", (int)len, path);
	} else if (IS("procfd")) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		len = readlink(path, path, sizeof path - 1);
		fine(len);
		path[len < 0 ? 0 : len] = 0;
		show_path(path);
	} else if (IS("stat")) {
		if (show(fstatat(a.fd, a.path, &st, number(w[2]))) == 0)
			show_stat(&st);
	} else if (IS("fstat")) {
		if (show(fstat(fd, &st)) == 0)
			show_stat(&st);
	} else if (IS("statx")) {
		struct statx sx;
		if (show(statx(a.fd, a.path, number(w[2]), STATX_BASIC_STATS, &sx)) == 0)
			say(" %x %o links=%u %u:%u", sx.stx_mask & STATX_BASIC_STATS, sx.stx_mode, sx.stx_nlink, sx.stx_uid, sx.stx_gid);
	} else if (IS("same")) {
		struct stat other;
		if (show(fstatat(a.fd, a.path, &st, AT_SYMLINK_NOFOLLOW)) == 0 && show(fstatat(b.fd, b.path, &other, AT_SYMLINK_NOFOLLOW)) == 0)
			say(" %d", st.st_ino == other.st_ino && st.st_dev == other.st_dev);
	} else if (IS("chmod")) {
		show(fchmodat(a.fd, a.path, number(w[2]), 0));
	} else if (IS("fchmod")) {
		show(fchmod(fd, number(w[2])));
	} else if (IS("chown")) {
		show(fchownat(a.fd, a.path, number(w[2]), number(w[3]), number(w[4])));
	} else if (IS("fchown")) {
		show(fchown(fd, number(w[2]), number(w[3])));
	} else if (IS("utimens")) {
		struct timespec times[2] = { { number(w[2]), 987654321 }, { number(w[3]), 123456789 } };
		for (int i = 0; i < 2; i++)
			if (times[i].tv_sec < 0)
				times[i].tv_nsec = times[i].tv_sec == -1 ? UTIME_NOW : UTIME_OMIT;
		show(utimensat(a.fd, a.path, times, number(w[4])));
	} else if (IS("access")) {
		show(syscall(SYS_faccessat2, a.fd, a.path, number(w[2]), number(w[3])));
	} else if (IS("truncate")) {
		if (a.fd == AT_FDCWD)
			show(truncate(a.path, number(w[2])));
	} else if (IS("ftruncate")) {
		show(ftruncate(fd, number(w[2])));
	} else if (IS("fallocate")) {
		show(fallocate(fd, number(w[2]), number(w[3]), number(w[4])));
	} else if (IS("write")) {
		memset(buf, w[3][0], number(w[2]));
		show(write(fd, buf, number(w[2])));
	} else if (IS("pwrite")) {
		memset(buf, w[4][0], number(w[3]));
		show(pwrite(fd, buf, number(w[3]), number(w[2])));
	} else if (IS("pwritev2")) {
		struct iovec parts[2] = { { buf, number(w[3]) }, { buf + 5000, 10 } };
		memset(buf, w[4][0], 5010);
		show(pwritev2(fd, parts, 2, number(w[2]), number(w[5])));
	} else if (IS("writev")) {
		struct iovec parts[3] = { { buf, number(w[2]) }, { buf, 0 }, { buf + 100, 7 } };
		memset(buf, w[3][0], sizeof buf / 4);
		show(writev(fd, parts, 3));
	} else if (IS("read") || IS("pread")) {
		len = show(IS("read") ? read_of(fd, read(fd, buf, number(w[2]))) : pread(fd, buf, number(w[3]), number(w[2])));
		show_bytes(buf, len > 0 ? len : 0);
	} else if (IS("readv")) {
		struct iovec parts[3] = { { buf, number(w[2]) }, { buf + 70000, 0 }, { buf + number(w[2]), 4096 } };
		len = show(read_of(fd, readv(fd, parts, 3)));
		show_bytes(buf, len > 0 ? len : 0);
	} else if (IS("lseek")) {
		if (is_dir(fd))
			say("a directory");
		/* Linux's tmpfs fills a hole that is stored to through a private mapping, too. */
		else if (*copied && (number(w[3]) == SEEK_DATA || number(w[3]) == SEEK_HOLE))
			say("holes?");
		else
			show(lseek(fd, number(w[2]), number(w[3])));
	} else if (IS("fsync")) {
		show(fsync(fd));
	} else if (IS("fdatasync")) {
		show(fdatasync(fd));
	} else if (IS("fadvise")) {
		int error = posix_fadvise(fd, 0, number(w[2]), number(w[3]));
		say("%s", errname(error));
	} else if (IS("fionread")) {
		int left = -1;
		if (is_dir(fd))
			say("a directory");
		else if (show(ioctl(fd, FIONREAD, &left)) == 0)
			say(" %d", left);
	} else if (IS("flock")) {
		show(flock(fd, number(w[2])));
	} else if (IS("lock")) {
		lock(fd, w);
	} else if (IS("getfl")) {
		long flags = fcntl(fd, F_GETFL);
		say(flags == -1 ? "%s" : "ok", errname(errno));
		if (flags != -1)
			say(" %lo", flags);
	} else if (IS("setfl")) {
		show(fcntl(fd, F_SETFL, number(w[2])));
	} else if (IS("setxattr") || IS("fsetxattr")) {
		size_t size = number(w[3]);
		memset(buf, w[4][0], size);
		if (IS("fsetxattr"))
			show(fsetxattr(fd, w[2], buf, size, number(w[5])));
		else if (a.fd == AT_FDCWD)
			show((number(w[6]) ? lsetxattr : setxattr)(a.path, w[2], buf, size, number(w[5])));
	} else if (IS("getxattr") || IS("fgetxattr")) {
		if (IS("fgetxattr"))
			len = show(fgetxattr(fd, w[2], buf, number(w[3])));
		else
			len = a.fd == AT_FDCWD ? show((number(w[4]) ? lgetxattr : getxattr)(a.path, w[2], buf, number(w[3]))) : 0;
		if (len > 0 && number(w[3]))
			show_bytes(buf, len);
	} else if (IS("listxattr")) {
		if (a.fd == AT_FDCWD) {
			len = llistxattr(a.path, buf, number(w[2]));
			fine(len);
			if (number(w[2]))
				show_xattr_list(buf, len);
		}
	} else if (IS("removexattr")) {
		if (a.fd == AT_FDCWD)
			show((number(w[3]) ? lremovexattr : removexattr)(a.path, w[2]));
	} else if (IS("list")) {
		int dir = openat(a.fd, a.path, O_RDONLY | O_DIRECTORY);
		if (dir < 0) {
			show(dir);
		} else {
			show_entries(dir);
			close(dir);
		}
	} else if (IS("listfd")) {
		show_entries(fd);
	} else if (IS("chdir")) {
		if (a.fd == AT_FDCWD)
			show(chdir(a.path));
	} else if (IS("fchdir")) {
		show(fchdir(fd));
	} else if (IS("getcwd")) {
		if (fine(getcwd(path, sizeof path) ? 0 : -1) == 0)
			show_path(path);
	} else if (IS("watch")) {
		if (inotify < 0)
			inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		if (a.fd == AT_FDCWD)
			show(inotify_add_watch(inotify, a.path, number(w[2])));
	} else if (IS("unwatch")) {
		show(inotify_rm_watch(inotify, number(w[1])));
	} else if (IS("events")) {
		show_events();
	} else if (IS("copy")) {
		off_t *in = offset(w[2], &from), *dest = offset(w[4], &to);
		show(copy_file_range(fd, in, slots[number(w[3]) % SLOTS], dest, number(w[5]), 0));
	} else if (IS("sendfile")) {
		off_t *in = offset(w[3], &from);
		show(sendfile(fd, slots[number(w[2]) % SLOTS], in, number(w[4])));
		if (in)
			say(" at %ld", (long)from);
	} else if (IS("splice")) {
		off_t *in = offset(w[2], &from), *dest = offset(w[4], &to);
		show(splice(fd, in, slots[number(w[3]) % SLOTS], dest, number(w[5]), SPLICE_F_NONBLOCK));
	} else if (IS("map")) {
		int map = number(w[1]) % MAPS;
		if (maps[map].at)
			munmap(maps[map].at, maps[map].len);
		maps[map].len = number(w[4]);
		maps[map].at = mmap(NULL, maps[map].len, number(w[5]), number(w[6]), slots[number(w[2]) % SLOTS], number(w[3]));
		maps[map].shared = number(w[6]) == MAP_SHARED;
		if (fine(maps[map].at == MAP_FAILED ? -1 : 0) < 0)
			maps[map].at = NULL;
	} else if (IS("unmap")) {
		int map = number(w[1]) % MAPS;
		show(maps[map].at ? munmap(maps[map].at, maps[map].len) : 0);
		maps[map].at = NULL;
	} else if (IS("mprotect")) {
		int map = number(w[1]) % MAPS;
		show(maps[map].at ? mprotect(maps[map].at, maps[map].len, number(w[2])) : 0);
	} else if (IS("load")) {
		touch_map(w, 0);
	} else if (IS("store")) {
		touch_map(w, 1);
	} else if (IS("msync")) {
		int map = number(w[1]) % MAPS;
		show(maps[map].at ? msync(maps[map].at, maps[map].len, number(w[2])) : 0);
	} else if (IS("seteuid")) {
		show(setegid(number(w[1])) | seteuid(number(w[1])));
	} else if (IS("umask")) {
		show(umask(number(w[1])));
	} else {
		say("BAD step");
	}
}

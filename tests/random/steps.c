/* Executes sequences of file operations by several processes, stepped one at a time.
 *
 *   steps BASE prepare|run|both < sequences
 *
 * bevor-test: kernel=6.12
 *
 * A sequence begins with `== NAME`. `P operation…` prepares it; `N operation…` is a step of process N.
 * One process acts at a time, so that results are the same every time; a step that waits is seen to wait,
 * and its end is reported after the step that brought it about. At most one process waits: a second one
 * is interrupted. `N give SLOT OTHER SLOT` passes a descriptor on, `N signal OTHER` interrupts, `N exit` ends
 * a process. After the last step the whole tree is shown, and removed.
 */
#include "t.h"
#include "operations.h"
#include <ftw.h>
#include <poll.h>
#include <sys/socket.h>

static pid_t workers[WORKERS];
static int channels[WORKERS];
static int waiting = -1;
static char waiting_step[300];

/* Sends a message, with a descriptor unless it is -1. */
static void send_with(int channel, const void *bytes, size_t len, int fd)
{
	struct iovec part = { (void *)bytes, len };
	union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof fd)]; } control = {};
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
		struct cmsghdr *head = CMSG_FIRSTHDR(&message);
		*head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(head), &fd, sizeof fd);
	}
	if (sendmsg(channel, &message, 0) != (ssize_t)len)
		out("BAD channel: %s\n", errname(errno));
}

static ssize_t receive_with(int channel, char *bytes, size_t room, int *fd)
{
	struct iovec part = { bytes, room - 1 };
	union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof *fd)]; } control;
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	ssize_t len;
	do
		len = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
	while (len < 0 && errno == EINTR);
	bytes[len > 0 ? len : 0] = 0;
	*fd = -1;
	struct cmsghdr *head = len > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (head && head->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(head), sizeof *fd);
	return len;
}

static void split(char *line, char **words)
{
	char *rest;
	memset(words, 0, 12 * sizeof *words);
	for (int i = 0; i < 11 && (words[i] = strtok_r(i ? NULL : line, " \n", &rest)); i++)
		;
}

static void on_interrupt(int signal) {}

static void worker(int self)
{
	char line[400], *words[12];
	int got;
	own = shared[self];
	struct sigaction action = { .sa_handler = on_interrupt };
	sigaction(SIGUSR1, &action, NULL);
	action.sa_handler = on_fault;
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	while (receive_with(channels[self], line, sizeof line, &got) > 0) {
		int passed = -1;
		split(line, words);
		answer_len = 0;
		answer[0] = 0;
		__atomic_store_n(&shared[self]->started, 1, __ATOMIC_SEQ_CST);
		if (!strcmp(words[0], "exit"))
			_exit(0);
		if (!strcmp(words[0], "give")) {
			passed = slots[number(words[1]) % SLOTS];
			say(passed < 0 ? "EBADF" : "given");
		} else if (!strcmp(words[0], "take")) {
			opened(number(words[1]) % SLOTS, got);
		} else if (!strcmp(words[0], "drop")) {
			close(replaced);
			replaced = -1;
		} else {
			operate(words);
		}
		__atomic_store_n(&shared[self]->done, 1, __ATOMIC_SEQ_CST);
		if (answer_len == 0)
			say("-");
		send_with(channels[self], answer, answer_len, passed);
	}
	_exit(0);
}

static void start_workers(void)
{
	for (int i = 0; i < WORKERS; i++) {
		int pair[2];
		MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
		shared[i]->started = shared[i]->done = shared[i]->later = 0;
		workers[i] = MUST(fork());
		if (workers[i] == 0) {
			for (int other = 0; other < i; other++)
				close(channels[other]);
			close(pair[0]);
			channels[i] = pair[1];
			worker(i);
		}
		close(pair[1]);
		channels[i] = pair[0];
		shared[i]->pid = workers[i];
	}
}

static char state(int number)
{
	char path[64], text[512];
	snprintf(path, sizeof path, "/proc/%d/stat", workers[number]);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	close(fd);
	text[len > 0 ? len : 0] = 0;
	char *end = strrchr(text, ')');
	return end ? end[2] : '?';
}

/* Whether an operation of this name may wait for another process. */
static int may_wait(const char *line)
{
	static const char *names[] = { "open", "openat2", "reopen", "read", "readv", "write", "writev", "pwritev2", "lock",
				       "flock", "splice", "sendfile", "copy", "truncate", NULL };
	size_t len = strcspn(line, " \n");
	for (int i = 0; names[i]; i++)
		if (strlen(names[i]) == len && !strncmp(names[i], line, len))
			return 1;
	return 0;
}

/* Waits until a process has answered (1) or is seen to wait for another (0). */
static int settle(int number, int can_wait)
{
	int asleep = 0;
	for (int round = 0; round < 20000; round++) {
		struct pollfd ready = { channels[number], POLLIN };
		if (poll(&ready, 1, can_wait ? 1 : 1000) == 1)
			return 1;
		if (!can_wait) {
			if (round == 20)
				break;
			continue;
		}
		int resting = __atomic_load_n(&shared[number]->started, __ATOMIC_SEQ_CST) && state(number) == 'S' &&
			      !__atomic_load_n(&shared[number]->done, __ATOMIC_SEQ_CST);
		asleep = resting ? asleep + 1 : 0;
		if (asleep == 2)
			return 0;
	}
	out("HANG process %d in state %c\n", number, state(number));
	_exit(95);
}

/* Prints what a process answered. */
static void report(int number, const char *step, const char *how)
{
	int fd;
	ssize_t len = receive_with(channels[number], answer, sizeof answer, &fd);
	out("%d %s%s = %s\n", number, step, how, len > 0 ? answer : "ended");
	if (fd >= 0)
		close(fd);
}

static void order(int number, const char *step, int fd)
{
	shared[number]->started = shared[number]->done = 0;
	shared[number]->later = waiting >= 0;
	send_with(channels[number], step, strlen(step), fd);
}

/* Has a process close what its last step replaced. */
static void drop(int number)
{
	int fd;
	if (!shared[number]->later)
		return;
	order(number, "drop", -1);
	settle(number, 0);
	receive_with(channels[number], answer, sizeof answer, &fd);
	shared[number]->later = 0;
}

/* Looks whether the process that waits has come to an end. */
static void look_at_waiting(void)
{
	if (waiting >= 0 && settle(waiting, 1)) {
		report(waiting, waiting_step, " (after waiting)");
		drop(waiting);
		waiting = -1;
	}
}

static void give(int from, const char *step)
{
	char copy[300], take[40], *words[12];
	int fd;
	snprintf(copy, sizeof copy, "%s", step);
	split(copy, words);
	int to = number(words[2]) % WORKERS;
	if (workers[to] < 0 || to == waiting || to == from) {
		out("%d %s = nobody there\n", from, step);
		return;
	}
	order(from, step, -1);
	settle(from, 0);
	receive_with(channels[from], answer, sizeof answer, &fd);
	out("%d %s = %s\n", from, step, answer);
	if (fd < 0)
		return;
	snprintf(take, sizeof take, "take %s", words[3]);
	order(to, take, fd);
	close(fd);
	settle(to, 0);
	report(to, take, "");
	look_at_waiting();
	drop(to);
}

static void step_of(int number, const char *step)
{
	if (workers[number] < 0 || number == waiting) {
		out("%d %s: %s\n", number, step, number == waiting ? "busy" : "gone");
	} else if (!strncmp(step, "give ", 5)) {
		give(number, step);
	} else if (!strncmp(step, "signal ", 7)) {
		int whom = atoi(step + 7) % WORKERS;
		out("%d %s: %s\n", number, step, whom == waiting ? "sent" : "nobody waits");
		if (whom == waiting) {
			kill(workers[whom], SIGUSR1);
			settle(whom, 0);
		}
	} else if (!strcmp(step, "exit")) {
		order(number, step, -1);
		waitpid(workers[number], NULL, 0);
		close(channels[number]);
		workers[number] = -1;
		out("%d exit\n", number);
	} else {
		order(number, step, -1);
		if (settle(number, may_wait(step))) {
			report(number, step, "");
		} else if (waiting < 0) {
			waiting = number;
			__atomic_store_n(&shared[number]->later, 1, __ATOMIC_SEQ_CST);
			snprintf(waiting_step, sizeof waiting_step, "%s", step);
			out("%d %s: waits\n", number, step);
			return;
		} else {
			kill(workers[number], SIGUSR1);
			settle(number, 0);
			report(number, step, " (interrupted)");
		}
	}
	look_at_waiting();
	if (workers[number] > 0 && number != waiting) {
		drop(number);
		look_at_waiting();
	}
}

static void end_workers(void)
{
	if (waiting >= 0) {
		out("%d %s: still waits\n", waiting, waiting_step);
		kill(workers[waiting], SIGKILL);
		waiting = -1;
	}
	for (int i = 0; i < WORKERS; i++)
		if (workers[i] > 0) {
			close(channels[i]);
			waitpid(workers[i], NULL, 0);
		}
}

static struct { ino_t ino; char path[200]; } seen[400];
static int seen_count;

/* One line about one file of the tree. */
static int show_file(const char *path, const struct stat *unused, int type, struct FTW *walk)
{
	struct stat st;
	answer_len = 0;
	say("  %.150s", path);
	if (lstat(path, &st)) {
		say(" %s", errname(errno));
		goto end;
	}
	show_stat(&st);
	if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
		int at = 0;
		while (at < seen_count && seen[at].ino != st.st_ino)
			at++;
		if (at < seen_count)
			say(" is %s", seen[at].path);
		else if (seen_count < 400)
			snprintf(seen[seen_count].path, sizeof seen->path, "%s", path), seen[seen_count++].ino = st.st_ino;
	}
	if (S_ISREG(st.st_mode)) {
		int fd = open(path, O_RDONLY | O_NOFOLLOW);
		ssize_t len = fd < 0 ? -1 : read(fd, buf, sizeof buf);
		if (len < 0)
			say(" %s", errname(errno));
		else
			show_bytes(buf, len);
		close(fd);
	} else if (S_ISLNK(st.st_mode)) {
		char target[300];
		ssize_t len = readlink(path, target, sizeof target);
		say(" -> %.*s", (int)len, target);
	}
	ssize_t len = llistxattr(path, buf, sizeof buf);
	if (len > 0)
		show_xattr_list(buf, len);
end:
	out("%s\n", answer);
	return 0;
}

static int by_entry(const struct dirent **left, const struct dirent **right)
{
	return strcmp((*left)->d_name, (*right)->d_name);
}

/* Shows a tree in the order of names. */
static void show_tree(const char *path, int depth)
{
	struct dirent **list;
	struct stat st;
	show_file(path, NULL, 0, NULL);
	if (depth > 12 || lstat(path, &st) || !S_ISDIR(st.st_mode))
		return;
	int count = scandir(path, &list, NULL, by_entry);
	if (count < 0)
		out("  %s: %s\n", path, errname(errno));
	for (int i = 0; i < count; i++) {
		char below[PATH_MAX];
		snprintf(below, sizeof below, "%s/%s", path, list[i]->d_name);
		if (strcmp(list[i]->d_name, ".") && strcmp(list[i]->d_name, ".."))
			show_tree(below, depth + 1);
		free(list[i]);
	}
	if (count >= 0)
		free(list);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	if (remove(path))
		out("remove %s: %s\n", path, errname(errno));
	return 0;
}

static int open_up(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	if (type == FTW_D || type == FTW_DNR)
		chmod(path, 0700);
	return 0;
}

/* Runs one sequence in the current folder. */
static void sequence(char **lines, int count, const char *name, int prepare, int run)
{
	char *words[12], copy[400], inner[PATH_MAX];
	umask(022);
	MUST(chdir(base));
	if (prepare) {
		snprintf(copy, sizeof copy, "%s/up/root", name);
		MUST(mkdir(name, 0777));
		MUST(chdir(name));
		MUST(mkdir("up", 0777));
		MUST(mkdir("up/root", 0777));
		MUST(chmod("up/root", 0777));
		MUST(chdir("up/root"));
		for (int i = 0; i < count; i++)
			if (lines[i][0] == 'P') {
				snprintf(copy, sizeof copy, "%s", lines[i] + 2);
				split(copy, words);
				answer_len = 0;
				operate(words);
				if (run)
					continue;
			}
		for (int i = 0; i < SLOTS; i++)
			if (slots[i] >= 0)
				close(slots[i]), slots[i] = -1;
	}
	if (!run)
		return;
	snprintf(inner, sizeof inner, "%s/%s/up/root", base, name);
	MUST(chdir(inner));
	out("== %s\n", name);
	*stored = *copied = 0;
	char whole[PATH_MAX];
	snprintf(whole, sizeof whole, "%s", base);
	snprintf(base, sizeof base, "%s", inner);
	start_workers();
	for (int i = 0; i < count; i++)
		if (lines[i][0] >= '0' && lines[i][0] < '0' + WORKERS)
			step_of(lines[i][0] - '0', lines[i] + 2);
	end_workers();
	snprintf(base, sizeof base, "%s", whole);
	MUST(chdir(base));
	MUST(chdir(name));
	seen_count = 0;
	show_tree("up", 0);
	nftw("up", open_up, 20, FTW_PHYS);
	nftw("up", remove_one, 20, FTW_PHYS | FTW_DEPTH);
	MUST(chdir(base));
	if (rmdir(name))
		out("remove: %s\n", errname(errno));
}

int main(int argc, char **argv)
{
	static char text[1 << 24];
	static char *lines[100000];
	size_t len = 0;
	ssize_t got;
	int count = 0;
	char *rest;
	snprintf(base, sizeof base, "%s", argv[1]);
	snprintf(top, sizeof top, "%s", argv[1]);
	stored = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int prepare = !strcmp(argv[2], "prepare") || !strcmp(argv[2], "both");
	int run = !strcmp(argv[2], "run") || !strcmp(argv[2], "both");
	while ((got = read(0, text + len, sizeof text - 1 - len)) > 0)
		len += got;
	for (char *line = strtok_r(text, "\n", &rest); line && count < 100000; line = strtok_r(NULL, "\n", &rest))
		lines[count++] = line;
	copied = stored + 1;
	own = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < WORKERS; i++)
		shared[i] = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mkdir(base, 0777);
	for (int at = 0; at < count;) {
		int end = at + 1;
		while (end < count && lines[end][0] != '=')
			end++;
		sequence(lines + at + 1, end - at - 1, lines[at] + 3, prepare, run);
		at = end;
	}
	out("== end\n");
	return 0;
}

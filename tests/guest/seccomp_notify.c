/* seccomp_unotify(2): calls another process decides about. bevor-test: user=both kernel=6.11 waits=reloaded */
#include "seccomp.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static int send_fd(int sock, int fd)
{
	char byte = 0, space[CMSG_SPACE(sizeof fd)] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space };
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
	*head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(head), &fd, sizeof fd);
	return sendmsg(sock, &msg, 0);
}

static int receive_fd(int sock)
{
	char byte, space[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space };
	if (recvmsg(sock, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		return -1;
	int fd;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fd);
	return fd;
}

static pid_t target;
static int listener;
/* What the target writes: told when it has ended, so that nothing mixes. */
static int told = -1;

static void ended(const char *what)
{
	int status = 0;
	char text[4096];
	MUST(waitpid(target, &status, 0));
	ssize_t len = pread(told, text, sizeof text, 0);
	if (len > 0 && write(1, text, len) != len)
		out("BAD: short\n");
	out_status(what, status);
}

/* A child under a filter that asks about one number; returns with its listener. */
#define TARGET(nr_, flags, ...)                                                \
	do {                                                                   \
		int pair[2];                                                   \
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));               \
		if (told >= 0)                                                 \
			close(told);                                           \
		told = MUST(memfd_create("told", MFD_CLOEXEC));                \
		target = fork();                                               \
		if (target == 0) {                                             \
			dup2(told, 1);                                         \
			close(told);                                           \
			FOR_NR(t_filter, nr_, SECCOMP_RET_USER_NOTIF);         \
			int t_fd = install(&t_filter, SECCOMP_FILTER_FLAG_NEW_LISTENER | (flags)); \
			if (t_fd < 0)                                          \
				out("BAD: %s\n", errname(errno));              \
			send_fd(pair[1], t_fd);                                \
			close(t_fd);                                           \
			close(pair[0]);                                        \
			close(pair[1]);                                        \
			__VA_ARGS__;                                           \
			_exit(0);                                              \
		}                                                              \
		close(pair[1]);                                                \
		listener = MUST(receive_fd(pair[0]));                          \
		close(pair[0]);                                                \
	} while (0)

static struct seccomp_notif req;

static long receive(void)
{
	memset(&req, 0, sizeof req);
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req);
}

static long reply(long val, int error, unsigned flags)
{
	struct seccomp_notif_resp resp = { req.id, val, error, flags };
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

static void out_poll(const char *what)
{
	struct pollfd p = { listener, POLLIN | POLLOUT, 0 };
	poll(&p, 1, 0);
	out("%s: poll%s%s%s%s\n", what, p.revents & POLLIN ? " IN" : "", p.revents & POLLOUT ? " OUT" : "",
	    p.revents & POLLHUP ? " HUP" : "", p.revents & ~(POLLIN | POLLOUT | POLLHUP) ? " more" : "");
}

static void answers(void)
{
	TARGET(SYS_getppid, 0, {
		T(syscall(SYS_getppid));
		T(syscall(SYS_getppid, 11, 12, 13, 14, 15, 16));
		V(syscall(SYS_getppid) > 0);
		T(syscall(SYS_getppid));
		T(syscall(SYS_getppid));
		T(syscall(SYS_getppid));
	});
	T(receive());
	V(req.pid == target);
	V(req.data.nr == SYS_getppid);
	V(req.data.arch == AUDIT_ARCH_X86_64);
	V(req.flags);
	T(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &req.id));
	T(reply(0, 0, 2));
	T(reply(1, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
	T(reply(0, -1, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
	T(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, 8));
	T(reply(4711, 0, 0));
	__u64 old = req.id;
	T(receive());
	for (int i = 0; i < 6; i++)
		V(req.data.args[i]);
	V(req.id != old);
	V(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &old) == -1 && errno == ENOENT);
	T(reply(0, -EXDEV, 0));
	T(receive());
	T(reply(0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
	T(receive());
	T(reply(-7, 0, 0));
	T(receive());
	T(reply(5, -EPIPE, 0));
	T(receive());
	T(reply(0, 9, 0));
	ended("target");
	out_poll("nobody is left");
	T(receive());
	T(reply(0, 0, 0));
	T(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &req.id));
	close(listener);
}

static void states(void)
{
	TARGET(SYS_getppid, 0, {
		pause();
	});
	out_poll("nothing yet");
	kill(target, SIGKILL);
	ended("target");
	close(listener);

	TARGET(SYS_getppid, 0, {
		syscall(SYS_getppid);
		syscall(SYS_getppid);
	});
	struct pollfd p = { listener, POLLIN, 0 };
	T(poll(&p, 1, -1));
	out_poll("asked");
	/* Nothing may be in the buffer. */
	memset(&req, 0, sizeof req);
	req.pid = 1;
	T(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req));
	T(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, 8));
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	T(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, page));
	out_poll("asked again");
	T(receive());
	out_poll("received");
	T(reply(1, 0, 0));
	int epoll = epoll_create1(0);
	struct epoll_event event = { EPOLLIN, { 0 } };
	MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event));
	T(epoll_wait(epoll, &event, 1, -1));
	T(receive());
	T(epoll_wait(epoll, &event, 1, 0));
	T(reply(1, 0, 0));
	T(epoll_wait(epoll, &event, 1, -1));
	V(event.events);
	close(epoll);
	ended("target");
	T(ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 1));
	T(ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 0));
	T(ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 2));
	T(ioctl(listener, 0x2199, 0));
	T(ioctl(listener, SECCOMP_IOW(9, int), 0));
	char byte;
	T(read(listener, &byte, 1));
	T(write(listener, &byte, 1));
	T(lseek(listener, 0, SEEK_SET));
	V(fcntl(listener, F_GETFL));
	V(fcntl(listener, F_GETFD));
	char path[64], text[64] = "";
	snprintf(path, sizeof path, "/proc/self/fd/%d", listener);
	if (readlink(path, text, sizeof text - 1) > 0)
		out("%s\n", text);
	close(listener);
}

/* Waits for a notification are interrupted by signals and ended by the last target's end. */
static void waits(void)
{
	TARGET(SYS_getppid, 0, sleep_ms(50));
	T(receive());
	ended("target");
	close(listener);
}

static volatile int *handled;
static void on_signal(int number, siginfo_t *info, void *context)
{
	++*handled;
}

static void signals(void)
{
	/* The waiting call is interrupted before it was received, and after. */
	for (int restart = 0; restart < 2; restart++)
		for (int received = 0; received < 2; received++) {
			*handled = 0;
			TARGET(SYS_getppid, 0, {
				handle(SIGUSR1, on_signal, restart ? SA_RESTART : 0);
				T(syscall(SYS_getppid));
				V(*handled);
			});
			struct pollfd p = { listener, POLLIN, 0 };
			poll(&p, 1, -1);
			if (received)
				receive();
			wait_state(target, target, 'S');
			__u64 old = req.id;
			kill(target, SIGUSR1);
			if (restart) {
				/* It asks again. */
				while (!*handled)
					sleep_ms(1);
				poll(&p, 1, -1);
				T(receive());
				V(req.id != old);
				T(reply(88, 0, 0));
			}
			ended(restart ? "restarted" : "interrupted");
			out_poll("afterwards");
			V(received && !restart && reply(1, 0, 0) == -1 && errno == ENOENT);
			close(listener);
		}
	*handled = 0;
	/* With this flag only what kills interrupts it once it was received. */
	TARGET(SYS_getppid, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, {
		handle(SIGUSR1, on_signal, 0);
		T(syscall(SYS_getppid));
		V(*handled);
		T(syscall(SYS_getppid));
	});
	T(receive());
	kill(target, SIGUSR1);
	sleep_ms(20);
	T(reply(99, 0, 0));
	T(receive());
	kill(target, SIGKILL);
	ended("killed");
	T(reply(99, 0, 0));
	close(listener);
	/* Killed before it was received: a request without notification. */
	TARGET(SYS_getppid, 0, syscall(SYS_getppid));
	struct pollfd p = { listener, POLLIN, 0 };
	poll(&p, 1, -1);
	kill(target, SIGKILL);
	ended("killed");
	out_poll("killed");
	T(receive());
	close(listener);
}

static void supervisor_ends(void)
{
	TARGET(SYS_getppid, 0, {
		T(syscall(SYS_getppid));
		T(syscall(SYS_getppid));
	});
	T(receive());
	close(listener);
	ended("target");

	TARGET(SYS_getppid, 0, T(syscall(SYS_getppid)));
	struct pollfd p = { listener, POLLIN, 0 };
	poll(&p, 1, -1);
	close(listener);
	ended("target");
}

static void out_file(int fd)
{
	char text[32] = "";
	ssize_t len = pread(fd, text, sizeof text, 0);
	out("fd %d: %zd %s, close-on-exec %d\n", fd, len, len > 0 ? text : errname(errno), fcntl(fd, F_GETFD));
}

static long add(unsigned flags, int fd, unsigned at, unsigned fd_flags)
{
	struct seccomp_notif_addfd addition = { req.id, flags, fd, at, fd_flags };
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addition);
}

static void descriptors(void)
{
	int file = MUST(memfd_create("file", 0));
	MUST(write(file, "contents", 9));
	TARGET(SYS_getppid, 0, {
		close(file);
		for (int i = 3; i < 50; i++)
			close(i);
		open("/dev/zero", O_RDONLY);
		T(syscall(SYS_getppid));
		out_file(4);
		out_file(5);
		out_file(3);
		out_file(40);
		T(syscall(SYS_getppid));
		out_file(6);
		struct rlimit limit = { 7, 7 };
		setrlimit(RLIMIT_NOFILE, &limit);
		T(syscall(SYS_getppid));
	});
	MUST(poll(&(struct pollfd){ listener, POLLIN, 0 }, 1, -1));
	T(add(0, file, 0, 0));
	T(receive());
	T(add(0, file, 0, 0));
	T(add(0, file, 0, O_CLOEXEC));
	T(add(SECCOMP_ADDFD_FLAG_SETFD, file, 3, 0));
	T(add(SECCOMP_ADDFD_FLAG_SETFD, file, 40, O_CLOEXEC));
	T(add(0, file, 9, 0));
	T(add(4, file, 0, 0));
	T(add(0, file, 0, O_NONBLOCK));
	T(add(0, 999, 0, 0));
	T(add(SECCOMP_ADDFD_FLAG_SETFD, file, 1 << 30, 0));
	T(add(SECCOMP_ADDFD_FLAG_SETFD, file, -1, 0));
	int path = open("/", O_PATH);
	T(add(0, path, 0, 0));
	close(path);
	struct {
		struct seccomp_notif_addfd known;
		char more[8];
	} larger = { { req.id, 4, file, 0, 0 }, "" };
	T(ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, 8));
	T(ioctl(listener, _IOC(_IOC_WRITE, '!', 3, sizeof larger), &larger));
	larger.more[3] = 1;
	T(ioctl(listener, _IOC(_IOC_WRITE, '!', 3, sizeof larger), &larger));
	T(ioctl(listener, _IOC(_IOC_WRITE, '!', 3, 8), &larger));
	T(ioctl(listener, _IOC(_IOC_WRITE, '!', 3, 8000), &larger));
	T(reply(1, 0, 0));
	T(receive());
	T(add(SECCOMP_ADDFD_FLAG_SEND, file, 0, 0));
	V(add(0, file, 0, 0) == -1 && (errno == EINPROGRESS || errno == ENOENT));
	T(receive());
	T(add(SECCOMP_ADDFD_FLAG_SEND, file, 0, 0));
	T(add(SECCOMP_ADDFD_FLAG_SEND | SECCOMP_ADDFD_FLAG_SETFD, file, 8, 0));
	T(add(0, file, 0, 0));
	T(reply(0, -ENFILE, 0));
	ended("target");
	close(listener);
	close(file);
}

static void listeners(void)
{
	FOR_NR(filter, SYS_getppid, SECCOMP_RET_USER_NOTIF);
	FOR_NR(other, SYS_getuid, SECCOMP_RET_USER_NOTIF);
	CHILD("a second listener", {
		int fd = MUST(install(&filter, SECCOMP_FILTER_FLAG_NEW_LISTENER));
		T(install(&other, SECCOMP_FILTER_FLAG_NEW_LISTENER));
		out_seccomp_status("one");
		T(install(&other, 0));
		T(syscall(SYS_getuid));
		close(fd);
		V(install(&other, SECCOMP_FILTER_FLAG_NEW_LISTENER) >= 0);
		out_seccomp_status("three");
		T(syscall(SYS_getppid));
		struct rlimit limit = { 3, 3 };
		setrlimit(RLIMIT_NOFILE, &limit);
		for (int i = 3; i < 20; i++)
			close(i);
		T(install(&other, SECCOMP_FILTER_FLAG_NEW_LISTENER));
	});
	/* Many ask at once. */
	TARGET(SYS_getppid, 0, {
		for (int i = 0; i < 8; i++)
			if (fork() == 0)
				_exit(syscall(SYS_getppid) != 1000 + i);
		int bad = 0;
		for (int i = 0; i < 8; i++) {
			int status;
			wait(&status);
			bad += status != 0;
		}
		V(bad);
	});
	struct seccomp_notif all[8];
	int sums = 0;
	for (int i = 0; i < 8; i++) {
		MUST(receive());
		all[i] = req;
	}
	out_poll("all received");
	/* In another order; who it is its own name tells. */
	pid_t lowest = all[0].pid;
	for (int i = 1; i < 8; i++)
		if (all[i].pid < lowest)
			lowest = all[i].pid;
	for (int i = 7; i >= 0; i--) {
		int rank = 0;
		for (int k = 0; k < 8; k++)
			rank += all[k].pid < all[i].pid;
		req = all[i];
		if (reply(1000 + rank, 0, 0))
			out("BAD: %s\n", errname(errno));
		sums += rank;
	}
	V(sums);
	ended("target");
	close(listener);
}

/* The supervisor does what the target may not: a path of the target's memory is replaced. */
static void opens_for_another(void)
{
	TARGET(SYS_openat, 0, {
		char text[16] = "";
		int fd = open("/a/path/that/is/not", O_RDONLY);
		V(fd >= 0);
		V(read(fd, text, sizeof text));
		out("%s\n", text);
	});
	T(receive());
	char path[32] = "", mem[64];
	snprintf(mem, sizeof mem, "/proc/%d/mem", req.pid);
	int memory = open(mem, O_RDONLY);
	if (memory >= 0)
		pread(memory, path, sizeof path - 1, req.data.args[1]);
	out("wants %s\n", path);
	close(memory);
	T(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &req.id));
	int file = MUST(memfd_create("file", 0));
	MUST(write(file, "for you", 8));
	lseek(file, 0, SEEK_SET);
	V(add(SECCOMP_ADDFD_FLAG_SEND, file, 0, 0) >= 0);
	ended("target");
	close(listener);
}

/* Calls that wait themselves, let go on. */
static void goes_on(void)
{
	int pipes[2];
	MUST(pipe(pipes));
	TARGET(SYS_read, 0, {
		char text[8] = "";
		T(syscall(SYS_read, pipes[0], text, 5));
		out("%s\n", text);
		handle(SIGUSR1, on_signal, 0);
		T(syscall(SYS_read, pipes[0], text, 5));
	});
	T(receive());
	T(reply(0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
	sleep_ms(10);
	MUST(write(pipes[1], "hello", 5));
	T(receive());
	T(reply(0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
	sleep_ms(10);
	kill(target, SIGUSR1);
	ended("target");
	close(listener);
}

int main(void)
{
	handled = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	no_new_privs();
	CHILD("answers", answers());
	CHILD("states", states());
	CHILD("waits", waits());
	CHILD("signals", signals());
	CHILD("the supervisor ends", supervisor_ends());
	CHILD("descriptors", descriptors());
	CHILD("listeners", listeners());
	CHILD("opens for another", opens_for_another());
	CHILD("goes on", goes_on());
	return 0;
}

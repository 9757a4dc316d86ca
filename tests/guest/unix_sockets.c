/* Unix sockets: stream, datagram, seqpacket, descriptors and credentials. bevor-test: user=both waits=reloaded */
#include "t.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	strcpy(a.sun_path, path);
	return a;
}

static void send_fds(int s, const char *text, int *fds, int count)
{
	char control[CMSG_SPACE(300 * sizeof(int))] = { 0 };
	struct iovec v = { (void *)text, strlen(text) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	T(sendmsg(s, &m, 0));
}

static int receive(const char *what, int s, size_t room, int flags)
{
	char buf[100], control[1000];
	struct iovec v = { buf, sizeof buf };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room };
	ssize_t len = recvmsg(s, &m, flags);
	out_bytes(what, buf, len);
	if (len < 0)
		return -1;
	out("  flags %x", m.msg_flags);
	int first = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_type == SCM_RIGHTS) {
			int count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			out(" %d descriptors", count);
			int *fds = (int *)CMSG_DATA(c);
			for (int i = 0; i < count; i++)
				if (first < 0)
					first = fds[i];
				else
					close(fds[i]);
			if (count)
				out(" cloexec %d", fcntl(first, F_GETFD));
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			struct ucred *u = (struct ucred *)CMSG_DATA(c);
			out(" credentials pid %s uid %d gid %d", u->pid == getpid() ? "own" : u->pid ? "other" : "0", u->uid == getuid(), u->gid == getgid());
		} else
			out(" type %d", c->cmsg_type);
	}
	out("\n");
	return first;
}

int main(void)
{
	scratch();
	char buf[300000];
	int s[2], on = 1;
	T(socket(AF_UNIX, 77, 0));
	T(socket(AF_UNIX, SOCK_STREAM, 5));
	T(socket(99, SOCK_STREAM, 0));
	T(socketpair(AF_UNIX, SOCK_STREAM, 0, (int *)8));
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s));
	out("%o %d\n", fcntl(s[0], F_GETFL), fcntl(s[0], F_GETFD));
	T(send(s[0], "hello", 5, 0));
	T(send(s[0], " world", 6, 0));
	out_bytes("peek", buf, recv(s[1], buf, 5, MSG_PEEK));
	int n;
	T(ioctl(s[1], FIONREAD, &n));
	V(n);
	out_bytes("stream", buf, recv(s[1], buf, 100, 0));
	T(recv(s[1], buf, 1, 0));
	T(recv(s[1], buf, 1, MSG_OOB));
	T(send(s[0], "x", 1, MSG_OOB) >= 0 || errno == EOPNOTSUPP ? 0 : -1);
	recv(s[1], buf, 10, 0);
	close(s[1]);
	T(send(s[0], "x", 1, MSG_NOSIGNAL));
	CHILD("SIGPIPE", send(s[0], "x", 1, 0));
	T(recv(s[0], buf, 1, 0));
	close(s[0]);
	/* A large transfer. */
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	pid_t pid = fork();
	if (pid == 0) {
		close(s[0]);
		for (int i = 0; i < (int)sizeof buf; i++)
			buf[i] = i * 7;
		T(write(s[1], buf, sizeof buf));
		_exit(0);
	}
	close(s[1]);
	sleep_ms(5);
	memset(buf, 0, sizeof buf);
	long total = 0, got;
	while ((got = recv(s[0], buf + total, 5000, 0)) > 0)
		total += got;
	int wrong = 0;
	for (int i = 0; i < (int)sizeof buf; i++)
		wrong += buf[i] != (char)(i * 7);
	out("%ld %d\n", total, wrong);
	reap("sender", pid);

	/* Names. */
	struct sockaddr_un a = address("sock"), b;
	socklen_t len;
	int l = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	T(listen(l, 5));
	T(bind(l, (void *)&a, sizeof a));
	T(bind(l, (void *)&a, sizeof a));
	int other = socket(AF_UNIX, SOCK_STREAM, 0);
	T(bind(other, (void *)&a, sizeof a));
	T(connect(other, (void *)&a, sizeof a));
	T(listen(l, 2));
	struct stat st;
	stat("sock", &st);
	out("mode %o\n", st.st_mode);
	T(open("sock", O_RDWR));
	T(connect(other, (void *)&a, sizeof a));
	T(connect(other, (void *)&a, sizeof a));
	len = sizeof b;
	memset(&b, 0, sizeof b);
	int c = accept4(l, (void *)&b, &len, SOCK_NONBLOCK);
	CHECK(c > 0);
	V(len);
	len = sizeof b;
	T(getsockname(c, (void *)&b, &len));
	out("%u %s\n", len, b.sun_path);
	len = sizeof b;
	memset(&b, 0, sizeof b);
	T(getpeername(other, (void *)&b, &len));
	out("%u %s\n", len, b.sun_path);
	struct ucred cred;
	len = sizeof cred;
	T(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &cred, &len));
	out("%d %d %d\n", cred.pid == getpid(), cred.uid == getuid(), cred.gid == getgid());
	send(other, "early", 5, 0);
	out_bytes("accepted", buf, recv(c, buf, 10, 0));
	T(shutdown(other, SHUT_WR));
	T(recv(c, buf, 1, 0));
	T(send(c, "back", 4, 0));
	out_bytes("other way", buf, recv(other, buf, 10, 0));
	T(shutdown(l, 99));
	close(l);
	other = socket(AF_UNIX, SOCK_STREAM, 0);
	T(connect(other, (void *)&a, sizeof a));
	unlink("sock");
	T(connect(other, (void *)&a, sizeof a));
	a.sun_family = AF_INET;
	T(connect(other, (void *)&a, sizeof a));
	T(bind(other, (void *)&a, 1));
	/* The backlog: full, and a connect that waits. */
	a = address("full");
	l = socket(AF_UNIX, SOCK_STREAM, 0);
	bind(l, (void *)&a, sizeof a);
	listen(l, 0);
	int connected = 0;
	for (int i = 0; i < 5; i++) {
		int t = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(t, (void *)&a, sizeof a) == 0)
			connected++;
		else if (i == 4)
			out("%s\n", errname(errno));
	}
	V(connected);
	/* The abstract name space, and a name given by the kernel. */
	a = address("");
	memcpy(a.sun_path, "\0bevor-test-abstract", 20);
	snprintf(a.sun_path + 20, 20, "%d", getpid());
	len = offsetof(struct sockaddr_un, sun_path) + 30;
	l = socket(AF_UNIX, SOCK_STREAM, 0);
	T(bind(l, (void *)&a, len));
	T(listen(l, 1));
	other = socket(AF_UNIX, SOCK_STREAM, 0);
	T(connect(other, (void *)&a, len - 1));
	T(connect(other, (void *)&a, len));
	other = socket(AF_UNIX, SOCK_DGRAM, 0);
	a.sun_family = AF_UNIX;
	T(bind(other, (void *)&a, 2));
	len = sizeof b;
	getsockname(other, (void *)&b, &len);
	out("%u %d\n", len, b.sun_path[0]);

	/* Datagrams. */
	int d1 = socket(AF_UNIX, SOCK_DGRAM, 0), d2 = socket(AF_UNIX, SOCK_DGRAM, 0);
	a = address("d1");
	MUST(bind(d1, (void *)&a, sizeof a));
	T(send(d2, "x", 1, 0));
	T(sendto(d2, "one", 3, 0, (void *)&a, sizeof a));
	T(sendto(d2, "second", 6, 0, (void *)&a, sizeof a));
	T(sendto(d2, "", 0, 0, (void *)&a, sizeof a));
	out_bytes("datagram", buf, recv(d1, buf, 100, 0));
	T(recv(d1, buf, 2, MSG_TRUNC));
	out_bytes("cut", buf, 2);
	T(recv(d1, buf, 100, 0));
	T(recv(d1, buf, 100, MSG_DONTWAIT));
	struct sockaddr_un back = address("d2");
	MUST(bind(d2, (void *)&back, sizeof back));
	T(connect(d2, (void *)&a, sizeof a));
	T(send(d2, "connected", 9, 0));
	len = sizeof b;
	memset(&b, 0, sizeof b);
	out_bytes("from", buf, recvfrom(d1, buf, 100, 0, (void *)&b, &len));
	out("%s\n", b.sun_path);
	T(connect(d1, (void *)&back, sizeof back));
	int d3 = socket(AF_UNIX, SOCK_DGRAM, 0);
	T(sendto(d3, "x", 1, 0, (void *)&a, sizeof a));
	close(d1);
	T(send(d2, "x", 1, 0));
	/* A full inbox, and senders that wait for room. */
	d1 = socket(AF_UNIX, SOCK_DGRAM, 0);
	a = address("d9");
	MUST(bind(d1, (void *)&a, sizeof a));
	d2 = socket(AF_UNIX, SOCK_DGRAM, 0);
	MUST(connect(d2, (void *)&a, sizeof a));
	long filled = 0;
	while (send(d2, "fill", 4, MSG_DONTWAIT) == 4)
		filled++;
	out("%s\n", errname(errno));
	CHECK(filled > 3);
	struct pollfd writable = { d2, POLLOUT };
	T(poll(&writable, 1, 0));
	pid_t senders[2];
	for (int i = 0; i < 2; i++) {
		senders[i] = fork();
		if (senders[i] == 0) {
			int own = socket(AF_UNIX, SOCK_DGRAM, 0);
			connect(own, (void *)&a, sizeof a);
			_exit(send(own, "late", 4, 0) == 4 ? 0 : 1);
		}
		wait_state(senders[i], senders[i], 'S');
	}
	for (long i = 0; i < filled + 2; i++)
		MUST(recv(d1, buf, 100, 0));
	reap("first sender", senders[0]);
	reap("second sender", senders[1]);
	T(recv(d1, buf, 100, MSG_DONTWAIT));
	T(poll(&writable, 1, 0));
	close(d1);
	/* Sequenced packets. */
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
	send(s[0], "first", 5, 0);
	send(s[0], "second", 6, 0);
	receive("packet", s[1], 0, 0);
	out_bytes("cut", buf, recv(s[1], buf, 3, 0));
	close(s[0]);
	T(recv(s[1], buf, 3, 0));
	/* Descriptors. */
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	int f = make_file("file", "through a socket");
	int three[3] = { f, 1, f };
	send_fds(s[0], "fds", three, 1);
	int r = receive("one", s[1], 1000, 0);
	out_bytes("file", buf, pread(r, buf, 100, 0));
	send_fds(s[0], "fds", three, 3);
	receive("three", s[1], 1000, MSG_CMSG_CLOEXEC);
	send_fds(s[0], "fds", three, 3);
	receive("room for one", s[1], CMSG_SPACE(sizeof(int)), 0);
	send_fds(s[0], "fds", three, 1);
	receive("no room", s[1], 0, 0);
	send(s[0], "plain", 5, 0);
	send_fds(s[0], "with", three, 1);
	send(s[0], "after", 5, 0);
	receive("up to the descriptors", s[1], 1000, 0);
	receive("rest", s[1], 1000, 0);
	receive("last", s[1], 1000, MSG_DONTWAIT);
	int bad_fd[1] = { 999 };
	send_fds(s[0], "bad", bad_fd, 1);
	int lots[300];
	for (int i = 0; i < 300; i++)
		lots[i] = f;
	send_fds(s[0], "many", lots, 253);
	receive("many", s[1], 1000, 0);
	send_fds(s[0], "too many", lots, 254);
	/* A descriptor that lives only in the socket. */
	int p[2];
	pipe(p);
	send_fds(s[0], "pipe", &p[1], 1);
	close(p[1]);
	struct pollfd poller = { p[0], POLLIN };
	T(poll(&poller, 1, 0));
	close(s[1]);
	T(poll(&poller, 1, 1000));
	out("%x\n", poller.revents);
	/* Credentials. */
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	T(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	send(s[0], "who", 3, 0);
	receive("credentials", s[1], 1000, 0);
	CHILD("child sends", send(s[0], "child", 5, 0));
	receive("credentials", s[1], 1000, 0);
	/* Options. */
	len = sizeof n;
	T(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &n, &len));
	V(n);
	T(getsockopt(s[0], SOL_SOCKET, SO_DOMAIN, &n, &len));
	V(n);
	T(getsockopt(s[0], SOL_SOCKET, SO_ERROR, &n, &len));
	V(n);
	T(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &n, &len));
	V(n);
	T(getsockopt(s[0], SOL_SOCKET, 9999, &n, &len));
	T(getsockopt(f, SOL_SOCKET, SO_TYPE, &n, &len));
	T(getsockname(f, (void *)&b, &len));
	T(accept(s[0], NULL, NULL));
	struct mmsghdr mm[3] = { 0 };
	struct iovec iv[3] = { { "a", 1 }, { "bb", 2 }, { "ccc", 3 } };
	for (int i = 0; i < 3; i++)
		mm[i].msg_hdr = (struct msghdr){ .msg_iov = &iv[i], .msg_iovlen = 1 };
	T(sendmmsg(s[0], mm, 3, 0));
	char three_bufs[3][10];
	for (int i = 0; i < 3; i++)
		iv[i] = (struct iovec){ three_bufs[i], 10 };
	T(recvmmsg(s[1], mm, 3, 0, NULL));
	out("%u %u %u\n", mm[0].msg_len, mm[1].msg_len, mm[2].msg_len);
	/* A listener with no room lets whom connects wait. */
	struct sockaddr_un full = { AF_UNIX, "crowded" };
	int queue = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(bind(queue, (void *)&full, sizeof full));
	MUST(listen(queue, 0));
	int first = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	T(connect(first, (void *)&full, sizeof full));
	int waits = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	T(connect(waits, (void *)&full, sizeof full));
	fcntl(waits, F_SETFL, 0);
	pid_t connecting = MUST(fork());
	if (connecting == 0) {
		T(connect(waits, (void *)&full, sizeof full));
		_exit(0);
	}
	usleep(100000);
	int accepted = accept(queue, NULL, NULL);
	waitpid(connecting, NULL, 0);
	CHECK(accepted > 0);
	CHECK(accept(queue, NULL, NULL) > 0);
	unscratch();
	return 0;
}

/* Sockets as /proc/net shows them. bevor-test: user=both */
#include "t.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

static unsigned long inode(int fd)
{
	struct stat st;
	MUST(fstat(fd, &st));
	return st.st_ino;
}

/* The line of a socket in a table, without what differs from run to run. */
static void inet_line(const char *what, const char *path, int fd, int own, int other)
{
	char line[1000], local[50], remote[50];
	FILE *file = fopen(path, "r");
	int found = 0;
	while (file && fgets(line, sizeof line, file)) {
		unsigned state, tx, rx, uid, ref;
		unsigned long ino;
		unsigned lport, rport;
		if (sscanf(line, " %*d: %40[0-9A-F]:%X %40[0-9A-F]:%X %X %X:%X %*s %*s %u %*u %lu %u", local, &lport, remote,
			   &rport, &state, &tx, &rx, &uid, &ino, &ref) != 10 || ino != inode(fd))
			continue;
		found = 1;
		out("%s: %s %s state %02X unread %d, ports %s %s, uid %s, %zu bytes\n", what, local, remote, state, rx != 0,
		    (int)lport == own ? "right" : "wrong", (int)rport == other ? "right" : "wrong",
		    uid == getuid() ? "own" : "other", strstr(path, "6") ? 0 : strlen(line));
	}
	if (!found)
		out("%s is not in %s\n", what, path);
	if (file)
		fclose(file);
}

static void unix_line(const char *what, int fd)
{
	char line[1000];
	FILE *file = fopen("/proc/net/unix", "r");
	while (file && fgets(line, sizeof line, file)) {
		unsigned flags, kind, state;
		unsigned long ino;
		char path[200] = "";
		if (sscanf(line, "%*s %*s %*s %X %X %X %lu %199s", &flags, &kind, &state, &ino, path) >= 4 && ino == inode(fd))
			out("%s: %X %X %X %s\n", what, flags, kind, state, path);
	}
	if (file)
		fclose(file);
}

static int port(int fd)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof a;
	MUST(getsockname(fd, (void *)&a, &len));
	return ntohs(a.sin6_port);
}

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 b = { .sin6_family = AF_INET6 };
	socklen_t len = sizeof a;
	int l = MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(bind(l, (void *)&a, sizeof a));
	MUST(getsockname(l, (void *)&a, &len));
	MUST(listen(l, 5));
	int own = port(l);
	inet_line("listening", "/proc/net/tcp", l, own, 0);
	int c = MUST(socket(AF_INET, SOCK_STREAM, 0));
	inet_line("unbound", "/proc/net/tcp", c, 0, 0);
	MUST(connect(c, (void *)&a, sizeof a));
	inet_line("with a connection to accept", "/proc/net/tcp", l, own, 0);
	int s = MUST(accept(l, NULL, NULL));
	inet_line("accepted", "/proc/net/tcp", l, own, 0);
	inet_line("client", "/proc/net/tcp", c, port(c), own);
	MUST(send(c, "hello", 5, 0));
	inet_line("server", "/proc/self/net/tcp", s, own, port(c));
	MUST(shutdown(c, SHUT_WR));
	usleep(300000);
	inet_line("client after shutdown", "/proc/net/tcp", c, port(c), own);
	inet_line("server after shutdown", "/proc/net/tcp", s, own, port(c));

	int l6 = MUST(socket(AF_INET6, SOCK_STREAM, 0));
	MUST(bind(l6, (void *)&b, sizeof b));
	MUST(listen(l6, 5));
	inet_line("listening, v6", "/proc/net/tcp6", l6, port(l6), 0);

	int u = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	a.sin_port = 0;
	MUST(bind(u, (void *)&a, sizeof a));
	inet_line("bound", "/proc/net/udp", u, port(u), 0);
	a.sin_port = htons(9);
	MUST(connect(u, (void *)&a, sizeof a));
	inet_line("connected", "/proc/net/udp", u, port(u), 9);

	struct sockaddr_un n = { .sun_family = AF_UNIX, .sun_path = "named" };
	int pair[2], x = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), y = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	unix_line("new", x);
	MUST(bind(x, (void *)&n, sizeof n));
	MUST(listen(x, 5));
	unix_line("listening", x);
	unsigned me = getpid();
	sprintf(n.sun_path + 1, "%u", me), n.sun_path[0] = 0;
	char path[50];
	sprintf(path, "%u", me);
	MUST(bind(y, (void *)&n, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(path)));
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	unix_line("pair", pair[0]);
	return 0;
}

/* Sockets as sock_diag(7) shows them. bevor-test: user=both */
#include "t.h"
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

static char buf[65536];
static struct { const char *name; int fd; } known[30];
static int count;

static int name_it(const char *name, int fd)
{
	known[count].name = name;
	known[count++].fd = fd;
	return fd;
}

static unsigned inode(int fd)
{
	struct stat st;
	MUST(fstat(fd, &st));
	return st.st_ino;
}

static const char *who(unsigned ino)
{
	for (int i = 0; i < count; i++)
		if (inode(known[i].fd) == ino)
			return known[i].name;
	return ino ? NULL : "nobody";
}

static int port(int fd)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof a;
	MUST(getsockname(fd, (void *)&a, &len));
	return ntohs(a.sin6_port);
}

/* An end of a connection, with the names of those whose port it is. */
static const char *end(int family, const void *ip, int number, char *text)
{
	const char *name = number ? "another" : "0";
	for (int i = 0; i < count; i++)
		if (known[i].name[0] != 'u' && port(known[i].fd) == number) {
			name = known[i].name;
			break;
		}
	inet_ntop(family, ip, text, 60);
	return strcat(strcat(text, " port of "), name);
}

static void show_inet(struct nlmsghdr *head)
{
	struct inet_diag_msg *m = NLMSG_DATA(head);
	const char *name = who(m->idiag_inode);
	char a[100], b[100];
	if (!name || (!m->idiag_inode && ntohs(m->id.idiag_sport) != port(known[0].fd)))
		return;
	out("  %s: family %d state %d timer %d from %s to %s queues %u %u uid %s\n", name, m->idiag_family, m->idiag_state,
	    m->idiag_timer, end(m->idiag_family, m->id.idiag_src, ntohs(m->id.idiag_sport), a),
	    end(m->idiag_family, m->id.idiag_dst, ntohs(m->id.idiag_dport), b), m->idiag_rqueue, m->idiag_wqueue,
	    m->idiag_uid == getuid() || !m->idiag_inode ? "own" : "other");
	int left = head->nlmsg_len - NLMSG_LENGTH(sizeof *m);
	for (struct rtattr *at = (void *)(m + 1); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		int len = RTA_PAYLOAD(at);
		unsigned char *data = RTA_DATA(at);
		switch (at->rta_type) {
		case INET_DIAG_SHUTDOWN:
			out("    shutdown %d\n", data[0]);
			break;
		case INET_DIAG_SKV6ONLY:
			out("    v6 only %d\n", data[0]);
			break;
		case INET_DIAG_MEMINFO:
		case INET_DIAG_SKMEMINFO:
			out("    memory of %d bytes\n", len);
			break;
		case INET_DIAG_INFO:
			out("    info, state %d\n", data[0]);
			break;
		case INET_DIAG_CONG:
			out("    congestion %d\n", len > 1);
			break;
		}
	}
}

static void show_unix(struct nlmsghdr *head)
{
	struct unix_diag_msg *m = NLMSG_DATA(head);
	const char *name = who(m->udiag_ino), *other;
	if (!name || !m->udiag_ino)
		return;
	out("  %s: family %d type %d state %d\n", name, m->udiag_family, m->udiag_type, m->udiag_state);
	int left = head->nlmsg_len - NLMSG_LENGTH(sizeof *m);
	for (struct rtattr *at = (void *)(m + 1); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		int len = RTA_PAYLOAD(at);
		unsigned *data = RTA_DATA(at);
		switch (at->rta_type) {
		case UNIX_DIAG_NAME:
			out_bytes("    name", data, ((char *)data)[0] ? len : len > 5 ? 1 : len);
			break;
		case UNIX_DIAG_VFS: {
			struct stat st = { 0 };
			stat("named", &st);
			out("    inode %s\n", data[0] == (unsigned)st.st_ino ? "right" : "wrong");
			break;
		}
		case UNIX_DIAG_PEER:
			other = who(data[0]);
			out("    peer %s\n", other ? other : "?");
			break;
		case UNIX_DIAG_ICONS:
			out("    %d callers", len / 4);
			for (int i = 0; i < len / 4; i++)
				out(" %s", (other = who(data[i])) ? other : "?");
			out("\n");
			break;
		case UNIX_DIAG_RQLEN:
			/* What was sent and not read is counted with its overhead. */
			out("    queues %u %u\n", data[0], m->udiag_state == TCP_LISTEN ? data[1] : 0);
			break;
		case UNIX_DIAG_SHUTDOWN:
			out("    shutdown %d\n", *(char *)data);
			break;
		case UNIX_DIAG_UID:
			out("    uid %s\n", data[0] == getuid() ? "own" : "other");
			break;
		}
	}
}

/* Answers come until the dump ends, or there is an error. */
static void answers(int fd, void (*show)(struct nlmsghdr *))
{
	for (;;) {
		int left = recv(fd, buf, sizeof buf, 0);
		if (left < 0) {
			out("  recv %s\n", errname(errno));
			return;
		}
		for (struct nlmsghdr *head = (void *)buf; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
			if (head->nlmsg_type == NLMSG_DONE)
				return;
			if (head->nlmsg_type == NLMSG_ERROR) {
				out("  error %s\n", errname(-((struct nlmsgerr *)NLMSG_DATA(head))->error));
				return;
			}
			show(head);
			if (!(head->nlmsg_flags & NLM_F_MULTI))
				return;
		}
	}
}

struct inet {
	struct nlmsghdr head;
	struct inet_diag_req_v2 body;
	struct rtattr code;
	struct inet_diag_bc_op ops[6];
};

static void ask(int fd, int family, int protocol, unsigned states, int ext, int sport, const struct inet_diag_bc_op *ops, int nr)
{
	struct inet r = { { sizeof r.head + sizeof r.body, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 7, 0 },
			  { family, protocol, ext, 0, states, { .idiag_sport = htons(sport) } } };
	if (nr) {
		r.code.rta_type = INET_DIAG_REQ_BYTECODE;
		r.code.rta_len = RTA_LENGTH(nr * sizeof *ops);
		memcpy(r.ops, ops, nr * sizeof *ops);
		r.head.nlmsg_len += r.code.rta_len;
	}
	MUST(send(fd, &r, r.head.nlmsg_len, 0));
	answers(fd, show_inet);
}

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 b = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	socklen_t len = sizeof a;
	int l = name_it("listener", MUST(socket(AF_INET, SOCK_STREAM, 0)));
	MUST(bind(l, (void *)&a, sizeof a));
	MUST(getsockname(l, (void *)&a, &len));
	MUST(listen(l, 7));
	int c = name_it("client", MUST(socket(AF_INET, SOCK_STREAM, 0)));
	MUST(connect(c, (void *)&a, sizeof a));
	name_it("server", MUST(accept(l, NULL, NULL)));
	int w = name_it("waiting", MUST(socket(AF_INET, SOCK_STREAM, 0)));
	MUST(connect(w, (void *)&a, sizeof a));
	MUST(send(c, "hello", 5, 0));
	int six = name_it("listener of v6", MUST(socket(AF_INET6, SOCK_STREAM, 0)));
	MUST(setsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 1 }, 4));
	MUST(bind(six, (void *)&b, sizeof b));
	MUST(listen(six, 3));
	int g = name_it("datagrams", MUST(socket(AF_INET, SOCK_DGRAM, 0)));
	a.sin_port = 0;
	MUST(bind(g, (void *)&a, sizeof a));
	int h = name_it("connected datagrams", MUST(socket(AF_INET, SOCK_DGRAM, 0)));
	a.sin_port = htons(port(g));
	MUST(connect(h, (void *)&a, sizeof a));
	usleep(50000);

	int fd = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
	unsigned listening = 1 << TCP_LISTEN, open = 1 << TCP_ESTABLISHED, own = port(l);
	out("listening\n");
	ask(fd, AF_INET, IPPROTO_TCP, listening, 0, 0, NULL, 0);
	out("listening, v6\n");
	ask(fd, AF_INET6, IPPROTO_TCP, listening, 0, 0, NULL, 0);
	out("by port, all there is to know\n");
	ask(fd, AF_INET, IPPROTO_TCP, listening, 1 << (INET_DIAG_MEMINFO - 1) | 1 << (INET_DIAG_SKMEMINFO - 1) |
	    1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_CONG - 1), own, NULL, 0);
	out("client\n");
	ask(fd, AF_INET, IPPROTO_TCP, ~0u, 0, port(c), NULL, 0);
	struct inet_diag_bc_op to[] = { { INET_DIAG_BC_D_EQ, 8, 12 }, { 0, 0, port(c) } };
	out("server\n");
	ask(fd, AF_INET, IPPROTO_TCP, open, 0, 0, to, 2);
	to[1].no = port(w);
	out("not accepted\n");
	ask(fd, AF_INET, IPPROTO_TCP, open, 0, 0, to, 2);
	struct inet_diag_bc_op between[] = { { INET_DIAG_BC_S_GE, 8, 20 }, { 0, 0, own }, { INET_DIAG_BC_S_LE, 8, 12 }, { 0, 0, own } };
	out("from one port to itself\n");
	ask(fd, AF_INET, IPPROTO_TCP, listening, 0, 0, between, 4);
	out("bad programs\n");
	ask(fd, AF_INET, IPPROTO_TCP, open, 0, 0, &(struct inet_diag_bc_op){ INET_DIAG_BC_S_GE, 8, 12 }, 1);
	ask(fd, AF_INET, IPPROTO_TCP, open, 0, 0, &(struct inet_diag_bc_op){ 99, 4, 8 }, 1);
	ask(fd, AF_INET, IPPROTO_TCP, open, 0, 0, &(struct inet_diag_bc_op){ INET_DIAG_BC_JMP, 4, 6 }, 1);
	ask(fd, AF_INET, IPPROTO_TCP, open, 0, 0, &(struct inet_diag_bc_op){ INET_DIAG_BC_NOP, 0, 0 }, 1);
	out("after shutdown\n");
	MUST(shutdown(c, SHUT_WR));
	usleep(50000);
	ask(fd, AF_INET, IPPROTO_TCP, ~0u, 0, port(c), NULL, 0);
	to[1].no = port(c);
	ask(fd, AF_INET, IPPROTO_TCP, ~0u, 0, 0, to, 2);
	out("datagrams\n");
	ask(fd, AF_INET, IPPROTO_UDP, ~0u, 0, port(g), NULL, 0);
	ask(fd, AF_INET, IPPROTO_UDP, open, 0, port(h), NULL, 0);
	ask(fd, AF_INET, IPPROTO_UDP, 1 << TCP_CLOSE, 0, port(h), NULL, 0);

	out("one\n");
	struct inet one = { { sizeof one.head + sizeof one.body, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 8, 0 },
			    { AF_INET, IPPROTO_TCP, 0, 0, ~0u, { .idiag_sport = htons(own), .idiag_src = { htonl(INADDR_LOOPBACK) },
			      .idiag_cookie = { ~0u, ~0u } } } };
	MUST(send(fd, &one, one.head.nlmsg_len, 0));
	answers(fd, show_inet);
	one.body.id.idiag_cookie[0] = 12345;
	MUST(send(fd, &one, one.head.nlmsg_len, 0));
	answers(fd, show_inet);
	one.body.id.idiag_sport = htons(1);
	MUST(send(fd, &one, one.head.nlmsg_len, 0));
	answers(fd, show_inet);
	one.body.sdiag_family = 99;
	MUST(send(fd, &one, one.head.nlmsg_len, 0));
	answers(fd, show_inet);
	one.head.nlmsg_type = 99;
	MUST(send(fd, &one, one.head.nlmsg_len, 0));
	answers(fd, show_inet);

	struct sockaddr_un n = { .sun_family = AF_UNIX, .sun_path = "named" };
	int pair[2], x = name_it("unix listener", MUST(socket(AF_UNIX, SOCK_STREAM, 0)));
	MUST(bind(x, (void *)&n, sizeof n));
	MUST(listen(x, 5));
	int y = name_it("unix client", MUST(socket(AF_UNIX, SOCK_STREAM, 0)));
	MUST(connect(y, (void *)&n, sizeof n));
	name_it("unix server", MUST(accept(x, NULL, NULL)));
	int z = name_it("unix caller", MUST(socket(AF_UNIX, SOCK_STREAM, 0)));
	MUST(connect(z, (void *)&n, sizeof n));
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	name_it("unix pair", pair[0]), name_it("unix pair's other", pair[1]);
	MUST(send(pair[0], "hello", 5, 0));
	MUST(shutdown(pair[0], SHUT_WR));
	int d = name_it("unix datagrams", MUST(socket(AF_UNIX, SOCK_DGRAM, 0)));
	memset(n.sun_path, 0, sizeof n.sun_path);
	sprintf(n.sun_path + 1, "sock_diag.%u", getpid());
	MUST(bind(d, (void *)&n, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(n.sun_path + 1)));
	struct {
		struct nlmsghdr head;
		struct unix_diag_req body;
	} u = { { sizeof u, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 9, 0 },
		{ AF_UNIX, 0, 0, ~0u, 0, UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER | UDIAG_SHOW_ICONS | UDIAG_SHOW_RQLEN | UDIAG_SHOW_UID,
		  { ~0u, ~0u } } };
	for (int i = 0; i < count; i++)
		if (known[i].name[0] == 'u') {
			u.body.udiag_ino = inode(known[i].fd);
			MUST(send(fd, &u, sizeof u, 0));
			answers(fd, show_unix);
		}
	out("the listening one of all\n");
	u.head.nlmsg_flags |= NLM_F_DUMP;
	u.body.udiag_states = listening;
	u.body.udiag_show = 0;
	MUST(send(fd, &u, sizeof u, 0));
	answers(fd, show_unix);
	out("none\n");
	u.head.nlmsg_flags = NLM_F_REQUEST;
	u.body.udiag_ino = 1;
	MUST(send(fd, &u, sizeof u, 0));
	answers(fd, show_unix);
	u.body.udiag_ino = 0;
	MUST(send(fd, &u, sizeof u, 0));
	answers(fd, show_unix);
	u.body.udiag_ino = inode(x);
	u.body.udiag_cookie[0] = 1;
	u.body.udiag_cookie[1] = 77;
	MUST(send(fd, &u, sizeof u, 0));
	answers(fd, show_unix);
	return 0;
}

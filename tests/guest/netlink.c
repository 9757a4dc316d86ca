/* Route netlink: lo, its addresses and routes. bevor-test: user=both */
#include "t.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

static char buf[32768];

/* Sends a request and shows the first answer's head. */
static int ask(int fd, int type, int flags, int index)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg body;
	} request = { { sizeof request, type, NLM_F_REQUEST | flags, 77, 0 }, { .ifi_index = index } };
	MUST(send(fd, &request, sizeof request, 0));
	int len = recv(fd, buf, sizeof buf, 0);
	struct nlmsghdr *head = (void *)buf;
	out("type %d seq %d own %d", head->nlmsg_type, head->nlmsg_seq, head->nlmsg_pid != 0);
	if (head->nlmsg_type == NLMSG_ERROR)
		out(" error %d", ((struct nlmsgerr *)NLMSG_DATA(head))->error);
	out("\n");
	return len;
}

int main(void)
{
	struct sockaddr_nl own, from;
	socklen_t len = sizeof own;
	T(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE));
	T(socket(AF_NETLINK, SOCK_RAW, 31));
	T(socket(AF_NETLINK, SOCK_RAW, -1));
	int fd = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	int value;
	len = sizeof value;
	T(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &len));
	V(value);
	len = sizeof own;
	T(getsockname(fd, (void *)&own, &len));
	out("%u %d %d\n", len, own.nl_family, own.nl_pid);
	own = (struct sockaddr_nl){ .nl_family = AF_NETLINK };
	T(bind(fd, (void *)&own, 5));
	T(bind(fd, (void *)&own, sizeof own));
	len = sizeof own;
	getsockname(fd, (void *)&own, &len);
	CHECK(own.nl_pid == (unsigned)getpid());
	int second = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE);
	T(bind(second, (void *)&own, sizeof own));
	own.nl_pid = 0;
	T(bind(second, (void *)&own, sizeof own));
	len = sizeof own;
	getsockname(second, (void *)&own, &len);
	CHECK(own.nl_pid != 0 && own.nl_pid != (unsigned)getpid());
	T(recv(fd, buf, sizeof buf, MSG_DONTWAIT));

	/* One link, by number. */
	ask(fd, RTM_GETLINK, 0, if_nametoindex("lo"));
	struct ifinfomsg *link = NLMSG_DATA((struct nlmsghdr *)buf);
	out("link type %d up %d loopback %d\n", link->ifi_type, !!(link->ifi_flags & IFF_UP), !!(link->ifi_flags & IFF_LOOPBACK));
	struct nlmsghdr *head = (void *)buf;
	int left = IFLA_PAYLOAD(head);
	for (struct rtattr *at = IFLA_RTA(link); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		if (at->rta_type == IFLA_IFNAME)
			out("name %s\n", (char *)RTA_DATA(at));
		if (at->rta_type == IFLA_MTU)
			out("mtu %u\n", *(unsigned *)RTA_DATA(at));
		if (at->rta_type == IFLA_ADDRESS)
			out("address of %d bytes\n", (int)RTA_PAYLOAD(at));
	}
	ask(fd, RTM_GETLINK, 0, 999);
	ask(fd, RTM_GETLINK, NLM_F_ACK, 999);
	T(recv(fd, buf, sizeof buf, MSG_DONTWAIT));
	if (getuid())
		ask(fd, RTM_DELLINK, 0, 1);
	ask(fd, NLMSG_NOOP, NLM_F_ACK, 0);
	/* To a port nobody has. */
	from = (struct sockaddr_nl){ .nl_family = AF_NETLINK, .nl_pid = 999999999 };
	if (!getuid())
		T(sendto(fd, "x", 1, 0, (void *)&from, sizeof from));
	/* The whole list ends. */
	struct {
		struct nlmsghdr head;
		struct rtgenmsg body;
	} request = { { sizeof request, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 5, 0 }, { AF_INET } };
	MUST(send(fd, &request, sizeof request, 0));
	struct pollfd p = { fd, POLLIN };
	T(poll(&p, 1, 1000));
	int whole = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC);
	len = sizeof from;
	int got = recvfrom(fd, buf, sizeof buf, 0, (void *)&from, &len);
	CHECK(whole == got);
	out("from %u %d %d\n", len, from.nl_family, from.nl_pid);
	int found = 0, done = 0;
	for (;;) {
		left = got;
		for (head = (void *)buf; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
			if (head->nlmsg_seq != 5 || !(head->nlmsg_flags & NLM_F_MULTI))
				out("BAD head of an answer\n");
			if (head->nlmsg_type == NLMSG_DONE)
				done = 1;
			struct ifaddrmsg *address = NLMSG_DATA(head);
			if (head->nlmsg_type == RTM_NEWADDR && address->ifa_index == 1)
				found += address->ifa_prefixlen;
		}
		if (done)
			break;
		got = MUST(recv(fd, buf, sizeof buf, 0));
	}
	V(found);

	/* What libraries make of it. */
	struct ifaddrs *list;
	T(getifaddrs(&list));
	for (struct ifaddrs *at = list; at; at = at->ifa_next) {
		char text[64] = "";
		if (strcmp(at->ifa_name, "lo") || !at->ifa_addr)
			continue;
		if (at->ifa_addr->sa_family == AF_INET)
			inet_ntop(AF_INET, &((struct sockaddr_in *)at->ifa_addr)->sin_addr, text, sizeof text);
		if (at->ifa_addr->sa_family == AF_INET6)
			inet_ntop(AF_INET6, &((struct sockaddr_in6 *)at->ifa_addr)->sin6_addr, text, sizeof text);
		out("%s family %d %s\n", at->ifa_name, at->ifa_addr->sa_family, text);
	}
	freeifaddrs(list);
	struct if_nameindex *names = if_nameindex();
	V(names && names[0].if_index);
	return 0;
}

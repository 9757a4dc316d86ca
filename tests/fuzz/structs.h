/* Structures that system calls take, filled so that they get past the first check now and then. */
#pragma once
#include <arpa/inet.h>
#include <linux/aio_abi.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <netinet/in.h>
#include "values.h"

/* A place for a structure; whatever is not set is random. */
static void *room(word len) { return fill(one_in(4) ? arena + PAGE * (1 + below(ARENA - 1)) - len : arena + PAGE * below(ARENA - 2) + below(400) * 8, (len + 7) & -8UL); }

static word seconds(void)
{
	struct timespec *t = room(sizeof *t);
	if (!one_in(8))
		t->tv_sec = one_in(4), t->tv_nsec = below(3000000);
	return (word)t;
}

static word intervals(void)
{
	struct itimerspec *t = room(sizeof *t);
	if (!one_in(6))
		t->it_value = t->it_interval = (struct timespec){ 0, one_in(4) ? 0 : below(900000) };
	return (word)t;
}

static word sockaddr(word *len)
{
	struct sockaddr_storage *a = room(sizeof *a + 32);
	a->ss_family = PICK(AF_UNIX, AF_UNIX, AF_INET, AF_INET, AF_INET6, AF_NETLINK, AF_UNSPEC, AF_PACKET, 12, 255);
	word room = PICK(0, 1, 2, 3, 8, 12, 16, 20, 24, 28, 110, 110, 128, 129, sizeof *a);
	switch (a->ss_family) {
	case AF_UNIX:
		strcpy((char *)a + 2, names[below(14)]);
		if (one_in(3))
			((char *)a)[2] = 0;
		break;
	case AF_INET:
		((struct sockaddr_in *)a)->sin_port = htons(PICK(0, 2000, 2001, 2002, 80));
		((struct sockaddr_in *)a)->sin_addr.s_addr = htonl(PICK(0, INADDR_LOOPBACK, INADDR_LOOPBACK, INADDR_LOOPBACK + 1, INADDR_BROADCAST, 0xe0000001, 0x08080808));
		if (!one_in(4))
			room = 16;
		break;
	case AF_INET6: {
		struct sockaddr_in6 *six = (void *)a;
		six->sin6_port = htons(PICK(0, 2000, 2001, 2002));
		six->sin6_addr = one_in(3) ? in6addr_any : in6addr_loopback;
		if (one_in(4))
			memcpy(&six->sin6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
		six->sin6_scope_id = below(3);
		if (!one_in(4))
			room = 28;
		break;
	}
	case AF_NETLINK:
		((struct sockaddr_nl *)a)->nl_pid = PICK(0, 0, 1, getpid());
		((struct sockaddr_nl *)a)->nl_groups = flags();
		room = 12;
	}
	if (len)
		*len = room;
	return (word)a;
}

/* A netlink message with attributes of wrong and right lengths. */
static word netlink(char *at, word space)
{
	struct nlmsghdr *h = (void *)at;
	word len = 16 + PICK(0, 1, 8, 12, 16, 20, 28);
	fill(at, 512);
	h->nlmsg_type = one_in(6) ? below(64) : one_in(4) ? 20 : PICK(RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_NEWLINK, RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE, RTM_GETNEIGH, RTM_GETRULE, RTM_SETLINK, RTM_DELLINK, RTM_GETNSID);
	h->nlmsg_flags = PICK(1, 5, 0x301, 0x305, 0x600 | 5, 0xffff);
	at[16] = PICK(0, AF_INET, AF_INET6, AF_PACKET, 255);
	for (int n = below(5); n && len + 64 < space; n--) {
		struct rtattr *r = (void *)(at + len);
		r->rta_type = one_in(8) ? any() : below(40);
		r->rta_len = PICK(0, 3, 4, 5, 8, 8, 8, 12, 20, 36, 40, 65535);
		len += one_in(10) ? 4 : (r->rta_len < 64 ? (r->rta_len + 3) & ~3 : 8);
	}
	h->nlmsg_len = one_in(5) ? number() : len;
	return len;
}

static word vector(word *nr)
{
	word n = one_in(10) ? PICK(1024, 1025, 200) : 1 + below(4);
	struct iovec *v = room(sizeof *v * n);
	for (word i = 0; i < n; i++)
		v[i] = (struct iovec){ (void *)address(), one_in(8) ? size() : below(600) };
	if (one_in(4))
		v[0].iov_len = netlink(inside(), 400), v[0].iov_base = arena + PAGE * below(ARENA);
	*nr = one_in(8) ? number() : n;
	return (word)v;
}

static void message(struct msghdr *m)
{
	word len;
	m->msg_name = one_in(2) ? NULL : (void *)sockaddr(&len);
	m->msg_namelen = m->msg_name ? len : 0;
	if (one_in(3)) {
		char *at = arena + PAGE * below(ARENA - 2);
		struct iovec *v = room(sizeof *v);
		*v = (struct iovec){ at, netlink(at, 2000) };
		m->msg_iov = v;
		m->msg_iovlen = 1;
	} else {
		m->msg_iov = (void *)vector(&m->msg_iovlen);
	}
	m->msg_control = NULL;
	m->msg_controllen = 0;
	m->msg_flags = flags();
	if (one_in(3))
		return;
	char *at = arena + PAGE * below(ARENA - 4) + 8 * below(100);
	word total = 0;
	for (int n = 1 + below(3); n; n--) {
		struct cmsghdr *c = fill(at + total, 256);
		word data = PICK(0, 1, 4, 4, 8, 12, 12, 20, 40, 4 * 253, 4 * 254);
		c->cmsg_level = PICK(SOL_SOCKET, SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, SOL_NETLINK, SOL_PACKET, 255);
		c->cmsg_type = one_in(8) ? any() : below(70);
		if (c->cmsg_level == SOL_SOCKET && !one_in(3))
			c->cmsg_type = PICK(SCM_RIGHTS, SCM_CREDENTIALS, SCM_RIGHTS, 4);
		for (word i = 0; i < data / 4; i++)
			((int *)CMSG_DATA(c))[i] = c->cmsg_type == 2 && !one_in(4) ? (i == 0 ? getpid() : 0) : 3 + below(nr_fds);
		c->cmsg_len = one_in(6) ? number() : CMSG_LEN(data);
		total += CMSG_SPACE(data);
	}
	m->msg_control = at;
	m->msg_controllen = one_in(6) ? size() : total;
}

static word action(void)
{
	extern void on_signal(int, siginfo_t *, void *);
	word *a = room(32);
	a[0] = one_in(3) ? PICK(0, 1) : one_in(8) ? address() : (word)on_signal;
	a[1] = one_in(6) ? number() : 0x04000000 | SA_SIGINFO | PICK(0, SA_ONSTACK, SA_NODEFER, SA_RESTART, SA_RESETHAND, SA_ONSTACK | SA_NODEFER, SA_NOCLDWAIT);
	extern void restorer(void);
	a[2] = (word)restorer;
	a[3] = one_in(2) ? 0 : number();
	return (word)a;
}

/* A program of a seccomp or socket filter; mostly one that lets everything pass, or the loop would end. */
static word program(void)
{
	word n = 1 + below(8);
	struct sock_filter *f = room(8 * (n + 1));
	for (word i = 0; i < n; i++)
		f[i] = (struct sock_filter){ PICK(BPF_LD | BPF_W | BPF_ABS, BPF_LD | BPF_W | BPF_ABS, BPF_ALU | BPF_ADD | BPF_K, BPF_ALU | BPF_DIV | BPF_X, BPF_ALU | BPF_MOD | BPF_K, BPF_ALU | BPF_LSH | BPF_X,
						  BPF_JMP | BPF_JA, BPF_JMP | BPF_JEQ | BPF_K, BPF_JMP | BPF_JGT | BPF_X, BPF_ST, BPF_LDX | BPF_MEM, BPF_MISC | BPF_TAX, BPF_LD | BPF_IMM, BPF_LD | BPF_B | BPF_IND,
						  BPF_LDX | BPF_B | BPF_MSH, BPF_LD | BPF_W | BPF_LEN, BPF_RET | BPF_A),
					     below(3), below(3), PICK(0, 1, 4, 8, 16, 60, 64, 15, 32, 0xffffffff, 0xfffff000, 0x7fff0000) };
	f[n] = (struct sock_filter){ BPF_RET | BPF_K, 0, 0, PICK(SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW, SECCOMP_RET_LOG, SECCOMP_RET_ERRNO | 1, SECCOMP_RET_TRACE, SECCOMP_RET_USER_NOTIF) };
	struct sock_fprog *p = room(sizeof *p);
	p->len = one_in(8) ? number() : n + 1;
	p->filter = f;
	return (word)p;
}

static word event(void)
{
	struct sigevent *e = room(sizeof *e);
	e->sigev_notify = PICK(SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD_ID, SIGEV_THREAD, 7);
	e->sigev_signo = below(66);
	if (e->sigev_notify == SIGEV_THREAD_ID)
		e->_sigev_un._tid = process();
	if (one_in(2))
		e->sigev_value.sival_ptr = (void *)descriptor();
	return (word)e;
}

static word clone_args(word *len)
{
	struct clone_args *c = room(sizeof *c + 16);
	memset(c, 0, sizeof *c);
	c->flags = one_in(3) ? flags() : PICK(0, CLONE_PIDFD, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWNS | CLONE_FS, CLONE_VFORK, CLONE_CLEAR_SIGHAND, CLONE_FILES, CLONE_PARENT);
	c->exit_signal = PICK(0, SIGCHLD, SIGCHLD, 65, number());
	c->pidfd = address(), c->parent_tid = address(), c->child_tid = address();
	if (one_in(3))
		c->set_tid = address(), c->set_tid_size = below(5);
	if (one_in(4))
		fill((char *)c, sizeof *c);
	*len = PICK(64, 64, 80, 88, 88, 88, 96, 0, 4096, 4097);
	return (word)c;
}

/* Asynchronous requests and the list of their addresses. */
static word iocbs(void)
{
	struct iocb **list = room(8 * 4);
	for (int i = 0; i < 4; i++) {
		struct iocb *c = room(sizeof *c);
		c->aio_lio_opcode = below(9);
		c->aio_fildes = descriptor();
		c->aio_buf = address();
		c->aio_nbytes = size();
		c->aio_offset = one_in(3) ? number() : below(9000);
		c->aio_flags = below(4);
		c->aio_rw_flags = one_in(3) ? flags() : 0;
		c->aio_resfd = descriptor();
		c->aio_reserved2 = 0;
		list[i] = one_in(8) ? (void *)address() : c;
	}
	return (word)list;
}

/* Files and descriptors of every kind, for arguments to hit. */
#pragma once
#include <linux/landlock.h>
#include <mqueue.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include "structs.h"

/* A program that is no good, or hardly any. */
static void bad_program(const char *name)
{
	static char image[60000];
	int from = open("/bin/true", O_RDONLY), to = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0755);
	long len = read(from, image, sizeof image);
	if (len < 64)
		len = 64;
	if (one_in(4)) {
		len = sprintf(image, "#!%s %s\n", (const char *[]){ "/bin/sh", "./bin", "", "/nowhere", "/bin/true\t x", "dir" }[below(6)], one_in(2) ? "-c true" : "");
	} else {
		Elf64_Ehdr *e = (void *)image;
		for (int n = below(4); n; n--) {
			word at = one_in(2) ? below(64) : below(64 + 56 * 12);
			if (one_in(2)) {
				image[at] = any();
			} else {
				word value = number();
				memcpy(image + at / 8 * 8, &value, 8);
			}
		}
		if (one_in(4))
			len = below(len);
	}
	write(to, image, len);
	close(from);
	close(to);
}

static void connected(int family, int kind, int protocol)
{
	int server = socket(family, kind, protocol), client = socket(family, kind, protocol);
	struct sockaddr_storage a = { .ss_family = family };
	if (family == AF_INET)
		((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)&a)->sin6_addr = in6addr_loopback;
	socklen_t len = family == AF_INET ? 16 : 28;
	bind(server, (void *)&a, len);
	getsockname(server, (void *)&a, &len);
	if (kind == SOCK_STREAM)
		listen(server, 3);
	connect(client, (void *)&a, len);
	if (kind == SOCK_STREAM)
		fcntl(server, F_SETFL, O_NONBLOCK), accept(server, NULL, NULL);
}

/* Files in the current directory, then descriptors from 3 on. */
static void make_objects(void)
{
	mkdir("dir", 0755);
	symlink("dir/c", "link");
	symlink("loop", "loop");
	mkfifo("fifo", 0666);
	bad_program("bin");
	int fd = open("a", O_CREAT | O_RDWR, 0644);
	write(fd, arena, 5 * PAGE + 100);
	open("a", O_RDONLY);
	open("b", O_CREAT | O_RDWR | O_APPEND, 0644);
	open("dir/c", O_CREAT | O_WRONLY | O_NONBLOCK, 0600);
	open(".", O_RDONLY | O_DIRECTORY);
	open("dir", O_PATH);
	open("/", O_RDONLY);
	open("a", O_PATH);
	open("/proc/self/maps", O_RDONLY);
	open("/proc/self/mem", O_RDWR);
	open("/proc/self", O_RDONLY);
	open("/dev/null", O_RDWR);
	open("/dev/zero", O_RDWR);
	open("/dev/shm/x", O_CREAT | O_RDWR, 0600);
	int pair[2];
	pipe(pair);
	pipe2(pair, O_NONBLOCK);
	pipe2(pair, O_DIRECT);
	open("fifo", O_RDWR | O_NONBLOCK);
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair);
	socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
	struct sockaddr_un name = { AF_UNIX, "sock" };
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bind(fd, (void *)&name, sizeof name);
	listen(fd, 3);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	connect(fd, (void *)&name, sizeof name);
	connected(AF_INET, SOCK_STREAM, 0);
	connected(AF_INET6, SOCK_STREAM, 0);
	connected(AF_INET, SOCK_DGRAM, 0);
	connected(AF_INET6, SOCK_DGRAM, 0);
	socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	socket(AF_INET6, SOCK_RAW, 58);
	socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	socket(AF_PACKET, SOCK_RAW, htons(3));
	socket(AF_PACKET, SOCK_DGRAM, htons(0x800));
	socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	socket(AF_NETLINK, SOCK_RAW, 4);
	socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK, 15);
	int poll = epoll_create1(0), inner = epoll_create1(0), counter = eventfd(1, 0);
	struct epoll_event want = { EPOLLIN | EPOLLET };
	epoll_ctl(poll, EPOLL_CTL_ADD, inner, &want);
	epoll_ctl(inner, EPOLL_CTL_ADD, counter, &want);
	epoll_ctl(poll, EPOLL_CTL_ADD, counter, &want);
	eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	struct itimerspec often = { { 0, 1000000 }, { 0, 1000000 } };
	timerfd_settime(fd, 0, &often, NULL);
	sigset_t set;
	sigfillset(&set);
	signalfd(-1, &set, SFD_NONBLOCK);
	fd = inotify_init1(IN_NONBLOCK);
	inotify_add_watch(fd, ".", IN_ALL_EVENTS);
	fd = memfd_create("m", MFD_ALLOW_SEALING);
	ftruncate(fd, 3 * PAGE);
	memfd_create("n", 0);
	syscall(SYS_pidfd_open, getpid(), 0);
	syscall(SYS_pidfd_open, getppid(), 0);
	struct mq_attr attr = { .mq_maxmsg = 3, .mq_msgsize = 64 };
	mq_open("/queue", O_CREAT | O_RDWR | O_NONBLOCK, 0600, &attr);
	fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	grantpt(fd);
	unlockpt(fd);
	open(ptsname(fd) ?: "/nowhere", O_RDWR | O_NOCTTY | O_NONBLOCK);
	struct landlock_ruleset_attr rules = { .handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE };
	syscall(SYS_landlock_create_ruleset, &rules, 8, 0);
	syscall(SYS_fsopen, "tmpfs", 0);
	fd = syscall(SYS_fsopen, "tmpfs", 0);
	syscall(SYS_fsconfig, fd, 6, NULL, NULL, 0);
	syscall(SYS_fsmount, fd, 0, 0);
	syscall(SYS_open_tree, AT_FDCWD, ".", 1);
	open("/proc/self/ns/mnt", O_RDONLY);
	open("/proc/self/ns/user", O_RDONLY);
	open("/proc/self/ns/net", O_RDONLY);
	fd = dup(3);
	nr_fds = fd + 1;
	shmget(1, 2 * PAGE, IPC_CREAT | 0600);
	semget(1, 3, IPC_CREAT | 0600);
	msgget(1, IPC_CREAT | 0600);
}

/* The arena: mostly open, with a page here and there that is not. */
static void make_memory(void)
{
	arena = mmap(NULL, ARENA * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (word page = 8; page < ARENA; page += 1 + below(12)) {
		char *at = arena + PAGE * page;
		switch (below(4)) {
		case 0: munmap(at, PAGE); break;
		case 1: mprotect(at, PAGE, PROT_NONE); break;
		case 2: mprotect(at, PAGE, PROT_READ); break;
		default: mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		}
	}
	int fd = memfd_create("short", 0);
	ftruncate(fd, 100);
	past_end = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

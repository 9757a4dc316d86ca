/* Random numbers and the plain values: numbers, flags, addresses, names. */
#pragma once
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

typedef unsigned long word;
#define COUNT(a) (sizeof(a) / sizeof *(a))
#define ARENA 64 /* pages */
#define PAGE 4096UL

/* Each thread has its own sequence, so that it is the same every time. */
static __thread word state;
static word mix(word x)
{
	x += 0x9e3779b97f4a7c15UL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9UL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebUL;
	return x ^ x >> 31;
}
static word any(void) { return state = mix(state); }
static word below(word n) { return any() % n; }
static int one_in(word n) { return below(n) == 0; }
#define PICK(...) ({ const word list[] = { __VA_ARGS__ }; list[below(COUNT(list))]; })

/* Memory that arguments lie in: mostly plain, with read-only, closed and torn-out pages, shared by all threads. */
static char *arena;
/* One page of a file that is shorter, one page of code that can be written, the counter of the sandbox. */
static char *past_end, *code;
static volatile word *done;
static int nr_fds;
static pid_t pids[8];
/* Whether this process mostly gives sound arguments, and so gets further into each call. */
static int tame;

static word number(void)
{
	switch (below(12)) {
	case 0: return 0;
	case 1: return -1UL;
	case 2: return below(8);
	case 3: return below(64);
	case 4: return below(4096);
	case 5: return 1UL << below(64);
	case 6: return (1UL << below(64)) - 1;
	case 7: return -below(4096);
	case 8: return PICK(INT_MAX, (word)INT_MIN, UINT_MAX, LONG_MAX, (word)LONG_MIN, 1UL << 32, 0x7fffffffUL - 4095, 0xfffffffffffff000UL, 0x7ffffffffffff000UL);
	case 9: return PAGE * below(ARENA);
	case 10: return any() >> below(64);
	default: return any();
	}
}

static word size(void)
{
	if (tame && !one_in(16))
		return one_in(2) ? below(300) : PAGE * below(5);
	switch (below(10)) {
	case 0: return 0;
	case 1: return below(16);
	case 2: case 3: case 4: return PICK(1, 4, 8, 12, 16, 24, 32, 40, 48, 56, 64, 72, 88, 100, 112, 128, 136, 144, 256);
	case 5: return PAGE * below(20);
	case 6: return PAGE * below(20) + PICK(-1UL, 1);
	case 7: return below(70000);
	case 8: return one_in(4) ? PICK(1 << 20, 1 << 24, 1UL << 30, INT_MAX, 1UL << 31, UINT_MAX, 1UL << 32, 1UL << 47, LONG_MAX, -1UL, -4096UL) : 8;
	default: return number();
	}
}

static word flags(void)
{
	if (tame && !one_in(4))
		return one_in(4) ? 1UL << below(16) : 0;
	switch (below(8)) {
	case 0: case 1: case 2: return 0;
	case 3: return 1UL << below(24);
	case 4: return below(16);
	case 5: return 1UL << below(24) | 1UL << below(24) | 1UL << below(24);
	case 6: return 1UL << below(32) | below(8);
	default: return number();
	}
}

/* An address inside the arena. */
static char *inside(void)
{
	char *page = arena + PAGE * below(ARENA);
	switch (below(6)) {
	case 0: return page + PAGE - below(64);
	case 1: return page + below(PAGE);
	case 2: return page;
	default: return page + below(PAGE / 8) * 8;
	}
}

static word address(void)
{
	if (tame && !one_in(24))
		return (word)inside();
	switch (below(24)) {
	case 0: return 0;
	case 1: return PICK(1, 8, 4095, 4096, 65536);
	case 2: return 0xffff800000000000UL + below(1 << 20);
	case 3: return PICK(0x800000000000UL, 0x7fffffffffffUL, 0x7ffffffff000UL, 0x7fffffffeff8UL, 0x0000800000000000UL - 4097);
	case 4: return PICK(-1UL, -8UL, -4096UL, 0xffffffffff600000UL, 0xffffffffff600400UL, 0x8000000000000000UL);
	case 5: return (word)code + below(PAGE);
	case 6: return (word)past_end + below(2 * PAGE);
	case 7: return (word)__builtin_frame_address(0) + below(256);
	case 8: return (word)&address;
	case 9: return one_in(4) ? number() : (word)environ;
	default: return (word)inside();
	}
}

static word descriptor(void)
{
	if (tame && !one_in(24))
		return 3 + below(nr_fds - 3);
	switch (below(16)) {
	case 0: return PICK(-1UL, (word)AT_FDCWD, -2UL, (word)-10002, (word)-10003);
	case 1: return number();
	case 2: return below(1024);
	default: return 3 + below(nr_fds + 6);
	}
}

static word process(void)
{
	switch (below(12)) {
	case 0: return 0;
	case 1: return one_in(3) ? -1UL : getpid();
	case 2: return -getpid();
	case 3: return getpid();
	case 4: return getppid();
	case 5: return gettid();
	case 6: return 2 + below(20);
	case 7: return one_in(2) ? number() : 1;
	default: return pids[below(COUNT(pids))];
	}
}

static const char *const names[] = {
	"a", "b", "dir", "dir/c", "dir/d", "link", "fifo", "sock", "loop", "bin", "dir/", "..", ".", "", "/", "/tmp", "/dev/null", "/dev/zero", "/dev/full",
	"/dev/random", "/dev/tty", "/dev/ptmx", "/dev/pts", "/dev/pts/0", "/dev/shm", "/dev/shm/x", "/dev/mqueue", "/dev/fd/3", "/dev/stdin",
	"/proc", "/proc/self", "/proc/self/mem", "/proc/self/maps", "/proc/self/smaps", "/proc/self/status", "/proc/self/stat", "/proc/self/fd", "/proc/self/fd/3",
	"/proc/self/fd/7", "/proc/self/fd/12", "/proc/self/fdinfo/5", "/proc/self/exe", "/proc/self/cwd", "/proc/self/root", "/proc/self/task", "/proc/self/ns/mnt", "/proc/self/ns/user",
	"/proc/self/ns/pid", "/proc/self/ns/net", "/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups", "/proc/self/oom_score_adj", "/proc/self/comm",
	"/proc/self/pagemap", "/proc/self/clear_refs", "/proc/self/auxv", "/proc/self/environ", "/proc/self/mountinfo", "/proc/self/mounts", "/proc/self/limits",
	"/proc/self/timers", "/proc/self/loginuid", "/proc/self/timens_offsets", "/proc/self/coredump_filter", "/proc/self/syscall", "/proc/self/wchan",
	"/proc/thread-self", "/proc/1/root", "/proc/stat", "/proc/meminfo", "/proc/sys/kernel/hostname", "/proc/sys/vm/overcommit_memory", "/proc/sys/net/core/somaxconn",
	"/proc/sys/kernel/shmmax", "/proc/sys/kernel/sem", "/proc/sys/fs/mqueue/msg_max", "/proc/net/tcp", "/proc/net/unix", "/proc/net/route", "/proc/sysvipc/shm", "/proc/locks",
	"/sys", "/sys/class/net/lo/mtu", "/sys/fs/cgroup", "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory.max", "/etc/passwd", "/bin/true", "/bin/sh", "/usr", "/nowhere",
};

static word text(void)
{
	static const char *const words[] = {
		"tmpfs", "proc", "sysfs", "devpts", "mqueue", "overlay", "cgroup2", "ramfs", "devtmpfs", "ext4", "nsfs", "source", "size", "mode", "uid", "gid",
		"nr_inodes", "huge", "newinstance", "ptmxmode", "hidepid", "subset", "lowerdir", "lowerdir+", "upperdir", "workdir", "ro", "rw", "noexec", "flag", "inode64", "mpol",
		"size=1M", "size=10%,mode=755", "nr_inodes=3,size=99999999999999999999", "mode=0999", "uid=-1", "hidepid=2,gid=5", "lowerdir=/tmp:dir,upperdir=dir,workdir=dir", "mpol=bind:0-9",
		"lowerdir=dir::dir", "ptmxmode=777,newinstance,max=1", "size=,mode=,,", "=", ",", "user.x", "user.", "trusted.y", "security.capability", "system.posix_acl_access",
		"system.posix_acl_default", "security.selinux", "user.overlay.opaque", "/queue", "/q2", "queue", "/a/b", "keyring", "user", "logon", "big_key", "%s%n", "lo", "eth0", "",
	};
	if (one_in(8))
		return address();
	char *at = inside();
	if (one_in(12)) {
		word len = PICK(1, 14, 15, 16, 100, 254, 255, 256, 257, 1023, 4094, 4095, 4096, 5000, 65537);
		at = arena + below(40) * PAGE;
		memset(at, "ax/,=\xff%."[below(8)], len);
		at[len] = 0;
		return (word)at;
	}
	const char *from = words[below(COUNT(words))];
	memcpy(at, from, strlen(from) + 1);
	if (one_in(12))
		at[below(strlen(from) + 1)] = any();
	return (word)at;
}

static word path(void)
{
	if (one_in(12))
		return one_in(2) ? address() : text();
	char *at = inside();
	const char *from = names[below(one_in(3) ? COUNT(names) : 14)];
	if (one_in(8))
		sprintf(at, "/proc/%d/%s", pids[below(COUNT(pids))], (const char *[]){ "mem", "maps", "fd", "stat", "status", "root/tmp", "exe", "ns/mnt", "task", "syscall", "fdinfo/3", "environ" }[below(12)]);
	else
		strcpy(at, from);
	return (word)at;
}

/* Fills memory with words that mean something: numbers, descriptors, addresses. */
static char *fill(char *at, word len)
{
	for (word i = 0; i + 8 <= len; i += 8) {
		word value;
		switch (below(8)) {
		case 0: case 1: value = 0; break;
		case 2: value = address(); break;
		case 3: value = descriptor() << 32 | (unsigned)descriptor(); break;
		case 4: value = number() << 32 | (unsigned)number(); break;
		case 5: value = size(); break;
		case 6: value = flags(); break;
		default: value = number();
		}
		memcpy(at + i, &value, 8);
	}
	return at;
}

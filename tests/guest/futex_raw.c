/* futex operations without the C library. bevor-test: waits=reloaded */
#include "t.h"
#include <linux/futex.h>

static uint32_t word, second;
static volatile int ready;

static long futex(uint32_t *at, int op, uint32_t value, const struct timespec *timeout, uint32_t *at2, uint32_t value3)
{
	return syscall(SYS_futex, at, op, value, timeout, at2, value3);
}

static long futex2(uint32_t *at, int op, uint32_t value, long value2, uint32_t *at2, uint32_t value3)
{
	return syscall(SYS_futex, at, op, value, value2, at2, value3);
}

struct waiter {
	pthread_t thread;
	pid_t tid;
	uint32_t *at;
	uint32_t bits;
	long result;
	int error;
};

static void *wait_body(void *arg)
{
	struct waiter *w = arg;
	__atomic_store_n(&w->tid, syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	w->result = futex(w->at, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, *w->at, NULL, NULL, w->bits);
	w->error = errno;
	return NULL;
}

static void start(struct waiter *w, uint32_t *at, uint32_t bits)
{
	*w = (struct waiter){ .at = at, .bits = bits };
	pthread_create(&w->thread, NULL, wait_body, w);
	while (!__atomic_load_n(&w->tid, __ATOMIC_SEQ_CST))
		sched_yield();
	wait_state(getpid(), w->tid, 'S');
}

static void finish(struct waiter *w)
{
	pthread_join(w->thread, NULL);
	out("waiter: %ld %s\n", w->result, w->result ? errname(w->error) : "");
}

static void on_signal(int sig, siginfo_t *info, void *context) {}

static void *pi_body(void *arg)
{
	long locked = futex(arg, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
	long mine = (*(uint32_t *)arg & FUTEX_TID_MASK) == syscall(SYS_gettid);
	long unlocked = futex(arg, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
	return (void *)(locked * 4 + mine * 2 + unlocked);
}

static struct robust_list_head head;
static struct { struct robust_list list; uint32_t word; } node;

static void *robust_body(void *arg)
{
	head.list.next = &node.list;
	head.futex_offset = (char *)&node.word - (char *)&node.list;
	node.list.next = &head.list;
	syscall(SYS_set_robust_list, &head, sizeof head);
	node.word = syscall(SYS_gettid);
	if (arg)
		node.word |= FUTEX_WAITERS;
	return NULL;
}

static void *clear_tid_body(void *arg)
{
	syscall(SYS_set_tid_address, arg);
	syscall(SYS_exit, 0);
	return NULL;
}

int main(void)
{
	struct timespec soon = { 0, 5000000 }, bad = { 0, 2000000000 }, negative = { -1, 0 }, now;
	T(futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0));
	T(futex(&word, FUTEX_WAIT, 0, &soon, NULL, 0));
	T(futex(&word, FUTEX_WAIT, 0, &bad, NULL, 0));
	T(futex(&word, FUTEX_WAIT, 0, &negative, NULL, 0));
	T(futex((uint32_t *)((char *)&word + 1), FUTEX_WAIT, 0, &soon, NULL, 0));
	T(futex((uint32_t *)8, FUTEX_WAIT, 0, &soon, NULL, 0));
	T(futex(NULL, FUTEX_WAIT, 0, &soon, NULL, 0));
	T(futex(&word, FUTEX_WAIT_BITSET, 0, &soon, NULL, 0));
	clock_gettime(CLOCK_REALTIME, &now);
	T(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &now, NULL, 1));
	clock_gettime(CLOCK_MONOTONIC, &now);
	T(futex(&word, FUTEX_WAIT_BITSET, 0, &now, NULL, 1));
	T(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
	T(futex((uint32_t *)8, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
	T(futex((uint32_t *)9, FUTEX_WAKE, 1, NULL, NULL, 0));
	T(futex(&word, 99, 1, NULL, NULL, 0));

	struct waiter w[6];
	for (int i = 0; i < 3; i++)
		start(&w[i], &word, ~0U);
	T(futex(&word, FUTEX_WAKE, 100, NULL, NULL, 0));
	T(futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
	T(futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 100, NULL, NULL, 0));
	for (int i = 0; i < 3; i++)
		finish(&w[i]);
	/* Bit sets choose. */
	start(&w[0], &word, 1);
	start(&w[1], &word, 2);
	start(&w[2], &word, 6);
	T(futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 100, NULL, NULL, 8));
	T(futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 100, NULL, NULL, 2));
	finish(&w[1]);
	finish(&w[2]);
	T(futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 100, NULL, NULL, 0));
	T(futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 100, NULL, NULL, 0));
	finish(&w[0]);
	/* Requeue. */
	for (int i = 0; i < 5; i++)
		start(&w[i], &word, ~0U);
	T(futex2(&word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, 2, &second, 55));
	T(futex2(&word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, 2, &second, 0));
	T(futex(&second, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 100, NULL, NULL, 0));
	T(futex2(&word, FUTEX_REQUEUE | FUTEX_PRIVATE_FLAG, 0, 100, &second, 0));
	T(futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 100, NULL, NULL, 0));
	T(futex(&second, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 100, NULL, NULL, 0));
	for (int i = 0; i < 5; i++)
		finish(&w[i]);
	/* Wake-op: set the second word to 5, wake there only if it was 0. */
	start(&w[0], &word, ~0U);
	start(&w[1], &second, ~0U);
	T(futex2(&word, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 10, 10, &second,
		 FUTEX_OP(FUTEX_OP_SET, 5, FUTEX_OP_CMP_EQ, 0)));
	V(second);
	finish(&w[0]);
	finish(&w[1]);
	T(futex2(&word, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 10, 10, &second,
		 FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_GT, 4)));
	V(second);
	T(futex2(&word, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 1, 1, &second,
		 FUTEX_OP(FUTEX_OP_ANDN | FUTEX_OP_OPARG_SHIFT, 3, FUTEX_OP_CMP_NE, 8)));
	V(second);
	second = 0;
	/* A signal interrupts the wait; with SA_RESTART it goes on. */
	handle(SIGUSR1, on_signal, 0);
	handle(SIGUSR2, on_signal, SA_RESTART);
	start(&w[0], &word, ~0U);
	pthread_kill(w[0].thread, SIGUSR2);
	sleep_ms(5);
	wait_state(getpid(), w[0].tid, 'S');
	pthread_kill(w[0].thread, SIGUSR1);
	finish(&w[0]);
	/* Shared futexes: by what they are, not by where they are mapped. */
	int fd = memfd_create("f", 0);
	ftruncate(fd, 4096);
	uint32_t *a = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint32_t *b = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(futex(a, FUTEX_WAIT, 0, NULL, NULL, 0) ? 1 : 0);
	wait_state(pid, pid, 'S');
	T(futex(b, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
	T(futex(b, FUTEX_WAKE, 1, NULL, NULL, 0));
	reap("other mapping", pid);
	/* Private memory: fork separates. */
	pid = fork();
	if (pid == 0)
		_exit(futex(&word, FUTEX_WAIT, 0, &(struct timespec){ 0, 100000000 }, NULL, 0) ? 1 : 0);
	wait_state(pid, pid, 'S');
	T(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
	reap("separate", pid);

	/* Priority inheritance. */
	uint32_t pi = 0;
	T(futex(&pi, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
	CHECK(pi == (uint32_t)syscall(SYS_gettid));
	T(futex(&pi, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
	T(futex(&pi, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
	pthread_t thread;
	pthread_create(&thread, NULL, pi_body, &pi);
	while (!(__atomic_load_n(&pi, __ATOMIC_SEQ_CST) & FUTEX_WAITERS))
		sched_yield();
	T(futex(&pi, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
	void *result;
	pthread_join(thread, &result);
	V(result);
	T(futex(&pi, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
	V(pi);
	pi = 999999;
	T(futex(&pi, FUTEX_LOCK_PI, 0, NULL, NULL, 0));

	/* Robust lists. */
	pthread_create(&thread, NULL, robust_body, NULL);
	pthread_join(thread, NULL);
	out("%x\n", node.word & ~FUTEX_TID_MASK);
	V(node.word & FUTEX_TID_MASK);
	start(&w[0], &node.word, ~0U);
	out("woken by no one\n");
	futex(&node.word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
	finish(&w[0]);
	struct robust_list_head *got;
	size_t len;
	T(syscall(SYS_get_robust_list, 0, &got, &len));
	V(len);
	T(syscall(SYS_set_robust_list, &head, 5));
	/* The thread id word is cleared and woken at the end of a thread. */
	volatile uint32_t tid_word = 1;
	pthread_create(&thread, NULL, clear_tid_body, (void *)&tid_word);
	while (tid_word)
		futex((uint32_t *)&tid_word, FUTEX_WAIT, 1, &soon, NULL, 0);
	V(tid_word);

	/* futex_waitv */
	struct futex_waitv v[3] = {
		{ 0, (uintptr_t)&word, FUTEX_32 | FUTEX_PRIVATE_FLAG, 0 },
		{ 0, (uintptr_t)&second, FUTEX_32 | FUTEX_PRIVATE_FLAG, 0 },
		{ 1, (uintptr_t)&pi, FUTEX_32 | FUTEX_PRIVATE_FLAG, 0 },
	};
	clock_gettime(CLOCK_MONOTONIC, &now);
	T(syscall(SYS_futex_waitv, v, 3, 0, &now, CLOCK_MONOTONIC));
	T(syscall(SYS_futex_waitv, v, 2, 0, &now, CLOCK_MONOTONIC));
	T(syscall(SYS_futex_waitv, v, 0, 0, &now, CLOCK_MONOTONIC));
	T(syscall(SYS_futex_waitv, v, 200, 0, &now, CLOCK_MONOTONIC));
	T(syscall(SYS_futex_waitv, v, 2, 1, &now, CLOCK_MONOTONIC));
	v[1].flags = 0;
	T(syscall(SYS_futex_waitv, v, 2, 0, &now, CLOCK_MONOTONIC));
	v[1].flags = FUTEX_32;
	v[1].val = 0;
	v[1].uaddr = (uintptr_t)a;
	pid = fork();
	if (pid == 0)
		_exit(100 + syscall(SYS_futex_waitv, v, 2, 0, NULL, 0));
	wait_state(pid, pid, 'S');
	T(futex(a, FUTEX_WAKE, 1, NULL, NULL, 0));
	reap("waitv index", pid);
	return 0;
}

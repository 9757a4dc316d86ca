/* POSIX threads: mutexes, conditions, barriers, locks, keys, TLS. bevor-test: user=both */
#include "t.h"
#include <semaphore.h>

#define N 8

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static sem_t sem;
static long counter, turn, serial, readers, wrong;
static __thread long own = 7;
static pthread_key_t key;
static long destroyed;
static void destroy(void *value) { __atomic_add_fetch(&destroyed, (long)value, __ATOMIC_SEQ_CST); }

static void all(void *(*body)(void *))
{
	pthread_t threads[N];
	for (long i = 0; i < N; i++)
		if (pthread_create(&threads[i], NULL, body, (void *)i))
			out("BAD create\n");
	for (long i = 0; i < N; i++) {
		void *result = NULL;
		pthread_join(threads[i], &result);
		if (result != (void *)(i * 10))
			out("BAD result\n");
	}
}

static void *add(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		pthread_mutex_lock(&mutex);
		counter++;
		pthread_mutex_unlock(&mutex);
	}
	return (void *)((long)arg * 10);
}

static void *take_turns(void *arg)
{
	for (int round = 0; round < 50; round++) {
		pthread_mutex_lock(&mutex);
		while (turn % N != (long)arg)
			pthread_cond_wait(&cond, &mutex);
		turn++;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
	}
	return (void *)((long)arg * 10);
}

static void *meet(void *arg)
{
	for (int round = 0; round < 100; round++) {
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			__atomic_add_fetch(&serial, 1, __ATOMIC_SEQ_CST);
	}
	return (void *)((long)arg * 10);
}

static void *read_write(void *arg)
{
	static long a, b;
	for (int i = 0; i < 2000; i++) {
		if ((i + (long)arg) % 10 == 0) {
			pthread_rwlock_wrlock(&rwlock);
			a++;
			b++;
			pthread_rwlock_unlock(&rwlock);
		} else {
			pthread_rwlock_rdlock(&rwlock);
			if (a != b)
				wrong++;
			pthread_rwlock_unlock(&rwlock);
		}
	}
	return (void *)((long)arg * 10);
}

static void *local(void *arg)
{
	if (own != 7)
		wrong++;
	own = (long)arg;
	pthread_setspecific(key, (void *)(1L << (long)arg));
	for (int i = 0; i < 100; i++) {
		sched_yield();
		if (own != (long)arg || errno == 12345)
			wrong++;
	}
	return (void *)((long)arg * 10);
}

static void *with_sem(void *arg)
{
	sem_wait(&sem);
	long now = __atomic_add_fetch(&readers, 1, __ATOMIC_SEQ_CST);
	if (now > 3)
		wrong++;
	sched_yield();
	__atomic_sub_fetch(&readers, 1, __ATOMIC_SEQ_CST);
	sem_post(&sem);
	return (void *)((long)arg * 10);
}

static void *identity(void *arg)
{
	pid_t tid = syscall(SYS_gettid);
	if (tid == getpid() || getppid() != *(pid_t *)arg)
		wrong++;
	return NULL;
}

static void *until_cancelled(void *arg)
{
	pthread_cleanup_push(destroy, (void *)1000);
	for (;;)
		read(*(int *)arg, &arg, 1);
	pthread_cleanup_pop(0);
}

static void *nested(void *arg)
{
	long depth = (long)arg;
	if (depth == 0)
		return NULL;
	pthread_t thread;
	pthread_create(&thread, NULL, nested, (void *)(depth - 1));
	void *below;
	pthread_join(thread, &below);
	return (void *)((long)below + 1);
}

int main(void)
{
	all(add);
	V(counter);
	all(take_turns);
	V(turn);
	pthread_barrier_init(&barrier, NULL, N);
	all(meet);
	V(serial);
	all(read_write);
	V(wrong);
	pthread_key_create(&key, destroy);
	all(local);
	V(destroyed);
	V(own);
	sem_init(&sem, 0, 3);
	all(with_sem);
	V(wrong);
	pid_t parent = getppid();
	pthread_t thread;
	pthread_create(&thread, NULL, identity, &parent);
	pthread_join(thread, NULL);
	V(wrong);
	void *depth;
	pthread_create(&thread, NULL, nested, (void *)50L);
	pthread_join(thread, &depth);
	V((long)depth);

	/* Cancelling a blocked thread. */
	int p[2];
	pipe(p);
	pthread_create(&thread, NULL, until_cancelled, p);
	sleep_ms(10);
	pthread_cancel(thread);
	void *result;
	pthread_join(thread, &result);
	V(result == PTHREAD_CANCELED);
	V(destroyed);
	/* Timeouts. */
	struct timespec when;
	clock_gettime(CLOCK_REALTIME, &when);
	when.tv_nsec += 5000000;
	if (when.tv_nsec >= 1000000000)
		when.tv_sec++, when.tv_nsec -= 1000000000;
	pthread_mutex_lock(&mutex);
	out("%s\n", errname(pthread_cond_timedwait(&cond, &mutex, &when)));
	out("%s\n", errname(pthread_mutex_timedlock(&mutex, &when)));
	out("%s\n", errname(pthread_mutex_trylock(&mutex)));
	pthread_mutex_unlock(&mutex);
	sem_t empty;
	sem_init(&empty, 0, 0);
	T(sem_timedwait(&empty, &when));
	T(sem_trywait(&empty));
	/* Kinds of mutexes. */
	pthread_mutexattr_t attr;
	pthread_mutex_t special;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&special, &attr);
	pthread_mutex_lock(&special);
	out("%s\n", errname(pthread_mutex_lock(&special)));
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&special, &attr);
	out("%s\n", errname(pthread_mutex_lock(&special)));
	out("%s\n", errname(pthread_mutex_lock(&special)));
	out("%s\n", errname(pthread_mutex_unlock(&special)));
	/* A process-shared mutex and condition in shared memory. */
	struct shared { pthread_mutex_t mutex; pthread_cond_t cond; int state; } *shared =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&shared->mutex, &attr);
	pthread_condattr_t cattr;
	pthread_condattr_init(&cattr);
	pthread_condattr_setpshared(&cattr, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&shared->cond, &cattr);
	pid_t pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 100; i++) {
			pthread_mutex_lock(&shared->mutex);
			while (shared->state % 2 == 0)
				pthread_cond_wait(&shared->cond, &shared->mutex);
			shared->state++;
			pthread_cond_signal(&shared->cond);
			pthread_mutex_unlock(&shared->mutex);
		}
		pthread_mutex_lock(&shared->mutex);
		_exit(0);
	}
	for (int i = 0; i < 100; i++) {
		pthread_mutex_lock(&shared->mutex);
		while (shared->state % 2 == 1)
			pthread_cond_wait(&shared->cond, &shared->mutex);
		shared->state++;
		pthread_cond_signal(&shared->cond);
		pthread_mutex_unlock(&shared->mutex);
	}
	reap("partner", pid);
	V(shared->state);
	/* It died with the lock. */
	out("%s\n", errname(pthread_mutex_lock(&shared->mutex)));
	out("%s\n", errname(pthread_mutex_consistent(&shared->mutex)));
	out("%s\n", errname(pthread_mutex_unlock(&shared->mutex)));
	out("%s\n", errname(pthread_mutex_lock(&shared->mutex)));
	/* fork in a process with threads takes one along. */
	pthread_create(&thread, NULL, until_cancelled, p);
	CHILD("only the caller", out("%d\n", access("/proc/self/task", R_OK)); pthread_t t; int e = pthread_create(&t, NULL, nested, (void *)3L); pthread_join(t, NULL); _exit(e));
	/* Many short-lived ones. */
	for (int i = 0; i < 500; i++) {
		pthread_create(&thread, NULL, nested, NULL);
		if (i % 2)
			pthread_join(thread, NULL);
		else
			pthread_detach(thread);
	}
	out("done\n");
	return 0;
}

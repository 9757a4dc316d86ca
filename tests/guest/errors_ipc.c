/* Errors of System V shared memory, semaphores and messages, and of POSIX message queues. bevor-test: user=both */
#include "provoke.h"
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

struct message { long type; char text[100]; };

static int key;

static void shared_memory(void)
{
	struct shmid_ds ds;
	int id = E(shmget, "fine", key, 8192L, IPC_CREAT | 0600);
	E(shmget, "there already", key, 8192L, IPC_CREAT | IPC_EXCL | 0600);
	E(shmget, "no such key", key + 1, 8192L, 0);
	E(shmget, "no size", IPC_PRIVATE, 0L, IPC_CREAT | 0600);
	E(shmget, "larger than it is", key, 81920L, 0);
	long at = E(shmat, "fine", id, NULL, 0);
	E(shmat, "not aligned", id, 0x200000005, 0);
	E(shmat, "no such id", -1, NULL, 0);
	E(shmdt, "fine", at);
	E(shmdt, "nothing there", at);
	E(shmctl, "fine", id, IPC_STAT, &ds);
	E(shmctl, "no such id", -1, IPC_STAT, &ds);
	E(shmctl, "no such command", id, 99, &ds);
	E(shmctl, "bad address", id, IPC_STAT, NOWHERE);
	CHILD("no room",
	      setrlimit(RLIMIT_AS, &(struct rlimit){ 4096, 4096 });
	      E(shmat, "limit", id, NULL, 0));
	CHILD("huge pages",
	      become_nobody();
	      setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ 0, 0 });
	      E(shmget, "huge pages without the right", IPC_PRIVATE, 2L << 20, IPC_CREAT | SHM_HUGETLB | 0600));
	if (getuid() == 0)
		CHILD("as nobody",
		      become_nobody();
		      E(shmget, "of another user", key, 0L, 0600);
		      E(shmat, "of another user", id, NULL, 0);
		      E(shmctl, "of another user", id, IPC_STAT, &ds);
		      E(shmctl, "of another user", id, IPC_RMID, NULL));
	E(shmctl, "fine", id, IPC_RMID, NULL);
	E(shmat, "removed", id, NULL, 0);
	E(shmctl, "removed", id, IPC_STAT, &ds);
	if (getuid() == 0)
		CHILD("many",
		      MUST(unshare(CLONE_NEWIPC));
		      for (int i = 0; i < 4096; i++)
			      MUST(shmget(IPC_PRIVATE, 1, 0600));
		      E(shmget, "too many", IPC_PRIVATE, 1L, 0600));
}

static void semaphores(void)
{
	struct semid_ds ds;
	unsigned short values[3] = { 1, 2, 3 };
	struct sembuf up = { 0, 1, 0 }, down = { 1, -1, 0 }, now = { 1, -5, IPC_NOWAIT }, far = { 9, 1, 0 };
	struct sembuf high = { 2, 32767, 0 }, undo = { 0, 1, SEM_UNDO };
	struct timespec brief = { 0, 1000 }, wrong = { 0, 1000000000 };
	static struct sembuf many[600];
	int id = E(semget, "fine", key, 3, IPC_CREAT | 0600);
	E(semget, "there already", key, 3, IPC_CREAT | IPC_EXCL | 0600);
	E(semget, "no such key", key + 1, 3, 0);
	E(semget, "negative", IPC_PRIVATE, -1, IPC_CREAT | 0600);
	E(semget, "more than there are", key, 9, 0);
	E(semctl, "fine", id, 0, SETALL, values);
	E(semctl, "no such id", -1, 0, GETVAL, 0L);
	E(semctl, "no such semaphore", id, 9, GETVAL, 0L);
	E(semctl, "no such command", id, 0, 99, 0L);
	E(semctl, "too high", id, 0, SETVAL, 40000L);
	E(semctl, "bad address", id, 0, IPC_STAT, NOWHERE);
	E(semctl, "bad values", id, 0, SETALL, NOWHERE);
	E(semop, "fine", id, &up, 1L);
	E(semop, "no such id", -1, &up, 1L);
	E(semop, "none", id, &up, 0L);
	E(semop, "too many", id, many, 600L);
	E(semop, "no such semaphore", id, &far, 1L);
	E(semop, "bad address", id, NOWHERE, 1L);
	E(semop, "not now", id, &now, 1L);
	E(semop, "too high", id, &high, 1L);
	E(semtimedop, "fine", id, &up, 1L, &brief);
	E(semtimedop, "no such id", -1, &up, 1L, &brief);
	E(semtimedop, "too many", id, many, 600L, &brief);
	E(semtimedop, "no such semaphore", id, &far, 1L, &brief);
	E(semtimedop, "bad address", id, NOWHERE, 1L, &brief);
	E(semtimedop, "bad time", id, &up, 1L, NOWHERE);
	E(semtimedop, "too many nanoseconds", id, &up, 1L, &wrong);
	E(semtimedop, "too high", id, &high, 1L, &brief);
	down.sem_op = -9;
	E(semtimedop, "time is over", id, &down, 1L, &brief);
	EINTERRUPTED(semop, "interrupted", id, &down, 1L);
	EINTERRUPTED(semtimedop, "interrupted", id, &down, 1L, NULL);
	if (getuid() == 0)
		CHILD("as nobody",
		      become_nobody();
		      E(semget, "of another user", key, 0, 0600);
		      E(semctl, "of another user", id, 0, GETVAL, 0L);
		      E(semctl, "of another user", id, 0, IPC_RMID, 0L);
		      E(semop, "of another user", id, &up, 1L);
		      E(semtimedop, "of another user", id, &up, 1L, &brief));
	for (int timed = 0; timed < 2; timed++) {
		pid_t child = fork();
		if (child == 0) {
			if (timed)
				syscall(SYS_semtimedop, id, &down, 1L, NULL);
			else
				syscall(SYS_semop, id, &down, 1L);
			_exit(errno);
		}
		wait_state(child, child, 'S');
		E(semctl, "fine", id, 0, IPC_RMID, 0L);
		reap("removed meanwhile", child);
		E(semctl, "removed", id, 0, GETVAL, 0L);
		id = MUST(semget(key, 3, IPC_CREAT | 0600));
	}
	E(semctl, "fine", id, 0, IPC_RMID, 0L);
	if (getuid() == 0)
		CHILD("many",
		      MUST(unshare(CLONE_NEWIPC));
		      for (int i = 0; i < 32000; i++)
			      MUST(semget(IPC_PRIVATE, 1, 0600));
		      E(semget, "too many", IPC_PRIVATE, 1, 0600));
}

static void messages(void)
{
	struct msqid_ds ds;
	struct message message = { 1, "text" }, wrong = { 0 };
	int id = E(msgget, "fine", key, IPC_CREAT | 0600);
	E(msgget, "there already", key, IPC_CREAT | IPC_EXCL | 0600);
	E(msgget, "no such key", key + 1, 0);
	E(msgctl, "fine", id, IPC_STAT, &ds);
	E(msgctl, "no such id", -1, IPC_STAT, &ds);
	E(msgctl, "no such command", id, 99, &ds);
	E(msgctl, "bad address", id, IPC_STAT, NOWHERE);
	E(msgsnd, "fine", id, &message, 100L, 0);
	E(msgsnd, "no type", id, &wrong, 100L, 0);
	E(msgsnd, "negative size", id, &message, -1L, 0);
	E(msgsnd, "no such id", -1, &message, 100L, 0);
	E(msgsnd, "bad address", id, NOWHERE, 100L, 0);
	E(msgrcv, "no such id", -1, &message, 100L, 0L, 0);
	E(msgrcv, "negative size", id, &message, -1L, 0L, 0);
	E(msgrcv, "too long", id, &message, 5L, 0L, 0);
	E(msgrcv, "none of this type", id, &message, 100L, 7L, IPC_NOWAIT);
	E(msgrcv, "bad address", id, NOWHERE, 100L, 0L, 0);
	E(msgsnd, "fine", id, &message, 100L, 0);
	E(msgrcv, "fine", id, &message, 100L, 0L, 0);
	EINTERRUPTED(msgrcv, "interrupted", id, &message, 100L, 0L, 0);
	while (msgsnd(id, &message, 100, IPC_NOWAIT) == 0)
		;
	E(msgsnd, "full", id, &message, 100L, IPC_NOWAIT);
	EINTERRUPTED(msgsnd, "interrupted", id, &message, 100L, 0);
	if (getuid() == 0)
		CHILD("as nobody",
		      become_nobody();
		      E(msgget, "of another user", key, 0600);
		      E(msgctl, "of another user", id, IPC_STAT, &ds);
		      E(msgctl, "of another user", id, IPC_RMID, NULL);
		      E(msgsnd, "of another user", id, &message, 100L, 0);
		      E(msgrcv, "of another user", id, &message, 100L, 0L, 0));
	for (int receive = 0; receive < 2; receive++) {
		pid_t child = fork();
		if (child == 0) {
			if (receive)
				syscall(SYS_msgrcv, id, &message, 100L, 7L, 0);
			else
				syscall(SYS_msgsnd, id, &message, 100L, 0);
			_exit(errno);
		}
		wait_state(child, child, 'S');
		E(msgctl, "fine", id, IPC_RMID, NULL);
		reap("removed meanwhile", child);
		E(msgctl, "removed", id, IPC_STAT, &ds);
		id = MUST(msgget(key, IPC_CREAT | 0600));
	}
	E(msgctl, "fine", id, IPC_RMID, NULL);
	if (getuid() == 0)
		CHILD("many",
		      MUST(unshare(CLONE_NEWIPC));
		      for (int i = 0; i < 32000; i++)
			      MUST(msgget(IPC_PRIVATE, 0600));
		      E(msgget, "too many", IPC_PRIVATE, 0600));
}

static void queues(void)
{
	char name[300], text[64] = "text", other[32];
	struct mq_attr small = { .mq_maxmsg = 1, .mq_msgsize = 64 }, wrong = { .mq_maxmsg = -1, .mq_msgsize = 64 }, got;
	struct timespec past = { 1, 0 }, far = { 4000000000L, 0 }, bad = { 1, 1000000000 };
	struct sigevent none = { .sigev_notify = SIGEV_NONE }, strange = { .sigev_notify = 99 };
	unsigned priority;
	snprintf(other, sizeof other, "errors-%d", getpid());
	memset(name, 'x', sizeof name);
	name[299] = 0;
	int mq = E(mq_open, "fine", other, O_RDWR | O_CREAT, 0600, &small);
	int reader = MUST(syscall(SYS_mq_open, other, O_RDONLY, 0, NULL));
	E(mq_open, "there already", other, O_RDWR | O_CREAT | O_EXCL, 0600, &small);
	E(mq_open, "missing", "errors-nowhere", O_RDWR, 0, NULL);
	E(mq_open, "long name", name, O_RDWR | O_CREAT, 0600, &small);
	E(mq_open, "wrong attributes", "errors-wrong", O_RDWR | O_CREAT, 0600, &wrong);
	E(mq_open, "slash", "a/b", O_RDWR | O_CREAT, 0600, &small);
	E(mq_timedsend, "fine", mq, text, 64L, 1, NULL);
	E(mq_timedsend, "no descriptor", 999, text, 64L, 1, NULL);
	E(mq_timedsend, "not for writing", reader, text, 64L, 1, NULL);
	E(mq_timedsend, "too long", mq, text, 65L, 1, NULL);
	E(mq_timedsend, "time is over", mq, text, 64L, 1, &past);
	E(mq_timedsend, "too many nanoseconds", mq, text, 64L, 1, &bad);
	EINTERRUPTED(mq_timedsend, "interrupted", mq, text, 64L, 1, &far);
	E(mq_timedreceive, "too short", mq, text, 63L, &priority, NULL);
	E(mq_timedreceive, "no descriptor", 999, text, 64L, &priority, NULL);
	E(mq_timedreceive, "fine", mq, text, 64L, &priority, NULL);
	E(mq_timedreceive, "time is over", mq, text, 64L, &priority, &past);
	E(mq_timedreceive, "too many nanoseconds", mq, text, 64L, &priority, &bad);
	EINTERRUPTED(mq_timedreceive, "interrupted", mq, text, 64L, &priority, &far);
	E(mq_notify, "fine", mq, &none);
	E(mq_notify, "somebody has asked", mq, &none);
	E(mq_notify, "no descriptor", 999, &none);
	E(mq_notify, "strange event", mq, &strange);
	E(mq_getsetattr, "fine", mq, NULL, &got);
	E(mq_getsetattr, "no descriptor", 999, NULL, &got);
	E(mq_getsetattr, "bad address", mq, NULL, NOWHERE);
	got.mq_flags = O_NONBLOCK | O_APPEND;
	E(mq_getsetattr, "strange flag", mq, &got, NULL);
	got.mq_flags = O_NONBLOCK;
	E(mq_getsetattr, "would block from here on", mq, &got, NULL);
	E(mq_timedreceive, "empty", mq, text, 64L, &priority, NULL);
	E(mq_timedsend, "fine", mq, text, 64L, 1, NULL);
	E(mq_timedsend, "full", mq, text, 64L, 1, NULL);
	CHILD("no descriptor", no_descriptors(); E(mq_open, "limit", other, O_RDWR, 0, NULL));
	if (getuid() == 0)
		CHILD("as nobody",
		      become_nobody();
		      E(mq_open, "of another user", other, O_RDWR, 0, NULL);
		      E(mq_unlink, "of another user", other));
	E(mq_unlink, "fine", other);
	E(mq_unlink, "missing", other);
	E(mq_unlink, "long name", name);
	E(mq_unlink, "slash", "a/b");
	if (getuid() == 0)
		CHILD("many",
		      MUST(unshare(CLONE_NEWIPC));
		      for (int i = 0; i < 256; i++) {
			      snprintf(other, sizeof other, "many-%d", i);
			      close(MUST(syscall(SYS_mq_open, other, O_RDWR | O_CREAT, 0600, &small)));
		      }
		      become_nobody();
		      E(mq_open, "too many", "one-more", O_RDWR | O_CREAT, 0600, &small));
}

int main(void)
{
	key = 0x43000000 + getpid() * 2;
	shared_memory();
	semaphores();
	messages();
	queues();
	return 0;
}

/* System V shared memory, semaphores and messages. bevor-test: user=both waits=reloaded */
#include "t.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

union semun { int val; struct semid_ds *buf; unsigned short *array; };
struct message { long type; char text[100]; };

int main(void)
{
	/* Shared memory. */
	int id = MUST(shmget(IPC_PRIVATE, 10000, IPC_CREAT | 0600));
	struct shmid_ds ds;
	T(shmctl(id, IPC_STAT, &ds));
	out("size %ld attached %ld mode %o\n", (long)ds.shm_segsz, (long)ds.shm_nattch, ds.shm_perm.mode);
	char *a = shmat(id, NULL, 0), *b = shmat(id, NULL, SHM_RDONLY);
	CHECK(a != (void *)-1 && b != (void *)-1 && a != b);
	strcpy(a, "shared");
	out("%s\n", b);
	CHILD("child", strcpy(a, "by the child"); shmctl(id, IPC_STAT, &ds); V(ds.shm_nattch));
	out("%s\n", b);
	CHILD("write to read-only", b[0] = 1);
	T(shmctl(id, IPC_STAT, &ds));
	V(ds.shm_nattch);
	CHECK(ds.shm_cpid == getpid());
	T(shmdt(b));
	T(shmdt(b));
	T(shmctl(id, IPC_RMID, NULL));
	T(shmget(12345678, 0, 0));
	strcpy(a + 5000, "alive after removal");
	out("%s\n", a + 5000);
	T((long)shmat(id, NULL, 0) == -1 ? -1 : 0);
	T(shmdt(a));
	T((long)shmat(id, NULL, 0) == -1 ? -1 : 0);
	T(shmget(IPC_PRIVATE, 0, IPC_CREAT | 0600));
	key_t key = 0x42000000 + getpid();
	id = MUST(shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600));
	T(shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600));
	CHECK(shmget(key, 4096, 0) == id);
	T(shmget(key, 8192, 0));
	a = shmat(id, (void *)0x600000000000, 0);
	CHECK(a == (void *)0x600000000000);
	T((long)shmat(id, (void *)0x600000000123, 0) == -1 ? -1 : 0);
	T((long)shmat(id, (void *)0x600000000000, 0) == -1 ? -1 : 0);
	b = shmat(id, (void *)0x600000000123, SHM_RND);
	T(shmctl(id, IPC_RMID, NULL));

	/* Semaphores. */
	id = MUST(semget(IPC_PRIVATE, 3, IPC_CREAT | 0600));
	unsigned short values[3] = { 1, 2, 3 };
	T(semctl(id, 0, SETALL, (union semun){ .array = values }));
	T(semctl(id, 1, GETVAL));
	struct sembuf ops[2] = { { 0, -1, IPC_NOWAIT }, { 1, -2, IPC_NOWAIT } };
	T(semop(id, ops, 2));
	T(semop(id, ops, 1));
	T(semctl(id, 1, GETVAL));
	/* All or nothing. */
	ops[0] = (struct sembuf){ 2, -1, IPC_NOWAIT };
	ops[1] = (struct sembuf){ 0, -1, IPC_NOWAIT };
	T(semop(id, ops, 2));
	T(semctl(id, 2, GETVAL));
	ops[0] = (struct sembuf){ 9, 1, 0 };
	T(semop(id, ops, 1));
	T(semop(id, ops, 0));
	T(semctl(id, 0, SETVAL, (union semun){ .val = -1 }));
	T(semctl(id, 0, SETVAL, (union semun){ .val = 40000 }));
	/* Waiting. */
	pid_t pid = fork();
	if (pid == 0) {
		struct sembuf op = { 0, -2, 0 };
		_exit(semop(id, &op, 1) == 0 ? 1 : 2);
	}
	wait_state(pid, pid, 'S');
	T(semctl(id, 0, GETNCNT));
	ops[0] = (struct sembuf){ 0, 1, 0 };
	semop(id, ops, 1);
	T(semctl(id, 0, GETNCNT));
	semop(id, ops, 1);
	reap("decrement", pid);
	pid = fork();
	if (pid == 0) {
		struct sembuf op = { 2, 0, 0 };
		_exit(semop(id, &op, 1) == 0 ? 3 : 4);
	}
	wait_state(pid, pid, 'S');
	T(semctl(id, 2, GETZCNT));
	T(semctl(id, 2, SETVAL, (union semun){ .val = 0 }));
	reap("zero", pid);
	struct timespec soon = { 0, 5000000 };
	ops[0] = (struct sembuf){ 0, -1, 0 };
	T(semtimedop(id, ops, 1, &soon));
	/* Undo. */
	CHILD("undo", {
		struct sembuf op = { 0, 5, SEM_UNDO };
		T(semop(id, &op, 1));
		T(semctl(id, 0, GETVAL));
	});
	T(semctl(id, 0, GETVAL));
	pid = fork();
	if (pid == 0) {
		struct sembuf op = { 0, -1, 0 };
		int r = semop(id, &op, 1);
		_exit(r == -1 && errno == EIDRM ? 5 : 6);
	}
	wait_state(pid, pid, 'S');
	T(semctl(id, 0, IPC_RMID));
	reap("removed", pid);
	T(semctl(id, 0, GETVAL));

	/* Messages. */
	id = MUST(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
	struct message m = { 3, "three" };
	T(msgsnd(id, &m, 6, 0));
	m = (struct message){ 1, "one" };
	T(msgsnd(id, &m, 4, 0));
	m = (struct message){ 2, "two" };
	T(msgsnd(id, &m, 4, 0));
	m.type = 0;
	T(msgsnd(id, &m, 4, 0));
	T(msgrcv(id, &m, 100, 2, 0));
	out("%ld %s\n", m.type, m.text);
	T(msgrcv(id, &m, 100, -2, 0));
	out("%ld %s\n", m.type, m.text);
	T(msgrcv(id, &m, 3, 0, 0));
	T(msgrcv(id, &m, 3, 0, MSG_NOERROR));
	out("%ld %.3s\n", m.type, m.text);
	T(msgrcv(id, &m, 100, 0, IPC_NOWAIT));
	struct msqid_ds qs;
	T(msgctl(id, IPC_STAT, &qs));
	out("%ld %ld\n", (long)qs.msg_qnum, (long)qs.msg_qbytes);
	pid = fork();
	if (pid == 0) {
		int r = msgrcv(id, &m, 100, 7, 0);
		_exit(r == 2 && m.type == 7 ? 7 : 8);
	}
	wait_state(pid, pid, 'S');
	m = (struct message){ 6, "no" };
	msgsnd(id, &m, 3, 0);
	m = (struct message){ 7, "x" };
	msgsnd(id, &m, 2, 0);
	reap("receiver", pid);
	int sent = 0;
	char *large = calloc(1, 8200);
	*(long *)large = 1;
	while (msgsnd(id, large, 8000, IPC_NOWAIT) == 0)
		sent++;
	out("%d then %s\n", sent, errname(errno));
	T(msgsnd(id, large, 9000, IPC_NOWAIT));
	T(msgctl(id, IPC_RMID, NULL));
	T(msgctl(id, IPC_RMID, NULL));
	return 0;
}

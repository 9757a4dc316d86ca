/* splice, tee, vmsplice and the size of pipes. bevor-test: user=both waits=reloaded */
#include "t.h"
#include <poll.h>
#include <sys/socket.h>

static char big[300000], back[300000];

int main(void)
{
	scratch();
	int p[2], q[2];
	MUST(pipe(p));
	MUST(pipe(q));
	/* Sizes. */
	V(fcntl(p[0], F_GETPIPE_SZ));
	T(fcntl(p[0], F_SETPIPE_SZ, 0));
	T(fcntl(p[0], F_SETPIPE_SZ, 1));
	T(fcntl(p[0], F_SETPIPE_SZ, 4097));
	T(fcntl(p[0], F_SETPIPE_SZ, 1 << 20));
	int plain = open("plain", O_CREAT | O_RDWR, 0600);
	T(fcntl(plain, F_GETPIPE_SZ));
	T(fcntl(plain, F_SETPIPE_SZ, 4096));
	fcntl(p[1], F_SETFL, O_NONBLOCK);
	T(write(p[1], big, sizeof big));
	T(fcntl(p[1], F_SETPIPE_SZ, 4096));
	T(fcntl(p[1], F_SETPIPE_SZ, 1 << 19));
	int sum = 0, got;
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	while ((got = read(p[0], back, 70000)) > 0)
		sum += got;
	V(sum);
	T(fcntl(p[1], F_SETPIPE_SZ, 65536));

	/* tee leaves the bytes, splice takes them. */
	write(p[1], "0123456789", 10);
	T(tee(p[0], q[1], 4, 0));
	T(tee(p[0], q[1], 100, 0));
	T(read(q[0], back, 100));
	out("%.14s\n", back);
	T(splice(p[0], NULL, q[1], NULL, 3, SPLICE_F_MOVE));
	T(splice(p[0], NULL, q[1], NULL, 100, SPLICE_F_MORE));
	T(splice(p[0], NULL, q[1], NULL, 100, 0));
	T(splice(p[0], NULL, q[1], NULL, 100, SPLICE_F_NONBLOCK));
	T(tee(p[0], q[1], 100, SPLICE_F_NONBLOCK));
	T(read(q[0], back, 100));
	out("%.10s\n", back);
	T(splice(p[0], NULL, q[1], NULL, 0, 0));
	T(tee(p[0], q[1], 0, 0));

	/* vmsplice both ways. */
	struct iovec v[3] = { { "abc", 3 }, { NULL, 0 }, { "defg", 4 } };
	T(vmsplice(p[1], v, 3, 0));
	char one[4] = "", two[8] = "";
	struct iovec r[2] = { { one, 3 }, { two, 7 } };
	T(vmsplice(p[0], r, 2, 0));
	out("%s %s\n", one, two);
	T(vmsplice(p[0], r, 2, SPLICE_F_NONBLOCK));
	T(vmsplice(p[1], v, 0, 0));
	T(vmsplice(p[1], v, 1025, 0));
	T(vmsplice(p[1], (void *)8, 1, 0));
	T(vmsplice(p[1], v, 1, 0x100));
	T(vmsplice(plain, v, 1, 0));

	/* Files: offsets given and own. */
	write(plain, "file contents here", 18);
	loff_t at = 5;
	T(splice(plain, &at, q[1], NULL, 8, 0));
	V(at);
	V(lseek(plain, 0, SEEK_CUR));
	T(read(q[0], back, 100));
	out("%.8s\n", back);
	lseek(plain, 0, SEEK_SET);
	T(splice(plain, NULL, q[1], NULL, 4, 0));
	V(lseek(plain, 0, SEEK_CUR));
	at = 100;
	T(splice(plain, &at, q[1], NULL, 4, 0));
	at = 1;
	int copy = open("copy", O_CREAT | O_RDWR, 0600);
	T(splice(q[0], NULL, copy, &at, 100, 0));
	V(at);
	T(pread(copy, back, 100, 0));
	int append = open("copy", O_WRONLY | O_APPEND);
	T(splice(q[0], NULL, append, NULL, 4, SPLICE_F_NONBLOCK));
	at = -1;
	T(splice(plain, &at, q[1], NULL, 4, 0));
	T(splice(plain, (void *)8, q[1], NULL, 4, 0));
	T(splice(p[0], &at, q[1], NULL, 4, 0));
	T(splice(p[1], NULL, q[1], NULL, 4, 0));
	T(splice(p[0], NULL, q[0], NULL, 4, 0));
	T(splice(-1, NULL, q[1], NULL, 4, 0));
	T(tee(p[0], p[1], 4, 0));

	/* Waiting: for bytes, for room, for neither end. */
	int flags = fcntl(p[0], F_GETFL);
	fcntl(p[0], F_SETFL, flags & ~O_NONBLOCK);
	fcntl(p[1], F_SETFL, 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(splice(p[0], NULL, q[1], NULL, 100, 0) == 5 ? 1 : 2);
	wait_state(pid, pid, 'S');
	write(p[1], "waits", 5);
	reap("splice waited for bytes", pid);
	T(read(q[0], back, 100));
	pid = fork();
	if (pid == 0)
		_exit(tee(p[0], q[1], 100, 0) == 3 ? 1 : 2);
	wait_state(pid, pid, 'S');
	write(p[1], "tee", 3);
	reap("tee waited for bytes", pid);
	read(q[0], back, 100);
	read(p[0], back, 100);
	fcntl(q[1], F_SETFL, O_NONBLOCK);
	while (write(q[1], big, 4096) > 0)
		;
	fcntl(q[1], F_SETFL, 0);
	write(p[1], "full", 4);
	T(splice(p[0], NULL, q[1], NULL, 4, SPLICE_F_NONBLOCK));
	T(tee(p[0], q[1], 4, SPLICE_F_NONBLOCK));
	pid = fork();
	if (pid == 0)
		_exit(splice(p[0], NULL, q[1], NULL, 4, 0) == 4 ? 1 : 2);
	wait_state(pid, pid, 'S');
	read(q[0], back, 65536);
	reap("splice waited for room", pid);
	close(p[1]);
	T(splice(p[0], NULL, q[1], NULL, 4, 0));
	T(tee(p[0], q[1], 4, 0));
	close(q[0]);
	signal(SIGPIPE, SIG_IGN);
	int s[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	write(s[0], "sock", 4);
	T(splice(s[1], NULL, q[1], NULL, 4, 0));
	T(vmsplice(q[1], v, 1, 0));
	unscratch();
	return 0;
}

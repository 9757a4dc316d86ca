/* sendfile, copy_file_range, splice, tee, vmsplice. bevor-test: user=both waits=reloaded */
#include "t.h"
#include <sys/sendfile.h>
#include <sys/socket.h>

int main(void)
{
	scratch();
	char buf[200000];
	int in = make_file("in", "0123456789abcdef"), outf = make_file("out", "");
	off_t at = 4;
	lseek(in, 0, SEEK_SET);
	T(sendfile(outf, in, NULL, 5));
	T(lseek(in, 0, SEEK_CUR));
	T(sendfile(outf, in, &at, 100));
	V(at);
	T(lseek(in, 0, SEEK_CUR));
	out_bytes("sent", buf, pread(outf, buf, 100, 0));
	T(sendfile(outf, in, &at, 10));
	at = -1;
	T(sendfile(outf, in, &at, 10));
	T(sendfile(99, in, NULL, 10));
	T(sendfile(outf, 99, NULL, 10));
	int ro = open("out", O_RDONLY), ap = open("out", O_WRONLY | O_APPEND), wo = open("in", O_WRONLY);
	T(sendfile(ro, in, NULL, 10));
	T(sendfile(outf, wo, NULL, 10));
	T(sendfile(ap, in, NULL, 10));
	int p[2], q[2], s[2];
	pipe(p);
	pipe(q);
	lseek(in, 0, SEEK_SET);
	T(sendfile(p[1], in, NULL, 6));
	out_bytes("into a pipe", buf, read(p[0], buf, 100));
	write(p[1], "x", 1);
	T(sendfile(outf, p[0], NULL, 6));
	read(p[0], buf, 1);
	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	at = 2;
	T(sendfile(s[0], in, &at, 6));
	out_bytes("into a socket", buf, read(s[1], buf, 100));

	loff_t from = 3, to = 1;
	outf = make_file("out2", "----------");
	T(copy_file_range(in, &from, outf, &to, 4, 0));
	out("%ld %ld\n", (long)from, (long)to);
	out_bytes("copied", buf, pread(outf, buf, 100, 0));
	lseek(in, 14, SEEK_SET);
	lseek(outf, 0, SEEK_END);
	T(copy_file_range(in, NULL, outf, NULL, 100, 0));
	T(copy_file_range(in, NULL, outf, NULL, 100, 0));
	out_bytes("copied", buf, pread(outf, buf, 100, 0));
	from = 0;
	to = 2;
	T(copy_file_range(in, &from, in, &to, 8, 0));
	to = 10;
	T(copy_file_range(in, &from, in, &to, 4, 0));
	T(copy_file_range(in, NULL, outf, NULL, 10, 1));
	T(copy_file_range(in, NULL, ap, NULL, 10, 0));
	T(copy_file_range(in, NULL, ro, NULL, 10, 0));
	T(copy_file_range(p[0], NULL, outf, NULL, 10, 0));
	int dir = open(".", O_RDONLY);
	T(copy_file_range(dir, NULL, outf, NULL, 10, 0));

	/* splice */
	from = 0;
	T(splice(in, &from, p[1], NULL, 8, 0));
	V(from);
	T(tee(p[0], q[1], 5, 0));
	out_bytes("teed", buf, read(q[0], buf, 100));
	T(splice(p[0], NULL, q[1], NULL, 3, 0));
	out_bytes("pipe to pipe", buf, read(q[0], buf, 100));
	to = 2;
	T(splice(p[0], NULL, outf, &to, 100, 0));
	out_bytes("pipe to file", buf, pread(outf, buf, 100, 0));
	T(splice(p[0], NULL, outf, NULL, 100, SPLICE_F_NONBLOCK));
	T(splice(in, NULL, outf, NULL, 10, 0));
	T(splice(in, &from, p[1], &from, 10, 0));
	T(splice(p[0], NULL, p[1], NULL, 10, 0));
	T(tee(p[0], p[1], 10, 0));
	T(tee(in, p[1], 10, 0));
	T(splice(in, NULL, p[1], NULL, 10, 0x100));
	struct iovec v[2] = { { "vm", 2 }, { "splice", 6 } };
	T(vmsplice(p[1], v, 2, 0));
	out_bytes("vmsplice", buf, read(p[0], buf, 100));
	T(vmsplice(in, v, 2, 0));
	write(s[0], "socket", 6);
	T(splice(s[1], NULL, p[1], NULL, 100, 0));
	T(splice(p[0], NULL, s[1], NULL, 100, 0));
	out_bytes("around", buf, read(s[0], buf, 100));
	/* The end of the writer. */
	close(p[1]);
	T(splice(p[0], NULL, outf, NULL, 100, 0));
	/* A large file through sendfile into a pipe that a child reads. */
	int big = make_file("big", "");
	for (int i = 0; i < 20; i++) {
		memset(buf, 'a' + i, sizeof buf);
		write(big, buf, sizeof buf);
	}
	pipe(p);
	pid_t pid = fork();
	if (pid == 0) {
		close(p[1]);
		long total = 0, sum = 0, got;
		while ((got = read(p[0], buf, sizeof buf)) > 0)
			for (long i = 0; i < got; i++, total++)
				sum = sum * 31 + buf[i];
		out("%ld %ld\n", total, sum);
		_exit(0);
	}
	close(p[0]);
	at = 0;
	while (at < 20 * (long)sizeof buf)
		MUST(sendfile(p[1], big, &at, 1 << 20));
	close(p[1]);
	reap("reader", pid);
	long sum = 0;
	for (int i = 0; i < 20; i++)
		for (unsigned j = 0; j < sizeof buf; j++)
			sum = sum * 31 + 'a' + i;
	out("%ld\n", sum);
	unscratch();
	return 0;
}

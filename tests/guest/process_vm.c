/* process_vm_readv and writev, ptrace refusals. */
#include "t.h"

static char data[10000];

int main(void)
{
	strcpy(data, "parent data");
	int p[2];
	pipe(p);
	pid_t pid = fork();
	if (pid == 0) {
		strcpy(data, "child data");
		strcpy(data + 5000, "more");
		write(p[1], "x", 1);
		for (;;) {
			if (!strcmp(data, "written"))
				_exit(7);
			sleep_ms(1);
		}
	}
	char c, a[20] = "", b[20] = "";
	read(p[0], &c, 1);
	struct iovec local[2] = { { a, 10 }, { b, 5 } }, remote[2] = { { data, 10 }, { data + 5000, 5 } };
	T(process_vm_readv(pid, local, 2, remote, 2, 0));
	out("%s %s\n", a, b);
	struct iovec one[1] = { { a, 15 } };
	T(process_vm_readv(pid, one, 1, remote, 2, 0));
	out_bytes("gathered", a, 15);
	remote[1].iov_base = (void *)16;
	T(process_vm_readv(pid, local, 2, remote, 2, 0));
	remote[0].iov_base = (void *)16;
	T(process_vm_readv(pid, local, 2, remote, 2, 0));
	T(process_vm_readv(999999, local, 2, remote, 2, 0));
	T(process_vm_readv(pid, local, 2, remote, 2, 1));
	local[0] = (struct iovec){ "written", 8 };
	remote[0] = (struct iovec){ data, 8 };
	T(process_vm_writev(pid, local, 1, remote, 1, 0));
	reap("child", pid);
	CHILD("no right", {
		pid_t parent = getppid();
		setresuid(1234, 1234, 1234);
		T(process_vm_readv(parent, local, 1, remote, 1, 0));
	});
	T(process_vm_readv(getpid(), one, 1, &(struct iovec){ data, 6 }, 1, 0));
	return 0;
}

# bevor-test: timeout=120
# gdb: breakpoints, steps, watched variables, calls, signals, threads, children, attached to what runs.
cat > debugged.c <<'END'
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
int total;
volatile int go_on;
__attribute__((noinline)) int inner(int n)
{
	total += n;
	return total * 2;
}
__attribute__((noinline)) int outer(int n)
{
	int result = inner(n + 1);
	return result + 1;
}
static void handler(int sig)
{
	total += 1000 * sig;
}
static void *thread(void *arg)
{
	inner(*(int *)arg);
	return NULL;
}
int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "wait")) {
		while (!go_on)
			usleep(10000);
		return go_on;
	}
	if (argc > 1 && !strcmp(argv[1], "crash"))
		return *(volatile int *)8;
	int sum = 0;
	for (int i = 0; i < 3; i++)
		sum += outer(i);
	signal(SIGUSR1, handler);
	kill(getpid(), SIGUSR1);
	int arg = 50;
	pthread_t id;
	pthread_create(&id, NULL, thread, &arg);
	pthread_join(id, NULL);
	pid_t child = fork();
	if (!child)
		_exit(inner(1) & 15);
	int status;
	waitpid(child, &status, 0);
	printf("sum %d total %d child %d\n", sum, total, WEXITSTATUS(status));
	return 7;
}
END
gcc -g -O0 -pthread -o debugged debugged.c
normal() { sed -E 's/0x[0-9a-f]+/ADDR/g; s/(LWP|process|Process|Thread ADDR \(LWP) [0-9]+/\1 N/g; s/^[0-9]+\tin .*/STEP/' | grep -v -e libthread_db -e '^Download' -e 'No such file or directory' -e '^\[New' -e '^\[Thread .* exited'; }
debug() { gdb -nx -batch -ex 'set debuginfod enabled off' -ex 'set can-use-hw-watchpoints 0' "$@" 2>&1 | normal; }
debug -ex 'break inner' -ex run -ex bt -ex 'print n' -ex next -ex 'print total' -ex step -ex finish -ex 'info breakpoints' \
    -ex continue -ex 'watch total' -ex continue -ex delete -ex 'print outer(5)' -ex 'set var total = 6' \
    -ex 'print/x $eflags & 0x200' -ex stepi -ex 'print $xmm0.uint128' -ex 'set var $xmm0.uint128 = 77' -ex 'print $xmm0.uint128' \
    -ex 'handle SIGUSR1 stop print' -ex continue -ex bt -ex 'break handler' -ex continue -ex 'print sig' -ex delete -ex 'break thread' \
    -ex continue -ex 'print *(int *)arg' -ex continue ./debugged
echo "== child"
debug -ex 'set follow-fork-mode child' -ex 'break inner if n == 1 && total > 50' -ex 'handle SIGUSR1 nostop noprint' -ex run -ex 'print total' -ex continue ./debugged | grep -v '^sum'
echo "== crash"
debug -ex run -ex bt -ex 'print $_siginfo.si_code' -ex kill --args ./debugged crash
echo "== attach"
./debugged wait & pid=$!
debug -ex 'break usleep' -ex continue -ex 'delete' -ex finish -ex 'print go_on' -ex stepi -ex stepi -ex 'set var go_on = 23' -ex detach -p $pid ./debugged | sed '1,/^Breakpoint 1 at/d'
wait $pid; echo "status $?"

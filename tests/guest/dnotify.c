/* Directory notification, the forerunner of inotify: fcntl(F_NOTIFY). bevor-test: user=both */
#include "t.h"

#define RT (SIGRTMIN + 3)

static sigset_t watched;

static void told(const char *what)
{
	siginfo_t info;
	struct timespec none = { 0, 0 };
	int count = 0;
	while (sigtimedwait(&watched, &info, &none) > 0) {
		count++;
		if (info.si_code == SI_KERNEL)
			out("%s: SIGIO from the kernel\n", what);
		else
			out("%s: code %d band %lx fd %d\n", what, info.si_code,
			    (unsigned long)info.si_band, info.si_fd);
	}
	if (!count)
		out("%s: nothing\n", what);
}

int main(void)
{
	char c;
	scratch();
	sigemptyset(&watched);
	sigaddset(&watched, SIGIO);
	sigaddset(&watched, RT);
	sigprocmask(SIG_BLOCK, &watched, NULL);
	MUST(mkdir("d", 0755));
	MUST(mkdir("other", 0755));
	close(make_file("d/old", "text"));
	MUST(dup2(MUST(open("d", O_RDONLY)), 40));
	int file = MUST(open("d/old", O_RDWR));

	T(fcntl(file, F_NOTIFY, DN_CREATE));
	T(fcntl(file, F_NOTIFY, 0));
	T(fcntl(-1, F_NOTIFY, DN_CREATE));
	int path = MUST(open("d", O_PATH));
	T(fcntl(path, F_NOTIFY, DN_CREATE));

	T(fcntl(40, F_NOTIFY, DN_CREATE));
	CHECK(fcntl(40, F_GETOWN) == getpid());
	told("before");
	close(make_file("d/a", ""));
	told("created");
	close(make_file("d/b", ""));
	told("created again");

	T(fcntl(40, F_SETSIG, RT));
	T(fcntl(40, F_NOTIFY, DN_MULTISHOT | DN_CREATE));
	close(make_file("d/c", ""));
	close(make_file("d/d", ""));
	MUST(mkdir("d/sub", 0755));
	told("created, multishot");
	T(fcntl(40, F_NOTIFY, DN_DELETE));
	MUST(unlink("d/a"));
	MUST(rmdir("d/sub"));
	close(make_file("d/a", ""));
	told("deleted and created");
	T(fcntl(40, F_NOTIFY, 0));
	MUST(unlink("d/a"));
	told("switched off");

	T(fcntl(40, F_NOTIFY, DN_MULTISHOT | DN_RENAME));
	MUST(rename("d/b", "d/e"));
	told("renamed");
	MUST(rename("d/e", "other/e"));
	told("moved away");
	MUST(rename("other/e", "d/e"));
	told("moved back");
	T(fcntl(40, F_NOTIFY, 0));
	T(fcntl(40, F_NOTIFY, DN_MULTISHOT | DN_RENAME | DN_CREATE | DN_DELETE));
	MUST(rename("d/e", "d/f"));
	told("renamed");
	MUST(rename("d/f", "other/f"));
	told("moved away");
	MUST(rename("other/f", "d/f"));
	told("moved back");
	T(fcntl(40, F_NOTIFY, 0));

	T(fcntl(40, F_NOTIFY, DN_MULTISHOT | DN_ACCESS));
	MUST(read(file, &c, 1));
	told("read");
	MUST(write(file, "x", 1));
	told("written");
	T(fcntl(40, F_NOTIFY, 0));
	T(fcntl(40, F_NOTIFY, DN_MULTISHOT | DN_MODIFY));
	MUST(write(file, "x", 1));
	told("written");
	MUST(ftruncate(file, 0));
	told("truncated");
	MUST(posix_fallocate(file, 0, 10));
	told("allocated");
	T(fcntl(40, F_NOTIFY, 0));
	T(fcntl(40, F_NOTIFY, DN_MULTISHOT | DN_ATTRIB));
	MUST(chmod("d/old", 0600));
	told("mode changed");
	MUST(chmod("d", 0700));
	told("own mode changed");
	T(fcntl(40, F_NOTIFY, 0));

	/* Closing any descriptor of the description ends it. */
	T(fcntl(40, F_NOTIFY, DN_MULTISHOT | DN_CREATE));
	MUST(dup2(40, 41));
	close(41);
	close(make_file("d/g", ""));
	told("a duplicate closed");
	T(fcntl(40, F_NOTIFY, DN_MULTISHOT | DN_CREATE));
	CHILD("child", close(40));
	close(make_file("d/h", ""));
	told("closed by a child");
	MUST(dup2(40, 41));
	T(fcntl(41, F_NOTIFY, DN_MULTISHOT | DN_DELETE));
	close(make_file("d/i", ""));
	told("asked for by a duplicate");
	close(40);
	close(make_file("d/j", ""));
	told("closed");
	close(41);
	unscratch();
	return 0;
}

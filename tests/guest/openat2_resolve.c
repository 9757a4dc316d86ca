/* openat2 and RESOLVE_*, name_to_handle_at, chroot. bevor-test: user=both files=few */
#include "t.h"
#include <linux/openat2.h>

static long openat2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how = { flags, mode, resolve };
	/* A rename or mount anywhere meanwhile makes Linux ask for another try. */
	for (int tries = 0;; tries++) {
		long fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
		if (fd >= 0 || errno != EAGAIN || how.resolve & RESOLVE_CACHED || tries == 10000)
			return fd;
	}
}

int main(void)
{
	scratch();
	close(make_file("f", "x"));
	mkdir("d", 0755);
	close(make_file("d/g", "y"));
	symlink("../f", "d/up");
	symlink("g", "d/same");
	symlink("/etc/passwd", "d/abs");
	symlink("/proc/self/fd/0", "d/magic");
	int d = MUST(open("d", O_PATH | O_DIRECTORY));
	OK(openat2(d, "g", O_RDONLY, 0, 0));
	OK(openat2(d, "up", O_RDONLY, 0, 0));
	OK(openat2(d, "up", O_RDONLY, 0, RESOLVE_BENEATH));
	OK(openat2(d, "../f", O_RDONLY, 0, RESOLVE_BENEATH));
	OK(openat2(d, "/etc/passwd", O_RDONLY, 0, RESOLVE_BENEATH));
	OK(openat2(d, "abs", O_RDONLY, 0, RESOLVE_BENEATH));
	OK(openat2(d, "same", O_RDONLY, 0, RESOLVE_BENEATH));
	OK(openat2(d, "same", O_RDONLY, 0, RESOLVE_NO_SYMLINKS));
	OK(openat2(d, "g", O_RDONLY, 0, RESOLVE_NO_SYMLINKS));
	OK(openat2(d, "/g", O_RDONLY, 0, RESOLVE_IN_ROOT));
	OK(openat2(d, "../../../g", O_RDONLY, 0, RESOLVE_IN_ROOT));
	OK(openat2(d, "abs", O_RDONLY, 0, RESOLVE_IN_ROOT));
	OK(openat2(d, "magic", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS));
	OK(openat2(d, "../../..", O_RDONLY, 0, RESOLVE_NO_XDEV));
	OK(openat2(d, "g", O_RDONLY, 0, 0x1000));
	OK(openat2(d, "g", O_RDONLY, 0600, 0));
	OK(openat2(d, "g", 1ULL << 40, 0, 0));
	OK(openat2(d, "new", O_RDWR | O_CREAT, 0600, RESOLVE_BENEATH));
	OK(openat2(d, "g", O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT));
	struct { struct open_how how; long more; } big = { { O_RDONLY, 0, 0 }, 0 };
	OK(syscall(SYS_openat2, d, "g", &big, sizeof big));
	big.more = 1;
	OK(syscall(SYS_openat2, d, "g", &big, sizeof big));
	OK(syscall(SYS_openat2, d, "g", &big, 8));
	/* chroot */
	if (getuid() == 0) {
		mkdir("root", 0755);
		mkdir("root/sub", 0755);
		close(make_file("root/inside", "in"));
		symlink("/inside", "root/link");
		CHILD("chroot", {
			int outside = open(".", O_RDONLY);
			T(chroot("root"));
			T(access("/inside", F_OK));
			T(access("/etc/passwd", F_OK));
			T(chdir("/"));
			char cwd[100];
			out("%s\n", getcwd(cwd, sizeof cwd));
			T(access("..//../inside", F_OK));
			T(access("/link", F_OK));
			T(chdir("/sub"));
			T(chdir("../.."));
			out("%s\n", getcwd(cwd, sizeof cwd));
			T(fchdir(outside));
			T(access("root/inside", F_OK));
			T(syscall(SYS_getcwd, cwd, sizeof cwd) > 0 ? 0 : -1);
			out("%.13s\n", cwd);
			T(chroot("inside"));
			T(chroot("nothing"));
		});
	} else
		T(chroot("d"));
	unscratch();
	return 0;
}

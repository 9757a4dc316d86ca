/* Extended attributes and statfs on tmpfs. */
#include "t.h"
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

int main(void)
{
	scratch();
	char buf[300];
	int fd = make_file("f", "x");
	symlink("f", "l");
	T(setxattr("f", "trusted.one", "value", 5, 0));
	T(getxattr("f", "trusted.one", buf, sizeof buf));
	out_bytes("value", buf, 5);
	T(getxattr("f", "trusted.one", NULL, 0));
	T(getxattr("f", "trusted.one", buf, 3));
	T(getxattr("f", "trusted.none", buf, 3));
	T(setxattr("f", "trusted.one", "v2", 2, XATTR_CREATE));
	T(setxattr("f", "trusted.two", "v2", 2, XATTR_REPLACE));
	T(setxattr("f", "trusted.two", "", 0, XATTR_CREATE));
	T(fgetxattr(fd, "trusted.two", buf, 10));
	long len = T(listxattr("f", NULL, 0));
	len = listxattr("f", buf, sizeof buf);
	CHECK(memmem(buf, len, "trusted.one", 12) && memmem(buf, len, "trusted.two", 12));
	T(listxattr("f", buf, 3));
	T(setxattr("f", "nonsense", "v", 1, 0));
	T(setxattr("f", "bogus.x", "v", 1, 0));
	T(setxattr("f", "trusted.", "v", 1, 0));
	T(setxattr("f", "trusted.x", "v", 1, 7));
	T(removexattr("f", "trusted.two"));
	T(removexattr("f", "trusted.two"));
	T(lsetxattr("l", "trusted.link", "v", 1, 0));
	T(lgetxattr("l", "trusted.link", buf, 10));
	T(getxattr("l", "trusted.link", buf, 10));
	T(lsetxattr("l", "user.link", "v", 1, 0));
	T(getxattr("nothing", "trusted.x", buf, 10));
	CHILD("as a user", {
		setresuid(1234, 1234, 1234);
		T(getxattr("f", "trusted.one", buf, sizeof buf));
		T(setxattr("f", "trusted.x", "v", 1, 0));
		T(listxattr("f", buf, sizeof buf));
	});
	struct statfs fs;
	T(statfs(".", &fs));
	out("type %lx bsize %ld namelen %ld\n", (long)fs.f_type, (long)fs.f_bsize, (long)fs.f_namelen);
	CHECK(fs.f_blocks > 0 && fs.f_bfree <= fs.f_blocks && fs.f_bavail <= fs.f_bfree);
	T(fstatfs(fd, &fs));
	out("type %lx\n", (long)fs.f_type);
	T(statfs("/proc", &fs));
	out("type %lx\n", (long)fs.f_type);
	T(statfs("nothing", &fs));
	T(fstatfs(999, &fs));
	struct statvfs v;
	T(statvfs(".", &v));
	int p[2];
	pipe(p);
	T(fstatfs(p[0], &fs));
	out("type %lx\n", (long)fs.f_type);
	unscratch();
	return 0;
}

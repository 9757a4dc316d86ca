/* What the calls on extended attributes refuse.
 * bevor-test: kernel=6.17 */
#include "errors.h"
#include <sys/xattr.h>

#define HERE AT_FDCWD

struct args { uint64_t value; uint32_t size, flags; };
struct fattr { uint64_t xflags; uint32_t extsize, nextents, projid, cowextsize; };

static char value[70000], list[140000];

/* The three calls of one kind, the last by descriptor. */
#define THREE(kind, path, fd, ...)                                             \
	do {                                                                   \
		S(kind, path, ##__VA_ARGS__);                                  \
		S(l##kind, path, ##__VA_ARGS__);                               \
		S(f##kind, fd, ##__VA_ARGS__);                                 \
	} while (0)

static void sets(int file)
{
	int proc = MUST(open("/proc/self/status", O_RDONLY)), fifo = MUST(open("fifo", O_RDWR));
	int readonly = MUST(open("ro/f", O_RDONLY)), full = MUST(open("full/f", O_RDONLY));
	S(fsetxattr, 99, "user.a", value, 1L, 0);
	THREE(setxattr, "f", file, "user.a", value, 1L, XATTR_REPLACE);
	THREE(setxattr, "f", file, "user.a", value, 1L, 0);
	THREE(setxattr, "f", file, "user.a", value, 1L, XATTR_CREATE);
	THREE(setxattr, "f", file, "user.a", value, 1L, 4);
	THREE(setxattr, "f", file, "user.a", value, 65537L, 0);
	THREE(setxattr, "f", file, "user.a", e_bad, 1L, 0);
	THREE(setxattr, "f", file, e_bad, value, 1L, 0);
	THREE(setxattr, "f", file, e_long, value, 1L, 0);
	THREE(setxattr, "f", file, "", value, 1L, 0);
	THREE(setxattr, "f", file, "strange.a", value, 1L, 0);
	THREE(setxattr, "fifo", fifo, "user.a", value, 1L, 0);
	THREE(setxattr, "ro/f", readonly, "user.a", value, 1L, 0);
	THREE(setxattr, "full/f", full, "user.a", value, 65536L, 0);
	THREE(setxattr, "/proc/self/status", proc, "user.a", value, 1L, 0);
	AS_NOBODY("trusted", THREE(setxattr, "f", open("f", O_RDONLY), "trusted.a", value, 1L, 0));
	close(proc), close(fifo), close(readonly), close(full);
}

static void gets(int file)
{
	int proc = MUST(open("/proc/self/status", O_RDONLY));
	MUST(setxattr("f", "user.b", "longer", 6, 0));
	S(fgetxattr, 99, "user.b", value, 9L);
	THREE(getxattr, "f", file, "user.b", value, 9L);
	THREE(getxattr, "f", file, "user.b", NULL, 0L);
	THREE(getxattr, "f", file, "user.b", value, 5L);
	THREE(getxattr, "f", file, "user.b", e_bad, 9L);
	THREE(getxattr, "f", file, e_bad, value, 9L);
	THREE(getxattr, "f", file, e_long, value, 9L);
	THREE(getxattr, "f", file, "user.none", value, 9L);
	THREE(getxattr, "f", file, "strange.a", value, 9L);
	THREE(getxattr, "/proc/self/status", proc, "user.a", value, 9L);
	close(proc);
}

static void lists(int file)
{
	char name[NAME_MAX + 1];
	S(flistxattr, 99, list, 9L);
	THREE(listxattr, "f", file, list, 200L);
	THREE(listxattr, "f", file, NULL, 0L);
	THREE(listxattr, "f", file, list, 5L);
	THREE(listxattr, "f", file, e_bad, 200L);
	/* More names than one answer holds. */
	memset(name, 'n', NAME_MAX);
	name[NAME_MAX] = 0;
	int many = MUST(open("x", O_RDONLY));
	for (int i = 0; i < 270; i++) {
		snprintf(name, 10, "user.%04d", i);
		name[9] = 'n';
		MUST(setxattr("x", name, "", 0, 0));
	}
	THREE(listxattr, "x", many, list, 65536L);
	THREE(listxattr, "x", many, list, 130000L);
	THREE(listxattr, "x", many, list, 65535L);
	close(many);
}

static void removes(int file)
{
	int proc = MUST(open("/proc/self/status", O_RDONLY)), readonly = MUST(open("ro/f", O_RDONLY));
	S(fremovexattr, 99, "user.b");
	S(removexattr, "f", "user.a");
	S(removexattr, "f", "user.a");
	S(lremovexattr, "f", "user.a");
	S(lremovexattr, "f", "user.b");
	MUST(setxattr("f", "user.a", "", 0, 0));
	S(fremovexattr, file, "user.a");
	S(fremovexattr, file, "user.a");
	THREE(removexattr, "f", file, e_bad);
	THREE(removexattr, "f", file, e_long);
	THREE(removexattr, "f", file, "strange.a");
	THREE(removexattr, "ro/f", readonly, "user.a");
	THREE(removexattr, "/proc/self/status", proc, "user.a");
	close(proc), close(readonly);
}

static void at_calls(int file)
{
	struct args good = { (uint64_t)value, 1, 0 }, create = { (uint64_t)value, 1, XATTR_CREATE };
	struct args replace = { (uint64_t)value, 1, XATTR_REPLACE }, bad = { 8, 1, 0 }, large = { (uint64_t)value, 65537, 0 };
	struct args flags = { (uint64_t)value, 1, 4 }, get = { (uint64_t)value, 9, 0 };
	size_t size = sizeof good;
	S(setxattrat, HERE, "f", 0, "user.c", &replace, size);
	S(setxattrat, HERE, "f", 0, "user.c", &good, size);
	S(setxattrat, HERE, "f", 0, "user.c", &create, size);
	S(setxattrat, HERE, "f", 0, "user.c", &flags, size);
	S(setxattrat, HERE, "f", 0, "user.c", &bad, size);
	S(setxattrat, HERE, "f", 0, "user.c", e_bad, size);
	S(setxattrat, HERE, "f", 0, "user.c", &large, size);
	S(setxattrat, HERE, "f", 0, "user.c", &good, 15L);
	S(setxattrat, HERE, "f", 0, "user.c", &good, 5000L);
	S(setxattrat, HERE, "f", 0, e_bad, &good, size);
	S(setxattrat, HERE, "f", 0, e_long, &good, size);
	S(setxattrat, HERE, "f", 0, "strange.c", &good, size);
	S(setxattrat, HERE, "f", 0x10000, "user.c", &good, size);
	S(setxattrat, HERE, "none", 0, "user.c", &good, size);
	S(setxattrat, HERE, e_bad, 0, "user.c", &good, size);
	S(setxattrat, HERE, "ro/f", 0, "user.c", &good, size);
	S(setxattrat, HERE, "fifo", 0, "user.c", &good, size);
	S(setxattrat, HERE, "still", 0, "user.c", &good, size);
	S(setxattrat, 99, "f", 0, "user.c", &good, size);
	S(setxattrat, file, "f", 0, "user.c", &good, size);
	S(setxattrat, file, "", AT_EMPTY_PATH, "user.d", &good, size);
	AS_NOBODY("locked", S(setxattrat, HERE, "locked/f", 0, "user.c", &good, size);
		  S(setxattrat, HERE, "readable", 0, "user.c", &good, size););
	S(getxattrat, HERE, "f", 0, "user.c", &get, size);
	get.size = 0;
	S(getxattrat, HERE, "f", 0, "user.c", &get, size);
	MUST(setxattr("f", "user.c", "longer", 6, 0));
	get.size = 5;
	S(getxattrat, HERE, "f", 0, "user.c", &get, size);
	get.flags = 1;
	S(getxattrat, HERE, "f", 0, "user.c", &get, size);
	get.flags = 0;
	bad.size = 9;
	S(getxattrat, HERE, "f", 0, "user.c", &bad, size);
	S(getxattrat, HERE, "f", 0, "user.c", e_bad, size);
	S(getxattrat, HERE, "f", 0, "user.c", &get, 15L);
	S(getxattrat, HERE, "f", 0, "user.c", &get, 5000L);
	S(getxattrat, HERE, "f", 0, e_bad, &get, size);
	S(getxattrat, HERE, "f", 0, "user.none", &get, size);
	S(getxattrat, HERE, "f", 0, "strange.c", &get, size);
	S(getxattrat, HERE, "f", 0x10000, "user.c", &get, size);
	S(getxattrat, HERE, "none", 0, "user.c", &get, size);
	S(getxattrat, 99, "f", 0, "user.c", &get, size);
	S(listxattrat, HERE, "f", 0, list, 200L);
	S(listxattrat, HERE, "f", 0, list, 5L);
	S(listxattrat, HERE, "f", 0, e_bad, 200L);
	S(listxattrat, HERE, "f", 0x10000, list, 200L);
	S(listxattrat, HERE, "none", 0, list, 200L);
	S(listxattrat, 99, "f", 0, list, 200L);
	S(removexattrat, HERE, "f", 0, "user.none");
	S(removexattrat, HERE, "f", 0, e_bad);
	S(removexattrat, HERE, "f", 0x10000, "user.c");
	S(removexattrat, HERE, "none", 0, "user.c");
	S(removexattrat, HERE, "still", 0, "user.c");
	S(removexattrat, 99, "f", 0, "user.c");
	S(removexattrat, HERE, "f", 0, "user.c");
}

static void inode_flags(int file)
{
	struct fattr attr[400] = { { 0 } };
	size_t size = sizeof *attr;
	S(file_getattr, HERE, "f", attr, size, 0);
	S(file_getattr, HERE, "f", attr, 23L, 0);
	S(file_getattr, HERE, "f", attr, 5000L, 0);
	S(file_getattr, HERE, "f", e_bad, size, 0);
	S(file_getattr, HERE, "f", attr, size, 1);
	S(file_getattr, HERE, "none", attr, size, 0);
	S(file_getattr, 99, "f", attr, size, 0);
	S(file_getattr, HERE, "/proc/self/status", attr, size, 0);
	attr->xflags = 0;
	S(file_setattr, HERE, "f", attr, size, 0);
	S(file_setattr, HERE, "f", attr, 23L, 0);
	S(file_setattr, HERE, "f", attr, 5000L, 0);
	S(file_setattr, HERE, "f", e_bad, size, 0);
	S(file_setattr, HERE, "f", attr, size, 1);
	S(file_setattr, HERE, "none", attr, size, 0);
	S(file_setattr, 99, "f", attr, size, 0);
	S(file_setattr, HERE, "/proc/self/status", attr, size, 0);
	attr[1].xflags = 1;
	S(file_setattr, HERE, "f", attr, 2 * size, 0);
	AS_NOBODY("not the owner", S(file_setattr, HERE, "readable", attr, size, 0));
}

int main(void)
{
	e_fixture();
	int file = MUST(open("f", O_RDWR));
	sets(file);
	gets(file);
	lists(file);
	removes(file);
	at_calls(file);
	inode_flags(file);
	mnt_unscratch();
	return 0;
}

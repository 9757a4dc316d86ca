/* open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr, statmount, listmount.
 * bevor-test: user=both kernel=6.18 */
#include "mnt.h"
#include <linux/mount.h>
#include <sys/statvfs.h>
#ifndef SYS_statmount
#define SYS_statmount 457
#define SYS_listmount 458
#endif
#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif
#define AT_RECURSIVE 0x8000
#define SET_GROUP 0x100
#define BENEATH 0x200

static int tree(int dir, const char *path, unsigned flags) { return syscall(SYS_open_tree, dir, path, flags); }
static int move(int from, const char *a, int to, const char *b, unsigned flags) { return syscall(SYS_move_mount, from, a, to, b, flags); }
static int fsopen_(const char *name, unsigned flags) { return syscall(SYS_fsopen, name, flags); }
static int config(int fd, unsigned cmd, const char *key, const void *value, int aux) { return syscall(SYS_fsconfig, fd, cmd, key, value, aux); }
static int fsmount_(int fd, unsigned flags, unsigned attr) { return syscall(SYS_fsmount, fd, flags, attr); }
static int pick(int dir, const char *path, unsigned flags) { return syscall(SYS_fspick, dir, path, flags); }

struct attr { uint64_t set, clr, propagation, userns; };
static int setattr(int dir, const char *path, unsigned flags, uint64_t set, uint64_t clr, uint64_t propagation)
{
	struct attr attr = { set, clr, propagation, 0 };
	return syscall(SYS_mount_setattr, dir, path, flags, &attr, sizeof attr);
}

static void messages(int fd)
{
	char text[256];
	ssize_t len;
	while ((len = read(fd, text, sizeof text)) > 0)
		out_bytes("message", text, len);
	out("messages end: %zd %s\n", len, errname(len < 0 ? errno : 0));
}

static void flags_of(const char *path)
{
	struct statvfs buf;
	if (statvfs(path, &buf))
		out("%s: %s\n", path, errname(errno));
	else
		out("%s: %lx\n", path, buf.f_flag & ~0x20UL);
}

static void trees(void)
{
	mkdir("a", 0755);
	mkdir("b", 0755);
	mkdir("c", 0755);
	close(make_file("file", "x"));
	symlink("a", "link");
	MUST(mount("one", "a", "tmpfs", MS_NODEV, NULL));
	mkdir("a/sub", 0755);
	MUST(mount("two", "a/sub", "tmpfs", 0, NULL));
	close(make_file("a/sub/deep", "x"));
	T(tree(AT_FDCWD, "missing", 0));
	T(tree(AT_FDCWD, "a", AT_RECURSIVE));
	T(tree(AT_FDCWD, "a", 0x10000000));
	T(tree(AT_FDCWD, "", OPEN_TREE_CLONE));
	T(tree(99, "a", OPEN_TREE_CLONE));
	T(tree(AT_FDCWD, (void *)8, OPEN_TREE_CLONE));
	int plain = MUST(tree(AT_FDCWD, "a", OPEN_TREE_CLOEXEC));
	out("flags %x cloexec %d\n", fcntl(plain, F_GETFL), fcntl(plain, F_GETFD));
	T(faccessat(plain, "sub/deep", F_OK, 0));
	int link = MUST(tree(AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW));
	struct stat st;
	fstat(link, &st);
	out("%o\n", st.st_mode);
	close(link);
	int copy = MUST(tree(AT_FDCWD, "a", OPEN_TREE_CLONE));
	out("flags %x cloexec %d\n", fcntl(copy, F_GETFL), fcntl(copy, F_GETFD));
	T(faccessat(copy, "sub/deep", F_OK, 0));
	int all = MUST(tree(AT_FDCWD, "a", OPEN_TREE_CLONE | AT_RECURSIVE));
	T(faccessat(all, "sub/deep", F_OK, 0));
	T(openat(all, "new", O_CREAT | O_RDWR, 0600) >= 0 ? 0 : -1);
	T(access("a/new", F_OK));
	mnt_show("nothing shows");
	/* moving */
	T(move(all, "", AT_FDCWD, "b", 0));
	T(move(all, "", AT_FDCWD, "missing", MOVE_MOUNT_F_EMPTY_PATH));
	T(move(all, "", AT_FDCWD, "file", MOVE_MOUNT_F_EMPTY_PATH));
	T(move(all, "sub", AT_FDCWD, "b", 0));
	T(move(all, "", AT_FDCWD, "b", 0x1000));
	T(move(99, "", AT_FDCWD, "b", MOVE_MOUNT_F_EMPTY_PATH));
	T(move(all, "", 99, "b", MOVE_MOUNT_F_EMPTY_PATH));
	T(move(all, "", AT_FDCWD, "b", MOVE_MOUNT_F_EMPTY_PATH | SET_GROUP | BENEATH));
	T(move(all, "", AT_FDCWD, "b", MOVE_MOUNT_F_EMPTY_PATH));
	T(move(all, "", AT_FDCWD, "c", MOVE_MOUNT_F_EMPTY_PATH));
	mnt_show("attached, then moved on");
	T(move(AT_FDCWD, "c", AT_FDCWD, "link", 0));
	T(move(AT_FDCWD, "c", AT_FDCWD, "link", MOVE_MOUNT_T_SYMLINKS));
	T(move(AT_FDCWD, "a", AT_FDCWD, "a/sub", 0));
	T(move(AT_FDCWD, "file", AT_FDCWD, "b", 0));
	T(move(AT_FDCWD, "b", AT_FDCWD, "c", 0));
	int c = MUST(open("c", O_PATH));
	T(move(copy, "", c, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
	mnt_show("by descriptors");
	close(c);
	T(umount2("c", 0));
	close(copy);
	close(all);
	close(plain);
	T(umount2("c", 0));
	T(umount2("a", MNT_DETACH));
	T(umount2("a", MNT_DETACH));
	mnt_show("clean");
	/* a tree that is closed is gone */
	MUST(mount("one", "a", "tmpfs", 0, NULL));
	copy = MUST(tree(AT_FDCWD, "a", OPEN_TREE_CLONE));
	T(umount2("a", 0));
	int inside = openat(copy, ".", O_PATH);
	close(copy);
	T(move(inside, "", AT_FDCWD, "a", MOVE_MOUNT_F_EMPTY_PATH));
	close(inside);
	/* files */
	int f = MUST(tree(AT_FDCWD, "file", OPEN_TREE_CLONE));
	T(move(f, "", AT_FDCWD, "a", MOVE_MOUNT_F_EMPTY_PATH));
	close(make_file("file2", "y"));
	T(move(f, "", AT_FDCWD, "file2", MOVE_MOUNT_F_EMPTY_PATH));
	mnt_show("a file");
	close(f);
	T(umount2("file2", 0));
	/* copies into copies */
	MUST(mount("one", "a", "tmpfs", 0, NULL));
	mkdir("a/in", 0755);
	copy = MUST(tree(AT_FDCWD, "a", OPEN_TREE_CLONE));
	int other = MUST(tree(AT_FDCWD, "a", OPEN_TREE_CLONE));
	T(move(other, "", copy, "in", MOVE_MOUNT_F_EMPTY_PATH));
	T(faccessat(copy, "in/in", F_OK, 0));
	int third = tree(copy, "", OPEN_TREE_CLONE | AT_RECURSIVE | AT_EMPTY_PATH);
	T(third >= 0 ? faccessat(third, "in/in", F_OK, 0) : -1);
	T(move(copy, "", copy, "in", MOVE_MOUNT_F_EMPTY_PATH));
	T(move(third, "", AT_FDCWD, "b", MOVE_MOUNT_F_EMPTY_PATH));
	mnt_show("a copy of a copy");
	T(umount2("b", MNT_DETACH));
	/* unbindable, and not ours */
	T(mount(NULL, "a", NULL, MS_UNBINDABLE, NULL));
	T(tree(AT_FDCWD, "a", OPEN_TREE_CLONE));
	close(copy), close(other), close(third);
	T(umount2("a", MNT_DETACH));
	T(umount2("a", MNT_DETACH));
}

static void beneath(void)
{
	MUST(mount("top", "a", "tmpfs", 0, NULL));
	close(make_file("a/top", ""));
	MUST(mount("low", "b", "tmpfs", 0, NULL));
	close(make_file("b/low", ""));
	T(move(AT_FDCWD, "b", AT_FDCWD, "c", BENEATH));
	T(move(AT_FDCWD, "b", AT_FDCWD, "file", BENEATH));
	T(move(AT_FDCWD, "b", AT_FDCWD, ".", BENEATH));
	T(move(AT_FDCWD, "b", AT_FDCWD, "a", BENEATH));
	mnt_show("beneath");
	T(access("a/top", F_OK));
	T(umount2("a", 0));
	T(access("a/low", F_OK));
	T(umount2("a", 0));
}

static void groups(void)
{
	MUST(mount("one", "a", "tmpfs", 0, NULL));
	mkdir("a/sub", 0755);
	MUST(mount("a/sub", "b", NULL, MS_BIND, NULL));
	MUST(mount("two", "c", "tmpfs", 0, NULL));
	T(move(AT_FDCWD, "a", AT_FDCWD, "b", SET_GROUP));
	MUST(mount(NULL, "a", NULL, MS_SHARED, NULL));
	T(move(AT_FDCWD, "a", AT_FDCWD, "c", SET_GROUP));
	T(move(AT_FDCWD, "a/sub", AT_FDCWD, "b", SET_GROUP));
	T(move(AT_FDCWD, "a", AT_FDCWD, "b", SET_GROUP));
	T(move(AT_FDCWD, "a", AT_FDCWD, "b", SET_GROUP));
	mnt_show("in one group");
	T(umount2("a", 0));
	T(umount2("b", 0));
	T(umount2("c", 0));
}

static void file_systems(void)
{
	T(fsopen_("nosuchfs", 0));
	T(fsopen_("tmpfs", 2));
	T(fsopen_((void *)8, 0));
	T(fsopen_("", 0));
	int fs = MUST(fsopen_("tmpfs", FSOPEN_CLOEXEC));
	out("flags %x cloexec %d\n", fcntl(fs, F_GETFL) & ~0x8000, fcntl(fs, F_GETFD));
	T(lseek(fs, 0, SEEK_SET));
	T(write(fs, "x", 1));
	messages(fs);
	T(config(-1, FSCONFIG_SET_FLAG, "ro", NULL, 0));
	T(config(99, FSCONFIG_SET_FLAG, "ro", NULL, 0));
	T(config(0, FSCONFIG_SET_FLAG, "ro", NULL, 0));
	T(config(fs, 77, "ro", NULL, 0));
	T(config(fs, FSCONFIG_SET_FLAG, NULL, NULL, 0));
	T(config(fs, FSCONFIG_SET_FLAG, "ro", "x", 0));
	T(config(fs, FSCONFIG_SET_FLAG, "ro", NULL, 1));
	T(config(fs, FSCONFIG_SET_STRING, "size", NULL, 0));
	T(config(fs, FSCONFIG_SET_STRING, NULL, "1m", 0));
	T(config(fs, FSCONFIG_SET_STRING, (void *)8, "1m", 0));
	T(config(fs, FSCONFIG_SET_STRING, "size", (void *)8, 0));
	T(config(fs, FSCONFIG_SET_BINARY, "size", "1m", 0));
	T(config(fs, FSCONFIG_SET_BINARY, "size", "1m", 2));
	T(config(fs, FSCONFIG_SET_PATH, "size", "1m", -1));
	T(config(fs, FSCONFIG_SET_PATH, "size", "1m", AT_FDCWD));
	T(config(fs, FSCONFIG_SET_FD, "size", NULL, -1));
	T(config(fs, FSCONFIG_SET_FD, "size", NULL, 99));
	T(config(fs, FSCONFIG_SET_FD, "size", NULL, 1));
	T(config(fs, FSCONFIG_CMD_CREATE, "x", NULL, 0));
	T(config(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 1));
	T(config(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0));
	while (read(fs, (char[256]){ 0 }, 256) > 0)
		;
	T(config(fs, FSCONFIG_SET_STRING, "bogus", "1", 0));
	T(config(fs, FSCONFIG_SET_FLAG, "bogus", NULL, 0));
	T(config(fs, FSCONFIG_SET_STRING, "size", "x", 0));
	T(config(fs, FSCONFIG_SET_FLAG, "size", NULL, 0));
	messages(fs);
	T(config(fs, FSCONFIG_SET_STRING, "bogus", "1", 0));
	T(read(fs, (char[4]){ 0 }, 4));
	messages(fs);
	T(config(fs, FSCONFIG_SET_STRING, "source", "from", 0));
	T(config(fs, FSCONFIG_SET_STRING, "source", "again", 0));
	T(config(fs, FSCONFIG_SET_STRING, "size", "1m", 0));
	T(config(fs, FSCONFIG_SET_STRING, "mode", "700", 0));
	T(config(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0));
	T(config(fs, FSCONFIG_SET_FLAG, "rw", NULL, 0));
	T(fsmount_(fs, 0, 0));
	T(config(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	T(config(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	T(config(fs, FSCONFIG_SET_STRING, "size", "2m", 0));
	T(config(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0));
	T(fsmount_(fs, 2, 0));
	T(fsmount_(99, 0, 0));
	T(fsmount_(0, 0, 0));
	T(fsmount_(fs, 0, 0x30));
	T(fsmount_(fs, 0, 0x100000));
	int mnt = MUST(fsmount_(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME));
	out("flags %x cloexec %d\n", fcntl(mnt, F_GETFL), fcntl(mnt, F_GETFD));
	T(fsmount_(fs, 0, 0));
	T(mkdirat(mnt, "dir", 0755));
	T(setattr(mnt, "", AT_EMPTY_PATH, MOUNT_ATTR_NOEXEC, 0, 0));
	T(move(mnt, "", AT_FDCWD, "a", MOVE_MOUNT_F_EMPTY_PATH));
	mnt_show("a new file system");
	flags_of("a");
	/* the same descriptor changes it */
	T(config(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0));
	T(config(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0));
	flags_of("a");
	T(config(fs, FSCONFIG_SET_FLAG, "rw", NULL, 0));
	T(config(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0));
	T(config(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0));
	close(fs);
	close(mnt);
	/* fspick */
	T(pick(AT_FDCWD, "a/dir", 0));
	T(pick(AT_FDCWD, "missing", 0));
	T(pick(AT_FDCWD, "a", 0x100));
	T(pick(AT_FDCWD, "link", FSPICK_SYMLINK_NOFOLLOW));
	int picked = MUST(pick(AT_FDCWD, "link", FSPICK_CLOEXEC));
	T(config(picked, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	T(config(picked, FSCONFIG_SET_STRING, "size", "3m", 0));
	T(config(picked, FSCONFIG_SET_STRING, "bogus", "3m", 0));
	T(config(picked, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0));
	T(fsmount_(picked, 0, 0));
	struct statvfs st;
	statvfs("a", &st);
	out("%ld KiB\n", (long)(st.f_blocks * st.f_frsize / 1024));
	/* busy */
	int file = open("a/writing", O_CREAT | O_RDWR, 0600);
	T(config(picked, FSCONFIG_SET_FLAG, "ro", NULL, 0));
	T(config(picked, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0));
	T(config(picked, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0));
	T(config(picked, FSCONFIG_SET_FLAG, "rw", NULL, 0));
	close(file);
	close(picked);
	T(umount2("a", 0));
}

static void attributes(void)
{
	MUST(mount("one", "a", "tmpfs", 0, NULL));
	mkdir("a/sub", 0755);
	MUST(mount("two", "a/sub", "tmpfs", 0, NULL));
	struct attr attr[2] = { { MOUNT_ATTR_RDONLY } };
	T(syscall(SYS_mount_setattr, AT_FDCWD, "a", 0x10, attr, 32));
	T(syscall(SYS_mount_setattr, AT_FDCWD, "a", 0, attr, 31));
	T(syscall(SYS_mount_setattr, AT_FDCWD, "a", 0, attr, 8192));
	T(syscall(SYS_mount_setattr, AT_FDCWD, "a", 0, (void *)8, 32));
	T(syscall(SYS_mount_setattr, AT_FDCWD, "missing", 0, attr, 32));
	attr[1].set = 1;
	T(syscall(SYS_mount_setattr, AT_FDCWD, "a", 0, attr, 64));
	attr[1].set = 0;
	T(syscall(SYS_mount_setattr, AT_FDCWD, "a", 0, attr, 64));
	flags_of("a");
	flags_of("a/sub");
	T(setattr(AT_FDCWD, "missing", 0, 0, 0, 0));
	T(setattr(AT_FDCWD, "a", AT_RECURSIVE, 0, MOUNT_ATTR_RDONLY, 0));
	T(setattr(AT_FDCWD, "a", 0, 1ULL << 40, 0, 0));
	T(setattr(AT_FDCWD, "a", 0, 0, 1ULL << 40, 0));
	T(setattr(AT_FDCWD, "a", 0, 0, 0, MS_SHARED | MS_SLAVE));
	T(setattr(AT_FDCWD, "a", 0, 0, 0, MS_RDONLY));
	T(setattr(AT_FDCWD, "a", 0, MOUNT_ATTR_NOATIME, 0, 0));
	T(setattr(AT_FDCWD, "a", 0, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NOATIME, 0));
	T(setattr(AT_FDCWD, "a", 0, MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME, 0));
	T(setattr(AT_FDCWD, "a", 0, 0, MOUNT_ATTR_IDMAP, 0));
	T(setattr(AT_FDCWD, "file", 0, MOUNT_ATTR_NODEV, 0, 0));
	T(setattr(AT_FDCWD, "a/../a/sub/..", 0, MOUNT_ATTR_NODEV, 0, 0));
	T(setattr(AT_FDCWD, "a", 0, MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME, 0));
	flags_of("a");
	T(setattr(AT_FDCWD, "a", 0, MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_NODIRATIME, MOUNT_ATTR__ATIME | MOUNT_ATTR_NODEV, 0));
	flags_of("a");
	T(setattr(AT_FDCWD, "a", AT_RECURSIVE, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR__ATIME, MS_SHARED));
	flags_of("a");
	flags_of("a/sub");
	mnt_show("shared");
	int fd = open("a/sub/writing", O_CREAT | O_RDWR, 0600);
	T(setattr(AT_FDCWD, "a", AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0, MS_PRIVATE));
	flags_of("a");
	close(fd);
	T(setattr(AT_FDCWD, "a", AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0, MS_PRIVATE));
	flags_of("a");
	mnt_show("private");
	/* a tree of attributes of its own */
	struct attr ro = { MOUNT_ATTR_NOEXEC };
	T(syscall(SYS_open_tree_attr, AT_FDCWD, "a", OPEN_TREE_CLONE | AT_RECURSIVE, &ro, 16));
	T(syscall(SYS_open_tree_attr, AT_FDCWD, "a", OPEN_TREE_CLONE | AT_RECURSIVE, NULL, 32));
	int copy = syscall(SYS_open_tree_attr, AT_FDCWD, "a", OPEN_TREE_CLONE | AT_RECURSIVE, &ro, sizeof ro);
	T(move(copy, "", AT_FDCWD, "b", MOVE_MOUNT_F_EMPTY_PATH));
	flags_of("b/sub");
	flags_of("a/sub");
	close(copy);
	T(umount2("b", MNT_DETACH));
	T(umount2("a", MNT_DETACH));
}

struct req { uint32_t size, spare; uint64_t id, param, ns; };
struct sm {
	uint32_t size, mnt_opts; uint64_t mask; uint32_t major, minor; uint64_t magic; uint32_t sb_flags, fs_type;
	uint64_t mnt_id, parent; uint32_t old, old_parent; uint64_t attr, propagation, peer, master, from;
	uint32_t root, point; uint64_t ns; uint32_t subtype, source, opt_num, opts, sec_num, sec; uint64_t supported;
	uint32_t spare[90];
	char str[4096];
};

static uint64_t unique_id(const char *path)
{
	struct statx st = { 0 };
	MUST(statx(AT_FDCWD, path, 0, 0x4000, &st));
	return st.stx_mnt_id;
}

static void reports(void)
{
	MUST(mount("one", "a", "tmpfs", MS_NOSUID | MS_NOATIME, "size=1m"));
	mkdir("a/sub", 0755);
	MUST(mount("a/sub", "b", NULL, MS_BIND, NULL));
	MUST(mount("two", "a/sub", "tmpfs", MS_RDONLY, NULL));
	MUST(mount(NULL, "a", NULL, MS_SHARED, NULL));
	struct sm sm;
	struct req req = { 24, 0, unique_id("a"), ~0ULL };
	T(syscall(SYS_statmount, &req, &sm, sizeof sm, 1));
	T(syscall(SYS_statmount, (void *)8, &sm, sizeof sm, 0));
	req.size = 16;
	T(syscall(SYS_statmount, &req, &sm, sizeof sm, 0));
	req.size = 8192;
	T(syscall(SYS_statmount, &req, &sm, sizeof sm, 0));
	req.size = 24;
	req.spare = 1;
	req.id = 1;
	T(syscall(SYS_statmount, &req, &sm, sizeof sm, 0));
	req.spare = 0;
	T(syscall(SYS_statmount, &req, &sm, sizeof sm, 0));
	req.id = ~0ULL - 5;
	T(syscall(SYS_statmount, &req, &sm, sizeof sm, 0));
	req.id = unique_id("a");
	req.param = 0x10;
	T(syscall(SYS_statmount, &req, &sm, 512, 0));
	T(syscall(SYS_statmount, &req, &sm, 0, 0));
	req.param = 2;
	memset(&sm, 0, sizeof sm);
	T(syscall(SYS_statmount, &req, &sm, 16, 0));
	out("%u %lx\n", sm.size, (long)sm.mask);
	const char *paths[] = { ".", "a", "a/sub", "b" };
	for (int i = 0; i < 4; i++) {
		memset(&sm, 0, sizeof sm);
		req.id = unique_id(paths[i]);
		req.param = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x200;
		T(syscall(SYS_statmount, &req, &sm, sizeof sm, 0));
		out("%s: mask %lx id %d parent %d magic %lx sb %x attr %lx propagation %lx peer %d master %d from %d\n", paths[i],
		    (long)sm.mask, sm.mnt_id == req.id, i == 0 || i == 2 || sm.parent == unique_id("."), (long)sm.magic,
		    sm.sb_flags, (long)sm.attr, (long)sm.propagation, !!sm.peer, !!sm.master, !!sm.from);
		out("type %s root %s point %s source %s\n", sm.str + sm.fs_type, sm.str + sm.root,
		    sm.str + sm.point + (sm.mask & 0x10 ? strlen(mnt_base) : 0), sm.str + sm.source);
	}
	/* listmount */
	uint64_t ids[64];
	req.id = unique_id(".");
	req.param = 0;
	T(syscall(SYS_listmount, &req, ids, 64, 0));
	out("order %d\n", ids[0] == unique_id("a") && ids[1] == unique_id("b") && ids[2] == unique_id("a/sub"));
	T(syscall(SYS_listmount, &req, ids, 64, 1));
	out("order %d\n", ids[2] == unique_id("a") && ids[0] == unique_id("a/sub"));
	T(syscall(SYS_listmount, &req, ids, 2, 0));
	req.param = ids[1];
	T(syscall(SYS_listmount, &req, ids, 64, 0));
	req.param = 5;
	T(syscall(SYS_listmount, &req, ids, 64, 0));
	req.param = 0;
	T(syscall(SYS_listmount, &req, ids, 64, 2));
	T(syscall(SYS_listmount, &req, ids, 2000000, 0));
	T(syscall(SYS_listmount, &req, (void *)8, 64, 0));
	T(syscall(SYS_listmount, &req, ids, 0, 0));
	req.id = unique_id("a");
	T(syscall(SYS_listmount, &req, ids, 64, 0));
	req.id = unique_id("b");
	T(syscall(SYS_listmount, &req, ids, 64, 0));
	req.id = ~0ULL;
	CHECK(syscall(SYS_listmount, &req, ids, 64, 0) > 3);
	req.id = ~0ULL - 1;
	T(syscall(SYS_listmount, &req, ids, 64, 0));
	T(umount2("b", 0));
	T(umount2("a", MNT_DETACH));
}

static void refused(void)
{
	int fs = MUST(fsopen_("tmpfs", 0));
	CHILD("without the capability", {
		if (!getuid())
			setresuid(1234, 1234, 1234);
		else
			MUST(unshare(CLONE_NEWUSER));
		T(tree(AT_FDCWD, "a", 0) >= 0 ? 0 : -1);
		T(tree(AT_FDCWD, "a", OPEN_TREE_CLONE));
		T(move(AT_FDCWD, "a", AT_FDCWD, "b", 0x1000));
		T(fsopen_("nosuchfs", 0));
		T(config(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0));
		T(config(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
		T(fsmount_(fs, 0, 0));
		T(pick(AT_FDCWD, "a", 0x100));
		T(setattr(AT_FDCWD, "a", 0, MOUNT_ATTR_RDONLY, 0, 0));
		T(setattr(AT_FDCWD, "a", 0, 0, 0, 0));
		struct req req = { 24, 0, unique_id("."), 2 };
		struct sm sm;
		T(syscall(SYS_statmount, &req, &sm, sizeof sm, 0));
	});
}

int main(void)
{
	mnt_scratch();
	trees();
	beneath();
	groups();
	file_systems();
	attributes();
	reports();
	refused();
	mnt_unscratch();
	return 0;
}

/* What the calls on mounts refuse. bevor-test: kernel=6.15 */
#include "errors.h"
#include <linux/capability.h>
#include <linux/mount.h>

#define HERE AT_FDCWD

struct request { uint32_t size, spare; uint64_t id, param, ns; };

/* Keeps one privilege, so that permissions count. */
static void only_mount(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { { 1u << CAP_SYS_ADMIN, 1u << CAP_SYS_ADMIN, 0 }, { 0, 0, 0 } };
	MUST(syscall(SYS_capset, &header, data));
}

static void few_files(void)
{
	struct rlimit limit = { 3, 3 };
	int context = MUST(fsopen("tmpfs", 0));
	MUST(fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	S(fsopen, "tmpfs", 0);
	S(fspick, HERE, "ro", 0);
	S(open_tree, HERE, "d", 0);
	S(fsmount, context, 0, 0);
}

static void mounts(void)
{
	S(mount, "none", "none", "tmpfs", 0, NULL);
	S(mount, "none", "f", "tmpfs", 0, NULL);
	S(mount, "none", "f/x", "tmpfs", 0, NULL);
	S(mount, "none", "loop", "tmpfs", 0, NULL);
	S(mount, "none", e_long, "tmpfs", 0, NULL);
	S(mount, "none", e_huge, "tmpfs", 0, NULL);
	S(mount, "none", e_bad, "tmpfs", 0, NULL);
	S(mount, e_bad, "d", "tmpfs", 0, NULL);
	S(mount, "none", "d", e_bad, 0, NULL);
	S(mount, "none", "d", "strange", 0, NULL);
	S(mount, "none", "d", NULL, 0, NULL);
	S(mount, "none", "d", "tmpfs", 0, "strange=1");
	S(mount, "none", "d", "tmpfs", MS_SHARED | MS_PRIVATE, NULL);
	S(mount, "none", "d", NULL, MS_REMOUNT, NULL);
	S(mount, "none", "d", NULL, MS_BIND, NULL);
	S(mount, "f", "d", NULL, MS_BIND, NULL);
	S(mount, "ro", "empty", NULL, MS_MOVE, NULL);
	S(mount, "empty", "ro", NULL, MS_MOVE, NULL);
	S(mount, "ro", "ro/d", NULL, MS_MOVE, NULL);
	int busy = MUST(open("d/g", O_RDWR));
	MUST(mount("busy", "empty", "tmpfs", 0, NULL));
	close(busy);
	busy = MUST(open("empty/f", O_RDWR | O_CREAT, 0600));
	S(mount, "busy", "empty", NULL, MS_REMOUNT | MS_RDONLY, NULL);
	S(mount_setattr, HERE, "empty", 0, &(struct mount_attr){ .attr_set = MOUNT_ATTR_RDONLY }, 32L);
	S(umount2, "empty", 0);
	S(umount2, "empty", 0x100);
	S(umount2, "empty", MNT_EXPIRE | MNT_FORCE);
	close(busy);
	S(umount2, "empty", MNT_EXPIRE);
	S(umount2, "empty", MNT_EXPIRE);
	S(umount2, "empty", 0);
	S(umount2, "none", 0);
	S(umount2, "f/x", 0);
	S(umount2, "loop", 0);
	S(umount2, e_long, 0);
	S(umount2, e_huge, 0);
	S(umount2, e_bad, 0);
	CHILD("one privilege", only_mount();
	      S(mount, "none", "barred/d", "tmpfs", 0, NULL);
	      S(umount2, "barred/d", 0);
	      S(open_tree, HERE, "barred/d", OPEN_TREE_CLONE);
	      S(move_mount, HERE, "barred/d", HERE, "d", 0);
	      S(fspick, HERE, "barred/d", 0);
	      S(mount_setattr, HERE, "barred/d", 0, &(struct mount_attr){ .attr_set = 1 }, 32L););
	AS_NOBODY("no privilege", S(mount, "none", "d", "tmpfs", 0, NULL); S(umount2, "ro", 0);
		  S(open_tree, HERE, "d", OPEN_TREE_CLONE); S(move_mount, HERE, "ro", HERE, "d", 0); S(fsopen, "tmpfs", 0);
		  S(fspick, HERE, "ro", 0); S(fsmount, 99, 0, 0); S(pivot_root, ".", ".");
		  S(mount_setattr, HERE, "ro", 0, &(struct mount_attr){ .attr_set = 1 }, 32L););
	S(mount, "none", "d", "tmpfs", 0, NULL);
	S(umount2, "d", 0);
}

static void trees(void)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID };
	S(open_tree, HERE, "none", 0);
	S(open_tree, HERE, "f/x", 0);
	S(open_tree, HERE, "loop/x", 0);
	S(open_tree, HERE, e_long, 0);
	S(open_tree, HERE, e_bad, 0);
	S(open_tree, 99, "d", 0);
	S(open_tree, HERE, "d", 0x100000);
	S(open_tree, HERE, "d", AT_RECURSIVE);
	int tree = S(open_tree, HERE, "ro", OPEN_TREE_CLONE);
	S(move_mount, 99, "", HERE, "d", MOVE_MOUNT_F_EMPTY_PATH);
	S(move_mount, tree, "", HERE, "none", MOVE_MOUNT_F_EMPTY_PATH);
	S(move_mount, tree, "", HERE, "f/x", MOVE_MOUNT_F_EMPTY_PATH);
	S(move_mount, tree, "", HERE, "f", MOVE_MOUNT_F_EMPTY_PATH);
	S(move_mount, tree, "", HERE, "loop/x", MOVE_MOUNT_F_EMPTY_PATH);
	S(move_mount, tree, "", HERE, e_long, MOVE_MOUNT_F_EMPTY_PATH);
	S(move_mount, tree, "", HERE, e_bad, MOVE_MOUNT_F_EMPTY_PATH);
	S(move_mount, tree, "", HERE, "d", 0x10000);
	S(move_mount, HERE, "d", HERE, "empty", 0);
	S(move_mount, HERE, "ro", HERE, "ro/d", 0);
	S(move_mount, tree, "", HERE, "d", MOVE_MOUNT_F_EMPTY_PATH);
	S(move_mount, HERE, "d", HERE, "d", 0x200);
	S(move_mount, HERE, "full", HERE, "d", 0x200);
	close(tree);
	S(mount_setattr, 99, "ro", 0, &attr, 32L);
	S(mount_setattr, HERE, "none", 0, &attr, 32L);
	S(mount_setattr, HERE, "d", 0x100000, &attr, 32L);
	S(mount_setattr, HERE, "d", 0, e_bad, 32L);
	S(mount_setattr, HERE, "d", 0, &attr, 8L);
	S(mount_setattr, HERE, "d", 0, &attr, 9000L);
	attr.attr_set = 1UL << 40;
	S(mount_setattr, HERE, "d", 0, &attr, 32L);
	attr.attr_set = MOUNT_ATTR_NOSUID;
	S(mount_setattr, HERE, "d", 0, &attr, 32L);
}

static void contexts(void)
{
	int file = MUST(open("f", O_RDWR));
	S(fsopen, "strange", 0);
	S(fsopen, "tmpfs", 0x100);
	S(fsopen, e_bad, 0);
	int context = S(fsopen, "tmpfs", 0);
	S(fsconfig, 99, FSCONFIG_SET_FLAG, "ro", NULL, 0);
	S(fsconfig, -1, FSCONFIG_SET_FLAG, "ro", NULL, 0);
	S(fsconfig, file, FSCONFIG_SET_FLAG, "ro", NULL, 0);
	S(fsconfig, context, 77, NULL, NULL, 0);
	S(fsconfig, context, FSCONFIG_SET_FLAG, e_bad, NULL, 0);
	S(fsconfig, context, FSCONFIG_SET_FLAG, "strange", NULL, 0);
	S(fsconfig, context, FSCONFIG_SET_STRING, "size", e_bad, 0);
	S(fsconfig, context, FSCONFIG_SET_BINARY, "size", "x", 1);
	S(fsconfig, context, FSCONFIG_SET_STRING, "source", "here", 0);
	S(fsconfig, context, FSCONFIG_SET_STRING, "size", "1m", 0);
	S(fsmount, 99, 0, 0);
	S(fsmount, file, 0, 0);
	S(fsmount, context, 0, 0);
	S(fsmount, context, 0x100, 0);
	S(fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	S(fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	S(fsconfig, context, FSCONFIG_SET_FLAG, "ro", NULL, 0);
	S(fsmount, context, 0, 1 << 30);
	S(fsmount, context, 0, 0);
	S(fsmount, context, 0, 0);
	S(fspick, 99, "ro", 0);
	S(fspick, HERE, "none", 0);
	S(fspick, HERE, e_bad, 0);
	S(fspick, HERE, "d/g", 0);
	S(fspick, HERE, "ro", 0x100);
	int picked = S(fspick, HERE, "ro", 0);
	AS_NOBODY("no privilege", S(fsconfig, picked, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0));
	S(fsconfig, picked, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0);
	close(context), close(picked), close(file);
	CHILD("few files", few_files());
}

static void roots(void)
{
	S(pivot_root, "none", ".");
	S(pivot_root, "f", ".");
	S(pivot_root, "d", "d");
	S(pivot_root, "/", "/");
	S(pivot_root, e_bad, ".");
	MUST(chdir("empty"));
	MUST(mount("root", ".", "tmpfs", 0, NULL));
	MUST(chdir("../empty"));
	MUST(mkdir("old", 0700));
	S(pivot_root, ".", "old");
}

static void reports(void)
{
	struct statx stx;
	uint64_t ids[16];
	char answer[4096];
	MUST(statx(HERE, "ro", 0, 0x4000, &stx));
	struct request good = { 24, 0, ((uint64_t *)&stx)[18], 1, 0 }, none = { 24, 0, 1UL << 40, 1, 0 };
	struct request small = { 8, 0, 0, 0, 0 }, root = { 24, 0, -1UL, 0, 0 }, strange = { 24, 1, 0, 0, 0 };
	struct request all = good;
	all.param = 0x3f;
	S(statmount, &good, answer, sizeof answer, 0);
	S(statmount, &good, answer, sizeof answer, 1);
	S(statmount, &small, answer, sizeof answer, 0);
	S(statmount, &strange, answer, sizeof answer, 0);
	S(statmount, &none, answer, sizeof answer, 0);
	S(statmount, e_bad, answer, sizeof answer, 0);
	S(statmount, &good, e_bad, sizeof answer, 0);
	S(statmount, &all, answer, 520L, 0);
	S(listmount, &root, ids, 16L, 0);
	S(listmount, &root, ids, 16L, 0x10);
	S(listmount, &small, ids, 16L, 0);
	S(listmount, &strange, ids, 16L, 0);
	S(listmount, &none, ids, 16L, 0);
	S(listmount, e_bad, ids, 16L, 0);
	S(listmount, &root, e_bad, 16L, 0);
	S(listmount, &root, ids, -1L, 0);
}

int main(void)
{
	e_fixture();
	e_mkdir("barred", 0755, 0);
	e_mkdir("barred/d", 0755, 0);
	MUST(chmod("barred", 0));
	mounts();
	trees();
	contexts();
	reports();
	CHILD("roots", MUST(unshare(CLONE_NEWNS)); roots());
	mnt_unscratch();
	return 0;
}

/* The errors of every call that takes a path, from one table. bevor-test: kernel=6.15 */
#include "errors.h"
#include <linux/mount.h>
#include <sys/inotify.h>
#include <sys/statfs.h>
#include <utime.h>

#define LONG(pointer) ((long)(pointer))
#define HERE AT_FDCWD

static struct stat st;
static struct statx stx;
static struct statfs sfs;
static struct timespec now[2];
static char buf[4096];
static struct { struct file_handle handle; char room[128]; } place;
static int mount_id, watches;

/* One path of one call: the path that succeeds, those of a read-only and of a full file system, and
 * one that is not permitted; where the folder and the flags are among the arguments. */
struct path_call {
	const char *name;
	int nr, at, dir, flags;
	const char *good, *readonly, *full, *refused;
	long args[6];
};
#define NO (-1)
#define CALL(call, ...) { #call, SYS_##call, __VA_ARGS__ }
static struct path_call calls[] = {
	CALL(open, 0, NO, NO, "f", NULL, NULL, NULL, { 0, O_RDONLY }),
	CALL(open, 0, NO, NO, "new-open", "ro/new", "full/new", "stilld/new", { 0, O_CREAT | O_EXCL | O_WRONLY, 0600 }),
	CALL(creat, 0, NO, NO, "new-creat", "ro/new", "full/new", "stilld/new", { 0, 0600 }),
	CALL(openat, 1, 0, NO, "f", NULL, NULL, NULL, { HERE, 0, O_RDONLY }),
	CALL(openat, 1, 0, NO, "new-openat", "ro/new", "full/new", "stilld/new", { HERE, 0, O_CREAT | O_EXCL | O_WRONLY, 0600 }),
	CALL(stat, 0, NO, NO, "f", NULL, NULL, NULL, { 0, LONG(&st) }),
	CALL(lstat, 0, NO, NO, "f", NULL, NULL, NULL, { 0, LONG(&st) }),
	CALL(newfstatat, 1, 0, 3, "f", NULL, NULL, NULL, { HERE, 0, LONG(&st), 0 }),
	CALL(statx, 1, 0, 2, "f", NULL, NULL, NULL, { HERE, 0, 0, STATX_BASIC_STATS, LONG(&stx) }),
	CALL(access, 0, NO, NO, "f", "ro/f", NULL, "still", { 0, W_OK }),
	CALL(faccessat, 1, 0, NO, "f", "ro/f", NULL, "still", { HERE, 0, W_OK }),
	CALL(faccessat2, 1, 0, 3, "f", "ro/f", NULL, "still", { HERE, 0, W_OK, 0 }),
	CALL(truncate, 0, NO, NO, "f", "ro/f", NULL, "still", { 0, 5 }),
	CALL(chdir, 0, NO, NO, ".", NULL, NULL, NULL, { 0 }),
	CALL(chroot, 0, NO, NO, NULL, NULL, NULL, ".", { 0 }),
	CALL(statfs, 0, NO, NO, "f", NULL, NULL, NULL, { 0, LONG(&sfs) }),
	CALL(mkdir, 0, NO, NO, "new-mkdir", "ro/new", "full/new", "stilld/new", { 0, 0700 }),
	CALL(mkdirat, 1, 0, NO, "new-mkdirat", "ro/new", "full/new", "stilld/new", { HERE, 0, 0700 }),
	CALL(rmdir, 0, NO, NO, "new-mkdir", "ro/d", NULL, "sticky/dir", { 0 }),
	CALL(unlinkat, 1, 0, 2, "new-open", "ro/f", NULL, "sticky/theirs", { HERE, 0, 0 }),
	CALL(unlinkat, 1, 0, 2, "new-mkdirat", "ro/d", NULL, "sticky/dir", { HERE, 0, AT_REMOVEDIR }),
	CALL(unlink, 0, NO, NO, "new-openat", "ro/f", NULL, "sticky/theirs", { 0 }),
	CALL(mknod, 0, NO, NO, "new-mknod", "ro/new", "full/new", "stilld/new", { 0, S_IFIFO | 0600, 0 }),
	CALL(mknodat, 1, 0, NO, "new-mknodat", "ro/new", "full/new", "stilld/new", { HERE, 0, S_IFIFO | 0600, 0 }),
	CALL(link, 0, NO, NO, "f", NULL, NULL, "still", { 0, LONG("new-link") }),
	CALL(link, 1, NO, NO, "new-link2", "ro/new", "full/new", "stilld/new", { LONG("f"), 0 }),
	CALL(linkat, 1, 0, 4, "f", NULL, NULL, "still", { HERE, 0, HERE, LONG("new-linkat"), 0 }),
	CALL(linkat, 3, 2, 4, "new-linkat2", "ro/new", NULL, "stilld/new", { HERE, LONG("f"), HERE, 0, 0 }),
	CALL(symlink, 0, NO, NO, "f", NULL, NULL, NULL, { 0, LONG("new-symlink") }),
	CALL(symlink, 1, NO, NO, "new-symlink2", "ro/new", "full/new", "stilld/new", { LONG("f"), 0 }),
	CALL(symlinkat, 0, NO, NO, "f", NULL, NULL, NULL, { 0, HERE, LONG("new-symlinkat") }),
	CALL(symlinkat, 2, 1, NO, "new-symlinkat2", "ro/new", "full/new", "stilld/new", { LONG("f"), HERE, 0 }),
	CALL(readlink, 0, NO, NO, "to-f", NULL, NULL, NULL, { 0, LONG(buf), sizeof buf }),
	CALL(readlinkat, 1, 0, NO, "to-f", NULL, NULL, NULL, { HERE, 0, LONG(buf), sizeof buf }),
	CALL(rename, 0, NO, NO, "new-link", "ro/f", NULL, "sticky/theirs", { 0, LONG("new-rename") }),
	CALL(rename, 1, NO, NO, "new-renamed", NULL, NULL, "stilld/new", { LONG("new-rename"), 0 }),
	CALL(renameat, 1, 0, NO, "new-link2", "ro/f", NULL, "sticky/theirs", { HERE, 0, HERE, LONG("new-renameat") }),
	CALL(renameat, 3, 2, NO, "new-renamedat", NULL, NULL, "stilld/new", { HERE, LONG("new-renameat"), HERE, 0 }),
	CALL(renameat2, 1, 0, 4, "new-linkat", "ro/f", NULL, "sticky/theirs", { HERE, 0, HERE, LONG("new-renameat2"), 0 }),
	CALL(renameat2, 3, 2, 4, "new-renamedat2", NULL, NULL, "stilld/new", { HERE, LONG("new-renameat2"), HERE, 0, 0 }),
	CALL(chmod, 0, NO, NO, "f", "ro/f", NULL, "sticky/theirs", { 0, 0644 }),
	CALL(fchmodat, 1, 0, NO, "f", "ro/f", NULL, "sticky/theirs", { HERE, 0, 0644 }),
	CALL(fchmodat2, 1, 0, 3, "f", "ro/f", NULL, "sticky/theirs", { HERE, 0, 0644, 0 }),
	CALL(chown, 0, NO, NO, "f", "ro/f", NULL, "sticky/theirs", { 0, NOBODY, NOBODY }),
	CALL(lchown, 0, NO, NO, "f", "ro/f", NULL, "sticky/theirs", { 0, NOBODY, NOBODY }),
	CALL(fchownat, 1, 0, 4, "f", "ro/f", NULL, "sticky/theirs", { HERE, 0, NOBODY, NOBODY, 0 }),
	CALL(utime, 0, NO, NO, "f", "ro/f", NULL, "sticky/theirs", { 0, LONG(now) }),
	CALL(utimes, 0, NO, NO, "f", "ro/f", NULL, "sticky/theirs", { 0, LONG(now) }),
	CALL(futimesat, 1, 0, NO, "f", "ro/f", NULL, "sticky/theirs", { HERE, 0, LONG(now) }),
	CALL(utimensat, 1, 0, 3, "f", "ro/f", NULL, "sticky/theirs", { HERE, 0, LONG(now), 0 }),
	CALL(setxattr, 0, NO, NO, "f", "ro/f", NULL, "still", { 0, LONG("user.a"), LONG("x"), 1, 0 }),
	CALL(lsetxattr, 0, NO, NO, "f", "ro/f", NULL, "still", { 0, LONG("user.b"), LONG("x"), 1, 0 }),
	CALL(getxattr, 0, NO, NO, "f", NULL, NULL, NULL, { 0, LONG("user.a"), LONG(buf), 9 }),
	CALL(lgetxattr, 0, NO, NO, "f", NULL, NULL, NULL, { 0, LONG("user.a"), LONG(buf), 9 }),
	CALL(listxattr, 0, NO, NO, "f", NULL, NULL, NULL, { 0, LONG(buf), sizeof buf }),
	CALL(llistxattr, 0, NO, NO, "f", NULL, NULL, NULL, { 0, LONG(buf), sizeof buf }),
	CALL(removexattr, 0, NO, NO, "f", "ro/f", NULL, "still", { 0, LONG("user.a") }),
	CALL(lremovexattr, 0, NO, NO, "f", "ro/f", NULL, "still", { 0, LONG("user.b") }),
	CALL(inotify_add_watch, 1, NO, NO, "f", NULL, NULL, NULL, { 0, 0, IN_MODIFY }),
	CALL(name_to_handle_at, 1, 0, 4, "f", NULL, NULL, NULL, { HERE, 0, LONG(&place), LONG(&mount_id), 0 }),
};
#define CALLS (int)(sizeof calls / sizeof *calls)

static const char *attempt(const struct path_call *call, int index, long value)
{
	long a[6];
	memcpy(a, call->args, sizeof a);
	if (call->nr == SYS_inotify_add_watch)
		a[0] = watches;
	a[call->at] = LONG(call->good);
	if (!call->good && call->nr == SYS_chroot)
		a[call->at] = LONG(".");
	a[index] = value;
	place.handle.handle_bytes = sizeof place.room;
	long result = syscall(call->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	int error = errno;
	if (result >= 0 && (call->nr == SYS_open || call->nr == SYS_creat || call->nr == SYS_openat))
		close(result);
	return result == -1 ? errname(error) : "ok";
}

/* What is wrong with paths of whatever kind; `closed` is a folder that may not be searched. */
static void paths(const struct path_call *call)
{
	out("%s %d:", call->name, call->at);
	const char *wrong[] = { "none/f", "f/x", "loop/f", e_long, e_huge, "", e_bad, "locked/f" };
	for (int i = 0; i < 8; i++)
		out(" %s", attempt(call, call->at, LONG(wrong[i])));
	if (call->readonly)
		out(", ro %s", attempt(call, call->at, LONG(call->readonly)));
	if (call->full)
		out(", full %s", attempt(call, call->at, LONG(call->full)));
	if (call->refused)
		out(", refused %s", attempt(call, call->at, LONG(call->refused)));
	if (call->dir >= 0) {
		int file = open("f", O_RDONLY);
		out(", dir %s", attempt(call, call->dir, 99));
		out(" %s", attempt(call, call->dir, file));
		close(file);
	}
	if (call->flags >= 0)
		out(", flags %s", attempt(call, call->flags, 0x10000000));
	if (call->good)
		out(", %s", attempt(call, call->at, LONG(call->good)));
	out("\n");
}

int main(void)
{
	e_fixture();
	watches = MUST(inotify_init1(IN_NONBLOCK));
	AS_NOBODY("paths", for (int i = 0; i < CALLS; i++) paths(&calls[i]));
	mnt_unscratch();
	return 0;
}

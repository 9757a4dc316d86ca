/* For tests of mounts: a mount namespace of one's own, and what is mounted in it. */
#ifndef MNT_H
#define MNT_H

#include "t.h"
#include <sys/mount.h>

static char mnt_base[PATH_MAX];

static void mnt_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		out("BAD %s: %s\n", path, errname(errno));
	close(fd);
}

/* A user namespace in which the caller is root. */
static void mnt_user_namespace(void)
{
	char map[64];
	unsigned uid = getuid(), gid = getgid();
	MUST(unshare(CLONE_NEWUSER | CLONE_NEWNS));
	mnt_write("/proc/self/setgroups", "deny");
	snprintf(map, sizeof map, "0 %u 1", uid);
	mnt_write("/proc/self/uid_map", map);
	snprintf(map, sizeof map, "0 %u 1", gid);
	mnt_write("/proc/self/gid_map", map);
}

/* Stands in an empty tmpfs, a private mount of a mount namespace of one's own. */
static void mnt_scratch(void)
{
	static char dir[] = "/dev/shm/t.XXXXXX";
	umask(022);
	if (!mkdtemp(dir))
		out("BAD mkdtemp\n");
	if (getuid())
		mnt_user_namespace();
	else
		MUST(unshare(CLONE_NEWNS));
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	MUST(mount("base", dir, "tmpfs", 0, "size=16m,mode=755"));
	MUST(chdir(dir));
	strcpy(mnt_base, dir);
}

/* Leaves no folder behind. The mount goes with its namespace. */
static void mnt_unscratch(void)
{
	MUST(chdir("/"));
	umount2(mnt_base, MNT_DETACH);
	rmdir(mnt_base);
}

static int mnt_groups[64];

/* Group numbers become letters in the order they are met. */
static char mnt_group(const char *number)
{
	int value = atoi(number);
	for (int i = 0; i < 64; i++) {
		if (!mnt_groups[i])
			mnt_groups[i] = value;
		if (mnt_groups[i] == value)
			return 'A' + i;
	}
	return '?';
}

struct mnt_line {
	int id, parent;
	char root[256], at[256], flags[128], rest[512];
};

static int mnt_compare(const void *left, const void *right)
{
	const struct mnt_line *one = left, *other = right;
	int order = strcmp(one->at, other->at);
	return order ? order : one->id - other->id;
}

/* What mountinfo says of the mounts below the scratch folder, by place: the parent's mount point,
 * the place, root, flags, propagation, type and source. */
static void mnt_show(const char *title)
{
	static struct mnt_line lines[128];
	char line[4096];
	int count = 0;
	size_t skip = strlen(mnt_base);
	FILE *file = fopen("/proc/self/mountinfo", "r");
	out("-- %s\n", title);
	while (file && fgets(line, sizeof line, file)) {
		struct mnt_line *new = &lines[count];
		char at[1024];
		if (sscanf(line, "%d %d %*s %255s %1023s %127s %511[^\n]", &new->id, &new->parent, new->root, at, new->flags, new->rest) != 6)
			continue;
		if (strncmp(at, mnt_base, skip) || count == 127)
			continue;
		snprintf(new->at, sizeof new->at, "%s", at[skip] ? at + skip : ".");
		count++;
	}
	if (file)
		fclose(file);
	qsort(lines, count, sizeof *lines, mnt_compare);
	memset(mnt_groups, 0, sizeof mnt_groups);
	for (struct mnt_line *at = lines; at < lines + count; at++) {
		const char *above = "out";
		char shown[256] = "", *save;
		for (struct mnt_line *other = lines; other < lines + count; other++)
			if (other->id == at->parent)
				above = other->at;
		char *word = strtok_r(at->rest, " ", &save);
		for (; word && strcmp(word, "-"); word = strtok_r(NULL, " ", &save)) {
			char *colon = strchr(word, ':');
			size_t used = strlen(shown);
			if (colon)
				snprintf(shown + used, sizeof shown - used, " %.*s=%c", (int)(colon - word), word, mnt_group(colon + 1));
			else
				snprintf(shown + used, sizeof shown - used, " %s", word);
		}
		char *type = strtok_r(NULL, " ", &save), *source = strtok_r(NULL, " ", &save);
		char *options = strtok_r(NULL, " ", &save);
		out("%s > %s root %s %s%s %s %s %.2s\n", above, at->at, at->root, at->flags, shown, type, source, options);
	}
}

#endif

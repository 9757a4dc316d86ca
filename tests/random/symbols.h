/* The names that stand for numbers in steps. */
#define NAMES(N)                                                                                        \
	N(O_RDONLY) N(O_WRONLY) N(O_RDWR) N(O_CREAT) N(O_EXCL) N(O_TRUNC) N(O_APPEND) N(O_NONBLOCK)     \
	N(O_DIRECTORY) N(O_NOFOLLOW) N(O_PATH) N(O_TMPFILE) N(O_NOATIME) N(O_SYNC) N(O_CLOEXEC)         \
	N(AT_SYMLINK_NOFOLLOW) N(AT_SYMLINK_FOLLOW) N(AT_EMPTY_PATH) N(AT_EACCESS) N(AT_REMOVEDIR)      \
	N(RENAME_NOREPLACE) N(RENAME_EXCHANGE) N(RENAME_WHITEOUT)                                       \
	N(RESOLVE_BENEATH) N(RESOLVE_NO_SYMLINKS) N(RESOLVE_IN_ROOT) N(RESOLVE_NO_MAGICLINKS)           \
	N(RESOLVE_NO_XDEV)                                                                              \
	N(S_IFREG) N(S_IFIFO) N(S_IFSOCK) N(S_IFDIR) N(S_IFCHR)                                         \
	N(SEEK_SET) N(SEEK_CUR) N(SEEK_END) N(SEEK_DATA) N(SEEK_HOLE)                                   \
	N(FALLOC_FL_KEEP_SIZE) N(FALLOC_FL_PUNCH_HOLE) N(FALLOC_FL_ZERO_RANGE)                          \
	N(LOCK_SH) N(LOCK_EX) N(LOCK_UN) N(LOCK_NB) N(F_RDLCK) N(F_WRLCK) N(F_UNLCK)                    \
	N(F_SETLK) N(F_SETLKW) N(F_GETLK) N(F_OFD_SETLK) N(F_OFD_SETLKW) N(F_OFD_GETLK)                 \
	N(XATTR_CREATE) N(XATTR_REPLACE) N(F_OK) N(R_OK) N(W_OK) N(X_OK)                                \
	N(PROT_READ) N(PROT_WRITE) N(PROT_NONE) N(MAP_SHARED) N(MAP_PRIVATE)                            \
	N(MS_SYNC) N(MS_ASYNC) N(MS_INVALIDATE)                                                         \
	N(IN_ALL_EVENTS) N(IN_MODIFY) N(IN_ATTRIB) N(IN_CREATE) N(IN_DELETE) N(IN_MOVE) N(IN_ONLYDIR)   \
	N(IN_ONESHOT) N(IN_MASK_ADD) N(IN_DONT_FOLLOW) N(IN_DELETE_SELF) N(IN_MOVE_SELF) N(IN_CLOSE)    \
	N(IN_OPEN) N(IN_MASK_CREATE) N(IN_EXCL_UNLINK) N(RWF_APPEND) N(RWF_NOAPPEND)

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

static const struct { const char *name; long value; } names[] = {
#define ROW(name) { #name, name },
	NAMES(ROW)
#undef ROW
};

/* Reads `A|B` or a number. */
static long number(const char *text)
{
	char copy[256];
	long total = 0;
	snprintf(copy, sizeof copy, "%s", text ?: "");
	for (char *rest, *word = strtok_r(copy, "|", &rest); word; word = strtok_r(NULL, "|", &rest)) {
		if (strchr("0123456789-", word[0])) {
			total |= strtol(word, NULL, 0);
			continue;
		}
		size_t at = 0;
		while (at < sizeof names / sizeof *names && strcmp(names[at].name, word))
			at++;
		if (at == sizeof names / sizeof *names) {
			out("BAD name %s\n", word);
			_exit(98);
		}
		total |= names[at].value;
	}
	return total;
}

/* name_to_handle_at and open_by_handle_at on tmpfs. bevor-test: user=both kernel=6.18 */
#include "t.h"

struct handle { unsigned bytes; int type; unsigned char data[128]; };

static long name(int dir, const char *path, struct handle *handle, void *mount, int flags)
{
	return syscall(SYS_name_to_handle_at, dir, path, handle, mount, flags);
}

static long by(int fd, struct handle *handle, int flags)
{
	return syscall(SYS_open_by_handle_at, fd, handle, flags);
}

int main(void)
{
	scratch();
	close(make_file("f", "text"));
	mkdir("d", 0755);
	close(make_file("d/in", "inside"));
	symlink("f", "l");
	struct handle h = { 128 }, other = { 128 }, dir = { 128 };
	uint64_t id;
	int mount = 0;
	T(name(AT_FDCWD, "f", &h, &mount, 0));
	out("bytes %u type %d mount %d\n", h.bytes, h.type, mount > 0);
	T(name(AT_FDCWD, "f", &other, &mount, 0));
	CHECK(!memcmp(&h, &other, 8 + h.bytes));
	T(name(AT_FDCWD, "f", &other, &id, 1));
	struct statx st;
	statx(AT_FDCWD, "f", 0, 0x4000, &st);
	CHECK(st.stx_mnt_id == id);
	other.bytes = 128;
	T(name(AT_FDCWD, "l", &other, &mount, 0));
	CHECK(memcmp(&h, &other, 8 + h.bytes));
	other.bytes = 128;
	T(name(AT_FDCWD, "l", &other, &mount, AT_SYMLINK_FOLLOW));
	CHECK(!memcmp(&h, &other, 8 + h.bytes));
	other.bytes = 0;
	T(name(AT_FDCWD, "f", &other, &mount, 0));
	out("bytes %u\n", other.bytes);
	other.bytes = 11;
	T(name(AT_FDCWD, "f", &other, &mount, 0));
	out("bytes %u\n", other.bytes);
	other.bytes = 129;
	T(name(AT_FDCWD, "f", &other, &mount, 0));
	other.bytes = 128;
	T(name(AT_FDCWD, "f", &other, &mount, 0x10));
	T(name(AT_FDCWD, "f", &other, &mount, 0x202));
	T(name(AT_FDCWD, "missing", &other, &mount, 0));
	T(name(AT_FDCWD, "", &other, &mount, 0));
	T(name(AT_FDCWD, "", &other, &mount, AT_EMPTY_PATH));
	T(name(99, "f", &other, &mount, 0));
	T(name(AT_FDCWD, "f", (void *)8, &mount, 0));
	T(name(AT_FDCWD, "f", &other, (void *)8, 0));
	other.bytes = 128;
	T(name(AT_FDCWD, "/proc/self/stat", &other, &mount, 0));
	T(name(AT_FDCWD, "d", &dir, &mount, 0));
	int at = open(".", O_RDONLY);
	T(by(99, &h, O_RDONLY));
	T(by(at, (void *)8, O_RDONLY));
	other = h;
	other.bytes = 0;
	T(by(at, &other, O_RDONLY));
	other.bytes = 129;
	T(by(at, &other, O_RDONLY));
	other = h;
	other.type = -1;
	T(by(at, &other, O_RDONLY));
	if (!getuid()) {
		char text[32];
		other = h;
		other.type = 77;
		close(T(by(at, &other, O_RDONLY)));
		other.type = 0x40000;
		T(by(at, &other, O_RDONLY));
		other = h;
		other.data[4] ^= 0x55;
		other.data[7] ^= 0x55;
		T(by(at, &other, O_RDONLY));
		other = h;
		other.bytes = 4;
		T(by(at, &other, O_RDONLY));
		int fd = MUST(by(at, &h, O_RDWR));
		out_bytes("read", text, read(fd, text, sizeof text));
		out("flags %x\n", fcntl(fd, F_GETFL) & ~0x8000);
		close(fd);
		fd = MUST(by(at, &h, O_PATH | O_CLOEXEC));
		out("flags %x %d\n", fcntl(fd, F_GETFL) & ~0x8000, fcntl(fd, F_GETFD));
		close(fd);
		T(by(at, &h, O_RDONLY | O_DIRECTORY));
		T(by(at, &dir, O_RDWR));
		fd = MUST(by(at, &dir, O_RDONLY));
		T(faccessat(fd, "in", F_OK, 0));
		T(faccessat(fd, "../f", F_OK, 0));
		close(fd);
		T(rename("d", "e"));
		T(rename("f", "e/f"));
		fd = MUST(by(at, &h, O_RDONLY));
		char link[64], path[256] = "";
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		readlink(link, path, sizeof path - 1);
		out("%s\n", path + strlen("/dev/shm/t.XXXXXX"));
		T(unlink("e/f"));
		int again = by(at, &h, O_RDONLY);
		out("unlinked but open: %s\n", again < 0 ? errname(errno) : "ok");
		close(fd);
		close(again);
		T(by(at, &h, O_RDONLY));
		unlink("e/in");
		T(rmdir("e"));
		T(by(at, &dir, O_RDONLY));
		CHILD("without the capability", {
			setresuid(1234, 1234, 1234);
			T(by(at, &h, O_RDONLY));
		});
	}
	unscratch();
	return 0;
}

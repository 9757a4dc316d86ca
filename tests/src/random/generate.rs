//! Makes sequences of steps from seeds.
//!
//! A sequence keeps to a few files and descriptors, so that its processes get in each other's way, and to
//! one theme, so that what belongs together comes together. `tests/random/operations.h` says what the
//! words of a step mean.

use std::fmt::Write;

use super::sides::Mount;

/// Processes of a sequence.
const PROCESSES: u64 = 3;
/// Regular files that are there at the start.
const FILES: &[&str] = &["f", "g", "h", "d/x", "d/y", "d/e/z", "empty", "holes", "l", "ld/x"];
/// Directories, there at the start or made by steps.
const DIRS: &[&str] = &[".", "d", "d/e", "ld", "n", "closed", "..", "d/n", "../root"];
/// Names that only steps make.
const NEW: &[&str] = &["n", "m", "o", "n/a", "n/b", "d/n", "d/e/n", "d/m"];
/// Symbolic links.
const LINKS: &[&str] = &["l", "ld", "dangling", "d/up", "n", "m", "d/n"];
/// Paths that are there at the start, or that steps make.
const PATHS: &[&str] = &[
    "f", "g", "h", "d", "d/x", "d/y", "d/e", "d/e/z", "l", "ld", "ld/x", "dangling", "p", "s", "n",
    "m", "n/a", "n/b", "d/n", "d/e/n", "empty", "holes", "closed/k",
];

/// The same at the start of each sequence: files of several sizes, links of both kinds, a socket, a fifo.
const PREPARATION: &[&str] = &[
    "open 0 f O_CREAT|O_RDWR 0644",
    "write 0 10000 f",
    "link f g 0",
    "setxattr f user.one 5 v 0 0",
    "open 1 h O_CREAT|O_RDWR 0600",
    "write 1 300 h",
    "open 2 empty O_CREAT|O_RDWR 0666",
    "open 3 holes O_CREAT|O_RDWR 0644",
    "pwrite 3 0 4096 a",
    "pwrite 3 131072 4096 b",
    "ftruncate 3 200000",
    "mkdir d 0755",
    "mkdir d/e 0777",
    "open 4 d/x O_CREAT|O_RDWR 0644",
    "write 4 5000 x",
    "open 5 d/y O_CREAT|O_RDWR 0755",
    "write 5 70000 y",
    "link f d/e/z 0",
    "symlink f l",
    "symlink d ld",
    "symlink nowhere dangling",
    "symlink ../h d/up",
    "mknod p S_IFIFO|0644 0",
    "mknod s S_IFSOCK|0644 0",
    "mkdir closed 0700",
    "mkdir closed/k 0755",
    "utimens f 1000 2000 0",
    "utimens d 3000 4000 0",
];

/// What a sequence is mostly about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Theme {
    Names,
    Data,
    Maps,
    Locks,
    Attributes,
    Everything,
}

const THEMES: &[Theme] =
    &[Theme::Names, Theme::Data, Theme::Maps, Theme::Locks, Theme::Attributes, Theme::Everything];

/// Makes one step.
type Maker = fn(&mut Generator) -> String;

/// Every kind of step: the theme it belongs to, how often it comes in it, and how it is made.
const STEPS: &[(Theme, u64, Maker)] = &[
    (Theme::Everything, 14, open),
    (Theme::Everything, 4, |g| format!("close {}", g.slot())),
    (Theme::Everything, 1, |g| format!("dup {} {}", g.room(), g.slot())),
    (Theme::Everything, 2, |g| format!("give {} {} {}", g.slot(), g.below(PROCESSES), g.room())),
    (Theme::Everything, 1, |g| format!("signal {}", g.below(PROCESSES))),
    (Theme::Everything, 1, |g| format!("seteuid {}", g.pick(&[0, 1000, 1000]))),
    (Theme::Everything, 3, |g| format!("stat {} {}", g.path(), g.follow())),
    (Theme::Everything, 2, |g| format!("fstat {}", g.slot())),
    (Theme::Everything, 1, |_| "events".to_owned()),
    (Theme::Names, 4, |g| {
        format!("mkdir {} {}", g.one_of(NEW), g.pick(&["0755", "0700", "0555", "02775", "01777"]))
    }),
    (Theme::Names, 6, |g| format!("unlink {} 0", g.path())),
    (Theme::Names, 3, |g| format!("unlink {} AT_REMOVEDIR", g.one_of(DIRS))),
    (Theme::Names, 9, |g| {
        let flags =
            g.pick(&["0", "0", "0", "RENAME_NOREPLACE", "RENAME_EXCHANGE", "RENAME_EXCHANGE"]);
        format!("rename {} {} {flags}", g.path(), g.one_of(NEW))
    }),
    (Theme::Names, 5, |g| {
        let flags = g.pick(&["0", "0", "AT_SYMLINK_FOLLOW", "AT_EMPTY_PATH"]);
        format!("link {} {} {flags}", g.one_of(FILES), g.one_of(NEW))
    }),
    (Theme::Names, 1, |g| format!("linkfd {} {}", g.slot(), g.one_of(NEW))),
    (Theme::Names, 3, |g| {
        let target = g.pick(&["f", "d", "../f", "d/x", "n", "l", "./d/../f", "ld/e", "x*300", "p"]);
        format!("symlink {target} {}", g.one_of(NEW))
    }),
    (Theme::Names, 2, |g| {
        format!(
            "mknod {} {}|0644",
            g.one_of(NEW),
            g.pick(&["S_IFIFO", "S_IFSOCK", "S_IFREG", "S_IFDIR"])
        )
    }),
    (Theme::Names, 2, |g| format!("readlink {} {}", g.one_of(LINKS), g.pick(&["4000", "3", "0"]))),
    (Theme::Names, 3, |g| format!("list {}", g.one_of(DIRS))),
    (Theme::Names, 2, |g| format!("listfd {}", g.pick(&[2, 2, 2, 0, 3]))),
    (Theme::Names, 2, |g| format!("chdir {}", g.one_of(DIRS))),
    (Theme::Names, 1, |g| format!("fchdir {}", g.pick(&[2, 2, 2, 0, 3]))),
    (Theme::Names, 2, |_| "getcwd".to_owned()),
    (Theme::Names, 2, |g| format!("procfd {}", g.slot())),
    (Theme::Names, 2, |g| format!("same {} {}", g.path(), g.path())),
    (Theme::Names, 1, openat2),
    (Theme::Names, 3, |g| {
        let mask = g.pick(&[
            "IN_ALL_EVENTS",
            "IN_ALL_EVENTS",
            "IN_CREATE|IN_DELETE|IN_MOVE",
            "IN_ATTRIB|IN_MODIFY",
            "IN_ALL_EVENTS|IN_ONESHOT",
            "IN_CREATE|IN_ONLYDIR",
            "IN_OPEN|IN_CLOSE|IN_MASK_ADD",
            "IN_ALL_EVENTS|IN_DONT_FOLLOW",
            "IN_ALL_EVENTS|IN_EXCL_UNLINK",
            "IN_MODIFY|IN_MASK_CREATE",
        ]);
        format!("watch {} {mask}", g.path())
    }),
    (Theme::Names, 1, |g| format!("unwatch {}", 1 + g.below(3))),
    (Theme::Names, 3, |_| "events".to_owned()),
    (Theme::Data, 6, |g| format!("write {} {} {}", g.slot(), g.length(), g.letter())),
    (Theme::Data, 4, |g| {
        format!("pwrite {} {} {} {}", g.slot(), g.offset(), g.length(), g.letter())
    }),
    (Theme::Data, 2, |g| format!("writev {} {} {}", g.slot(), g.length(), g.letter())),
    (Theme::Data, 2, |g| {
        let flags = g.pick(&["0", "RWF_APPEND", "RWF_APPEND", "RWF_NOAPPEND"]);
        format!(
            "pwritev2 {} {} {} {} {flags}",
            g.slot(),
            g.pick(&["0", "-1", "5000"]),
            g.below(2000),
            g.letter()
        )
    }),
    (Theme::Data, 5, |g| format!("read {} {}", g.slot(), g.length())),
    (Theme::Data, 4, |g| format!("pread {} {} {}", g.slot(), g.offset(), g.length())),
    (Theme::Data, 2, |g| format!("readv {} {}", g.slot(), g.below(9000))),
    (Theme::Data, 5, |g| {
        let whence = g.pick(&["SEEK_SET", "SEEK_CUR", "SEEK_END", "SEEK_DATA", "SEEK_HOLE"]);
        format!("lseek {} {} {whence}", g.slot(), g.offset())
    }),
    (Theme::Data, 3, |g| format!("truncate {} {}", g.one_of(FILES), g.offset())),
    (Theme::Data, 3, |g| format!("ftruncate {} {}", g.slot(), g.offset())),
    (Theme::Data, 4, |g| {
        let mode = g.pick(&[
            "0",
            "FALLOC_FL_KEEP_SIZE",
            "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE",
            "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE",
            "FALLOC_FL_PUNCH_HOLE",
            "FALLOC_FL_ZERO_RANGE",
            "FALLOC_FL_ZERO_RANGE|FALLOC_FL_KEEP_SIZE",
        ]);
        format!("fallocate {} {mode} {} {}", g.slot(), g.offset(), g.length())
    }),
    (Theme::Data, 4, |g| {
        let (from, to) = (g.place(), g.place());
        format!("copy {} {from} {} {to} {}", g.slot(), g.slot(), g.length())
    }),
    (Theme::Data, 2, |g| {
        let from = g.place();
        format!("sendfile {} {} {from} {}", g.slot(), g.slot(), g.length())
    }),
    (Theme::Data, 1, |_| "pipe 4 5".to_owned()),
    (Theme::Data, 2, |g| {
        let (a, b) =
            g.pick(&[(0, 5), (0, 5), (4, 0), (4, 0), (4, 5), (1, 5), (4, 1), (0, 1), (3, 3)]);
        let from = if a == 4 && !g.one_in(6) { ".".to_owned() } else { g.place() };
        let to = if b == 5 && !g.one_in(6) { ".".to_owned() } else { g.place() };
        format!("splice {a} {from} {b} {to} {}", g.below(6000))
    }),
    (Theme::Data, 1, |g| format!("fsync {}", g.slot())),
    (Theme::Data, 1, |g| format!("fdatasync {}", g.slot())),
    (Theme::Data, 1, |g| format!("fadvise {} 4096 {}", g.slot(), g.below(8))),
    (Theme::Data, 1, |g| format!("fionread {}", g.slot())),
    (Theme::Data, 1, |g| format!("getfl {}", g.slot())),
    (Theme::Data, 2, |g| {
        format!("setfl {} {}", g.slot(), g.pick(&["O_APPEND", "0", "O_APPEND|O_NONBLOCK"]))
    }),
    (Theme::Maps, 6, |g| {
        let protection = g.pick(&["PROT_READ", "PROT_READ|PROT_WRITE", "PROT_READ|PROT_WRITE"]);
        let kind = g.pick(&["MAP_SHARED", "MAP_SHARED", "MAP_PRIVATE"]);
        let (from, len) = (g.pick(&[0, 0, 4096, 8192, 100]), g.pick(&[4096, 8192, 20000, 1, 0]));
        format!("map {} {} {from} {len} {protection} {kind}", g.below(3), g.slot())
    }),
    (Theme::Maps, 7, |g| format!("load {} {} {}", g.below(3), g.inside(), g.below(5000))),
    (Theme::Maps, 7, |g| {
        format!("store {} {} {} {}", g.below(3), g.inside(), g.below(5000), g.letter())
    }),
    (Theme::Maps, 2, |g| {
        format!(
            "msync {} {}",
            g.below(3),
            g.pick(&["MS_SYNC", "MS_ASYNC", "MS_INVALIDATE", "MS_SYNC|MS_ASYNC"])
        )
    }),
    (Theme::Maps, 1, |g| format!("unmap {}", g.below(3))),
    (Theme::Maps, 1, |g| {
        format!(
            "mprotect {} {}",
            g.below(3),
            g.pick(&["PROT_READ", "PROT_READ|PROT_WRITE", "PROT_NONE"])
        )
    }),
    (Theme::Maps, 3, |g| format!("ftruncate {} {}", g.slot(), g.offset())),
    (Theme::Maps, 3, |g| {
        format!("pwrite {} {} {} {}", g.slot(), g.offset(), g.length(), g.letter())
    }),
    (Theme::Maps, 3, |g| format!("pread {} {} {}", g.slot(), g.offset(), g.length())),
    (Theme::Maps, 1, |g| {
        format!(
            "fallocate {} FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE {} {}",
            g.slot(),
            g.offset(),
            g.length()
        )
    }),
    (Theme::Locks, 4, |g| {
        let how = g.pick(&[
            "LOCK_SH",
            "LOCK_EX",
            "LOCK_SH|LOCK_NB",
            "LOCK_EX|LOCK_NB",
            "LOCK_EX|LOCK_NB",
            "LOCK_UN",
        ]);
        format!("flock {} {how}", g.pick(&[0, 0, 0, 0, 1, 3]))
    }),
    (Theme::Locks, 14, |g| {
        let command = g.pick(&[
            "F_SETLK",
            "F_SETLK",
            "F_SETLKW",
            "F_GETLK",
            "F_OFD_SETLK",
            "F_OFD_SETLKW",
            "F_OFD_GETLK",
        ]);
        let kind = g.pick(&["F_RDLCK", "F_WRLCK", "F_WRLCK", "F_UNLCK"]);
        let whence = g.pick(&["SEEK_SET", "SEEK_SET", "SEEK_SET", "SEEK_CUR", "SEEK_END"]);
        format!(
            "lock {} {command} {kind} {whence} {} {}",
            g.pick(&[0, 0, 0, 0, 1, 3]),
            g.pick(&[0, 0, 10, 100, -5]),
            g.pick(&[0, 10, 50, 100, -3])
        )
    }),
    (Theme::Locks, 2, |g| format!("signal {}", g.below(PROCESSES))),
    (Theme::Locks, 1, |_| "exit".to_owned()),
    (Theme::Attributes, 4, |g| format!("chmod {} {}", g.changed_path(), g.mode())),
    (Theme::Attributes, 2, |g| {
        format!("fchmod {} {}", if g.mount == Mount::Rw { 0 } else { g.slot() }, g.mode())
    }),
    (Theme::Attributes, 3, |g| {
        format!("chown {} {} {} {}", g.path(), g.owner(), g.owner(), g.follow())
    }),
    (Theme::Attributes, 1, |g| format!("fchown {} {} {}", g.slot(), g.owner(), g.owner())),
    (Theme::Attributes, 3, |g| {
        let (atime, mtime) = (g.pick(&[5000, -1, -2]), g.pick(&[6000, 7000, -1, -2]));
        format!("utimens {} {atime} {mtime} {}", g.path(), g.follow())
    }),
    (Theme::Attributes, 3, |g| {
        let what = g.pick(&["F_OK", "R_OK", "W_OK", "X_OK", "R_OK|W_OK"]);
        format!(
            "access {} {what} {}",
            g.path(),
            g.pick(&["0", "AT_EACCESS", "AT_EACCESS|AT_SYMLINK_NOFOLLOW"])
        )
    }),
    (Theme::Attributes, 2, |g| format!("statx {} {}", g.path(), g.follow())),
    (Theme::Attributes, 4, |g| {
        let how = g.pick(&["0", "0", "XATTR_CREATE", "XATTR_REPLACE"]);
        format!(
            "setxattr {} {} {} {} {how} {}",
            g.path(),
            g.xattr(),
            g.pick(&[5, 0, 200]),
            g.letter(),
            g.below(2)
        )
    }),
    (Theme::Attributes, 1, |g| format!("fsetxattr {} {} 9 {} 0", g.slot(), g.xattr(), g.letter())),
    (Theme::Attributes, 3, |g| {
        format!("getxattr {} {} {} {}", g.path(), g.xattr(), g.pick(&[1000, 0, 2]), g.below(2))
    }),
    (Theme::Attributes, 1, |g| format!("fgetxattr {} {} 1000", g.slot(), g.xattr())),
    (Theme::Attributes, 2, |g| format!("listxattr {} {}", g.path(), g.pick(&[1000, 0, 3]))),
    (Theme::Attributes, 2, |g| format!("removexattr {} {} {}", g.path(), g.xattr(), g.below(2))),
    (Theme::Attributes, 2, |g| format!("seteuid {}", g.pick(&[0, 1000]))),
    (Theme::Attributes, 1, |g| format!("umask {}", g.pick(&["0", "077", "022"]))),
    (Theme::Attributes, 2, |g| format!("write {} {} {}", g.slot(), g.length(), g.letter())),
];

fn open(g: &mut Generator) -> String {
    let flags = g.pick(&[
        "O_RDONLY",
        "O_RDWR",
        "O_RDWR",
        "O_WRONLY",
        "O_RDWR|O_CREAT",
        "O_RDWR|O_CREAT",
        "O_RDWR|O_CREAT|O_EXCL",
        "O_RDWR|O_TRUNC",
        "O_RDONLY|O_TRUNC",
        "O_WRONLY|O_APPEND|O_CREAT",
        "O_RDWR|O_APPEND",
        "O_RDONLY|O_NOFOLLOW",
        "O_RDONLY|O_DIRECTORY",
        "O_PATH",
        "O_PATH|O_NOFOLLOW",
        "O_RDWR|O_NONBLOCK",
        "O_RDONLY|O_NONBLOCK",
        "O_WRONLY|O_NONBLOCK",
        "O_RDWR|O_CREAT|O_DIRECTORY",
        "O_RDONLY|O_NOATIME",
        "O_RDWR|O_CREAT|O_SYNC",
    ]);
    if g.one_in(12) {
        let place = g.pick(&[".", "d", "d/e", "n", "f", "closed"]);
        let flags =
            g.pick(&["O_TMPFILE|O_RDWR", "O_TMPFILE|O_WRONLY|O_EXCL", "O_TMPFILE|O_RDONLY"]);
        return format!("open {} {place} {flags} 0640", g.room());
    }
    if g.one_in(12) {
        let flags =
            g.pick(&["O_RDONLY", "O_RDWR", "O_WRONLY|O_TRUNC", "O_PATH", "O_RDONLY|O_DIRECTORY"]);
        return format!("reopen {} {} {flags}", g.room(), g.slot());
    }
    if g.one_in(15) {
        return format!("open {} p {} 0", g.room(), g.pick(&["O_RDONLY", "O_WRONLY", "O_RDWR"]));
    }
    format!(
        "open {} {} {flags} {}",
        g.room(),
        if g.one_in(2) { g.one_of(FILES) } else { g.path() },
        g.pick(&["0644", "0600", "0444", "04755", "0"])
    )
}

fn openat2(g: &mut Generator) -> String {
    let flags = g.pick(&["O_RDONLY", "O_RDWR|O_CREAT", "O_PATH", "O_PATH|O_NOFOLLOW"]);
    let resolve = g.pick(&[
        "RESOLVE_BENEATH",
        "RESOLVE_NO_SYMLINKS",
        "RESOLVE_IN_ROOT",
        "RESOLVE_NO_MAGICLINKS",
        "RESOLVE_NO_XDEV",
    ]);
    format!("openat2 {} {} {flags} 0644 {resolve}", g.room(), g.path())
}

/// One seed's choices.
struct Generator {
    state: u64,
    mount: Mount,
    focus: Vec<String>,
}

impl Generator {
    /// A number below another (splitmix64).
    fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.state;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % end.max(1)
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let at = self.below(from.len() as u64);
        from[usize::try_from(at).unwrap_or(0)]
    }

    /// A descriptor: most often that of the file all processes share.
    fn slot(&mut self) -> u64 {
        self.pick(&[0, 0, 0, 0, 1, 1, 1, 2, 3, 3, 4, 5])
    }

    /// Where an opened file goes; the shared file and the ends of the pipe stay longer.
    fn room(&mut self) -> u64 {
        self.pick(&[0, 1, 1, 1, 2, 2, 3, 3, 3, 3, 4, 5])
    }

    /// Mostly one of these paths, else any.
    fn one_of(&mut self, paths: &[&str]) -> String {
        if self.below(4) == 0 { self.path() } else { self.pick(paths).to_owned() }
    }

    fn path(&mut self) -> String {
        let known = if self.below(10) < 7 && !self.focus.is_empty() {
            let at = self.below(self.focus.len() as u64);
            self.focus[usize::try_from(at).unwrap_or(0)].clone()
        } else {
            self.pick(PATHS).to_owned()
        };
        match self.below(60) {
            0 => format!("{known}/"),
            1 => format!("../root/{known}"),
            2 => format!("{known}/../f"),
            3 => format!("@{}:{known}", self.slot()),
            4 => format!("@{}:n", self.slot()),
            5 => format!("@{}:''", self.slot()),
            6 => self
                .pick(&["''", ".", "..", "x*255", "x*256", "x*4096", "d/.", "d/..", "f/x", "l/x"])
                .to_owned(),
            7 => format!("./{known}"),
            _ => known,
        }
    }

    fn length(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => 4096,
            2 => self.below(80_000),
            3 => self.below(9000),
            _ => self.below(300),
        }
    }

    fn offset(&mut self) -> String {
        match self.below(10) {
            0 => "-1".to_owned(),
            1 | 2 => self.pick(&["4096", "8192", "65536", "131072"]).to_owned(),
            3 => self.below(200_000).to_string(),
            4 | 5 => "0".to_owned(),
            _ => self.below(12_000).to_string(),
        }
    }

    /// An offset, or that of the descriptor.
    fn place(&mut self) -> String {
        if self.one_in(2) { ".".to_owned() } else { self.below(12_000).to_string() }
    }

    fn inside(&mut self) -> u64 {
        self.pick(&[0, 0, 10, 4000, 4096, 8000, 12_288])
    }

    fn letter(&mut self) -> char {
        self.pick(&['A', 'B', 'C', 'D', 'E', 'F', 'G'])
    }

    fn follow(&mut self) -> &'static str {
        self.pick(&["0", "0", "AT_SYMLINK_NOFOLLOW", "AT_EMPTY_PATH"])
    }

    fn mode(&mut self) -> &'static str {
        self.pick(&[
            "0644", "0600", "0", "0777", "04755", "02755", "0444", "0111", "02644", "01777",
        ])
    }

    /// What gets another mode. A gofer without privileges finds a file by one of its names, so on the
    /// host's files no directory becomes closed to its owner.
    fn changed_path(&mut self) -> String {
        if self.mount == Mount::Rw { self.pick(FILES).to_owned() } else { self.path() }
    }

    fn owner(&mut self) -> i32 {
        self.pick(&[0, 1000, 1000, -1, 2000])
    }

    fn xattr(&mut self) -> &'static str {
        let name = self.pick(&[
            "user.one",
            "user.one",
            "user.two",
            "user.",
            "trusted.a",
            "nonsense.x",
            "user.x*300",
            "one",
        ]);
        // The gofer may not use this namespace: it would need the right to administrate the host.
        if self.mount == Mount::Rw && name.starts_with("trusted.") { "user.three" } else { name }
    }
}

/// The steps of a seed: what prepares the folder, then what its processes do.
pub fn sequence(seed: u64, steps: u64, mount: Mount) -> Vec<String> {
    let mut g =
        Generator { state: seed.wrapping_mul(0x2545_f491_4f6c_dd1d), focus: Vec::new(), mount };
    let theme = g.pick(THEMES);
    for _ in 0..3 + g.below(4) {
        let path = g.pick(PATHS).to_owned();
        g.focus.push(path);
    }
    let mut lines: Vec<String> = PREPARATION.iter().map(|step| format!("P {step}")).collect();
    let shared = g.pick(FILES);
    for process in 0..PROCESSES {
        let (other, dir) = (g.pick(FILES), g.pick(DIRS));
        let flags = g.pick(&["O_RDWR", "O_RDWR", "O_RDONLY", "O_RDWR|O_APPEND", "O_WRONLY"]);
        lines.push(format!("{process} open 0 {shared} O_RDWR 0"));
        lines.push(format!("{process} open 1 {other} {flags} 0"));
        lines.push(format!("{process} open 2 {dir} O_RDONLY|O_DIRECTORY 0"));
        let more: &[&str] = match theme {
            Theme::Names => &["watch . IN_ALL_EVENTS"],
            Theme::Attributes => &["watch f IN_ALL_EVENTS"],
            Theme::Data => &["pipe 4 5", "watch . IN_ALL_EVENTS"],
            Theme::Maps => &[
                "map 0 0 0 12288 PROT_READ|PROT_WRITE MAP_SHARED",
                "map 1 0 0 8192 PROT_READ|PROT_WRITE MAP_PRIVATE",
            ],
            Theme::Locks => &["open 3 p O_RDWR|O_NONBLOCK 0"],
            Theme::Everything => &[],
        };
        lines.extend(more.iter().map(|step| format!("{process} {step}")));
    }
    let weight = |of: Theme, weight: u64| {
        if of == theme || of == Theme::Everything || theme == Theme::Everything {
            weight * 6
        } else {
            weight
        }
    };
    let total = STEPS.iter().map(|&(of, times, _)| weight(of, times)).sum();
    for _ in 0..steps {
        let process = g.below(PROCESSES);
        let mut at = g.below(total);
        let mut line = format!("{process} ");
        for &(of, times, make) in STEPS {
            let times = weight(of, times);
            if at < times {
                let _ = write!(line, "{}", make(&mut g));
                break;
            }
            at -= times;
        }
        lines.push(line);
    }
    lines
}

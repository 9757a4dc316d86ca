//! Messages that are right, and what can be done to them.

use bevor_gofer_protocol::Time;
use bevor_gofer_protocol::codec::Writer;
use bevor_gofer_protocol::wire::{
    Connect, Hello, LOCK_TO_END, Link, Lock, Make, OnNode, Op, Open, OpenFiles, Read, ReadDir,
    Rename, SetAttr, SetXattr, Sync, Unlink, Walk, Write,
};
use zerocopy::IntoBytes;

use crate::random::Random;

const NAMES: &[&[u8]] = &[
    b"dir",
    b"sub",
    b"file",
    b"link",
    b"up",
    b"out",
    b"away",
    b"absolute",
    b"fds",
    b"magic",
    b"fifo",
    b"sock",
    b"bound",
    b"new",
    b"new2",
    b"new3",
    b"0",
    b"3",
    b"self",
];
const BORDERS: &[u32] = &[
    0,
    1,
    2,
    3,
    7,
    8,
    126,
    127,
    128,
    129,
    254,
    255,
    256,
    257,
    4094,
    4095,
    4096,
    65_535,
    65_536,
    65_537,
    131_007,
    131_008,
    131_009,
    131_072,
    0x7fff_fff7,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ff00,
    0xffff_fffe,
    0xffff_ffff,
];
const OFFSETS: &[u64] = &[0, 1, 4095, 1 << 40, 1 << 62, 1 << 63, u64::MAX - 1, u64::MAX];
const KINDS: &[u32] = &[
    0,
    libc::S_IFREG,
    libc::S_IFIFO,
    libc::S_IFSOCK,
    libc::S_IFDIR,
    libc::S_IFLNK,
    libc::S_IFCHR,
    libc::S_IFBLK,
];
const OPENS: &[i32] = &[
    libc::O_RDONLY,
    libc::O_RDWR,
    libc::O_WRONLY,
    libc::O_RDWR | libc::O_TRUNC,
    libc::O_RDWR | libc::O_APPEND,
    libc::O_RDONLY | libc::O_NOATIME,
    libc::O_RDONLY | libc::O_DIRECT,
];

/// A name that exists, may come into being, or is none.
fn name(random: &mut Random, odd: bool) -> Vec<u8> {
    match if odd { random.below(1500) } else { 1500 } {
        0 => b"..".to_vec(),
        1 => b"dir/file".to_vec(),
        2 => vec![b'n'; *random.pick(&[254, 255, 256, 4096])],
        3 => random.bytes(3),
        _ => random.pick(NAMES).to_vec(),
    }
}

/// A message that is right; where `odd`, but for its names, now and then.
pub fn right(random: &mut Random, handles: &[u64], odd: bool) -> (Op, Vec<u8>) {
    let op = *random.pick(Op::ALL);
    let (node, other) = (*random.pick(handles), *random.pick(handles));
    let mut writer = Writer::new();
    let mode = random.half() & 0o777 | 0o700;
    let make = Make { dir: node, flags: 0, mode, uid: !0, gid: !0, ..Make::default() };
    match op {
        Op::Hello => {
            writer.put(&Hello { version: 1, pad: 0 });
        }
        Op::Walk => {
            let count = random.below(5);
            let open_flags = random.pick(OPENS).cast_unsigned();
            let flags = random.half() & 3;
            let count_ = u32::try_from(count).unwrap();
            writer.put(&Walk { dir: node, flags, count: count_, open_flags, pad: 0 });
            for _ in 0..count {
                writer.string(&name(random, odd));
            }
        }
        Op::Open => {
            let flags = random.pick(OPENS).cast_unsigned();
            writer.put(&Open { node, flags, pad: 0 });
        }
        Op::OpenFiles => {
            let count = random.below(if odd { 135 } else { 9 });
            let max_content = *random.pick(&[0, 3, 8192, if odd { 8193 } else { 1 }]);
            let count_ = u32::try_from(count).unwrap();
            writer.put(&OpenFiles { dir: node, count: count_, max_content });
            for _ in 0..count {
                writer.string(&name(random, odd));
            }
        }
        Op::ReadDir => {
            let cursor = *random.pick(&[0, 0, 0, 1, -1, i64::MAX, i64::MIN, 77]);
            let max_bytes = *random.pick(BORDERS);
            writer.put(&ReadDir { node, cursor, max_bytes, flags: random.half() & 7 });
        }
        Op::GetAttr | Op::ReadLink | Op::StatFs | Op::ListXattr => {
            writer.put(&OnNode { node });
        }
        Op::SetAttr => {
            let size = *random.pick(&[0, 1, 4096, 1 << 40, u64::MAX, 1 << 63]);
            let time = Time { sec: 1, nsec: u64::from(random.half() % 3) * 499_999_999 };
            let (uid, gid) = (*random.pick(&[0, 1, !0]), *random.pick(&[0, 1, !0]));
            let mask = random.half() & 127;
            writer.put(&SetAttr { node, mask, mode, uid, gid, size, atime: time, mtime: time });
        }
        Op::Create => {
            let mut flags = libc::O_RDWR.cast_unsigned();
            let nameless = random.once_in(4);
            if nameless {
                flags |= libc::O_TMPFILE.cast_unsigned();
            }
            writer.put(&Make { flags, ..make });
            writer.string(&if nameless { Vec::new() } else { name(random, odd) });
        }
        Op::MkDir => {
            writer.put(&make).string(&name(random, odd));
        }
        Op::MkNod => {
            let mode = mode | *random.pick(KINDS);
            writer
                .put(&Make { mode, rdev_major: 1, rdev_minor: 3, ..make })
                .string(&name(random, odd));
        }
        Op::Symlink => {
            let targets: [&[u8]; 5] = [b"../outside", b"/", b"/proc/self/fd/3", b"", &[b'x'; 4095]];
            let target = targets[random.below(targets.len())];
            writer.put(&make).string(&name(random, odd)).bytes(target);
        }
        Op::Link => {
            writer.put(&Link { node, dir: other }).string(&name(random, odd));
        }
        Op::Unlink => {
            let flags = *random.pick(&[0, libc::AT_REMOVEDIR.cast_unsigned()]);
            writer.put(&Unlink { dir: node, flags, pad: 0 }).string(&name(random, odd));
        }
        Op::Rename => {
            let flags = *random.pick(&[0, 0, 1, 2, 4]);
            writer.put(&Rename { from: node, to: other, flags, pad: 0 });
            writer.string(&name(random, odd)).string(&name(random, odd));
        }
        // Not the whole file system: that is the host's, and may take long.
        Op::Sync => {
            writer.put(&Sync { node, kind: random.half() & 1, pad: 0 });
        }
        Op::GetXattr | Op::RemoveXattr => {
            writer.put(&OnNode { node }).string(xattr(random));
        }
        Op::SetXattr => {
            let len = *random.pick(&[0, 1, 255, 65_536]);
            let value_len = u32::try_from(len).unwrap();
            writer.put(&SetXattr { node, flags: random.half() % 3, value_len });
            writer.string(xattr(random)).bytes(&random.bytes(len));
        }
        Op::Close => {}
        Op::Read => {
            let (offset, len) = (*random.pick(OFFSETS), *random.pick(BORDERS));
            writer.put(&Read { node, offset, len, pad: 0 });
        }
        Op::Write => {
            let len = *random.pick(&[0, 1, 5000, 100_000]);
            let content = random.bytes(len);
            let len = u32::try_from(content.len()).unwrap();
            writer.put(&Write { node, offset: *random.pick(OFFSETS), len, pad: 0 }).bytes(&content);
        }
        Op::Lock | Op::GetLock => {
            let (start, end) = *random.pick(&[(0, LOCK_TO_END), (7, 7), (5, 100)]);
            let get = op == Op::GetLock;
            let scope = if get { 1 } else { random.half() & 1 };
            let kind = if get { 1 + (random.half() & 1) } else { random.half() % 3 };
            writer.put(&Lock { node, start, end, scope, kind });
        }
        Op::Connect => {
            let kind = libc::SOCK_STREAM.cast_unsigned();
            writer.put(&Connect { node, kind, pad: 0 });
        }
        Op::Bind => {
            let flags = libc::SOCK_STREAM.cast_unsigned();
            writer.put(&Make { flags, ..make }).string(&name(random, odd));
        }
    }
    (op, writer.message().to_vec())
}

fn xattr(random: &mut Random) -> &'static [u8] {
    let names: [&[u8]; 5] = [
        b"user.a",
        b"security.capability",
        b"trusted.overlay.opaque",
        b"system.posix_acl_access",
        b"security.selinux",
    ];
    names[random.below(names.len())]
}

/// Changes a message so that it may not be right any more.
pub fn spoil(random: &mut Random, message: &mut Vec<u8>, handles: &[u64]) {
    for _ in 0..=random.below(3) {
        let len = message.len();
        match random.below(7) {
            0 => message.truncate(random.below(len + 1)),
            1 => {
                let more = random.below(40);
                message.extend(random.bytes(more));
            }
            2 if len > 0 => message[random.below(len)] ^= 1 << random.below(8),
            3 if len >= 4 => {
                let at = random.below(len / 4) * 4;
                message[at..at + 4].copy_from_slice(random.pick(BORDERS).as_bytes());
            }
            4 if len >= 8 => {
                let handle = random.pick(handles).wrapping_add(1 << (32 * random.below(2)));
                message[..8].copy_from_slice(handle.as_bytes());
            }
            5 if len >= 2 => {
                let at = random.below(len - 1);
                let border = *random.pick(BORDERS);
                message[at..at + 2].copy_from_slice(&border.to_ne_bytes()[..2]);
            }
            6 if len > 0 => {
                let (from, to) = (random.below(len), random.below(len));
                let piece = message[from.min(to)..from.max(to)].to_vec();
                message.splice(from..from, piece);
            }
            _ => {}
        }
    }
}

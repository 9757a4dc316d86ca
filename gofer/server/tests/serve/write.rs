//! What a client can change, and what it cannot.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use bevor_abi::errno::{
    EACCES, EBUSY, ECONNREFUSED, EEXIST, EINVAL, ENODATA, ENOENT, ENOTEMPTY, EOPNOTSUPP, EPERM,
    EROFS,
};
use bevor_gofer::HostSockets;
use bevor_gofer_protocol::client::{MakeArgs, SetAttrArgs, TimeChange};
use bevor_gofer_protocol::wire::SyncKind;
use bevor_gofer_protocol::{Device, Time};

use crate::common::{Gofer, LIMITS, TempDir};

const READ: u32 = libc::O_RDONLY.cast_unsigned();
const WRITE: u32 = libc::O_RDWR.cast_unsigned();
const NO_DEVICE: Device = Device { major: 0, minor: 0 };

fn args(mode: u32) -> MakeArgs {
    MakeArgs { mode, uid: None, gid: None }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn a_created_file_is_donated_and_there() {
    let gofer = Gofer::new(false);
    let root = &gofer.root.handle;
    let (created, file) = gofer.client.create(root, b"new", WRITE, args(0o640)).unwrap();
    assert_eq!(created.attr.mode, libc::S_IFREG | 0o640);
    fs::File::from(file).write_all(b"content").unwrap();
    assert_eq!(fs::read(gofer.dir.join("new")).unwrap(), b"content");
    assert_eq!(gofer.client.getattr(&created.handle).unwrap().size, 7);
    let again = gofer.client.create(root, b"new", WRITE, args(0o600)).unwrap_err();
    assert_eq!(again, EEXIST);

    let opened = gofer.client.open(&created.handle, WRITE | libc::O_TRUNC.cast_unsigned());
    assert_eq!(opened.unwrap().attr.size, 0);
}

#[test]
fn a_nameless_file_works_until_its_handle_is_dropped() {
    let gofer = Gofer::new(false);
    let flags = WRITE | libc::O_TMPFILE.cast_unsigned();
    let (made, file) = gofer.client.create(&gofer.root.handle, b"", flags, args(0o600)).unwrap();
    fs::File::from(file).write_all(b"content").unwrap();
    let attr = gofer.client.getattr(&made.handle).unwrap();
    assert_eq!((attr.size, attr.nlink), (7, 0));
    let linked = gofer.client.link(&made.handle, &gofer.root.handle, b"named").unwrap();
    assert_eq!(linked.attr.nlink, 1);
    assert_eq!(fs::read(gofer.dir.join("named")).unwrap(), b"content");
}

#[test]
fn special_bits_and_owners_are_as_asked() {
    if !is_root() {
        return; // only root gives files away
    }
    let gofer = Gofer::new(false);
    let root = &gofer.root.handle;
    let owned = MakeArgs { mode: 0o6755, uid: Some(1234), gid: Some(5678) };
    let (created, _) = gofer.client.create(root, b"file", WRITE, owned).unwrap();
    let dir = gofer.client.mkdir(root, b"dir", MakeArgs { mode: 0o1777, ..owned }).unwrap();
    let link = gofer.client.symlink(root, b"link", b"anywhere", owned).unwrap();
    let fifo_args = MakeArgs { mode: libc::S_IFIFO | 0o600, ..owned };
    let fifo = gofer.client.mknod(root, b"fifo", fifo_args, NO_DEVICE).unwrap();
    for (made, name, mode) in [
        (&created, "file", 0o6755),
        (&dir, "dir", 0o1777),
        (&link, "link", 0o777),
        (&fifo, "fifo", 0o600),
    ] {
        let host = fs::symlink_metadata(gofer.dir.join(name)).unwrap();
        assert_eq!((host.uid(), host.gid()), (1234, 5678), "{name}");
        assert_eq!(host.mode() & 0o7777, mode, "{name}");
        assert_eq!((made.attr.uid, made.attr.mode), (host.uid(), host.mode()), "{name}");
    }
}

#[test]
fn directories_links_and_nodes_are_made() {
    let gofer = Gofer::new(false);
    let root = &gofer.root.handle;
    let dir = gofer.client.mkdir(root, b"dir", args(0o755)).unwrap();
    assert!(dir.attr.is_dir());
    let link = gofer.client.symlink(&dir.handle, b"link", b"../target", args(0o777)).unwrap();
    assert_eq!(gofer.client.readlink(&link.handle).unwrap(), b"../target");
    let file = libc::S_IFREG | 0o644;
    let file = gofer.client.mknod(&dir.handle, b"file", args(file), NO_DEVICE).unwrap();
    let hard = gofer.client.link(&file.handle, root, b"hard").unwrap();
    assert_eq!((hard.attr.ino, hard.attr.nlink), (file.attr.ino, 2));
    for (kind, name) in [(libc::S_IFIFO, b"fifo"), (libc::S_IFSOCK, b"sock")] {
        let made = gofer.client.mknod(root, name, args(kind | 0o600), NO_DEVICE).unwrap();
        assert_eq!(made.attr.file_type(), kind);
    }
    assert!(fs::metadata(gofer.dir.join("sock")).unwrap().file_type().is_socket());
    let linked_dir = gofer.client.link(&dir.handle, root, b"again").unwrap_err();
    assert_eq!(linked_dir, EPERM);
}

#[test]
fn device_nodes_are_made_only_where_allowed() {
    let null = Device { major: 1, minor: 3 };
    let gofer = Gofer::new(false);
    let device = args(libc::S_IFCHR | 0o600);
    let refused = gofer.client.mknod(&gofer.root.handle, b"null", device, null).unwrap_err();
    assert_eq!(refused, EPERM);
    gofer.client.mknod(&gofer.root.handle, b"whiteout", device, NO_DEVICE).unwrap();
    if is_root() {
        let gofer = Gofer::with(TempDir::new(), false, LIMITS, |root| root.devices = true);
        let made = gofer.client.mknod(&gofer.root.handle, b"null", device, null).unwrap();
        assert_eq!(made.attr.rdev, null);
        assert!(gofer.client.open(&made.handle, READ).is_err(), "devices are never opened");
    }
}

#[test]
fn attributes_are_set() {
    let gofer = Gofer::new(false);
    gofer.dir.write("file", b"0123456789");
    std::os::unix::fs::symlink("file", gofer.dir.join("link")).unwrap();
    let file = gofer.handle("file");
    let to = Time { sec: 1_000_000_000, nsec: 5 };
    let attr = gofer
        .client
        .setattr(
            &file,
            &SetAttrArgs {
                mode: Some(0o4711),
                size: Some(4),
                mtime: Some(TimeChange::To(to)),
                ..SetAttrArgs::default()
            },
        )
        .unwrap();
    assert_eq!((attr.mode & 0o7777, attr.size, attr.mtime), (0o4711, 4, to));
    assert_eq!(fs::read(gofer.dir.join("file")).unwrap(), b"0123");
    let now = SetAttrArgs { mtime: Some(TimeChange::Now), ..SetAttrArgs::default() };
    assert!(gofer.client.setattr(&file, &now).unwrap().mtime > to);

    let link = gofer.handle("link");
    let mode = SetAttrArgs { mode: Some(0o600), ..SetAttrArgs::default() };
    assert_eq!(gofer.client.setattr(&link, &mode).unwrap_err(), EOPNOTSUPP);
    let times = SetAttrArgs { atime: Some(TimeChange::To(to)), ..SetAttrArgs::default() };
    assert_eq!(gofer.client.setattr(&link, &times).unwrap().atime, to);
    let size = SetAttrArgs { size: Some(0), ..SetAttrArgs::default() };
    assert_eq!(gofer.client.setattr(&gofer.root.handle, &size).unwrap_err(), EINVAL);
    if is_root() {
        let owner = SetAttrArgs { uid: Some(77), ..SetAttrArgs::default() };
        assert_eq!(gofer.client.setattr(&link, &owner).unwrap().uid, 77);
        assert_ne!(fs::metadata(gofer.dir.join("file")).unwrap().uid(), 77, "not the target");
    }
}

#[test]
fn removed_files_stay_usable_through_their_handles() {
    let gofer = Gofer::new(false);
    gofer.dir.write("file", b"content");
    fs::create_dir(gofer.dir.join("dir")).unwrap();
    let root = &gofer.root.handle;
    let (file, dir) = (gofer.handle("file"), gofer.handle("dir"));
    assert_eq!(gofer.client.unlink(root, b"file", 0).unwrap().nlink, 1);
    assert!(!gofer.dir.join("file").exists());
    assert_eq!(gofer.client.getattr(&file).unwrap().nlink, 0);
    let opened = gofer.client.open(&file, READ).unwrap();
    let mut content = String::new();
    fs::File::from(opened.file).read_to_string(&mut content).unwrap();
    assert_eq!(content, "content");
    let remove_dir = libc::AT_REMOVEDIR.cast_unsigned();
    assert!(gofer.client.unlink(root, b"dir", 0).is_err(), "a directory");
    gofer.client.unlink(root, b"dir", remove_dir).unwrap();
    assert!(gofer.client.mkdir(&dir, b"below", args(0o700)).is_err());
    assert_eq!(gofer.client.unlink(root, b"none", 0).unwrap_err(), ENOENT);
}

#[test]
fn handles_follow_a_rename() {
    let limits = bevor_gofer::Limits { descriptors: 4, ..LIMITS };
    let gofer = Gofer::with(TempDir::new(), false, limits, |_| {});
    gofer.dir.write("a/dir/file", b"content");
    gofer.dir.write("b/dir/file", b"replaced");
    gofer.dir.write("b/other", b"");
    for number in 0..20 {
        gofer.dir.write(&format!("more/{number}/file"), b"");
    }
    let (a, b) = (gofer.handle("a"), gofer.handle("b"));
    let (dir, file) = (gofer.handle("a/dir"), gofer.handle("a/dir/file"));
    let push_out = || {
        for number in 0..20 {
            let other = gofer.handle(&format!("more/{number}/file"));
            drop(gofer.client.open(&other, READ).unwrap());
        }
    };
    let rename = |to: &[u8], flags| gofer.client.rename((&a, b"dir"), (&b, to), flags);
    assert_eq!(rename(b"other", libc::RENAME_NOREPLACE).unwrap_err(), EEXIST);
    assert_eq!(rename(b"dir", 0).unwrap_err(), ENOTEMPTY);
    rename(b"moved", 0).unwrap();
    push_out();
    assert_eq!(gofer.client.getattr(&file).unwrap().size, 7, "found below the new name");
    assert_eq!(gofer.client.open(&file, READ).unwrap().attr.size, 7);

    // Exchange: both handles move.
    let replaced = gofer.handle("b/dir");
    let exchange = libc::RENAME_EXCHANGE;
    gofer.client.rename((&b, b"moved"), (&b, b"dir"), exchange).unwrap();
    push_out();
    for (handle, path) in [(&dir, "b/dir"), (&replaced, "b/moved")] {
        let host = fs::metadata(gofer.dir.join(path)).unwrap();
        assert_eq!(gofer.client.getattr(handle).unwrap().ino, host.ino(), "{path}");
    }

    // A replaced file stays usable.
    gofer.dir.write("b/new", b"new");
    let (other, new) = (gofer.handle("b/other"), gofer.handle("b/new"));
    let renamed = gofer.client.rename((&b, b"new"), (&b, b"other"), 0).unwrap();
    assert_eq!((renamed.moved.size, renamed.replaced.unwrap().size), (3, 0));
    push_out();
    assert_eq!(gofer.client.getattr(&other).unwrap().nlink, 0);
    assert_eq!(gofer.client.getattr(&new).unwrap().size, 3);
}

#[test]
fn renaming_one_link_over_another_changes_nothing() {
    let gofer = Gofer::new(false);
    gofer.dir.write("one", b"content");
    fs::hard_link(gofer.dir.join("one"), gofer.dir.join("two")).unwrap();
    let root = &gofer.root.handle;
    let (one, two) = (gofer.handle("one"), gofer.handle("two"));
    gofer.client.rename((root, b"one"), (root, b"two"), 0).unwrap();
    assert!(gofer.dir.join("one").exists());
    assert_eq!(gofer.client.getattr(&one).unwrap().nlink, 2);
    assert_eq!(gofer.client.getattr(&two).unwrap().nlink, 2);
}

#[test]
fn extended_attributes_of_users_work_and_others_do_not() {
    let gofer = Gofer::new(false);
    gofer.dir.write("file", b"");
    let file = gofer.handle("file");
    let client = &gofer.client;
    match client.setxattr(&file, b"user.colour", b"green", 0) {
        Err(error) if error == EOPNOTSUPP => return, // tmpfs of older hosts
        other => other.unwrap(),
    }
    assert_eq!(client.getxattr(&file, b"user.colour").unwrap(), b"green");
    assert_eq!(client.listxattr(&file).unwrap(), b"user.colour\0");
    let create = libc::XATTR_CREATE.cast_unsigned();
    assert_eq!(client.setxattr(&file, b"user.colour", b"red", create).unwrap_err(), EEXIST);
    client.removexattr(&file, b"user.colour").unwrap();
    assert_eq!(client.getxattr(&file, b"user.colour").unwrap_err(), ENODATA);

    assert_eq!(client.setxattr(&file, b"security.capability", b"x", 0).unwrap_err(), EPERM);
    for name in [&b"trusted.overlay.opaque"[..], b"security.selinux"] {
        assert_eq!(client.setxattr(&file, name, b"y", 0).unwrap_err(), EOPNOTSUPP);
        assert_eq!(client.getxattr(&file, name).unwrap_err(), ENODATA);
    }
}

#[test]
fn files_are_written_to_disk() {
    let gofer = Gofer::new(false);
    gofer.dir.write("file", b"");
    for kind in [SyncKind::File, SyncKind::Data, SyncKind::FileSystem] {
        gofer.client.sync(&gofer.handle("file"), kind).unwrap();
        gofer.client.sync(&gofer.root.handle, kind).unwrap();
    }
}

#[test]
fn a_read_only_root_refuses_every_change() {
    let dir = TempDir::new();
    dir.write("file", b"content");
    dir.write("dir/file", b"");
    let before = fs::metadata(dir.join("file")).unwrap();
    let gofer = Gofer::with(dir, true, LIMITS, |root| {
        root.devices = true;
        root.sockets = HostSockets::All;
    });
    let (client, root) = (&gofer.client, &gofer.root.handle);
    let (file, dir) = (gofer.handle("file"), gofer.handle("dir"));
    let one = |change: SetAttrArgs| client.setattr(&file, &change).map(drop);
    let none = SetAttrArgs::default();
    let now = Some(TimeChange::Now);
    let write = libc::O_WRONLY.cast_unsigned();
    let truncate = libc::O_TRUNC.cast_unsigned();
    let nameless = WRITE | libc::O_TMPFILE.cast_unsigned();
    let stream = libc::SOCK_STREAM.cast_unsigned();
    let refused: Vec<(&str, Result<(), bevor_abi::Errno>)> = vec![
        ("open for reading and writing", client.open(&file, WRITE).map(drop)),
        ("open for writing", client.open(&file, write).map(drop)),
        ("open with truncation", client.open(&file, truncate).map(drop)),
        ("create", client.create(root, b"new", WRITE, args(0o600)).map(drop)),
        ("create to read", client.create(root, b"new", READ, args(0o600)).map(drop)),
        ("create without name", client.create(root, b"", nameless, args(0o600)).map(drop)),
        ("mkdir", client.mkdir(root, b"new", args(0o700)).map(drop)),
        ("mknod", client.mknod(root, b"new", args(libc::S_IFIFO), NO_DEVICE).map(drop)),
        ("symlink", client.symlink(root, b"new", b"t", args(0o777)).map(drop)),
        ("link", client.link(&file, root, b"new").map(drop)),
        ("unlink", client.unlink(root, b"file", 0).map(drop)),
        ("rename", client.rename((root, b"file"), (&dir, b"new"), 0).map(drop)),
        ("mode", one(SetAttrArgs { mode: Some(0), ..none })),
        ("owner", one(SetAttrArgs { uid: Some(1), gid: Some(1), ..none })),
        ("size", one(SetAttrArgs { size: Some(0), ..none })),
        ("times", one(SetAttrArgs { atime: now, mtime: now, ..none })),
        ("nothing", one(none)),
        ("setxattr", client.setxattr(&file, b"user.a", b"b", 0)),
        ("removexattr", client.removexattr(&file, b"user.a")),
        ("bind", client.bind(root, b"sock", stream, args(0o600)).map(drop)),
    ];
    for (what, result) in refused {
        assert_eq!(result.unwrap_err(), EROFS, "{what}");
    }
    let after = fs::metadata(gofer.dir.join("file")).unwrap();
    assert_eq!((before.len(), before.ctime_nsec()), (after.len(), after.ctime_nsec()));
    assert_eq!(gofer.names(root, 1000), ["dir", "file"]);
}

#[test]
fn hidden_paths_can_be_neither_made_nor_moved() {
    let dir = TempDir::new();
    dir.write("top/home/secret", b"");
    let gofer = Gofer::with(dir, false, LIMITS, |root| root.hidden = vec!["top/home".into()]);
    let (client, root) = (&gofer.client, &gofer.root.handle);
    let (top, home) = (gofer.handle("top"), gofer.handle("top/home"));
    for (dir, name) in [(root, &b"top"[..]), (&top, b"home")] {
        let rename = client.rename((dir, name), (root, b"moved"), 0);
        assert_eq!(rename.unwrap_err(), EBUSY);
    }
    let remove_dir = libc::AT_REMOVEDIR.cast_unsigned();
    assert_eq!(client.unlink(&top, b"home", remove_dir).unwrap_err(), EBUSY);
    assert_eq!(client.mkdir(&home, b"new", args(0o700)).unwrap_err(), EACCES);
    let mode = SetAttrArgs { mode: Some(0o777), ..SetAttrArgs::default() };
    assert_eq!(client.setattr(&home, &mode).unwrap_err(), EACCES);
}

#[test]
fn host_sockets_are_reached_only_where_allowed() {
    use std::os::unix::net::{UnixListener, UnixStream};

    let stream = libc::SOCK_STREAM.cast_unsigned();
    for sockets in [HostSockets::None, HostSockets::Connect, HostSockets::Bind, HostSockets::All] {
        let dir = TempDir::new();
        let listener = UnixListener::bind(dir.join("sock")).unwrap();
        let gofer = Gofer::with(dir, false, LIMITS, |root| root.sockets = sockets);
        let (client, root) = (&gofer.client, &gofer.root.handle);
        let connected = client.connect(&gofer.handle("sock"), stream);
        if !sockets.connects() {
            assert_eq!(connected.unwrap_err(), ECONNREFUSED);
        } else {
            let (connected, peer) = connected.unwrap();
            let own = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
            assert_eq!((peer.uid, peer.gid), own);
            UnixStream::from(connected).write_all(b"hello").unwrap();
            let mut heard = [0; 5];
            listener.accept().unwrap().0.read_exact(&mut heard).unwrap();
            assert_eq!(&heard, b"hello");
        }
        let bound = client.bind(root, b"mine", stream, args(0o600));
        if sockets.binds() {
            let (made, _socket) = bound.unwrap();
            assert_eq!(made.attr.mode, libc::S_IFSOCK | 0o600);
            let mode = fs::metadata(gofer.dir.join("mine")).unwrap().permissions().mode();
            assert_eq!(mode, libc::S_IFSOCK | 0o600);
        } else {
            assert_eq!(bound.unwrap_err(), EACCES);
        }
        let name = OsStr::from_bytes(b"file");
        fs::write(gofer.dir.join(name), b"").unwrap();
        assert_eq!(client.connect(&gofer.handle("file"), stream).unwrap_err(), ECONNREFUSED);
    }
}

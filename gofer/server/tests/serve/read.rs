//! What a client sees of a directory it only reads.

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, symlink};

use crate::common::{Gofer, LIMITS, TempDir};
use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EISDIR, ELOOP, ENOENT, ENOTDIR, ENXIO, EROFS, ESTALE};
use bevor_gofer_protocol::AttrFlags;
use bevor_gofer_protocol::client::{Ahead, AheadOf, WalkStop};
use bevor_gofer_protocol::wire::{MAX_CONTENT, MAX_FDS, MAX_OPEN, ReadDirFlags};

const READ: u32 = libc::O_RDONLY as u32;

#[test]
fn a_walk_reports_each_component() {
    let gofer = Gofer::new(true);
    gofer.dir.write("etc/conf/file", b"hello");
    let walk = gofer.walk("etc/conf/file");
    assert!(matches!(walk.stop, WalkStop::Complete), "{:?}", walk.stop);
    assert_eq!(walk.nodes.len(), 3);
    for (node, path) in walk.nodes.iter().zip(["etc", "etc/conf", "etc/conf/file"]) {
        let host = fs::metadata(gofer.dir.join(path)).unwrap();
        assert_eq!(node.attr.ino, host.ino(), "{path}");
        assert_eq!(node.attr.mode, host.mode(), "{path}");
        assert_eq!(node.attr.size, host.size(), "{path}");
        assert_eq!((node.attr.uid, node.attr.gid), (host.uid(), host.gid()), "{path}");
        assert_eq!(node.attr.mtime.sec, host.mtime(), "{path}");
        assert_eq!(gofer.client.getattr(&node.handle).unwrap(), node.attr, "{path}");
    }
}

#[test]
fn a_walk_stops_where_it_must() {
    let gofer = Gofer::new(true);
    gofer.dir.write("dir/file", b"");
    symlink("../elsewhere", gofer.dir.join("dir/link")).unwrap();
    let cases =
        [("dir/missing/more", 1, ENOENT), ("dir/file/more", 2, ENOTDIR), ("missing", 0, ENOENT)];
    for (path, done, errno) in cases {
        let walk = gofer.walk(path);
        assert_eq!(walk.nodes.len(), done, "{path}");
        assert!(matches!(walk.stop, WalkStop::Error(error) if error == errno), "{path}");
    }
    for path in ["dir/link", "dir/link/more/and/more"] {
        let walk = gofer.walk(path);
        assert_eq!(walk.nodes.len(), 2, "{path}");
        assert!(walk.nodes[1].attr.is_symlink());
        let WalkStop::Symlink(target) = walk.stop else { panic!("{path}: {:?}", walk.stop) };
        assert_eq!(target, b"../elsewhere");
        assert_eq!(gofer.client.readlink(&walk.nodes[1].handle).unwrap(), b"../elsewhere");
    }
}

#[test]
fn long_walks_are_sent_in_parts() {
    let gofer = Gofer::new(true);
    let path = vec!["d"; 300].join("/");
    fs::create_dir_all(gofer.dir.join(&path)).unwrap();
    let walk = gofer.walk(&path);
    assert_eq!(walk.nodes.len(), 300);
    assert!(matches!(walk.stop, WalkStop::Complete), "{:?}", walk.stop);
}

#[test]
fn names_that_lead_elsewhere_are_refused_before_they_are_sent() {
    let gofer = Gofer::new(true);
    for name in [&b".."[..], b".", b"", b"a/b", b"a\0"] {
        assert!(gofer.client.walk(&gofer.root.handle, &[name]).is_err(), "{name:?}");
    }
}

#[test]
fn regular_files_are_opened_and_nothing_else_is() {
    let gofer = Gofer::new(true);
    gofer.dir.write("dir/file", b"content");
    symlink("file", gofer.dir.join("dir/link")).unwrap();
    let mode = nix::sys::stat::Mode::S_IRWXU;
    nix::unistd::mkfifo(&gofer.dir.join("fifo"), mode).unwrap();

    let opened = gofer.client.open(&gofer.handle("dir/file"), READ).unwrap();
    let mut content = String::new();
    fs::File::from(opened.file).read_to_string(&mut content).unwrap();
    assert_eq!(content, "content");
    assert_eq!(opened.attr.size, 7);

    for (path, errno) in [("dir", EISDIR), ("dir/link", ELOOP), ("fifo", ENXIO)] {
        let error = gofer.client.open(&gofer.handle(path), READ).unwrap_err();
        assert_eq!(error, errno, "{path}");
    }
}

#[test]
fn a_walk_can_open_the_file_at_its_end() {
    let gofer = Gofer::new(true);
    gofer.dir.write("dir/file", b"content");
    let open =
        |names: &[&[u8]], flags| gofer.client.walk_open(&gofer.root.handle, names, flags).unwrap();
    let walk = open(&[b"dir", b"file"], READ);
    let mut content = String::new();
    let file = walk.file.unwrap().unwrap();
    fs::File::from(file).read_to_string(&mut content).unwrap();
    assert_eq!(content, "content");
    assert!(open(&[b"dir"], READ).file.is_none());
    assert!(open(&[b"dir", b"none"], READ).file.is_none());
    let refused = open(&[b"dir", b"file"], libc::O_RDWR as u32).file.unwrap();
    assert_eq!(refused.unwrap_err(), EROFS);
}

#[test]
fn a_listing_is_complete_however_small_its_parts() {
    let gofer = Gofer::new(true);
    let mut expected: Vec<String> = (0..500).map(|number| format!("file-{number}")).collect();
    for name in &expected {
        gofer.dir.write(&format!("dir/{name}"), b"x");
    }
    expected.sort();
    let dir = gofer.handle("dir");
    for max_bytes in [60, 200, 1000, 1 << 20] {
        assert_eq!(gofer.names(&dir, max_bytes), expected, "{max_bytes}");
    }
    assert!(gofer.client.readdir(&dir, 0, 10, ReadDirFlags::empty()).is_err(), "no room");
    let file = gofer.handle("dir/file-1");
    let error = gofer.client.readdir(&file, 0, 1000, ReadDirFlags::empty()).unwrap_err();
    assert_eq!(error, ENOTDIR);
}

#[test]
fn a_listing_carries_attributes_when_asked() {
    let gofer = Gofer::new(true);
    gofer.dir.write("file", b"12345");
    fs::create_dir(gofer.dir.join("dir")).unwrap();
    let entries =
        gofer.client.readdir(&gofer.root.handle, 0, 1 << 20, ReadDirFlags::ATTRS).unwrap();
    assert!(entries.at_end);
    assert_eq!(entries.len(), 4);
    for entry in entries.iter().filter(|entry| !entry.name.starts_with(b".")) {
        let host = fs::metadata(gofer.dir.join(std::str::from_utf8(entry.name).unwrap())).unwrap();
        let attr = entry.attr.unwrap();
        assert_eq!((attr.ino, attr.size, attr.mode), (host.ino(), host.size(), host.mode()));
        assert_eq!(entry.ino, host.ino());
    }
}

#[test]
fn a_listing_carries_the_handles_of_directories_when_asked() {
    let gofer = Gofer::new(true);
    gofer.dir.write("file", b"12345");
    gofer.dir.write("dir/file", b"");
    let flags = ReadDirFlags::DIRS;
    let entries = gofer.client.readdir(&gofer.root.handle, 0, 1 << 20, flags).unwrap();
    for entry in entries.iter() {
        let is_dir = entry.name == b"dir";
        assert_eq!(entry.attr.is_some(), is_dir);
        let handle = entries.handle(&entry);
        assert_eq!(handle.is_some(), is_dir);
        if let Some(handle) = handle {
            assert_eq!(gofer.client.getattr(handle).ok(), entry.attr);
            assert_eq!(gofer.names(handle, 1000), ["file"]);
            assert_eq!(handle.number(), gofer.handle("dir").number());
        }
    }
}

#[test]
fn a_replaced_file_is_stale_once_its_descriptor_is_gone() {
    let limits = bevor_gofer::Limits { descriptors: 4, ..LIMITS };
    let gofer = Gofer::with(TempDir::new(), true, limits, |_| {});
    gofer.dir.write("dir/file", b"old");
    for number in 0..20 {
        gofer.dir.write(&format!("other/{number}/file"), b"");
    }
    let file = gofer.handle("dir/file");
    fs::rename(gofer.dir.join("other/0/file"), gofer.dir.join("dir/file")).unwrap();
    // Push everything else out of the list.
    let others: Vec<_> = (1..20).map(|n| gofer.handle(&format!("other/{n}/file"))).collect();
    for other in &others {
        drop(gofer.client.open(other, READ).unwrap());
    }
    assert_eq!(gofer.client.getattr(&file).unwrap_err(), ESTALE);
    assert_eq!(gofer.client.open(&file, READ).unwrap_err(), ESTALE);
    fs::remove_file(gofer.dir.join("dir/file")).unwrap();
    assert_eq!(gofer.client.getattr(&file).unwrap_err(), ESTALE);
}

#[test]
fn many_handles_work_with_few_descriptors() {
    let limits = bevor_gofer::Limits { descriptors: 8, ..LIMITS };
    let gofer = Gofer::with(TempDir::new(), true, limits, |_| {});
    let paths: Vec<String> = (0..200).map(|n| format!("a/{}/b/{n}/file", n % 7)).collect();
    for path in &paths {
        gofer.dir.write(path, path.as_bytes());
    }
    let handles: Vec<_> = paths.iter().map(|path| gofer.handle(path)).collect();
    for round in 0..3 {
        for (path, handle) in paths.iter().zip(&handles) {
            let opened = gofer.client.open(handle, READ).unwrap();
            let mut content = String::new();
            fs::File::from(opened.file).read_to_string(&mut content).unwrap();
            assert_eq!(&content, path, "round {round}");
        }
    }
}

#[test]
fn the_number_of_handles_is_bounded_and_closing_frees_them() {
    let limits = bevor_gofer::Limits { handles: 50, ..LIMITS };
    let gofer = Gofer::with(TempDir::new(), true, limits, |_| {});
    for number in 0..100 {
        gofer.dir.write(&format!("{number}"), b"");
    }
    let walk = |number: usize| gofer.walk(&format!("{number}"));
    let handles: Vec<_> =
        (0..100).map(walk).take_while(|walk| matches!(walk.stop, WalkStop::Complete)).collect();
    assert_eq!(handles.len(), 49);
    let WalkStop::Error(error) = walk(49).stop else { panic!("more handles than allowed") };
    assert_eq!(error, bevor_abi::errno::ENFILE);
    // Those there are can be had once more.
    assert!(matches!(walk(7).stop, WalkStop::Complete));
    drop(handles);
    gofer.client.flush_closed();
    for number in (0..100).cycle().take(1000) {
        assert!(matches!(walk(number).stop, WalkStop::Complete), "{number}");
        gofer.client.flush_closed();
    }
}

#[test]
fn one_file_has_one_handle_until_it_is_given_back_as_often_as_it_was_found() {
    let gofer = Gofer::new(true);
    gofer.dir.write("dir/file", b"");
    let (one, two) = (gofer.handle("dir/file"), gofer.handle("dir/file"));
    assert_eq!(one.number(), two.number());
    drop(one);
    gofer.client.flush_closed();
    gofer.client.getattr(&two).unwrap();
    let number = two.number();
    drop(two);
    gofer.client.flush_closed();
    assert_ne!(gofer.handle("dir/file").number(), number, "a number does not come back");
}

#[test]
fn hidden_directories_are_there_and_empty() {
    let dir = TempDir::new();
    dir.write("home/secret", b"");
    dir.write("var/run/secret", b"");
    dir.write("var/log/open", b"");
    let gofer = Gofer::with(dir, true, LIMITS, |root| {
        root.hidden = vec!["home".into(), "/var/run".into(), "absent".into()];
    });
    for (path, inside) in [("home", "home/secret"), ("var/run", "var/run/secret")] {
        let walk = gofer.walk(path);
        let last = walk.nodes.last().unwrap();
        assert!(last.attr.flags().contains(AttrFlags::BOUNDARY));
        assert_eq!(gofer.names(&last.handle, 1000), [""; 0]);
        let walk = gofer.walk(inside);
        assert!(matches!(walk.stop, WalkStop::Error(error) if error == ENOENT));
        let error = gofer.client.open(&last.handle, READ).unwrap_err();
        assert!(error == EISDIR || error == EACCES);
        assert_eq!(gofer.client.listxattr(&last.handle).unwrap(), b"", "as ls asks for");
    }
    gofer.handle("var/log/open");
    // Under another name it is the same directory.
    fs::rename(gofer.dir.join("home"), gofer.dir.join("moved")).unwrap();
    assert!(matches!(gofer.walk("moved/secret").stop, WalkStop::Error(error) if error == ENOENT));
    // What comes into being at a hidden path is hidden, too.
    gofer.dir.write("absent/secret", b"");
    assert!(matches!(gofer.walk("absent/secret").stop, WalkStop::Error(error) if error == ENOENT));
}

#[test]
fn kernel_file_systems_below_a_root_are_boundaries() {
    for cross in [false, true] {
        let root = std::path::Path::new("/");
        let gofer = Gofer::serving(TempDir::new(), root, true, LIMITS, |root| {
            root.cross_mounts = cross;
        });
        let walk = gofer.walk("proc");
        let proc = walk.nodes.last().unwrap();
        let flags = proc.attr.flags();
        assert!(flags.contains(AttrFlags::BOUNDARY | AttrFlags::MOUNT_ROOT), "{flags:?}");
        assert_ne!(proc.attr.mount_id, gofer.root.attr.mount_id);
        let inside = gofer.walk("proc/self/root");
        assert_eq!(inside.nodes.len(), 1);
        assert!(matches!(inside.stop, WalkStop::Error(error) if error == ENOENT));
        assert_eq!(gofer.names(&proc.handle, 1000), [""; 0]);
        gofer.handle("etc");
    }
}

#[test]
fn mapped_owners_are_seen_as_the_guest_knows_them() {
    let host = fs::metadata(std::env::temp_dir()).unwrap();
    let gofer = Gofer::with(TempDir::new(), true, LIMITS, |root| {
        let map = vec![bevor_gofer::IdRange { guest: 4000, host: host.uid(), count: 1 }];
        root.uid_map = map;
    });
    gofer.dir.write("file", b"");
    if fs::metadata(gofer.dir.join("file")).unwrap().uid() == host.uid() {
        assert_eq!(gofer.walk("file").nodes[0].attr.uid, 4000);
    }
}

#[test]
fn file_systems_are_described() {
    let gofer = Gofer::new(true);
    let stat = gofer.client.statfs(&gofer.root.handle).unwrap();
    assert!(stat.block_size > 0 && stat.blocks > 0 && stat.name_len >= 143);
}

#[test]
fn several_files_are_opened_at_once() {
    let gofer = Gofer::new(true);
    gofer.dir.write("dir/one", b"1");
    gofer.dir.write("dir/two", b"22");
    gofer.dir.write("dir/sub/file", b"");
    symlink("one", gofer.dir.join("dir/link")).unwrap();
    symlink("/etc/passwd", gofer.dir.join("dir/out")).unwrap();
    nix::unistd::mkfifo(&gofer.dir.join("dir/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let names: [&[u8]; 7] = [b"one", b"link", b"sub", b"two", b"none", b"fifo", b"out"];
    let dir = gofer.handle("dir");
    let opened = gofer.client.open_files(&dir, &names, 0).unwrap();
    let mut texts = Vec::new();
    for (opened, name) in opened.into_iter().zip(names) {
        texts.push(opened.map_err(|errno| errno.code).map(|opened| {
            let path = gofer.dir.join("dir").join(str::from_utf8(name).unwrap());
            assert_eq!(opened.attr.ino, fs::metadata(path).unwrap().ino());
            let mut text = String::new();
            fs::File::from(descriptor(opened)).read_to_string(&mut text).unwrap();
            text
        }));
    }
    let (one, two) = (Ok("1".to_owned()), Ok("22".to_owned()));
    let refused = [ELOOP, EISDIR, ENOENT, ENXIO, ELOOP].map(Err);
    let [link, sub, none, fifo, out] = refused;
    assert_eq!(texts, [one, link, sub, two, none, fifo, out]);
    let file = gofer.handle("dir/one");
    assert_eq!(gofer.client.open_files(&file, &names, 0).unwrap_err(), ENOTDIR);
    let up = gofer.client.open_files(&dir, &[b".."], 0);
    assert_eq!(up.unwrap_err(), bevor_abi::errno::EINVAL);
    // As many as one reply may bring; one more is not a request a client makes.
    for number in 0..MAX_FDS {
        gofer.dir.write(&format!("many/{number}"), number.to_string().as_bytes());
    }
    let names: Vec<String> = (0..MAX_FDS).map(|number| number.to_string()).collect();
    let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    let opened = gofer.client.open_files(&gofer.handle("many"), &names, 0).unwrap();
    for (opened, name) in opened.into_iter().zip(names) {
        let mut text = Vec::new();
        fs::File::from(descriptor(opened.unwrap())).read_to_end(&mut text).unwrap();
        assert_eq!(text, name);
    }
}

/// The descriptor a file came as.
fn descriptor(opened: Ahead) -> OwnedFd {
    match opened.what {
        AheadOf::Descriptor(fd) => fd,
        AheadOf::Content(_) => panic!("nobody asked for contents"),
    }
}

#[test]
fn small_files_come_as_contents() {
    let gofer = Gofer::new(true);
    gofer.dir.write("dir/empty", b"");
    gofer.dir.write("dir/most", &[b'm'; 100]);
    gofer.dir.write("dir/more", &[b'm'; 101]);
    gofer.dir.write("dir/sub/file", b"");
    symlink("empty", gofer.dir.join("dir/link")).unwrap();
    let names: [&[u8]; 5] = [b"empty", b"most", b"more", b"sub", b"link"];
    let dir = gofer.handle("dir");
    let opened = gofer.client.open_files(&dir, &names, 100).unwrap();
    let came = |opened: Result<Ahead, Errno>| match opened {
        Ok(Ahead { what: AheadOf::Content(content), attr }) => {
            assert_eq!(attr.size, content.len() as u64);
            Ok(Some(content.len()))
        }
        Ok(_) => Ok(None),
        Err(errno) => Err(errno.code),
    };
    let came: Vec<_> = opened.into_iter().map(came).collect();
    assert_eq!(came, [Ok(Some(0)), Ok(Some(100)), Ok(None), Err(EISDIR), Err(ELOOP)]);

    // More than a reply has room for: those that come are whole, the rest is not opened at all.
    for number in 0..MAX_OPEN {
        gofer.dir.write(&format!("many/{number}"), &[b'c'; MAX_CONTENT]);
    }
    let names: Vec<String> = (0..MAX_OPEN).map(|number| number.to_string()).collect();
    let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    let opened = gofer.client.open_files(&gofer.handle("many"), &names, MAX_CONTENT).unwrap();
    let contents = opened.iter().filter_map(|opened| match &opened.as_ref().ok()?.what {
        AheadOf::Content(content) => Some(content),
        AheadOf::Descriptor(_) => panic!("a descriptor for want of room"),
    });
    assert!(contents.clone().all(|content| **content == [b'c'; MAX_CONTENT]));
    assert!((8..16).contains(&contents.count()));
    let errors = opened.iter().filter_map(|opened| opened.as_ref().err());
    assert!(errors.clone().all(|errno| *errno == bevor_abi::errno::EAGAIN));
    // Without a limit of their own they come as descriptors, as far as those go.
    let opened = gofer.client.open_files(&gofer.handle("many"), &names, 0).unwrap();
    assert_eq!(opened.iter().filter(|opened| opened.is_ok()).count(), MAX_FDS);
}

#[test]
fn a_listing_brings_those_below_it() {
    let gofer = Gofer::new(true);
    for dir in ["a", "a/b", "a/b/c", "d"] {
        for number in 0..10 {
            gofer.dir.write(&format!("{dir}/file-{number}"), b"");
        }
    }
    fs::create_dir(gofer.dir.join("empty")).unwrap();
    symlink("a", gofer.dir.join("link")).unwrap();
    let flags = ReadDirFlags::DIRS | ReadDirFlags::BELOW;
    let all = gofer.client.readdir(&gofer.root.handle, 0, 1 << 20, flags).unwrap();
    assert_eq!(all.below.len(), 5);
    let listings = || std::iter::once(&all).chain(all.below.iter().map(|(_, listing)| listing));
    let mut paths = std::collections::HashMap::from([(None, String::new())]);
    for (node, listing) in std::iter::once((None, &all))
        .chain(all.below.iter().map(|(node, listing)| (Some(*node), listing)))
    {
        // Its directory came as an entry before.
        let path = paths[&node].clone();
        let mut names = Vec::new();
        for entry in listing.iter() {
            let name = str::from_utf8(entry.name).unwrap();
            if let Some(handle) = entry.handle {
                paths.insert(Some(handle), format!("{path}{name}/"));
            }
            names.push(name.to_owned());
        }
        names.retain(|name| name != "." && name != "..");
        names.sort();
        let host = fs::read_dir(gofer.dir.join(&path)).unwrap();
        let mut expected: Vec<_> =
            host.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        expected.sort();
        assert_eq!(names, expected, "{path}");
    }
    assert_eq!(listings().count(), paths.len());
    // What does not fit wholly does not come.
    let some = gofer.client.readdir(&gofer.root.handle, 0, 1500, flags).unwrap();
    assert!(some.at_end && some.below.len() < 5, "{}", some.below.len());
    for (_, listing) in &some.below {
        assert!(listing.at_end);
    }
    drop((all, some));
    gofer.client.flush_closed();
    assert_eq!(gofer.names(&gofer.handle("a/b"), 1000).len(), 11);
}

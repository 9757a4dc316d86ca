//! Every way out that can be named, and what is left open after it all.

use bevor_abi::errno::{ECONNREFUSED, EISDIR, ELOOP, ENXIO};
use bevor_gofer_protocol::client::{MakeArgs, SetAttrArgs, WalkStop};
use bevor_gofer_protocol::wire::ReadDirFlags;
use bevor_gofer_protocol::{Client, Handle};

use crate::place::{Place, SECRET, content, is_root, walls};

const READ: u32 = libc::O_RDONLY.cast_unsigned();
const WRITE: u32 = libc::O_RDWR.cast_unsigned();
const ARGS: MakeArgs = MakeArgs { mode: 0o700, uid: None, gid: None };

fn reach(client: &Client, root: &Handle, path: &[&[u8]]) -> Option<Handle> {
    let mut walk = client.walk(root, path).ok()?;
    (walk.nodes.len() == path.len()).then(|| walk.nodes.pop()).flatten().map(|node| node.handle)
}

pub fn no_way_leads_outside() {
    if walls().is_none() {
        return;
    }
    let place = Place::new();
    let around = place.around();
    let gofer = place.serve(|_| {});
    let client = &gofer.client;
    let root = client.roots().unwrap().remove(0).handle;

    // A link is told of and never followed, whatever comes after it.
    let links: [&[&[u8]]; 7] = [
        &[b"up"],
        &[b"link"],
        &[b"dir", b"out"],
        &[b"dir", b"away"],
        &[b"dir", b"absolute"],
        &[b"fds"],
        &[b"magic"],
    ];
    for path in links {
        let deeper = [path, &[b"file"]].concat();
        let walk = client.walk_open(&root, &deeper, READ).unwrap();
        assert!(matches!(walk.stop, WalkStop::Symlink(_)), "{path:?}");
        assert!(walk.file.is_none() && walk.nodes.len() == path.len());
        let link = reach(client, &root, path).unwrap();
        assert_eq!(client.open(&link, READ).unwrap_err(), ELOOP);
        assert!(client.mkdir(&link, b"new", ARGS).is_err());
        assert!(client.create(&link, b"new", WRITE, ARGS).is_err());
        assert!(client.unlink(&link, b"file", 0).is_err());
        assert!(client.rename((&link, b"file"), (&root, b"got"), 0).is_err());
        assert!(client.rename((&root, b"file"), (&link, b"put"), 0).is_err());
        assert!(client.readdir(&link, 0, 4096, ReadDirFlags::ATTRS).is_err());
        let size = SetAttrArgs { size: Some(0), ..SetAttrArgs::default() };
        assert!(client.setattr(&link, &size).is_err());
        // Attributes change on the link itself, and its further names are names of the link.
        let _ = client.setattr(&link, &SetAttrArgs { uid: Some(1), ..SetAttrArgs::default() });
        let _ = client.setattr(&link, &SetAttrArgs { mode: Some(0), ..SetAttrArgs::default() });
        if let Ok(linked) = client.link(&link, &root, b"hard") {
            assert!(linked.attr.is_symlink());
            client.unlink(&root, b"hard", 0).unwrap();
        }
    }
    // What is no file is not opened.
    for (name, error) in [(&b"fifo"[..], ENXIO), (b"sock", ENXIO), (b"dir", EISDIR)] {
        let node = reach(client, &root, &[name]).unwrap();
        assert_eq!(client.open(&node, READ).unwrap_err(), error);
    }
    let sock = reach(client, &root, &[b"sock"]).unwrap();
    let stream = libc::SOCK_STREAM.cast_unsigned();
    assert_eq!(client.connect(&sock, stream).unwrap_err(), ECONNREFUSED);
    assert!(client.bind(&root, b"mine", stream, ARGS).is_err());
    // What is mounted below the root is not served unless asked for.
    if is_root() {
        assert!(reach(client, &root, &[b"bound", b"file"]).is_none());
        let bound = reach(client, &root, &[b"bound"]).unwrap();
        drop(client.create(&bound, b"new", WRITE, ARGS));
        let _ = client.unlink(&bound, b"file", 0);
        let _ = client.setattr(&bound, &SetAttrArgs { mode: Some(0), ..SetAttrArgs::default() });
    }
    // A link that was made here is as good as one that was there.
    client.symlink(&root, b"made", b"/proc/self/fd/3", ARGS).unwrap();
    let made = reach(client, &root, &[b"made"]).unwrap();
    assert_eq!(client.open(&made, READ).unwrap_err(), ELOOP);
    drop((root, sock, made));
    gofer.end_well();
    assert_eq!(place.around(), around, "something outside changed");

    if is_root() {
        served_mounts(&place);
    }
}

/// A mount below the root is served where that was asked for, and its links lead no further.
fn served_mounts(place: &Place) {
    let gofer = place.serve(|root| {
        root.cross_mounts = true;
        root.read_only = true;
    });
    let client = &gofer.client;
    let root = client.roots().unwrap().remove(0).handle;
    let file = reach(client, &root, &[b"bound", b"file"]).unwrap();
    assert_eq!(content(client.open(&file, READ).unwrap().file), SECRET);
    drop((root, file));
    gofer.end_well();
}

/// After all handles were given back nothing more is open than at the start.
pub fn descriptors_do_not_leak() {
    if walls().is_none() {
        return;
    }
    let place = Place::new();
    let gofer = place.serve(|_| {});
    let client = &gofer.client;
    let root = client.roots().unwrap().remove(0).handle;
    client.flush_closed();
    let before = gofer.descriptors();
    let mut most = 0;
    for round in 0..100 {
        let mut kept = Vec::new();
        for names in [&[&b"dir"[..], b"sub", b"file"][..], &[b"dir", b"file"], &[b"dir", b"none"]] {
            let walk = client.walk_open(&root, names, WRITE).unwrap();
            kept.extend(walk.nodes.into_iter().map(|node| node.handle));
        }
        let dir = &kept[0];
        let name = format!("{round}");
        let (made, _file) = client.create(dir, name.as_bytes(), WRITE, ARGS).unwrap();
        client.create(dir, name.as_bytes(), WRITE, ARGS).unwrap_err();
        client.mkdir(dir, name.as_bytes(), ARGS).unwrap_err();
        client.link(&made.handle, dir, b"file").unwrap_err();
        let (nameless, _file) =
            client.create(dir, b"", WRITE | libc::O_TMPFILE.cast_unsigned(), ARGS).unwrap();
        client.readdir(dir, 0, 200, ReadDirFlags::ATTRS).unwrap();
        client.open(dir, WRITE).unwrap_err();
        client.unlink(dir, name.as_bytes(), 0).unwrap();
        client.open(&made.handle, READ).unwrap();
        most = most.max(gofer.descriptors());
        drop((kept, made, nameless));
        client.flush_closed();
    }
    // Listings that were broken off stay open, a few. What was donated is closed after the reply.
    let mut after = gofer.descriptors();
    for _ in 0..1000 {
        if after <= before + 8 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
        after = gofer.descriptors();
    }
    assert!(most > before && after <= before + 8, "{before} at first, {most}, {after} at last");
    drop(root);
    gofer.end_well();
}

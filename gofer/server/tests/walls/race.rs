//! Someone on the host swaps directories, links and files while a client uses them.

use std::fs;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use bevor_gofer_protocol::client::{AheadOf, MakeArgs, SetAttrArgs, TimeChange, Walk, WalkStop};
use bevor_gofer_protocol::wire::{ReadDirFlags, SyncKind};
use bevor_gofer_protocol::{Client, Device, Handle, Time};
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, RenameFlags, ResolveFlag, openat2, renameat2};
use nix::sys::stat::Mode;

use crate::place::{INSIDE, Place, SECRET, content, walls};
use crate::random::{Random, Rounds};

const ARGS: MakeArgs = MakeArgs { mode: 0o700, uid: None, gid: None };

/// Runs `body` while a thread repeats `disturb`.
fn beside(disturb: impl Fn() + Sync, body: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop = &stop;
        // Also when the body panics: the scope waits for the thread.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                disturb();
            }
        });
        let _stop = Stop(stop);
        body();
    });
}

/// What was seen, so that a race that never happened fails the test.
#[derive(Debug, Default)]
struct Seen {
    opened: usize,
    links: usize,
    failed: usize,
    done: usize,
}

struct Racer<'a> {
    client: &'a Client,
    root: &'a Handle,
    random: Random,
    seen: Seen,
}

impl Racer<'_> {
    fn count<T>(&mut self, result: Result<T, bevor_abi::Errno>) -> Option<T> {
        match result {
            Ok(value) => {
                self.seen.done += 1;
                Some(value)
            }
            Err(error) => {
                assert_ne!(error, bevor_abi::errno::EIO, "the gofer is gone");
                self.seen.failed += 1;
                None
            }
        }
    }

    fn walk(&mut self, names: &[&[u8]], open: Option<u32>) -> Option<Walk> {
        let walk = match open {
            Some(flags) => self.client.walk_open(self.root, names, flags),
            None => self.client.walk(self.root, names),
        };
        let mut walk = self.count(walk)?;
        match &walk.stop {
            WalkStop::Symlink(_) => self.seen.links += 1,
            WalkStop::Error(_) => self.seen.failed += 1,
            WalkStop::Complete => {}
        }
        if let Some(Ok(file)) = walk.file.take() {
            self.seen.opened += 1;
            let said = content(file);
            assert!(!said.contains(SECRET), "read what lies outside");
        }
        Some(walk)
    }

    /// Everything that can be done by name or by handle, on names that do not hold still.
    fn round(&mut self, handles: &mut Vec<Handle>) {
        let names: [&[&[u8]]; 4] =
            [&[b"dir", b"sub", b"file"], &[b"dir", b"file"], &[b"dir", b"sub"], &[b"dir"]];
        let path = *self.random.pick(&names);
        let flags = *self.random.pick(&[libc::O_RDONLY, libc::O_RDWR]);
        let open = self.random.once_in(2).then_some(flags.cast_unsigned());
        if let Some(walk) = self.walk(path, open) {
            handles.extend(walk.nodes.into_iter().map(|node| node.handle));
        }
        if handles.len() > 40 {
            let many = self.random.below(30);
            handles.drain(..many);
        }
        if handles.is_empty() {
            return;
        }
        let (one, other) = (self.random.below(handles.len()), self.random.below(handles.len()));
        let (node, dir) = (&handles[one], &handles[other]);
        let names: [&[u8]; 6] = [b"new", b"other", b"sub", b"file", b"link", b"swapped"];
        let (name, second) = (*self.random.pick(&names), *self.random.pick(&names));
        let client = self.client;
        match self.random.below(18) {
            0 => {
                let change = SetAttrArgs {
                    mode: Some(0o711),
                    uid: Some(1),
                    mtime: Some(TimeChange::To(Time { sec: 1, nsec: 1 })),
                    ..SetAttrArgs::default()
                };
                let _ = self.count(client.setattr(node, &change));
            }
            1 => {
                let change = SetAttrArgs { size: Some(6), ..SetAttrArgs::default() };
                let _ = self.count(client.setattr(node, &change));
            }
            2 => {
                let opened = client.open(node, libc::O_RDWR.cast_unsigned());
                if let Some(opened) = self.count(opened) {
                    assert!(!content(opened.file).contains(SECRET), "read what lies outside");
                    self.seen.opened += 1;
                }
            }
            3 => {
                let flags = libc::O_RDWR.cast_unsigned();
                if let Some((_, fd)) = self.count(client.create(dir, name, flags, ARGS)) {
                    use std::io::Write;
                    fs::File::from(fd).write_all(INSIDE.as_bytes()).unwrap();
                }
            }
            4 => drop(self.count(client.mkdir(dir, name, ARGS))),
            5 => {
                let args = MakeArgs { mode: 0o600 | libc::S_IFREG, ..ARGS };
                drop(self.count(client.mknod(dir, name, args, Device::default())));
            }
            6 => drop(self.count(client.symlink(dir, name, b"../outside", ARGS))),
            7 => drop(self.count(client.link(node, dir, name))),
            8 | 9 => {
                let flags = *self.random.pick(&[0, libc::AT_REMOVEDIR.cast_unsigned()]);
                let _ = self.count(client.unlink(dir, name, flags));
            }
            10 | 11 => {
                let flags = *self.random.pick(&[0, 1, 2]);
                let _ = self.count(client.rename((dir, name), (node, second), flags));
            }
            12 => {
                let _ = self.count(client.setxattr(node, b"user.a", b"b", 0));
            }
            13 => {
                let _ = self.count(client.removexattr(node, b"user.a"));
            }
            14 => {
                let below = ReadDirFlags::DIRS | ReadDirFlags::BELOW;
                let flags = *self.random.pick(&[ReadDirFlags::ATTRS, ReadDirFlags::DIRS, below]);
                if let Some(listing) = self.count(client.readdir(dir, 0, 100_000, flags)) {
                    handles.extend(listing.into_handles());
                }
            }
            16 => {
                let names: [&[u8]; 5] = [b"file", b"link", b"away", b"absolute", b"sub"];
                let max_content = *self.random.pick(&[0, 8192]);
                let opened = self.count(client.open_files(dir, &names, max_content));
                for opened in opened.unwrap_or_default() {
                    let Ok(opened) = opened else { continue };
                    let text = match opened.what {
                        AheadOf::Descriptor(fd) => content(fd),
                        AheadOf::Content(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                    };
                    assert!(!text.contains(SECRET), "read what lies outside");
                    self.seen.opened += 1;
                }
            }
            15 => {
                let _ = self.count(client.sync(node, SyncKind::Data));
            }
            _ => {
                let _ = self.count(client.getattr(node));
                if let Some(target) = self.count(client.readlink(node)) {
                    assert!(
                        [&b"outside"[..], b"outside/file", b"kept", b"kept/file"]
                            .iter()
                            .any(|end| target.ends_with(end))
                    );
                }
            }
        }
    }
}

/// Makes again what there is to be raced for and was moved or removed. Follows no link itself.
fn mend(place: &Place) {
    for (dir, name) in [(".", "dir"), ("dir", "sub"), ("dir", "plain")] {
        if let Some(dir) = beneath(place, dir, OFlag::O_DIRECTORY | OFlag::O_RDONLY) {
            let _ = nix::sys::stat::mkdirat(&dir, name, Mode::S_IRWXU);
        }
    }
    for file in ["dir/file", "dir/sub/file", "dir/plain/file"] {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY;
        if let Some(file) = beneath(place, file, flags) {
            let _ = nix::unistd::write(&file, INSIDE.as_bytes());
        }
    }
}

fn beneath(place: &Place, path: &str, flags: OFlag) -> Option<OwnedFd> {
    let root = fs::File::open(place.join("root")).unwrap();
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    let mode = if flags.contains(OFlag::O_CREAT) { Mode::S_IRWXU } else { Mode::empty() };
    openat2(&root, path, how.mode(mode)).ok()
}

pub fn swaps_never_lead_outside() {
    if walls().is_none() {
        return;
    }
    let mut seen = Seen::default();
    for seed in Rounds::new(8) {
        let place = Place::new();
        let around = place.around();
        let absolute = place.join("outside");
        // One pair that is swapped as fast as can be, of names that client and host alike use.
        // The first two links lead to what is served, so that nothing but how names are opened keeps
        // the gofer from following them.
        let swaps: [(&str, &str, &str); 6] = [
            ("root/dir", "root/swap", "kept"),
            ("root/dir/file", "root/swap", "../kept/file"),
            ("root/dir", "root/swap", "../outside"),
            ("root/dir/sub", "root/swap", absolute.to_str().unwrap()),
            ("root/dir/file", "root/swap", "../../outside/file"),
            ("root/dir/sub/file", "root/swap", "../../../outside/file"),
        ];
        let (what, with, target) = swaps[usize::try_from(seed % 6).unwrap()];
        std::os::unix::fs::symlink(target, place.join(with)).unwrap();
        let kept = ["root/kept/file", "root/kept/sub/file"].map(|file| place.join(file));
        fs::create_dir_all(place.join("root/kept/sub")).unwrap();
        for file in &kept {
            fs::write(file, SECRET).unwrap();
        }
        let gofer = place.serve(|_| {});
        let root = gofer.client.roots().unwrap().remove(0).handle;
        let disturb = || {
            let (what, with) = (place.join(what), place.join(with));
            let flags = RenameFlags::RENAME_EXCHANGE;
            if renameat2(AT_FDCWD, &what, AT_FDCWD, &with, flags).is_err() {
                mend(&place);
            }
        };
        let random = Random::new(seed);
        let client = &gofer.client;
        let mut racer = Racer { client, root: &root, random, seen: Seen::default() };
        beside(disturb, || {
            let mut handles = Vec::new();
            for _ in 0..1500 {
                racer.round(&mut handles);
            }
        });
        let Racer { seen: Seen { opened, links, failed, done }, .. } = racer;
        seen.opened += opened;
        seen.links += links;
        seen.failed += failed;
        seen.done += done;
        drop(root);
        gofer.end_well();
        assert_eq!(place.around(), around, "seed {seed}: something outside changed");
        for file in &kept {
            assert_eq!(
                fs::read_to_string(file).unwrap(),
                SECRET,
                "seed {seed}: a link was followed"
            );
        }
    }
    let Seen { opened, links, failed, done } = seen;
    assert!(opened > 0 && links > 0 && failed > 0 && done > 0, "{seen:?}");
}

/// A handle is as good as a descriptor: what lies below a directory that was moved out of the root
/// stays within reach, nothing beside or above it is.
pub fn a_directory_moved_out_leads_no_further() {
    if walls().is_none() {
        return;
    }
    for seed in Rounds::new(2) {
        let place = Place::new();
        let around = place.around();
        let gofer = place.serve(|_| {});
        let root = gofer.client.roots().unwrap().remove(0).handle;
        let client = &gofer.client;
        let mut racer =
            Racer { client, root: &root, random: Random::new(seed), seen: Seen::default() };
        let (inside, outside) = (place.join("root/dir/sub"), place.join("parked/sub"));
        let disturb = || {
            if fs::rename(&inside, &outside).is_err() {
                mend(&place);
            }
            drop(fs::rename(&outside, &inside));
        };
        beside(disturb, || {
            let mut handles = Vec::new();
            for _ in 0..3000 {
                racer.round(&mut handles);
            }
        });
        // Out for good: no new look-up finds it.
        for path in [&outside, &place.join("root/dir")] {
            drop(fs::remove_file(path));
            drop(fs::remove_dir_all(path));
        }
        mend(&place);
        fs::rename(&inside, &outside).unwrap();
        let walk = client.walk(&root, &[b"dir", b"sub", b"file"]).unwrap();
        assert_eq!(walk.nodes.len(), 1, "{:?}", walk.stop);
        drop((walk, root));
        gofer.end_well();
        assert_eq!(place.around(), around, "seed {seed}: something outside changed");
    }
}

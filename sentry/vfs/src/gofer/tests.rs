//! The gofer's file system over a directory of the host, which is the oracle.

use crate::file::DirEntry;
use crate::gofer::{GoferFs, Sharing};
use crate::namei;
use crate::testing::{TestTask, read, write};
use bevor_abi::errno::{ENODATA, ENOENT, EROFS};
use bevor_abi::fcntl::{
    O_APPEND, O_CREAT, O_DIRECTORY, O_RDWR, O_TMPFILE, O_WRONLY, RENAME_EXCHANGE,
};
use bevor_base::UserNamespace;
use bevor_gofer::{Limits, RootConfig, Server, Source};
use bevor_gofer_protocol::Client;
use bevor_gofer_protocol::service::Service;
use bevor_memory::{Account, MemoryPool};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A task whose root is a directory of the host, served by a gofer in threads of this process.
struct Fixture {
    task: TestTask,
    dir: PathBuf,
    client: Client,
}

impl Fixture {
    fn new(sharing: Sharing) -> Self {
        Self::with(sharing, false, 1000)
    }

    fn with(sharing: Sharing, read_only: bool, descriptors: usize) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("bevor-vfs-{}-{number}", std::process::id()));
        fs::create_dir(&dir).unwrap();

        let open = fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(&dir);
        let config = RootConfig::new(Source::Path(dir.clone()), read_only);
        let limits = Limits { handles: 100_000, descriptors };
        let server = Server::unconfined(vec![(open.unwrap().into(), config)], limits).unwrap();
        let fds = bevor_gofer_protocol::channel().unwrap();
        let service = Service::new(fds.memory.as_fd(), fds.server_socket).unwrap();
        std::thread::spawn(move || server.serve(&service));
        let client = Client::new(fds.memory.as_fd(), fds.client_socket).unwrap();

        let root = client.roots().unwrap().pop().unwrap();
        let user_ns = UserNamespace::initial();
        let superblock = GoferFs::mount(client.clone(), root, sharing, user_ns).unwrap();
        let (pool, account) = (MemoryPool::new(), Arc::new(Account::new(1 << 30)));
        Self { task: TestTask::on(superblock, pool, account), dir, client }
    }

    /// Drops every cached dentry, and so the inodes nobody has open.
    fn forget(&self) {
        self.task.fs.root.mount.superblock().cache().clear();
    }

    fn unlink(&self, path: &str) {
        namei::unlink(&self.task.at(), path.as_bytes()).unwrap();
    }

    /// The guest sees of a file what the host sees.
    fn agrees(&self, path: &str) {
        let guest = self.task.lstat(path).unwrap();
        let host = fs::symlink_metadata(self.dir.join(path.trim_start_matches('/'))).unwrap();
        assert_eq!((guest.ino, guest.mode), (host.ino(), host.mode()), "{path}");
        assert_eq!((guest.uid, guest.gid), (host.uid(), host.gid()), "{path}");
        assert_eq!(guest.nlink, u32::try_from(host.nlink()).unwrap(), "{path}");
        assert_eq!((guest.size, guest.blocks), (host.size(), host.blocks()), "{path}");
        let time = |sec, nsec: i64| (sec, u32::try_from(nsec).unwrap());
        let of = |time: crate::FileTime| (time.sec, time.nsec);
        assert_eq!(of(guest.mtime), time(host.mtime(), host.mtime_nsec()), "{path}");
        assert_eq!(of(guest.ctime), time(host.ctime(), host.ctime_nsec()), "{path}");
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.client.shutdown();
        drop(fs::remove_dir_all(&self.dir));
    }
}

const BOTH: [Sharing; 2] = [Sharing::Exclusive, Sharing::Shared];

#[test]
fn attributes_agree_with_the_host_after_every_change() {
    for sharing in BOTH {
        let fixture = Fixture::new(sharing);
        let task = &fixture.task;
        task.mkdir("/d").unwrap();
        fixture.agrees("/");
        let file = task.open("/d/f", O_CREAT | O_RDWR).unwrap();
        fixture.agrees("/d/f");
        fixture.agrees("/d");
        write(&file, &[7; 10_000]).unwrap();
        fixture.agrees("/d/f");
        task.link("/d/f", "/d/g").unwrap();
        fixture.agrees("/d/f");
        fixture.agrees("/d/g");
        task.symlink("f", "/d/l").unwrap();
        fixture.agrees("/d/l");
        task.mkdir("/e").unwrap();
        task.rename("/d/g", "/e/h", 0).unwrap();
        for path in ["/d", "/e", "/d/f", "/e/h"] {
            fixture.agrees(path);
        }
        fixture.unlink("/d/f");
        fixture.agrees("/e/h");
        assert_eq!(file.path().dentry.inode().attr().unwrap().nlink, 1);
        task.put("/e/other", b"x").unwrap();
        task.rename("/e/h", "/e/other", RENAME_EXCHANGE).unwrap();
        fixture.agrees("/e/h");
        fixture.agrees("/e/other");
        task.rename("/e/h", "/e/other", 0).unwrap();
        fixture.agrees("/e/other");
        assert_eq!(file.path().dentry.inode().attr().unwrap().nlink, 0);
        namei::rmdir(&task.at(), b"/d").unwrap_err();
        fixture.unlink("/d/l");
        namei::rmdir(&task.at(), b"/d").unwrap();
        fixture.agrees("/");
        assert_eq!(task.stat("/d").unwrap_err(), ENOENT);
    }
}

#[test]
fn contents_are_the_hosts() {
    let fixture = Fixture::new(Sharing::Exclusive);
    let task = &fixture.task;
    task.put("/f", b"from the guest").unwrap();
    assert_eq!(fs::read(fixture.dir.join("f")).unwrap(), b"from the guest");
    fs::write(fixture.dir.join("g"), "from the host").unwrap();
    assert_eq!(task.get("/g").unwrap(), b"from the host");
    task.put("/f", b"short").unwrap();
    assert_eq!(fs::read(fixture.dir.join("f")).unwrap(), b"short");
    assert_eq!(task.stat("/f").unwrap().size, 5);
}

#[test]
fn a_file_made_without_any_permission_can_be_written_by_its_maker() {
    let fixture = Fixture::new(Sharing::Exclusive);
    let mut task = fixture_task(&fixture);
    task.umask = 0o777;
    let file = task.open("/secret", O_CREAT | O_WRONLY).unwrap();
    assert_eq!(write(&file, b"content").unwrap(), 7);
    assert_eq!(fs::metadata(fixture.dir.join("secret")).unwrap().mode() & 0o777, 0);
}

/// Another task on the same file tree.
fn fixture_task(fixture: &Fixture) -> TestTask {
    let (pool, account) = (MemoryPool::new(), Arc::new(Account::new(1 << 30)));
    let superblock = fixture.task.fs.root.mount.superblock().clone();
    TestTask::on(superblock, pool, account)
}

#[test]
fn changes_of_the_host_show_where_it_shares() {
    let fixture = Fixture::new(Sharing::Shared);
    let task = &fixture.task;
    task.put("/f", b"one").unwrap();
    fs::write(fixture.dir.join("f"), "longer").unwrap();
    fixture.agrees("/f");
    fs::rename(fixture.dir.join("f"), fixture.dir.join("g")).unwrap();
    assert_eq!(task.stat("/f").unwrap_err(), ENOENT);
    fixture.agrees("/g");
    assert_eq!(task.get("/g").unwrap(), b"longer");
    fs::write(fixture.dir.join("f"), "new").unwrap();
    fixture.agrees("/f");
    assert_eq!(task.get("/f").unwrap(), b"new");
    fs::create_dir(fixture.dir.join("d")).unwrap();
    assert_eq!(task.list("/").unwrap(), ["d", "f", "g"]);
}

#[test]
fn a_removed_file_lives_while_it_is_open() {
    // Hardly any descriptors, so that the gofer must look its files up again.
    let fixture = Fixture::with(Sharing::Exclusive, false, 4);
    let task = &fixture.task;
    for number in 0..30 {
        task.mkdir(&format!("/{number}")).unwrap();
        task.put(&format!("/{number}/f"), b"").unwrap();
    }
    task.put("/f", b"content").unwrap();
    let file = task.open("/f", O_RDWR).unwrap();
    fixture.unlink("/f");
    for number in 0..30 {
        fixture.agrees(&format!("/{number}/f"));
    }
    assert_eq!(read(&file, 100).unwrap(), b"content");
    let attr = file.path().dentry.inode().attr().unwrap();
    assert_eq!((attr.nlink, attr.size), (0, 7));
    assert_eq!(task.list("/").unwrap().len(), 30);
}

#[test]
fn an_unnamed_file_can_be_given_a_name() {
    let fixture = Fixture::new(Sharing::Exclusive);
    let task = &fixture.task;
    let file = task.open("/", O_TMPFILE | O_RDWR).unwrap();
    write(&file, b"content").unwrap();
    assert!(task.list("/").unwrap().is_empty());
    namei::link(file.path(), &task.at(), b"/named").unwrap();
    fixture.agrees("/named");
    assert_eq!(task.get("/named").unwrap(), b"content");
}

#[test]
fn a_listing_can_be_read_in_small_pieces_and_from_any_place() {
    let fixture = Fixture::new(Sharing::Exclusive);
    for number in 0..300 {
        fs::write(fixture.dir.join(format!("file-{number}")), "").unwrap();
    }
    let file = fixture.task.open("/", O_DIRECTORY).unwrap();
    let mut all: Vec<(Vec<u8>, u64)> = Vec::new();
    loop {
        let before = all.len();
        let mut room = 7;
        file.read_dir(&mut |entry: &DirEntry<'_>| {
            if room == 0 {
                return false;
            }
            room -= 1;
            all.push((entry.name.to_vec(), entry.next));
            true
        })
        .unwrap();
        if all.len() == before {
            break;
        }
    }
    assert_eq!(all.len(), 302, "with the dots");
    // From the middle, after the end, and from the start again.
    for from in [150, 10, 301] {
        file.seek(all[from].1.cast_signed(), bevor_abi::fcntl::SEEK_SET).unwrap();
        let mut rest = Vec::new();
        file.read_dir(&mut |entry: &DirEntry<'_>| {
            rest.push(entry.name.to_vec());
            true
        })
        .unwrap();
        let expected: Vec<_> = all[from + 1..].iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(rest, expected, "from {from}");
    }
    fixture.unlink("/file-7");
    file.seek(0, bevor_abi::fcntl::SEEK_SET).unwrap();
    assert_eq!(fixture.task.list("/").unwrap().len(), 299);
}

#[test]
fn a_read_only_root_stays_as_it_is() {
    let fixture = Fixture::with(Sharing::Exclusive, true, 100);
    fs::write(fixture.dir.join("f"), "content").unwrap();
    let task = &fixture.task;
    assert_eq!(task.open("/f", O_RDWR).unwrap_err(), EROFS);
    assert_eq!(task.put("/g", b"").unwrap_err(), EROFS);
    assert_eq!(task.mkdir("/d").unwrap_err(), EROFS);
    assert_eq!(namei::unlink(&task.at(), b"/f").unwrap_err(), EROFS);
    assert_eq!(namei::attr::chmod(&task.path("/f"), &task.cred, 0).unwrap_err(), EROFS);
    assert_eq!(task.get("/f").unwrap(), b"content");
}

#[test]
fn an_exclusive_file_is_asked_for_once() {
    let fixture = Fixture::new(Sharing::Exclusive);
    let task = &fixture.task;
    task.put("/f", b"content").unwrap();
    task.stat("/f").unwrap();
    assert_eq!(task.stat("/none").unwrap_err(), ENOENT);
    // Without a gofer, what is known must do.
    fixture.client.shutdown();
    assert_eq!(task.stat("/f").unwrap().size, 7);
    assert_eq!(task.get("/f").unwrap(), b"content");
    assert_eq!(task.stat("/none").unwrap_err(), ENOENT);
    assert_eq!(task.stat("/other").unwrap_err(), bevor_abi::errno::EIO);
}

#[test]
fn an_attribute_an_exclusive_file_lacks_is_asked_for_once() {
    for written in [false, true] {
        let fixture = Fixture::new(Sharing::Exclusive);
        fixture.task.put("/f", b"content").unwrap();
        let path = fixture.task.path("/f");
        let get = |name: &[u8]| path.inode().get_xattr(name).unwrap_err();
        let names = [&b"security.capability"[..], b"security.selinux", b"system.posix_acl_default"];
        let first = names.map(get);
        if written {
            path.inode().set_xattr(b"user.x", b"y", 0).unwrap();
        }
        fixture.client.shutdown();
        for (name, first) in names.into_iter().zip(first) {
            let known = first == ENODATA && !written;
            assert_eq!(get(name) == ENODATA, known, "{written} {}", name.escape_ascii());
        }
    }
}

/// Two directories of files; the first was listed and looked at, the second listed: by then
/// listings come with attributes.
fn listed() -> Fixture {
    let fixture = Fixture::new(Sharing::Exclusive);
    fs::create_dir(fixture.dir.join("c")).unwrap();
    fs::write(fixture.dir.join("c/9"), "nine").unwrap();
    fs::hard_link(fixture.dir.join("c/9"), fixture.dir.join("hard")).unwrap();
    for dir in ["a", "b"] {
        fs::create_dir_all(fixture.dir.join(dir).join("sub")).unwrap();
        for number in 0..50 {
            fs::write(fixture.dir.join(format!("{dir}/{number}")), vec![7; number * 100]).unwrap();
        }
        std::os::unix::fs::symlink("7", fixture.dir.join(dir).join("link")).unwrap();
        fixture.task.list(&format!("/{dir}")).unwrap();
        if dir == "a" {
            for number in 0..50 {
                fixture.agrees(&format!("/a/{number}"));
            }
        }
    }
    fixture
}

#[test]
fn what_was_listed_needs_no_asking() {
    let fixture = listed();
    fixture.client.shutdown();
    for number in 0..50 {
        fixture.agrees(&format!("/b/{number}"));
    }
    fixture.agrees("/b/sub");
    fixture.agrees("/b/link");
}

#[test]
fn what_was_listed_can_be_used_like_anything_else() {
    let fixture = listed();
    let task = &fixture.task;
    for (number, path) in [(1, "/b/1"), (7, "/b/link")] {
        fixture.agrees(path);
        assert_eq!(task.get(path).unwrap(), vec![7; number * 100], "{path}");
    }
    task.list("/b/sub").unwrap();
    fixture.agrees("/b/2");
    task.rename("/b/2", "/a/moved", 0).unwrap();
    fixture.agrees("/a/moved");
    assert_eq!(task.get("/a/moved").unwrap().len(), 200);
    fixture.agrees("/b/3");
    fixture.agrees("/b/4");
    task.rename("/b/3", "/b/4", RENAME_EXCHANGE).unwrap();
    assert_eq!(task.get("/b/3").unwrap().len(), 400);
    assert_eq!(task.get("/b/4").unwrap().len(), 300);
    fixture.agrees("/b/5");
    task.link("/b/5", "/b/five").unwrap();
    fixture.agrees("/b/5");
    fixture.unlink("/b/5");
    assert_eq!(task.stat("/b/5").unwrap_err(), ENOENT);
    fixture.agrees("/b/five");
}

#[test]
fn a_listing_is_not_believed_after_a_change() {
    let fixture = listed();
    fixture.task.list("/c").unwrap();
    // The file changes under a name the listing knows nothing of.
    fixture.task.put("/hard", &[1; 5000]).unwrap();
    fixture.forget();
    fixture.agrees("/c/9");
    fixture.task.list("/b").unwrap();
    fixture.unlink("/b/10");
    fixture.task.put("/b/10", b"another").unwrap();
    fixture.agrees("/b/10");
}

#[test]
fn appends_go_to_the_end_whoever_else_appends() {
    for sharing in BOTH {
        let fixture = Fixture::new(sharing);
        fixture.task.put("/log", b"0").unwrap();
        let open = || fixture.task.open("/log", O_WRONLY | O_APPEND).unwrap();
        let (one, two) = (open(), open());
        write(&one, b"1").unwrap();
        write(&two, b"22").unwrap();
        let mut host = fs::OpenOptions::new().append(true).open(fixture.dir.join("log")).unwrap();
        std::io::Write::write_all(&mut host, b"333").unwrap();
        write(&one, b"4444").unwrap();
        assert_eq!(fs::read(fixture.dir.join("log")).unwrap(), b"01223334444");
        fixture.agrees("/log");
    }
}

#[test]
fn a_listed_directory_needs_no_asking_for_its_names() {
    let fixture = listed();
    fixture.task.list("/b/sub").unwrap();
    fixture.client.shutdown();
    assert_eq!(fixture.task.list("/b").unwrap().len(), 52);
    assert_eq!(fixture.task.list("/b/sub").unwrap().len(), 0);
    assert_eq!(fixture.task.stat("/b/none").unwrap_err(), ENOENT);
    assert_eq!(fixture.task.stat("/b/sub/none").unwrap_err(), ENOENT);
}

#[test]
fn looking_up_one_name_after_the_other_lists_their_directory() {
    let fixture = Fixture::new(Sharing::Exclusive);
    fs::create_dir(fixture.dir.join("d")).unwrap();
    for number in 0..100 {
        fs::write(fixture.dir.join(format!("d/{number}")), vec![7; number]).unwrap();
    }
    for number in 0..30 {
        fixture.agrees(&format!("/d/{number}"));
    }
    fixture.client.shutdown();
    for number in 0..100 {
        fixture.agrees(&format!("/d/{number}"));
    }
    assert_eq!(fixture.task.stat("/d/none").unwrap_err(), ENOENT);
    assert_eq!(fixture.task.list("/d").unwrap().len(), 100);
}

#[test]
fn a_kept_listing_follows_the_changes_of_its_sandbox() {
    let fixture = listed();
    let task = &fixture.task;
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let host = || {
        let names = fs::read_dir(fixture.dir.join("b")).unwrap();
        sorted(names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
    };
    let agrees = || {
        assert_eq!(sorted(task.list("/b").unwrap()), host());
        for name in host() {
            fixture.agrees(&format!("/b/{name}"));
        }
        fixture.forget();
        for name in host() {
            fixture.agrees(&format!("/b/{name}"));
        }
        for name in ["none", "gone", "1", "sub", "made", "moved", "linked"] {
            let path = format!("/b/{name}");
            assert_eq!(task.lstat(&path).is_ok(), host().contains(&name.to_owned()), "{name}");
        }
    };
    agrees();
    task.put("/b/made", b"made").unwrap();
    agrees();
    task.mkdir("/b/directory").unwrap();
    task.symlink("made", "/b/symlink").unwrap();
    task.link("/b/2", "/b/linked").unwrap();
    agrees();
    fixture.unlink("/b/1");
    namei::rmdir(&task.at(), b"/b/sub").unwrap();
    agrees();
    task.rename("/b/made", "/b/moved", 0).unwrap();
    task.rename("/b/3", "/a/3", 0).unwrap();
    task.rename("/a/4", "/b/4", 0).unwrap();
    task.rename("/b/5", "/b/directory", RENAME_EXCHANGE).unwrap();
    agrees();
    task.put("/b/6", &[1; 9000]).unwrap();
    namei::attr::chmod(&task.path("/b/7"), &task.cred, 0o600).unwrap();
    task.put("/b/directory", b"file").unwrap();
    fixture.forget();
    agrees();
    task.rename("/b", "/e", 0).unwrap();
    task.put("/e/within", b"").unwrap();
    task.rename("/e", "/b", 0).unwrap();
    agrees();
    assert!(task.list("/b").unwrap().contains(&"within".to_owned()));
}

#[test]
fn many_new_names_leave_a_listing_right() {
    let fixture = listed();
    for number in 0..2000 {
        fixture.task.put(&format!("/b/new-{number}"), b"").unwrap();
        assert_eq!(fixture.task.stat(&format!("/b/other-{number}")).unwrap_err(), ENOENT);
    }
    fixture.forget();
    assert_eq!(fixture.task.list("/b").unwrap().len(), 2052);
    for number in (0..2000).step_by(100) {
        fixture.agrees(&format!("/b/new-{number}"));
    }
}

#[test]
fn a_large_directory_is_read_in_parts() {
    let fixture = Fixture::new(Sharing::Exclusive);
    fs::create_dir(fixture.dir.join("large")).unwrap();
    let long = "n".repeat(220);
    for number in 0..9_000 {
        fs::write(fixture.dir.join(format!("large/{long}-{number}")), "").unwrap();
    }
    for _ in 0..2 {
        assert_eq!(fixture.task.list("/large").unwrap().len(), 9_000);
    }
    fixture.agrees(&format!("/large/{long}-5000"));
    assert_eq!(fixture.task.stat("/large/none").unwrap_err(), ENOENT);
}

#[test]
fn a_listing_of_a_shared_directory_shows_what_the_host_did() {
    let fixture = Fixture::new(Sharing::Shared);
    fs::create_dir(fixture.dir.join("d")).unwrap();
    for number in 0..50 {
        fs::write(fixture.dir.join(format!("d/{number}")), "").unwrap();
    }
    for round in 0..3 {
        assert_eq!(fixture.task.list("/d").unwrap().len(), 50 + round);
        for number in 0..50 {
            fixture.agrees(&format!("/d/{number}"));
        }
        assert_eq!(fixture.task.stat(&format!("/d/new-{round}")).unwrap_err(), ENOENT);
        fs::write(fixture.dir.join(format!("d/new-{round}")), "").unwrap();
        fixture.agrees(&format!("/d/new-{round}"));
        fs::write(fixture.dir.join("d/7"), vec![1; round * 10]).unwrap();
        fixture.agrees("/d/7");
    }
}

#[test]
fn opening_one_file_after_the_other_opens_the_next_ones_ahead() {
    let fixture = listed();
    let content = |number: usize| vec![7; number * 100];
    for number in 0..50 {
        let path = format!("/b/{number}");
        fixture.agrees(&path);
        assert_eq!(fixture.task.get(&path).unwrap(), content(number), "{path}");
    }
    // By now files are expected to be opened: the first brings the others with it.
    fixture.task.list("/a").unwrap();
    fixture.forget();
    fixture.agrees("/a/30");
    assert_eq!(fixture.task.get("/a/30").unwrap(), content(30));
    fixture.client.shutdown();
    let opened = (0..50).filter(|number| fixture.task.get(&format!("/a/{number}")).is_ok());
    assert!(opened.count() >= 30);
}

#[test]
fn a_file_opened_ahead_is_the_one_its_name_leads_to() {
    let fixture = listed();
    let task = &fixture.task;
    for number in 0..8 {
        task.get(&format!("/b/{number}")).unwrap();
    }
    task.rename("/b/20", "/b/21", 0).unwrap();
    task.put("/b/22", b"written").unwrap();
    fixture.unlink("/b/23");
    task.put("/b/23", b"new").unwrap();
    task.rename("/b/24", "/b/25", RENAME_EXCHANGE).unwrap();
    task.rename("/b/26", "/a/moved", 0).unwrap();
    for number in 8..50 {
        let path = format!("/b/{number}");
        let name = path.trim_start_matches('/');
        let host = fs::read(fixture.dir.join(name)).map_err(|error| error.kind());
        match host {
            Ok(content) => assert_eq!(task.get(&path).unwrap(), content, "{path}"),
            Err(kind) => {
                assert_eq!(kind, std::io::ErrorKind::NotFound);
                assert_eq!(task.stat(&path).unwrap_err(), ENOENT, "{path}");
            }
        }
    }
    assert_eq!(task.get("/a/moved").unwrap().len(), 2600);
}

/// A directory of 50 small files whose contents were all read, and are kept.
fn read_ahead() -> Fixture {
    let fixture = listed();
    for dir in ["b", "a", "b"] {
        for number in 0..50 {
            fixture.task.get(&format!("/{dir}/{number}")).unwrap();
        }
    }
    fixture
}

#[test]
fn small_files_are_read_without_asking() {
    let fixture = read_ahead();
    fixture.client.shutdown();
    for number in 0..50 {
        let content = fixture.task.get(&format!("/b/{number}")).unwrap();
        assert_eq!(content, vec![7; number * 100]);
    }
    // In pieces, from the middle, and beyond the end.
    let file = fixture.task.open("/b/9", 0).unwrap();
    assert_eq!(read(&file, 500).unwrap().len(), 500);
    assert_eq!(read(&file, 500).unwrap().len(), 400);
    assert_eq!(read(&file, 500).unwrap().len(), 0);
}

#[test]
fn contents_that_are_kept_follow_every_change() {
    let fixture = read_ahead();
    let task = &fixture.task;
    let agrees = |path: &str| {
        let host = fs::read(fixture.dir.join(path.trim_start_matches('/'))).unwrap();
        assert_eq!(task.get(path).unwrap(), host, "{path}");
        host
    };
    // Who has the file open sees what others write, to its end and beyond, and a new size.
    let reader = task.open("/b/10", 0).unwrap();
    assert_eq!(read(&reader, 10).unwrap(), [7; 10]);
    let writer = task.open("/b/10", O_RDWR).unwrap();
    write(&writer, &[1; 20]).unwrap();
    assert_eq!(read(&reader, 20).unwrap(), [[1; 10], [7; 10]].concat());
    assert_eq!(agrees("/b/10").len(), 1000);
    drop(writer);
    assert_eq!(agrees("/b/10")[..20], [1; 20]);
    let appender = task.open("/b/11", O_WRONLY | O_APPEND).unwrap();
    write(&appender, b"end").unwrap();
    assert_eq!(agrees("/b/11").len(), 1103);
    let reader = task.open("/b/12", 0).unwrap();
    let shorter = crate::inode::SetAttr { size: Some(5), ..Default::default() };
    reader.inode().set_attr(&shorter).unwrap();
    assert_eq!(read(&reader, 100).unwrap(), [7; 5]);
    assert_eq!(agrees("/b/12").len(), 5);
    task.put("/b/13", b"put").unwrap();
    assert_eq!(agrees("/b/13"), b"put");
    // By another name.
    task.link("/b/14", "/b/other").unwrap();
    task.put("/b/other", b"by its other name").unwrap();
    assert_eq!(agrees("/b/14"), b"by its other name");
    // Names that lead elsewhere.
    task.rename("/b/15", "/b/16", 0).unwrap();
    assert_eq!(agrees("/b/16").len(), 1500);
    assert_eq!(task.stat("/b/15").unwrap_err(), ENOENT);
    task.rename("/b/17", "/b/18", RENAME_EXCHANGE).unwrap();
    assert_eq!((agrees("/b/17").len(), agrees("/b/18").len()), (1800, 1700));
    fixture.unlink("/b/19");
    task.put("/b/19", b"new").unwrap();
    assert_eq!(agrees("/b/19"), b"new");
    // Also where they were never looked up since they were forgotten.
    fixture.forget();
    for number in (10..15).chain(16..50) {
        agrees(&format!("/b/{number}"));
    }
}

#[test]
fn a_file_that_is_read_by_its_content_can_be_mapped_whatever_became_of_its_name() {
    let fixture = read_ahead();
    let task = &fixture.task;
    let files: Vec<_> =
        (20..26).map(|number| task.open(&format!("/b/{number}"), 0).unwrap()).collect();
    fixture.unlink("/b/20");
    task.rename("/b/22", "/b/21", 0).unwrap();
    task.rename("/b", "/moved", 0).unwrap();
    let closed = crate::inode::SetAttr { mode: Some(0), ..Default::default() };
    files[3].inode().set_attr(&closed).unwrap();
    for (file, number) in files.iter().zip(20..) {
        assert_eq!(read(file, 10_000).unwrap().len(), number * 100);
        let mappable = file.ops().mappable(file).unwrap();
        assert_eq!(mappable.size(), number as u64 * 100);
        mappable.backing(0, 4096, false).unwrap();
    }
}

#[test]
fn contents_are_dropped_when_nothing_happens() {
    let fixture = read_ahead();
    let open = fixture.task.open("/b/30", 0).unwrap();
    let inode = open.inode().as_any().downcast_ref::<crate::gofer::GoferInode>().unwrap();
    inode.fs.forget_contents();
    fs::write(fixture.dir.join("b/30"), [8; 3000]).unwrap();
    fs::write(fixture.dir.join("b/31"), [8; 3100]).unwrap();
    // Nobody but the sandbox may do that; it shows what is asked for again.
    assert_eq!(read(&open, 10).unwrap(), [7; 10]);
    assert_eq!(fixture.task.get("/b/31").unwrap(), [8; 3100]);
}

/// Reads a tree, each directory when it is met; answers with the number of names.
fn read_tree(task: &TestTask, path: &str) -> usize {
    let names = task.list(path).unwrap();
    let mut count = names.len();
    for name in names {
        let below = format!("{path}/{name}");
        if task.lstat(&below).unwrap().mode & libc::S_IFMT == libc::S_IFDIR {
            count += read_tree(task, &below);
        }
    }
    count
}

/// Three trees of 21 directories with 5 files each.
fn trees() -> Fixture {
    let fixture = Fixture::new(Sharing::Exclusive);
    for tree in ["a", "b", "c"] {
        for dir in (0..20).map(|number| format!("{tree}/{}/{}", number % 4, number / 4)) {
            fs::create_dir_all(fixture.dir.join(&dir)).unwrap();
            for number in 0..5 {
                fs::write(fixture.dir.join(format!("{dir}/{number}")), "").unwrap();
            }
        }
    }
    fixture
}

#[test]
fn who_goes_down_a_tree_gets_more_of_it_at_once() {
    let fixture = trees();
    fixture.task.list("/").unwrap();
    let count = 24 + 20 * 5;
    assert_eq!(read_tree(&fixture.task, "/a"), count);
    // The first listing brings all of them.
    fixture.task.list("/b").unwrap();
    fixture.client.shutdown();
    assert_eq!(read_tree(&fixture.task, "/b"), count);
}

#[test]
fn who_goes_down_a_known_tree_again_gets_more_of_it_at_once() {
    let fixture = trees();
    let task = &fixture.task;
    let count = 24 + 20 * 5;
    task.list("/").unwrap();
    read_tree(task, "/a");
    assert_eq!(read_tree(task, "/b"), count);
    let root = task.fs.root.dentry.inode().clone();
    let root = root.as_any().downcast_ref::<crate::gofer::GoferInode>().unwrap();
    // Changes before and after the listing that brings those below.
    root.fs.listings.keep_at_most(0);
    task.put("/b/2/1/early", b"").unwrap();
    task.list("/b").unwrap();
    task.put("/b/2/1/late", b"").unwrap();
    task.rename("/b/3/1/0", "/b/1/2/moved", 0).unwrap();
    fixture.unlink("/b/0/0/1");
    assert_eq!(read_tree(task, "/b"), count + 2 - 1);
    for path in ["/b/2/1/early", "/b/2/1/late", "/b/1/2/moved", "/b/3/1", "/b/0/0"] {
        fixture.agrees(path);
    }
    // No change: nothing more is asked.
    root.fs.listings.keep_at_most(0);
    task.list("/b").unwrap();
    fixture.client.shutdown();
    assert_eq!(read_tree(task, "/b"), count + 2 - 1);
}

#[test]
fn listings_of_what_is_below_follow_changes() {
    let fixture = trees();
    let task = &fixture.task;
    task.list("/").unwrap();
    read_tree(task, "/a");
    // Known before it comes with the listing above it, and changed afterwards.
    task.put("/b/1/1/early", b"").unwrap();
    task.list("/b").unwrap();
    task.put("/b/1/1/late", b"").unwrap();
    task.put("/b/2/2/3", b"longer").unwrap();
    task.rename("/b/0/1", "/b/0/moved", 0).unwrap();
    task.rename("/b/3", "/b/three", 0).unwrap();
    task.mkdir("/b/3").unwrap();
    fixture.forget();
    assert_eq!(read_tree(task, "/b"), 24 + 20 * 5 + 3);
    for path in ["/b/1/1/early", "/b/1/1/late", "/b/2/2/3", "/b/0/moved/1", "/b/three/1/2"] {
        fixture.agrees(path);
    }
    for path in ["/b/0/1", "/b/3/1", "/b/1/1/none"] {
        assert_eq!(task.stat(path).unwrap_err(), ENOENT, "{path}");
    }
    assert!(task.list("/b/3").unwrap().is_empty());
}

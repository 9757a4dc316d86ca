use crate::inode::{InodeRef, NewAttr, NewNode};
use crate::namei;
use crate::overlay::{Change, ChangeKind, Format, OverlayFs, Upper, changes};
use crate::testing::{TestTask, read, user, write};
use crate::tmpfs::TmpfsOptions;
use bevor_abi::errno::{EACCES, ENODATA, ENOENT, ENOTEMPTY, EROFS};
use bevor_abi::fcntl::{O_APPEND, O_DIRECTORY, O_RDWR, O_TRUNC, O_WRONLY, RENAME_EXCHANGE};
use bevor_base::UserNamespace;
use bevor_memory::{Account, MemoryPool};
use std::sync::Arc;

/// A task whose root is an overlay over the tree `fill` makes, and a task in the lower tree itself.
fn overlay_over(fill: impl FnOnce(&TestTask)) -> (TestTask, TestTask) {
    let below = TestTask::new();
    fill(&below);
    let lower = below.fs.root.inode().clone();
    let (pool, account) = (MemoryPool::new(), Arc::new(Account::new(1 << 30)));
    let options = TmpfsOptions::default();
    let superblock = OverlayFs::in_memory(
        vec![lower],
        &pool,
        &account,
        None,
        &options,
        UserNamespace::initial(),
    )
    .unwrap();
    (TestTask::on(superblock, pool, account), below)
}

fn sample(task: &TestTask) {
    task.mkdir("/d").unwrap();
    task.mkdir("/d/sub").unwrap();
    task.put("/d/f", b"lower").unwrap();
    task.put("/d/sub/deep", b"deep").unwrap();
    task.put("/one", b"linked").unwrap();
    task.link("/one", "/d/two").unwrap();
    task.symlink("d/f", "/link").unwrap();
}

#[test]
fn writes_go_up_and_leave_the_lower_layer_alone() {
    let (task, below) = overlay_over(sample);
    let before = task.stat("/d/f").unwrap();
    let reader = task.open("/d/f", 0).unwrap();
    let file = task.open("/link", O_WRONLY | O_APPEND).unwrap();
    write(&file, b"+upper").unwrap();
    assert_eq!(task.get("/d/f").unwrap(), b"lower+upper");
    assert_eq!(read(&reader, 100).unwrap(), b"lower+upper");
    assert_eq!(below.get("/d/f").unwrap(), b"lower");
    let after = task.stat("/d/f").unwrap();
    assert_eq!((after.dev, after.ino, after.nlink), (before.dev, before.ino, 1));
    assert_eq!((after.mode, after.uid), (before.mode, before.uid));
    assert_eq!(task.stat("/d").unwrap().mtime, below.stat("/d").unwrap().mtime);
}

#[test]
fn removed_names_stay_removed() {
    let (task, below) = overlay_over(sample);
    namei::unlink(&task.at(), b"/d/f").unwrap();
    assert_eq!(task.stat("/d/f").unwrap_err(), ENOENT);
    assert_eq!(task.list("/d").unwrap(), ["sub", "two"]);
    assert_eq!(namei::rmdir(&task.at(), b"/d/sub").unwrap_err(), ENOTEMPTY);
    namei::unlink(&task.at(), b"/d/sub/deep").unwrap();
    namei::rmdir(&task.at(), b"/d/sub").unwrap();
    assert_eq!(task.list("/d").unwrap(), ["two"]);
    assert_eq!(task.stat("/d").unwrap().nlink, 2);
    // A new directory of that name does not show the old contents.
    task.mkdir("/d/sub").unwrap();
    assert_eq!(task.list("/d/sub").unwrap(), Vec::<String>::new());
    assert_eq!(task.stat("/d").unwrap().nlink, 3);
    task.put("/d/f", b"new").unwrap();
    assert_eq!(task.get("/d/f").unwrap(), b"new");
    namei::unlink(&task.at(), b"/d/f").unwrap();
    assert_eq!(task.stat("/d/f").unwrap_err(), ENOENT);
    assert_eq!(below.list("/d").unwrap(), ["f", "sub", "two"]);
}

#[test]
fn directories_move_with_what_is_below() {
    let (task, below) = overlay_over(sample);
    let ino = task.stat("/d").unwrap().ino;
    task.rename("/d", "/e", 0).unwrap();
    assert_eq!(task.stat("/d").unwrap_err(), ENOENT);
    assert_eq!(task.get("/e/sub/deep").unwrap(), b"deep");
    assert_eq!(task.stat("/e").unwrap().ino, ino);
    task.mkdir("/d").unwrap();
    assert_eq!(task.list("/d").unwrap(), Vec::<String>::new());
    task.rename("/e", "/d", RENAME_EXCHANGE).unwrap();
    assert_eq!(task.get("/d/f").unwrap(), b"lower");
    assert_eq!(task.list("/e").unwrap(), Vec::<String>::new());
    // A directory of the upper layer moved over an empty one of the lower layer hides it.
    task.rename("/e", "/d/x", 0).unwrap();
    namei::unlink(&task.at(), b"/d/sub/deep").unwrap();
    task.put("/d/x/inside", b"").unwrap();
    task.rename("/d/x", "/d/sub", 0).unwrap();
    assert_eq!(task.list("/d/sub").unwrap(), ["inside"]);
    assert_eq!(below.list("/").unwrap(), ["d", "link", "one"]);
}

#[test]
fn hard_links_stay_together() {
    let (task, below) = overlay_over(sample);
    assert_eq!(task.stat("/one").unwrap().nlink, 2);
    let file = task.open("/one", O_WRONLY | O_TRUNC).unwrap();
    write(&file, b"both").unwrap();
    drop(file);
    assert_eq!(task.get("/d/two").unwrap(), b"both");
    assert_eq!(task.stat("/one").unwrap().ino, task.stat("/d/two").unwrap().ino);
    assert_eq!(task.stat("/d/two").unwrap().nlink, 2);
    namei::unlink(&task.at(), b"/one").unwrap();
    assert_eq!(task.get("/d/two").unwrap(), b"both");
    assert_eq!(task.stat("/d/two").unwrap().nlink, 1);
    task.link("/d/two", "/three").unwrap();
    assert_eq!(task.stat("/three").unwrap().nlink, 2);
    task.rename("/d/two", "/four", 0).unwrap();
    assert_eq!(task.get("/four").unwrap(), b"both");
    assert_eq!(task.stat("/four").unwrap().ino, task.stat("/three").unwrap().ino);
    assert_eq!(below.get("/one").unwrap(), b"linked");
}

#[test]
fn attributes_copy_up_without_contents_until_written() {
    let (task, below) = overlay_over(|task| {
        sample(task);
        let path = task.path("/d/f");
        namei::xattr::set(&path, &task.cred, b"user.color", b"red", 0).unwrap();
    });
    let path = task.path("/d/f");
    namei::attr::chmod(&path, &task.cred, 0o600).unwrap();
    namei::attr::chown(&path, &task.cred, Some(5), Some(6)).unwrap();
    let attr = task.stat("/d/f").unwrap();
    assert_eq!((attr.mode & 0o777, attr.uid, attr.gid, attr.size), (0o600, 5, 6, 5));
    assert_eq!(task.get("/d/f").unwrap(), b"lower");
    assert_eq!(namei::xattr::get(&path, &task.cred, b"user.color").unwrap(), b"red");
    let file = task.open("/d/f", O_RDWR).unwrap();
    assert_eq!(read(&file, 3).unwrap(), b"low");
    write(&file, b"XX").unwrap();
    assert_eq!(task.get("/d/f").unwrap(), b"lowXX");
    assert_eq!(below.stat("/d/f").unwrap().uid, 0);
    let hidden = namei::xattr::get(&path, &task.cred, b"trusted.overlay.opaque");
    assert_eq!(hidden.unwrap_err(), ENODATA);
}

#[test]
fn a_removed_file_can_still_be_written_through_its_descriptor() {
    let (task, below) = overlay_over(sample);
    let file = task.open("/d/f", 0).unwrap();
    namei::unlink(&task.at(), b"/d/f").unwrap();
    assert_eq!(file.inode().attr().unwrap().nlink, 0);
    file.inode().set_attr(&crate::inode::SetAttr { size: Some(2), ..Default::default() }).unwrap();
    assert_eq!(read(&file, 10).unwrap(), b"lo");
    assert_eq!(below.get("/d/f").unwrap(), b"lower");
}

#[test]
fn permissions_of_the_lower_files_hold() {
    let (mut task, _below) = overlay_over(|task| {
        sample(task);
        namei::attr::chmod(&task.path("/d"), &task.cred, 0o755).unwrap();
        namei::attr::chmod(&task.path("/d/sub"), &task.cred, 0o700).unwrap();
    });
    task.cred = user(1000);
    assert_eq!(task.get("/d/f").unwrap(), b"lower");
    assert_eq!(task.open("/d/sub/deep", 0).unwrap_err(), EACCES);
    assert_eq!(namei::unlink(&task.at(), b"/d/f").unwrap_err(), EACCES);
    assert_eq!(task.mkdir("/d/new").unwrap_err(), EACCES);
}

#[test]
fn several_lower_layers_merge_and_hide() {
    let attr = |mode| NewAttr { mode, uid: 0, gid: 0 };
    let (top, bottom) = (TestTask::new(), TestTask::new());
    for name in ["a", "b", "gone"] {
        bottom.mkdir(&format!("/{name}")).unwrap();
        bottom.put(&format!("/{name}/bottom"), b"1").unwrap();
    }
    let root = top.fs.root.inode();
    top.mkdir("/a").unwrap();
    top.put("/a/top", b"2").unwrap();
    top.mkdir("/b").unwrap();
    top.path("/b").inode().set_xattr(b"trusted.overlay.opaque", b"y", 0).unwrap();
    root.create(b"gone", &NewNode::Device { char: true, rdev: 0 }, attr(0)).unwrap();
    let (pool, account) = (MemoryPool::new(), Arc::new(Account::new(1 << 30)));
    let lowers: Vec<InodeRef> = vec![root.clone(), bottom.fs.root.inode().clone()];
    let user_ns = UserNamespace::initial();
    let superblock =
        OverlayFs::superblock(lowers, None, &pool, &account, user_ns, String::new()).unwrap();
    let task = TestTask::on(superblock, pool, account);
    assert_eq!(task.list("/").unwrap(), ["a", "b"]);
    assert_eq!(task.list("/a").unwrap(), ["bottom", "top"]);
    assert_eq!(task.list("/b").unwrap(), Vec::<String>::new());
    assert_eq!(task.stat("/gone").unwrap_err(), ENOENT);
    assert_eq!(task.mkdir("/new").unwrap_err(), EROFS);
    assert_eq!(task.open("/a/top", O_WRONLY).unwrap_err(), EROFS);
    assert!(task.open("/a", O_DIRECTORY).is_ok());
}

/// An overlay in Linux's format over `below`, whose upper layer is `host`; and a task in it.
fn lasting_overlay(below: &TestTask, host: &TestTask) -> TestTask {
    let (pool, account) = (MemoryPool::new(), Arc::new(Account::new(1 << 30)));
    let upper = Upper {
        root: host.path("/upper").inode().clone(),
        work: host.path("/work").inode().clone(),
        format: Format::Linux,
    };
    let lowers = vec![below.fs.root.inode().clone()];
    let user_ns = UserNamespace::initial();
    let superblock =
        OverlayFs::superblock(lowers, Some(upper), &pool, &account, user_ns, String::new());
    TestTask::on(superblock.unwrap(), pool, account)
}

#[test]
fn a_lasting_layer_says_everything_itself() {
    let (below, host) = (TestTask::new(), TestTask::new());
    sample(&below);
    below.mkdir("/empty").unwrap();
    host.mkdir("/upper").unwrap();
    host.mkdir("/work").unwrap();
    let task = lasting_overlay(&below, &host);
    namei::attr::chmod(&task.path("/d/f"), &task.cred, 0o600).unwrap();
    task.rename("/d", "/moved", 0).unwrap();
    task.mkdir("/d").unwrap();
    namei::rmdir(&task.at(), b"/empty").unwrap();
    task.put("/moved/new", b"new").unwrap();
    let before = told(&task);
    drop(task);
    assert_eq!(host.get("/upper/moved/f").unwrap(), b"lower");
    assert_eq!(host.get("/upper/moved/sub/deep").unwrap(), b"deep");
    let opaque = |path: &str| host.path(path).inode().get_xattr(b"user.overlay.opaque");
    assert_eq!(opaque("/upper/d").unwrap(), b"y");
    assert_eq!(opaque("/upper/moved/sub").unwrap(), b"y");
    let again = lasting_overlay(&below, &host);
    assert_eq!(again.list("/").unwrap(), ["d", "link", "moved", "one"]);
    assert_eq!(again.list("/d").unwrap(), Vec::<String>::new());
    assert_eq!(again.list("/moved").unwrap(), ["f", "new", "sub", "two"]);
    assert_eq!(again.stat("/moved/f").unwrap().mode & 0o777, 0o600);
    let hidden = namei::xattr::get(&again.path("/d"), &again.cred, b"user.overlay.opaque");
    assert_eq!(hidden.unwrap_err(), ENODATA);
    assert_eq!(before, told(&again));
    assert_eq!(
        before,
        [
            "changed /d opaque",
            "gone /empty",
            "added /moved",
            "added /moved/f",
            "added /moved/new",
            "added /moved/sub",
            "added /moved/sub/deep",
            "added /moved/two",
        ]
    );
}

/// What [`changes`] tells.
fn told(task: &TestTask) -> Vec<String> {
    let mut lines = Vec::new();
    changes(task.fs.root.mount.superblock(), &mut |change| {
        lines.push(match change {
            Change::Gone { path } => format!("gone {}", String::from_utf8_lossy(path)),
            Change::There { path, kind, first, opaque, .. } => {
                let kind = if *kind == ChangeKind::Added { "added" } else { "changed" };
                let first = first.map_or("", |_| " again");
                let opaque = if *opaque { " opaque" } else { "" };
                format!("{kind} {}{first}{opaque}", String::from_utf8_lossy(path))
            }
        });
        Ok(())
    })
    .unwrap();
    lines
}

#[test]
fn whiteouts_can_be_files_where_there_are_no_devices() {
    let (below, host) = (TestTask::new(), TestTask::new());
    sample(&below);
    host.mkdir("/upper").unwrap();
    host.mkdir("/work").unwrap();
    // As another tool may have left it.
    host.mkdir("/upper/d").unwrap();
    host.put("/upper/d/f", b"").unwrap();
    host.path("/upper/d/f").inode().set_xattr(b"user.overlay.whiteout", b"y", 0).unwrap();
    host.path("/upper/d").inode().set_xattr(b"user.overlay.opaque", b"x", 0).unwrap();
    let task = lasting_overlay(&below, &host);
    assert_eq!(task.stat("/d/f").unwrap_err(), ENOENT);
    assert_eq!(task.list("/d").unwrap(), ["sub", "two"]);
    assert_eq!(told(&task), ["changed /d", "gone /d/f"]);
    task.put("/d/f", b"back").unwrap();
    assert_eq!(task.list("/d").unwrap(), ["f", "sub", "two"]);
}

#[test]
fn changes_in_memory_are_told() {
    let (task, _below) = overlay_over(sample);
    assert_eq!(told(&task), Vec::<String>::new());
    task.rename("/d/sub", "/d/there", 0).unwrap();
    task.mkdir("/d/sub").unwrap();
    task.put("/d/sub/deep", b"other").unwrap();
    task.put("/a", b"").unwrap();
    task.link("/a", "/b").unwrap();
    namei::unlink(&task.at(), b"/link").unwrap();
    assert_eq!(
        told(&task),
        [
            "added /a",
            "added /b again",
            "changed /d",
            "changed /d/sub opaque",
            "added /d/sub/deep",
            "added /d/there",
            "added /d/there/deep",
            "gone /link",
        ]
    );
}

#[test]
fn copies_go_up_at_once_and_whole() {
    let (task, below) = overlay_over(|task| {
        for number in 0..8 {
            let contents = vec![b'0' + number; 3 << 20];
            task.put(&format!("/f{number}"), &contents).unwrap();
        }
    });
    // Two writers for each file, and somebody who changes names and attributes meanwhile.
    std::thread::scope(|scope| {
        for number in 0..8_u8 {
            for _ in 0..2 {
                let task = &task;
                scope.spawn(move || {
                    let file = task.open(&format!("/f{number}"), O_WRONLY | O_APPEND).unwrap();
                    write(&file, b"end").unwrap();
                });
            }
        }
        let task = &task;
        scope.spawn(move || {
            for number in 0..8 {
                let path = task.path(&format!("/f{number}"));
                namei::attr::chmod(&path, &task.cred, 0o640).unwrap();
                task.link(&format!("/f{number}"), &format!("/g{number}")).unwrap();
            }
        });
    });
    for number in 0..8 {
        let expected = [&vec![b'0' + number; 3 << 20][..], b"endend"].concat();
        for letter in ["f", "g"] {
            let file = task.open(&format!("/{letter}{number}"), 0).unwrap();
            assert!(read(&file, 4 << 20).unwrap() == expected);
        }
        assert_eq!(task.stat(&format!("/g{number}")).unwrap().mode & 0o777, 0o640);
        assert_eq!(below.stat(&format!("/f{number}")).unwrap().size, 3 << 20);
    }
}

use crate::inode::{InodeRef, NewAttr, NewNode};
use crate::namei;
use crate::overlay::OverlayFs;
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
    let superblock =
        OverlayFs::in_memory(vec![lower], &pool, &account, &options, UserNamespace::initial())
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

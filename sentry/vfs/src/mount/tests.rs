use crate::context::FsContext;
use crate::mount::{self, MountFlags};
use crate::namei;
use crate::superblock::Superblock;
use crate::testing::TestTask;
use crate::tmpfs::{TmpFs, TmpfsOptions};
use crate::{At, Caller};
use bevor_abi::errno::{EBUSY, EINVAL, ELOOP, ENOENT, EROFS, EXDEV};
use bevor_abi::fcntl::{O_CREAT, O_WRONLY, RESOLVE_NO_XDEV};
use bevor_abi::mount::{MNT_DETACH, MS_NODEV, MS_PRIVATE, MS_RDONLY, MS_SHARED, MS_SLAVE};
use std::sync::Arc;

fn new_fs(task: &TestTask) -> Arc<Superblock> {
    let mm = task.mm();
    let user_ns = task.cred.user_ns.clone();
    TmpFs::superblock(mm.pool(), mm.account(), &TmpfsOptions::default(), user_ns).unwrap()
}

fn flags() -> MountFlags {
    MountFlags::from_mount(0)
}

/// A task with a second tmpfs on `/mnt`, which has a file.
fn with_mount() -> TestTask {
    let task = TestTask::new();
    task.mkdir("/mnt").unwrap();
    let fs = new_fs(&task);
    mount::attach_new(&task.fs, &fs, &task.path("/mnt"), flags(), b"source").unwrap();
    task.put("/mnt/f", b"inside").unwrap();
    task
}

#[test]
fn a_mount_covers_and_uncovers() {
    let task = with_mount();
    assert_eq!(task.get("/mnt/f").unwrap(), b"inside");
    assert_eq!(task.list("/mnt/..").unwrap(), ["mnt"]);
    assert_ne!(task.stat("/mnt").unwrap().dev, task.stat("/").unwrap().dev);
    assert_eq!(namei::rmdir(&task.at(), b"/mnt").unwrap_err(), EBUSY);
    assert_eq!(task.rename("/mnt/f", "/f", 0).unwrap_err(), EXDEV);
    assert_eq!(task.path("/mnt/f").absolute_text().bytes, b"/mnt/f");
    let at = At { resolve: RESOLVE_NO_XDEV, ..task.at() };
    assert_eq!(at.resolve(b"/mnt/f", crate::LastLink::Follow).unwrap_err(), EXDEV);
    let file = task.open("/mnt/f", 0).unwrap();
    assert_eq!(mount::umount(&task.fs, task.path("/mnt"), 0).unwrap_err(), EBUSY);
    mount::umount(&task.fs, task.path("/mnt"), MNT_DETACH).unwrap();
    assert_eq!(task.stat("/mnt/f").unwrap_err(), ENOENT);
    assert_eq!(crate::testing::read(&file, 9).unwrap(), b"inside");
    assert_eq!(mount::umount(&task.fs, task.path("/mnt"), 0).unwrap_err(), EINVAL);
    namei::rmdir(&task.at(), b"/mnt").unwrap();
}

#[test]
fn bind_mounts_show_the_same_files() {
    let task = with_mount();
    task.mkdir("/bound").unwrap();
    task.mkdir("/mnt/sub").unwrap();
    mount::bind(&task.fs, &task.path("/mnt"), &task.path("/bound"), false).unwrap();
    task.put("/bound/g", b"g").unwrap();
    assert_eq!(task.get("/mnt/g").unwrap(), b"g");
    assert_eq!(task.stat("/bound/g").unwrap().ino, task.stat("/mnt/g").unwrap().ino);
    // Files can be bound on files.
    task.put("/target", b"old").unwrap();
    mount::bind(&task.fs, &task.path("/mnt/g"), &task.path("/target"), false).unwrap();
    assert_eq!(task.get("/target").unwrap(), b"g");
    mount::umount(&task.fs, task.path("/target"), 0).unwrap();
    assert_eq!(task.get("/target").unwrap(), b"old");
    // Read-only for one mount alone.
    let read_only = MountFlags::from_mount(MS_RDONLY | MS_NODEV);
    mount::remount_bind(&task.fs, &task.path("/bound"), read_only).unwrap();
    assert_eq!(task.open("/bound/new", O_CREAT | O_WRONLY).unwrap_err(), EROFS);
    assert_eq!(task.mkdir("/bound/d").unwrap_err(), EROFS);
    task.put("/mnt/new", b"").unwrap();
}

#[test]
fn recursive_binds_and_moves_carry_what_is_below() {
    let task = with_mount();
    task.mkdir("/mnt/deep").unwrap();
    let fs = new_fs(&task);
    mount::attach_new(&task.fs, &fs, &task.path("/mnt/deep"), flags(), b"none").unwrap();
    task.put("/mnt/deep/x", b"x").unwrap();
    task.mkdir("/plain").unwrap();
    task.mkdir("/all").unwrap();
    mount::bind(&task.fs, &task.path("/mnt"), &task.path("/plain"), false).unwrap();
    mount::bind(&task.fs, &task.path("/mnt"), &task.path("/all"), true).unwrap();
    assert_eq!(task.stat("/plain/deep/x").unwrap_err(), ENOENT);
    assert_eq!(task.get("/all/deep/x").unwrap(), b"x");
    let into_itself = mount::move_mount(&task.fs, &task.path("/mnt"), &task.path("/mnt/deep"));
    assert_eq!(into_itself.unwrap_err(), ELOOP);
    task.mkdir("/moved").unwrap();
    mount::move_mount(&task.fs, &task.path("/mnt"), &task.path("/moved")).unwrap();
    assert_eq!(task.get("/moved/deep/x").unwrap(), b"x");
    assert_eq!(task.list("/mnt").unwrap(), Vec::<String>::new());
}

#[test]
fn pivot_root_exchanges_the_root() {
    let mut task = with_mount();
    task.mkdir("/mnt/old").unwrap();
    let (new, old) = (task.path("/mnt"), task.path("/mnt/old"));
    let (from, to) = mount::pivot_root(&task.fs, &new, &old).unwrap();
    assert!(task.fs.root.same(&from));
    task.fs.root = to.clone();
    task.fs.cwd = to;
    assert_eq!(task.get("/f").unwrap(), b"inside");
    assert_eq!(task.list("/old").unwrap(), ["mnt"]);
    assert_eq!(task.list("/..").unwrap(), task.list("/").unwrap());
    mount::umount(&task.fs, task.path("/old"), MNT_DETACH).unwrap();
    assert_eq!(task.list("/old").unwrap(), Vec::<String>::new());
}

#[test]
fn a_copied_namespace_changes_alone() {
    let task = with_mount();
    let copied: FsContext = task.fs.namespace.copy(task.cred.user_ns.clone(), &task.fs);
    mount::umount(&task.fs, task.path("/mnt"), 0).unwrap();
    assert_eq!(task.stat("/mnt/f").unwrap_err(), ENOENT);
    let at = At { fs: &copied, ..task.at() };
    assert!(at.resolve(b"/mnt/f", crate::LastLink::Follow).is_ok());
}

#[test]
fn shared_mounts_pass_events_on_and_slaves_only_take_them() {
    let task = with_mount();
    mount::change_propagation(&task.fs, &task.path("/mnt"), MS_SHARED, false).unwrap();
    for name in ["/peer", "/slave", "/alone"] {
        task.mkdir(name).unwrap();
        mount::bind(&task.fs, &task.path("/mnt"), &task.path(name), false).unwrap();
    }
    mount::change_propagation(&task.fs, &task.path("/slave"), MS_SLAVE, false).unwrap();
    mount::change_propagation(&task.fs, &task.path("/alone"), MS_PRIVATE, false).unwrap();
    task.mkdir("/mnt/d").unwrap();
    let attach = |at: &str| {
        mount::attach_new(&task.fs, &new_fs(&task), &task.path(at), flags(), b"none").unwrap();
        task.put(&format!("{at}/seen"), b"").unwrap();
    };
    attach("/peer/d");
    let seen = |place: &str| task.stat(&format!("{place}/d/seen")).is_ok();
    assert_eq!(["/mnt", "/peer", "/slave", "/alone"].map(seen), [true, true, true, false]);
    mount::umount(&task.fs, task.path("/mnt/d"), MNT_DETACH).unwrap();
    assert_eq!(["/mnt", "/peer", "/slave", "/alone"].map(seen), [false; 4]);
    attach("/slave/d");
    assert_eq!(["/mnt", "/peer", "/slave", "/alone"].map(seen), [false, false, true, false]);
}

use crate::inode::SetAttr;
use crate::namei;
use crate::testing::{TestTask, read, user, write};
use crate::walk::LastLink;
use bevor_abi::errno::{
    EACCES, EEXIST, EINVAL, EISDIR, ELOOP, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, ETXTBSY, EXDEV,
};
use bevor_abi::fcntl::{
    O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDWR, O_TMPFILE, O_WRONLY,
    RENAME_EXCHANGE, RENAME_NOREPLACE, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS,
    SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET,
};

#[test]
fn files_keep_their_contents() {
    let task = TestTask::new();
    task.put("/a", b"hello").unwrap();
    assert_eq!(task.get("/a").unwrap(), b"hello");
    let file = task.open("/a", O_RDWR | O_APPEND).unwrap();
    write(&file, b" world").unwrap();
    file.seek(0, SEEK_SET).unwrap();
    assert_eq!(read(&file, 100).unwrap(), b"hello world");
    assert_eq!(file.seek(-5, SEEK_END).unwrap(), 6);
    assert_eq!(read(&file, 2).unwrap(), b"wo");
    assert_eq!(task.open("/a", O_CREAT | O_EXCL).unwrap_err(), EEXIST);
    assert_eq!(task.open("/b", 0).unwrap_err(), ENOENT);
    assert_eq!(task.open("/a/b", O_CREAT).unwrap_err(), ENOTDIR);
    assert_eq!(task.open("/", O_WRONLY).unwrap_err(), EISDIR);
    assert_eq!(task.open("/new/", O_CREAT).unwrap_err(), EISDIR);
}

#[test]
fn an_unlinked_file_lives_while_open() {
    let task = TestTask::new();
    task.put("/a", b"data").unwrap();
    let file = task.open("/a", O_RDWR).unwrap();
    namei::unlink(&task.at(), b"/a").unwrap();
    assert_eq!(task.stat("/a").unwrap_err(), ENOENT);
    assert_eq!(read(&file, 10).unwrap(), b"data");
    assert_eq!(file.inode().attr().unwrap().nlink, 0);
    assert_eq!(file.path().absolute_text().for_link(), b"/a (deleted)");
    let link = namei::link(file.path(), &task.at(), b"/again");
    assert_eq!(link.unwrap_err(), ENOENT);
}

#[test]
fn holes_are_holes() {
    let task = TestTask::new();
    task.put("/a", b"").unwrap();
    let file = task.open("/a", O_RDWR).unwrap();
    file.seek(1 << 20, SEEK_SET).unwrap();
    write(&file, b"x").unwrap();
    assert_eq!(file.inode().attr().unwrap().size, (1 << 20) + 1);
    assert_eq!(file.inode().attr().unwrap().blocks, 8);
    assert_eq!(file.seek(0, SEEK_DATA).unwrap(), 1 << 20);
    assert_eq!(file.seek(0, SEEK_HOLE).unwrap(), 0);
    let size = SetAttr { size: Some(3), ..SetAttr::default() };
    file.inode().set_attr(&size).unwrap();
    file.seek(0, SEEK_SET).unwrap();
    assert_eq!(read(&file, 10).unwrap(), [0, 0, 0]);
}

#[test]
fn links_count() {
    let task = TestTask::new();
    task.put("/a", b"1").unwrap();
    task.mkdir("/d").unwrap();
    task.link("/a", "/d/b").unwrap();
    assert_eq!(task.stat("/a").unwrap().nlink, 2);
    assert_eq!(task.stat("/a").unwrap().ino, task.stat("/d/b").unwrap().ino);
    assert_eq!(task.link("/d", "/e").unwrap_err(), EPERM);
    assert_eq!(task.stat("/").unwrap().nlink, 3);
    namei::unlink(&task.at(), b"/a").unwrap();
    assert_eq!(task.stat("/d/b").unwrap().nlink, 1);
    assert_eq!(namei::rmdir(&task.at(), b"/d").unwrap_err(), ENOTEMPTY);
    namei::unlink(&task.at(), b"/d/b").unwrap();
    namei::rmdir(&task.at(), b"/d/").unwrap();
    assert_eq!(task.stat("/").unwrap().nlink, 2);
}

#[test]
fn unnamed_files_get_a_name_by_link() {
    let task = TestTask::new();
    let file = task.open("/", O_TMPFILE | O_RDWR).unwrap();
    write(&file, b"late").unwrap();
    assert_eq!(task.list("/").unwrap(), Vec::<String>::new());
    namei::link(file.path(), &task.at(), b"/named").unwrap();
    assert_eq!(task.get("/named").unwrap(), b"late");
    let file = task.open("/", O_TMPFILE | O_RDWR | O_EXCL).unwrap();
    assert_eq!(namei::link(file.path(), &task.at(), b"/other").unwrap_err(), ENOENT);
}

#[test]
fn symlinks_are_followed() {
    let task = TestTask::new();
    task.mkdir("/d").unwrap();
    task.put("/d/f", b"f").unwrap();
    task.symlink("d/f", "/rel").unwrap();
    task.symlink("/d", "/abs").unwrap();
    task.symlink("loop2", "/loop1").unwrap();
    task.symlink("loop1", "/loop2").unwrap();
    task.symlink("fresh", "/dangling").unwrap();
    assert_eq!(task.get("/rel").unwrap(), b"f");
    assert_eq!(task.get("/abs/f").unwrap(), b"f");
    assert_eq!(task.get("/abs/../abs/./f").unwrap(), b"f");
    assert_eq!(task.get("/loop1").unwrap_err(), ELOOP);
    assert_eq!(task.open("/rel", O_NOFOLLOW).unwrap_err(), ELOOP);
    assert_eq!(task.open("/abs", O_NOFOLLOW | O_DIRECTORY).unwrap_err(), ENOTDIR);
    assert_eq!(task.open("/rel/", 0).unwrap_err(), ENOTDIR);
    assert_eq!(task.lstat("/rel").unwrap().size, 3);
    assert_eq!(task.open("/dangling", O_CREAT | O_EXCL).unwrap_err(), EEXIST);
    task.open("/dangling", O_CREAT | O_WRONLY).unwrap();
    assert_eq!(task.get("/fresh").unwrap(), b"");
    assert_eq!(namei::unlink(&task.at(), b"/d/").unwrap_err(), EISDIR);
    assert_eq!(task.mkdir("/dangling").unwrap_err(), EEXIST);
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let task = TestTask::new();
    task.put("/l0", b"end").unwrap();
    for i in 1..=41 {
        task.symlink(&format!("l{}", i - 1), &format!("/l{i}")).unwrap();
    }
    assert_eq!(task.get("/l40").unwrap(), b"end");
    assert_eq!(task.get("/l41").unwrap_err(), ELOOP);
}

#[test]
fn resolve_flags_confine() {
    let task = TestTask::new();
    task.mkdir("/jail").unwrap();
    task.put("/secret", b"s").unwrap();
    task.put("/jail/f", b"f").unwrap();
    task.symlink("../secret", "/jail/out").unwrap();
    task.symlink("/f", "/jail/abs").unwrap();
    let jail = task.path("/jail");
    let look = |path: &[u8], resolve| {
        let at = crate::At { dir: Ok(Some(&jail)), resolve, ..task.at() };
        at.resolve(path, LastLink::Follow).map(|_| ())
    };
    look(b"f", RESOLVE_BENEATH).unwrap();
    look(b"../jail/f", 0).unwrap();
    assert_eq!(look(b"../jail/f", RESOLVE_BENEATH).unwrap_err(), EXDEV);
    assert_eq!(look(b"out", RESOLVE_BENEATH).unwrap_err(), EXDEV);
    assert_eq!(look(b"abs", RESOLVE_BENEATH).unwrap_err(), EXDEV);
    look(b"abs", RESOLVE_IN_ROOT).unwrap();
    look(b"/../../f", RESOLVE_IN_ROOT).unwrap();
    assert_eq!(look(b"out", RESOLVE_IN_ROOT).unwrap_err(), ENOENT);
    assert_eq!(look(b"abs", RESOLVE_NO_SYMLINKS).unwrap_err(), ELOOP);
}

#[test]
fn renames_follow_the_rules() {
    let task = TestTask::new();
    for dir in ["/a", "/a/sub", "/b"] {
        task.mkdir(dir).unwrap();
    }
    task.put("/f", b"f").unwrap();
    task.put("/g", b"g").unwrap();
    assert_eq!(task.rename("/a", "/a/sub/x", 0).unwrap_err(), EINVAL);
    assert_eq!(task.rename("/a/sub", "/a", 0).unwrap_err(), ENOTEMPTY);
    assert_eq!(task.rename("/f", "/a", 0).unwrap_err(), EISDIR);
    assert_eq!(task.rename("/a", "/f", 0).unwrap_err(), ENOTDIR);
    assert_eq!(task.rename("/f", "/g", RENAME_NOREPLACE).unwrap_err(), EEXIST);
    task.rename("/f", "/g", RENAME_EXCHANGE).unwrap();
    assert_eq!(task.get("/g").unwrap(), b"f");
    assert_eq!(task.get("/f").unwrap(), b"g");
    task.rename("/f", "/g", 0).unwrap();
    assert_eq!(task.stat("/f").unwrap_err(), ENOENT);
    assert_eq!(task.get("/g").unwrap(), b"g");
    let dir = task.open("/a/sub", O_DIRECTORY).unwrap();
    task.rename("/a/sub", "/b/moved", 0).unwrap();
    assert_eq!(dir.path().absolute_text().bytes, b"/b/moved");
    assert_eq!((task.stat("/a").unwrap().nlink, task.stat("/b").unwrap().nlink), (2, 3));
    assert_eq!(task.list("/b").unwrap(), ["moved"]);
    task.rename("/a", "/b/moved", 0).unwrap();
    assert_eq!(task.rename("/b/moved", "/b/moved/", 0), Ok(()));
}

#[test]
fn permissions_and_sticky_bits_hold() {
    let mut task = TestTask::new();
    task.mkdir("/tmp").unwrap();
    namei::attr::chmod(&task.path("/tmp"), &task.cred, 0o1777).unwrap();
    task.put("/tmp/roots", b"").unwrap();
    task.mkdir("/private").unwrap();
    namei::attr::chmod(&task.path("/private"), &task.cred, 0o700).unwrap();
    task.put("/private/f", b"").unwrap();
    task.cred = user(1000);
    assert_eq!(namei::unlink(&task.at(), b"/tmp/roots").unwrap_err(), EPERM);
    assert_eq!(task.stat("/private/f").unwrap_err(), EACCES);
    assert_eq!(task.stat("/private/none").unwrap_err(), EACCES);
    task.put("/tmp/mine", b"").unwrap();
    let mine = task.path("/tmp/mine");
    namei::attr::chmod(&mine, &task.cred, 0o4755).unwrap();
    assert_eq!(mine.inode().attr().unwrap().mode, 0o104_755);
    let chown = namei::attr::chown(&mine, &task.cred, Some(0), None);
    assert_eq!(chown.unwrap_err(), EPERM);
    namei::attr::remove_privileges(&mine, &task.cred).unwrap();
    assert_eq!(mine.inode().attr().unwrap().mode, 0o100_755);
    assert_eq!(namei::attr::chmod(&task.path("/tmp"), &task.cred, 0).unwrap_err(), EPERM);
}

#[test]
fn setgid_directories_pass_their_group_on() {
    let task = TestTask::new();
    task.mkdir("/d").unwrap();
    let dir = task.path("/d");
    namei::attr::chown(&dir, &task.cred, None, Some(77)).unwrap();
    namei::attr::chmod(&dir, &task.cred, 0o2775).unwrap();
    task.put("/d/f", b"").unwrap();
    task.mkdir("/d/sub").unwrap();
    assert_eq!(task.stat("/d/f").unwrap().gid, 77);
    assert_eq!(task.stat("/d/sub").unwrap().gid, 77);
    assert_eq!(task.stat("/d/sub").unwrap().mode & 0o2000, 0o2000);
}

#[test]
fn deep_trees_do_not_exhaust_the_stack() {
    let mut task = TestTask::new();
    for _ in 0..20_000 {
        task.mkdir("d").unwrap();
        task.fs.cwd = task.path("d");
    }
    task.fs.cwd = task.fs.root.clone();
    drop(task);
}

#[test]
fn directories_list_from_any_position() {
    let task = TestTask::new();
    for i in 0..10 {
        task.put(&format!("/f{i}"), b"").unwrap();
    }
    let dir = task.open("/", O_DIRECTORY).unwrap();
    let mut seen = Vec::new();
    loop {
        let before = seen.len();
        let mut room = 3;
        dir.read_dir(&mut |entry| {
            if room == 0 {
                return false;
            }
            room -= 1;
            seen.push(String::from_utf8(entry.name.to_vec()).unwrap());
            true
        })
        .unwrap();
        if seen.len() == before {
            break;
        }
        // What is removed meanwhile does not make others disappear.
        if seen.len() == 6 {
            namei::unlink(&task.at(), seen.last().unwrap().as_bytes()).unwrap();
        }
    }
    assert_eq!(seen.len(), 12);
    seen.dedup();
    assert_eq!(seen.len(), 12);
}

#[test]
fn a_file_is_written_or_run_but_not_both() {
    let task = TestTask::new();
    task.put("/prog", b"code").unwrap();
    let running = task.open("/prog", 0).unwrap();
    running.deny_writes().unwrap();
    assert_eq!(task.open("/prog", O_WRONLY).unwrap_err(), ETXTBSY);
    let size = namei::attr::truncate(&task.path("/prog"), &task.cred, 0);
    assert_eq!(size.unwrap_err(), ETXTBSY);
    drop(running);
    let writer = task.open("/prog", O_WRONLY).unwrap();
    let running = task.open("/prog", 0).unwrap();
    assert_eq!(running.deny_writes().unwrap_err(), ETXTBSY);
    drop(writer);
    running.deny_writes().unwrap();
}

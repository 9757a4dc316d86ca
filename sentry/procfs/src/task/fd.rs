//! `/proc/PID/fd` and `/proc/PID/fdinfo`.

use super::Subject;
use crate::node::{Dir, Link, Listing, Text};
use bevor_abi::Errno;
use bevor_abi::errno::ENOENT;
use bevor_base::Credentials;
use bevor_vfs::caller::Caller;
use bevor_vfs::file::File;
use bevor_vfs::inode::{FileType, InodeRef};
use std::sync::Arc;

/// The directory of links.
pub fn directory(subject: &Subject) -> InodeRef {
    Dir::inode(subject.place(), "fd", 0o500, Fds(subject.clone(), Kind::Link))
}

/// The directory of descriptions.
pub fn info_directory(subject: &Subject) -> InodeRef {
    Dir::inode(subject.place(), "fdinfo", 0o555, Fds(subject.clone(), Kind::Info))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Link,
    Info,
}

struct Fds(Subject, Kind);

fn open(subject: &Subject, fd: i32) -> Result<Arc<File>, Errno> {
    let files = subject.task()?.files().ok_or(ENOENT)?;
    files.get_any(fd).map_err(|_| ENOENT.into())
}

impl Listing for Fds {
    fn find(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        let fd = std::str::from_utf8(name).ok().and_then(|name| name.parse::<i32>().ok());
        let fd = fd.ok_or(ENOENT)?;
        let file = open(&self.0, fd)?;
        let name = format!("{}{fd}", if self.1 == Kind::Link { "fd/" } else { "fdinfo/" });
        let subject = self.0.clone();
        if self.1 == Kind::Info {
            return Ok(Text::with_mode(self.0.place(), "fdinfo", 0o400, move |caller| {
                subject.check_read(caller)?;
                info(&subject, fd)
            }));
        }
        let flags = file.flags();
        let mode = 0o100
            | if flags.readable() { 0o400 } else { 0 }
            | if flags.writable() { 0o200 } else { 0 };
        let follower = subject.clone();
        let read = move |caller: &dyn Caller| {
            subject.check_read(caller)?;
            let own = subject.mounted.caller_task(caller)?;
            let root = own.fs().context().root.clone();
            Ok(open(&subject, fd)?.path().text(&root).for_link())
        };
        let follow = move |caller: &dyn Caller| {
            follower.check_read(caller)?;
            Ok(Some(open(&follower, fd)?.path().clone()))
        };
        Ok(Link::magic(self.0.place(), &name, mode, read, follow))
    }

    fn names(&self) -> Vec<(Vec<u8>, FileType)> {
        let kind = if self.1 == Kind::Link { FileType::Symlink } else { FileType::Regular };
        let files = self.0.task().ok().and_then(|task| task.files());
        let list = files.map(|files| files.list()).unwrap_or_default();
        list.into_iter().map(|(fd, ..)| (fd.to_string().into_bytes(), kind)).collect()
    }

    /// A process looks into its own directory even when it is not dumpable (`proc_fd_permission`).
    fn admits(&self, cred: &Credentials) -> bool {
        self.0.task().is_ok_and(|task| std::ptr::eq(cred, &*task.cred()))
    }
}

fn info(subject: &Subject, fd: i32) -> Result<Vec<u8>, Errno> {
    let files = subject.task()?.files().ok_or(ENOENT)?;
    let file = files.get_any(fd).map_err(|_| ENOENT)?;
    let close_on_exec = if files.close_on_exec(fd).unwrap_or(false) { 0o2_000_000 } else { 0 };
    let position = *file.position();
    let text = format!(
        "pos:\t{position}\nflags:\t0{:o}\nmnt_id:\t{}\nino:\t{}\n{}",
        file.flags().0 | close_on_exec,
        file.path().mount.id(),
        file.inode().ino(),
        file.ops().fdinfo()
    );
    let locks = crate::system::lock_lines(&subject.mounted, &file, files.id());
    Ok((text + &locks).into_bytes())
}

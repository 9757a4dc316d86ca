//! The standard streams a program gets.

use std::fs::OpenOptions;
use std::io::IsTerminal;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use bevor_control::Stream;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::{SFlag, fstat};

use crate::failure::{Attempt, Failure};
use crate::host;

/// Copies our standard streams for a sandbox, with what it cannot see of them.
///
/// # Errors
/// The host's: out of descriptors.
pub fn ours() -> Result<(Vec<OwnedFd>, Vec<Stream>), Failure> {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let mut fds = Vec::with_capacity(5);
    let mut facts = Vec::with_capacity(3);
    for stream in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        let (fd, fact) = one(stream).attempt("cannot copy a standard stream")?;
        fds.push(fd);
        facts.push(fact);
    }
    Ok((fds, facts))
}

fn one(stream: BorrowedFd<'_>) -> std::io::Result<(OwnedFd, Stream)> {
    let stat = fstat(stream)?;
    let flags = fcntl(stream, FcntlArg::F_GETFL)?;
    let link = format!("/proc/self/fd/{}", stream.as_raw_fd());
    let path = std::fs::read_link(&link).map(|path| path.into_os_string().into());
    let facts = Stream {
        closed: host::was_closed(stream.as_raw_fd()),
        flags: flags.cast_unsigned(),
        uid: stat.st_uid,
        gid: stat.st_gid,
        path: path.unwrap_or_default(),
    };
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    if kind == SFlag::S_IFIFO || stream.is_terminal() {
        // Opened anew, it can be non-blocking for the sandbox without being so for others. Where
        // that is not allowed the sandbox asks before each access.
        if let Ok(fd) = reopen(&link, flags) {
            return Ok((fd, facts));
        }
    }
    Ok((stream.try_clone_to_owned()?, facts))
}

fn reopen(link: &str, flags: i32) -> std::io::Result<OwnedFd> {
    let access = OFlag::from_bits_truncate(flags) & OFlag::O_ACCMODE;
    let mut options = OpenOptions::new();
    options
        .read(access != OFlag::O_WRONLY)
        .write(access != OFlag::O_RDONLY)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    Ok(options.open(link)?.into())
}

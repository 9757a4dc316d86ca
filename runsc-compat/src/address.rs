//! Where running sandboxes can be reached by name.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use bevor_control::Client;

use crate::failure::{Attempt, Failure};

/// Longest name.
const LONGEST: usize = 64;

/// Checks the name of a sandbox.
///
/// # Errors
/// A line that says what is expected.
pub fn id(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if text.is_empty()
        || text.len() > LONGEST
        || text.starts_with('.')
        || !text.chars().all(allowed)
    {
        return Err(format!("expected 1 to {LONGEST} letters, digits, '-', '_' and '.'"));
    }
    Ok(text.to_owned())
}

/// The directory of the sockets: only this user reaches it.
fn directory() -> PathBuf {
    let uid = nix::unistd::geteuid();
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    match own.filter(|own| own.is_absolute() && own.is_dir()) {
        _ if uid.is_root() => "/run/bevor".into(),
        Some(own) => own.join("bevor"),
        None => format!("/tmp/bevor-{uid}").into(),
    }
}

fn socket(id: &str) -> PathBuf {
    directory().join(format!("{id}.sock"))
}

/// The socket of this sandbox. Its name goes when this is dropped.
#[derive(Debug)]
pub struct Address {
    listener: UnixListener,
    path: PathBuf,
}

impl Address {
    /// Makes the socket.
    ///
    /// # Errors
    /// The name is taken, or the directory is not this user's own.
    pub fn new(id: &str) -> Result<Self, Failure> {
        // The last sandbox that had a name takes the directory with it.
        for _ in 0..8 {
            if let Some(address) = Self::bind(id)? {
                return Ok(address);
            }
        }
        Err(Failure::new(format!("{}: it vanishes all the time", directory().display())))
    }

    /// `None`: the directory went meanwhile.
    fn bind(id: &str) -> Result<Option<Self>, Failure> {
        let directory = directory();
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
        .attempt(directory.display())?;
        if !directory.exists() {
            return Ok(None);
        }
        check_own(&directory)?;
        let path = socket(id);
        let listener = match UnixListener::bind(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                if UnixStream::connect(&path).is_ok() {
                    return Err(Failure::new(format!("--id {id}: a sandbox of that name runs")));
                }
                // Its owner was killed.
                fs::remove_file(&path).attempt(path.display())?;
                UnixListener::bind(&path)
            }
            other => other,
        };
        let listener = listener.attempt(path.display())?;
        listener.set_nonblocking(true).attempt(path.display())?;
        Ok(Some(Self { listener, path }))
    }

    /// The next client that has connected.
    pub fn accept(&self) -> Option<OwnedFd> {
        self.listener.accept().ok().map(|(client, _)| client.into())
    }
}

impl AsFd for Address {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        let _removed = fs::remove_file(&self.path);
        // Others may be in it.
        let _removed = fs::remove_dir(directory());
    }
}

/// Refuses a directory where somebody else could put or take sockets.
fn check_own(directory: &Path) -> Result<(), Failure> {
    let found = fs::symlink_metadata(directory).attempt(directory.display())?;
    let own = found.uid() == nix::unistd::geteuid().as_raw();
    if !found.is_dir() || !own || found.mode() & 0o077 != 0 {
        let directory = directory.display();
        return Err(Failure::new(format!("{directory} must be a directory of your own, mode 700")));
    }
    Ok(())
}

/// Connects to a running sandbox.
///
/// # Errors
/// There is none of that name.
pub fn connect(id: &str) -> Result<Client, Failure> {
    check_own(&directory()).map_err(|_| Failure::new(format!("no sandbox {id} runs")))?;
    match UnixStream::connect(socket(id)) {
        Ok(stream) => Ok(Client::new(stream.into())),
        Err(error) => Err(Failure::new(format!("no sandbox {id} runs ({error})"))),
    }
}

#[cfg(test)]
mod tests {
    use super::id;

    #[test]
    fn names_are_plain() {
        assert_eq!(id("web-1"), Ok("web-1".into()));
        for bad in ["", "..", ".x", "a/b", "a b", &"x".repeat(65)] {
            assert!(id(bad).is_err(), "{bad}");
        }
    }
}

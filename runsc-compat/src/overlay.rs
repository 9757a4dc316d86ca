//! Where the changes of a sandbox to its root go: `--overlay`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bevor_control::Changes;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, Flock, FlockArg, fallocate};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use serde::{Deserialize, Serialize};

use crate::failure::{Attempt, Failure};
use crate::host;

/// Version of the description of a kept directory.
const VERSION: u32 = 1;
/// The description in a kept directory.
const DESCRIPTION: &str = "bevor.json";
/// Where owners are kept that an ordinary user cannot give to files.
const OWNER_ATTRIBUTE: &std::ffi::CStr = c"user.containers.override_stat";

/// `--overlay`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Overlay {
    /// Changes are in memory.
    Memory,
    /// Contents of changed files are in a file in this directory.
    File(PathBuf),
    /// Changes are in this directory, and stay there.
    Directory(PathBuf),
    /// Changes are made to the host's files.
    None,
}

impl FromStr for Overlay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected memory, file:DIR, dir:DIR or none";
        // As runsc writes it, where other mounts may be named.
        let text = text.strip_prefix("root:").or(text.strip_prefix("all:")).unwrap_or(text);
        match text.split_once(':') {
            None if text == "memory" => Ok(Self::Memory),
            None if text == "none" => Ok(Self::None),
            Some(("file", dir)) if !dir.is_empty() => Ok(Self::File(dir.into())),
            Some(("dir", dir)) if !dir.is_empty() => Ok(Self::Directory(dir.into())),
            _ if text.starts_with("dir=") => {
                Err(format!("{EXPECTED}; what runsc calls dir=DIR is file:DIR here"))
            }
            _ => Err(EXPECTED.into()),
        }
    }
}

/// An overlay that is ready to be used.
#[derive(Debug)]
pub struct Prepared {
    overlay: Overlay,
    size_bytes: Option<u64>,
    /// The file for contents, to go with the container.
    pub contents: Option<OwnedFd>,
    /// The kept directory.
    pub kept: Option<Kept>,
}

impl Prepared {
    /// Looks whether the host can do what is wanted, and makes what it needs.
    ///
    /// # Errors
    /// A line that says what is wrong.
    pub fn new(overlay: &Overlay, size_bytes: Option<u64>) -> Result<Self, Failure> {
        let mut prepared =
            Self { overlay: overlay.clone(), size_bytes, contents: None, kept: None };
        match overlay {
            Overlay::Memory => {}
            Overlay::File(dir) => {
                let (file, free) = contents_file(dir)?;
                prepared.contents = Some(file);
                prepared.size_bytes = Some(size_bytes.unwrap_or(free));
            }
            Overlay::Directory(_) | Overlay::None if size_bytes.is_some() => {
                return Err(Failure::new(
                    "--overlay-size limits --overlay memory and file:DIR; a directory of the host \
                     is limited by the host (a quota, or a file system of its own)",
                ));
            }
            Overlay::Directory(dir) => prepared.kept = Some(Kept::open(dir)?),
            Overlay::None => {}
        }
        Ok(prepared)
    }

    /// Whether the gofer may write to what is under the overlay.
    pub fn writes_through(&self) -> bool {
        self.overlay == Overlay::None
    }

    /// Where changes of the tree at `destination` go; `upper` gives the number of an export.
    ///
    /// # Errors
    /// A line that says what is wrong with a kept directory.
    pub fn changes(
        &mut self,
        destination: &Path,
        lower: &Path,
        upper: impl FnOnce(PathBuf) -> Result<u32, Failure>,
    ) -> Result<Changes, Failure> {
        let size_bytes = self.size_bytes;
        Ok(match (&self.overlay, &mut self.kept) {
            (Overlay::None, _) => Changes::Host,
            (Overlay::File(_), _) => Changes::File { size_bytes },
            (Overlay::Directory(_), Some(kept)) => Changes::Directory {
                upper: upper(kept.layer(destination, lower)?)?,
                owners_in_attributes: !nix::unistd::geteuid().is_root(),
            },
            _ => Changes::Memory { size_bytes },
        })
    }
}

/// Makes a file without a name in `dir`, and says how much more the file system there can hold.
fn contents_file(dir: &Path) -> Result<(OwnedFd, u64), Failure> {
    let named = |what: &str| format!("--overlay file:{}: {what}", dir.display());
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let file = match options.clone().custom_flags(libc::O_TMPFILE).open(dir) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            let path = dir.join(format!(".bevor-overlay-{}", std::process::id()));
            let file = options.create_new(true).open(&path).attempt(path.display())?;
            fs::remove_file(&path).attempt(path.display())?;
            file
        }
        other => other.attempt(named("cannot make a file"))?,
    };
    let holes = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    file.set_len(1 << 20).attempt(named("cannot make a sparse file"))?;
    if fallocate(&file, holes, 0, 1 << 20).is_err() {
        return Err(Failure::new(named("its file system has no holes; choose another directory")));
    }
    let found = fstatvfs(&file).attempt(named("cannot describe its file system"))?;
    if found.flags().contains(FsFlags::ST_NOEXEC) {
        return Err(Failure::new(named("nothing could be executed: it is mounted noexec")));
    }
    Ok((file.into(), found.blocks_available().saturating_mul(found.fragment_size())))
}

/// What a kept directory holds, as written down in it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Description {
    version: u32,
    /// One for every tree that is changed.
    pub layers: Vec<Layer>,
}

/// The changes of one tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Layer {
    /// Where it is inside.
    pub destination: PathBuf,
    /// The host's directory under it.
    pub lower: PathBuf,
    /// The directory in the kept one that has `upper` and `work`.
    pub directory: String,
}

/// A directory that keeps changes from one run to the next.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    description: Description,
    /// Keeps other sandboxes away.
    _lock: Flock<File>,
}

impl Kept {
    /// Opens the directory, which is made if it is not there.
    fn open(dir: &Path) -> Result<Self, Failure> {
        match fs::create_dir(dir) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => {
                made.attempt(dir.display())?;
                // Others' files of the host may be copied here.
                let private = Permissions::from_mode(0o700);
                fs::set_permissions(dir, private).attempt(dir.display())?;
            }
        }
        let path = dir.canonicalize().attempt(dir.display())?;
        let lock = File::open(&path).attempt(path.display())?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
            let why = if error == Errno::EWOULDBLOCK {
                "another sandbox uses it".into()
            } else {
                error.to_string()
            };
            Failure::new(format!("--overlay dir:{}: {why}", path.display()))
        })?;
        let description = match Self::describe(&path) {
            Ok(Some(description)) => description,
            Ok(None) => {
                let mut entries = fs::read_dir(&path).attempt(path.display())?;
                if entries.next().is_some() {
                    let path = path.display();
                    return Err(Failure::new(format!(
                        "--overlay dir:{path}: neither empty nor made by bevor ({DESCRIPTION})"
                    )));
                }
                Description { version: VERSION, layers: Vec::new() }
            }
            Err(failure) => return Err(failure),
        };
        Ok(Self { path, description, _lock: lock })
    }

    /// What a kept directory says of itself; `None` if it is none.
    ///
    /// # Errors
    /// It cannot be read or understood.
    pub fn describe(dir: &Path) -> Result<Option<Description>, Failure> {
        let path = dir.join(DESCRIPTION);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.attempt(path.display())?,
        };
        let description: Description = serde_json::from_slice(&text).attempt(path.display())?;
        let plain = |layer: &Layer| {
            !layer.directory.is_empty() && !layer.directory.contains('/') && layer.directory != ".."
        };
        if description.version != VERSION || !description.layers.iter().all(plain) {
            let path = path.display();
            return Err(Failure::new(format!("{path}: made by another version of bevor")));
        }
        Ok(Some(description))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory with `upper` and `work` for the tree at `destination` over `lower`.
    fn layer(&mut self, destination: &Path, lower: &Path) -> Result<PathBuf, Failure> {
        let known = self.description.layers.iter().find(|known| known.destination == destination);
        let directory = match known {
            Some(known) if known.lower != lower => {
                return Err(Failure::new(format!(
                    "--overlay dir:{}: its changes are to {}, not to {}",
                    self.path.display(),
                    known.lower.display(),
                    lower.display()
                )));
            }
            Some(known) => known.directory.clone(),
            None => directory_name(destination),
        };
        let layer = self.path.join(&directory);
        let (upper, work) = (layer.join("upper"), layer.join("work"));
        match fs::remove_dir_all(&work) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).attempt(work.display()),
            _ => Ok(()),
        }?;
        fs::create_dir_all(&work).attempt(work.display())?;
        if !upper.exists() {
            let like = fs::metadata(lower).attempt(lower.display())?;
            fs::create_dir(&upper).attempt(upper.display())?;
            be_like(&upper, &like)?;
        }
        if self.description.layers.iter().all(|known| known.destination != destination) {
            let (destination, lower) = (destination.to_owned(), lower.to_owned());
            self.description.layers.push(Layer { destination, lower, directory });
            let text = serde_json::to_vec_pretty(&self.description).attempt(DESCRIPTION)?;
            let path = self.path.join(DESCRIPTION);
            fs::write(&path, text).attempt(path.display())?;
        }
        Ok(layer)
    }
}

/// A name that only `destination` has: its path, with the slashes taken out.
fn directory_name(destination: &Path) -> String {
    if destination == Path::new("/") {
        return "root".into();
    }
    let mut name = String::from("at");
    for &byte in destination.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(byte.into()),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name
}

/// Gives the directory of an upper layer owner and permissions of what is under it, and makes sure
/// that it can hold what overlays keep in attributes.
fn be_like(upper: &Path, like: &fs::Metadata) -> Result<(), Failure> {
    let is_root = nix::unistd::geteuid().is_root();
    let mode = like.mode() & 0o7777;
    if is_root {
        chown(upper, Some(like.uid()), Some(like.gid())).attempt(upper.display())?;
    }
    let serve = if is_root { 0 } else { 0o700 };
    let mode_here = Permissions::from_mode(mode & 0o1777 | serve);
    fs::set_permissions(upper, mode_here).attempt(upper.display())?;
    let file = File::open(upper).attempt(upper.display())?;
    let owner = format!("{}:{}:{mode:o}", like.uid(), like.gid());
    let set = host::set_xattr(file.as_fd(), OWNER_ATTRIBUTE, owner.as_bytes());
    if is_root {
        // It was a test: root gives files to whom they belong.
        let _removed = host::remove_xattr(file.as_fd(), OWNER_ATTRIBUTE);
    }
    set.map_err(|error| {
        let upper = upper.display();
        Failure::new(format!(
            "{upper}: its file system keeps no attributes (user.*): {error}; choose another"
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Overlay, directory_name};

    #[test]
    fn overlays_are_read() {
        let parse = str::parse::<Overlay>;
        assert_eq!(parse("memory"), Ok(Overlay::Memory));
        assert_eq!(parse("root:memory"), Ok(Overlay::Memory));
        assert_eq!(parse("none"), Ok(Overlay::None));
        assert_eq!(parse("file:/var/tmp"), Ok(Overlay::File("/var/tmp".into())));
        assert_eq!(parse("dir:a:b"), Ok(Overlay::Directory("a:b".into())));
        for bad in ["", "dir:", "file:", "dir=/x", "disk", "memory:"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_layers_are_their_own() {
        assert_eq!(directory_name(Path::new("/")), "root");
        assert_eq!(directory_name(Path::new("/home/x y")), "at%2fhome%2fx%20y");
    }
}

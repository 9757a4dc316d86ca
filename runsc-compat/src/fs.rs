//! `bevor fs`: what a sandbox changed.

use std::collections::{BTreeSet, HashMap, btree_set};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use bevor_control::{ChangesForm, Request};
use bevor_layer::{Change, Format, Kind, Node, Output};

use crate::cli::Fs;
use crate::failure::{Attempt, Failure};
use crate::overlay::{Kept, Layer};
use crate::{address, host};

/// What begins the names of an overlay's own attributes.
const OWN: &[u8] = b"user.overlay.";
/// The attribute of an opaque directory.
const OPAQUE: &[u8] = b"user.overlay.opaque";
/// The attribute of a whiteout that is a regular file.
const WHITEOUT: &[u8] = b"user.overlay.whiteout";
/// Where owners are kept that could not be given.
const OWNER: &[u8] = b"user.containers.override_stat";

/// Runs a command of `fs`.
///
/// # Errors
/// What kept it from being done.
pub fn run(command: &Fs) -> Result<u8, Failure> {
    let (target, form, output) = match command {
        Fs::Diff { target, json: false } => (target, ChangesForm::Text, None),
        Fs::Diff { target, json: true } => (target, ChangesForm::Json, None),
        Fs::Export { target, output } => (target, ChangesForm::Tar, output.as_ref()),
    };
    let is_name =
        target.components().count() == 1 && !target.as_os_str().as_bytes().contains(&b'/');
    let kept = if target.is_dir() { Kept::describe(target)? } else { None };
    let Some(kept) = kept else {
        if !is_name {
            let target = target.display();
            return Err(Failure::new(format!("{target}: not a directory of --overlay dir:DIR")));
        }
        let id = address::id(&target.to_string_lossy()).map_err(Failure::new)?;
        let mut client = address::connect(&id)?;
        let request = Request::Changes { container: None, form };
        client
            .call(request, vec![open(output)?])
            .map_err(|error| Failure::new(error.to_string()))?;
        return Ok(0);
    };
    let format = match form {
        ChangesForm::Text => Format::Text,
        ChangesForm::Json => Format::Json,
        ChangesForm::Tar => Format::Tar,
    };
    let mut written = Output::new(BufWriter::new(File::from(open(output)?)), format);
    for layer in &kept.layers {
        Walk::new(target, layer)
            .write(&mut written)
            .map_err(|(path, error)| Failure::new(format!("{}: {error}", path.display())))?;
    }
    written.finish().attempt("cannot write")?;
    Ok(0)
}

/// Opens where changes are written to.
///
/// # Errors
/// The file cannot be made.
pub fn open(output: Option<&PathBuf>) -> Result<OwnedFd, Failure> {
    match output {
        Some(path) => Ok(File::create(path).attempt(path.display())?.into()),
        None => io::stdout().as_fd().try_clone_to_owned().attempt("standard output"),
    }
}

/// Compares a kept upper layer with what is below.
struct Walk<'a> {
    layer: &'a Layer,
    upper: PathBuf,
    /// First names of files with several, by device and inode number.
    firsts: HashMap<(u64, u64), Vec<u8>>,
}

type Failed = (PathBuf, io::Error);

impl<'a> Walk<'a> {
    fn new(kept: &Path, layer: &'a Layer) -> Self {
        let upper = kept.join(&layer.directory).join("upper");
        Self { layer, upper, firsts: HashMap::new() }
    }

    fn write<W: Write>(&mut self, output: &mut Output<W>) -> Result<(), Failed> {
        // Directories by their path below the root, and whether something below shows in them.
        let mut dirs = vec![(PathBuf::new(), true, self.names(Path::new(""))?)];
        while let Some((dir, merged, names)) = dirs.last_mut() {
            let Some(name) = names.next() else {
                dirs.pop();
                continue;
            };
            let path = dir.join(name);
            let found = self.one(&path, *merged, output);
            if let Some(merged) = found.map_err(|error| (self.upper.join(&path), error))? {
                let names = self.names(&path)?;
                dirs.push((path, merged, names));
            }
        }
        Ok(())
    }

    /// The names in a directory of the upper layer, in order.
    fn names(&self, dir: &Path) -> Result<btree_set::IntoIter<OsString>, Failed> {
        let here = self.upper.join(dir);
        let list = || -> io::Result<BTreeSet<_>> {
            fs::read_dir(&here)?.map(|entry| Ok(entry?.file_name())).collect()
        };
        Ok(list().map_err(|error| (here.clone(), error))?.into_iter())
    }

    /// Writes one change. Of a directory: whether something below shows in it.
    fn one<W: Write>(
        &mut self,
        path: &Path,
        merged: bool,
        output: &mut Output<W>,
    ) -> io::Result<Option<bool>> {
        let here = self.upper.join(path);
        let found = fs::symlink_metadata(&here)?;
        let shown = self.layer.destination.join(path);
        let shown = shown.as_os_str().as_bytes();
        let below = if merged { self.layer.lower.join(path).symlink_metadata().ok() } else { None };
        let attributes = match host::xattrs(&here) {
            Ok(attributes) => attributes,
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Vec::new(),
            Err(error) => return Err(error),
        };
        let value = |name: &[u8]| {
            attributes.iter().find(|(have, _)| have == name).map(|(_, value)| &value[..])
        };
        let is_device = found.file_type().is_char_device() && found.rdev() == 0;
        if is_device || value(WHITEOUT).is_some() {
            if below.is_some() {
                let change = Change { path: shown, kind: Kind::Deleted, file: None };
                output.write(&change, &mut io::empty())?;
            }
            return Ok(None);
        }
        let over_dir = below.as_ref().is_some_and(Metadata::is_dir);
        let shows = over_dir && value(OPAQUE) != Some(b"y");
        let id = (found.dev(), found.ino());
        let several = !found.is_dir() && found.nlink() > 1;
        let first = self.firsts.get(&id).filter(|_| several).cloned();
        let owner = value(OWNER).and_then(owner);
        let (uid, gid, mode) = owner.unwrap_or((found.uid(), found.gid(), found.mode() & 0o7777));
        let own = |name: &[u8]| name.starts_with(OWN) || name == OWNER;
        let file = bevor_layer::File {
            node: match first {
                Some(first) => Node::Link(first),
                None => node(&here, &found, over_dir && !shows)?,
            },
            mode,
            uid: uid.into(),
            gid: gid.into(),
            mtime: (found.mtime(), u32::try_from(found.mtime_nsec()).unwrap_or(0)),
            xattrs: attributes.iter().filter(|(name, _)| !own(name)).cloned().collect(),
        };
        if several {
            self.firsts.entry(id).or_insert_with(|| shown.to_vec());
        }
        let mut contents: Box<dyn Read> = Box::new(io::empty());
        if output.wants_contents() && matches!(file.node, Node::Regular(_)) {
            contents = Box::new(File::open(&here)?);
        }
        let kind = if below.is_some() { Kind::Changed } else { Kind::Added };
        output.write(&Change { path: shown, kind, file: Some(file) }, &mut contents)?;
        Ok(found.is_dir().then_some(shows))
    }
}

fn node(path: &Path, found: &Metadata, opaque: bool) -> io::Result<Node> {
    let kind = found.file_type();
    let device = || (major(found.rdev()), minor(found.rdev()));
    Ok(if kind.is_dir() {
        Node::Directory { opaque }
    } else if kind.is_symlink() {
        Node::Symlink(fs::read_link(path)?.into_os_string().into_encoded_bytes())
    } else if kind.is_fifo() {
        Node::Fifo
    } else if kind.is_socket() {
        Node::Socket
    } else if kind.is_char_device() {
        let (major, minor) = device();
        Node::CharDevice(major, minor)
    } else if kind.is_block_device() {
        let (major, minor) = device();
        Node::BlockDevice(major, minor)
    } else {
        Node::Regular(found.len())
    })
}

fn major(dev: u64) -> u32 {
    libc::major(dev)
}

fn minor(dev: u64) -> u32 {
    libc::minor(dev)
}

/// Owner, group and mode out of an attribute.
fn owner(text: &[u8]) -> Option<(u32, u32, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let mut parts = text.split(':');
    let (uid, gid, mode) = (parts.next()?, parts.next()?, parts.next()?);
    Some((uid.parse().ok()?, gid.parse().ok()?, u32::from_str_radix(mode, 8).ok()? & 0o7777))
}

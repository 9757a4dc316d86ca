//! Writes down what a container's overlays changed.

use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Barrier};

use bevor_abi::Errno;
use bevor_abi::errno::EIO;
use bevor_abi::stat::{major, minor};
use bevor_control::{ChangesForm, Refusal, RefusalKind};
use bevor_layer::{Format, Kind, Node, Output};
use bevor_vfs::inode::{Attr, FileType, InodeRef};
use bevor_vfs::overlay::{self, Change, ChangeKind, Contents};
use bevor_vfs::superblock::Superblock;

/// Stack of the thread that writes, bytes.
const STACK: usize = 256 << 10;
/// Bytes written at a time.
const BUFFER: usize = 64 << 10;

/// An overlay and where it is mounted.
pub type Place = (Vec<u8>, Arc<Superblock>);

/// Something to be done where it may take its time.
pub type Job = Box<dyn FnOnce() + Send>;

/// Starts the thread that does jobs one after the other, so that the control socket is served
/// meanwhile. It is one of those that `born` waits for.
///
/// # Errors
/// The host's.
pub fn start_clerk(born: Arc<Barrier>) -> io::Result<Sender<Job>> {
    let (sender, receiver) = mpsc::channel::<Job>();
    let work = move || {
        born.wait();
        for job in receiver {
            job();
        }
    };
    std::thread::Builder::new().name("clerk".to_owned()).stack_size(STACK).spawn(work)?;
    Ok(sender)
}

/// Writes the changes of these overlays.
///
/// # Errors
/// The refusal the client gets.
pub fn write(places: &[Place], form: ChangesForm, to: OwnedFd) -> Result<(), Refusal> {
    let failed = |error: &dyn std::fmt::Display| {
        Refusal::new(RefusalKind::Failed, format!("cannot write the changes: {error}"))
    };
    let format = match form {
        ChangesForm::Text => Format::Text,
        ChangesForm::Json => Format::Json,
        ChangesForm::Tar => Format::Tar,
    };
    let mut output = Output::new(BufWriter::with_capacity(BUFFER, File::from(to)), format);
    for (prefix, superblock) in places {
        let mut problem = None;
        let told = overlay::changes(superblock, &mut |change| {
            one(&mut output, prefix, change).map_err(|error| {
                problem = Some(error);
                EIO.into()
            })
        });
        match (told, problem) {
            (_, Some(error)) => return Err(failed(&error)),
            (Err(errno), None) => return Err(failed(&errno)),
            (Ok(()), None) => {}
        }
    }
    output.finish().map_err(|error| failed(&error))
}

fn io_error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.code.0.into())
}

fn one<W: io::Write>(output: &mut Output<W>, prefix: &[u8], change: &Change<'_>) -> io::Result<()> {
    let join = |path: &[u8]| [prefix, path].concat();
    let (path, kind, inode, first, opaque) = match change {
        Change::Gone { path } => {
            let path = join(path);
            let change = bevor_layer::Change { path: &path, kind: Kind::Deleted, file: None };
            return output.write(&change, &mut io::empty());
        }
        Change::There { path, kind, inode, first, opaque } => {
            (join(path), kind, *inode, first.map(join), *opaque)
        }
    };
    let kind = match kind {
        ChangeKind::Added => Kind::Added,
        ChangeKind::Changed => Kind::Changed,
    };
    let attr = inode.attr().map_err(io_error)?;
    let file = bevor_layer::File {
        node: node(inode, &attr, first, opaque)?,
        mode: attr.mode & 0o7777,
        uid: attr.uid.into(),
        gid: attr.gid.into(),
        mtime: (attr.mtime.sec, attr.mtime.nsec),
        xattrs: if output.wants_contents() { xattrs(inode) } else { Vec::new() },
    };
    let mut contents: Box<dyn Read> = Box::new(io::empty());
    if output.wants_contents() && matches!(file.node, Node::Regular(size) if size > 0) {
        contents = Box::new(Contents::open(inode).map_err(io_error)?);
    }
    output.write(&bevor_layer::Change { path: &path, kind, file: Some(file) }, &mut contents)
}

fn node(inode: &InodeRef, attr: &Attr, first: Option<Vec<u8>>, opaque: bool) -> io::Result<Node> {
    if let Some(first) = first {
        return Ok(Node::Link(first));
    }
    let (major, minor) = (major(attr.rdev), minor(attr.rdev));
    Ok(match inode.file_type() {
        FileType::Regular => Node::Regular(attr.size),
        FileType::Directory => Node::Directory { opaque },
        FileType::Symlink => Node::Symlink(overlay::link_target(inode).map_err(io_error)?),
        FileType::Fifo => Node::Fifo,
        FileType::Socket => Node::Socket,
        FileType::CharDevice => Node::CharDevice(major, minor),
        FileType::BlockDevice => Node::BlockDevice(major, minor),
    })
}

fn xattrs(inode: &InodeRef) -> Vec<(Vec<u8>, Vec<u8>)> {
    let names = inode.list_xattr().unwrap_or_default();
    let with_value = |name: Vec<u8>| inode.get_xattr(&name).ok().map(|value| (name, value));
    names.into_iter().filter_map(with_value).collect()
}

//! Changes as a tar file, in the manner of OCI layers (image-spec, `layer.md`).

use std::io::{self, Read, Write};

use tar::{Builder, EntryType, Header};

use crate::{Change, File, Node};

/// What stands before the name of a file that is gone.
const WHITEOUT: &[u8] = b".wh.";
/// In a directory: what was there before is gone.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Most bytes of a name that fit into a header.
const NAME_MAX: usize = 100;

/// Writes a tar file.
pub struct Tape<W: Write> {
    builder: Builder<W>,
}

impl<W: Write> Tape<W> {
    /// Writes to `to`.
    pub fn new(to: W) -> Self {
        Self { builder: Builder::new(to) }
    }

    /// Writes a change.
    pub fn write(&mut self, change: &Change<'_>, contents: &mut dyn Read) -> io::Result<()> {
        let path = relative(change.path);
        let Some(file) = &change.file else {
            let at = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
            let (dir, name) = path.split_at(at);
            return self.mark(&[dir, WHITEOUT, name].concat());
        };
        let (kind, size) = match &file.node {
            Node::Regular(size) => (EntryType::Regular, *size),
            Node::Link(_) => (EntryType::Link, 0),
            Node::Directory { .. } => (EntryType::Directory, 0),
            Node::Symlink(_) => (EntryType::Symlink, 0),
            Node::Fifo => (EntryType::Fifo, 0),
            Node::CharDevice(..) => (EntryType::Char, 0),
            Node::BlockDevice(..) => (EntryType::Block, 0),
            Node::Socket => return Ok(()),
        };
        let mut path = path.to_vec();
        if kind == EntryType::Directory {
            path.push(b'/');
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(file.mode & 0o7777);
        header.set_uid(file.uid);
        header.set_gid(file.gid);
        header.set_mtime(u64::try_from(file.mtime.0).unwrap_or(0));
        header.set_size(size);
        let mut extensions = Vec::new();
        self.names(&mut header, &path, file, &mut extensions)?;
        let (sec, nsec) = file.mtime;
        if nsec != 0 || sec < 0 {
            extensions.push(("mtime".to_owned(), time(sec, nsec).into_bytes()));
        }
        for (name, value) in &file.xattrs {
            // Names of attributes are text.
            let Ok(name) = std::str::from_utf8(name) else { continue };
            extensions.push((format!("SCHILY.xattr.{name}"), value.clone()));
        }
        self.append(&mut header, &extensions, &mut Exactly { from: contents, left: size })?;
        if file.node == (Node::Directory { opaque: true }) {
            path.extend_from_slice(OPAQUE);
            self.mark(&path)?;
        }
        Ok(())
    }

    /// Puts path and target into the header, or beside it if they are too long.
    fn names(
        &self,
        header: &mut Header,
        path: &[u8],
        file: &File,
        extensions: &mut Vec<(String, Vec<u8>)>,
    ) -> io::Result<()> {
        put(header, path);
        if path.len() > NAME_MAX || !path.is_ascii() {
            extensions.push(("path".to_owned(), path.to_vec()));
        }
        let target = match &file.node {
            Node::Link(first) => relative(first),
            Node::Symlink(target) => target,
            Node::CharDevice(major, minor) | Node::BlockDevice(major, minor) => {
                header.set_device_major(*major)?;
                return header.set_device_minor(*minor);
            }
            _ => return Ok(()),
        };
        let kept = &target[..target.len().min(NAME_MAX)];
        header.as_old_mut().linkname[..kept.len()].copy_from_slice(kept);
        if target.len() > NAME_MAX || !target.is_ascii() {
            extensions.push(("linkpath".to_owned(), target.to_vec()));
        }
        Ok(())
    }

    /// Writes an empty file that stands for something.
    fn mark(&mut self, path: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_size(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        put(&mut header, path);
        let mut extensions = Vec::new();
        if path.len() > NAME_MAX || !path.is_ascii() {
            extensions.push(("path".to_owned(), path.to_vec()));
        }
        self.append(&mut header, &extensions, &mut io::empty())
    }

    fn append(
        &mut self,
        header: &mut Header,
        extensions: &[(String, Vec<u8>)],
        contents: &mut dyn Read,
    ) -> io::Result<()> {
        if !extensions.is_empty() {
            let pairs = extensions.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
            self.builder.append_pax_extensions(pairs)?;
        }
        header.set_cksum();
        self.builder.append(header, contents)
    }

    /// Ends the archive; gives back what it was written to.
    pub fn finish(self) -> io::Result<W> {
        self.builder.into_inner()
    }
}

/// A path as tar files have it: without a slash before it.
fn relative(path: &[u8]) -> &[u8] {
    match path.strip_prefix(b"/") {
        Some(b"") => b".",
        Some(path) => path,
        None => path,
    }
}

fn put(header: &mut Header, path: &[u8]) {
    let kept = &path[..path.len().min(NAME_MAX)];
    header.as_old_mut().name[..kept.len()].copy_from_slice(kept);
}

/// A point in time as PAX headers have it.
pub fn time(sec: i64, nsec: u32) -> String {
    if sec >= 0 || nsec == 0 {
        return format!("{sec}.{nsec:09}");
    }
    // Digits after the point go away from zero.
    let (sec, nsec) = (sec + 1, 1_000_000_000 - nsec);
    let sign = if sec == 0 { "-" } else { "" };
    format!("{sign}{sec}.{nsec:09}")
}

/// So many bytes, zeros where the file has no more.
struct Exactly<'a> {
    from: &'a mut dyn Read,
    left: u64,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let part = &mut buf[..len];
        let mut got = self.from.read(part)?;
        if got == 0 {
            part.fill(0);
            got = len;
        }
        self.left -= got as u64;
        Ok(got)
    }
}

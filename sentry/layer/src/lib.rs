//! What an overlay changed, as a list and as a tar layer.
#![forbid(unsafe_code)]

mod list;
mod tape;

use std::io::{self, Read, Write};

use list::List;
use tape::Tape;

/// What became of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It is new.
    Added,
    /// It was there already, and is another file or has changed. Directories count as changed when
    /// something in them is.
    Changed,
    /// It is gone.
    Deleted,
}

/// One change.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// Absolute path.
    pub path: &'a [u8],
    /// What became of it.
    pub kind: Kind,
    /// What is there now; `None` if it was deleted.
    pub file: Option<File>,
}

/// A file as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// What it is.
    pub node: Node,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// When its contents changed last: seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a file is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Node {
    /// A regular file of so many bytes.
    Regular(u64),
    /// Another name of the file at this absolute path, which came before.
    Link(Vec<u8>),
    /// A directory; nothing shows in it that was under that path before if it is opaque.
    Directory {
        /// Whether it is.
        opaque: bool,
    },
    /// A symbolic link to this.
    Symlink(Vec<u8>),
    /// A fifo.
    Fifo,
    /// A socket, which a tar file cannot have.
    Socket,
    /// A character device of this major and minor number.
    CharDevice(u32, u32),
    /// A block device of this major and minor number.
    BlockDevice(u32, u32),
}

/// How changes are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// `A /path`, `C /path`, `D /path`, a line each.
    Text,
    /// A JSON array of objects.
    Json,
    /// A tar file.
    Tar,
}

/// Writes changes.
pub struct Output<W: Write>(Form<W>);

enum Form<W: Write> {
    List(List<W>),
    Tape(Box<Tape<W>>),
}

impl<W: Write> Output<W> {
    /// Writes to `to`.
    pub fn new(to: W, format: Format) -> Self {
        Self(match format {
            Format::Text => Form::List(List::text(to)),
            Format::Json => Form::List(List::json(to)),
            Format::Tar => Form::Tape(Box::new(Tape::new(to))),
        })
    }

    /// Whether it asks for contents of files.
    #[must_use]
    pub const fn wants_contents(&self) -> bool {
        matches!(self.0, Form::Tape(_))
    }

    /// Writes a change; `contents` are those of a regular file.
    ///
    /// # Errors
    /// Writing or reading failed.
    pub fn write(&mut self, change: &Change<'_>, contents: &mut dyn Read) -> io::Result<()> {
        match &mut self.0 {
            Form::List(list) => list.write(change),
            Form::Tape(tape) => tape.write(change, contents),
        }
    }

    /// Ends the list or archive.
    ///
    /// # Errors
    /// Writing failed.
    pub fn finish(self) -> io::Result<()> {
        let mut to = match self.0 {
            Form::List(list) => list.finish()?,
            Form::Tape(tape) => tape.finish()?,
        };
        to.flush()
    }
}

#[cfg(test)]
mod tests;

//! Changes as a list.

use std::io::{self, Write};

use serde::Serialize;

use crate::{Change, Kind, Node};

/// Writes a list.
pub struct List<W> {
    to: W,
    json: bool,
    first: bool,
}

/// An element of the JSON array.
#[derive(Serialize)]
struct Element<'a> {
    path: Path<'a>,
    change: &'static str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    node: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

/// A path: a string where it is UTF-8, a list of numbers otherwise.
#[derive(Serialize)]
#[serde(untagged)]
enum Path<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl<W: Write> List<W> {
    /// A list of lines.
    pub const fn text(to: W) -> Self {
        Self { to, json: false, first: true }
    }

    /// A JSON array.
    pub const fn json(to: W) -> Self {
        Self { to, json: true, first: true }
    }

    /// Writes a change.
    pub fn write(&mut self, change: &Change<'_>) -> io::Result<()> {
        if !self.json {
            let letter = match change.kind {
                Kind::Added => b"A ",
                Kind::Changed => b"C ",
                Kind::Deleted => b"D ",
            };
            self.to.write_all(letter)?;
            self.to.write_all(&one_line(change.path))?;
            return self.to.write_all(b"\n");
        }
        self.to.write_all(if self.first { b"[\n  " } else { b",\n  " })?;
        self.first = false;
        let node = change.file.as_ref().map(|file| &file.node);
        let element = Element {
            path: std::str::from_utf8(change.path).map_or(Path::Bytes(change.path), Path::Text),
            change: match change.kind {
                Kind::Added => "added",
                Kind::Changed => "changed",
                Kind::Deleted => "deleted",
            },
            node: node.map(|node| match node {
                Node::Regular(_) | Node::Link(_) => "file",
                Node::Directory { .. } => "directory",
                Node::Symlink(_) => "symlink",
                Node::Fifo => "fifo",
                Node::Socket => "socket",
                Node::CharDevice(..) => "char-device",
                Node::BlockDevice(..) => "block-device",
            }),
            size: node.and_then(|node| match node {
                Node::Regular(size) => Some(*size),
                _ => None,
            }),
        };
        serde_json::to_writer(&mut self.to, &element)?;
        Ok(())
    }

    /// Ends the list; gives back what it was written to.
    pub fn finish(mut self) -> io::Result<W> {
        if self.json {
            self.to.write_all(if self.first { b"[]\n" } else { b"\n]\n" })?;
        }
        Ok(self.to)
    }
}

/// A path on one line: control characters and backslashes are escaped as in C.
fn one_line(path: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(path.len());
    for &byte in path {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\n' => line.extend_from_slice(b"\\n"),
            0..0x20 | 0x7f => line.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
            _ => line.push(byte),
        }
    }
    line
}

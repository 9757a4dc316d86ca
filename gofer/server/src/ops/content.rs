//! Contents of regular files, for a sentry that has no room for their descriptors.

use std::os::fd::AsFd;

use bevor_gofer_protocol::codec::{Malformed, Reader, Writer};
use bevor_gofer_protocol::ring::MAX_PAYLOAD;
use bevor_gofer_protocol::wire::{AT_END, Read, Write, WriteReply};

use crate::host;
use crate::ops::read::open_file;
use crate::server::{Answer, Server};
use crate::table::Identity;

/// Answers with what a file holds.
pub fn read(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let Read { node, offset, len, pad: 0 } = request.take()? else {
        return Err(Malformed("padding that is not zero").into());
    };
    request.end()?;
    let found = server.find(node)?;
    let root = server.root_of(&found)?;
    let file = open_file(server, root, &found, None, libc::O_RDONLY.cast_unsigned())?;
    let len = usize::try_from(len).unwrap_or(MAX_PAYLOAD).min(MAX_PAYLOAD);
    let mut content = vec![0; len];
    let read = host::read_at(file.as_fd(), &mut content, offset)?;
    reply.bytes(&content[..read.min(len)]);
    Ok(None)
}

/// Writes to a file.
pub fn write(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let Write { node, offset, len, pad: 0 } = request.take()? else {
        return Err(Malformed("padding that is not zero").into());
    };
    let content = request.rest();
    if usize::try_from(len) != Ok(content.len()) {
        return Err(Malformed("length of what is to be written").into());
    }
    let found = server.find(node)?;
    let root = server.root_of(&found)?;
    let append = if offset == AT_END { libc::O_APPEND } else { 0 };
    let flags = (libc::O_WRONLY | append).cast_unsigned();
    let file = open_file(server, root, &found, None, flags)?;
    let at = if offset == AT_END { 0 } else { offset };
    let written = host::write_at(file.as_fd(), content, at)?;
    let stat = host::statx(file.as_fd(), c"")?;
    server.table.lock().refresh(found.id, Identity::of(&stat));
    let written = u32::try_from(written).unwrap_or(0);
    reply.put(&WriteReply { written, pad: 0, size: stat.stx_size });
    Ok(None)
}

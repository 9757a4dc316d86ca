//! Unix sockets of the host, where a root allows them.

use std::os::fd::AsFd;

use bevor_abi::errno::{EACCES, ECONNREFUSED};
use bevor_gofer_protocol::codec::{Malformed, Reader, Writer};
use bevor_gofer_protocol::wire::{Connect, Make, Peer};

use crate::host::{self, Name};
use crate::ops::make::Making;
use crate::server::{Answer, Server};

fn socket_kind(kind: u32) -> Result<i32, Malformed> {
    match kind.cast_signed() {
        kind @ (libc::SOCK_STREAM | libc::SOCK_DGRAM | libc::SOCK_SEQPACKET) => Ok(kind),
        _ => Err(Malformed("unknown type of socket")),
    }
}

/// Connects to a socket of the host, tells whose it is and donates the connection.
pub fn connect(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let connect: Connect = request.take()?;
    request.end()?;
    let kind = socket_kind(connect.kind)?;
    let found = server.find(connect.node)?;
    let root = server.root_of(&found)?;
    let allowed = root.sockets.connects();
    let is_socket = found.info.identity.kind == libc::S_IFSOCK;
    if !allowed || !is_socket || found.info.boundary {
        return Err(ECONNREFUSED.because("root is served without sockets of the host").into());
    }
    let fd = server.descriptor(&found)?;
    let socket = server.with_room(|| host::unix_socket(kind))?;
    server.self_fd.connect(&socket, fd.as_fd())?;
    let (uid, gid) = root.ids_to_guest(host::peer_ids(&socket)?);
    reply.put(&Peer { uid, gid });
    Ok(Some(socket))
}

/// Makes a socket, binds it to a new name and donates it.
pub fn bind(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let make: Make = request.take()?;
    let name = request.name()?;
    request.end()?;
    let kind = socket_kind(make.flags)?;
    let making = Making::new(server, &make, false)?;
    making.not_hidden(name)?;
    if !making.root.sockets.binds() {
        return Err(EACCES.because("root is served without binding sockets").into());
    }
    let c_name = Name::new(name)?;
    let socket = server.with_room(|| host::unix_socket(kind))?;
    server.self_fd.bind(&socket, making.fd.as_fd(), c_name.as_c())?;
    let fd = making.open_made(server, &c_name, libc::S_IFSOCK)?;
    let made = server.self_fd.chmod(fd.as_fd(), making.mode);
    if let Err(error) = made.and_then(|()| making.finish(server, name, fd.as_fd(), reply)) {
        let _ = host::unlink(making.fd.as_fd(), c_name.as_c(), 0);
        return Err(error.into());
    }
    Ok(Some(socket))
}

//! Unix sockets that become sockets of the host (`--host-uds`): when they are connected to a name of the
//! host's, or bound where the host sees the name. What differs from other sockets of the host is here.

use super::hosted::{self, New};
use super::messages::{Outgoing, no_wait};
use super::{Found, control, find_name, own_cred, read_addr};
use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, ECONNREFUSED, EINVAL, EISCONN, EOPNOTSUPP, EPERM};
use bevor_abi::socket::AF_UNIX;
use bevor_base::WaitQueue;
use bevor_base::clock::monotonic_ns;
use bevor_kernel::{Block, Ctx, Restart, Stop, SysResult};
use bevor_memory::IoSrc;
use bevor_net::host::unix::{self, Before};
use bevor_net::host::{HostSocket, Network, options};
use bevor_net::packet::Packet;
use bevor_net::{Addr, Ancillary, Kind, Socket, SocketFile};
use bevor_vfs::file::File;
use bevor_vfs::inode::InodeRef;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// How long a caller waits before it tries again what no event tells of: room in a host's backlog, or
/// in the queue of a name.
const AGAIN_NS: u64 = 5_000_000;

/// What watches unix sockets of the host, if they are allowed.
pub(super) fn network() -> Option<&'static Arc<Network>> {
    unix::network()
}

/// Its type as the gofer is told.
pub(super) fn number(socket: &Socket) -> u32 {
    socket.kind.number().cast_unsigned()
}

/// Whether a name may make it a socket of the host: it has no peer here that it would lose.
pub(super) fn may_bind(socket: &Socket) -> bool {
    network().is_some() && socket.peer().is_err() && !socket.is_listening()
}

/// Makes it the socket the gofer has bound for it.
pub(super) fn bound(socket: &Socket, path: Vec<u8>, fd: OwnedFd) -> Result<(), Errno> {
    let local = Addr::Path(path).encode(AF_UNIX);
    let before = socket.before_hosted();
    let queue = socket.queue().clone();
    let hosted = HostSocket::unix(socket.kind, queue, local, &before, |_| Ok((fd, None)))?;
    socket.become_hosted(hosted)
}

/// Waits a while and tries again.
fn again() -> Stop {
    Block::new(Restart::Sys).until(Some(monotonic_ns().saturating_add(AGAIN_NS))).into()
}

/// Connects a socket of the host to a name, for one of the sandbox with this queue and address.
fn connected(
    kind: Kind,
    queue: WaitQueue,
    local: Vec<u8>,
    before: &Before,
    inode: &InodeRef,
) -> Result<HostSocket, Errno> {
    HostSocket::unix(kind, queue, local, before, |_| {
        let peer = inode.connect_host_socket(kind.number().cast_unsigned());
        let peer =
            peer.ok_or_else(|| ECONNREFUSED.because("nobody listens, or not for guests"))??;
        Ok((peer.fd, Some((peer.uid, peer.gid))))
    })
}

/// `connect(2)` to a name nobody of the sandbox is bound to.
pub(super) fn connect(file: &File, socket: &Arc<Socket>, inode: &InodeRef) -> SysResult {
    if socket.is_listening() {
        return Err(EINVAL.into());
    }
    let local = socket.local().encode(AF_UNIX);
    let queue = socket.queue().clone();
    match connected(socket.kind, queue, local, &socket.before_hosted(), inode) {
        Ok(hosted) => {
            socket.become_hosted(hosted)?;
            Ok(0)
        }
        Err(errno) if errno == EAGAIN && !file.nonblocking() => Err(again()),
        Err(errno) => Err(errno.into()),
    }
}

/// `connect(2)` of a socket that is the host's already: the gofer, which alone could, no longer has it.
pub(super) fn connect_again(socket: &HostSocket) -> SysResult {
    if socket.kind != Kind::Datagram && socket.peer().is_ok() {
        return Err(EISCONN.into());
    }
    Err(EOPNOTSUPP.because("a socket bound or connected on the host stays as it is").into())
}

/// Accepts from a unix socket of the host: the connection and whom it is with. `None` for others.
pub(super) fn accept(
    ctx: &Ctx<'_>,
    file: &File,
    listener: &HostSocket,
) -> Option<Result<(New, Vec<u8>), Errno>> {
    let ours = &file.downcast::<SocketFile>()?.0;
    let new = ours.another(own_cred(ctx));
    Some(listener.accept_into(new.queue().clone()).and_then(|(hosted, peer)| {
        new.become_hosted(hosted)?;
        Ok((New::Unix(new), peer))
    }))
}

/// What of a message does not go to the host: nothing but bytes does.
fn check_control(
    ctx: &Ctx<'_>,
    socket: &Socket,
    message: &Outgoing,
    before: u64,
) -> Result<(), Errno> {
    let Some(place) = message.control.filter(|_| before == 0) else { return Ok(()) };
    let mut ancillary =
        Ancillary { files: Vec::new(), cred: Some(own_cred(ctx)), packet: Packet::default() };
    // Credentials a guest may claim are left out: the host tells its own who really sends.
    control::read(ctx, socket, place, &mut ancillary)?;
    if !ancillary.files.is_empty() {
        return Err(EPERM.because("no descriptor leaves the sandbox"));
    }
    Ok(())
}

/// Sends a message, or a part of a stream, to whom the socket is connected to.
pub(super) fn send(
    ctx: &Ctx<'_>,
    file: &File,
    socket: &HostSocket,
    message: &Outgoing,
    flags: u32,
    before: u64,
) -> Result<usize, Errno> {
    if message.name.is_some_and(|(at, len)| !at.is_null() && len > 0) {
        return match socket.kind {
            Kind::Stream if socket.peer().is_ok() => Err(EISCONN.into()),
            Kind::Stream => Err(EOPNOTSUPP.into()),
            Kind::Datagram => Err(ECONNREFUSED.because("from the host's side of the border")),
            Kind::SeqPacket => send_bytes(ctx, file, socket, message, flags, before),
        };
    }
    send_bytes(ctx, file, socket, message, flags, before)
}

fn send_bytes(
    ctx: &Ctx<'_>,
    file: &File,
    socket: &HostSocket,
    message: &Outgoing,
    flags: u32,
    before: u64,
) -> Result<usize, Errno> {
    let ours = file.downcast::<SocketFile>().ok_or(EINVAL)?;
    check_control(ctx, &ours.0, message, before)?;
    let mut src = IoSrc::user(ctx.mm(), crate::io::skip(&message.vecs, before)?);
    socket.send(&mut src, &[], &[], flags)
}

/// Sends a datagram to a name of the host's. It comes from a socket without a name. `None` if that is
/// not what is meant.
pub(super) fn send_to_name(
    ctx: &Ctx<'_>,
    file: &File,
    message: &Outgoing,
    flags: u32,
) -> Option<SysResult> {
    network()?;
    let ours = &file.downcast::<SocketFile>()?.0;
    let (at, len) = message.name.filter(|&(at, len)| !at.is_null() && len > 0)?;
    if ours.family != AF_UNIX || ours.kind != Kind::Datagram {
        return None;
    }
    // What is wrong with an address is found again by those who look next.
    let Ok(Addr::Path(path)) = read_addr(ctx, AF_UNIX, at, len) else { return None };
    let Ok(Found::Name(inode)) = find_name(ctx, &path) else { return None };
    let sent = check_control(ctx, ours, message, 0).and_then(|()| {
        let unnamed = Addr::Unnamed.encode(AF_UNIX);
        let queue = WaitQueue::new();
        let socket = connected(ours.kind, queue, unnamed, &Before::default(), &inode)?;
        socket.send(&mut IoSrc::user(ctx.mm(), message.vecs.clone()), &[], &[], flags)
    });
    Some(match sent {
        Ok(bytes) => Ok(bytes as u64),
        Err(errno) if errno == EAGAIN && !no_wait(file, flags) => Err(again()),
        Err(errno) => Err(errno.into()),
    })
}

/// Whether the host is not asked about an option of a unix socket of its own.
pub(super) fn is_own_option(file: &File, level: u32, option: u32) -> bool {
    hosted::of(file).is_some_and(|socket| socket.family == AF_UNIX)
        && !options::concerns_unix(level, option)
}

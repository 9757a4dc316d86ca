//! The calls on sockets that are sockets of the host (`--net host`, `--host-uds`): addresses go to and
//! fro as bytes, and the host decides.

use super::messages::{Outgoing, no_wait};
use super::{
    MAX_ADDR, MSG_CMSG_CLOEXEC, MSG_NOSIGNAL, MSG_OOB, MSG_PEEK, MSG_WAITALL, host_unix,
    write_addr_bytes,
};
use crate::landlock;
use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EFAULT, EINPROGRESS, EINVAL, EISCONN, EMSGSIZE, ENOBUFS, EPIPE};
use bevor_abi::fcntl::O_NONBLOCK;
use bevor_abi::landlock::{LANDLOCK_ACCESS_NET_BIND_TCP, LANDLOCK_ACCESS_NET_CONNECT_TCP};
use bevor_abi::socket::{
    AF_UNIX, MSG_CTRUNC, MSG_EOR, MSG_ERRQUEUE, MSG_TRUNC, Msghdr, SOCK_CLOEXEC, SOCK_NONBLOCK,
};
use bevor_base::Ready;
use bevor_base::clock::monotonic_ns;
use bevor_kernel::signal::{self, Info, SIGPIPE};
use bevor_kernel::{Block, Ctx, Restart, Stop, SysResult};
use bevor_memory::{ADDRESS_BYTES, Incoming, IoDst, IoSrc, IoVecs, UserAddr};
use bevor_net::host::control::MAX_BYTES;
use bevor_net::host::{Connecting, HostSocket, Network, options};
use bevor_net::{Kind, Socket, SocketFile};
use bevor_vfs::anon;
use bevor_vfs::file::{File, FileOps, OpenFlags};
use std::sync::Arc;

/// The host's socket behind a file, if it is one.
pub(super) fn of(file: &File) -> Option<&HostSocket> {
    let unix = || file.downcast::<SocketFile>().and_then(|file| file.0.hosted());
    file.downcast::<HostSocket>().or_else(unix)
}

fn install(ctx: &Ctx<'_>, socket: HostSocket, flags: u32) -> Result<i32, Errno> {
    let file = anon::socket(Box::new(socket), OpenFlags(2 | (flags & O_NONBLOCK)));
    ctx.install(file, flags & SOCK_CLOEXEC != 0)
}

/// `socket(2)`.
pub(super) fn socket(
    ctx: &Ctx<'_>,
    network: &Arc<Network>,
    family: u16,
    kind: u32,
    protocol: i32,
) -> SysResult {
    if kind & !(0xf | SOCK_NONBLOCK | SOCK_CLOEXEC) != 0 {
        return Err(EINVAL.into());
    }
    let socket = HostSocket::new(network, family, kind & 0xf, protocol)?;
    Ok(u64::from(install(ctx, socket, kind)?.cast_unsigned()))
}

fn read_addr(ctx: &Ctx<'_>, at: UserAddr, len: i32) -> Result<Vec<u8>, Errno> {
    let len = usize::try_from(len).ok().filter(|&len| len <= MAX_ADDR).ok_or(EINVAL)?;
    let mut bytes = vec![0; len];
    ctx.mm().read_bytes(at, &mut bytes)?;
    Ok(bytes)
}

/// Until when a call waits that began now, or before.
fn deadline_ns(ctx: &Ctx<'_>, socket: &HostSocket, sending: bool) -> Option<u64> {
    let timeout = socket.timeout_ns(sending);
    ctx.deadline_ns().or_else(|| timeout.map(|ns| monotonic_ns().saturating_add(ns)))
}

/// How a wait with or without a time-out of the socket's own goes on after a signal (`signal(7)`).
fn restart(socket: &HostSocket, sending: bool) -> Restart {
    if socket.timeout_ns(sending).is_some() { Restart::Never } else { Restart::Sys }
}

/// `bind(2)`.
pub(super) fn bind(ctx: &Ctx<'_>, socket: &HostSocket, addr: UserAddr, len: i32) -> SysResult {
    if socket.family == AF_UNIX {
        return Err(EINVAL.because("bound or connected already").into());
    }
    let addr = read_addr(ctx, addr, len)?;
    if socket.kind == Kind::Stream {
        landlock::check_raw_port(ctx, &addr, LANDLOCK_ACCESS_NET_BIND_TCP)?;
    }
    socket.bind(&addr)?;
    Ok(0)
}

/// `connect(2)`.
pub(super) fn connect(
    ctx: &Ctx<'_>,
    file: &Arc<File>,
    socket: &HostSocket,
    addr: UserAddr,
    len: i32,
) -> SysResult {
    if socket.family == AF_UNIX {
        return host_unix::connect_again(socket);
    }
    let addr = read_addr(ctx, addr, len)?;
    if socket.kind == Kind::Stream {
        landlock::check_raw_port(ctx, &addr, LANDLOCK_ACCESS_NET_CONNECT_TCP)?;
    }
    match socket.connect(&addr) {
        Ok(()) => Ok(0),
        Err(Connecting::Wait(errno)) if file.nonblocking() => Err(errno.into()),
        Err(Connecting::Wait(_)) if ctx.timed_out() => Err(EINPROGRESS.into()),
        Err(Connecting::Wait(_)) => {
            let block = Block::on_file(file, Ready::WRITABLE);
            let block = block.until(deadline_ns(ctx, socket, true));
            Err(block.restarting(restart(socket, true)).into())
        }
        // Another thread was told that the attempt both waited for succeeded.
        Err(Connecting::Failed(errno)) if errno == EISCONN && ctx.resumed().is_some() => Ok(0),
        Err(Connecting::Failed(errno)) => Err(errno.into()),
    }
}

/// A connection that was accepted.
pub(super) enum New {
    /// Of the internet.
    Host(HostSocket),
    /// A unix socket that became one of the host's.
    Unix(Arc<Socket>),
}

/// `accept4(2)`.
pub(super) fn accept(
    ctx: &Ctx<'_>,
    file: &Arc<File>,
    socket: &HostSocket,
    (addr, len): (UserAddr, UserAddr),
    flags: u32,
) -> SysResult {
    let accepted = match host_unix::accept(ctx, file, socket) {
        Some(accepted) => accepted,
        None => socket.accept().map(|(new, peer)| (New::Host(new), peer)),
    };
    match accepted {
        Ok((accepted, peer)) => {
            let fd = match accepted {
                New::Host(accepted) => install(ctx, accepted, flags)?,
                New::Unix(accepted) => super::install(ctx, accepted, flags)?,
            };
            write_addr_bytes(ctx, &peer, addr, len)?;
            Ok(u64::from(fd.cast_unsigned()))
        }
        Err(errno) if errno == EAGAIN && !file.nonblocking() && !ctx.timed_out() => {
            let block = Block::on_file(file, Ready::READABLE);
            let block = block.until(deadline_ns(ctx, socket, false));
            Err(block.restarting(restart(socket, false)).into())
        }
        Err(errno) => Err(errno.into()),
    }
}

/// `setsockopt(2)`.
pub(super) fn set_option(
    socket: &HostSocket,
    level: u32,
    option: u32,
    value: &[u8],
) -> Result<(), Errno> {
    options::set(socket, level, option, value).inspect_err(|errno| note(level, option, errno))
}

/// `getsockopt(2)`.
pub(super) fn option(
    socket: &HostSocket,
    level: u32,
    option: u32,
    room: usize,
) -> Result<Vec<u8>, Errno> {
    options::get(socket, level, option, room).inspect_err(|errno| note(level, option, errno))
}

fn note(level: u32, option: u32, errno: &Errno) {
    if let Some(why) = errno.why {
        tracing::debug!(level, option, why, "socket option refused");
    }
}

/// Sends what a call described.
pub(super) fn send(
    ctx: &Ctx<'_>,
    file: &Arc<File>,
    socket: &HostSocket,
    message: &Outgoing,
    flags: u32,
) -> SysResult {
    let before = ctx.resumed().map_or(0, |block| block.done);
    let wait = |done: u64| {
        let block = Block::on_file(file, Ready::WRITABLE).with_done(done);
        let block = block.until(deadline_ns(ctx, socket, true));
        Err(block.restarting(restart(socket, true)).into())
    };
    match send_part(ctx, file, socket, message, flags, before) {
        Ok(sent) => {
            let done = before + sent as u64;
            let partial = socket.kind == Kind::Stream && done < message.vecs.total();
            if partial && !no_wait(file, flags) && !ctx.timed_out() {
                return wait(done);
            }
            Ok(done)
        }
        Err(errno) if errno == EAGAIN && !no_wait(file, flags) && !ctx.timed_out() => wait(before),
        Err(_) if before != 0 => Ok(before),
        Err(errno) => {
            if errno == EPIPE && flags & MSG_NOSIGNAL == 0 && socket.kind == Kind::Stream {
                signal::send::to_task(ctx.task(), Info::kernel(SIGPIPE));
            }
            Err(errno.into())
        }
    }
}

fn send_part(
    ctx: &Ctx<'_>,
    file: &File,
    socket: &HostSocket,
    message: &Outgoing,
    flags: u32,
    before: u64,
) -> Result<usize, Errno> {
    if socket.family == AF_UNIX {
        return host_unix::send(ctx, file, socket, message, flags, before);
    }
    let to = match message.name {
        Some((at, len)) if !at.is_null() && len != 0 => read_addr(ctx, at, len)?,
        _ => Vec::new(),
    };
    let mut control = Vec::new();
    if let Some((at, len)) = message.control
        && before == 0
    {
        let len = usize::try_from(len).ok().filter(|&len| len <= MAX_BYTES).ok_or(ENOBUFS)?;
        control.resize(len, 0);
        ctx.mm().read_bytes(at, &mut control)?;
    }
    let mut src = IoSrc::user(ctx.mm(), crate::io::skip(&message.vecs, before)?);
    socket.send(&mut src, &to, &control, flags)
}

/// Receives; `incoming` tells what is wanted beside the bytes, and then what came. Answers the value
/// the call returns.
fn receive(
    ctx: &Ctx<'_>,
    file: &Arc<File>,
    socket: &HostSocket,
    vecs: &IoVecs,
    incoming: &mut Incoming,
) -> SysResult {
    let flags = incoming.flags.cast_unsigned();
    let before = ctx.resumed().map_or(0, |block| block.done);
    let mut dst = IoDst::user(ctx.mm(), crate::io::skip(vecs, before)?);
    let waits = !no_wait(file, flags) && flags & (MSG_OOB | MSG_ERRQUEUE) == 0 && !ctx.timed_out();
    let wait = |done: u64| {
        let block = Block::on_file(file, Ready::READABLE | Ready::RDHUP).with_done(done);
        let block = block.until(deadline_ns(ctx, socket, false));
        Err(Stop::from(block.restarting(restart(socket, false))))
    };
    match socket.receive(&mut dst, incoming) {
        Ok(number) => {
            let done = before + number as u64;
            let least = match flags & (MSG_WAITALL | MSG_PEEK) {
                MSG_WAITALL => vecs.total(),
                0 => socket.low_water().min(vecs.total()),
                _ => 0,
            };
            if socket.kind == Kind::Stream && number > 0 && done < least && waits {
                socket.expect_more()?;
                return wait(done);
            }
            Ok(done)
        }
        Err(errno) if errno == EAGAIN && waits => wait(before),
        Err(_) if before != 0 => {
            *incoming = Incoming::bytes_only(0);
            Ok(before)
        }
        Err(errno) => Err(errno.into()),
    }
}

/// `recvfrom(2)`.
pub(super) fn receive_from(
    ctx: &Ctx<'_>,
    file: &Arc<File>,
    socket: &HostSocket,
    vecs: &IoVecs,
    flags: u32,
    (from, from_len): (UserAddr, UserAddr),
) -> SysResult {
    let mut incoming = Incoming::bytes_only(flags.cast_signed());
    incoming.from_len = if from.is_null() { 0 } else { ADDRESS_BYTES };
    let done = receive(ctx, file, socket, vecs, &mut incoming)?;
    let sender = incoming.from.get(..incoming.from_len).unwrap_or_default();
    write_addr_bytes(ctx, sender, from, from_len)?;
    Ok(done)
}

/// `recvmsg(2)`.
pub(super) fn receive_message(
    ctx: &Ctx<'_>,
    file: &Arc<File>,
    socket: &HostSocket,
    at: UserAddr,
    flags: u32,
) -> SysResult {
    let header = ctx.mm().read::<Msghdr>(at)?;
    let count = usize::try_from(header.msg_iovlen).map_err(|_| EMSGSIZE)?;
    if count > 1024 {
        return Err(EMSGSIZE.into());
    }
    let name_room = usize::try_from(header.msg_namelen).map_err(|_| EINVAL)?;
    let vecs = ctx.mm().read_iovecs(UserAddr(header.msg_iov), count)?;
    let mut incoming = Incoming::bytes_only(flags.cast_signed());
    if header.msg_name != 0 {
        incoming.from_len = ADDRESS_BYTES;
    }
    if header.msg_control != 0 {
        let room = usize::try_from(header.msg_controllen).unwrap_or(usize::MAX);
        incoming.control.resize(room.min(MAX_BYTES), 0);
    }
    let done = receive(ctx, file, socket, &vecs, &mut incoming)?;
    let mut name_len = header.msg_namelen;
    if header.msg_name != 0 {
        let sender = incoming.from.get(..incoming.from_len).unwrap_or_default();
        let cut = sender.get(..sender.len().min(name_room)).unwrap_or_default();
        ctx.mm().write_bytes(UserAddr(header.msg_name), cut)?;
        name_len = i32::try_from(sender.len()).unwrap_or(0);
    }
    if !incoming.control.is_empty() {
        ctx.mm().write_bytes(UserAddr(header.msg_control), &incoming.control)?;
    }
    let told = MSG_TRUNC | MSG_CTRUNC | MSG_OOB | MSG_EOR | MSG_ERRQUEUE;
    let answer = Msghdr {
        msg_namelen: name_len,
        msg_controllen: incoming.control.len() as u64,
        msg_flags: (incoming.flags.cast_unsigned() & told) | (flags & MSG_CMSG_CLOEXEC),
        ..header
    };
    ctx.mm().write(at, &answer).map_err(|_| EFAULT)?;
    Ok(done)
}

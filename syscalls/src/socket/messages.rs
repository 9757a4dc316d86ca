//! What is sent and received: `sendto(2)`, `sendmsg(2)`, `recvfrom(2)`, `recvmsg(2)` and those of several
//! messages.

use super::{
    MSG_CMSG_CLOEXEC, MSG_DONTWAIT, MSG_ERRQUEUE, MSG_NOSIGNAL, MSG_OOB, MSG_PEEK, MSG_TRUNC,
    MSG_WAITALL, MSG_WAITFORONE, control, find, host_unix, hosted, is_udp, of, own_cred, read_addr,
    sender, write_addr_bytes,
};
use bevor_abi::Errno;
use bevor_abi::errno::{
    EAGAIN, EDESTADDRREQ, EFAULT, EINVAL, EISCONN, EMSGSIZE, ENETUNREACH, ENOBUFS, EPIPE,
};
use bevor_abi::socket::{AF_UNIX, Mmsghdr, Msghdr};
use bevor_abi::time::Timespec;
use bevor_base::Ready;
use bevor_base::clock::monotonic_ns;
use bevor_kernel::signal::{self, Info, SIGPIPE};
use bevor_kernel::{Block, Ctx, Restart, Stop, SysResult};
use bevor_memory::{IoDst, IoSrc, IoVecs, UserAddr};
use bevor_net::addr::is_local;
use bevor_net::channel::Taken;
use bevor_net::packet::Packet;
use bevor_net::{Addr, Ancillary, Destination, Kind, Socket};
use bevor_vfs::file::File;
use std::sync::Arc;

/// A message to send, as the call described it.
pub(super) struct Outgoing {
    pub(super) vecs: IoVecs,
    pub(super) name: Option<(UserAddr, i32)>,
    pub(super) control: Option<(UserAddr, u64)>,
}

pub(super) fn no_wait(file: &File, flags: u32) -> bool {
    flags & MSG_DONTWAIT != 0 || file.nonblocking()
}

fn do_send(ctx: &Ctx<'_>, fd: i32, message: &Outgoing, flags: u32) -> SysResult {
    let file = ctx.file(fd)?;
    if let Some(sent) = host_unix::send_to_name(ctx, &file, message, flags) {
        return sent;
    }
    if let Some(socket) = hosted::of(&file) {
        return hosted::send(ctx, &file, socket, message, flags);
    }
    let socket = of(&file)?;
    let before = ctx.resumed().map_or(0, |block| block.done);
    let result = send_part(ctx, socket, message, before, flags & MSG_OOB != 0);
    let wait = |done: u64| {
        let timeout = socket.options.lock().send_timeout_ns;
        let deadline =
            ctx.deadline_ns().or_else(|| timeout.map(|ns| monotonic_ns().saturating_add(ns)));
        Err(Block::on_file(&file, Ready::WRITABLE).with_done(done).until(deadline).into())
    };
    match result {
        Ok(sent) => {
            let done = before + sent as u64;
            let partial = socket.kind == Kind::Stream && done < message.vecs.total();
            if partial && !no_wait(&file, flags) && !ctx.timed_out() {
                return wait(done);
            }
            Ok(done)
        }
        Err(errno) if errno == EAGAIN && !no_wait(&file, flags) && !ctx.timed_out() => wait(before),
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
    socket: &Arc<Socket>,
    message: &Outgoing,
    before: u64,
    urgent: bool,
) -> Result<usize, Errno> {
    let to = match message.name {
        Some((at, len)) if !at.is_null() && len > 0 => {
            let addr = read_addr(ctx, socket.family, at, len)?;
            match socket.kind {
                Kind::Stream if socket.peer().is_ok() && socket.family == AF_UNIX => {
                    return Err(EISCONN.into());
                }
                Kind::Datagram => match &addr {
                    Addr::Inet(addr) if !is_local(addr.ip()) => return Err(ENETUNREACH.into()),
                    Addr::Inet(addr) => Some(Destination::Inet(*addr)),
                    &Addr::Netlink { port, groups } => Some(Destination::Netlink { port, groups }),
                    addr => Some(Destination::Socket(find(ctx, socket, addr)?)),
                },
                _ => None,
            }
        }
        _ => None,
    };
    if to.is_none() && is_udp(socket) && socket.peer().is_err() {
        return Err(EDESTADDRREQ.into());
    }
    let mut ancillary =
        Ancillary { files: Vec::new(), cred: Some(own_cred(ctx)), packet: Packet::default() };
    if let Some((at, len)) = message.control
        && before == 0
    {
        control::read(ctx, socket, (at, len), &mut ancillary)?;
    }
    let vecs = crate::io::skip(&message.vecs, before)?;
    let mut src = IoSrc::user(ctx.mm(), vecs);
    if urgent {
        return socket.send_urgent(&mut src, ancillary);
    }
    socket.send(&mut src, to.as_ref(), ancillary)
}

/// `sendto(2)`.
///
/// # Errors
/// `EAGAIN`, `EBADF`, `ECONNREFUSED`, `ECONNRESET`, `EDESTADDRREQ`, `EFAULT`, `EINTR`, `EINVAL`,
/// `EISCONN`, `EMSGSIZE`, `ENOTCONN`, `ENOTSOCK`, `EOPNOTSUPP`, `EPIPE`.
pub fn sendto(
    ctx: &mut Ctx<'_>,
    fd: i32,
    buf: UserAddr,
    len: u64,
    flags: u32,
    to: UserAddr,
    to_len: i32,
) -> SysResult {
    let vecs = IoVecs::one(buf, len);
    let name = (!to.is_null()).then_some((to, to_len));
    do_send(ctx, fd, &Outgoing { vecs, name, control: None }, flags)
}

fn outgoing(ctx: &Ctx<'_>, header: &Msghdr) -> Result<Outgoing, Errno> {
    let count = usize::try_from(header.msg_iovlen).map_err(|_| EMSGSIZE)?;
    if count > 1024 {
        return Err(EMSGSIZE.into());
    }
    let vecs = ctx.mm().read_iovecs(UserAddr(header.msg_iov), count)?;
    let name = (header.msg_name != 0).then_some((UserAddr(header.msg_name), header.msg_namelen));
    if i32::try_from(header.msg_controllen).is_err() {
        return Err(ENOBUFS.because("more control data than any socket takes"));
    }
    let control = (header.msg_control != 0 && header.msg_controllen != 0)
        .then_some((UserAddr(header.msg_control), header.msg_controllen));
    Ok(Outgoing { vecs, name, control })
}

/// `sendmsg(2)`.
///
/// # Errors
/// As [`sendto`].
pub fn sendmsg(ctx: &mut Ctx<'_>, fd: i32, message: UserAddr, flags: u32) -> SysResult {
    let header = ctx.mm().read::<Msghdr>(message)?;
    do_send(ctx, fd, &outgoing(ctx, &header)?, flags)
}

/// `sendmmsg(2)`.
///
/// # Errors
/// As [`sendmsg`], if the first message fails.
pub fn sendmmsg(
    ctx: &mut Ctx<'_>,
    fd: i32,
    messages: UserAddr,
    count: u32,
    flags: u32,
) -> SysResult {
    let mut sent = 0_u64;
    for index in 0..u64::from(count.min(1024)) {
        let at = messages.index(index, 64)?;
        let entry = ctx.mm().read::<Mmsghdr>(at)?;
        // After the first message there is no waiting: what was sent is told.
        let flags = if sent > 0 { flags | MSG_DONTWAIT } else { flags };
        match do_send(ctx, fd, &outgoing(ctx, &entry.msg_hdr)?, flags) {
            Ok(bytes) => {
                let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                ctx.mm().write(at.add(56)?, &bytes)?;
                sent += 1;
            }
            Err(_) if sent > 0 => break,
            Err(stop) => return Err(stop),
        }
    }
    Ok(sent)
}

/// Takes what became of a datagram, with its beginning.
fn take_report(ctx: &Ctx<'_>, socket: &Socket, vecs: &IoVecs) -> Result<(Taken, u64), Stop> {
    let report = socket.take_report()?;
    let data = report.data();
    let room = usize::try_from(vecs.total()).unwrap_or(usize::MAX);
    let shown = data.get(..room.min(data.len())).unwrap_or_default();
    let bytes = IoDst::user(ctx.mm(), vecs.clone()).put(shown)?;
    let taken = Taken {
        bytes,
        message: data.len(),
        from: report.to(),
        ancillary: Ancillary::default(),
        report: Some(report),
    };
    Ok((taken, bytes as u64))
}

fn do_receive(
    ctx: &Ctx<'_>,
    file: &Arc<File>,
    vecs: &IoVecs,
    flags: u32,
) -> Result<(Taken, u64), Stop> {
    let socket = of(file)?;
    if flags & MSG_ERRQUEUE != 0 && socket.family != AF_UNIX {
        return take_report(ctx, socket, vecs);
    }
    // UDP does not look at the flag.
    if flags & MSG_OOB != 0 && !is_udp(socket) {
        let byte = socket.receive_urgent(flags & MSG_PEEK != 0)?;
        let bytes = IoDst::user(ctx.mm(), vecs.clone()).put(&[byte])?;
        let taken = Taken { bytes, ..Taken::default() };
        return Ok((taken, bytes as u64));
    }
    let before = ctx.resumed().map_or(0, |block| block.done);
    let mut dst = IoDst::user(ctx.mm(), crate::io::skip(vecs, before)?);
    let max = usize::try_from(dst.remaining()).unwrap_or(usize::MAX);
    let peek = flags & MSG_PEEK != 0;
    let wait = |done: u64| {
        let timeout = socket.options.lock().receive_timeout_ns;
        let deadline =
            ctx.deadline_ns().or_else(|| timeout.map(|ns| monotonic_ns().saturating_add(ns)));
        let block = Block::on_file(file, Ready::READABLE | Ready::RDHUP).with_done(done);
        let restart = if timeout.is_some() { Restart::Never } else { Restart::Sys };
        Stop::from(block.until(deadline).restarting(restart))
    };
    match socket.receive(max, peek, &mut |piece| dst.put(piece)) {
        Ok(taken) => {
            let done = before + taken.bytes as u64;
            let least = match socket.kind {
                Kind::Stream if flags & MSG_WAITALL != 0 => vecs.total(),
                Kind::Stream => socket.options.lock().low_water().min(vecs.total()),
                _ => 0,
            };
            let waits = !peek && !no_wait(file, flags) && !ctx.timed_out();
            if waits && taken.bytes > 0 && done < least {
                return Err(wait(done));
            }
            Ok((taken, done))
        }
        Err(errno) if errno == EAGAIN && !no_wait(file, flags) && !ctx.timed_out() => {
            Err(wait(before))
        }
        Err(_) if before != 0 => Ok((Taken::default(), before)),
        Err(errno) => Err(errno.into()),
    }
}

/// What a receive call returns: the bytes copied, or with `MSG_TRUNC` the length of the message.
fn length(socket: &Socket, taken: &Taken, done: u64, flags: u32) -> u64 {
    if flags & MSG_TRUNC != 0 && socket.kind != Kind::Stream && taken.report.is_none() {
        return taken.message as u64;
    }
    done
}

/// `recvfrom(2)`.
///
/// # Errors
/// `EAGAIN`, `EBADF`, `ECONNREFUSED`, `ECONNRESET`, `EFAULT`, `EINTR`, `EINVAL`, `ENOTCONN`,
/// `ENOTSOCK`.
pub fn recvfrom(
    ctx: &mut Ctx<'_>,
    fd: i32,
    buf: UserAddr,
    len: u64,
    flags: u32,
    from: UserAddr,
    from_len: UserAddr,
) -> SysResult {
    let vecs = IoVecs::one(buf, len);
    let file = ctx.file(fd)?;
    if let Some(socket) = hosted::of(&file) {
        return hosted::receive_from(ctx, &file, socket, &vecs, flags, (from, from_len));
    }
    let (taken, done) = do_receive(ctx, &file, &vecs, flags)?;
    let socket = of(&file)?;
    if !from.is_null() {
        if socket.kind == Kind::Datagram {
            write_addr_bytes(ctx, &sender(socket, &taken), from, from_len)?;
        } else {
            ctx.mm().write(from_len, &0_i32)?;
        }
    }
    Ok(length(socket, &taken, done, flags))
}

fn receive_message(ctx: &Ctx<'_>, fd: i32, at: UserAddr, flags: u32) -> SysResult {
    let file = ctx.file(fd)?;
    if let Some(socket) = hosted::of(&file) {
        return hosted::receive_message(ctx, &file, socket, at, flags);
    }
    let header = ctx.mm().read::<Msghdr>(at)?;
    let count = usize::try_from(header.msg_iovlen).map_err(|_| EMSGSIZE)?;
    if count > 1024 {
        return Err(EMSGSIZE.into());
    }
    let vecs = ctx.mm().read_iovecs(UserAddr(header.msg_iov), count)?;
    let (mut taken, done) = do_receive(ctx, &file, &vecs, flags)?;
    let socket = of(&file)?;
    let mut shown = flags & MSG_CMSG_CLOEXEC;
    if socket.kind == Kind::Stream {
        shown |= flags & MSG_OOB;
    }
    if socket.kind != Kind::Stream && taken.message > taken.bytes {
        shown |= MSG_TRUNC;
    }
    if taken.report.is_some() {
        shown |= MSG_ERRQUEUE;
    }
    let mut name_len = 0;
    if header.msg_name != 0 && socket.kind == Kind::Datagram {
        let bytes = sender(socket, &taken);
        let room = usize::try_from(header.msg_namelen).map_err(|_| EINVAL)?;
        let cut = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        ctx.mm().write_bytes(UserAddr(header.msg_name), cut)?;
        name_len = i32::try_from(bytes.len()).unwrap_or(0);
    }
    let (control_len, truncated) = control::write(ctx, socket, &mut taken, &header, flags)?;
    let answer = Msghdr {
        msg_namelen: if header.msg_name == 0 { header.msg_namelen } else { name_len },
        msg_controllen: control_len,
        msg_flags: shown | truncated,
        ..header
    };
    ctx.mm().write(at, &answer).map_err(|_| EFAULT)?;
    Ok(length(socket, &taken, done, flags))
}

/// `recvmsg(2)`.
///
/// # Errors
/// As [`recvfrom`].
pub fn recvmsg(ctx: &mut Ctx<'_>, fd: i32, message: UserAddr, flags: u32) -> SysResult {
    receive_message(ctx, fd, message, flags)
}

/// `recvmmsg(2)`.
///
/// # Errors
/// As [`recvmsg`], if the first message fails.
pub fn recvmmsg(
    ctx: &mut Ctx<'_>,
    fd: i32,
    messages: UserAddr,
    count: u32,
    flags: u32,
    timeout: UserAddr,
) -> SysResult {
    if !timeout.is_null() && !ctx.mm().read::<Timespec>(timeout)?.is_valid() {
        return Err(EINVAL.into());
    }
    let mut received = 0_u64;
    for index in 0..u64::from(count.min(1024)) {
        let at = messages.index(index, 64)?;
        let only_first = flags & MSG_WAITFORONE != 0;
        let flags =
            if received > 0 || only_first && index > 0 { flags | MSG_DONTWAIT } else { flags };
        match receive_message(ctx, fd, at, flags & !MSG_WAITFORONE) {
            Ok(bytes) => {
                let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                ctx.mm().write(at.add(56)?, &bytes)?;
                received += 1;
            }
            Err(_) if received > 0 => break,
            Err(stop) => return Err(stop),
        }
    }
    Ok(received)
}

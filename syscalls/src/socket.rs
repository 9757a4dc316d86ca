//! `socket(2)` and its relatives.

mod control;
mod host_unix;
mod hosted;
mod messages;

pub use messages::{recvfrom, recvmmsg, recvmsg, sendmmsg, sendmsg, sendto};

use crate::landlock;
use bevor_abi::Errno;
use bevor_abi::cap::CAP_NET_ADMIN;
use bevor_abi::errno::{
    EACCES, EADDRINUSE, EAFNOSUPPORT, EAGAIN, EALREADY, ECONNREFUSED, EINVAL, EISCONN, ENOENT,
    ENOTSOCK, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT, ETIMEDOUT,
};
use bevor_abi::fcntl::{O_CLOEXEC, O_NONBLOCK};
use bevor_abi::inet::{IPPROTO_ICMP, IPPROTO_ICMPV6};
use bevor_abi::landlock::{
    LANDLOCK_ACCESS_NET_BIND_TCP, LANDLOCK_ACCESS_NET_CONNECT_TCP,
    LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET,
};
use bevor_abi::socket::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, Ucred};
use bevor_base::Ready;
use bevor_base::clock::monotonic_ns;
use bevor_kernel::block::ObjectKind;
use bevor_kernel::{Block, Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_net::channel::Taken;
use bevor_net::namespace::NetNamespace;
use bevor_net::netlink::Link;
use bevor_net::{Addr, Connecting, Kind, Socket, SocketFile};
use bevor_vfs::anon;
use bevor_vfs::file::{File, OpenFlags};
use bevor_vfs::inode::{FileType, InodeRef, MAY_WRITE};
use bevor_vfs::namei::{self, perm};
use bevor_vfs::{At, FsContext, LastLink};
use std::sync::Arc;

const MSG_OOB: u32 = 1;
const MSG_PEEK: u32 = 2;
const MSG_TRUNC: u32 = 0x20;
const MSG_DONTWAIT: u32 = 0x40;
const MSG_WAITALL: u32 = 0x100;
const MSG_ERRQUEUE: u32 = 0x2000;
const MSG_NOSIGNAL: u32 = 0x4000;
const MSG_WAITFORONE: u32 = 0x1_0000;
const MSG_CMSG_CLOEXEC: u32 = 0x4000_0000;
/// UDP-Lite, as a protocol of `SOCK_DGRAM`.
const IPPROTO_UDPLITE: i32 = 136;
/// Longest address.
const MAX_ADDR: usize = 128;

fn kind_of(family: u16, kind: u32, protocol: i32) -> Result<Kind, Errno> {
    let sort = match kind & 0xf {
        1 => Kind::Stream,
        2 => Kind::Datagram,
        3 if family == AF_UNIX => Kind::Datagram,
        5 if family == AF_UNIX => Kind::SeqPacket,
        3 if matches!(family, AF_INET | AF_INET6) => {
            return Err(EPERM.because("raw sockets are not offered"));
        }
        5 => return Err(ESOCKTNOSUPPORT.into()),
        0 | 4 | 6..=10 => return Err(ESOCKTNOSUPPORT.into()),
        _ => return Err(EINVAL.into()),
    };
    let ping = if family == AF_INET { IPPROTO_ICMP } else { IPPROTO_ICMPV6 };
    if family != AF_UNIX && sort == Kind::Datagram && u32::try_from(protocol) == Ok(ping) {
        return Err(EACCES.because("no group may ping (net.ipv4.ping_group_range)"));
    }
    let fits = match (family, sort) {
        (AF_UNIX, _) => matches!(protocol, 0 | 1),
        (_, Kind::Stream) => matches!(protocol, 0 | 6),
        _ => matches!(protocol, 0 | 17 | IPPROTO_UDPLITE),
    };
    if fits { Ok(sort) } else { Err(EPROTONOSUPPORT.into()) }
}

fn new_socket(ctx: &Ctx<'_>, family: i32, kind: u32, protocol: i32) -> Result<(u16, Kind), Errno> {
    let _ = ctx;
    let family = u16::try_from(family).map_err(|_| EAFNOSUPPORT)?;
    if kind & !(0xf | O_NONBLOCK | O_CLOEXEC) != 0 {
        return Err(EINVAL.into());
    }
    if !matches!(family, AF_UNIX | AF_INET | AF_INET6) {
        return Err(EAFNOSUPPORT.into());
    }
    Ok((family, kind_of(family, kind, protocol)?))
}

fn own_cred(ctx: &Ctx<'_>) -> Ucred {
    let cred = ctx.task().cred();
    Ucred { pid: ctx.task().tgid(), uid: cred.euid, gid: cred.egid }
}

fn file_of(socket: Arc<Socket>, flags: u32) -> Arc<File> {
    let flags = OpenFlags(2 | (flags & O_NONBLOCK));
    let file = anon::socket(Box::new(SocketFile(socket.clone())), flags);
    socket.set_inode(file.inode().ino());
    file
}

fn install(ctx: &Ctx<'_>, socket: Arc<Socket>, flags: u32) -> Result<i32, Errno> {
    ctx.install(file_of(socket, flags), flags & O_CLOEXEC != 0)
}

/// `socket(2)`.
///
/// # Errors
/// `EAFNOSUPPORT`, `EINVAL`, `EMFILE`, `EPERM`, `EPROTONOSUPPORT`, `ESOCKTNOSUPPORT`.
pub fn socket(ctx: &mut Ctx<'_>, family: i32, kind: u32, protocol: i32) -> SysResult {
    let ns = ctx.task().namespaces().net.clone();
    let socket = if family == i32::from(AF_NETLINK) {
        let admin = ctx.task().cred().has_cap_in(CAP_NET_ADMIN, &ns.user_ns);
        Socket::netlink(Link::new(kind & 0xf, protocol, admin)?, ns.id, own_cred(ctx))
    } else {
        let internet = u16::try_from(family).ok().filter(|f| matches!(*f, AF_INET | AF_INET6));
        if let Some(family) = internet
            && let Some(network) = NetNamespace::of(ns.id).host()
        {
            return hosted::socket(ctx, network, family, kind, protocol);
        }
        let (family, sort) = new_socket(ctx, family, kind, protocol)?;
        if family != AF_UNIX && sort == Kind::Datagram && protocol == IPPROTO_UDPLITE {
            Socket::udp_lite(family, ns.id, own_cred(ctx))
        } else {
            Socket::new(family, sort, ns.id, own_cred(ctx))
        }
    };
    if let Some(domain) = &ctx.task().cred().landlock {
        // It is new: nothing was set.
        let _ = socket.domain.set(domain.clone());
    }
    Ok(u64::from(install(ctx, socket, kind)?.cast_unsigned()))
}

/// `socketpair(2)`.
///
/// # Errors
/// As [`socket`], `EOPNOTSUPP` for other families, `EFAULT`.
pub fn socketpair(
    ctx: &mut Ctx<'_>,
    family: i32,
    kind: u32,
    protocol: i32,
    fds: UserAddr,
) -> SysResult {
    let (family, sort) = new_socket(ctx, family, kind, protocol)?;
    if family != AF_UNIX {
        return Err(EOPNOTSUPP.into());
    }
    let ns = ctx.task().namespaces().net.id;
    let (first, second) = Socket::pair(family, sort, ns, own_cred(ctx));
    let first = install(ctx, first, kind)?;
    let second = install(ctx, second, kind).inspect_err(|_| {
        drop(ctx.files().remove(first));
    })?;
    if let Err(errno) = ctx.mm().write(fds, &[first, second]) {
        drop(ctx.files().remove(first));
        drop(ctx.files().remove(second));
        return Err(errno.into());
    }
    Ok(0)
}

fn of(file: &Arc<File>) -> Result<&Arc<Socket>, Errno> {
    file.downcast::<SocketFile>().map(|file| &file.0).ok_or_else(|| ENOTSOCK.into())
}

fn read_addr(ctx: &Ctx<'_>, family: u16, at: UserAddr, len: i32) -> Result<Addr, Errno> {
    let len = usize::try_from(len).ok().filter(|&len| len <= MAX_ADDR).ok_or(EINVAL)?;
    let mut bytes = vec![0; len];
    ctx.mm().read_bytes(at, &mut bytes)?;
    Addr::decode(family, &bytes)
}

/// Writes an address, cut to the room given, and its whole length.
fn write_addr(
    ctx: &Ctx<'_>,
    family: u16,
    addr: &Addr,
    at: UserAddr,
    len: UserAddr,
) -> Result<(), Errno> {
    write_addr_bytes(ctx, &addr.encode(family), at, len)
}

fn write_addr_bytes(ctx: &Ctx<'_>, bytes: &[u8], at: UserAddr, len: UserAddr) -> Result<(), Errno> {
    if at.is_null() {
        return Ok(());
    }
    let room = ctx.mm().read::<i32>(len)?;
    let room = usize::try_from(room).map_err(|_| EINVAL)?;
    ctx.mm().write_bytes(at, bytes.get(..bytes.len().min(room)).unwrap_or_default())?;
    ctx.mm().write(len, &i32::try_from(bytes.len()).unwrap_or(0))
}

/// The address of who sent a datagram: none for a unix socket without a name.
fn sender(socket: &Socket, taken: &Taken) -> Vec<u8> {
    if socket.family == AF_UNIX && taken.from == Addr::Unnamed {
        return Vec::new();
    }
    taken.from.encode(socket.family)
}

/// `bind(2)`.
///
/// # Errors
/// `EACCES`, `EADDRINUSE`, `EADDRNOTAVAIL`, `EAFNOSUPPORT`, `EBADF`, `EINVAL`, `ENOTSOCK`, and
/// those of paths.
pub fn bind(ctx: &mut Ctx<'_>, fd: i32, addr: UserAddr, len: i32) -> SysResult {
    let file = ctx.file(fd)?;
    if let Some(socket) = hosted::of(&file) {
        return hosted::bind(ctx, socket, addr, len);
    }
    let socket = of(&file)?;
    match read_addr(ctx, socket.family, addr, len)? {
        Addr::Path(path) => bind_path(ctx, socket, path)?,
        Addr::Unnamed if socket.family == AF_UNIX => socket.autobind()?,
        Addr::Unnamed => return Err(EAFNOSUPPORT.into()),
        addr => {
            if let (Addr::Inet(inet), Kind::Stream) = (&addr, socket.kind) {
                landlock::check_port(ctx, inet.port(), LANDLOCK_ACCESS_NET_BIND_TCP)?;
            }
            /// `CAP_NET_BIND_SERVICE`.
            const CAP_NET_BIND_SERVICE: u32 = 10;
            if let Addr::Inet(inet) = &addr
                && (1..1024).contains(&inet.port())
                && !ctx.task().cred().has_cap(CAP_NET_BIND_SERVICE)
            {
                return Err(bevor_abi::errno::EACCES.into());
            }
            socket.bind(&addr)?;
        }
    }
    Ok(0)
}

fn bind_path(ctx: &Ctx<'_>, socket: &Arc<Socket>, path: Vec<u8>) -> Result<(), Errno> {
    let fs = ctx.task().fs().context();
    let cred = ctx.task().cred();
    let at = At::cwd(&fs, ctx, &cred);
    if socket.is_bound() {
        // As on Linux, a name in use is what is told first.
        return Err(match at.resolve(&path, LastLink::Keep) {
            Ok(_) => EADDRINUSE.into(),
            Err(errno) if errno == ENOENT => EINVAL.because("bound already"),
            Err(errno) => errno,
        });
    }
    let in_use = |errno: Errno| {
        if errno == bevor_abi::errno::EEXIST { EADDRINUSE.into() } else { errno }
    };
    if host_unix::may_bind(socket) {
        let (inode, fd) =
            namei::bind_socket(&at, &path, 0o777, host_unix::number(socket)).map_err(in_use)?;
        return match fd {
            Some(fd) => host_unix::bound(socket, path, fd),
            None => bind_inode(socket, path, &inode),
        };
    }
    let mode = FileType::Socket.mode_bits() | 0o777;
    let inode = namei::mknod(&at, &path, mode, 0).map_err(in_use)?;
    bind_inode(socket, path, &inode)
}

fn bind_inode(socket: &Arc<Socket>, path: Vec<u8>, inode: &InodeRef) -> Result<(), Errno> {
    let attr = inode.attr()?;
    socket.bind_inode(path, (inode.dev(), inode.ino()), (attr.dev, attr.ino))
}

/// Whom a path leads to.
enum Found {
    /// A socket of the sandbox.
    Ours(Arc<Socket>),
    /// The name of a socket that nobody here is bound to.
    Name(InodeRef),
}

fn find_name(ctx: &Ctx<'_>, path: &[u8]) -> Result<Found, Errno> {
    let fs: Arc<FsContext> = ctx.task().fs().context();
    let cred = ctx.task().cred();
    let found = At::cwd(&fs, ctx, &cred).resolve(path, LastLink::Follow)?;
    perm::permission(&found, &cred, MAY_WRITE)?;
    if found.dentry.kind() != FileType::Socket {
        return Err(ECONNREFUSED.into());
    }
    let inode = found.inode();
    match bevor_net::namespace::find_inode(inode.dev(), inode.ino()) {
        Err(errno) if errno == ECONNREFUSED => Ok(Found::Name(inode.clone())),
        found => found.map(Found::Ours),
    }
}

fn find_path(ctx: &Ctx<'_>, path: &[u8]) -> Result<Arc<Socket>, Errno> {
    match find_name(ctx, path)? {
        Found::Ours(socket) => Ok(socket),
        Found::Name(_) => Err(ECONNREFUSED.into()),
    }
}

fn find(ctx: &Ctx<'_>, socket: &Arc<Socket>, addr: &Addr) -> Result<Arc<Socket>, Errno> {
    match addr {
        Addr::Path(path) => find_path(ctx, path),
        Addr::Abstract(_) => {
            let found = socket.find(addr)?;
            let own = ctx.task().cred();
            if own.landlock.as_ref().is_some_and(|domain| {
                domain.keeps_from(found.domain.get(), LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET)
            }) {
                return Err(bevor_abi::errno::EPERM.because("Landlock"));
            }
            Ok(found)
        }
        addr => socket.find(addr),
    }
}

/// `connect(2)`.
///
/// # Errors
/// `EAFNOSUPPORT`, `EAGAIN`, `EALREADY`, `EBADF`, `ECONNABORTED`, `ECONNREFUSED`, `EINPROGRESS`,
/// `EINVAL`, `EISCONN`,
/// `ENETUNREACH`, `ENOTSOCK`, `EPROTOTYPE`, and those of paths.
pub fn connect(ctx: &mut Ctx<'_>, fd: i32, addr: UserAddr, len: i32) -> SysResult {
    let file = ctx.file(fd)?;
    if let Some(socket) = hosted::of(&file) {
        return hosted::connect(ctx, &file, socket, addr, len);
    }
    let socket = of(&file)?;
    let addr = read_addr(ctx, socket.family, addr, len)?;
    if let Addr::Netlink { port, .. } = addr {
        // The kernel is whom it talks to anyway.
        return if port == 0 { Ok(0) } else { Err(ECONNREFUSED.into()) };
    }
    if addr == Addr::Unnamed {
        socket.disconnect();
        return Ok(0);
    }
    if let (Addr::Inet(addr), true) = (&addr, is_udp(socket)) {
        // It may be meant for somebody who is not there yet.
        socket.connect_datagram(*addr)?;
        return Ok(0);
    }
    if let (Addr::Inet(addr), Kind::Stream) = (&addr, socket.kind) {
        landlock::check_port(ctx, addr.port(), LANDLOCK_ACCESS_NET_CONNECT_TCP)?;
    }
    if let Addr::Inet(_) = addr {
        match socket.started_connection() {
            Err(errno) if errno == EALREADY && !file.nonblocking() => {
                return Err(Block::on_file(&file, Ready::WRITABLE).into());
            }
            Ok(Some(())) => return Ok(0),
            other => other?,
        };
    }
    if socket.kind != Kind::Datagram && socket.peer().is_ok() {
        return Err(EISCONN.into());
    }
    if let (Addr::Path(path), Some(_)) = (&addr, host_unix::network())
        && let Found::Name(inode) = find_name(ctx, path)?
    {
        return host_unix::connect(&file, socket, &inode);
    }
    if let (Addr::Inet(_), Kind::Stream, true) = (&addr, socket.kind, file.nonblocking()) {
        socket.start_to_connect(&addr)?;
        return Ok(0);
    }
    let target = find(ctx, socket, &addr)?;
    match socket.connect(&target, &addr) {
        Ok(()) => Ok(0),
        Err(Connecting::Failed(errno)) => Err(errno.into()),
        Err(Connecting::Wait(_)) if file.nonblocking() => Err(EAGAIN.into()),
        Err(Connecting::Wait(queue)) => {
            let block = Block::on_object(ObjectKind::Backlog, file.id(), &queue);
            if socket.family == AF_UNIX {
                return Err(block.into());
            }
            // TCP asks again and again, but not for ever.
            if ctx.timed_out() {
                return Err(ETIMEDOUT.into());
            }
            let patience = bevor_net::options::connect_patience_ns(socket);
            let deadline = ctx.deadline_ns().unwrap_or_else(|| monotonic_ns() + patience);
            Err(block.until(Some(deadline)).into())
        }
    }
}

fn is_udp(socket: &Socket) -> bool {
    socket.kind == Kind::Datagram && matches!(socket.family, AF_INET | AF_INET6)
}

/// `listen(2)`.
///
/// # Errors
/// `EADDRINUSE`, `EBADF`, `EINVAL`, `ENOTSOCK`, `EOPNOTSUPP`.
pub fn listen(ctx: &mut Ctx<'_>, fd: i32, backlog: i32) -> SysResult {
    let file = ctx.file(fd)?;
    if let Some(socket) = hosted::of(&file) {
        socket.listen(backlog)?;
        return Ok(0);
    }
    of(&file)?.listen(backlog)?;
    Ok(0)
}

/// `accept(2)`.
///
/// # Errors
/// As [`accept4`].
pub fn accept(ctx: &mut Ctx<'_>, fd: i32, addr: UserAddr, len: UserAddr) -> SysResult {
    accept4(ctx, fd, addr, len, 0)
}

/// `accept4(2)`.
///
/// # Errors
/// `EAGAIN`, `EBADF`, `EINTR`, `EINVAL`, `EMFILE`, `ENOTSOCK`, `EOPNOTSUPP`.
pub fn accept4(ctx: &mut Ctx<'_>, fd: i32, addr: UserAddr, len: UserAddr, flags: u32) -> SysResult {
    if flags & !(O_NONBLOCK | O_CLOEXEC) != 0 {
        return Err(EINVAL.into());
    }
    let file = ctx.file(fd)?;
    if let Some(socket) = hosted::of(&file) {
        return hosted::accept(ctx, &file, socket, (addr, len), flags);
    }
    let socket = of(&file)?;
    ctx.has_room_for_file()?;
    match socket.accept() {
        Ok(accepted) => {
            let peer = accepted.peer().unwrap_or_default();
            let (family, fd) = (socket.family, install(ctx, accepted, flags)?);
            write_addr(ctx, family, &peer, addr, len)?;
            Ok(u64::from(fd.cast_unsigned()))
        }
        Err(errno) if errno == EAGAIN && !file.nonblocking() => {
            if ctx.timed_out() {
                return Err(EAGAIN.into());
            }
            let timeout = socket.options.lock().receive_timeout_ns;
            let deadline =
                ctx.deadline_ns().or_else(|| timeout.map(|ns| monotonic_ns().saturating_add(ns)));
            Err(Block::on_file(&file, Ready::READABLE).until(deadline).into())
        }
        Err(errno) => Err(errno.into()),
    }
}

/// `shutdown(2)`.
///
/// # Errors
/// `EBADF`, `EINVAL`, `ENOTCONN`, `ENOTSOCK`.
pub fn shutdown(ctx: &mut Ctx<'_>, fd: i32, how: i32) -> SysResult {
    let file = ctx.file(fd)?;
    if let Some(socket) = hosted::of(&file) {
        socket.shutdown(how)?;
        return Ok(0);
    }
    of(&file)?.shutdown(how)?;
    Ok(0)
}

/// `getsockname(2)`.
///
/// # Errors
/// `EBADF`, `EFAULT`, `EINVAL`, `ENOTSOCK`.
pub fn getsockname(ctx: &mut Ctx<'_>, fd: i32, addr: UserAddr, len: UserAddr) -> SysResult {
    let file = ctx.file(fd)?;
    if let Some(socket) = hosted::of(&file) {
        write_addr_bytes(ctx, &socket.local()?, addr, len)?;
        return Ok(0);
    }
    let socket = of(&file)?;
    write_addr(ctx, socket.family, &socket.local(), addr, len)?;
    Ok(0)
}

/// `getpeername(2)`.
///
/// # Errors
/// `EBADF`, `EFAULT`, `EINVAL`, `ENOTCONN`, `ENOTSOCK`.
pub fn getpeername(ctx: &mut Ctx<'_>, fd: i32, addr: UserAddr, len: UserAddr) -> SysResult {
    let file = ctx.file(fd)?;
    if let Some(socket) = hosted::of(&file) {
        write_addr_bytes(ctx, &socket.peer()?, addr, len)?;
        return Ok(0);
    }
    let socket = of(&file)?;
    write_addr(ctx, socket.family, &socket.peer()?, addr, len)?;
    Ok(0)
}

/// `setsockopt(2)`.
///
/// # Errors
/// `EBADF`, `EDOM`, `EFAULT`, `EINVAL`, `ENOPROTOOPT`, `ENOTSOCK`.
pub fn setsockopt(
    ctx: &mut Ctx<'_>,
    fd: i32,
    level: u32,
    option: u32,
    value: UserAddr,
    len: i32,
) -> SysResult {
    let file = ctx.file(fd)?;
    let len = usize::try_from(len).map_err(|_| EINVAL)?.min(4096);
    let mut bytes = vec![0; len];
    ctx.mm().read_bytes(value, &mut bytes)?;
    match hosted::of(&file) {
        Some(_) if host_unix::is_own_option(&file, level, option) => {
            bevor_net::options::set(of(&file)?, level, option, &bytes)?;
        }
        Some(socket) => hosted::set_option(socket, level, option, &bytes)?,
        None => bevor_net::options::set(of(&file)?, level, option, &bytes)?,
    }
    Ok(0)
}

/// `getsockopt(2)`.
///
/// # Errors
/// As [`setsockopt`].
pub fn getsockopt(
    ctx: &mut Ctx<'_>,
    fd: i32,
    level: u32,
    option: u32,
    value: UserAddr,
    len: UserAddr,
) -> SysResult {
    let file = ctx.file(fd)?;
    let room = usize::try_from(ctx.mm().read::<i32>(len)?).map_err(|_| EINVAL)?;
    let bytes = match hosted::of(&file) {
        Some(_) if host_unix::is_own_option(&file, level, option) => {
            bevor_net::options::get(of(&file)?, level, option)?
        }
        Some(socket) => hosted::option(socket, level, option, room)?,
        None => bevor_net::options::get(of(&file)?, level, option)?,
    };
    let shown = bytes.get(..bytes.len().min(room)).unwrap_or_default();
    ctx.mm().write_bytes(value, shown)?;
    ctx.mm().write(len, &i32::try_from(shown.len()).unwrap_or(0))?;
    Ok(0)
}

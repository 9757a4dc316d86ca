//! POSIX message queues: `mq_overview(7)`.

use bevor_abi::Errno;
use bevor_abi::conv::u64_of;
use bevor_abi::errno::{EAGAIN, EBADF, EINVAL, EMSGSIZE, ENOTSOCK, ETIMEDOUT};
use bevor_abi::fcntl::{O_NONBLOCK, PATH_MAX};
use bevor_abi::ipc::{MQ_PRIO_MAX, MqAttr};
use bevor_abi::signal::NSIG;
use bevor_abi::time::{SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, SigeventT};
use bevor_base::WaitQueue;
use bevor_kernel::block::{ObjectKind, Progress};
use bevor_kernel::ipc::MessageSignal;
use bevor_kernel::{Block, Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_net::SocketFile;
use bevor_vfs::caller::Caller;
use bevor_vfs::file::{File, OpenFlags};
use bevor_vfs::mqueue::{Limits, Notifier, QueueFile};
use std::sync::Arc;

use crate::{futex, ipc};

/// Bytes of a cookie (`NOTIFY_COOKIE_LEN` of `linux/mqueue.h`).
const COOKIE_BYTES: usize = 32;
/// A message arrived.
const NOTIFY_WOKENUP: u8 = 1;
/// The registration ended.
const NOTIFY_REMOVED: u8 = 2;

fn read_name(ctx: &Ctx<'_>, name: UserAddr) -> Result<Vec<u8>, Errno> {
    ctx.mm().read_cstr(name, bevor_abi::conv::usize_of_u32(PATH_MAX))
}

/// `mq_open(2)`.
///
/// # Errors
/// `EACCES`, `EEXIST`, `EFAULT`, `EINVAL`, `EMFILE`, `ENAMETOOLONG`, `ENOENT`, `ENOMEM`, `ENOSPC`.
pub fn mq_open(
    ctx: &mut Ctx<'_>,
    name: UserAddr,
    flags: u32,
    mode: u32,
    attr: UserAddr,
) -> SysResult {
    let limits = if attr.is_null() {
        None
    } else {
        let attr: MqAttr = ctx.mm().read(attr)?;
        // What is negative is out of range as zero is.
        let count = |value: i64| u64::try_from(value).unwrap_or(0);
        Some(Limits { messages: count(attr.mq_maxmsg), size_bytes: count(attr.mq_msgsize) })
    };
    let name = read_name(ctx, name)?;
    let namespace = ipc::namespace(ctx);
    let file =
        namespace.queues(ctx.mm().account()).open(ctx, &name, OpenFlags(flags), mode, limits)?;
    let fd = ctx.install(file, true)?;
    Ok(u64::from(fd.cast_unsigned()))
}

/// `mq_unlink(2)`.
///
/// # Errors
/// `EACCES`, `EFAULT`, `ENAMETOOLONG`, `ENOENT`.
pub fn mq_unlink(ctx: &mut Ctx<'_>, name: UserAddr) -> SysResult {
    let name = read_name(ctx, name)?;
    ipc::namespace(ctx).queues(ctx.mm().account()).unlink(ctx, &name)?;
    Ok(0)
}

/// The queue behind a descriptor.
fn queue(file: &File) -> Result<&QueueFile, Errno> {
    file.downcast().ok_or_else(|| EBADF.because("not a message queue"))
}

/// A wait on a queue, or why there is none.
fn wait(
    ctx: &Ctx<'_>,
    file: &File,
    (kind, queue): (ObjectKind, &WaitQueue),
    deadline: Option<u64>,
) -> Result<Block, Errno> {
    if file.nonblocking() {
        return Err(EAGAIN.into());
    }
    if ctx.timed_out() {
        return Err(ETIMEDOUT.into());
    }
    Ok(Block::on_object(kind, file.id(), queue).until(deadline))
}

/// `mq_timedsend(2)`.
///
/// # Errors
/// `EAGAIN`, `EBADF`, `EFAULT`, `EINTR`, `EINVAL`, `EMSGSIZE`, `ENOMEM`, `ETIMEDOUT`.
pub fn mq_timedsend(
    ctx: &mut Ctx<'_>,
    fd: i32,
    text: UserAddr,
    len: usize,
    priority: u32,
    timeout: UserAddr,
) -> SysResult {
    let deadline = futex::absolute_deadline(ctx, timeout.0, true)?;
    if priority >= MQ_PRIO_MAX {
        return Err(EINVAL.because("priority out of range").into());
    }
    let file: Arc<File> = ctx.file(fd)?;
    let queue = queue(&file)?;
    if !file.flags().writable() {
        return Err(EBADF.into());
    }
    if u64_of(len) > queue.queue().limits().size_bytes {
        return Err(EMSGSIZE.into());
    }
    let text = match ctx.resumed().map(|block| &block.progress) {
        Some(Progress::Bytes(text)) => text.clone(),
        _ => {
            let mut bytes = vec![0; len];
            ctx.mm().read_bytes(text, &mut bytes)?;
            bytes
        }
    };
    if queue.send(text.clone(), priority, ctx)? {
        return Ok(0);
    }
    let room = (ObjectKind::QueueRoom, &queue.queue().senders);
    let block = wait(ctx, &file, room, deadline)?;
    Err(block.with_progress(Progress::Bytes(text)).into())
}

/// `mq_timedreceive(2)`.
///
/// # Errors
/// `EAGAIN`, `EBADF`, `EFAULT`, `EINTR`, `EINVAL`, `EMSGSIZE`, `ETIMEDOUT`.
pub fn mq_timedreceive(
    ctx: &mut Ctx<'_>,
    fd: i32,
    text: UserAddr,
    len: usize,
    priority: UserAddr,
    timeout: UserAddr,
) -> SysResult {
    let deadline = futex::absolute_deadline(ctx, timeout.0, true)?;
    let file: Arc<File> = ctx.file(fd)?;
    let queue = queue(&file)?;
    if !file.flags().readable() {
        return Err(EBADF.into());
    }
    if u64_of(len) < queue.queue().limits().size_bytes {
        return Err(EMSGSIZE.into());
    }
    let Some(taken) = queue.receive() else {
        let message = (ObjectKind::QueueMessage, &queue.queue().receivers);
        return Err(wait(ctx, &file, message, deadline)?.into());
    };
    if !priority.is_null() {
        ctx.mm().write(priority, &taken.priority)?;
    }
    ctx.mm().write_bytes(text, &taken.text)?;
    Ok(u64_of(taken.text.len()))
}

/// Telling a process through a netlink socket, from which its C library starts a thread.
struct Cookie {
    process: MessageSignal,
    socket: Arc<File>,
    bytes: [u8; COOKIE_BYTES],
}

impl Cookie {
    fn new(ctx: &Ctx<'_>, event: &SigeventT) -> Result<Self, Errno> {
        let mut bytes = [0; COOKIE_BYTES];
        ctx.mm().read_bytes(UserAddr(event.sigev_value), &mut bytes)?;
        let socket = ctx.file(event.sigev_signo)?;
        let netlink = socket.downcast::<SocketFile>().ok_or(ENOTSOCK)?.0.link().is_some();
        if !netlink {
            return Err(EINVAL.because("not a netlink socket"));
        }
        Ok(Self { process: MessageSignal::new(&ctx.task().group, None), socket, bytes })
    }

    /// Sends the cookie, with what happened in its last byte.
    fn send(&self, what: u8) {
        let mut bytes = self.bytes;
        if let Some(last) = bytes.last_mut() {
            *last = what;
        }
        if let Some(file) = self.socket.downcast::<SocketFile>() {
            bevor_net::netlink::deliver(&file.0, bytes.to_vec());
        }
    }
}

impl Notifier for Cookie {
    fn process(&self) -> u64 {
        self.process.process()
    }

    fn is_alive(&self) -> bool {
        self.process.is_alive()
    }

    fn shown(&self) -> (u32, i32, i32) {
        (SIGEV_THREAD, 0, self.process.shown().2)
    }

    fn arrived(&self, _sender: &dyn Caller) {
        self.send(NOTIFY_WOKENUP);
    }

    fn removed(&self) {
        self.send(NOTIFY_REMOVED);
    }
}

/// `mq_notify(2)`.
///
/// # Errors
/// `EBADF`, `EBUSY`, `EFAULT`, `EINVAL`.
pub fn mq_notify(ctx: &mut Ctx<'_>, fd: i32, event: UserAddr) -> SysResult {
    let event = if event.is_null() { None } else { Some(ctx.mm().read::<SigeventT>(event)?) };
    let group = &ctx.task().group;
    let notifier: Option<Arc<dyn Notifier>> = match &event {
        None => None,
        Some(event) => Some(match event.sigev_notify {
            SIGEV_NONE => Arc::new(MessageSignal::new(group, None)),
            SIGEV_SIGNAL if (0..=NSIG.cast_signed()).contains(&event.sigev_signo) => {
                let signal = (event.sigev_signo, event.sigev_value);
                Arc::new(MessageSignal::new(group, Some(signal)))
            }
            SIGEV_THREAD => Arc::new(Cookie::new(ctx, event)?),
            _ => return Err(EINVAL.because("unknown kind of notification").into()),
        }),
    };
    let file = ctx.file(fd)?;
    let queue = queue(&file)?;
    match notifier {
        Some(notifier) => queue.queue().register(notifier)?,
        None => queue.queue().unregister(group.id()),
    }
    Ok(0)
}

/// `mq_getsetattr(2)`.
///
/// # Errors
/// `EBADF`, `EFAULT`, `EINVAL`.
pub fn mq_getsetattr(ctx: &mut Ctx<'_>, fd: i32, new: UserAddr, old: UserAddr) -> SysResult {
    let nonblock = i64::from(O_NONBLOCK);
    let wanted = if new.is_null() { None } else { Some(ctx.mm().read::<MqAttr>(new)?.mq_flags) };
    if wanted.is_some_and(|flags| flags & !nonblock != 0) {
        return Err(EINVAL.because("flags other than O_NONBLOCK").into());
    }
    let file = ctx.file(fd)?;
    let queue = queue(&file)?.queue();
    let limits = queue.limits();
    let answer = MqAttr {
        mq_flags: if file.nonblocking() { nonblock } else { 0 },
        mq_maxmsg: limits.messages.cast_signed(),
        mq_msgsize: limits.size_bytes.cast_signed(),
        mq_curmsgs: queue.len().cast_signed(),
        ..MqAttr::default()
    };
    if let Some(flags) = wanted {
        let kept = file.flags().0 & !O_NONBLOCK;
        let added = if flags & nonblock != 0 { O_NONBLOCK } else { 0 };
        file.set_status(OpenFlags(kept | added));
    }
    if !old.is_null() {
        ctx.mm().write(old, &answer)?;
    }
    Ok(0)
}

/// Notes that a process closed a descriptor of a queue: it is told of nothing any more.
pub(crate) fn closed(ctx: &Ctx<'_>, file: &File) {
    if let Some(queue) = file.downcast::<QueueFile>() {
        queue.queue().unregister(ctx.task().group.id());
    }
}

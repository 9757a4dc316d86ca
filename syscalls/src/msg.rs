//! System V messages: `msgget(2)`, `msgsnd(2)`, `msgrcv(2)`, `msgctl(2)`.

use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_RESOURCE;
use bevor_abi::conv::{u64_of, usize_of};
use bevor_abi::errno::{EAGAIN, EIDRM, EINVAL, ENOMSG, EPERM};
use bevor_abi::ipc::{
    IPC_INFO, IPC_NOWAIT, IPC_RMID, IPC_SET, IPC_STAT, MSG_COPY, MSG_EXCEPT, MSG_INFO, MSG_NOERROR,
    MSG_STAT, MSG_STAT_ANY, MSGMAX, MSGMNB, MSGMNI, Msginfo, Msqid64Ds,
};
use bevor_kernel::block::ObjectKind;
use bevor_kernel::ipc::{Message, MessageQueue, Permissions, Select, now_seconds};
use bevor_kernel::{Block, Ctx, Restart, SysResult};
use bevor_memory::UserAddr;
use std::sync::Arc;

use crate::ipc;

/// Permission bits: send, and receive or look.
const WRITE: u32 = 0o222;
const READ: u32 = 0o444;
/// Bytes of the type before a message's text.
const TYPE_BYTES: u64 = 8;

/// `msgget(2)`.
///
/// # Errors
/// `EACCES`, `EEXIST`, `ENOENT`, `ENOSPC`.
pub fn msgget(ctx: &mut Ctx<'_>, key: i32, flags: u32) -> SysResult {
    let (namespace, cred) = (ipc::namespace(ctx), ctx.task().cred());
    let account = ctx.mm().account();
    let id = namespace.messages.lock().find_or_make(
        key,
        flags,
        |queue: &MessageQueue| queue.state().permissions.check(&cred, &namespace, flags),
        |id, seq| {
            let permissions = Permissions::new(key, flags, seq, &cred);
            Ok(MessageQueue::new(id, permissions, account))
        },
    )?;
    Ok(u64::from(id.cast_unsigned()))
}

/// The queue of this id; one that was there when the call began to wait is `EIDRM`.
fn queue(ctx: &Ctx<'_>, id: i32, wanted: u32) -> Result<Arc<MessageQueue>, Errno> {
    let namespace = ipc::namespace(ctx);
    let found = namespace.messages.lock().get(id);
    let queue =
        found.map_err(|errno| if ctx.resumed().is_some() { EIDRM.into() } else { errno })?;
    queue.state().permissions.check(&ctx.task().cred(), &namespace, wanted)?;
    Ok(queue)
}

/// A wait for the queue to change; signals always end it.
fn wait(queue: &MessageQueue) -> Block {
    let object = u64::from(queue.id.cast_unsigned());
    Block::on_object(ObjectKind::Messages, object, &queue.queue).restarting(Restart::Never)
}

/// `msgsnd(2)`.
///
/// # Errors
/// `EACCES`, `EAGAIN`, `EFAULT`, `EIDRM`, `EINTR`, `EINVAL`, `ENOMEM`.
pub fn msgsnd(ctx: &mut Ctx<'_>, id: i32, message: UserAddr, size: u64, flags: u32) -> SysResult {
    let kind: i64 = ctx.mm().read(message)?;
    if size > MSGMAX.into() || kind < 1 {
        return Err(EINVAL.into());
    }
    let mut text = vec![0; usize_of(size)];
    ctx.mm().read_bytes(message.add(TYPE_BYTES)?, &mut text)?;
    let queue = queue(ctx, id, WRITE)?;
    match queue.send(Message { kind, text }, ctx.task().tgid())? {
        None => Ok(0),
        Some(_) if flags & IPC_NOWAIT != 0 => Err(EAGAIN.into()),
        Some(_) => Err(wait(&queue).into()),
    }
}

/// `msgrcv(2)`: returns the length of the text.
///
/// # Errors
/// `E2BIG`, `EACCES`, `EFAULT`, `EIDRM`, `EINTR`, `EINVAL`, `ENOMSG`.
pub fn msgrcv(
    ctx: &mut Ctx<'_>,
    id: i32,
    message: UserAddr,
    size: u64,
    kind: i64,
    flags: u32,
) -> SysResult {
    if id < 0 || size > i64::MAX.cast_unsigned() {
        return Err(EINVAL.into());
    }
    let copies = flags & MSG_COPY != 0;
    if copies && (flags & MSG_EXCEPT != 0 || flags & IPC_NOWAIT == 0) {
        return Err(EINVAL.into());
    }
    let select = match kind {
        0 => Select::First,
        1.. if flags & MSG_EXCEPT != 0 => Select::Not(kind),
        1.. => Select::Kind(kind),
        _ => Select::UpTo(kind.checked_neg().unwrap_or(i64::MAX)),
    };
    let queue = queue(ctx, id, READ)?;
    let (room, cut) = (usize_of(size), flags & MSG_NOERROR != 0);
    let received = if copies {
        queue.peek(usize::try_from(kind).unwrap_or(usize::MAX), room, cut)?
    } else {
        queue.receive(select, room, cut, ctx.task().tgid())?
    };
    let Some(received) = received else {
        if flags & IPC_NOWAIT != 0 {
            return Err(ENOMSG.into());
        }
        return Err(wait(&queue).into());
    };
    ctx.mm().write(message, &received.kind)?;
    ctx.mm().write_bytes(message.add(TYPE_BYTES)?, &received.text)?;
    Ok(u64_of(received.text.len()))
}

/// `msgctl(2)`.
///
/// # Errors
/// `EACCES`, `EFAULT`, `EINVAL`, `EPERM`.
pub fn msgctl(ctx: &mut Ctx<'_>, id: i32, command: u32, buf: UserAddr) -> SysResult {
    let namespace = ipc::namespace(ctx);
    let cred = ctx.task().cred();
    let command = ipc::command(command);
    match command {
        IPC_INFO | MSG_INFO => return info(ctx, buf, command == MSG_INFO),
        MSG_STAT | MSG_STAT_ANY => {
            let (id, queue) = namespace.messages.lock().at_index(id)?;
            if command == MSG_STAT {
                queue.state().permissions.check(&cred, &namespace, READ)?;
            }
            stat(ctx, &queue, buf)?;
            return Ok(u64::from(id.cast_unsigned()));
        }
        _ => {}
    }
    let queue = namespace.messages.lock().get(id)?;
    match command {
        IPC_STAT => {
            queue.state().permissions.check(&cred, &namespace, READ)?;
            stat(ctx, &queue, buf)?;
        }
        IPC_SET => {
            let wanted: Msqid64Ds = ctx.mm().read(buf)?;
            let (uid, gid, mode) = ipc::given(ctx, &wanted.msg_perm)?;
            {
                let mut state = queue.state();
                state.permissions.check_owner(&cred, &namespace)?;
                if wanted.msg_qbytes > MSGMNB.into() && !cred.has_cap(CAP_SYS_RESOURCE) {
                    return Err(EPERM.into());
                }
                state.permissions.set(uid, gid, mode);
                state.most_bytes = wanted.msg_qbytes;
                state.ctime = now_seconds();
            }
            queue.changed();
        }
        IPC_RMID => {
            queue.state().permissions.check_owner(&cred, &namespace)?;
            namespace.messages.lock().remove(id);
            queue.end();
        }
        _ => return Err(EINVAL.into()),
    }
    Ok(0)
}

fn stat(ctx: &Ctx<'_>, queue: &MessageQueue, out: UserAddr) -> Result<(), Errno> {
    let answer = {
        let state = queue.state();
        Msqid64Ds {
            msg_perm: ipc::shown(ctx, &state.permissions),
            msg_stime: state.stime,
            msg_rtime: state.rtime,
            msg_ctime: state.ctime,
            msg_cbytes: state.bytes,
            msg_qnum: u64_of(state.len()),
            msg_qbytes: state.most_bytes,
            msg_lspid: state.lspid,
            msg_lrpid: state.lrpid,
            ..Msqid64Ds::default()
        }
    };
    ctx.mm().write(out, &answer)
}

fn info(ctx: &Ctx<'_>, out: UserAddr, usage: bool) -> SysResult {
    let namespace = ipc::namespace(ctx);
    let (queues, messages, bytes, highest) = {
        let table = namespace.messages.lock();
        let each = table.all().map(|queue| {
            let state = queue.state();
            (state.len(), state.bytes)
        });
        let sum = each.fold((0, 0), |sum: (usize, u64), one| (sum.0 + one.0, sum.1 + one.1));
        (table.len(), sum.0, sum.1, table.highest_index())
    };
    let number = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
    let mut answer = Msginfo {
        msgpool: (MSGMNI * (MSGMNB / 1024)).cast_signed(),
        msgmap: MSGMNB.cast_signed(),
        msgmax: MSGMAX.cast_signed(),
        msgmnb: MSGMNB.cast_signed(),
        msgmni: MSGMNI.cast_signed(),
        msgssz: 16,
        msgtql: MSGMNB.cast_signed(),
        msgseg: 0xffff,
        pad0: 0,
    };
    if usage {
        answer.msgpool = number(u64_of(queues));
        answer.msgmap = number(u64_of(messages));
        answer.msgtql = number(bytes);
    }
    ctx.mm().write(out, &answer)?;
    Ok(highest.into())
}

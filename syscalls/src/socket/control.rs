//! Control messages: what travels beside the bytes of a message (`cmsg(3)`).

use bevor_abi::Errno;
use bevor_abi::cap::{CAP_NET_ADMIN, CAP_NET_RAW};
use bevor_abi::errno::{EBADF, EINVAL, ENOBUFS, EPERM};
use bevor_abi::socket::{AF_UNIX, Cmsghdr, Msghdr, Ucred};
use bevor_kernel::Ctx;
use bevor_memory::UserAddr;
use bevor_net::channel::Taken;
use bevor_net::{Ancillary, Kind, Socket};
use zerocopy::{FromBytes, IntoBytes};

const MSG_CTRUNC: u32 = 8;
const MSG_CMSG_CLOEXEC: u32 = 0x4000_0000;
const SOL_SOCKET: u32 = 1;
const SCM_RIGHTS: u32 = 1;
const SCM_CREDENTIALS: u32 = 2;
const SO_MARK: u32 = 36;
const SO_TIMESTAMPING: u32 = 37;
/// Most descriptors of one message (`SCM_MAX_FD`).
const SCM_MAX_FD: usize = 253;
/// Most bytes of control messages.
const MAX_CONTROL: u64 = 1 << 16;

/// Reads what a sender gave along, a place and its length.
///
/// # Errors
/// `EBADF`, `EFAULT`, `EINVAL`, `ENOBUFS`, `EPERM`.
pub fn read(
    ctx: &Ctx<'_>,
    socket: &Socket,
    (at, len): (UserAddr, u64),
    ancillary: &mut Ancillary,
) -> Result<(), Errno> {
    if len > MAX_CONTROL {
        return Err(ENOBUFS.into());
    }
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| EINVAL)?];
    ctx.mm().read_bytes(at, &mut bytes)?;
    for message in (Messages { rest: &bytes }) {
        let Message { level, kind, data } = message?;
        match (level, socket.family) {
            (SOL_SOCKET, AF_UNIX) => take_unix(ctx, kind, data, ancillary)?,
            (SOL_SOCKET, _) => check_general(ctx, kind, data)?,
            (_, AF_UNIX) => {}
            _ if socket.kind == Kind::Datagram => {
                ancillary.packet.take(socket, level, kind, data)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// One control message of a sender.
#[derive(Debug)]
struct Message<'a> {
    level: u32,
    kind: u32,
    data: &'a [u8],
}

/// The control messages in a sender's bytes (`for_each_cmsghdr`); ends after one that is malformed.
struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Errno>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        let (head, _) = Cmsghdr::read_from_prefix(rest).ok()?;
        let whole = usize::try_from(head.cmsg_len).ok();
        let data = whole.and_then(|whole| rest.get(size_of::<Cmsghdr>()..whole));
        let (Some(whole), Some(data)) = (whole, data) else { return Some(Err(EINVAL.into())) };
        self.rest = rest.get(whole.next_multiple_of(8)..).unwrap_or_default();
        Some(Ok(Message { level: head.cmsg_level, kind: head.cmsg_type, data }))
    }
}

fn take_unix(
    ctx: &Ctx<'_>,
    kind: u32,
    data: &[u8],
    ancillary: &mut Ancillary,
) -> Result<(), Errno> {
    match kind {
        SCM_RIGHTS => {
            for fd in data.chunks_exact(4) {
                let fd = fd.try_into().map(i32::from_ne_bytes).map_err(|_| EINVAL)?;
                ancillary.files.push(ctx.files().get_any(fd).map_err(|_| EBADF)?);
            }
            if ancillary.files.len() > SCM_MAX_FD {
                return Err(EINVAL.because("too many descriptors"));
            }
        }
        SCM_CREDENTIALS => {
            let cred = Ucred::read_from_bytes(data).map_err(|_| EINVAL)?;
            ancillary.cred = Some(check_cred(ctx, cred)?);
        }
        _ => return Err(EINVAL.into()),
    }
    Ok(())
}

/// What every other family takes, to no effect on a loopback.
fn check_general(ctx: &Ctx<'_>, kind: u32, data: &[u8]) -> Result<(), Errno> {
    let privileged = || {
        let cred = ctx.task().cred();
        cred.has_cap(CAP_NET_ADMIN) || cred.has_cap(CAP_NET_RAW)
    };
    match kind {
        SCM_RIGHTS | SCM_CREDENTIALS => Ok(()),
        SO_MARK if !privileged() => Err(EPERM.into()),
        SO_MARK | SO_TIMESTAMPING if data.len() == 4 => Ok(()),
        _ => Err(EINVAL.into()),
    }
}

/// Who may claim which credentials (`unix(7)`).
fn check_cred(ctx: &Ctx<'_>, claimed: Ucred) -> Result<Ucred, Errno> {
    let cred = ctx.task().cred();
    /// `CAP_SETGID`, `CAP_SETUID`, `CAP_SYS_ADMIN`.
    const CAP_SETGID: u32 = 6;
    const CAP_SETUID: u32 = 7;
    const CAP_SYS_ADMIN: u32 = 21;
    let uid_ok = [cred.ruid, cred.euid, cred.suid].contains(&claimed.uid);
    let gid_ok = [cred.rgid, cred.egid, cred.sgid].contains(&claimed.gid);
    let pid_ok = claimed.pid == ctx.task().tgid();
    if (uid_ok || cred.has_cap(CAP_SETUID))
        && (gid_ok || cred.has_cap(CAP_SETGID))
        && (pid_ok || cred.has_cap(CAP_SYS_ADMIN))
    {
        Ok(claimed)
    } else {
        Err(EPERM.into())
    }
}

/// The control messages a receiver gets.
struct Out {
    bytes: Vec<u8>,
    room: usize,
    /// [`MSG_CTRUNC`] if something did not fit.
    truncated: u32,
}

impl Out {
    /// Adds a message, cut to the room left (`put_cmsg`).
    fn put(&mut self, level: u32, kind: u32, data: &[u8]) {
        let head = size_of::<Cmsghdr>();
        let left = self.room.saturating_sub(self.bytes.len());
        if left < head {
            self.truncated = MSG_CTRUNC;
            return;
        }
        let wanted = head + data.len();
        let length = wanted.min(left);
        if length < wanted {
            self.truncated = MSG_CTRUNC;
        }
        let end = self.bytes.len() + wanted.next_multiple_of(8).min(left);
        let message = Cmsghdr { cmsg_len: length as u64, cmsg_level: level, cmsg_type: kind };
        self.bytes.extend_from_slice(message.as_bytes());
        self.bytes.extend_from_slice(data.get(..length - head).unwrap_or_default());
        self.bytes.resize(end, 0);
    }
}

/// Writes control messages; answers the bytes used and `MSG_CTRUNC` if something did not fit.
///
/// # Errors
/// `EFAULT`.
pub fn write(
    ctx: &Ctx<'_>,
    socket: &Socket,
    taken: &mut Taken,
    header: &Msghdr,
    flags: u32,
) -> Result<(u64, u32), Errno> {
    let head = size_of::<Cmsghdr>();
    let room = match header.msg_control {
        0 => 0,
        _ => usize::try_from(header.msg_controllen.min(MAX_CONTROL)).unwrap_or(0),
    };
    let mut out = Out { bytes: Vec::new(), room, truncated: 0 };
    if let Some(report) = &taken.report {
        let message = report.control(socket.family);
        out.put(message.level, message.kind, &message.data);
    }
    // A report has no headers of its own.
    let packet = taken.report.is_none().then_some(taken.ancillary.packet);
    for message in packet.into_iter().flat_map(|packet| packet.messages(socket)) {
        out.put(message.level, message.kind, &message.data);
    }
    if socket.options.lock().pass_cred {
        let nobody = Ucred { pid: 0, uid: 65_534, gid: 65_534 };
        let cred = taken.ancillary.cred.unwrap_or(nobody);
        out.put(SOL_SOCKET, SCM_CREDENTIALS, cred.as_bytes());
    }
    let files = std::mem::take(&mut taken.ancillary.files);
    if !files.is_empty() {
        let fit = room.saturating_sub(out.bytes.len() + head) / 4;
        if fit < files.len() {
            out.truncated = MSG_CTRUNC;
        }
        let mut fds = Vec::new();
        for file in files.into_iter().take(fit) {
            match ctx.install(file, flags & MSG_CMSG_CLOEXEC != 0) {
                Ok(fd) => fds.extend_from_slice(&fd.to_ne_bytes()),
                Err(_) => {
                    out.truncated = MSG_CTRUNC;
                    break;
                }
            }
        }
        if !fds.is_empty() {
            out.put(SOL_SOCKET, SCM_RIGHTS, &fds);
        }
    }
    if !out.bytes.is_empty() {
        ctx.mm().write_bytes(UserAddr(header.msg_control), &out.bytes)?;
    }
    Ok((out.bytes.len() as u64, out.truncated))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A control message: what it claims to be long, and its data.
    fn message() -> impl Strategy<Value = Vec<u8>> {
        let claim =
            prop_oneof![Just(0), 0..64_u64, Just(u64::MAX), Just(u64::MAX - 7), any::<u64>()];
        let data = prop::collection::vec(any::<u8>(), 0..40);
        (prop::option::weighted(0.2, claim), any::<u32>(), data).prop_map(|(claim, kind, data)| {
            let len = claim.unwrap_or((size_of::<Cmsghdr>() + data.len()) as u64);
            let head = Cmsghdr { cmsg_len: len, cmsg_level: SOL_SOCKET, cmsg_type: kind };
            let mut bytes = head.as_bytes().to_vec();
            bytes.extend(data);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn any_messages_are_read_to_their_end(
            messages in prop::collection::vec(message(), 0..6),
            cut in 0..20_usize,
            raw: Vec<u8>,
        ) {
            let mut bytes = messages.concat();
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            for bytes in [bytes, raw] {
                // Each takes a head at least, so that there are no more than this.
                let most = bytes.len() / size_of::<Cmsghdr>();
                let all: Vec<_> = Messages { rest: &bytes }.take(most + 1).collect();
                prop_assert!(all.len() <= most);
                let whole = all.iter().flatten().map(|message| message.data.len());
                prop_assert!(whole.sum::<usize>() <= bytes.len());
                let bad = all.iter().position(Result::is_err);
                prop_assert!(bad.is_none_or(|at| at + 1 == all.len()));
            }
        }
    }
}

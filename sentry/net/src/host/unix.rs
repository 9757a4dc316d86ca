//! Unix sockets of the host (`--host-uds`).
//!
//! The gofer connects and binds them, because it alone knows paths, and donates them. What follows is
//! as for other sockets of the host. No descriptor crosses the border: a guest's would mean nothing
//! outside, and the host's would be a way past the sentry.

use crate::host::control::{next, put};
use crate::host::{HostSocket, Network, calls, options};
use crate::socket::Kind;
use bevor_abi::Errno;
use bevor_abi::socket::{
    AF_UNIX, Cmsghdr, MSG_CTRUNC, SCM_CREDENTIALS, SCM_RIGHTS, SO_PASSCRED, SO_RCVBUF, SO_SNDBUF,
    SOL_SOCKET, Ucred,
};
use bevor_base::WaitQueue;
use bevor_memory::Incoming;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

static NETWORK: OnceLock<Arc<Network>> = OnceLock::new();

/// Lets guests use unix sockets of the host where the gofer gives them.
pub fn allow(network: Arc<Network>) {
    // Only the first start counts; there is one.
    let _ = NETWORK.set(network);
}

/// What watches them, if they are allowed.
pub fn network() -> Option<&'static Arc<Network>> {
    NETWORK.get()
}

/// Bytes of a message with credentials and its padding (`CMSG_SPACE`).
const CRED_SPACE: usize = (size_of::<Cmsghdr>() + size_of::<Ucred>()).next_multiple_of(8);

/// What a unix socket has more than other sockets of the host.
pub(super) struct Unix {
    /// Its own address, as the guest named it: the host knows it by a name of the gofer's.
    pub(super) local: Vec<u8>,
    /// User and group of the other end, where the gofer told.
    pub(super) peer: Option<(u32, u32)>,
    /// `SO_PASSCRED`.
    wants_cred: AtomicBool,
    /// The host was asked for credentials at some time.
    has_cred: AtomicBool,
}

impl Unix {
    const fn new(local: Vec<u8>, peer: Option<(u32, u32)>) -> Self {
        let (wants_cred, has_cred) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { local, peer, wants_cred, has_cred }
    }

    /// That of a socket that was accepted: the host hands `SO_PASSCRED` on, too.
    pub(super) fn accepted(&self) -> Self {
        let new = Self::new(self.local.clone(), None);
        new.wants_cred.store(self.wants_cred(), Ordering::Release);
        new.has_cred.store(self.has_cred.load(Ordering::Acquire), Ordering::Release);
        new
    }

    pub(super) fn wants_cred(&self) -> bool {
        self.wants_cred.load(Ordering::Acquire)
    }

    /// Sets `SO_PASSCRED`. Wanted: after the host was asked.
    pub(super) fn want_cred(&self, wanted: bool) {
        self.wants_cred.store(wanted, Ordering::Release);
        if wanted {
            self.has_cred.store(true, Ordering::Release);
        }
    }

    /// Room for control messages that the host is shown: exactly for the credentials, which come first
    /// and always once they were asked for. Nothing is left in which the host could put descriptors,
    /// so that it throws them away and tells (`MSG_CTRUNC`).
    pub(super) fn control_room(&self) -> usize {
        if self.has_cred.load(Ordering::Acquire) { CRED_SPACE } else { 0 }
    }
}

/// Makes what came beside a message what a guest with `room` for it is shown.
pub(super) fn show(unix: &Unix, room: usize, message: &mut Incoming) {
    let control = std::mem::take(&mut message.control);
    let mut rest = control.as_slice();
    while let Some(Ok(one)) = next(&mut rest) {
        match (one.level, one.kind) {
            (SOL_SOCKET, SCM_CREDENTIALS) if unix.wants_cred() => {
                put(&mut message.control, &one);
                message.control.resize(CRED_SPACE.max(message.control.len()), 0);
            }
            // There is no room for any; should the host find some, none stays open.
            (SOL_SOCKET, SCM_RIGHTS) => {
                calls::close_received(one.data);
                message.flags |= MSG_CTRUNC.cast_signed();
            }
            _ => {}
        }
    }
    if message.control.len() > room {
        message.control.truncate(room);
        message.flags |= MSG_CTRUNC.cast_signed();
    }
}

/// What the guest asked of a socket before it became one of the host's.
#[derive(Clone, Debug, Default)]
pub struct Before {
    /// `SO_PASSCRED`.
    pub pass_cred: bool,
    /// `SO_RCVTIMEO`.
    pub receive_timeout_ns: Option<u64>,
    /// `SO_SNDTIMEO`.
    pub send_timeout_ns: Option<u64>,
    /// `SO_SNDBUF` as it was given.
    pub send_bytes: Option<i32>,
    /// `SO_RCVBUF` as it was given.
    pub receive_bytes: Option<i32>,
}

impl HostSocket {
    /// A unix socket that `donate` gets from the gofer, with user and group of the other end. Those who
    /// wait for it are in `queue`; `local` is its address.
    ///
    /// # Errors
    /// `ENFILE`, those of `donate`; what the host answers.
    pub fn unix(
        kind: Kind,
        queue: WaitQueue,
        local: Vec<u8>,
        before: &Before,
        donate: impl FnOnce(&Arc<Network>) -> Result<(OwnedFd, Option<(u32, u32)>), Errno>,
    ) -> Result<Self, Errno> {
        let network = network().ok_or(bevor_abi::errno::ECONNREFUSED)?;
        let (fd, peer) = Self::counted(network, || donate(network))?;
        let mut socket = Self::around(network, fd, (AF_UNIX, kind, 0), queue);
        socket.unix = Some(Unix::new(local, peer));
        let kept = socket.kept.get_mut();
        kept.receive_timeout_ns = before.receive_timeout_ns;
        kept.send_timeout_ns = before.send_timeout_ns;
        let pass_cred = before.pass_cred.then_some(1);
        for (option, value) in [
            (SO_PASSCRED, pass_cred),
            (SO_SNDBUF, before.send_bytes),
            (SO_RCVBUF, before.receive_bytes),
        ] {
            if let Some(value) = value {
                options::set(&socket, SOL_SOCKET, option, &value.to_ne_bytes())?;
            }
        }
        Ok(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::control::Message;

    fn message(kind: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, &Message { level: SOL_SOCKET, kind, data });
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    #[test]
    fn descriptors_of_the_host_are_closed_and_never_shown() {
        use std::io::Read;
        use std::os::fd::IntoRawFd;

        let (mut reader, writer) = std::io::pipe().unwrap();
        let number = writer.into_raw_fd();
        let unix = Unix::new(Vec::new(), None);
        let mut incoming = Incoming::bytes_only(0);
        incoming.control = message(SCM_RIGHTS, &number.to_ne_bytes());
        show(&unix, 4096, &mut incoming);
        assert!(incoming.control.is_empty());
        assert_eq!(incoming.flags.cast_unsigned() & MSG_CTRUNC, MSG_CTRUNC);
        // The only writing end is closed.
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn credentials_are_shown_to_those_who_want_them() {
        let unix = Unix::new(Vec::new(), None);
        let cred = message(SCM_CREDENTIALS, &[0; 12]);
        assert_eq!(cred.len(), CRED_SPACE);
        assert_eq!(unix.control_room(), 0);
        unix.want_cred(true);
        assert_eq!(unix.control_room(), CRED_SPACE);
        let mut incoming = Incoming::bytes_only(0);
        incoming.control = cred.clone();
        show(&unix, 4096, &mut incoming);
        assert_eq!((&incoming.control, incoming.flags), (&cred, 0));
        show(&unix, 20, &mut incoming);
        assert_eq!(incoming.control.len(), 20);
        assert_eq!(incoming.flags.cast_unsigned(), MSG_CTRUNC);
        // The host goes on to tell, in the same room.
        unix.want_cred(false);
        assert_eq!(unix.control_room(), CRED_SPACE);
        incoming = Incoming::bytes_only(0);
        incoming.control = cred;
        show(&unix, 4096, &mut incoming);
        assert!(incoming.control.is_empty());
    }
}

//! Control messages between guests and sockets of the host: only the kinds listed here pass.

use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, ENOBUFS};
use bevor_abi::inet::{
    IP_PKTINFO, IP_RECVERR, IP_TOS, IP_TTL, IPV6_HOPLIMIT, IPV6_PKTINFO, IPV6_RECVERR, IPV6_TCLASS,
};
use bevor_abi::socket::{
    Cmsghdr, SCM_CREDENTIALS, SCM_RIGHTS, SO_RXQ_OVFL, SO_TIMESTAMP_NEW, SO_TIMESTAMP_OLD,
    SO_TIMESTAMPNS_NEW, SO_TIMESTAMPNS_OLD, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_UDP,
};
use zerocopy::{FromBytes, IntoBytes};

/// Most bytes of control messages in one call.
pub const MAX_BYTES: usize = 4096;

/// Bytes of the head of a control message.
const HEAD: usize = size_of::<Cmsghdr>();

/// One control message.
pub(super) struct Message<'a> {
    pub(super) level: u32,
    pub(super) kind: u32,
    pub(super) data: &'a [u8],
}

/// Takes the first message off `bytes`; `None` when less than a head is left.
pub(super) fn next<'a>(bytes: &mut &'a [u8]) -> Option<Result<Message<'a>, Errno>> {
    let (head, _) = Cmsghdr::read_from_prefix(bytes).ok()?;
    let whole = usize::try_from(head.cmsg_len).unwrap_or(usize::MAX);
    let Some(data) = bytes.get(HEAD..whole) else {
        *bytes = &[];
        return Some(Err(EINVAL.because("control message of impossible length")));
    };
    *bytes = bytes.get(whole.next_multiple_of(8)..).unwrap_or_default();
    Some(Ok(Message { level: head.cmsg_level, kind: head.cmsg_type, data }))
}

pub(super) fn put(to: &mut Vec<u8>, message: &Message<'_>) {
    to.resize(to.len().next_multiple_of(8), 0);
    let len = (HEAD + message.data.len()) as u64;
    let head = Cmsghdr { cmsg_len: len, cmsg_level: message.level, cmsg_type: message.kind };
    to.extend_from_slice(head.as_bytes());
    to.extend_from_slice(message.data);
}

/// What of a guest's control messages goes to the host.
///
/// # Errors
/// `EINVAL` for a kind that is not passed or a bad length, `ENOBUFS` for too many.
pub fn outgoing(mut bytes: &[u8]) -> Result<Vec<u8>, Errno> {
    if bytes.len() > MAX_BYTES {
        return Err(ENOBUFS.into());
    }
    let mut passed = Vec::new();
    while let Some(message) = next(&mut bytes) {
        let message = message?;
        let fits = match (message.level, message.kind) {
            // As on Linux, only unix sockets care.
            (SOL_SOCKET, SCM_RIGHTS | SCM_CREDENTIALS) => continue,
            (SOL_IP, IP_TOS) => matches!(message.data.len(), 1 | 4),
            (SOL_IP, IP_TTL) | (SOL_IPV6, IPV6_HOPLIMIT | IPV6_TCLASS) => message.data.len() == 4,
            (SOL_IP, IP_PKTINFO) => message.data.len() == 12,
            (SOL_IPV6, IPV6_PKTINFO) => message.data.len() == 20,
            (SOL_SOCKET | SOL_IP | SOL_IPV6 | SOL_UDP, _) => false,
            // Other protocols' are not looked at.
            _ => continue,
        };
        if !fits {
            return Err(EINVAL.because("control message that is not passed to the host"));
        }
        put(&mut passed, &message);
    }
    Ok(passed)
}

/// What of the host's control messages a guest is shown.
#[must_use]
pub fn incoming(mut bytes: &[u8]) -> Vec<u8> {
    let all = bytes.len();
    let mut shown = Vec::new();
    while let Some(Ok(message)) = next(&mut bytes) {
        let known = match message.level {
            SOL_SOCKET => matches!(
                message.kind,
                SO_TIMESTAMP_OLD
                    | SO_TIMESTAMPNS_OLD
                    | SO_TIMESTAMP_NEW
                    | SO_TIMESTAMPNS_NEW
                    | SO_RXQ_OVFL
            ),
            SOL_IP => matches!(message.kind, IP_PKTINFO | IP_TTL | IP_TOS | IP_RECVERR),
            SOL_IPV6 => {
                matches!(message.kind, IPV6_PKTINFO | IPV6_HOPLIMIT | IPV6_TCLASS | IPV6_RECVERR)
            }
            _ => false,
        };
        if known {
            put(&mut shown, &message);
        }
    }
    // The host counts the padding of the last one, too, where there was room.
    let padded = shown.len().next_multiple_of(8).min(all);
    shown.resize(padded.max(shown.len()), 0);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(level: u32, kind: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, &Message { level, kind, data });
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    #[test]
    fn listed_kinds_pass_and_others_do_not() {
        let ttl = message(SOL_IP, IP_TTL, &[7, 0, 0, 0]);
        let rights = message(SOL_SOCKET, SCM_RIGHTS, &[0; 4]);
        let both = [rights.clone(), ttl.clone()].concat();
        assert_eq!(outgoing(&both).unwrap(), ttl[..20]);
        assert_eq!(incoming(&both), ttl);
        // UDP_SEGMENT, SO_TXTIME, IP_RETOPTS.
        for (level, kind) in [(SOL_UDP, 103), (SOL_SOCKET, 61), (SOL_IP, 7)] {
            assert!(outgoing(&message(level, kind, &[0; 8])).is_err(), "{level} {kind}");
            assert!(incoming(&message(level, kind, &[0; 8])).is_empty(), "{level} {kind}");
        }
        assert!(outgoing(&message(SOL_IP, IP_PKTINFO, &[0; 4])).is_err());
    }

    fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
        let level = prop_oneof![Just(SOL_IP), Just(SOL_SOCKET), Just(SOL_IPV6), any::<u32>()];
        let kind = prop_oneof![0_u32..70, any::<u32>()];
        let one = (level, kind, prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(level, kind, data)| message(level, kind, &data));
        let many = prop::collection::vec(one, 0..6).prop_map(|all| all.concat());
        // Some of them damaged: a byte changed, the end cut.
        (many, any::<prop::sample::Index>(), any::<u8>(), any::<bool>()).prop_map(
            |(mut bytes, at, value, damaged)| {
                if damaged && !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = value;
                    bytes.truncate(bytes.len() - usize::from(value) % bytes.len());
                }
                bytes
            },
        )
    }

    proptest! {
        #[test]
        fn whatever_comes_what_passes_is_well_formed(bytes in some_bytes()) {
            let shown = incoming(&bytes);
            prop_assert!(shown.len() <= bytes.len());
            prop_assert_eq!(incoming(&shown), shown.clone());
            if let Ok(passed) = outgoing(&bytes) {
                prop_assert!(passed.len() <= bytes.len());
                prop_assert_eq!(outgoing(&passed).unwrap(), passed);
            }
        }
    }
}

//! Reading requests and building answers.

use bevor_abi::Errno;
use bevor_abi::netlink::{NLM_F_CAPPED, NLM_F_MULTI, NLMSG_DONE, NLMSG_ERROR, Nlattr, Nlmsghdr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A request, its head checked.
pub(super) struct Request<'a> {
    pub(super) head: Nlmsghdr,
    pub(super) body: &'a [u8],
    /// Port of the sender.
    pub(super) port: u32,
}

impl Request<'_> {
    /// The fixed part of the body, with zeros where the sender left something out.
    pub(super) fn fixed<T: FromBytes>(&self) -> T {
        let mut bytes = self.body.to_vec();
        bytes.resize(bytes.len().max(size_of::<T>()), 0);
        match T::read_from_prefix(&bytes) {
            Ok((value, _)) => value,
            Err(_) => T::new_zeroed(),
        }
    }

    /// The value of attribute `kind` after a fixed part of `T`.
    pub(super) fn attribute<T>(&self, kind: u16) -> Option<&[u8]> {
        let mut rest = self.body.get(size_of::<T>().next_multiple_of(4)..)?;
        while let Ok((head, _)) = Nlattr::read_from_prefix(rest) {
            let value = rest.get(size_of::<Nlattr>()..usize::from(head.nla_len))?;
            if head.nla_type & 0x3fff == kind {
                return Some(value);
            }
            rest = rest.get(usize::from(head.nla_len).next_multiple_of(4)..)?;
        }
        None
    }

    /// An answer of `kind` with a fixed part; attributes are added to it.
    pub(super) fn answer<T: IntoBytes + Immutable>(
        &self,
        kind: u16,
        flags: u16,
        fixed: &T,
    ) -> Answer {
        let head = Nlmsghdr {
            nlmsg_len: 0,
            nlmsg_type: kind,
            nlmsg_flags: flags,
            nlmsg_seq: self.head.nlmsg_seq,
            nlmsg_pid: self.port,
        };
        let mut answer = Answer(head.as_bytes().to_vec());
        answer.put(fixed.as_bytes());
        answer
    }

    /// A message the host once gave as an answer to somebody else, as an answer to this request.
    pub(super) fn repeat(&self, message: &[u8], flags: u16) -> Option<Answer> {
        let (head, rest) = Nlmsghdr::read_from_prefix(message).ok()?;
        let head = Nlmsghdr {
            nlmsg_flags: flags,
            nlmsg_seq: self.head.nlmsg_seq,
            nlmsg_pid: self.port,
            ..head
        };
        let mut answer = Answer(head.as_bytes().to_vec());
        answer.put(rest);
        Some(answer)
    }

    /// The end of a dump.
    pub(super) fn done(&self) -> Vec<u8> {
        self.answer(NLMSG_DONE, NLM_F_MULTI, &0_i32).finish()
    }

    /// The acknowledgement, with an error or without.
    pub(super) fn acknowledge(&self, error: Option<Errno>) -> Vec<u8> {
        let number = error.map_or(0, |error| -i32::from(error.code.0));
        let flags = if error.is_none() { NLM_F_CAPPED } else { 0 };
        let mut answer = self.answer(NLMSG_ERROR, flags, &number);
        answer.put(self.head.as_bytes());
        if error.is_some() {
            answer.put(self.body);
        }
        answer.finish()
    }
}

/// A message being built.
pub(super) struct Answer(Vec<u8>);

impl Answer {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// Adds an attribute.
    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        let len = u16::try_from(size_of::<Nlattr>() + value.len()).unwrap_or(u16::MAX);
        self.put(Nlattr { nla_len: len, nla_type: kind }.as_bytes());
        self.put(value);
        self
    }

    /// Adds an attribute that is a number.
    pub(super) fn with_u32(self, kind: u16, value: u32) -> Self {
        self.with(kind, &value.to_ne_bytes())
    }

    /// The bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let len = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        if let Some(first) = self.0.get_mut(..4) {
            first.copy_from_slice(&len.to_ne_bytes());
        }
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevor_abi::errno::EPERM;
    use bevor_abi::netlink::{Rtgenmsg, Rtmsg};

    fn head() -> Nlmsghdr {
        Nlmsghdr { nlmsg_len: 0, nlmsg_type: 18, nlmsg_flags: 1, nlmsg_seq: 7, nlmsg_pid: 0 }
    }

    #[test]
    fn attributes_are_found_and_cut_ones_are_not() {
        let built = Request { head: head(), body: &[], port: 9 }
            .answer(26, 0, &Rtmsg::default())
            .with(1, &[1, 2, 3])
            .with_u32(4, 0xabcd)
            .finish();
        assert_eq!(built.len() % 4, 0);
        let body = &built[size_of::<Nlmsghdr>()..];
        let request = Request { head: head(), body, port: 9 };
        assert_eq!(request.attribute::<Rtmsg>(1), Some(&[1, 2, 3][..]));
        assert_eq!(request.attribute::<Rtmsg>(4), Some(&0xabcd_u32.to_ne_bytes()[..]));
        assert_eq!(request.attribute::<Rtmsg>(5), None);
        for cut in 0..body.len() {
            let request = Request { head: head(), body: &body[..cut], port: 9 };
            let _ = request.fixed::<Rtmsg>();
            assert!(request.attribute::<Rtmsg>(4).is_none_or(|value| value.len() == 4));
        }
    }

    #[test]
    fn an_error_is_acknowledged_with_the_request() {
        let request = Request { head: head(), body: &[5; 8], port: 9 };
        let answer = request.acknowledge(Some(EPERM.into()));
        let (shown, rest) = Nlmsghdr::read_from_prefix(&answer).unwrap();
        assert_eq!((shown.nlmsg_type, shown.nlmsg_seq, shown.nlmsg_pid), (NLMSG_ERROR, 7, 9));
        assert_eq!(rest[..4], (-1_i32).to_ne_bytes());
        assert_eq!(rest.len(), 4 + 16 + 8);
        let _ = request.fixed::<Rtgenmsg>();
    }
}

//! POSIX access control lists (`acl(5)`): their binary form, and what they allow.

use crate::inode::Attr;
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EIO, EOPNOTSUPP};
use bevor_base::{Credentials, UserNamespace};

/// The extended attribute of the list that is checked.
pub const ACCESS_NAME: &[u8] = b"system.posix_acl_access";
/// The extended attribute of the list new entries of a directory get.
pub const DEFAULT_NAME: &[u8] = b"system.posix_acl_default";

const VERSION: u32 = 2;
const HEADER_BYTES: usize = 4;
const ENTRY_BYTES: usize = 8;
/// The id of entries that name nobody.
const NO_ID: u32 = u32::MAX;

/// Which of a file's lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AclKind {
    /// The one that is checked.
    Access,
    /// The one new entries of a directory get.
    Default,
}

impl AclKind {
    /// The list an extended attribute holds.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            ACCESS_NAME => Some(Self::Access),
            DEFAULT_NAME => Some(Self::Default),
            _ => None,
        }
    }

    /// The extended attribute that holds it.
    #[must_use]
    pub const fn name(self) -> &'static [u8] {
        match self {
            Self::Access => ACCESS_NAME,
            Self::Default => DEFAULT_NAME,
        }
    }
}

/// Whom an entry is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    Owner,
    User(u32),
    OwningGroup,
    Group(u32),
    Mask,
    Other,
}

/// An entry: whom it is about, and what it allows (`MAY_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    who: Who,
    allowed: u32,
}

/// A list that is valid: owner, users, owning group, groups, mask, others, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acl(Box<[Entry]>);

impl Acl {
    /// Reads the value of an extended attribute with the ids of `ns`; `None` if it has no entries.
    ///
    /// # Errors
    /// `EINVAL` for what is no valid list; `EOPNOTSUPP` for another version.
    pub fn parse(value: &[u8], ns: &UserNamespace) -> Result<Option<Self>, Errno> {
        let (header, rest) = value.split_first_chunk::<HEADER_BYTES>().ok_or(EINVAL)?;
        if u32::from_le_bytes(*header) != VERSION {
            return Err(EOPNOTSUPP.because("another version of access control lists"));
        }
        let (entries, rest) = rest.as_chunks::<ENTRY_BYTES>();
        if !rest.is_empty() {
            return Err(EINVAL.into());
        }
        let entries: Box<[Entry]> =
            entries.iter().map(|bytes| read_entry(*bytes, ns)).collect::<Result<_, Errno>>()?;
        if entries.is_empty() {
            return Ok(None);
        }
        check_order(&entries)?;
        Ok(Some(Self(entries)))
    }

    /// The value of the extended attribute, with the ids of `ns`.
    #[must_use]
    pub fn value(&self, ns: &UserNamespace) -> Vec<u8> {
        let mut value = VERSION.to_le_bytes().to_vec();
        for Entry { who, allowed } in &self.0 {
            let (tag, id): (u16, u32) = match *who {
                Who::Owner => (0x01, NO_ID),
                Who::User(uid) => (0x02, ns.uid_out(uid)),
                Who::OwningGroup => (0x04, NO_ID),
                Who::Group(gid) => (0x08, ns.gid_out(gid)),
                Who::Mask => (0x10, NO_ID),
                Who::Other => (0x20, NO_ID),
            };
            let allowed = u16::try_from(*allowed).unwrap_or(0);
            value.extend_from_slice(&tag.to_le_bytes());
            value.extend_from_slice(&allowed.to_le_bytes());
            value.extend_from_slice(&id.to_le_bytes());
        }
        value
    }

    fn has_mask(&self) -> bool {
        self.0.iter().any(|entry| entry.who == Who::Mask)
    }

    /// Whether permission bits say the same.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.0.iter().all(|entry| matches!(entry.who, Who::Owner | Who::OwningGroup | Who::Other))
    }

    /// How far an entry's bits lie to the left in a mode; `None` for entries a mode has not.
    const fn shift(who: Who, has_mask: bool) -> Option<u32> {
        match who {
            Who::Owner => Some(6),
            Who::Mask => Some(3),
            Who::OwningGroup if !has_mask => Some(3),
            Who::Other => Some(0),
            _ => None,
        }
    }

    /// `mode` with the permission bits that go with this list (`posix_acl_equiv_mode`).
    #[must_use]
    pub fn mode(&self, mode: u32) -> u32 {
        let has_mask = self.has_mask();
        let bits = self.0.iter().filter_map(|entry| {
            Self::shift(entry.who, has_mask).map(|shift| entry.allowed << shift)
        });
        bits.fold(mode & !0o777, |mode, bits| mode | bits)
    }

    /// The list after `chmod` to `mode`.
    #[must_use]
    pub fn with_mode(&self, mode: u32) -> Self {
        let has_mask = self.has_mask();
        let change = |entry: &Entry| match Self::shift(entry.who, has_mask) {
            Some(shift) => Entry { allowed: mode >> shift & 7, ..*entry },
            None => *entry,
        };
        Self(self.0.iter().map(change).collect())
    }

    /// The list and mode of a new file that is made with `mode` in a directory with this default
    /// list (`posix_acl_create_masq`).
    #[must_use]
    pub fn inherited(&self, mode: u32) -> (Self, u32) {
        let has_mask = self.has_mask();
        let limit = |entry: &Entry| match Self::shift(entry.who, has_mask) {
            Some(shift) => Entry { allowed: entry.allowed & (mode >> shift), ..*entry },
            None => *entry,
        };
        let list = Self(self.0.iter().map(limit).collect());
        let mode = list.mode(mode);
        (list, mode)
    }

    /// Whether it allows `want` to somebody other than the owner of a file of group `gid`, whatever
    /// his capabilities (`posix_acl_permission`).
    ///
    /// # Errors
    /// `EIO` for a list without an entry for others.
    pub fn allows(&self, cred: &Credentials, gid: u32, want: u32) -> Result<bool, Errno> {
        let want = want & 7;
        let mask = self.0.iter().find(|entry| entry.who == Who::Mask);
        let masked = |allowed: u32| allowed & mask.map_or(7, |mask| mask.allowed);
        let mut in_a_group = false;
        for Entry { who, allowed } in &self.0 {
            match *who {
                Who::User(uid) if uid == cred.fsuid => return Ok(want & !masked(*allowed) == 0),
                Who::OwningGroup | Who::Group(_) => {
                    let group = if let Who::Group(group) = *who { group } else { gid };
                    if cred.in_group(group) {
                        in_a_group = true;
                        if want & !*allowed == 0 {
                            return Ok(want & !masked(*allowed) == 0);
                        }
                    }
                }
                Who::Other => return Ok(!in_a_group && want & !*allowed == 0),
                _ => {}
            }
        }
        Err(EIO.because("an access control list without an entry for others"))
    }
}

/// Checks access to a file with `attr` and, unless permission bits say it all, the list `acl` gets.
///
/// # Errors
/// `EACCES`, and those of `acl`.
pub fn permission<A: AsRef<Acl>>(
    attr: &Attr,
    cred: &Credentials,
    want: u32,
    acl: impl FnOnce() -> Result<Option<A>, Errno>,
) -> Result<(), Errno> {
    let (uid, gid, mode) = (attr.uid, attr.gid, attr.mode);
    let allowed = if cred.fsuid == uid || mode & 0o070 == 0 {
        cred.may_access(uid, gid, mode, want)
    } else {
        match acl()? {
            Some(acl) => acl.as_ref().allows(cred, gid, want)? || cred.may_override(mode, want),
            None => cred.may_access(uid, gid, mode, want),
        }
    };
    if allowed { Ok(()) } else { Err(bevor_abi::errno::EACCES.into()) }
}

fn read_entry(bytes: [u8; ENTRY_BYTES], ns: &UserNamespace) -> Result<Entry, Errno> {
    let [tag0, tag1, allowed0, allowed1, id @ ..] = bytes;
    let id = u32::from_le_bytes(id);
    let who = match u16::from_le_bytes([tag0, tag1]) {
        0x01 => Who::Owner,
        0x02 => Who::User(ns.uid_in(id).ok_or(EINVAL)?),
        0x04 => Who::OwningGroup,
        0x08 => Who::Group(ns.gid_in(id).ok_or(EINVAL)?),
        0x10 => Who::Mask,
        0x20 => Who::Other,
        _ => return Err(EINVAL.because("unknown kind of entry")),
    };
    let allowed = u32::from(u16::from_le_bytes([allowed0, allowed1]));
    Ok(Entry { who, allowed })
}

/// Checks order and completeness (`posix_acl_valid`).
fn check_order(entries: &[Entry]) -> Result<(), Errno> {
    const fn rank(who: Who) -> u32 {
        match who {
            Who::Owner => 0,
            Who::User(_) => 1,
            Who::OwningGroup => 2,
            Who::Group(_) => 3,
            Who::Mask => 4,
            Who::Other => 5,
        }
    }
    let count = |wanted: Who| entries.iter().filter(|entry| entry.who == wanted).count();
    let ordered = entries.is_sorted_by_key(|entry| rank(entry.who));
    let known = entries.iter().all(|entry| entry.allowed & !7 == 0);
    let named = entries.iter().any(|entry| matches!(entry.who, Who::User(_) | Who::Group(_)));
    let once = [Who::Owner, Who::OwningGroup, Who::Other].iter().all(|&who| count(who) == 1);
    let masks = count(Who::Mask);
    if ordered && known && once && masks <= 1 && (masks == 1 || !named) {
        return Ok(());
    }
    Err(EINVAL.because("not a valid access control list"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut value = 2u32.to_le_bytes().to_vec();
        for (tag, allowed, id) in entries {
            value.extend_from_slice(&tag.to_le_bytes());
            value.extend_from_slice(&allowed.to_le_bytes());
            value.extend_from_slice(&id.to_le_bytes());
        }
        value
    }

    fn sample() -> Acl {
        let entries =
            [(1, 7, NO_ID), (2, 6, 5), (4, 4, NO_ID), (8, 7, 9), (16, 5, NO_ID), (32, 0, NO_ID)];
        Acl::parse(&value(&entries), &UserNamespace::initial()).unwrap().unwrap()
    }

    #[test]
    fn named_users_and_groups_are_limited_by_the_mask() {
        let acl = sample();
        let who = |uid, gid| Credentials::user(uid, gid, &[], UserNamespace::initial());
        let may = |uid, gid, want| acl.allows(&who(uid, gid), 3, want).unwrap();
        assert!(may(5, 1, 4) && !may(5, 1, 2));
        assert!(may(6, 9, 5) && !may(6, 9, 2));
        assert!(may(6, 3, 4) && !may(6, 3, 1));
        assert!(!may(6, 6, 4));
    }

    #[test]
    fn a_mode_shows_owner_mask_and_others() {
        let acl = sample();
        assert_eq!(acl.mode(0o100_000), 0o100_750);
        assert_eq!(acl.with_mode(0o764).mode(0), 0o764);
        let (inherited, mode) = acl.inherited(0o640);
        assert_eq!(mode, 0o640);
        assert_eq!(inherited.mode(0), 0o640);
        assert!(!acl.is_plain());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let ns = UserNamespace::initial();
            if let Ok(Some(acl)) = Acl::parse(&bytes, &ns) {
                prop_assert_eq!(acl.value(&ns), bytes);
            }
        }

        #[test]
        fn entries_in_any_order_are_read_or_refused(
            entries in proptest::collection::vec((0u16..64, 0u16..16, 0u32..4), 0..8),
        ) {
            let ns = UserNamespace::initial();
            let _ = Acl::parse(&value(&entries), &ns);
        }
    }
}

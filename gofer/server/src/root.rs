//! A root: what is served, and how its files look to the guest.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EROFS};
use bevor_gofer_protocol::wire::{NO_CHANGE, RootFlags};
use bevor_gofer_protocol::{Attr, AttrFlags, Device, Time};

use crate::config::{HostSockets, IdRange, RootConfig, Sharing};
use crate::hidden::Hidden;
use crate::host::Mounts;
use crate::table::Id;

/// The id an owner without mapping is shown as.
const OVERFLOW_ID: u32 = 65534;

/// A root that is being served.
#[derive(Debug)]
pub struct Root {
    /// Its handle.
    pub id: Id,
    /// Its descriptor.
    pub fd: Arc<OwnedFd>,
    /// Refuses every change.
    pub read_only: bool,
    /// Others may change it.
    pub shared: bool,
    /// Whether lookups pass mount points.
    pub mounts: Mounts,
    /// Device nodes may be made.
    pub devices: bool,
    /// Locks are held on the host, too.
    pub locks: bool,
    /// What may be done with sockets.
    pub sockets: HostSockets,
    /// Hidden paths.
    pub hidden: Option<Arc<Hidden>>,
    /// The directories the hidden paths were at the start: hidden wherever they are met.
    pub hidden_files: HashSet<(u64, u64)>,
    uid_map: Vec<IdRange>,
    gid_map: Vec<IdRange>,
}

impl Root {
    /// A root as configured.
    pub fn new(config: &RootConfig, id: Id, fd: Arc<OwnedFd>) -> Self {
        Self {
            id,
            fd,
            read_only: config.read_only,
            shared: config.sharing == Sharing::Shared,
            mounts: if config.cross_mounts { Mounts::Cross } else { Mounts::Stay },
            devices: config.devices,
            locks: config.locks && !config.read_only,
            sockets: config.sockets,
            hidden: Hidden::new(config.hidden.iter().map(String::as_bytes)),
            hidden_files: HashSet::new(),
            uid_map: config.uid_map.clone(),
            gid_map: config.gid_map.clone(),
        }
    }

    /// What the client is told of it.
    pub fn flags(&self) -> RootFlags {
        let mut flags = RootFlags::empty();
        flags.set(RootFlags::READ_ONLY, self.read_only);
        flags.set(RootFlags::SHARED, self.shared);
        flags.set(RootFlags::LOCKS, self.locks);
        flags.set(RootFlags::CONNECT, self.sockets.connects());
        flags.set(RootFlags::BIND, self.sockets.binds() && !self.read_only);
        flags
    }

    /// Whether the guest sees other owners than the host.
    pub const fn maps_owners(&self) -> bool {
        !self.uid_map.is_empty() || !self.gid_map.is_empty()
    }

    /// Refuses a change where none is allowed.
    ///
    /// # Errors
    /// EROFS.
    pub fn writable(&self) -> Result<(), Errno> {
        if self.read_only { Err(EROFS.because("root is served read-only")) } else { Ok(()) }
    }

    /// Attributes as the guest sees them.
    pub fn attr(&self, found: &libc::statx, boundary: bool) -> Attr {
        let mut attr = Attr {
            mode: found.stx_mode.into(),
            nlink: found.stx_nlink,
            uid: to_guest(&self.uid_map, found.stx_uid),
            gid: to_guest(&self.gid_map, found.stx_gid),
            dev: Device { major: found.stx_dev_major, minor: found.stx_dev_minor },
            rdev: Device { major: found.stx_rdev_major, minor: found.stx_rdev_minor },
            ino: found.stx_ino,
            size: found.stx_size,
            blocks: found.stx_blocks,
            blksize: found.stx_blksize,
            mount_id: found.stx_mnt_id,
            atime: time(found.stx_atime),
            mtime: time(found.stx_mtime),
            ctime: time(found.stx_ctime),
            ..Attr::default()
        };
        if found.stx_mask & libc::STATX_BTIME != 0 {
            attr.btime = time(found.stx_btime);
        }
        if is_mount_root(found) {
            attr.insert_flags(AttrFlags::MOUNT_ROOT);
        }
        if boundary {
            attr.insert_flags(AttrFlags::BOUNDARY);
        }
        for (bit, flag) in [
            (libc::STATX_ATTR_APPEND, AttrFlags::APPEND),
            (libc::STATX_ATTR_IMMUTABLE, AttrFlags::IMMUTABLE),
        ] {
            if has_attribute(found, bit) {
                attr.insert_flags(flag);
            }
        }
        attr
    }

    /// User and group of the host as the guest sees them; −1 stays nobody.
    pub fn ids_to_guest(&self, (uid, gid): (u32, u32)) -> (u32, u32) {
        let shown = |map: &[IdRange], id| if id == u32::MAX { id } else { to_guest(map, id) };
        (shown(&self.uid_map, uid), shown(&self.gid_map, gid))
    }

    /// Owner and group of the host for those a guest names.
    ///
    /// # Errors
    /// EINVAL for one that has no mapping, as in a user namespace.
    pub fn owner_on_host(&self, uid: u32, gid: u32) -> Result<(u32, u32), Errno> {
        Ok((to_host(&self.uid_map, uid)?, to_host(&self.gid_map, gid)?))
    }
}

/// Whether a mount begins here.
pub fn is_mount_root(found: &libc::statx) -> bool {
    has_attribute(found, libc::STATX_ATTR_MOUNT_ROOT)
}

fn has_attribute(found: &libc::statx, attribute: libc::c_int) -> bool {
    let attributes = found.stx_attributes & found.stx_attributes_mask;
    attributes & u64::from(attribute.cast_unsigned()) != 0
}

fn time(stamp: libc::statx_timestamp) -> Time {
    Time { sec: stamp.tv_sec, nsec: stamp.tv_nsec.into() }
}

fn to_guest(map: &[IdRange], id: u32) -> u32 {
    if map.is_empty() {
        return id;
    }
    let range = map.iter().find(|range| id >= range.host && id - range.host < range.count);
    range.map_or(OVERFLOW_ID, |range| range.guest.saturating_add(id - range.host))
}

fn to_host(map: &[IdRange], id: u32) -> Result<u32, Errno> {
    if map.is_empty() || id == NO_CHANGE {
        return Ok(id);
    }
    let range = map.iter().find(|range| id >= range.guest && id - range.guest < range.count);
    range
        .and_then(|range| range.host.checked_add(id - range.guest))
        .ok_or_else(|| EINVAL.because("owner has no mapping on the host"))
}

#[cfg(test)]
mod tests {
    use super::{OVERFLOW_ID, to_guest, to_host};
    use crate::config::IdRange;
    use bevor_gofer_protocol::wire::NO_CHANGE;

    #[test]
    fn ids_map_both_ways() {
        let map = [
            IdRange { guest: 0, host: 1000, count: 1 },
            IdRange { guest: 1, host: 100_000, count: 65536 },
        ];
        for (guest, host) in [(0, 1000), (1, 100_000), (65536, 165_535)] {
            assert_eq!(to_guest(&map, host), guest);
            assert_eq!(to_host(&map, guest).unwrap(), host);
        }
        assert_eq!(to_guest(&map, 0), OVERFLOW_ID);
        assert!(to_host(&map, 65537).is_err());
        assert_eq!(to_host(&map, NO_CHANGE).unwrap(), NO_CHANGE);
        assert_eq!(to_guest(&[], 33), 33);
    }
}

//! `PIDFD_GET_INFO` (`ioctl_pidfd(2)`): what a pidfd tells of its process or thread.

use crate::pidfd::Pidfd;
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, ESRCH};
use bevor_abi::ioctl::{
    PIDFD_COREDUMP_SKIP, PIDFD_COREDUMP_USER, PIDFD_GET_INFO, PIDFD_INFO_COREDUMP,
    PIDFD_INFO_CREDS, PIDFD_INFO_EXIT, PIDFD_INFO_PID, PidfdInfo,
};
use bevor_base::Credentials;
use bevor_kernel::task::Task;
use bevor_memory::UserAddr;
use bevor_vfs::caller::Caller;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use zerocopy::IntoBytes;

/// Where a command has the size of its argument.
const SIZE_SHIFT: u32 = 16;
/// The bits of that.
const SIZE_BITS: u32 = 0x3fff;
/// Bytes of the first version of the structure.
const FIRST_BYTES: usize = 64;

/// How long the caller's structure is, if the command is `PIDFD_GET_INFO` with one that is long enough.
pub(super) fn size_of_command(cmd: u32) -> Option<usize> {
    let size = usize::try_from(cmd >> SIZE_SHIFT & SIZE_BITS).ok()?;
    let command = |cmd: u32| cmd & !(SIZE_BITS << SIZE_SHIFT);
    (command(cmd) == command(PIDFD_GET_INFO) && size >= FIRST_BYTES).then_some(size)
}

impl Pidfd {
    /// `PIDFD_GET_INFO` into a structure of `size` bytes. There are no control groups to tell of.
    pub(super) fn tell(
        &self,
        own: &Task,
        caller: &dyn Caller,
        at: UserAddr,
        size: usize,
    ) -> Result<u64, Errno> {
        if at.is_null() {
            return Err(EINVAL.into());
        }
        let asked = caller.mm().read::<u64>(at)?;
        let mut info = PidfdInfo { mask: asked & PIDFD_INFO_COREDUMP, ..PidfdInfo::default() };
        let own_pid = own.pid();
        let viewer = own_pid.namespace();
        let number = self.pid.number_in(viewer).ok_or(ESRCH)?;
        if asked & PIDFD_INFO_EXIT != 0
            && let Some(status) = self.pid.ended()
        {
            info.mask |= PIDFD_INFO_EXIT;
            info.exit_code = status;
        }
        let (task, is_left) = {
            let tree = self.kernel.tree.lock();
            let task = tree.task(&self.pid).cloned();
            let is_left = task.is_some() || tree.node(&self.pid).is_some();
            if let Some(node) = tree.nodes.get(&self.group.id()) {
                let parent = tree.nodes.get(&node.parent).map(|parent| &parent.group.pid);
                info.ppid = parent.map_or(0, |pid| pid.number_or_zero(viewer).cast_unsigned());
            }
            (task, is_left)
        };
        if is_left {
            let of_group = || self.group.cred();
            let cred = task.as_ref().map(|task| task.cred()).or_else(of_group).ok_or(ESRCH)?;
            credentials(&mut info, &own.cred(), &cred);
            info.pid = number.cast_unsigned();
            info.tgid = self.group.pid.number_or_zero(viewer).cast_unsigned();
            info.mask |= PIDFD_INFO_PID | PIDFD_INFO_CREDS;
            if asked & PIDFD_INFO_COREDUMP != 0 && task.is_some() {
                let dumpable = self.group.dumpable.load(Ordering::Relaxed);
                info.coredump_mask =
                    if dumpable { PIDFD_COREDUMP_USER } else { PIDFD_COREDUMP_SKIP };
            }
        } else if asked & PIDFD_INFO_EXIT == 0 {
            return Err(ESRCH.because("nothing is left of it"));
        } else {
            info.ppid = 0;
        }
        // What the caller's structure has beyond this one is 0.
        let mut bytes = info.as_bytes().to_vec();
        bytes.resize(size, 0);
        caller.mm().write_bytes(at, &bytes)?;
        Ok(0)
    }
}

/// Fills in `cred` as the user namespace of `own` numbers them.
fn credentials(info: &mut PidfdInfo, own: &Arc<Credentials>, cred: &Credentials) {
    let ns = &own.user_ns;
    (info.ruid, info.rgid) = (ns.uid_out(cred.ruid), ns.gid_out(cred.rgid));
    (info.euid, info.egid) = (ns.uid_out(cred.euid), ns.gid_out(cred.egid));
    (info.suid, info.sgid) = (ns.uid_out(cred.suid), ns.gid_out(cred.sgid));
    (info.fsuid, info.fsgid) = (ns.uid_out(cred.fsuid), ns.gid_out(cred.fsgid));
}

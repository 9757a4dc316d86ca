//! What the System V calls share: `sysvipc(7)`.

use bevor_abi::Errno;
use bevor_abi::errno::EINVAL;
use bevor_abi::ipc::{IPC_64, Ipc64Perm};
use bevor_kernel::Ctx;
use bevor_kernel::ipc::{IpcNamespace, Permissions};
use std::sync::Arc;

/// The caller's namespace.
pub(crate) fn namespace(ctx: &Ctx<'_>) -> Arc<IpcNamespace> {
    ctx.task().namespaces().ipc.clone()
}

/// A command without the mark some C libraries put on it.
pub(crate) const fn command(command: u32) -> u32 {
    command & !IPC_64
}

/// Permissions as the caller sees them.
pub(crate) fn shown(ctx: &Ctx<'_>, permissions: &Permissions) -> Ipc64Perm {
    let ns = &ctx.task().cred().user_ns;
    Ipc64Perm {
        key: permissions.key,
        uid: ns.uid_out(permissions.uid),
        gid: ns.gid_out(permissions.gid),
        cuid: ns.uid_out(permissions.cuid),
        cgid: ns.gid_out(permissions.cgid),
        mode: permissions.mode,
        seq: permissions.seq,
        ..Ipc64Perm::default()
    }
}

/// Owner and mode `IPC_SET` gives, in the sandbox's ids.
pub(crate) fn given(ctx: &Ctx<'_>, wanted: &Ipc64Perm) -> Result<(u32, u32, u32), Errno> {
    let cred = ctx.task().cred();
    let uid = cred.user_ns.uid_in(wanted.uid).ok_or(EINVAL)?;
    let gid = cred.user_ns.gid_in(wanted.gid).ok_or(EINVAL)?;
    Ok((uid, gid, wanted.mode))
}

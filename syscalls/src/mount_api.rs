//! Mounting by descriptors: `open_tree(2)`, `move_mount(2)`, `mount_setattr(2)`, and file systems
//! made step by step: `fsopen(2)`, `fsconfig(2)`, `fsmount(2)`, `fspick(2)`.

use crate::extensible;
use crate::mount::may_mount;
use crate::paths::{self, Start};
use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_ADMIN;
use bevor_abi::conv::usize_of_u32;
use bevor_abi::errno::{EBADF, EFAULT, EINVAL, EOPNOTSUPP};
use bevor_abi::fcntl::{
    AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW, O_PATH, PATH_MAX,
};
use bevor_abi::mount::{
    FSCONFIG_CMD_CREATE, FSCONFIG_CMD_CREATE_EXCL, FSCONFIG_CMD_RECONFIGURE, FSCONFIG_SET_BINARY,
    FSCONFIG_SET_FD, FSCONFIG_SET_FLAG, FSCONFIG_SET_PATH, FSCONFIG_SET_PATH_EMPTY,
    FSCONFIG_SET_STRING, FSMOUNT_CLOEXEC, FSOPEN_CLOEXEC, FSPICK_CLOEXEC, FSPICK_EMPTY_PATH,
    FSPICK_NO_AUTOMOUNT, FSPICK_SYMLINK_NOFOLLOW, MOUNT_ATTR__ATIME, MOUNT_ATTR_IDMAP,
    MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY, MOUNT_ATTR_RELATIME,
    MOUNT_ATTR_STRICTATIME, MOVE_MOUNT_BENEATH, MOVE_MOUNT_F_AUTOMOUNTS, MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_F_SYMLINKS, MOVE_MOUNT_SET_GROUP, MOVE_MOUNT_T_AUTOMOUNTS, MOVE_MOUNT_T_EMPTY_PATH,
    MOVE_MOUNT_T_SYMLINKS, MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE, MountAttr,
    OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE,
};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::Path;
use bevor_vfs::file::{File, OpenFlags};
use bevor_vfs::fs_config::FsConfig;
use bevor_vfs::mount::{self, AttrChange, MountFlags, Target};
use bevor_vfs::namei::PathOnly;
use bevor_vfs::superblock::fs_type;
use std::sync::Arc;

/// Longest key and string of `fsconfig(2)`, NUL included.
const PARAM_MAX: usize = 256;
/// Most bytes of a binary parameter.
const BINARY_MAX: i32 = 1 << 20;
/// Length of `struct mount_attr` in its first version.
const MOUNT_ATTR_LEAST: usize = 32;
/// What a mount may be given from the beginning.
const ATTR_KNOWN: u64 = MOUNT_ATTR_RDONLY
    | MOUNT_ATTR_NOSUID
    | MOUNT_ATTR_NODEV
    | MOUNT_ATTR_NOEXEC
    | MOUNT_ATTR__ATIME
    | MOUNT_ATTR_NODIRATIME
    | MOUNT_ATTR_NOSYMFOLLOW;

fn install(ctx: &Ctx<'_>, file: Arc<File>, close_on_exec: bool) -> SysResult {
    Ok(u64::from(ctx.install(file, close_on_exec)?.cast_unsigned()))
}

/// What `open_tree(2)` was asked for.
struct OpenTree {
    flags: u32,
    /// Checked: the caller may mount if it clones.
    clone: bool,
}

fn check_open_tree(ctx: &Ctx<'_>, flags: u32) -> Result<OpenTree, Errno> {
    let known = AT_EMPTY_PATH
        | AT_NO_AUTOMOUNT
        | AT_RECURSIVE
        | AT_SYMLINK_NOFOLLOW
        | OPEN_TREE_CLONE
        | OPEN_TREE_CLOEXEC;
    let clone = flags & OPEN_TREE_CLONE != 0;
    if flags & !known != 0 || (flags & AT_RECURSIVE != 0 && !clone) {
        return Err(EINVAL.into());
    }
    if clone {
        may_mount(ctx, &ctx.task().fs().context())?;
    }
    Ok(OpenTree { flags, clone })
}

fn tree_at(ctx: &Ctx<'_>, dirfd: i32, path: UserAddr, how: &OpenTree) -> Result<Arc<File>, Errno> {
    let at = paths::start(ctx, dirfd, path)?.resolve(ctx, how.flags)?;
    if !how.clone {
        return Ok(File::new(Box::new(PathOnly), at, OpenFlags(O_PATH)));
    }
    let fs = ctx.task().fs().context();
    let recursive = how.flags & AT_RECURSIVE != 0;
    Ok(mount::tree_file(&mount::detached_copy(&fs, &at, recursive)?))
}

/// `open_tree(2)`.
///
/// # Errors
/// `EINVAL`, `EPERM`, and those of paths.
pub fn open_tree(ctx: &mut Ctx<'_>, dirfd: i32, path: UserAddr, flags: u32) -> SysResult {
    let how = check_open_tree(ctx, flags)?;
    let file = tree_at(ctx, dirfd, path, &how)?;
    install(ctx, file, flags & OPEN_TREE_CLOEXEC != 0)
}

/// `open_tree_attr(2)`: `open_tree(2)` and `mount_setattr(2)` of the copy in one.
///
/// # Errors
/// As both.
pub fn open_tree_attr(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    flags: u32,
    attr: UserAddr,
    size: usize,
) -> SysResult {
    if attr.is_null() && size != 0 {
        return Err(EINVAL.into());
    }
    let how = check_open_tree(ctx, flags)?;
    let file = tree_at(ctx, dirfd, path, &how)?;
    if !attr.is_null()
        && let Some(change) = read_change(ctx, attr, size)?
    {
        let fs = ctx.task().fs().context();
        mount::change_attr(&fs, file.path(), change, flags & AT_RECURSIVE != 0)?;
    }
    install(ctx, file, flags & OPEN_TREE_CLOEXEC != 0)
}

/// Finds one side of `move_mount(2)`.
fn move_side(
    ctx: &Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    follow: bool,
    empty: bool,
) -> Result<Path, Errno> {
    let flags =
        if follow { 0 } else { AT_SYMLINK_NOFOLLOW } | if empty { AT_EMPTY_PATH } else { 0 };
    start_maybe_null(ctx, dirfd, path, empty)?.resolve(ctx, flags)
}

fn start_maybe_null(
    ctx: &Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    empty: bool,
) -> Result<Start, Errno> {
    if path.is_null() && empty {
        return Ok(paths::start_with(ctx, dirfd, Vec::new()));
    }
    paths::start(ctx, dirfd, path)
}

/// `move_mount(2)`.
///
/// # Errors
/// `EINVAL`, `ELOOP`, `EPERM`, and those of paths.
pub fn move_mount(
    ctx: &mut Ctx<'_>,
    from_dir: i32,
    from: UserAddr,
    to_dir: i32,
    to: UserAddr,
    flags: u32,
) -> SysResult {
    let fs = ctx.task().fs().context();
    may_mount(ctx, &fs)?;
    crate::landlock::check_mounting(ctx)?;
    let known = MOVE_MOUNT_F_SYMLINKS
        | MOVE_MOUNT_F_AUTOMOUNTS
        | MOVE_MOUNT_F_EMPTY_PATH
        | MOVE_MOUNT_T_SYMLINKS
        | MOVE_MOUNT_T_AUTOMOUNTS
        | MOVE_MOUNT_T_EMPTY_PATH
        | MOVE_MOUNT_SET_GROUP
        | MOVE_MOUNT_BENEATH;
    let both = MOVE_MOUNT_BENEATH | MOVE_MOUNT_SET_GROUP;
    if flags & !known != 0 || flags & both == both {
        return Err(EINVAL.into());
    }
    let has = |flag: u32| flags & flag != 0;
    let to = move_side(ctx, to_dir, to, has(MOVE_MOUNT_T_SYMLINKS), has(MOVE_MOUNT_T_EMPTY_PATH))?;
    let from =
        move_side(ctx, from_dir, from, has(MOVE_MOUNT_F_SYMLINKS), has(MOVE_MOUNT_F_EMPTY_PATH))?;
    if has(MOVE_MOUNT_SET_GROUP) {
        let cred = ctx.task().cred();
        mount::share_group(&from, &to, |mount| {
            let namespace = mount.namespace();
            namespace.is_none_or(|namespace| cred.has_cap_in(CAP_SYS_ADMIN, namespace.user_ns()))
        })?;
        return Ok(0);
    }
    let target = if has(MOVE_MOUNT_BENEATH) { Target::Beneath } else { Target::On };
    mount::move_to(&fs, &from, &to, target)?;
    Ok(0)
}

/// `fsopen(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`, `EMFILE`, `ENODEV`, `EPERM`.
pub fn fsopen(ctx: &mut Ctx<'_>, name: UserAddr, flags: u32) -> SysResult {
    may_mount(ctx, &ctx.task().fs().context())?;
    if flags & !FSOPEN_CLOEXEC != 0 {
        return Err(EINVAL.into());
    }
    let name = param_text(ctx, name, usize_of_u32(PATH_MAX))?;
    install(ctx, FsConfig::create(&name, fs_type(&name)?), flags & FSOPEN_CLOEXEC != 0)
}

/// `fspick(2)`.
///
/// # Errors
/// `EINVAL`, `EMFILE`, `EPERM`, and those of paths.
pub fn fspick(ctx: &mut Ctx<'_>, dirfd: i32, path: UserAddr, flags: u32) -> SysResult {
    may_mount(ctx, &ctx.task().fs().context())?;
    let known = FSPICK_CLOEXEC | FSPICK_SYMLINK_NOFOLLOW | FSPICK_NO_AUTOMOUNT | FSPICK_EMPTY_PATH;
    if flags & !known != 0 {
        return Err(EINVAL.into());
    }
    let follow = flags & FSPICK_SYMLINK_NOFOLLOW == 0;
    let empty = flags & FSPICK_EMPTY_PATH != 0;
    let at = move_side(ctx, dirfd, path, follow, empty)?;
    if !at.is_mount_root() {
        return Err(EINVAL.because("not a mount point").into());
    }
    let file = FsConfig::change(at.mount.superblock().clone());
    install(ctx, file, flags & FSPICK_CLOEXEC != 0)
}

/// Reads a string shorter than `max`.
fn param_text(ctx: &Ctx<'_>, at: UserAddr, max: usize) -> Result<Vec<u8>, Errno> {
    match ctx.mm().read_cstr(at, max) {
        Err(errno) if errno != EFAULT => Err(EINVAL.because("too long a string")),
        other => other,
    }
}

/// `fsconfig(2)`. Parameters are flags and strings; no file system here takes others.
///
/// # Errors
/// `EBADF`, `EBUSY`, `EFAULT`, `EINVAL`, `EOPNOTSUPP`, `EPERM`, and what the file system says.
pub fn fsconfig(
    ctx: &mut Ctx<'_>,
    fd: i32,
    command: u32,
    key: UserAddr,
    value: UserAddr,
    aux: i32,
) -> SysResult {
    if fd < 0 {
        return Err(EINVAL.into());
    }
    let (has_key, has_value) = (!key.is_null(), !value.is_null());
    let fits = match command {
        FSCONFIG_SET_FLAG => has_key && !has_value && aux == 0,
        FSCONFIG_SET_STRING => has_key && has_value && aux == 0,
        FSCONFIG_SET_BINARY => has_key && has_value && (1..=BINARY_MAX).contains(&aux),
        FSCONFIG_SET_PATH | FSCONFIG_SET_PATH_EMPTY => {
            has_key && has_value && (aux == AT_FDCWD || aux >= 0)
        }
        FSCONFIG_SET_FD => has_key && !has_value && aux >= 0,
        FSCONFIG_CMD_CREATE | FSCONFIG_CMD_CREATE_EXCL | FSCONFIG_CMD_RECONFIGURE => {
            !has_key && !has_value && aux == 0
        }
        _ => return Err(EOPNOTSUPP.into()),
    };
    if !fits {
        return Err(EINVAL.into());
    }
    let file = ctx.file(fd)?;
    let config: &FsConfig = file.downcast().ok_or(EINVAL)?;
    let key = if has_key { param_text(ctx, key, PARAM_MAX)? } else { Vec::new() };
    match command {
        FSCONFIG_SET_FLAG => config.set(&key, None)?,
        FSCONFIG_SET_STRING => {
            let value = param_text(ctx, value, PARAM_MAX)?;
            config.set(&key, Some(&value))?;
        }
        FSCONFIG_CMD_CREATE | FSCONFIG_CMD_CREATE_EXCL => config.make(ctx)?,
        FSCONFIG_CMD_RECONFIGURE => config.apply(ctx)?,
        FSCONFIG_SET_FD => {
            ctx.files().get_any(aux).map_err(|_| EBADF)?;
            return Err(EINVAL.because("no file system takes descriptors").into());
        }
        _ => return Err(EINVAL.because("no file system takes such a parameter").into()),
    }
    Ok(0)
}

/// Access-time bits of `MOUNT_ATTR_*` as mount flags.
fn atime_flags(attr: u64) -> Result<u64, Errno> {
    match attr & MOUNT_ATTR__ATIME {
        MOUNT_ATTR_RELATIME => Ok(MountFlags::RELATIME),
        MOUNT_ATTR_NOATIME => Ok(MountFlags::NOATIME),
        MOUNT_ATTR_STRICTATIME => Ok(0),
        _ => Err(EINVAL.because("several rules for access times")),
    }
}

/// `fsmount(2)`.
///
/// # Errors
/// `EBADF`, `EBUSY`, `EINVAL`, `EMFILE`, `EPERM`.
pub fn fsmount(ctx: &mut Ctx<'_>, fd: i32, flags: u32, attributes: u32) -> SysResult {
    may_mount(ctx, &ctx.task().fs().context())?;
    let attributes = u64::from(attributes);
    if flags & !FSMOUNT_CLOEXEC != 0 || attributes & !ATTR_KNOWN != 0 {
        return Err(EINVAL.into());
    }
    let mount_flags = MountFlags(MountFlags::from_attr(attributes).0 | atime_flags(attributes)?);
    let file = ctx.file(fd)?;
    let config: &FsConfig = file.downcast().ok_or(EINVAL)?;
    let made = config.mount()?;
    let fs = ctx.task().fs().context();
    let tree = mount::detached(&fs, &made.superblock, mount_flags, &made.source)?;
    install(ctx, mount::tree_file(&tree), flags & FSMOUNT_CLOEXEC != 0)
}

/// Reads `struct mount_attr`; `None` if it changes nothing.
fn read_change(ctx: &Ctx<'_>, attr: UserAddr, size: usize) -> Result<Option<AttrChange>, Errno> {
    if size > extensible::MAX_BYTES {
        return Err(bevor_abi::errno::E2BIG.into());
    }
    if size < MOUNT_ATTR_LEAST {
        return Err(EINVAL.into());
    }
    may_mount(ctx, &ctx.task().fs().context())?;
    let attr: MountAttr = extensible::read(ctx, attr, size, MOUNT_ATTR_LEAST)?;
    if attr.attr_set == 0 && attr.attr_clr == 0 && attr.propagation == 0 {
        return Ok(None);
    }
    let kinds = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;
    if attr.propagation & !kinds != 0 || attr.propagation.count_ones() > 1 {
        return Err(EINVAL.because("propagation"));
    }
    let all = attr.attr_set | attr.attr_clr;
    if all & !(ATTR_KNOWN | MOUNT_ATTR_IDMAP) != 0 {
        return Err(EINVAL.because("unknown attribute"));
    }
    let mut set = MountFlags::from_attr(attr.attr_set).0;
    let mut clear = MountFlags::from_attr(attr.attr_clr).0;
    if attr.attr_clr & MOUNT_ATTR__ATIME != 0 {
        if attr.attr_clr & MOUNT_ATTR__ATIME != MOUNT_ATTR__ATIME {
            return Err(EINVAL.because("access times are cleared all or not"));
        }
        clear |= MountFlags::RELATIME | MountFlags::NOATIME;
        set |= atime_flags(attr.attr_set)?;
    } else if attr.attr_set & MOUNT_ATTR__ATIME != 0 {
        return Err(EINVAL.because("access times are set without being cleared"));
    }
    if all & MOUNT_ATTR_IDMAP != 0 {
        return Err(EINVAL.because("no file system can be mounted with mapped ids"));
    }
    Ok(Some(AttrChange {
        clear: MountFlags(clear),
        set: MountFlags(set),
        propagation: attr.propagation,
    }))
}

/// `mount_setattr(2)`.
///
/// # Errors
/// `E2BIG`, `EBUSY`, `EFAULT`, `EINVAL`, `EPERM`, and those of paths.
pub fn mount_setattr(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    flags: u32,
    attr: UserAddr,
    size: usize,
) -> SysResult {
    if flags & !(AT_EMPTY_PATH | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0 {
        return Err(EINVAL.into());
    }
    let Some(change) = read_change(ctx, attr, size)? else { return Ok(0) };
    let at = paths::start(ctx, dirfd, path)?.resolve(ctx, flags)?;
    let fs = ctx.task().fs().context();
    mount::change_attr(&fs, &at, change, flags & AT_RECURSIVE != 0)?;
    Ok(0)
}

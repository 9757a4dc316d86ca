//! What is mounted, without text to parse: `statmount(2)`, `listmount(2)`.

use crate::extensible;
use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_ADMIN;
use bevor_abi::conv::{low_u32, usize_of_u32};
use bevor_abi::errno::{EFAULT, EINVAL, ENOENT, EOVERFLOW, EPERM};
use bevor_abi::mount::{
    LISTMOUNT_REVERSE, LSMT_ROOT, MNT_ID_REQ_SIZE_VER0, MS_PRIVATE, MS_SHARED, MS_SLAVE,
    MS_UNBINDABLE, MntIdReq, STATMOUNT_FS_TYPE, STATMOUNT_MNT_BASIC, STATMOUNT_MNT_NS_ID,
    STATMOUNT_MNT_OPTS, STATMOUNT_MNT_POINT, STATMOUNT_MNT_ROOT, STATMOUNT_OPT_ARRAY,
    STATMOUNT_PROPAGATE_FROM, STATMOUNT_SB_BASIC, STATMOUNT_SB_SOURCE, STATMOUNT_SUPPORTED_MASK,
    Statmount,
};
use bevor_abi::stat::{major, minor};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::mount::{Mount, Propagation};
use bevor_vfs::{FsContext, Path};
use std::sync::Arc;
use zerocopy::IntoBytes;

/// Most ids one call may ask for.
const MAX_IDS: usize = 1_000_000;

/// The fields that can be asked for.
const SUPPORTED: u64 = STATMOUNT_SB_BASIC
    | STATMOUNT_MNT_BASIC
    | STATMOUNT_PROPAGATE_FROM
    | STATMOUNT_MNT_ROOT
    | STATMOUNT_MNT_POINT
    | STATMOUNT_FS_TYPE
    | STATMOUNT_MNT_NS_ID
    | STATMOUNT_MNT_OPTS
    | STATMOUNT_SB_SOURCE
    | STATMOUNT_OPT_ARRAY
    | STATMOUNT_SUPPORTED_MASK;

fn read_request(ctx: &Ctx<'_>, at: UserAddr) -> Result<MntIdReq, Errno> {
    let size = usize_of_u32(ctx.mm().read::<u32>(at)?);
    let mut request: MntIdReq = extensible::read(ctx, at, size, MNT_ID_REQ_SIZE_VER0)?;
    // What the first read saw is what counts.
    request.size = low_u32(size as u64);
    if request.spare != 0 || request.mnt_id <= Mount::UNIQUE_OFFSET {
        return Err(EINVAL.into());
    }
    Ok(request)
}

/// Checks that the request means the caller's own namespace, the only one that can be asked about.
fn check_namespace(fs: &FsContext, request: &MntIdReq) -> Result<(), Errno> {
    if request.mnt_ns_id == 0 || request.mnt_ns_id == fs.namespace.id() {
        return Ok(());
    }
    Err(ENOENT.because("no such mount namespace"))
}

fn find(fs: &FsContext, id: u64) -> Result<Arc<Mount>, Errno> {
    let found = fs.namespace.list().into_iter().find(|mount| mount.unique_id() == id);
    found.ok_or_else(|| ENOENT.into())
}

fn check_reachable(ctx: &Ctx<'_>, fs: &FsContext, at: &Path) -> Result<(), Errno> {
    let rules = ctx.task().cred().has_cap_in(CAP_SYS_ADMIN, fs.namespace.user_ns());
    if rules || at.is_below(&fs.root) {
        return Ok(());
    }
    Err(EPERM.because("outside the root directory"))
}

/// The result as it grows.
struct Report {
    fixed: Statmount,
    texts: Vec<u8>,
}

impl Report {
    /// Adds `text`, if there is any, as field `flag`, and answers where.
    fn text(&mut self, flag: u64, text: &[u8]) -> u32 {
        if text.is_empty() {
            return 0;
        }
        // Offset 0 is the empty string.
        if self.texts.is_empty() {
            self.texts.push(0);
        }
        let at = low_u32(self.texts.len() as u64);
        self.texts.extend_from_slice(text);
        self.texts.push(0);
        self.fixed.mask |= flag;
        at
    }
}

const fn propagation_bits(of: Propagation) -> u64 {
    let mut bits = 0;
    if of.is_shared() {
        bits |= MS_SHARED;
    }
    if of.master != 0 {
        bits |= MS_SLAVE;
    }
    if of.unbindable {
        bits |= MS_UNBINDABLE;
    }
    if bits == 0 { MS_PRIVATE } else { bits }
}

fn report(fs: &FsContext, mount: &Arc<Mount>, wanted: u64) -> Report {
    let superblock = mount.superblock();
    let mut report = Report { fixed: Statmount::default(), texts: Vec::new() };
    let has = |flag: u64| wanted & flag != 0;
    let fixed = &mut report.fixed;
    if has(STATMOUNT_SB_BASIC) {
        fixed.mask |= STATMOUNT_SB_BASIC;
        fixed.sb_dev_major = major(superblock.dev());
        fixed.sb_dev_minor = minor(superblock.dev());
        fixed.sb_magic = superblock.root().inode().statfs().map_or(0, |stat| stat.magic);
        fixed.sb_flags = u32::from(superblock.is_read_only());
    }
    let propagation = mount.propagation();
    if has(STATMOUNT_MNT_BASIC) {
        let parent = mount.parent().map_or_else(|| mount.clone(), |place| place.mount);
        fixed.mask |= STATMOUNT_MNT_BASIC;
        fixed.mnt_id = mount.unique_id();
        fixed.mnt_parent_id = parent.unique_id();
        fixed.mnt_id_old = low_u32(mount.id());
        fixed.mnt_parent_id_old = low_u32(parent.id());
        fixed.mnt_attr = mount.flags().attr();
        fixed.mnt_propagation = propagation_bits(propagation);
        fixed.mnt_peer_group = propagation.peers;
        fixed.mnt_master = propagation.master;
    }
    if has(STATMOUNT_PROPAGATE_FROM) {
        fixed.mask |= STATMOUNT_PROPAGATE_FROM;
        fixed.propagate_from = mount.propagates_from(fs).unwrap_or(0);
    }
    if has(STATMOUNT_MNT_NS_ID) {
        fixed.mask |= STATMOUNT_MNT_NS_ID;
        fixed.mnt_ns_id = fs.namespace.id();
    }
    if has(STATMOUNT_SUPPORTED_MASK) {
        fixed.mask |= STATMOUNT_SUPPORTED_MASK;
        fixed.supported_mask = SUPPORTED;
    }
    if has(STATMOUNT_FS_TYPE) {
        let name = superblock.fs().name();
        report.fixed.fs_type = report.text(STATMOUNT_FS_TYPE, name.as_bytes());
    }
    if has(STATMOUNT_MNT_ROOT) {
        report.fixed.mnt_root = report.text(STATMOUNT_MNT_ROOT, &mount.root_text());
    }
    if has(STATMOUNT_MNT_POINT) {
        let place = mount.root_path().text(&fs.root);
        let shown = if place.reachable { place.bytes } else { Vec::new() };
        report.fixed.mnt_point = report.text(STATMOUNT_MNT_POINT, &shown);
    }
    let options = superblock.fs().options();
    if has(STATMOUNT_MNT_OPTS) {
        report.fixed.mnt_opts = report.text(STATMOUNT_MNT_OPTS, options.as_bytes());
    }
    if has(STATMOUNT_OPT_ARRAY) && !options.is_empty() {
        let array = options.replace(',', "\0");
        report.fixed.opt_num = low_u32(options.split(',').count() as u64);
        report.fixed.opt_array = report.text(STATMOUNT_OPT_ARRAY, array.as_bytes());
    }
    if has(STATMOUNT_SB_SOURCE) {
        report.fixed.sb_source = report.text(STATMOUNT_SB_SOURCE, mount.source());
    }
    report
}

/// `statmount(2)`.
///
/// # Errors
/// `E2BIG`, `EFAULT`, `EINVAL`, `ENOENT`, `EOVERFLOW`, `EPERM`.
pub fn statmount(
    ctx: &mut Ctx<'_>,
    request: UserAddr,
    buf: UserAddr,
    size: usize,
    flags: u32,
) -> SysResult {
    if flags != 0 {
        return Err(EINVAL.into());
    }
    let request = read_request(ctx, request)?;
    let fs = ctx.task().fs().context();
    check_namespace(&fs, &request)?;
    let mount = find(&fs, request.mnt_id)?;
    check_reachable(ctx, &fs, &mount.root_path())?;
    let Report { mut fixed, texts } = report(&fs, &mount, request.param);
    let own = size_of::<Statmount>();
    if !texts.is_empty() && own + texts.len() > size {
        return Err(EOVERFLOW.into());
    }
    let copied = size.min(own);
    fixed.size = low_u32((copied + texts.len()) as u64);
    let text_at = UserAddr(buf.0.checked_add(own as u64).ok_or(EFAULT)?);
    ctx.mm().write_bytes(text_at, &texts)?;
    ctx.mm().write_bytes(buf, fixed.as_bytes().get(..copied).unwrap_or_default())?;
    Ok(0)
}

/// `listmount(2)`: the mounts below one, in the order they were made.
///
/// # Errors
/// `E2BIG`, `EFAULT`, `EINVAL`, `ENOENT`, `EOVERFLOW`, `EPERM`.
pub fn listmount(
    ctx: &mut Ctx<'_>,
    request: UserAddr,
    ids: UserAddr,
    nr: usize,
    flags: u32,
) -> SysResult {
    if flags & !LISTMOUNT_REVERSE != 0 {
        return Err(EINVAL.into());
    }
    if nr > MAX_IDS {
        return Err(EOVERFLOW.into());
    }
    let request = read_request(ctx, request)?;
    let last = request.param;
    if last != 0 && last <= Mount::UNIQUE_OFFSET {
        return Err(EINVAL.into());
    }
    let fs = ctx.task().fs().context();
    check_namespace(&fs, &request)?;
    let top = if request.mnt_id == LSMT_ROOT {
        fs.root.clone()
    } else {
        find(&fs, request.mnt_id)?.root_path()
    };
    check_reachable(ctx, &fs, &top)?;
    let reverse = flags & LISTMOUNT_REVERSE != 0;
    let mut all = fs.namespace.list();
    if reverse {
        all.reverse();
    }
    let found: Vec<u64> = all
        .iter()
        .filter(|mount| mount.unique_id() != request.mnt_id)
        .filter(|mount| match last {
            0 => true,
            last if reverse => mount.unique_id() < last,
            last => mount.unique_id() > last,
        })
        .filter(|mount| mount.root_path().is_below(&top))
        .map(|mount| mount.unique_id())
        .take(nr)
        .collect();
    ctx.mm().write_bytes(ids, found.as_bytes())?;
    Ok(found.len() as u64)
}

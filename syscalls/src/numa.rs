//! Memory policy: `set_mempolicy(2)`, `get_mempolicy(2)`, `mbind(2)`, `move_pages(2)`.
//!
//! The sandbox has one memory node, number 0: policies are checked and kept, every page is there.

use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_NICE;
use bevor_abi::conv::usize_of;
use bevor_abi::errno::{EFAULT, EINVAL, ENODEV, ENOENT, EPERM, ESRCH};
use bevor_abi::mman::{
    MPOL_BIND, MPOL_DEFAULT, MPOL_F_ADDR, MPOL_F_MEMS_ALLOWED, MPOL_F_NODE, MPOL_F_NUMA_BALANCING,
    MPOL_F_RELATIVE_NODES, MPOL_F_STATIC_NODES, MPOL_INTERLEAVE, MPOL_LOCAL, MPOL_MF_MOVE,
    MPOL_MF_MOVE_ALL, MPOL_MF_STRICT, MPOL_PREFERRED, MPOL_PREFERRED_MANY,
    MPOL_WEIGHTED_INTERLEAVE,
};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::{MemoryManager, PAGE_SIZE, UserAddr};

/// The one node, as a mask.
const NODE_0: u64 = 1;
/// Most bits a node mask may have (`MAX_NUMNODES` of distributions' kernels).
const MAX_NODES: u64 = 1024;
/// Most pages one `move_pages` looks at.
const MAX_PAGES: u64 = 1 << 18;

/// Reads a node mask whose `maxnode` counts one bit too many, as the ABI has it.
fn read_nodes(ctx: &Ctx<'_>, mask: UserAddr, maxnode: u64) -> Result<u64, Errno> {
    let bits = maxnode.wrapping_sub(1);
    if mask.is_null() || bits == 0 || maxnode == 0 {
        return Ok(0);
    }
    if bits > PAGE_SIZE * 8 {
        return Err(EINVAL.because("node mask too long"));
    }
    let mut words = ctx.mm().read_array::<u64>(mask, usize_of(bits.div_ceil(64)))?;
    if !bits.is_multiple_of(64)
        && let Some(last) = words.last_mut()
    {
        *last &= (1 << (bits % 64)) - 1;
    }
    let beyond = usize_of(MAX_NODES / 64);
    if words.iter().skip(beyond).any(|&word| word != 0) {
        return Err(EINVAL.because("node beyond the highest"));
    }
    // Nodes that do not exist do not count.
    let missing = words.iter().skip(1).any(|&word| word != 0);
    let first = words.first().copied().unwrap_or(0);
    Ok(if missing { first | 2 } else { first })
}

/// Writes a node mask of which at most the first word is not zero.
fn write_nodes(ctx: &Ctx<'_>, mask: UserAddr, maxnode: u64, nodes: u64) -> Result<(), Errno> {
    let bytes = maxnode.saturating_sub(1).div_ceil(64) * 8;
    if bytes > PAGE_SIZE {
        return Err(EINVAL.because("node mask too long"));
    }
    let mut words = vec![0_u64; usize_of(bytes / 8)];
    if let Some(first) = words.first_mut() {
        *first = nodes;
    }
    ctx.mm().write_array(mask, &words)
}

/// Checks a policy as the kernel's `mpol_new` does and returns mode and flags, and the nodes.
fn policy(mode: u32, nodes: u64) -> Result<(u32, u64), Errno> {
    let known = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | MPOL_F_NUMA_BALANCING;
    let (flags, mode) = (mode & known, mode & !known);
    let absolute = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES;
    if flags & absolute == absolute || (flags & MPOL_F_NUMA_BALANCING != 0 && mode != MPOL_BIND) {
        return Err(EINVAL.because("mode flags exclude each other"));
    }
    match mode {
        MPOL_DEFAULT if nodes == 0 && flags == 0 => Ok((MPOL_DEFAULT, 0)),
        MPOL_LOCAL if nodes == 0 && flags == 0 => Ok((MPOL_LOCAL, 0)),
        MPOL_PREFERRED if nodes == 0 && flags & absolute == 0 => Ok((MPOL_LOCAL, 0)),
        MPOL_BIND
        | MPOL_INTERLEAVE
        | MPOL_PREFERRED
        | MPOL_PREFERRED_MANY
        | MPOL_WEIGHTED_INTERLEAVE
            if nodes & NODE_0 != 0 =>
        {
            Ok((mode | flags, NODE_0))
        }
        _ => Err(EINVAL.because("no such policy, or none of its nodes exists")),
    }
}

/// `set_mempolicy(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`.
pub fn set_mempolicy(ctx: &mut Ctx<'_>, mode: u32, nodes: UserAddr, maxnode: u64) -> SysResult {
    let nodes = read_nodes(ctx, nodes, maxnode)?;
    *ctx.task().mempolicy.lock() = policy(mode, nodes)?;
    Ok(0)
}

/// `get_mempolicy(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`.
pub fn get_mempolicy(
    ctx: &mut Ctx<'_>,
    mode: UserAddr,
    nodes: UserAddr,
    maxnode: u64,
    addr: UserAddr,
    flags: u64,
) -> SysResult {
    let known = MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED;
    let flags = u32::try_from(flags).ok().filter(|flags| flags & !known == 0).ok_or(EINVAL)?;
    if !nodes.is_null() && maxnode == 0 {
        return Err(EINVAL.into());
    }
    let (kept, kept_nodes) = *ctx.task().mempolicy.lock();
    let at_addr = flags & MPOL_F_ADDR != 0;
    let (answer, mask) = if flags & MPOL_F_MEMS_ALLOWED != 0 {
        if flags != MPOL_F_MEMS_ALLOWED {
            return Err(EINVAL.into());
        }
        (0, NODE_0)
    } else if at_addr {
        if !is_mapped(ctx.mm(), addr.0, 1) {
            return Err(EFAULT.into());
        }
        // Either the node of the page, or the policy, which is nobody's own: the default.
        (0, 0)
    } else if !addr.is_null() {
        return Err(EINVAL.into());
    } else if flags & MPOL_F_NODE != 0 {
        // The node the next page would come from, which only interleaving knows.
        if !matches!(kept & 0xff, MPOL_INTERLEAVE | MPOL_WEIGHTED_INTERLEAVE) {
            return Err(EINVAL.into());
        }
        (0, kept_nodes)
    } else {
        (kept, kept_nodes)
    };
    if !mode.is_null() {
        ctx.mm().write(mode, &answer)?;
    }
    if !nodes.is_null() {
        write_nodes(ctx, nodes, maxnode, mask)?;
    }
    Ok(0)
}

/// Whether every page of the range is in some mapping.
fn is_mapped(mm: &MemoryManager, start: u64, len: u64) -> bool {
    let Some(end) = start.checked_add(len) else { return false };
    let mut at = start;
    for map in mm.maps() {
        if map.range.start <= at && at < map.range.end {
            at = map.range.end;
        }
    }
    at >= end
}

/// `mbind(2)`: one node holds every page, whatever the policy.
///
/// # Errors
/// `EFAULT` for a gap, `EINVAL`, `EPERM`.
pub fn mbind(
    ctx: &mut Ctx<'_>,
    addr: UserAddr,
    len: u64,
    mode: u32,
    nodes: UserAddr,
    maxnode: u64,
    flags: u32,
) -> SysResult {
    let nodes = read_nodes(ctx, nodes, maxnode)?;
    policy(mode, nodes)?;
    check_move_flags(ctx, flags)?;
    if !addr.is_aligned(PAGE_SIZE) {
        return Err(EINVAL.into());
    }
    if len != 0 && !is_mapped(ctx.mm(), addr.0, len) {
        return Err(EFAULT.into());
    }
    Ok(0)
}

fn check_move_flags(ctx: &Ctx<'_>, flags: u32) -> Result<(), Errno> {
    if flags & !(MPOL_MF_STRICT | MPOL_MF_MOVE | MPOL_MF_MOVE_ALL) != 0 {
        return Err(EINVAL.into());
    }
    if flags & MPOL_MF_MOVE_ALL != 0 && !ctx.task().cred().has_cap(CAP_SYS_NICE) {
        return Err(EPERM.into());
    }
    Ok(())
}

/// `set_mempolicy_home_node(2)`.
///
/// # Errors
/// `EINVAL`, `ENOENT`: no range has a policy of its own.
pub fn set_mempolicy_home_node(
    _ctx: &mut Ctx<'_>,
    addr: UserAddr,
    len: u64,
    node: u64,
    flags: u64,
) -> SysResult {
    if flags != 0 || node != 0 || !addr.is_aligned(PAGE_SIZE) {
        return Err(EINVAL.into());
    }
    if len == 0 {
        return Ok(0);
    }
    Err(ENOENT.because("no range has a memory policy").into())
}

/// `migrate_pages(2)`: returns how many pages could not be moved; all are where they can be.
///
/// # Errors
/// `EFAULT`, `EINVAL`, `EPERM`, `ESRCH`.
pub fn migrate_pages(
    ctx: &mut Ctx<'_>,
    pid: i32,
    maxnode: u64,
    old: UserAddr,
    new: UserAddr,
) -> SysResult {
    read_nodes(ctx, old, maxnode)?;
    let new = read_nodes(ctx, new, maxnode)?;
    let target = crate::target::thread(ctx, pid).ok_or(ESRCH)?;
    if !ctx.task().may_inspect(&target) {
        return Err(EPERM.into());
    }
    if new & NODE_0 == 0 {
        return Err(EINVAL.because("no such node").into());
    }
    Ok(0)
}

/// `move_pages(2)`: tells that pages are on node 0, and moves none elsewhere.
///
/// # Errors
/// `EFAULT`, `EINVAL`, `EPERM`, `ESRCH`.
pub fn move_pages(
    ctx: &mut Ctx<'_>,
    pid: i32,
    count: u64,
    pages: UserAddr,
    nodes: UserAddr,
    status: UserAddr,
    flags: u32,
) -> SysResult {
    if flags & !(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL) != 0 || count > MAX_PAGES {
        return Err(EINVAL.into());
    }
    check_move_flags(ctx, flags)?;
    let target = crate::target::thread(ctx, pid).ok_or(ESRCH)?;
    if !ctx.task().may_inspect(&target) {
        return Err(EPERM.into());
    }
    let mm = target.mm().ok_or(EINVAL)?;
    let maps: Vec<_> = mm.maps().into_iter().map(|map| map.range).collect();
    let pages = ctx.mm().read_array::<u64>(pages, usize_of(count))?;
    let wanted = if nodes.is_null() {
        None
    } else {
        Some(ctx.mm().read_array::<i32>(nodes, usize_of(count))?)
    };
    if wanted.as_ref().is_some_and(|wanted| wanted.iter().any(|&node| node != 0)) {
        return Err(ENODEV.into());
    }
    let unmapped = -i32::from(EFAULT.0.cast_signed());
    let answers = pages
        .iter()
        .map(|page| if maps.iter().any(|map| map.contains(page)) { 0 } else { unmapped });
    ctx.mm().write_array(status, &answers.collect::<Vec<i32>>())?;
    Ok(0)
}

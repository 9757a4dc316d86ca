//! Landlock: `landlock_create_ruleset(2)`, `landlock_add_rule(2)`, `landlock_restrict_self(2)`.
//!
//! What a domain forbids is enforced where the thing happens: for files in `bevor_vfs::landlock`.

use crate::event;
use crate::extensible;
use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_ADMIN;
use bevor_abi::errno::{E2BIG, EACCES, EBADF, EBADFD, EFAULT, EINVAL, ENOMSG, EPERM};
use bevor_abi::fcntl::O_CLOEXEC;
use bevor_abi::landlock::{
    LANDLOCK_ACCESS_NET_BIND_TCP, LANDLOCK_ACCESS_NET_CONNECT_TCP, LANDLOCK_CREATE_RULESET_ERRATA,
    LANDLOCK_CREATE_RULESET_VERSION, LANDLOCK_PATH_BENEATH_ATTR_SIZE,
    LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON, LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF,
    LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF, LANDLOCK_RULE_NET_PORT, LANDLOCK_RULE_PATH_BENEATH,
    LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, LANDLOCK_SCOPE_SIGNAL, LandlockNetPortAttr,
    LandlockRulesetAttr,
};
use bevor_base::Credentials;
use bevor_base::landlock::{Domain, Rules};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::file::{File, FileOps};
use bevor_vfs::landlock::{FILE_RIGHTS, key};
use parking_lot::Mutex;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Version of the interface: that of Linux 6.18.
const ABI_VERSION: u64 = 7;
/// Mended faults of that version, a bit each.
const ERRATA: u64 = 0b111;
/// File rights of that version.
const ALL_FS: u64 = 0xffff;
/// Network rights of that version.
const ALL_NET: u64 = LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP;
/// Scopes of that version.
const ALL_SCOPES: u64 = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;
/// Flags of `landlock_restrict_self(2)` of that version.
const ALL_RESTRICT_FLAGS: u32 = LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF
    | LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON
    | LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF;
/// Bytes of `struct landlock_ruleset_attr` when it was first released.
const RULESET_ATTR_LEAST: usize = 8;

/// What the descriptor of a ruleset refers to.
#[derive(Default)]
struct Ruleset(Mutex<Rules>);

impl FileOps for Ruleset {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `landlock_create_ruleset(2)`.
///
/// # Errors
/// `E2BIG`, `EFAULT`, `EINVAL`, `EMFILE`, `ENOMSG`.
pub fn landlock_create_ruleset(
    ctx: &mut Ctx<'_>,
    attr: UserAddr,
    size: usize,
    flags: u32,
) -> SysResult {
    if flags != 0 {
        return match flags {
            _ if !attr.is_null() || size != 0 => Err(EINVAL.into()),
            LANDLOCK_CREATE_RULESET_VERSION => Ok(ABI_VERSION),
            LANDLOCK_CREATE_RULESET_ERRATA => Ok(ERRATA),
            _ => Err(EINVAL.into()),
        };
    }
    if attr.is_null() {
        return Err(EFAULT.into());
    }
    if size < RULESET_ATTR_LEAST {
        return Err(EINVAL.into());
    }
    let attr: LandlockRulesetAttr = extensible::read(ctx, attr, size, RULESET_ATTR_LEAST)?;
    let unknown = attr.handled_access_fs & !ALL_FS
        | attr.handled_access_net & !ALL_NET
        | attr.scoped & !ALL_SCOPES;
    if unknown != 0 {
        return Err(EINVAL.because("rights that are not known").into());
    }
    if attr.handled_access_fs == 0 && attr.handled_access_net == 0 && attr.scoped == 0 {
        return Err(ENOMSG.into());
    }
    let rules = Rules::new(attr.handled_access_fs, attr.handled_access_net, attr.scoped);
    event::install(ctx, Box::new(Ruleset(Mutex::new(rules))), "[landlock-ruleset]", O_CLOEXEC)
}

fn ruleset(file: &File) -> Result<&Ruleset, Errno> {
    file.downcast::<Ruleset>().ok_or_else(|| EBADFD.into())
}

/// `landlock_add_rule(2)`.
///
/// # Errors
/// `EBADF`, `EBADFD`, `EFAULT`, `EINVAL`, `ENOMSG`.
pub fn landlock_add_rule(
    ctx: &mut Ctx<'_>,
    fd: i32,
    kind: u32,
    attr: UserAddr,
    flags: u64,
) -> SysResult {
    if flags != 0 {
        return Err(EINVAL.into());
    }
    let file = ctx.file(fd)?;
    let ruleset = ruleset(&file)?;
    match kind {
        LANDLOCK_RULE_PATH_BENEATH => {
            let mut bytes = [0; LANDLOCK_PATH_BENEATH_ATTR_SIZE];
            ctx.mm().read_bytes(attr, &mut bytes)?;
            let [a0, a1, a2, a3, a4, a5, a6, a7, f0, f1, f2, f3] = bytes;
            let access = u64::from_ne_bytes([a0, a1, a2, a3, a4, a5, a6, a7]);
            let parent = i32::from_ne_bytes([f0, f1, f2, f3]);
            allow_beneath(ctx, ruleset, access, parent)
        }
        LANDLOCK_RULE_NET_PORT => {
            let attr = ctx.mm().read::<LandlockNetPortAttr>(attr)?;
            let mut rules = ruleset.0.lock();
            check_access(attr.allowed_access, rules.handled_net)?;
            let port = u16::try_from(attr.port).map_err(|_| EINVAL)?;
            rules.allow_port(port, attr.allowed_access);
            Ok(0)
        }
        _ => Err(EINVAL.because("no such kind of rule").into()),
    }
}

fn check_access(access: u64, handled: u64) -> Result<(), Errno> {
    if access == 0 {
        return Err(ENOMSG.into());
    }
    if access & !handled == 0 { Ok(()) } else { Err(EINVAL.because("a right not handled")) }
}

fn allow_beneath(ctx: &Ctx<'_>, ruleset: &Ruleset, access: u64, parent: i32) -> SysResult {
    check_access(access, ruleset.0.lock().handled_fs)?;
    let parent = ctx.files().get_any(parent).map_err(|_| EBADF)?;
    let dentry = &parent.path().dentry;
    if dentry.is_anonymous() {
        return Err(EBADFD.because("a file in no tree").into());
    }
    if !dentry.is_dir() && access & !FILE_RIGHTS != 0 {
        return Err(EINVAL.because("rights of directories for a file").into());
    }
    ruleset.0.lock().allow_beneath(key(dentry.inode()), access, Arc::new(dentry.clone()));
    Ok(0)
}

/// `landlock_restrict_self(2)`. There is no audit log; its flags are checked.
///
/// # Errors
/// `E2BIG`, `EBADF`, `EBADFD`, `EINVAL`, `EPERM`.
pub fn landlock_restrict_self(ctx: &mut Ctx<'_>, fd: i32, flags: u32) -> SysResult {
    let task = ctx.task().clone();
    let cred = task.cred();
    if !task.no_new_privs.load(Ordering::Relaxed) && !cred.has_cap(CAP_SYS_ADMIN) {
        return Err(EPERM.because("needs no_new_privs or CAP_SYS_ADMIN").into());
    }
    if flags & !ALL_RESTRICT_FLAGS != 0 {
        return Err(EINVAL.into());
    }
    if fd == -1 && flags == LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF {
        return Ok(0);
    }
    let file = ctx.file(fd)?;
    let rules = ruleset(&file)?.0.lock().clone();
    let domain = Domain::enter(cred.landlock.as_ref(), rules);
    let domain = domain.ok_or_else(|| E2BIG.because("too many layers"))?;
    crate::credentials::commit(ctx, Credentials { landlock: Some(domain), ..(*cred).clone() });
    Ok(0)
}

/// Refuses to change mounts to a task whose domain is about files.
///
/// # Errors
/// `EPERM`.
pub fn check_mounting(ctx: &Ctx<'_>) -> Result<(), Errno> {
    let cred = ctx.task().cred();
    if cred.landlock.as_ref().is_some_and(|domain| domain.confines_files()) {
        return Err(EPERM.because("Landlock"));
    }
    Ok(())
}

/// Checks that the caller's domain allows `access` to a TCP port.
///
/// # Errors
/// `EACCES`.
pub fn check_port(ctx: &Ctx<'_>, port: u16, access: u64) -> Result<(), Errno> {
    let cred = ctx.task().cred();
    if cred.landlock.as_ref().is_some_and(|domain| !domain.allows_port(port, access)) {
        return Err(EACCES.because("Landlock"));
    }
    Ok(())
}

/// As [`check_port`], for a socket address as the host has it; others than TCP/IP's pass.
///
/// # Errors
/// `EACCES`.
pub fn check_raw_port(ctx: &Ctx<'_>, addr: &[u8], access: u64) -> Result<(), Errno> {
    use bevor_abi::socket::{AF_INET, AF_INET6};
    let &[f0, f1, p0, p1, ..] = addr else { return Ok(()) };
    match u16::from_ne_bytes([f0, f1]) {
        AF_INET | AF_INET6 => check_port(ctx, u16::from_be_bytes([p0, p1]), access),
        _ => Ok(()),
    }
}

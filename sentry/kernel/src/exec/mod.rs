//! `execve(2)`: replaces a process's program.
//!
//! [`load`] builds a whole new address space from a path; [`replace`] puts it under the calling
//! task once no other thread of the process is left; [`start`](crate::start) uses [`load`] for a
//! container's first processes.

mod elf;
mod open;
mod replace;
mod script;
mod stack;

pub use open::{open_at, open_path};
pub use replace::{prepare, replace};

use crate::host;
use crate::kernel::Kernel;
use crate::limits::{self, Limits};
use bevor_abi::Errno;
use bevor_abi::errno::{EFAULT, EINVAL, ELIBBAD, ELOOP, ENOEXEC, ENOMEM, EPERM};
use bevor_abi::prctl::ADDR_NO_RANDOMIZE;
use bevor_base::Credentials;
use bevor_memory::{Account, IoDst, Layout, MemoryManager, MmapArgs, UserAddr};
use bevor_platform::{Context, Space, UserRegs};
use bevor_vfs::caller::Caller;
use bevor_vfs::file::File;
use bevor_vfs::mount::MountFlags;
use bevor_vfs::{At, LastLink};
use elf::{Image, Place};
use std::sync::Arc;

/// Most interpreters of interpreters.
const MAX_SCRIPTS: usize = 5;
/// How many host processes are tried: each may be killed from outside before it is of use.
const SPACE_TRIES: u32 = 3;
/// User code and stack segments.
const USER_CS: u64 = 0x33;
const USER_SS: u64 = 0x2b;
/// `IF` and the bit that is always set.
const INITIAL_FLAGS: u64 = 0x202;

/// Opens an executable by path for [`load`]; checks execute permission and the mount.
pub type Opener<'a> = dyn Fn(&[u8]) -> Result<Arc<File>, Errno> + 'a;

/// A program to run.
pub struct Program<'a> {
    /// The file, already opened for execution.
    pub file: Arc<File>,
    /// The path it was named by (`AT_EXECFN`, and a script's argument).
    pub filename: Vec<u8>,
    /// `argv`.
    pub args: Vec<Vec<u8>>,
    /// `environ`.
    pub envs: Vec<Vec<u8>>,
    /// Opens interpreters.
    pub open: &'a Opener<'a>,
    /// Whether the path is only reachable through a close-on-exec descriptor, so that an
    /// interpreter could not open it.
    pub inaccessible: bool,
    /// `personality(2)` of the caller.
    pub personality: u32,
}

/// A loaded program: a new address space and the registers it starts with.
pub struct Loaded {
    /// Its memory.
    pub mm: Arc<MemoryManager>,
    /// Registers.
    pub context: Context,
    /// The executable itself (`/proc/PID/exe`).
    pub exe: Arc<File>,
    /// What `/proc/PID` shows of the image.
    pub image: ImageInfo,
    /// The task's name.
    pub comm: Vec<u8>,
    /// Credentials after set-user-ID and file capabilities.
    pub cred: Arc<Credentials>,
}

/// What `/proc/PID/{cmdline,environ,auxv,stat}` show of the program image.
#[derive(Clone, Debug, Default)]
pub struct ImageInfo {
    /// Addresses of the argument strings.
    pub args: std::ops::Range<u64>,
    /// Addresses of the environment strings.
    pub envs: std::ops::Range<u64>,
    /// The auxiliary vector.
    pub auxv: Vec<(u64, u64)>,
    /// Code.
    pub code: std::ops::Range<u64>,
    /// Initialised data.
    pub data: std::ops::Range<u64>,
    /// Stack pointer at the start.
    pub start_stack: u64,
    /// Start of `brk`.
    pub start_brk: u64,
}

/// Loads a program into a new address space. Nothing of the caller changes.
///
/// # Errors
/// As `execve(2)`: `ENOEXEC`, `EACCES`, `ELOOP`, `E2BIG`, `ENOENT`, `EINVAL`, `ELIBBAD`, `ENOMEM`.
pub fn load(
    kernel: &Kernel,
    account: &Arc<Account>,
    limits: &Limits,
    cred: &Arc<Credentials>,
    privileges: Privileges,
    mut program: Program<'_>,
) -> Result<Loaded, Errno> {
    let stack_limit = limits.soft(limits::STACK);
    if program.args.is_empty() {
        // As Linux since 5.18: a program always has an argv[0].
        program.args.push(Vec::new());
    }
    let exe_for_cred = program.file.clone();
    let mut file = program.file.clone();
    let mut args = program.args;
    let filename = program.filename;
    let mut script_path = filename.clone();
    let image = {
        let mut depth = 0;
        loop {
            let head = read_head(&file)?;
            let Some(script) = script::parse(&head)? else { break Image::parse(&file, &head)? };
            depth += 1;
            if depth > MAX_SCRIPTS {
                return Err(ELOOP.into());
            }
            if program.inaccessible {
                return Err(bevor_abi::errno::ENOENT.because("the script is close-on-exec"));
            }
            let mut prefix = vec![script.interpreter.clone()];
            prefix.extend(script.argument);
            prefix.push(script_path);
            args.splice(0..1, prefix);
            file = (program.open)(&script.interpreter)?;
            script_path = script.interpreter;
        }
    };
    stack::check_size(&args, &program.envs, stack_limit)?;
    let interpreter = match &image.interpreter {
        Some(path) => {
            let file = (program.open)(path)?;
            let image = Image::parse(&file, &read_head(&file)?)
                .map_err(|errno| if errno == ENOEXEC { ELIBBAD.into() } else { errno })?;
            Some(image)
        }
        None => None,
    };
    let (cred, secure) = privileges.apply(cred, &file, Arc::ptr_eq(&file, &exe_for_cred))?;

    let parts = Parts {
        image,
        interpreter,
        args: &args,
        envs: &program.envs,
        filename: &filename,
        limits,
        fixed: program.personality & ADDR_NO_RANDOMIZE != 0,
        secure,
    };
    let mut tries = SPACE_TRIES;
    let (mm, context, image) = loop {
        let space = kernel.platform.new_space().map_err(|_| ENOMEM)?;
        match build(kernel, account, space.clone(), &cred, &parts) {
            // Nobody has seen the killed process: another one will do.
            Err(_) if space.is_gone() && tries > 1 => tries -= 1,
            built => break built?,
        }
    };
    let comm = filename.rsplit(|&byte| byte == b'/').next().unwrap_or_default().to_vec();
    Ok(Loaded { mm, context, exe: file, image, comm, cred })
}

/// What a new address space is built of.
struct Parts<'a> {
    image: Image,
    interpreter: Option<Image>,
    args: &'a [Vec<u8>],
    envs: &'a [Vec<u8>],
    filename: &'a [u8],
    limits: &'a Limits,
    /// Addresses are not randomised.
    fixed: bool,
    secure: bool,
}

/// Fills an empty address space.
fn build(
    kernel: &Kernel,
    account: &Arc<Account>,
    space: Arc<dyn Space>,
    cred: &Credentials,
    parts: &Parts<'_>,
) -> Result<(Arc<MemoryManager>, Context, ImageInfo), Errno> {
    let &Parts { ref image, ref interpreter, args, envs, filename, limits, fixed, secure } = parts;
    let stack_limit = limits.soft(limits::STACK);
    let mm = MemoryManager::new(space, kernel.memory.clone(), account.clone())?;
    mm.hold_orders();
    mm.set_limits(memory_limits(limits, cred));
    let layout = Layout::new(stack_limit, if fixed { [0; 4] } else { host::random_words() });
    mm.set_layout(layout);
    let guest_end = kernel.platform.guest_range().end;

    let place = match (interpreter, image.is_relocatable()) {
        (None, true) => Place::Anywhere,
        _ => Place::Base(layout.pie_base),
    };
    let mapped = image.map(&mm, guest_end, place)?;
    let linker = match interpreter {
        Some(linker) => Some(linker.map(&mm, guest_end, Place::Anywhere)?),
        None => None,
    };
    let start_brk = if image.is_relocatable() && interpreter.is_none() {
        // A static PIE lies among the mappings: its heap goes where a PIE would be.
        layout.pie_base
    } else {
        mapped.end
    };
    let start_brk = page_up(start_brk).saturating_add(layout.brk_gap);
    mm.set_brk_start(start_brk);
    let vdso = map_vdso(kernel, &mm)?;

    let mut auxv = vec![];
    if let Some(vdso) = vdso {
        auxv.push((33, vdso));
    }
    auxv.extend([
        (16, host::auxv(host::AT_HWCAP)),
        (6, 4096),
        (17, 100),
        (3, mapped.phdr),
        (4, 56),
        (5, mapped.nr_phdr),
        (7, linker.map_or(0, |linker| linker.bias)),
        (8, 0),
        (9, mapped.entry),
        (11, u64::from(cred.user_ns.uid_out(cred.ruid))),
        (12, u64::from(cred.user_ns.uid_out(cred.euid))),
        (13, u64::from(cred.user_ns.gid_out(cred.rgid))),
        (14, u64::from(cred.user_ns.gid_out(cred.egid))),
        (23, u64::from(secure)),
        (26, host::auxv(host::AT_HWCAP2)),
        (51, host::auxv(host::AT_MINSIGSTKSZ)),
    ]);
    let mut random = [0; 16];
    host::random(&mut random);
    let contents = stack::Contents { args, envs, filename, random, auxv };
    let built = stack::build(layout.stack_top, &contents);
    mm.map_stack(built.bytes.len() as u64, image.executable_stack)?;
    mm.write_bytes(UserAddr(built.sp), &built.bytes)?;
    mm.release_orders()?;

    let regs = UserRegs {
        rip: linker.map_or(mapped.entry, |linker| linker.entry),
        rsp: built.sp,
        eflags: INITIAL_FLAGS,
        cs: USER_CS,
        ss: USER_SS,
        orig_rax: u64::MAX,
        ..UserRegs::default()
    };
    let info = ImageInfo {
        args: built.args,
        envs: built.envs,
        auxv: built.auxv,
        code: mapped.start_code..mapped.end_code,
        data: mapped.start_data..mapped.end_data,
        start_stack: built.sp,
        start_brk,
    };
    Ok((mm, Context { regs, full: true }, info))
}

/// The limits memory operations honour, from a process's.
#[must_use]
pub fn memory_limits(limits: &Limits, cred: &Credentials) -> bevor_memory::Limits {
    /// `CAP_IPC_LOCK`.
    const CAP_IPC_LOCK: u32 = 14;
    bevor_memory::Limits {
        address_space: limits.soft(limits::AS),
        data: limits.soft(limits::DATA),
        stack: limits.soft(limits::STACK),
        memlock: limits.soft(limits::MEMLOCK),
        may_lock: cred.has_cap(CAP_IPC_LOCK),
    }
}

fn page_up(address: u64) -> u64 {
    address.saturating_add(4095) & !4095
}

fn read_head(file: &File) -> Result<Vec<u8>, Errno> {
    let mut head = vec![0; script::HEAD_BYTES];
    let mut done = 0;
    while done < head.len() {
        let mut dst = IoDst::kernel(&mut head[done..]);
        match file.ops().read(file, &mut dst, done as u64)? {
            0 => break,
            more => done += more,
        }
    }
    head.truncate(done);
    Ok(head)
}

fn map_vdso(kernel: &Kernel, mm: &MemoryManager) -> Result<Option<u64>, Errno> {
    let Some(image) = kernel.platform.vdso() else { return Ok(None) };
    let length = (image.len() as u64 + 4095) & !4095;
    let addr = mm.mmap(MmapArgs {
        addr: 0,
        len: length,
        prot: 3,
        flags: 0x02 | 0x20,
        name: Some(Arc::from(&b"[vdso]"[..])),
        ..MmapArgs::default()
    })?;
    mm.write_bytes(UserAddr(addr), image)?;
    mm.mprotect(addr, length, 5)?;
    Ok(Some(addr))
}

/// What a program file may add to its caller's privileges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Privileges {
    /// Set-user-ID, set-group-ID and file capabilities count.
    pub may_gain: bool,
}

impl Privileges {
    /// Credentials after `execve` (`capabilities(7)`, "Transformation of capabilities during
    /// execve()"), and whether the program runs in secure mode.
    fn apply(
        self,
        old: &Arc<Credentials>,
        file: &File,
        direct: bool,
    ) -> Result<(Arc<Credentials>, bool), Errno> {
        /// `SECBIT_NOROOT`.
        const NOROOT: u32 = 1;
        /// `SECBIT_KEEP_CAPS`.
        const KEEP_CAPS: u32 = 1 << 4;
        let attr = file.path().inode().attr()?;
        let mut new = (**old).clone();
        let may_gain =
            self.may_gain && direct && !file.path().mount.flags().has(MountFlags::NOSUID);
        if may_gain && attr.mode & 0o4000 != 0 && old.user_ns.uid_out(attr.uid) != u32::MAX {
            new.euid = attr.uid;
        }
        if may_gain && attr.mode & 0o2010 == 0o2010 {
            new.egid = attr.gid;
        }
        let file_caps = if may_gain { file_capabilities(file)? } else { None };
        let root_uid = old.user_ns.uid_in(0);
        let root_counts = new.securebits & NOROOT == 0;
        let is_root = |uid: u32| root_counts && Some(uid) == root_uid;
        let gained = new.euid != old.euid || new.egid != old.egid;
        let privileged = file_caps.is_some() || gained;
        let ambient = if privileged { 0 } else { new.ambient };
        let (permitted, inheritable, effective) = match file_caps {
            Some(caps) => caps,
            None if is_root(new.ruid) || is_root(new.euid) => {
                (u64::MAX, u64::MAX, is_root(new.euid))
            }
            None => (0, 0, false),
        };
        new.ambient = ambient;
        new.permitted = (new.inheritable & inheritable) | (permitted & new.bounding) | ambient;
        if file_caps.is_some_and(|(wanted, _, all)| all && wanted & !new.permitted != 0) {
            return Err(EPERM.because("a capability of the file cannot be had"));
        }
        new.effective = if effective { new.permitted } else { ambient };
        new.securebits &= !KEEP_CAPS;
        new.suid = new.euid;
        new.sgid = new.egid;
        new.fsuid = new.euid;
        new.fsgid = new.egid;
        let raised = new.permitted & !(old.permitted | ambient) != 0 && !is_root(new.ruid);
        let secure = gained || old.ruid != new.euid || old.rgid != new.egid || raised;
        Ok((Arc::new(new), secure))
    }
}

/// Permitted and inheritable set and effective flag of `security.capability`.
fn file_capabilities(file: &File) -> Result<Option<(u64, u64, bool)>, Errno> {
    let Ok(value) = file.path().inode().get_xattr(b"security.capability") else { return Ok(None) };
    let word = |index: usize| {
        let bytes = value.get(4 * index..4 * index + 4);
        bytes.and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
    };
    let magic = word(0).ok_or(EINVAL)?;
    if !matches!(magic >> 24, 2 | 3) {
        return Err(EINVAL.because("unknown version of security.capability"));
    }
    let (Some(p0), Some(i0), Some(p1), Some(i1)) = (word(1), word(2), word(3), word(4)) else {
        return Err(EINVAL.into());
    };
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Ok(Some((join(p0, p1), join(i0, i1), magic & 1 != 0)))
}

/// Reads a NULL-terminated array of string pointers (`argv`, `envp`); a null array is empty.
///
/// # Errors
/// `EFAULT`, `E2BIG`.
pub fn read_strings(
    mm: &MemoryManager,
    array: u64,
    stack_limit: u64,
) -> Result<Vec<Vec<u8>>, Errno> {
    use bevor_abi::errno::{E2BIG, ENAMETOOLONG};
    let mut strings: Vec<Vec<u8>> = Vec::new();
    let mut total = 0;
    let limit = (stack_limit / 4).clamp(131_072, 6 << 20);
    let mut at = UserAddr(array);
    if array == 0 {
        return Ok(strings);
    }
    loop {
        let mut pointer = [0; 8];
        mm.read_bytes(at, &mut pointer)?;
        let pointer = u64::from_ne_bytes(pointer);
        if pointer == 0 {
            break;
        }
        let string = mm
            .read_cstr(UserAddr(pointer), stack::MAX_STRING)
            .map_err(|errno| if errno == ENAMETOOLONG { E2BIG.into() } else { errno })?;
        total += string.len() as u64 + 9;
        if total > limit {
            return Err(E2BIG.into());
        }
        strings.push(string);
        at = at.add(8).map_err(|_| EFAULT)?;
    }
    Ok(strings)
}

/// Opens an executable as the given caller sees paths.
///
/// # Errors
/// `ENOENT`, `EACCES`, `ENOTDIR`, `ELOOP`, `ETXTBSY`.
pub fn open_executable(
    caller: &dyn Caller,
    fs: &bevor_vfs::FsContext,
    path: &[u8],
) -> Result<Arc<File>, Errno> {
    let cred = caller.cred();
    open_at(&At::cwd(fs, caller, &cred), path, LastLink::Follow)
}

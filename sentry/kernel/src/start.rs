//! First processes of containers: a container's init and `exec`ed ones.

use crate::container::Container;
use crate::exec::{self, Privileges, Program};
use crate::fd::FdTable;
use crate::fs::FsState;
use crate::group::ThreadGroup;
use crate::kernel::Kernel;
use crate::limits::{Limit, Limits, NR_LIMITS};
use crate::pid::Pid;
use crate::signal::{Action, Handlers, SIG_IGN, TaskSignals};
use crate::task::{Machine, SchedAttributes, Task, TaskFuture, TaskParts};
use crate::tree::{Node, TtyUse};
use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, ENOENT, ENOMEM, ENOTDIR};
use bevor_base::Credentials;
use bevor_memory::MemoryManager;
use bevor_platform::FpState;
use bevor_vfs::caller::{Caller, JobControl, NoSession};
use bevor_vfs::file::File;
use bevor_vfs::inode::MAY_EXEC;
use bevor_vfs::namei::perm;
use bevor_vfs::tty::Terminal;
use bevor_vfs::{At, FsContext, LastLink};
use std::any::Any;
use std::sync::Arc;

/// A process to start.
pub struct ProcessSpec {
    /// `argv`; the first is the program, looked up in `PATH` of `envs` if it has no slash.
    pub args: Vec<Vec<u8>>,
    /// `environ`.
    pub envs: Vec<Vec<u8>>,
    /// Working directory, absolute.
    pub cwd: Vec<u8>,
    /// Credentials.
    pub cred: Credentials,
    /// Standard streams and what else it inherits.
    pub files: Vec<(i32, Arc<File>)>,
    /// Resource limits.
    pub limits: [Limit; NR_LIMITS],
    /// File-creation mask.
    pub umask: u32,
    /// `no_new_privs`.
    pub no_new_privs: bool,
    /// Signals it starts with ignored.
    pub ignored_signals: Vec<i32>,
    /// The terminal to make its controlling one.
    pub tty: Option<Arc<dyn Terminal>>,
}

/// Somebody outside every task, while a first process is made.
struct Starter<'a> {
    cred: Arc<Credentials>,
    mm: &'a Arc<MemoryManager>,
    umask: u32,
}

impl Caller for Starter<'_> {
    fn cred(&self) -> Arc<Credentials> {
        self.cred.clone()
    }
    fn mm(&self) -> &Arc<MemoryManager> {
        self.mm
    }
    fn umask(&self) -> u32 {
        self.umask
    }
    fn tgid(&self) -> i32 {
        0
    }
    fn tid(&self) -> i32 {
        0
    }
    fn terminal(&self) -> &dyn JobControl {
        &NoSession
    }
    fn rlimit(&self, _resource: u32) -> u64 {
        u64::MAX
    }
    fn raise(&self, _signo: i32) {}
    fn as_any(&self) -> &dyn Any {
        &()
    }
}

/// Starts a process in a container; the first one becomes its init. Call it from a control thread.
///
/// # Errors
/// `ENOENT`, `EACCES`, `ENOEXEC` and what else `execve(2)` and `chdir(2)` say; `EAGAIN` at the task
/// limit.
pub fn start(
    kernel: &Arc<Kernel>,
    container: &Arc<Container>,
    spec: ProcessSpec,
) -> Result<Arc<ThreadGroup>, Errno> {
    if !container.charge_task() {
        return Err(EAGAIN.because("the container's pids limit"));
    }
    let started = try_start(kernel, container, spec);
    if started.is_err() {
        container.uncharge_task();
    }
    started
}

fn try_start(
    kernel: &Arc<Kernel>,
    container: &Arc<Container>,
    spec: ProcessSpec,
) -> Result<Arc<ThreadGroup>, Errno> {
    let cred = Arc::new(spec.cred);
    // Path lookups need a caller with memory; this one is empty.
    let space = kernel.platform.new_space().map_err(|_| ENOMEM)?;
    let nothing = MemoryManager::new(space, kernel.memory.clone(), container.account.clone())?;
    let starter = Starter { cred: cred.clone(), mm: &nothing, umask: spec.umask };
    let cwd = At::cwd(&container.fs, &starter, &cred).resolve(&spec.cwd, LastLink::Follow)?;
    if !cwd.dentry.is_dir() {
        return Err(ENOTDIR.because("working directory"));
    }
    perm::permission(&cwd, &cred, MAY_EXEC)?;
    let fs = Arc::new(FsContext { cwd, ..(*container.fs).clone() });
    let name = spec.args.first().cloned().unwrap_or_default();
    let (path, file) = find_program(&starter, &fs, &name, &spec.envs)?;
    let limits = Limits::new(spec.limits);
    let open = |path: &[u8]| exec::open_executable(&starter, &fs, path);
    let program = Program {
        file,
        filename: path,
        args: spec.args,
        envs: spec.envs,
        open: &open,
        inaccessible: false,
        personality: 0,
    };
    let may_gain = kernel.config.allow_suid && !spec.no_new_privs;
    let privileges = Privileges { may_gain };
    let loaded = exec::load(kernel, &container.account, &limits, &cred, privileges, program)?;
    let pid = Pid::allocate(&container.namespaces.pid_for_children)?;
    let handlers = Handlers::new();
    for signo in spec.ignored_signals {
        let action = handlers.get(signo);
        handlers.set(signo, Action { handler: SIG_IGN, ..action });
    }
    let group = ThreadGroup::new(pid.clone(), container.clone(), handlers, limits);
    let files = FdTable::new();
    for (fd, file) in spec.files {
        files.replace(fd, file, false, u64::from(crate::fd::NR_OPEN))?;
    }
    let mut thread = loaded.mm.space().new_thread().map_err(|_| ENOMEM)?;
    thread.set_fp_state(&FpState::default()).map_err(|_| ENOMEM)?;
    let kicker = thread.kicker();
    group.set_image(loaded.exe, loaded.image);
    let machine = Machine::new(thread, loaded.context, loaded.mm.clone(), files.clone());
    let mut comm = [0; 16];
    comm.iter_mut().take(15).zip(&loaded.comm).for_each(|(place, byte)| *place = *byte);
    let task = Task::new(
        kernel.clone(),
        TaskParts {
            pid: pid.clone(),
            group: group.clone(),
            future: TaskFuture::new(machine),
            mm: loaded.mm,
            files,
            fs: FsState::new(fs, spec.umask),
            cred: loaded.cred,
            namespaces: container.namespaces.clone(),
            signals: TaskSignals::default(),
            comm,
            sched_attr: SchedAttributes::new(kernel.config.nr_cpus),
            no_new_privs: spec.no_new_privs,
            kicker,
        },
    );
    insert(kernel, &task, pid, spec.tty);
    let answers = task.answers();
    if let Some(thread) = task.future.lock().machine().thread.as_deref_mut() {
        thread.set_answers(&answers);
    }
    if container.init().is_none() {
        container.started(group.clone());
    }
    task.schedule();
    Ok(group)
}

fn insert(kernel: &Kernel, task: &Arc<Task>, pid: Arc<Pid>, tty: Option<Arc<dyn Terminal>>) {
    let group = task.group.clone();
    let mut tree = kernel.tree.lock();
    group.threads.lock().push(task.clone());
    tree.tasks.insert(pid.id, task.clone());
    if let Some(tty) = &tty {
        // Whoever was started on it before is in the background now.
        tree.detach_session(tty.id());
        let used = TtyUse { session: pid.clone(), foreground: pid.clone() };
        tree.terminals.insert(tty.id(), used);
    }
    let node = Node {
        group,
        made_by: 0,
        parent: 0,
        children: Vec::new(),
        pgrp: pid.clone(),
        session: pid.clone(),
        exit_signal: 0,
        subreaper: false,
        zombie: None,
        job_event: None,
        has_execed: true,
        tty,
        old_foreground: None,
    };
    tree.nodes.insert(pid.id, node);
}

/// Finds the program as `execvp(3)` does.
fn find_program(
    caller: &dyn Caller,
    fs: &FsContext,
    name: &[u8],
    envs: &[Vec<u8>],
) -> Result<(Vec<u8>, Arc<File>), Errno> {
    use bevor_abi::errno::EACCES;
    if name.is_empty() {
        return Err(ENOENT.into());
    }
    if name.contains(&b'/') {
        return Ok((name.to_vec(), exec::open_executable(caller, fs, name)?));
    }
    let path = envs.iter().find_map(|env| env.strip_prefix(b"PATH="));
    let path = path.unwrap_or(b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let mut failure: Errno = ENOENT.into();
    for directory in path.split(|&byte| byte == b':') {
        let directory: &[u8] = if directory.is_empty() { b"." } else { directory };
        let full = [directory, b"/", name].concat();
        match exec::open_executable(caller, fs, &full) {
            Ok(file) => return Ok((full, file)),
            Err(errno) if errno == ENOENT || errno == ENOTDIR => {}
            Err(errno) if errno == EACCES => failure = errno,
            Err(errno) => return Err(errno),
        }
    }
    Err(failure)
}

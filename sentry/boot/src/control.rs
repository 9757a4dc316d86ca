//! Serves the control socket over the kernel.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, ENOENT, ENOEXEC, ENOTDIR, EPERM};
use bevor_abi::mount::{MS_NOEXEC, MS_NOSUID};
use bevor_base::{Credentials, UserNamespace};
use bevor_control::{
    Capabilities, ChangesForm, ContainerState, Create, End, Ended, Event, EventKind, Handler,
    Listener, Phase, Process, Promise, Refusal, RefusalKind, Status, Stream, Streams, Target, User,
    Waiter,
};
use bevor_gofer_protocol::Client;
use bevor_kernel::Kernel;
use bevor_kernel::container::{Container, State};
use bevor_kernel::group::ThreadGroup;
use bevor_kernel::limits::{Limit, Limits, NR_LIMITS};
use bevor_kernel::ns::Namespaces;
use bevor_kernel::signal::{Info, send};
use bevor_kernel::start::{self, ProcessSpec};
use bevor_kernel::tree::{ExitStatus, JobEvent};
use bevor_memory::{Account, IoDst};
use bevor_net::host::Network;
use bevor_net::namespace::NetNamespace;
use bevor_vfs::file::{File, OpenFlags};
use bevor_vfs::host::{self, HostTty, Origin};
use bevor_vfs::mount::{MountFlags, attach_new};
use bevor_vfs::namei::{OpenHow, open};
use bevor_vfs::{At, Caller, FsContext, LastLink};
use parking_lot::Mutex;

use crate::changes::{self, Job, Place};
use crate::clock::StartClock;
use crate::tree::Builder;
use crate::users;

/// Longest `/etc/passwd` and `/etc/group` that are read, bytes.
const MAX_USERS_FILE: usize = 4 << 20;

/// The sandbox behind the control socket.
pub struct Sandbox {
    kernel: Arc<Kernel>,
    user_ns: Arc<UserNamespace>,
    entries: BTreeMap<String, Entry>,
    listeners: Arc<Mutex<Vec<Listener>>>,
    clock: StartClock,
    /// The host's network, if containers are in it.
    network: Option<Arc<Network>>,
    /// Takes what takes its time.
    clerk: Sender<Job>,
}

/// A container and what the kernel does not keep of it.
struct Entry {
    container: Arc<Container>,
    /// Of its first process, until that is started.
    spec: Option<ProcessSpec>,
    /// The stream that is the host's terminal it was started on.
    terminal: Option<Arc<File>>,
    /// Those who wait for a process that is not started yet.
    early: Vec<Waiter>,
    /// Processes of `exec` by their number in the container, with the kernel's id.
    execs: BTreeMap<i32, u64>,
    /// Its overlays.
    overlays: Vec<Place>,
}

fn no_container(name: &str) -> Refusal {
    Refusal::new(RefusalKind::NotFound, format!("there is no container {name}"))
}

fn failed(what: &str, errno: Errno) -> Refusal {
    Refusal::new(RefusalKind::Failed, format!("{what}: {errno}"))
}

impl Sandbox {
    /// A sandbox without containers.
    pub fn new(
        kernel: Arc<Kernel>,
        clock: StartClock,
        network: Option<Arc<Network>>,
        clerk: Sender<Job>,
    ) -> Self {
        Self {
            kernel,
            user_ns: UserNamespace::initial(),
            entries: BTreeMap::new(),
            listeners: Arc::default(),
            clock,
            network,
            clerk,
        }
    }

    fn entry(&mut self, name: &str) -> Result<&mut Entry, Refusal> {
        self.entries.get_mut(name).ok_or_else(|| no_container(name))
    }

    /// What the kernel needs to start a process.
    fn spec(
        &self,
        fs: &FsContext,
        caller: &dyn Caller,
        process: Process,
        streams: Streams,
    ) -> Result<(ProcessSpec, Option<Arc<File>>), Refusal> {
        let invalid = |message: &str| Refusal::new(RefusalKind::Invalid, message);
        if process.args.is_empty() {
            return Err(invalid("there is no program to run"));
        }
        if process.terminal.is_some() {
            let message = "a terminal of the sandbox's own is not there yet";
            return Err(Refusal::new(RefusalKind::Unsupported, message));
        }
        let mut files = import(streams, &process.streams)
            .map_err(|errno| failed("a standard stream", errno))?;
        let is_terminal = |file: &&Arc<File>| host::tty_of(file).is_some();
        let terminal = files.iter().map(|(_, file)| file).find(is_terminal).cloned();
        if let Some(terminal) = &terminal {
            name_terminal(fs, caller, terminal, &mut files);
        }
        let mut limits = Limits::initial();
        for wish in &process.rlimits {
            let slot = usize::try_from(wish.resource).ok().filter(|&at| at < NR_LIMITS);
            let slot = slot.ok_or_else(|| invalid("there is no such resource limit"))?;
            limits[slot] = Limit { soft: wish.soft, hard: wish.hard };
        }
        let kernel_cred = caller.cred();
        let cwd =
            At::cwd(fs, caller, &kernel_cred).resolve(process.cwd.as_bytes(), LastLink::Follow);
        if !cwd.is_ok_and(|cwd| cwd.dentry.is_dir()) {
            let message = format!("{}: no such directory inside; see --cwd", process.cwd);
            return Err(Refusal::new(RefusalKind::Failed, message));
        }
        if process.ignored_signals.iter().any(|signo| !(1..=64).contains(signo)) {
            return Err(invalid("there is no such signal"));
        }
        let cred = self.credentials(fs, caller, &process)?;
        let bytes = |texts: Vec<bevor_control::Text>| -> Vec<Vec<u8>> {
            texts.into_iter().map(bevor_control::Text::into_bytes).collect()
        };
        let spec = ProcessSpec {
            args: bytes(process.args),
            envs: bytes(process.env),
            cwd: process.cwd.into_bytes(),
            cred,
            files,
            limits,
            umask: process.umask.unwrap_or(0o022) & 0o777,
            no_new_privs: process.no_new_privs,
            ignored_signals: process.ignored_signals,
            tty: terminal.as_ref().and_then(|file| Some(host::tty_of(file)?.terminal())),
        };
        Ok((spec, terminal))
    }

    fn credentials(
        &self,
        fs: &FsContext,
        caller: &dyn Caller,
        process: &Process,
    ) -> Result<Credentials, Refusal> {
        let (uid, gid, groups) = match &process.user {
            User::Ids { uid, gid, groups } => (*uid, *gid, groups.clone()),
            User::Name(name) => {
                let read = |path: &[u8]| read_text(fs, caller, path);
                let found = users::find(name, &read(b"/etc/passwd"), &read(b"/etc/group"))
                    .map_err(|message| Refusal::new(RefusalKind::Invalid, message))?;
                (found.uid, found.gid, found.groups)
            }
        };
        let mut cred = Credentials::user(uid, gid, &groups, self.user_ns.clone());
        if let Some(Capabilities { effective, permitted, inheritable, bounding, ambient }) =
            process.capabilities
        {
            cred.effective = effective;
            cred.permitted = permitted;
            cred.inheritable = inheritable;
            cred.bounding = bounding;
            cred.ambient = ambient;
        }
        Ok(cred)
    }

    /// Starts a process; errors of a program that cannot be run keep their kind.
    fn run(
        kernel: &Arc<Kernel>,
        container: &Arc<Container>,
        spec: ProcessSpec,
    ) -> Result<Arc<ThreadGroup>, Refusal> {
        let program = spec.args.first().cloned().unwrap_or_default();
        start::start(kernel, container, spec).map_err(|errno| {
            let program = String::from_utf8_lossy(&program);
            let kind = match errno {
                errno if errno == ENOENT || errno == ENOTDIR => RefusalKind::NoProgram,
                errno if errno == EACCES || errno == EPERM || errno == ENOEXEC => {
                    RefusalKind::NotExecutable
                }
                _ => RefusalKind::Failed,
            };
            let text = errno.code.text().trim_end_matches('.').to_lowercase();
            Refusal::new(kind, format!("{program}: {text}"))
        })
    }
}

/// Shows the host's terminal as the console, so that its files have a name that can be opened. Where
/// there is no `/dev/console` it has none.
fn name_terminal(
    fs: &FsContext,
    caller: &dyn Caller,
    terminal: &Arc<File>,
    files: &mut [(i32, Arc<File>)],
) {
    let cred = caller.cred();
    let at = At::cwd(fs, caller, &cred);
    let place = || at.resolve(b"/dev/console", LastLink::Keep);
    let (Some(named), Ok(console)) =
        (host::tty_superblock(terminal, cred.user_ns.clone()), place())
    else {
        return;
    };
    let flags = MountFlags::from_mount(MS_NOSUID | MS_NOEXEC);
    let Ok(()) = attach_new(fs, &named, &console, flags, b"devpts") else { return };
    let Ok(console) = place() else { return };
    let id = host::tty_of(terminal).map(HostTty::id);
    for (_, file) in files.iter_mut() {
        // Streams on the terminal share one description's rights only if those suffice.
        let enough = terminal.flags().0 & OpenFlags::ACCMODE == 2;
        if enough
            && host::tty_of(file).map(HostTty::id) == id
            && let Ok(found) = host::tty_at(file, console.clone())
        {
            *file = found;
        }
    }
}

/// Makes files of the standard streams.
fn import(streams: Streams, facts: &[Stream]) -> Result<Vec<(i32, Arc<File>)>, Errno> {
    let mut facts = facts.iter();
    let mut files = Vec::new();
    for (number, fd) in (0..).zip(streams) {
        let origin = match facts.next() {
            Some(fact) if fact.closed => continue,
            Some(fact) => Origin {
                flags: fact.flags,
                uid: fact.uid,
                gid: fact.gid,
                path: fact.path.as_bytes().to_vec(),
            },
            None => Origin::of(fd.as_fd())?,
        };
        files.push((number, host::import(fd, origin)?));
    }
    Ok(files)
}

/// Reads a small text file of the container; empty when it cannot be read.
fn read_text(fs: &FsContext, caller: &dyn Caller, path: &[u8]) -> String {
    let cred = caller.cred();
    let at = At::cwd(fs, caller, &cred);
    let Ok(file) = open(&at, path, OpenHow { flags: OpenFlags(0), mode: 0 }) else {
        return String::new();
    };
    let mut text = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    while text.len() < MAX_USERS_FILE {
        match file.read(&mut IoDst::kernel(&mut chunk)) {
            Ok(0) | Err(_) => break,
            Ok(count) => text.extend_from_slice(&chunk[..count]),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// How a process ended, as clients see it.
fn ended(container: &Container, status: ExitStatus) -> Ended {
    // Who asked for the end may take the sandbox down as soon as it is told.
    bevor_syscalls::strace::finish();
    let status = match status {
        ExitStatus::Exited(code) => Status::Code(code.into()),
        ExitStatus::Signaled { signo, .. } => Status::Signal(signo),
    };
    Ended { status, reason: container.reason() }
}

/// Tells everyone who listens.
fn tell(listeners: &Mutex<Vec<Listener>>, event: &Event) {
    let mut listeners = listeners.lock();
    listeners.retain(|listener| !listener.is_gone());
    for listener in listeners.iter() {
        listener.send(event.clone());
    }
}

impl Handler for Sandbox {
    fn rest(&mut self) {
        bevor_confine::forget_own_code();
    }

    fn create(
        &mut self,
        create: Create,
        streams: Streams,
        gofer: Vec<OwnedFd>,
        contents: Option<OwnedFd>,
    ) -> Result<(), Refusal> {
        let name = create.container.clone();
        if self.entries.contains_key(&name) {
            let message = format!("there is a container {name} already");
            return Err(Refusal::new(RefusalKind::Exists, message));
        }
        let account = Arc::new(Account::new(create.limits.memory_bytes.unwrap_or(u64::MAX)));
        let client = gofer_client(gofer)?;
        let hostname = create.hostname.clone().unwrap_or_else(|| "bevor".into());
        let namespaces = Namespaces::new(hostname.into_bytes(), &self.user_ns);
        if let Some(network) = &self.network {
            NetNamespace::of(namespaces.net.id).join_host(network.clone());
        }
        let mut builder = Builder::new(&self.kernel, &account, &self.user_ns, client)?;
        if let Some(contents) = contents {
            builder.keep_contents_in(contents)?;
        }
        self.clock.passed("the gofer answers");
        let fs = builder.build(&create, &namespaces)?;
        let (spec, terminal) = self.spec(&fs, builder.caller(), create.process, streams)?;
        let overlays = builder.overlays();
        let container = Container::new(
            name.clone(),
            account,
            Arc::new(fs),
            namespaces,
            create.limits.pids.unwrap_or(u64::MAX),
            create.protect_init,
        );
        let listeners = self.listeners.clone();
        let told = name.clone();
        container.set_job_hook(Box::new(move |event| {
            let kind = match event {
                JobEvent::Stopped(signo) => EventKind::Stopped { signo },
                JobEvent::Continued => EventKind::Continued,
            };
            tell(&listeners, &Event { container: Some(told.clone()), kind });
        }));
        self.kernel
            .add_container(container.clone())
            .map_err(|errno| failed("cannot add the container", errno))?;
        let (early, execs) = (Vec::new(), BTreeMap::new());
        let entry = Entry { container, spec: Some(spec), terminal, early, execs, overlays };
        self.entries.insert(name, entry);
        self.clock.passed("container made");
        Ok(())
    }

    fn start(&mut self, name: &str) -> Result<i32, Refusal> {
        let kernel = self.kernel.clone();
        let listeners = self.listeners.clone();
        let clock = self.clock.clone();
        let entry = self.entry(name)?;
        let Some(spec) = entry.spec.take() else {
            let message = format!("the container {name} was started already");
            return Err(Refusal::new(RefusalKind::State, message));
        };
        let init = Self::run(&kernel, &entry.container, spec)?;
        clock.passed("program started");
        let pid = init.pid.own_number();
        let started = Event { container: Some(name.to_owned()), kind: EventKind::Started };
        tell(&listeners, &started);
        let container = entry.container.clone();
        let told = name.to_owned();
        entry.container.when_ended(
            init.id(),
            Box::new(move |status| {
                clock.passed("program ended");
                let kind = EventKind::Ended(ended(&container, status));
                tell(&listeners, &Event { container: Some(told), kind });
            }),
        );
        for waiter in std::mem::take(&mut entry.early) {
            let container = entry.container.clone();
            let hook = Box::new(move |status| waiter.ended(ended(&container, status)));
            entry.container.when_ended(init.id(), hook);
        }
        Ok(pid)
    }

    fn exec(&mut self, name: &str, process: Process, streams: Streams) -> Result<i32, Refusal> {
        let container = self.entry(name)?.container.clone();
        if container.state() != State::Running {
            let message = format!("the container {name} does not run");
            return Err(Refusal::new(RefusalKind::State, message));
        }
        let builder = Builder::new(&self.kernel, &container.account, &self.user_ns, None)?;
        let (spec, _) = self.spec(&container.fs, builder.caller(), process, streams)?;
        let group = Self::run(&self.kernel, &container, spec)?;
        let pid = group.pid.own_number();
        self.entry(name)?.execs.insert(pid, group.id());
        Ok(pid)
    }

    fn signal(&mut self, name: &str, target: Target, signo: i32) -> Result<(), Refusal> {
        let kernel = self.kernel.clone();
        let entry = self.entry(name)?;
        if !(1..=64).contains(&signo) {
            return Err(Refusal::new(RefusalKind::Invalid, format!("there is no signal {signo}")));
        }
        let info = Info::kernel(signo);
        let init = entry.container.init().ok_or_else(|| {
            Refusal::new(RefusalKind::State, format!("the container {name} does not run"))
        })?;
        let pids = &entry.container.namespaces.pid_for_children;
        match target {
            Target::Init => send_to(&kernel, &init, info),
            Target::Process(number) => {
                let gone = || {
                    let message = format!("there is no process {number} in {name}");
                    Refusal::new(RefusalKind::NotFound, message)
                };
                let pid = pids.find(number).ok_or_else(gone)?;
                let group = kernel.tree.lock().node(&pid).map(|node| node.group.clone());
                send_to(&kernel, &group.ok_or_else(gone)?, info);
            }
            Target::All => {
                let all = pids.all();
                let tree = kernel.tree.lock();
                let groups: Vec<_> = all
                    .iter()
                    .filter_map(|(_, pid)| tree.node(pid))
                    .filter(|node| node.zombie.is_none())
                    .map(|node| node.group.clone())
                    .collect();
                drop(tree);
                groups.iter().for_each(|group| send_to(&kernel, group, info));
            }
            Target::Foreground => {
                let terminal = entry.terminal.as_ref().and_then(|file| host::tty_of(file));
                match terminal.and_then(|terminal| kernel.foreground_of(terminal.id())) {
                    Some(group) => kernel.signal_pgrp(&group, info),
                    None => send_to(&kernel, &init, info),
                }
            }
        }
        Ok(())
    }

    fn wait(&mut self, name: &str, pid: Option<i32>, waiter: Waiter) -> Result<(), Refusal> {
        let entry = self.entry(name)?;
        let id = match pid {
            None => match entry.container.init() {
                Some(init) => init.id(),
                None => {
                    entry.early.push(waiter);
                    return Ok(());
                }
            },
            Some(pid) => *entry.execs.get(&pid).ok_or_else(|| {
                let message = format!("no exec in {name} made a process {pid}");
                Refusal::new(RefusalKind::NotFound, message)
            })?,
        };
        let container = entry.container.clone();
        let hook = Box::new(move |status| waiter.ended(ended(&container, status)));
        entry.container.when_ended(id, hook);
        Ok(())
    }

    fn state(&mut self, name: Option<&str>) -> Result<Vec<ContainerState>, Refusal> {
        if let Some(name) = name {
            self.entry(name)?;
        }
        let wanted = self.entries.iter().filter(|(have, _)| name.is_none_or(|name| name == *have));
        Ok(wanted
            .map(|(name, entry)| {
                let init = entry.container.init();
                let phase = match (entry.container.state(), &init) {
                    (State::Created, _) => Phase::Created,
                    (State::Stopped, _) => Phase::Ended,
                    (_, Some(init)) if init.is_stopped() => Phase::Stopped,
                    _ => Phase::Running,
                };
                let status = entry.container.exit_status();
                ContainerState {
                    container: name.clone(),
                    phase,
                    pid: init.map(|init| init.pid.own_number()),
                    ended: status.map(|status| ended(&entry.container, status)),
                }
            })
            .collect())
    }

    fn resize(
        &mut self,
        name: &str,
        _pid: Option<i32>,
        _rows: u16,
        _columns: u16,
    ) -> Result<(), Refusal> {
        self.entry(name)?;
        let message = format!("{name} has no terminal of the sandbox's own");
        Err(Refusal::new(RefusalKind::State, message))
    }

    fn events(&mut self, listener: Listener) {
        self.listeners.lock().push(listener);
    }

    fn delete(&mut self, name: &str) -> Result<(), Refusal> {
        let entry = self.entry(name)?;
        if matches!(entry.container.state(), State::Running | State::Paused) {
            let message = format!("the container {name} runs");
            return Err(Refusal::new(RefusalKind::State, message));
        }
        let account = entry.container.account.clone();
        self.entries.remove(name);
        self.kernel.containers.lock().remove(name);
        self.kernel.memory.retire(&account);
        Ok(())
    }

    fn changes(
        &mut self,
        name: Option<&str>,
        form: ChangesForm,
        to: OwnedFd,
        promise: Promise,
    ) -> Result<(), Refusal> {
        let only = if self.entries.len() == 1 { self.entries.keys().next() } else { None };
        let name = name.or(only.map(String::as_str)).map(str::to_owned).ok_or_else(|| {
            Refusal::new(RefusalKind::Invalid, "there is more than one container: name it")
        })?;
        let overlays = self.entry(&name)?.overlays.clone();
        if overlays.is_empty() {
            let message = format!("{name} has no overlay: its changes go to the host's files");
            return Err(Refusal::new(RefusalKind::State, message));
        }
        let job = move || promise.keep(changes::write(&overlays, form, to));
        self.clerk.send(Box::new(job)).map_err(|_| {
            Refusal::new(RefusalKind::Failed, "the thread that writes changes is gone")
        })
    }

    fn shutdown(&mut self, _why: End) {
        // The process ends next, and with it every stub.
        self.kernel.executor.stop();
    }
}

fn send_to(kernel: &Kernel, group: &Arc<ThreadGroup>, info: Info) {
    send::to_group(group, info);
    kernel.report_continued(group);
}

/// The client of a gofer whose channel came in two descriptors: memory and socket.
fn gofer_client(descriptors: Vec<OwnedFd>) -> Result<Option<Client>, Refusal> {
    let count = descriptors.len();
    let mut descriptors = descriptors.into_iter();
    match (descriptors.next(), descriptors.next(), count) {
        (None, None, _) => Ok(None),
        (Some(memory), Some(socket), 2) => {
            let client = Client::new(memory.as_fd(), socket);
            let client = client.map_err(|error| {
                Refusal::new(RefusalKind::Failed, format!("the gofer's channel: {error}"))
            })?;
            Ok(Some(client))
        }
        _ => {
            let message = "a gofer's channel is two descriptors";
            Err(Refusal::new(RefusalKind::Invalid, message))
        }
    }
}

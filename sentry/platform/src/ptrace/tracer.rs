//! The tracer: the one host thread that owns all stub threads.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use crate::arch::xsave::XsaveLayout;
use crate::ptrace::agent::{Agent, Birth, Job, Progress};
use crate::ptrace::guest::{Guest, GuestState, Stop, gone};
use crate::ptrace::host::{self, Tid};
use crate::ptrace::link::{Link, Message, Promise, Woken};
use crate::ptrace::pages::OrderPages;
use crate::ptrace::space::SpaceShared;
use crate::ptrace::thread::ThreadShared;
use crate::ptrace::zygote;
use crate::{Event, FpState, PlatformError, SpaceId};

/// The tracer's state.
pub struct Tracer {
    link: Arc<Link>,
    zygote: Tid,
    xsave: XsaveLayout,
    /// XSAVE image a program starts with.
    initial_fp: Vec<u8>,
    max_mappings: usize,
    pages: Arc<OrderPages>,
    agents: HashMap<Tid, Agent>,
    guests: HashMap<Tid, Guest>,
    /// Made, not yet stopped for the first time.
    births: HashMap<Tid, Birth>,
    /// Stopped for the first time before the call that made them was answered.
    early: HashSet<Tid>,
    /// Ended even before that.
    stillborn: HashSet<Tid>,
    nr_spaces: u64,
    deaths: Sender<SpaceId>,
    closing: bool,
}

impl Tracer {
    /// Makes the first stub process. The calling thread is the tracer from here on.
    pub fn new(
        link: Arc<Link>,
        pages: Arc<OrderPages>,
        max_mappings: usize,
        deaths: Sender<SpaceId>,
    ) -> Result<Self, PlatformError> {
        link.attach().map_err(|source| PlatformError::Host { what: "signal mask", source })?;
        let zygote = zygote::make(pages.fd(), pages.key())?;
        let no_xsave = |source| PlatformError::Host { what: "XSAVE state of a stub", source };
        let image = host::get_xsave(zygote).map_err(no_xsave)?;
        let xsave = XsaveLayout::from_image(&image)
            .ok_or_else(|| no_xsave(io::ErrorKind::Unsupported.into()))?;
        let initial_fp = xsave
            .write(&FpState::default())
            .ok_or_else(|| no_xsave(io::ErrorKind::Unsupported.into()))?;
        let agent = Agent::new(zygote, None, max_mappings, pages.clone());
        Ok(Self {
            link,
            zygote,
            xsave,
            initial_fp,
            max_mappings,
            pages,
            agents: HashMap::from([(zygote, agent)]),
            guests: HashMap::new(),
            births: HashMap::new(),
            early: HashSet::new(),
            stillborn: HashSet::new(),
            nr_spaces: 0,
            deaths,
            closing: false,
        })
    }

    /// Serves until the platform is shut down and all stubs are reaped.
    pub fn run(mut self) {
        let mut messages = VecDeque::new();
        loop {
            self.link.take(&mut messages);
            for message in messages.drain(..) {
                self.handle(message);
            }
            match self.link.wait() {
                Woken::Stop(tid, status) if libc::WIFSTOPPED(status) => {
                    self.stopped(tid, libc::WSTOPSIG(status));
                }
                Woken::Stop(tid, _) => self.died(tid),
                Woken::Messages => {}
                Woken::NoTracee if self.closing => return,
                Woken::NoTracee => self.link.wait_for_message(),
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::NewSpace(promise) => {
                if let Some(zygote) = self.agents.get_mut(&self.zygote) {
                    zygote.add(Job::Space(promise));
                }
            }
            Message::NewThread(space, promise) => self.new_thread(&space, promise),
            Message::Apply(space, orders, promise) => {
                if let Some(agent) = self.agent(&space) {
                    agent.add(Job::Orders { orders, done: 0, promise });
                }
            }
            Message::Barrier(space, promise) => {
                if let Some(agent) = self.agent(&space) {
                    agent.add(Job::Barrier { registered: false, promise });
                }
            }
            Message::Resume(thread, token, port) => match self.guest(&thread) {
                Some(guest) => guest.resume(token, port),
                None => {
                    thread.slot.lock().event = Some(Event::Gone);
                    thread.set_running(false);
                    port.push(token);
                }
            },
            Message::GetFp(thread, promise) => {
                if self.guest(&thread).is_some() {
                    let image = host::get_xsave(thread.tid).map_err(gone);
                    promise.keep(image.map(|image| self.xsave.read(image)));
                }
            }
            Message::SetFp(thread, state, promise) => {
                if self.guest(&thread).is_some() {
                    promise.keep(self.set_fp(thread.tid, &state));
                }
            }
            Message::Release(thread) => self.release(&thread),
            Message::Shutdown => self.shut_down(),
        }
    }

    /// The agent of a space that is still alive.
    fn agent(&mut self, space: &Arc<SpaceShared>) -> Option<&mut Agent> {
        let agent = self.agents.get_mut(&space.pid)?;
        agent.space.as_ref().is_some_and(|s| Arc::ptr_eq(s, space)).then_some(agent)
    }

    /// The guest thread of a handle, if its host thread is still alive and still its own.
    fn guest(&mut self, thread: &Arc<ThreadShared>) -> Option<&mut Guest> {
        self.guests.get_mut(&thread.tid).filter(|guest| Arc::ptr_eq(&guest.shared, thread))
    }

    fn new_thread(&mut self, space: &Arc<SpaceShared>, promise: Promise<Arc<ThreadShared>>) {
        let Some(agent) = self.agent(space) else { return };
        match agent.spares.pop() {
            None => agent.add(Job::Thread(promise)),
            Some(tid) => {
                if let Some(guest) = self.guests.get_mut(&tid) {
                    guest.reuse(&self.initial_fp, promise);
                }
            }
        }
    }

    fn set_fp(&self, tid: Tid, state: &FpState) -> Result<(), PlatformError> {
        let invalid = |source| PlatformError::Host { what: "extended state of a guest", source };
        let image = self
            .xsave
            .write(state)
            .ok_or_else(|| invalid(io::Error::from_raw_os_error(libc::EINVAL)))?;
        host::set_xsave(tid, &image).map_err(|e| match e.raw_os_error() {
            Some(libc::ESRCH) => PlatformError::Gone,
            _ => invalid(e),
        })
    }

    fn release(&mut self, thread: &Arc<ThreadShared>) {
        let Some(guest) = self.guest(thread) else { return };
        if matches!(guest.state, GuestState::Running(..)) {
            guest.released = true;
            guest.shared.kick();
        } else if let Some(agent) = self.agents.get_mut(&thread.space.pid) {
            agent.spares.push(thread.tid);
        }
    }

    fn shut_down(&mut self) {
        self.closing = true;
        for message in self.link.close() {
            self.handle(message);
        }
        for (&pid, agent) in &self.agents {
            match &agent.space {
                Some(space) => space.kill(),
                None => host::tgkill(pid, pid, libc::SIGKILL),
            }
        }
    }

    fn stopped(&mut self, tid: Tid, signal: i32) {
        if self.agents.contains_key(&tid) {
            self.agent_stopped(tid, signal);
        } else if self.guests.contains_key(&tid) {
            self.guest_stopped(tid, signal);
        } else if let Some(birth) = self.births.remove(&tid) {
            self.born(tid, birth);
        } else {
            self.early.insert(tid);
        }
    }

    fn agent_stopped(&mut self, pid: Tid, signal: i32) {
        let Some(agent) = self.agents.get_mut(&pid) else { return };
        match agent.stopped(signal) {
            Progress::Going => {}
            Progress::Born(tid, birth) => {
                let dead = self.stillborn.contains(&tid);
                if pid == self.zygote {
                    self.stillborn.clear();
                }
                if self.early.remove(&tid) {
                    self.born(tid, birth);
                } else if !dead {
                    self.births.insert(tid, birth);
                }
            }
            Progress::Broken(why) => {
                tracing::error!(pid, why, "a stub process is killed");
                match &agent.space {
                    Some(space) => space.kill(),
                    None => host::tgkill(pid, pid, libc::SIGKILL),
                }
            }
        }
    }

    fn born(&mut self, tid: Tid, birth: Birth) {
        match birth {
            Birth::Space(promise) => {
                self.nr_spaces += 1;
                let space = Arc::new(SpaceShared::new(SpaceId(self.nr_spaces), tid));
                let agent =
                    Agent::new(tid, Some(space.clone()), self.max_mappings, self.pages.clone());
                self.agents.insert(tid, agent);
                if self.closing {
                    space.kill();
                }
                promise.keep(Ok(space));
            }
            Birth::Thread(space, promise) => {
                let shared = Arc::new(ThreadShared::new(space, tid));
                self.guests.insert(tid, Guest::prepare(shared, promise, self.pages.key()));
            }
        }
    }

    fn guest_stopped(&mut self, tid: Tid, signal: i32) {
        let Some(guest) = self.guests.get_mut(&tid) else { return };
        let space = guest.shared.space.clone();
        let broken = if guest.is_preparing() {
            guest.prepare_stopped(signal, &self.initial_fp).err()
        } else if matches!(guest.state, GuestState::Parked) {
            Some("a parked guest thread ran")
        } else {
            let Some(agent) = self.agents.get_mut(&space.pid) else { return };
            match guest.stopped(signal, &agent.mappings) {
                Stop::Ignore => {
                    guest.go_on();
                    None
                }
                Stop::Event(event) => {
                    guest.report(event);
                    if guest.released {
                        agent.spares.push(tid);
                    }
                    None
                }
                Stop::Broken(why) => Some(why),
            }
        };
        if let Some(why) = broken {
            tracing::error!(pid = space.pid, tid, why, "a stub process is killed");
            space.kill();
        }
    }

    /// A thread has ended, and with it its process will: no stub thread ends alone.
    fn died(&mut self, tid: Tid) {
        if self.births.remove(&tid).is_some() {
            return;
        }
        self.early.remove(&tid);
        // A thread that nobody knows ends with its agent, whose jobs end then. A process may be the
        // one the zygote is about to tell of.
        let known = self.guests.contains_key(&tid) || self.agents.contains_key(&tid);
        if !known && self.agents.get(&self.zygote).is_some_and(Agent::is_making_space) {
            self.stillborn.insert(tid);
        }
        if let Some(mut guest) = self.guests.remove(&tid) {
            guest.shared.space.set_gone();
            guest.report(Event::Gone);
        }
        if let Entry::Occupied(agent) = self.agents.entry(tid) {
            match agent.remove().space {
                Some(space) => {
                    space.set_reaped();
                    if !self.closing && !space.was_asked() {
                        // A platform without its death thread is being dropped.
                        let _ = self.deaths.send(space.id);
                    }
                }
                None if self.closing => {}
                None => {
                    let _ = self.deaths.send(SpaceId::ZYGOTE);
                }
            }
        }
    }
}

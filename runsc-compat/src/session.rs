//! From the start of a program to its end: signals, the time limit, and what becomes of the sandbox.

use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use bevor_confine::Child;
use bevor_control::{
    Answer, ChangesForm, Client, Create, Ended, EventKind, RefusalKind, Reply, Request, RequestId,
    Target, WireError,
};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::address::Address;
use crate::failure::{Attempt, Failure, NOT_EXECUTABLE, NOT_FOUND, TIMED_OUT};
use crate::host;
use crate::launch::{Sandbox, describe_end};
use crate::run::CONTAINER;

/// Signals that are passed on to the program.
const FORWARDED: [Signal; 11] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGWINCH,
    Signal::SIGTSTP,
    Signal::SIGCONT,
    Signal::SIGURG,
];

/// How long the processes of a sandbox may take to vanish after they were killed before we stop
/// waiting for them. It takes under a millisecond; more means that the host is in trouble.
const VANISH: Duration = Duration::from_secs(10);

/// Signals held back from this process, to be read.
#[derive(Debug)]
pub struct Signals {
    source: SignalFd,
    /// Those the caller ignores, which the program starts with ignored as well.
    pub ignored: Vec<i32>,
}

/// Holds the forwarded signals back from now on, so that none is lost while a sandbox starts.
///
/// # Errors
/// The host's: out of descriptors.
pub fn hold_signals() -> Result<Signals, Failure> {
    let ignored = host::ignored_signals();
    let mut set = SigSet::empty();
    for signal in FORWARDED {
        if !ignored.contains(&(signal as i32)) {
            set.add(signal);
        }
    }
    set.thread_block().attempt("cannot block signals")?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let source = SignalFd::with_flags(&set, flags).attempt("cannot read signals")?;
    Ok(Signals { source, ignored })
}

/// A sandbox with one program in it.
pub struct Session {
    client: Client,
    sentry: Process,
    gofer: Process,
    created: RequestId,
    started: RequestId,
    ended: RequestId,
    events: RequestId,
    terminal: Option<Termios>,
    /// Whether we stop when the program does.
    may_stop: bool,
}

/// A process of the sandbox. It is killed and reaped when dropped.
struct Process {
    child: Child,
    name: &'static str,
    status: Option<WaitStatus>,
}

/// What is wanted of a session beyond running the program.
pub struct Wishes {
    /// When it is to be over, and how long after its start that is.
    pub deadline: Option<(Instant, Duration)>,
    /// Where others may reach the sandbox.
    pub address: Option<Address>,
    /// What to write of its changes when the program has ended, and where to.
    pub changes: Vec<(ChangesForm, OwnedFd)>,
}

/// What the wait for the program's end came to.
enum Outcome {
    Ended(Ended),
    TimedOut(Duration),
}

impl Session {
    /// Asks the sandbox to make and start the program. Does not wait for answers.
    ///
    /// # Errors
    /// What is wrong with the sandbox.
    pub fn begin(sandbox: Sandbox, create: Create, fds: Vec<OwnedFd>) -> Result<Self, Failure> {
        let Sandbox { mut client, sentry, gofer, channel: _ } = sandbox;
        let container = || CONTAINER.to_owned();
        let requests = || -> Result<[RequestId; 4], WireError> {
            let created = client.send(Request::Create(Box::new(create)), fds)?;
            let events = client.send(Request::Events, Vec::new())?;
            let wait = Request::Wait { container: container(), pid: None };
            let start = Request::Start { container: container() };
            let started = client.send(start, Vec::new())?;
            Ok([created, events, started, client.send(wait, Vec::new())?])
        };
        let result = requests();
        let [created, events, started, ended] = *result.as_ref().unwrap_or(&[0; 4]);
        let terminal = std::io::stdin().is_terminal().then(|| tcgetattr(std::io::stdin()).ok());
        let mut session = Self {
            client,
            sentry: Process { child: sentry, name: "sentry", status: None },
            gofer: Process { child: gofer, name: "gofer", status: None },
            created,
            started,
            ended,
            events,
            terminal: terminal.flatten(),
            may_stop: true,
        };
        match result {
            Err(WireError::Closed) => Err(session.lost()),
            Err(error) => Err(Failure::new(error.to_string())),
            Ok(_) => Ok(session),
        }
    }

    /// Waits for the program's end and takes the sandbox down. Returns the program's exit status.
    ///
    /// # Errors
    /// Why the program did not run, or did not end by itself.
    pub fn run(
        mut self,
        signals: Signals,
        wishes: Wishes,
        clock: impl Fn(&str),
    ) -> Result<u8, Failure> {
        let outcome = self.wait(&signals, &wishes);
        clock("the program has ended");
        let mut written = Ok(());
        if outcome.is_ok() {
            for (form, to) in wishes.changes {
                let request = Request::Changes { container: None, form };
                let answer = self.client.call(request, vec![to]);
                let answer = answer.map(drop).map_err(|error| Failure::new(error.to_string()));
                written = written.and(answer);
            }
        }
        self.sentry.kill();
        self.gofer.kill();
        if let Some(terminal) = &self.terminal {
            // A program that was killed may have left the terminal raw.
            let _restored = tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, terminal);
        }
        self.gofer.reap();
        clock("the gofer is gone");
        self.sentry.reap();
        clock("the sandbox is gone");
        let outcome = outcome?;
        written?;
        match outcome {
            Outcome::Ended(ended) => {
                if let Some(reason) = ended.reason {
                    eprintln!("bevor: the sandbox ended the program: {reason}");
                }
                Ok(u8::try_from(ended.status.shell()).unwrap_or(u8::MAX))
            }
            Outcome::TimedOut(limit) => {
                let message = format!("the time limit of {limit:?} was reached");
                Err(Failure::new(message).with_status(TIMED_OUT))
            }
        }
    }

    fn wait(&mut self, signals: &Signals, wishes: &Wishes) -> Result<Outcome, Failure> {
        let deadline = wishes.deadline;
        // Stopped, nobody would keep the time: the program could go on in another process for ever.
        self.may_stop = deadline.is_none();
        loop {
            while let Some(client) = wishes.address.as_ref().and_then(Address::accept) {
                if self.client.send(Request::Connect, vec![client]).is_err() {
                    return Err(self.lost());
                }
            }
            while let Some(answer) = self.next_answer()? {
                if let Some(ended) = self.take(answer)? {
                    return Ok(Outcome::Ended(ended));
                }
            }
            while let Ok(Some(info)) = signals.source.read_signal() {
                let from_kernel = info.ssi_code == libc::SI_KERNEL;
                if let Ok(signal) = i32::try_from(info.ssi_signo).unwrap_or(0).try_into() {
                    self.forward(signal, from_kernel)?;
                }
            }
            let timeout = match deadline {
                None => PollTimeout::NONE,
                Some((at, limit)) => {
                    let left = at.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(Outcome::TimedOut(limit));
                    }
                    let millis = left.as_millis().saturating_add(1);
                    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
                }
            };
            let mut events = PollFlags::POLLIN;
            if self.client.wants_to_write() {
                events |= PollFlags::POLLOUT;
            }
            let mut fds = vec![
                PollFd::new(self.sentry.child.pidfd.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.gofer.child.pidfd.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.client.as_fd(), events),
                PollFd::new(signals.source.as_fd(), PollFlags::POLLIN),
            ];
            let address = wishes.address.as_ref();
            fds.extend(address.map(|address| PollFd::new(address.as_fd(), PollFlags::POLLIN)));
            match poll(&mut fds, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(Failure::new(format!("cannot poll: {error}"))),
            }
            if fds.iter().take(2).any(|process| process.any().unwrap_or(true)) {
                return self.last_words();
            }
        }
    }

    /// A process of the sandbox is gone: what the sentry said before counts, if it was the end.
    fn last_words(&mut self) -> Result<Outcome, Failure> {
        while let Some(answer) = self.next_answer()? {
            if let Some(ended) = self.take(answer)? {
                return Ok(Outcome::Ended(ended));
            }
        }
        Err(self.lost())
    }

    fn next_answer(&mut self) -> Result<Option<Answer>, Failure> {
        match self.client.try_next() {
            Ok(answer) => Ok(answer),
            Err(WireError::Closed) => Err(self.lost()),
            Err(error) => Err(Failure::new(error.to_string())),
        }
    }

    /// Takes an answer in. `Some`: the program has ended.
    fn take(&mut self, answer: Answer) -> Result<Option<Ended>, Failure> {
        match answer.result {
            Ok(Reply::Ended(ended)) => return Ok(Some(ended)),
            Ok(Reply::Event(event)) if answer.id == self.events => {
                if let EventKind::Stopped { signo: _ } = event.kind
                    && self.may_stop
                {
                    self.stop()?;
                }
            }
            Ok(_) if answer.id == self.started => bevor_confine::forget_own_code(),
            Ok(_) => {}
            Err(refusal) if answer.id == self.created || answer.id == self.started => {
                let status = match refusal.kind {
                    RefusalKind::NoProgram => NOT_FOUND,
                    RefusalKind::NotExecutable => NOT_EXECUTABLE,
                    _ => crate::failure::FAILED,
                };
                return Err(Failure::new(refusal.message).with_status(status));
            }
            Err(refusal) if answer.id == self.ended => return Err(Failure::new(refusal.message)),
            // A signal that came too late: the program ends meanwhile.
            Err(_) => {}
        }
        Ok(None)
    }

    /// Passes a signal on. One of the terminal's own goes to the terminal's foreground processes.
    fn forward(&mut self, signal: Signal, from_kernel: bool) -> Result<(), Failure> {
        let target = if from_kernel { Target::Foreground } else { Target::Init };
        let request = Request::Signal { container: CONTAINER.into(), target, signo: signal as i32 };
        match self.client.send(request, Vec::new()) {
            Ok(_) => Ok(()),
            Err(WireError::Closed) => Err(self.lost()),
            Err(error) => Err(Failure::new(error.to_string())),
        }
    }

    /// The program has stopped: so do we, so that the shell we run under gets its terminal back.
    /// When it continues us, the signal to do so is forwarded.
    fn stop(&mut self) -> Result<(), Failure> {
        let inside = self.terminal.as_ref().and_then(|_| tcgetattr(std::io::stdin()).ok());
        if let Some(terminal) = &self.terminal {
            let _restored = tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, terminal);
        }
        raise(Signal::SIGSTOP).attempt("cannot stop")?;
        if let Some(inside) = inside {
            let _restored = tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, &inside);
        }
        Ok(())
    }

    /// Says which process of the sandbox is gone, and how.
    fn lost(&mut self) -> Failure {
        // The end of the connection may be seen before the end of the process behind it.
        let mut fds = [
            PollFd::new(self.sentry.child.pidfd.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.gofer.child.pidfd.as_fd(), PollFlags::POLLIN),
        ];
        let _ready = poll(&mut fds, 200_u8);
        // A gofer that ended in good order did so because the sentry was gone.
        let gofer = self.gofer.try_reap();
        let blame_gofer = gofer.is_some_and(|status| !matches!(status, WaitStatus::Exited(_, 0)));
        let process = if blame_gofer { &mut self.gofer } else { &mut self.sentry };
        process.kill();
        process.reap();
        let how = process.status.map_or_else(|| "is gone".into(), describe_end);
        Failure::new(format!("the sandbox failed: its {} {how}", process.name))
    }
}

impl Process {
    fn kill(&self) {
        if self.status.is_none() {
            // It is our child and not reaped, so the number is still its own.
            let _gone = kill(Pid::from_raw(self.child.pid), Signal::SIGKILL);
        }
    }

    fn try_reap(&mut self) -> Option<WaitStatus> {
        if self.status.is_none() {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
            match waitid(Id::PIDFd(self.child.pidfd.as_fd()), flags) {
                Ok(WaitStatus::StillAlive) | Err(_) => {}
                Ok(status) => self.status = Some(status),
            }
        }
        self.status
    }

    /// Waits until it is gone, so that nothing is left when we are.
    fn reap(&mut self) {
        let mut fds = [PollFd::new(self.child.pidfd.as_fd(), PollFlags::POLLIN)];
        let deadline = Instant::now() + VANISH;
        while self.status.is_none() && Instant::now() < deadline {
            let _ready = poll(&mut fds, 1000_u16);
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
            match waitid(Id::PIDFd(self.child.pidfd.as_fd()), flags) {
                Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => {}
                Ok(status) => self.status = Some(status),
                Err(_) => return,
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        self.reap();
    }
}

//! The server: one thread that polls its connections and calls a [`Handler`].

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::host;
use crate::message::{
    Answer, ChangesForm, ContainerState, Create, Ended, Envelope, Event, Process, Refusal, Reply,
    Request, RequestId, Target,
};
use crate::wire::{Connection, WireError};

/// Descriptors of a process's standard streams: input, output, error.
pub type Streams = [OwnedFd; 3];

/// How long nothing must come before the handler is told to rest.
const REST_MS: u16 = 400;

/// What a sandbox does with requests. Called on the server's thread; nothing here may block for
/// longer than it takes to make a container.
pub trait Handler: Send + 'static {
    /// Makes a container. `gofer` are the descriptors of the gofer's channel, `contents` is the file
    /// for contents of files.
    ///
    /// # Errors
    /// The refusal the client gets.
    fn create(
        &mut self,
        create: Create,
        streams: Streams,
        gofer: Vec<OwnedFd>,
        contents: Option<OwnedFd>,
    ) -> Result<(), Refusal>;

    /// Lets a container's first process run; its number in the container.
    ///
    /// # Errors
    /// The refusal the client gets.
    fn start(&mut self, container: &str) -> Result<i32, Refusal>;

    /// Runs another process in a container; its number there.
    ///
    /// # Errors
    /// The refusal the client gets.
    fn exec(&mut self, container: &str, process: Process, streams: Streams)
    -> Result<i32, Refusal>;

    /// Nobody asked for anything for a while.
    fn rest(&mut self) {}

    /// Sends a signal.
    ///
    /// # Errors
    /// The refusal the client gets.
    fn signal(&mut self, container: &str, target: Target, signo: i32) -> Result<(), Refusal>;

    /// Calls `reply` when the process has ended, at once when it has already.
    ///
    /// # Errors
    /// The refusal the client gets.
    fn wait(&mut self, container: &str, pid: Option<i32>, reply: Waiter) -> Result<(), Refusal>;

    /// Describes one container or all.
    ///
    /// # Errors
    /// The refusal the client gets.
    fn state(&mut self, container: Option<&str>) -> Result<Vec<ContainerState>, Refusal>;

    /// Tells a terminal its size.
    ///
    /// # Errors
    /// The refusal the client gets.
    fn resize(
        &mut self,
        container: &str,
        pid: Option<i32>,
        rows: u16,
        columns: u16,
    ) -> Result<(), Refusal>;

    /// Sends every event to `listener` until that says it is gone.
    fn events(&mut self, listener: Listener);

    /// Removes a container whose processes have ended.
    ///
    /// # Errors
    /// The refusal the client gets.
    fn delete(&mut self, container: &str) -> Result<(), Refusal>;

    /// Writes what a container's overlays have changed to `to`, and keeps `promise` then.
    ///
    /// # Errors
    /// The refusal the client gets.
    fn changes(
        &mut self,
        container: Option<&str>,
        form: ChangesForm,
        to: OwnedFd,
        promise: Promise,
    ) -> Result<(), Refusal>;

    /// Ends the sandbox: a client asked, or the one whose sandbox it is has gone. The server returns
    /// afterwards.
    fn shutdown(&mut self, why: End);
}

/// Why a server ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// A client asked for it.
    Asked,
    /// The owner's connection was closed.
    OwnerGone,
}

/// Answers a `Wait` from any thread.
#[derive(Debug)]
pub struct Waiter(Address);

impl Waiter {
    /// Tells the client how the process ended.
    pub fn ended(self, ended: Ended) {
        self.0.answer(Ok(Reply::Ended(ended)));
    }

    /// Tells the client that there will be no end to report.
    pub fn refuse(self, refusal: Refusal) {
        self.0.answer(Err(refusal));
    }
}

/// Answers a request that takes its time, from any thread.
#[derive(Debug)]
pub struct Promise(Address);

impl Promise {
    /// Tells the client what came of it.
    pub fn keep(self, result: Result<(), Refusal>) {
        self.0.answer(result.map(|()| Reply::Done));
    }
}

/// Sends events to one client, from any thread.
#[derive(Clone, Debug)]
pub struct Listener(Address);

impl Listener {
    /// Sends an event.
    pub fn send(&self, event: Event) {
        self.0.answer(Ok(Reply::Event(event)));
    }

    /// Whether the client has gone, so that the listener can be dropped.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let outbox = self.0.outbox.lock();
        !outbox.connections.contains(&self.0.connection)
    }
}

/// Where an answer goes.
#[derive(Clone, Debug)]
struct Address {
    outbox: Arc<Outbox>,
    connection: u64,
    id: RequestId,
}

impl Address {
    fn answer(&self, result: Result<Reply, Refusal>) {
        let answer = Answer { id: self.id, result };
        self.outbox.lock().answers.push((self.connection, answer));
        // The counter is full only when the server has not looked for 2^64 answers.
        let _woken = self.outbox.bell.write(1);
    }
}

/// Answers on their way from other threads to the server's.
#[derive(Debug)]
struct Outbox {
    inner: Mutex<OutboxInner>,
    bell: EventFd,
}

#[derive(Debug, Default)]
struct OutboxInner {
    answers: Vec<(u64, Answer)>,
    connections: Vec<u64>,
}

impl Outbox {
    fn lock(&self) -> std::sync::MutexGuard<'_, OutboxInner> {
        // What a panicking thread was adding is whole or absent; there is nothing to repair.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server that is not running yet.
#[derive(Debug)]
pub struct Server {
    listener: Option<OwnedFd>,
    connections: HashMap<u64, Connection>,
    owner: Option<u64>,
    last: u64,
    outbox: Arc<Outbox>,
}

impl Server {
    /// A server without any connection.
    ///
    /// # Errors
    /// The host's: out of descriptors.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let bell = EventFd::from_flags(flags)?;
        let outbox = Arc::new(Outbox { inner: Mutex::default(), bell });
        Ok(Self { listener: None, connections: HashMap::new(), owner: None, last: 0, outbox })
    }

    /// Serves new connections to this listening socket. It must not block.
    pub fn listen(&mut self, socket: OwnedFd) {
        self.listener = Some(socket);
    }

    /// Serves a connection, whose end ends the sandbox.
    pub fn serve_owner(&mut self, socket: OwnedFd) {
        self.owner = Some(self.add(socket));
    }

    fn add(&mut self, socket: OwnedFd) -> u64 {
        self.last += 1;
        self.connections.insert(self.last, Connection::new(socket));
        self.outbox.lock().connections.push(self.last);
        self.last
    }

    /// Serves requests until the sandbox ends. Meant for a thread of its own.
    ///
    /// # Errors
    /// The host's, when it cannot poll.
    pub fn run(mut self, handler: &mut dyn Handler) -> io::Result<End> {
        let mut rests = false;
        loop {
            let Some(ready) = self.poll(if rests { PollTimeout::NONE } else { REST_MS.into() })?
            else {
                handler.rest();
                rests = true;
                continue;
            };
            rests = false;
            if ready.bell {
                self.send_answers();
            }
            if ready.listener {
                self.accept();
            }
            for number in ready.connections {
                match self.serve(number, handler) {
                    Ok(None) => {}
                    Ok(Some(end)) => return Ok(end),
                    Err(_gone) => {
                        self.remove(number);
                        if self.owner == Some(number) {
                            handler.shutdown(End::OwnerGone);
                            return Ok(End::OwnerGone);
                        }
                    }
                }
            }
        }
    }

    fn remove(&mut self, number: u64) {
        self.connections.remove(&number);
        self.outbox.lock().connections.retain(|&other| other != number);
    }

    /// `None`: nothing came in time.
    fn poll(&self, timeout: PollTimeout) -> io::Result<Option<Ready>> {
        let mut numbers = Vec::with_capacity(self.connections.len());
        let mut fds = vec![PollFd::new(self.outbox.bell.as_fd(), PollFlags::POLLIN)];
        for (&number, connection) in &self.connections {
            let mut events = PollFlags::POLLIN;
            if connection.wants_to_write() {
                events |= PollFlags::POLLOUT;
            }
            numbers.push(number);
            fds.push(PollFd::new(connection.as_fd(), events));
        }
        if let Some(listener) = &self.listener {
            fds.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, timeout) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Some(Ready::default())),
            Err(error) => return Err(error.into()),
        }
        let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(true));
        let bell = ready.next().unwrap_or(false);
        let connections = numbers
            .iter()
            .zip(ready.by_ref())
            .filter_map(|(&n, ready)| ready.then_some(n))
            .collect();
        let listener = self.listener.is_some() && ready.next().unwrap_or(false);
        Ok(Some(Ready { bell, listener, connections }))
    }

    fn send_answers(&mut self) {
        // The counter says only that there is something; the list says what.
        let _count = self.outbox.bell.read();
        let answers = std::mem::take(&mut self.outbox.lock().answers);
        for (number, answer) in answers {
            if let Some(connection) = self.connections.get_mut(&number) {
                // A connection that fails is noticed, and removed, when it is polled next.
                let _sent = connection.send(&answer, Vec::new());
            }
        }
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        if let Ok(socket) = host::accept(listener.as_fd()) {
            self.add(socket);
        }
    }

    /// Takes all requests a connection has sent. `Some`: the sandbox ends.
    fn serve(&mut self, number: u64, handler: &mut dyn Handler) -> Result<Option<End>, WireError> {
        loop {
            let Some(connection) = self.connections.get_mut(&number) else { return Ok(None) };
            connection.flush()?;
            let Some((envelope, fds)) = connection.receive::<Envelope>()? else { return Ok(None) };
            let address =
                Address { outbox: Arc::clone(&self.outbox), connection: number, id: envelope.id };
            let ends = matches!(envelope.request, Request::Shutdown);
            if matches!(envelope.request, Request::Connect) {
                let added = fds.into_iter().next().map(|socket| self.add(socket));
                let missing = || {
                    let kind = crate::message::RefusalKind::Invalid;
                    Refusal::new(kind, "the socket is missing")
                };
                let result = added.map(|_| Reply::Done).ok_or_else(missing);
                if let Some(connection) = self.connections.get_mut(&number) {
                    connection.send(&Answer { id: envelope.id, result }, Vec::new())?;
                }
                continue;
            }
            if let Some(result) = dispatch(envelope.request, fds, &address, handler) {
                connection.send(&Answer { id: envelope.id, result }, Vec::new())?;
            }
            if ends {
                handler.shutdown(End::Asked);
                return Ok(Some(End::Asked));
            }
        }
    }
}

/// What a round of polling found.
#[derive(Default)]
struct Ready {
    bell: bool,
    listener: bool,
    connections: Vec<u64>,
}

/// Calls the handler. `None`: the answer comes later.
fn dispatch(
    request: Request,
    fds: Vec<OwnedFd>,
    address: &Address,
    handler: &mut dyn Handler,
) -> Option<Result<Reply, Refusal>> {
    use crate::message::RefusalKind::Invalid;
    let done = |result: Result<(), Refusal>| Some(result.map(|()| Reply::Done));
    let mut fds = fds.into_iter();
    let mut streams = || -> Result<Streams, Refusal> {
        match (fds.next(), fds.next(), fds.next()) {
            (Some(input), Some(output), Some(error)) => Ok([input, output, error]),
            _ => Err(Refusal::new(Invalid, "the three standard streams are missing")),
        }
    };
    match request {
        Request::Create(create) => {
            let streams = match streams() {
                Ok(streams) => streams,
                Err(refusal) => return Some(Err(refusal)),
            };
            let mut gofer: Vec<OwnedFd> = fds.collect();
            let contents = if create.contents { gofer.pop() } else { None };
            if create.gofer.map_or(0, |gofer| gofer.descriptors) != gofer.len()
                || create.contents != contents.is_some()
            {
                let refusal = Refusal::new(
                    Invalid,
                    "descriptors of the gofer or the file for contents are missing",
                );
                return Some(Err(refusal));
            }
            done(handler.create(*create, streams, gofer, contents))
        }
        Request::Start { container } => {
            Some(handler.start(&container).map(|pid| Reply::Started { pid }))
        }
        Request::Exec { container, process } => Some(
            streams()
                .and_then(|streams| handler.exec(&container, *process, streams))
                .map(|pid| Reply::Started { pid }),
        ),
        Request::Signal { container, target, signo } => {
            done(handler.signal(&container, target, signo))
        }
        Request::Wait { container, pid } => {
            handler.wait(&container, pid, Waiter(address.clone())).err().map(Err)
        }
        Request::State { container } => {
            Some(handler.state(container.as_deref()).map(Reply::Containers))
        }
        Request::Resize { container, pid, rows, columns } => {
            done(handler.resize(&container, pid, rows, columns))
        }
        Request::Events => {
            handler.events(Listener(address.clone()));
            None
        }
        Request::Delete { container } => done(handler.delete(&container)),
        Request::Changes { container, form } => {
            let Some(to) = fds.next() else {
                return Some(Err(Refusal::new(Invalid, "the descriptor to write to is missing")));
            };
            let promise = Promise(address.clone());
            handler.changes(container.as_deref(), form, to, promise).err().map(Err)
        }
        Request::Connect => Some(Err(Refusal::new(Invalid, "served elsewhere"))),
        Request::Shutdown => done(Ok(())),
    }
}

/// Makes a connected pair: the client's end and the server's.
///
/// # Errors
/// The host's: out of descriptors.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socketpair(AddressFamily::Unix, SockType::Stream, None, flags)?)
}

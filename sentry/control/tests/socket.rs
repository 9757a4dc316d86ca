//! Clients against a server with a handler that remembers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use bevor_control::{
    ChangesForm, Client, ClientError, Connection, ContainerState, Create, End, Ended, Event,
    EventKind, Gofer, Handler, Limits, Listener, Phase, Process, Promise, Refusal, RefusalKind,
    Reply, Request, Root, Server, Status, Streams, Target, Text, Waiter, WireError, pair,
};
use proptest::prelude::*;

/// Containers that "end" when they get a signal; their output stream says hello at the start.
#[derive(Default)]
struct Fake {
    containers: BTreeMap<String, (File, Phase, Vec<Waiter>)>,
    listeners: Vec<Listener>,
    gofer_descriptors: usize,
    end: Option<End>,
}

fn not_found(name: &str) -> Refusal {
    Refusal::new(RefusalKind::NotFound, format!("no container {name}"))
}

impl Handler for Fake {
    fn create(
        &mut self,
        c: Create,
        s: Streams,
        gofer: Vec<OwnedFd>,
        _contents: Option<OwnedFd>,
    ) -> Result<(), Refusal> {
        let [_input, output, _error] = s;
        self.gofer_descriptors += gofer.len();
        if self.containers.contains_key(&c.container) {
            return Err(Refusal::new(RefusalKind::Exists, "taken"));
        }
        self.containers.insert(c.container, (output.into(), Phase::Created, Vec::new()));
        Ok(())
    }

    fn start(&mut self, name: &str) -> Result<i32, Refusal> {
        let (output, phase, _) = self.containers.get_mut(name).ok_or_else(|| not_found(name))?;
        output.write_all(b"hello").expect("the stream is open");
        *phase = Phase::Running;
        for listener in &self.listeners {
            listener.send(Event { container: Some(name.into()), kind: EventKind::Started });
        }
        Ok(1)
    }

    fn exec(&mut self, _: &str, process: Process, _: Streams) -> Result<i32, Refusal> {
        i32::try_from(process.args.len()).map_err(|_| not_found("x"))
    }

    fn signal(&mut self, name: &str, _: Target, signo: i32) -> Result<(), Refusal> {
        let (_, _, waiters) = self.containers.get_mut(name).ok_or_else(|| not_found(name))?;
        for waiter in waiters.drain(..) {
            // Another thread answers, as the kernel's workers will.
            std::thread::spawn(move || {
                waiter.ended(Ended { status: Status::Signal(signo), reason: None });
            });
        }
        Ok(())
    }

    fn wait(&mut self, name: &str, _: Option<i32>, reply: Waiter) -> Result<(), Refusal> {
        self.containers.get_mut(name).ok_or_else(|| not_found(name))?.2.push(reply);
        Ok(())
    }

    fn state(&mut self, _: Option<&str>) -> Result<Vec<ContainerState>, Refusal> {
        Ok(self
            .containers
            .iter()
            .map(|(name, (_, phase, _))| ContainerState {
                container: name.clone(),
                phase: *phase,
                pid: Some(1),
                ended: None,
            })
            .collect())
    }

    fn resize(&mut self, _: &str, _: Option<i32>, _: u16, _: u16) -> Result<(), Refusal> {
        Err(Refusal::new(RefusalKind::Unsupported, "no terminal"))
    }

    fn events(&mut self, listener: Listener) {
        self.listeners.push(listener);
    }

    fn delete(&mut self, name: &str) -> Result<(), Refusal> {
        self.containers.remove(name).map(drop).ok_or_else(|| not_found(name))
    }

    fn changes(
        &mut self,
        name: Option<&str>,
        form: ChangesForm,
        to: OwnedFd,
        promise: Promise,
    ) -> Result<(), Refusal> {
        let name = name.unwrap_or("c").to_owned();
        if !self.containers.contains_key(&name) {
            return Err(not_found(&name));
        }
        std::thread::spawn(move || {
            let written = write!(std::fs::File::from(to), "{form:?} of {name}");
            promise.keep(
                written.map_err(|error| Refusal::new(RefusalKind::Failed, error.to_string())),
            );
        });
        Ok(())
    }

    fn shutdown(&mut self, why: End) {
        self.end = Some(why);
    }
}

fn start() -> (Client, JoinHandle<Fake>) {
    let (ours, theirs) = pair().expect("a socket pair");
    let mut server = Server::new().expect("a server");
    server.serve_owner(theirs);
    let thread = std::thread::spawn(move || {
        let mut fake = Fake::default();
        server.run(&mut fake).expect("the server polls");
        fake
    });
    (Client::new(ours), thread)
}

fn create(name: &str) -> Request {
    Request::Create(Box::new(Create {
        container: name.into(),
        process: Process { args: vec![Text::from("true")], ..Process::default() },
        gofer: Some(Gofer { descriptors: 1 }),
        contents: false,
        root: Root::Memory,
        mounts: Vec::new(),
        hostname: None,
        limits: Limits::default(),
        protect_init: true,
    }))
}

fn null() -> OwnedFd {
    File::open("/dev/null").expect("/dev/null").into()
}

#[test]
fn a_container_lives_and_its_streams_arrive() {
    let (mut client, thread) = start();
    let (mut output, theirs) = std::io::pipe().expect("a pipe");
    let fds = vec![null(), theirs.into(), null(), null()];
    // Sent in one go, answered in order.
    let created = client.send(create("c"), fds).expect("sent");
    let started = client.send(Request::Start { container: "c".into() }, vec![]).expect("sent");
    let wait = Request::Wait { container: "c".into(), pid: None };
    let ended = client.send(wait, vec![]).expect("sent");
    assert!(matches!(client.wait_for(started), Ok(Reply::Started { pid: 1 })));
    assert!(matches!(client.wait_for(created), Ok(Reply::Done)));
    let mut hello = [0; 5];
    output.read_exact(&mut hello).expect("the guest's output");
    assert_eq!(&hello, b"hello");

    let state = client.call(Request::State { container: None }, vec![]).expect("state");
    let Reply::Containers(list) = state else { panic!("{state:?}") };
    assert_eq!((list.len(), list[0].phase), (1, Phase::Running));

    let kill = Request::Signal { container: "c".into(), target: Target::Init, signo: 9 };
    client.call(kill, vec![]).expect("signal");
    let Ok(Reply::Ended(ended)) = client.wait_for(ended) else { panic!("no end") };
    assert_eq!(ended.status.shell(), 137);
    client.call(Request::Shutdown, vec![]).expect("shutdown");
    let fake = thread.join().expect("the server ends");
    assert_eq!((fake.end, fake.gofer_descriptors), (Some(End::Asked), 1));
}

#[test]
fn changes_are_written_for_any_client() {
    let (mut owner, _thread) = start();
    owner.call(create("c"), vec![null(), null(), null(), null()]).expect("created");
    let (ours, theirs) = pair().expect("a socket pair");
    owner.call(Request::Connect, vec![theirs]).expect("connected");
    assert!(owner.call(Request::Connect, vec![]).is_err());
    let mut client = Client::new(ours);
    let (mut output, theirs) = std::io::pipe().expect("a pipe");
    let changes = Request::Changes { container: None, form: ChangesForm::Tar };
    assert!(client.call(changes.clone(), vec![]).is_err());
    client.call(changes, vec![theirs.into()]).expect("written");
    let mut text = String::new();
    output.read_to_string(&mut text).expect("the pipe");
    assert_eq!(text, "Tar of c");
    // The end of a connection that was added is not the end of the sandbox.
    drop(client);
    owner.call(Request::State { container: None }, vec![]).expect("it is still there");
}

#[test]
fn refusals_say_why() {
    let (mut client, _thread) = start();
    let start = Request::Start { container: "nobody".into() };
    let Err(ClientError::Refused(refusal)) = client.call(start, vec![]) else { panic!() };
    assert_eq!(
        (refusal.kind, refusal.message.as_str()),
        (RefusalKind::NotFound, "no container nobody")
    );
    let Err(ClientError::Refused(refusal)) = client.call(create("c"), vec![null()]) else {
        panic!()
    };
    assert_eq!(refusal.kind, RefusalKind::Invalid);
    let too_few = vec![null(), null(), null()];
    let Err(ClientError::Refused(refusal)) = client.call(create("c"), too_few) else { panic!() };
    assert!(refusal.message.contains("gofer"), "{refusal}");
}

#[test]
fn events_go_to_those_who_asked() {
    let (mut client, _thread) = start();
    let events = client.send(Request::Events, vec![]).expect("sent");
    client.call(create("c"), vec![null(), null(), null(), null()]).expect("create");
    // The stream is /dev/null opened for reading: `start` would fail to write, so use a pipe.
    let (_reader, writer) = std::io::pipe().expect("a pipe");
    client.call(create("d"), vec![null(), writer.into(), null(), null()]).expect("create");
    client.call(Request::Start { container: "d".into() }, vec![]).expect("start");
    let Ok(Reply::Event(event)) = client.wait_for(events) else { panic!("no event") };
    assert_eq!(event.container.as_deref(), Some("d"));
    assert!(matches!(event.kind, EventKind::Started));
}

#[test]
fn the_owner_leaving_ends_the_sandbox() {
    let (client, thread) = start();
    drop(client);
    assert_eq!(thread.join().expect("the server ends").end, Some(End::OwnerGone));
}

#[test]
fn a_client_that_talks_nonsense_is_dropped() {
    let (ours, theirs) = pair().expect("a socket pair");
    let mut server = Server::new().expect("a server");
    server.serve_owner(theirs);
    let thread = std::thread::spawn(move || {
        let mut fake = Fake::default();
        server.run(&mut fake).expect("the server polls");
    });
    let mut raw = std::os::unix::net::UnixStream::from(ours);
    raw.write_all(&[0xff; 64]).expect("written");
    thread.join().expect("the server ends");
    let mut rest = Vec::new();
    // End of file or a reset, but an end.
    let _ended = raw.read_to_end(&mut rest);
    assert!(rest.is_empty());
}

#[test]
fn long_messages_arrive_whole() {
    let (mut client, thread) = start();
    let args = vec![Text::from(vec![b'x'; 100_000]); 50];
    let process = Box::new(Process { args, ..Process::default() });
    let exec = Request::Exec { container: "c".into(), process };
    let reply = client.call(exec, vec![null(), null(), null()]).expect("exec");
    assert!(matches!(reply, Reply::Started { pid: 50 }), "{reply:?}");
    drop(client);
    thread.join().expect("the server ends");
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (ours, theirs) = pair().expect("a socket pair");
        let mut raw = std::os::unix::net::UnixStream::from(ours);
        raw.write_all(&bytes).expect("written");
        drop(raw);
        let mut connection = Connection::new(theirs);
        loop {
            match connection.receive::<bevor_control::Envelope>() {
                Ok(Some(_)) => {}
                Ok(None) => prop_assert!(false, "the other side has gone"),
                Err(WireError::Closed | WireError::Bad(_)) => break,
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }

    #[test]
    fn texts_survive_the_way(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
        let text = Text::from(bytes);
        let json = serde_json::to_string(&text).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Text>(&json).expect("a text"), text);
    }
}

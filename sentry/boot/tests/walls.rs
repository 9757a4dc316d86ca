//! Puts up the sentry's walls in a process started as the launcher starts it, and looks at it from
//! inside and outside: as root (when this is root) and as an ordinary user.
//!
//! This has a main function of its own because it is also the process it looks at.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use bevor_boot::config::{Net, PlatformKind, SentryConfig};
use bevor_boot::confinement::{close_to_new_code, filter, leave_the_host};
use bevor_confine::{Child, Namespaces, Spawn, Values, privileges, report_refused_calls, spawn};
use caps::{CapSet, Capability};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

const INSIDE: &std::ffi::CStr = c"look-inside";
const HOST_NET: &std::ffi::CStr = c"host";
const AS_USER: &str = "as-user";

fn main() -> ExitCode {
    let word = std::env::args().nth(1).unwrap_or_default();
    if word.as_bytes() == INSIDE.to_bytes() {
        return inside();
    }
    let root = nix::unistd::geteuid().is_root();
    let checks: [Check; 6] = [
        ("the process is bare", bare),
        ("a refused call is reported and ends the process", refused_call),
        ("a refused call on another thread ends the process", refused_call_on_a_thread),
        ("it dies with its parent", dies_with_parent),
        ("without the host's network there is no socket", no_socket),
        ("with it, of the internet's families alone", internet_sockets),
    ];
    for (name, check) in checks {
        check(root);
        println!("{} {name}: ok", if root { "root" } else { "user" });
    }
    if root && word != AS_USER {
        let status = Command::new("/proc/self/exe")
            .arg(AS_USER)
            .uid(privileges::NOBODY)
            .gid(privileges::NOBODY)
            .status()
            .expect("this program runs as an ordinary user");
        assert!(status.success(), "as an ordinary user: {status}");
    }
    ExitCode::SUCCESS
}

/// A name, and what is checked: as root or as an ordinary user.
type Check = (&'static str, fn(bool));

fn config(by_root: bool, net: Net) -> SentryConfig {
    SentryConfig {
        platform: PlatformKind::Systrap,
        net,
        host_unix: false,
        trace: None,
        log: None,
        cpus: None,
        memory_bytes: None,
        by_root,
        time_start: false,
        reload_waits: false,
    }
}

/// A process behind the walls, with pipes to it.
struct Walled {
    child: Child,
    orders: std::io::PipeWriter,
    output: BufReader<std::io::PipeReader>,
    errors: std::io::PipeReader,
}

impl Walled {
    fn start(by_root: bool) -> Self {
        Self::start_in(by_root, Net::None)
    }

    fn start_in(by_root: bool, net: Net) -> Self {
        let exe: OwnedFd = File::open("/proc/self/exe").expect("this program").into();
        let (stdin, mut orders) = std::io::pipe().expect("a pipe");
        let (output, stdout) = std::io::pipe().expect("a pipe");
        let (errors, stderr) = std::io::pipe().expect("a pipe");
        let kept = [Capability::CAP_SYS_ADMIN, Capability::CAP_SETPCAP];
        let child = spawn(&Spawn {
            exe: exe.as_fd(),
            argv: &[
                c"walled",
                INSIDE,
                if by_root { c"root" } else { c"user" },
                if net == Net::Host { HOST_NET } else { c"none" },
            ],
            fds: &[stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
            namespaces: if by_root {
                Namespaces::PID
            } else {
                Namespaces::PID.and(Namespaces::USER)
            },
            ambient: if by_root { &[] } else { &kept },
        })
        .expect("the host starts the process");
        if !by_root {
            privileges::map_own_identity(child.pid).expect("our own namespace");
        }
        orders.write_all(b"g").expect("the process reads");
        Self { child, orders, output: BufReader::new(output), errors }
    }

    /// Sends an order and reads the answer line.
    fn ask(&mut self, order: &str) -> String {
        self.orders.write_all(order.as_bytes()).expect("the process reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the process answers");
        line.trim_end().to_owned()
    }

    /// Sends an order that ends the process; its status and what it wrote to standard error.
    fn end(mut self, order: &str) -> (WaitStatus, String) {
        self.orders.write_all(order.as_bytes()).expect("the process reads");
        drop(self.orders);
        let mut errors = String::new();
        self.errors.read_to_string(&mut errors).expect("standard error");
        let status = waitid(Id::PIDFd(self.child.pidfd.as_fd()), WaitPidFlag::WEXITED);
        (status.expect("it ends"), errors)
    }
}

/// The process behind the walls: answers orders of one byte.
fn inside() -> ExitCode {
    let by_root = std::env::args().nth(2).as_deref() == Some("root");
    let report = bevor_confine::inherited(2).expect("standard error");
    report_refused_calls(c"test", report).expect("a handler");
    privileges::ignore_terminal_signals().expect("signals");
    let host = std::env::args().nth(3).is_some_and(|net| net.as_bytes() == HOST_NET.to_bytes());
    let config = config(by_root, if host { Net::Host } else { Net::None });
    // Not before its identity is mapped.
    std::io::stdin().read_exact(&mut [0]).expect("an order to go on");
    let has_huge_pages = fs::exists("/sys/kernel/mm/transparent_hugepage").unwrap_or(false);
    let large = leave_the_host(&config).expect("the host lets go");
    assert!(!has_huge_pages || !large.is_empty(), "no files of large folios");
    for file in large {
        File::from(file).set_len(1 << 34).expect("a file taken along can be used");
    }
    close_to_new_code();
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let (started, is_started) = std::sync::mpsc::channel::<()>();
    let waiting = std::thread::spawn(move || {
        // A thread that is only being born makes calls that no table has.
        started.send(()).expect("somebody waits");
        if receive.recv().is_ok() {
            forbidden_call();
        }
    });
    is_started.recv().expect("the thread starts");
    let facts = facts();
    filter(&config, &Values::new()).expect("the filter goes on");
    loop {
        let mut order = [0];
        if std::io::stdin().read_exact(&mut order).is_err() {
            return ExitCode::SUCCESS;
        }
        match order[0] {
            b'f' => println!("{facts}"),
            b'c' => forbidden_call(),
            b'i' => println!("{}", internet()),
            b'u' => drop(new_socket(AddressFamily::Unix, SockType::Stream, None)),
            b'p' => drop(new_socket(AddressFamily::Packet, SockType::Datagram, None)),
            b'n' => drop(new_socket(AddressFamily::Netlink, SockType::Datagram, None)),
            b'v' => drop(new_socket(AddressFamily::Vsock, SockType::Stream, None)),
            b'r' => drop(new_socket(AddressFamily::Inet, SockType::Raw, Some(SockProtocol::Icmp))),
            b'4' => {
                drop(new_socket(AddressFamily::Inet, SockType::Stream, Some(SockProtocol::Tcp)))
            }
            b't' => {
                send.send(()).expect("the thread waits");
                waiting.join().expect("never comes here");
                return ExitCode::from(1);
            }
            _ => return ExitCode::from(2),
        }
    }
}

/// A harmless call that is in no table: `getppid`.
fn forbidden_call() {
    let _parent = nix::unistd::getppid();
}

/// A socket as a sentry makes them.
fn new_socket(
    family: AddressFamily,
    kind: SockType,
    protocol: Option<SockProtocol>,
) -> nix::Result<OwnedFd> {
    socket(family, kind, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, protocol)
}

/// How many of the sockets guests get can be made.
fn internet() -> usize {
    let forms = [
        (AddressFamily::Inet, SockType::Stream, SockProtocol::Tcp),
        (AddressFamily::Inet, SockType::Datagram, SockProtocol::Udp),
        (AddressFamily::Inet6, SockType::Stream, SockProtocol::Tcp),
        (AddressFamily::Inet6, SockType::Datagram, SockProtocol::Udp),
    ];
    let made = forms.map(|(family, kind, protocol)| new_socket(family, kind, Some(protocol)));
    made.iter().filter(|made| made.is_ok()).count()
}

/// What the process finds out about itself, as `name=value` words.
fn facts() -> String {
    let mut facts = BTreeMap::new();
    let entries = fs::read_dir("/").map(Iterator::count).map_err(|e| e.kind().to_string());
    facts.insert("entries", format!("{entries:?}").replace(' ', "_"));
    facts.insert("write", format!("{:?}", File::create("/x").map(drop).map_err(|e| e.kind())));
    for (name, set) in [
        ("effective", CapSet::Effective),
        ("permitted", CapSet::Permitted),
        ("inheritable", CapSet::Inheritable),
        ("bounding", CapSet::Bounding),
        ("ambient", CapSet::Ambient),
    ] {
        let count = caps::read(None, set).map(|set| set.len().to_string());
        facts.insert(name, count.unwrap_or_else(|error| error.to_string()));
    }
    let nnp = nix::sys::prctl::get_no_new_privs();
    facts.insert("no_new_privs", format!("{nnp:?}"));
    facts.insert("dumpable", format!("{:?}", nix::sys::prctl::get_dumpable()));
    facts.insert("dies_by", format!("{:?}", nix::sys::prctl::get_pdeathsig()));
    facts.insert("pid", std::process::id().to_string());
    let flags = nix::sched::CloneFlags::CLONE_NEWUSER;
    facts.insert("escape", format!("{:?}", nix::sched::unshare(flags)));
    facts.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

fn bare(by_root: bool) {
    let mut walled = Walled::start(by_root);
    let facts = walled.ask("f");
    let facts: BTreeMap<_, _> = facts.split(' ').filter_map(|fact| fact.split_once('=')).collect();
    // Landlock forbids even to list the empty root, where the host has it.
    assert!(facts["entries"] == "Ok(0)" || facts["entries"].contains("permission"), "{facts:?}");
    assert!(facts["write"].starts_with("Err"), "{facts:?}");
    for set in ["effective", "permitted", "inheritable", "bounding", "ambient"] {
        assert_eq!(facts[set], "0", "{set} capabilities");
    }
    assert_eq!(facts["no_new_privs"], "Ok(true)");
    assert_eq!(facts["dumpable"], "Ok(false)");
    assert_eq!(facts["dies_by"], "Ok(Some(SIGKILL))");
    assert_eq!(facts["pid"], "1");

    let pid = walled.child.pid;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it is our child");
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(field("Uid:"), vec![privileges::NOBODY.to_string(); 4], "never root on the host");
    assert_eq!(field("Gid:"), vec![privileges::NOBODY.to_string(); 4]);
    assert_eq!(field("Groups:"), if by_root { Vec::<String>::new() } else { field("Groups:") });
    assert_eq!(field("Seccomp:"), ["2"]);
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), ["0000000000000000"], "{set}");
    }
    let score = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("a score");
    assert_eq!(score.trim(), "1000");
    if by_root {
        for namespace in ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"] {
            let of = |who: &str| fs::read_link(format!("/proc/{who}/ns/{namespace}")).expect(who);
            assert_ne!(of(&pid.to_string()), of("self"), "{namespace} namespace");
        }
    }
    let (status, _) = walled.end("x");
    assert!(matches!(status, WaitStatus::Exited(_, 2)), "{status:?}");
}

fn refused_call(by_root: bool) {
    let (status, errors) = Walled::start(by_root).end("c");
    assert!(matches!(status, WaitStatus::Exited(_, 159)), "{status:?} {errors}");
    let number = libc::SYS_getppid;
    assert!(errors.contains(&format!("bevor: test: refused host call {number}(")), "{errors}");
    assert!(errors.ends_with('\n') && errors.lines().count() == 1, "{errors}");
}

fn refused_call_on_a_thread(by_root: bool) {
    let (status, errors) = Walled::start(by_root).end("t");
    assert!(matches!(status, WaitStatus::Exited(_, 159)), "{status:?} {errors}");
    assert!(errors.contains("refused host call"), "{errors}");
}

/// Checks that a process in network `net` dies of `order`, with a report that it tried `socket`.
fn dies_of(order: &str, by_root: bool, net: Net) {
    let (status, errors) = Walled::start_in(by_root, net).end(order);
    assert!(matches!(status, WaitStatus::Exited(_, 159)), "{order}: {status:?} {errors}");
    let number = libc::SYS_socket;
    assert!(errors.contains(&format!("refused host call {number}(")), "{order}: {errors}");
}

fn no_socket(by_root: bool) {
    for order in ["4", "u"] {
        dies_of(order, by_root, Net::None);
    }
}

fn internet_sockets(by_root: bool) {
    let mut walled = Walled::start_in(by_root, Net::Host);
    assert_eq!(walled.ask("i"), "4");
    if by_root {
        let of = |who: &str| fs::read_link(format!("/proc/{who}/ns/net")).expect(who);
        assert_eq!(of(&walled.child.pid.to_string()), of("self"), "the caller's network");
    }
    drop(walled);
    for order in ["u", "p", "n", "v", "r"] {
        dies_of(order, by_root, Net::Host);
    }
}

fn dies_with_parent(by_root: bool) {
    // The parent that dies is a thread: its end is what the host looks at.
    let (mut walled, ready) = std::thread::spawn(move || {
        let mut walled = Walled::start(by_root);
        let ready = walled.ask("f");
        (walled, ready)
    })
    .join()
    .expect("the thread ends");
    assert!(!ready.is_empty());
    let mut rest = String::new();
    walled.output.read_to_string(&mut rest).expect("the end of the output");
    let status = waitid(Id::PIDFd(walled.child.pidfd.as_fd()), WaitPidFlag::WEXITED);
    assert!(
        matches!(status, Ok(WaitStatus::Signaled(_, nix::sys::signal::Signal::SIGKILL, _))),
        "{status:?}"
    );
}

//! The platform inside a process confined as the sentry is: pid 1, empty root, nobody, no
//! capability, not dumpable, Landlock, no executable memory, the sentry's filter.

use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use bevor_confine::tables::{Features, KILLED, Role, rows};
use bevor_confine::{
    Landlock, Namespaces, Options, Spawn, Threads, Values, compile, empty_root, inherited, install,
    privileges, report_refused_calls, spawn,
};
use bevor_platform::Platform;
use caps::Capability;

use crate::conformance::case::{self, Case, cases};
use crate::conformance::{exceptions, faults, fp, kick, orders, rebuild, registers, threads};

pub const CASES: &[Case] = cases![runs_behind_the_walls_of_root, runs_behind_the_walls_of_a_user];

/// First argument of the process behind the walls.
const INSIDE: &CStr = c"behind-walls";
/// First argument of this program started as an ordinary user.
const AS_USER: &str = "walls-as-user";

/// Cases that need neither `/proc` nor host threads nor host calls of their own.
fn inside_cases() -> impl Iterator<Item = Case> {
    const NOT: [&str; 7] = [
        "too_many_mappings_are_refused_before_anything_is_done",
        "populated_pages_are_there",
        "a_dropped_thread_leaves_nothing_to_the_next",
        "guest_threads_hold_no_descriptors",
        "kicks_race_with_system_calls",
        "kicks_race_with_faults",
        "a_guest_moves_in_mid_air",
    ];
    [
        registers::CASES,
        fp::CASES,
        faults::CASES,
        exceptions::CASES,
        orders::CASES,
        threads::CASES,
        kick::CASES,
        rebuild::CASES,
    ]
    .into_iter()
    .flatten()
    .copied()
    .filter(|case| !NOT.iter().any(|name| case.name.ends_with(name)))
}

/// If this process is one of the test's own, plays its part. `facts` is what the platform needs of the
/// host's `/proc`, taken before the walls are up.
pub fn play_part<F>(
    features: Features,
    facts: fn() -> F,
    make: fn(F) -> Box<dyn Platform>,
) -> Option<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some(arg) if arg.as_bytes() == INSIDE.to_bytes() => {
            let by_root = args.get(1).is_some_and(|who| who == "root");
            Some(inside(by_root, features, facts(), make))
        }
        Some(AS_USER) => {
            start_inside(false);
            Some(ExitCode::SUCCESS)
        }
        _ => None,
    }
}

fn runs_behind_the_walls_of_root(_: &dyn Platform) {
    // SAFETY: no arguments.
    if unsafe { libc::geteuid() } == 0 {
        start_inside(true);
    }
}

fn runs_behind_the_walls_of_a_user(_: &dyn Platform) {
    let mut command = Command::new("/proc/self/exe");
    command.arg(AS_USER);
    // SAFETY: no arguments.
    if unsafe { libc::geteuid() } == 0 {
        command.uid(privileges::NOBODY).gid(privileges::NOBODY);
    }
    let output = command.output().expect("this program runs as an ordinary user");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Starts this program as the launcher starts a sentry, and waits for its success.
fn start_inside(by_root: bool) {
    let exe: OwnedFd = File::open("/proc/self/exe").expect("this program").into();
    let (stdin, _orders) = std::io::pipe().expect("a pipe");
    let (mut output, stdout) = std::io::pipe().expect("a pipe");
    let kept = [Capability::CAP_SYS_ADMIN, Capability::CAP_SETPCAP];
    let child = spawn(&Spawn {
        exe: exe.as_fd(),
        argv: &[c"walled", INSIDE, if by_root { c"root" } else { c"user" }],
        fds: &[stdin.as_fd(), stdout.as_fd(), stdout.as_fd()],
        namespaces: if by_root { Namespaces::PID } else { Namespaces::PID.and(Namespaces::USER) },
        ambient: if by_root { &[] } else { &kept },
    })
    .expect("the host starts the process");
    drop(stdout);
    let mut text = String::new();
    output.read_to_string(&mut text).expect("its output");
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    let pid = unsafe { libc::waitpid(child.pid, &raw mut status, 0) };
    assert!(pid == child.pid && status == 0, "status {status:#x}:\n{text}");
    assert!(text.contains("test result: ok"), "{text}");
}

/// Puts the walls up in the sentry's order, with the platform made in between.
fn inside<F>(
    by_root: bool,
    features: Features,
    facts: F,
    make: fn(F) -> Box<dyn Platform>,
) -> ExitCode {
    report_refused_calls(c"test", inherited(2).expect("standard error")).expect("a handler");
    privileges::ignore_terminal_signals().expect("signals");
    privileges::enter_namespaces(true).expect("namespaces");
    empty_root().expect("an empty root");
    if by_root {
        privileges::become_nobody().expect("another identity");
        privileges::enter_user_namespace().expect("a user namespace");
    }
    privileges::drop_capabilities().expect("no capabilities");
    privileges::no_new_privs().expect("no new privileges");
    privileges::not_dumpable().expect("not dumpable");
    privileges::die_with_parent().expect("dies with its parent");
    if let Some(nothing) = Landlock::new().expect("a rule set") {
        nothing.restrict().expect("Landlock");
    }
    let platform = make(facts);
    privileges::refuse_executable_memory();
    let options = Options { killed: KILLED, ..Options::default() };
    let program =
        compile(rows(Role::Sentry, features), &Values::new(), &options).expect("a sound table");
    install(&program, Threads::All).expect("the filter goes on");
    let code = case::run(platform.as_ref(), &[], inside_cases());
    // Ending the platform's threads is not what a sentry does: it exits.
    bevor_confine::exit_now(if code == ExitCode::SUCCESS { 0 } else { 1 })
}

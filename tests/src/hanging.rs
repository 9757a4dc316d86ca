//! A host file system that hangs, as far as a sandbox can see: its gofer is stopped.

use std::io::{BufRead, BufReader};
use std::process::ChildStdout;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::case::{Platform, User};
use crate::leaks;
use crate::lifecycle::{Sleeping, name_of};
use crate::runner::Context;
use crate::supervise;

/// More threads ask for files than a sandbox has workers here, and fewer than it has spare ones. One
/// needs no file, nor do two processes that talk to each other.
const PROGRAM: &str = "
import os, sys, threading, time
def files():
    while True:
        os.listxattr('/usr/bin')  # names are known, this is asked for each time
        os.write(1, b'file\\n')
        time.sleep(0.02)
for n in range(6):
    threading.Thread(target=files, daemon=True).start()
down, up = os.pipe(), os.pipe()
if os.fork() == 0:
    while os.read(down[0], 1):
        os.write(up[1], b'x')
while True:
    os.write(down[1], b'x')
    os.read(up[0], 1)
    os.write(1, b'tick\\n')
    time.sleep(0.02)
";

/// How long anything may take that should happen soon.
const SOON: Duration = Duration::from_secs(10);

struct Lines(Receiver<String>);

impl Lines {
    fn of(stdout: ChildStdout) -> Self {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self(receiver)
    }

    /// Waits until `count` lines are `wanted`. Answers how many others came meanwhile.
    fn await_some(&self, wanted: &str, count: usize) -> Result<usize, String> {
        let end = Instant::now() + SOON * supervise::slower();
        let (mut seen, mut others) = (0, 0);
        while seen < count {
            match self.0.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if line == wanted => seen += 1,
                Ok(_) => others += 1,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("only {seen} lines `{wanted}` came of {count}"));
                }
                Err(RecvTimeoutError::Disconnected) => return Err("the guest ended".to_owned()),
            }
        }
        Ok(others)
    }

    /// Drops what comes within a moment.
    fn settle(&self) {
        let end = Instant::now() + Duration::from_millis(300) * supervise::slower();
        while self.0.recv_timeout(end.saturating_duration_since(Instant::now())).is_ok() {}
    }
}

/// While the gofer is stopped only those wait who need it; everything ends at once all the same.
pub fn stopped_gofer(context: &Context, platform: Platform, user: User) -> Result<(), String> {
    let before = leaks::look();
    let argv = ["/usr/bin/python3", "-c", PROGRAM];
    let mut sandbox = Sleeping::start_program(context, platform, user, &argv)?;
    let lines = Lines::of(sandbox.take_stdout()?);
    let below = sandbox.processes();
    let gofer = below.iter().copied().find(|&pid| name_of(pid) == "bevor-gofer");
    let gofer = Pid::from_raw(gofer.ok_or("no gofer below the command line")?);
    let signal = |signal| kill(gofer, signal).map_err(|error| error.to_string());

    lines.await_some("file", 20)?;
    for _ in 0..2 {
        signal(Signal::SIGSTOP)?;
        lines.settle();
        let files = lines.await_some("tick", 20).map_err(|why| format!("gofer stopped: {why}"))?;
        if files != 0 {
            return Err(format!("{files} files were looked up without a gofer"));
        }
        signal(Signal::SIGCONT)?;
        lines.await_some("file", 20).map_err(|why| format!("gofer goes on: {why}"))?;
        lines.await_some("tick", 20).map_err(|why| format!("gofer goes on: {why}"))?;
    }
    signal(Signal::SIGSTOP)?;
    lines.settle();
    kill(Pid::from_raw(sandbox.pid()), Signal::SIGKILL).map_err(|error| error.to_string())?;
    sandbox.vanished(&below)?;
    leaks::compare(&before)
}

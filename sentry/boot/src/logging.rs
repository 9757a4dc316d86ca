//! Where messages go: the log, and the report of a panic.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use bevor_kernel::Dispatch;
use bevor_syscalls::{record, strace};
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, TraceKind};

/// From now on a panic prints its message and location to `report` and ends the process.
///
/// Nothing is unwound: a kernel whose invariants may be broken serves nobody.
pub fn report_panics(role: &'static str, report: File) {
    let report = Mutex::new(report);
    std::panic::set_hook(Box::new(move |info| {
        let location = info.location().map_or_else(String::new, |at| format!(" at {at}"));
        let message = info.payload_as_str().unwrap_or("no message");
        let line = format!(
            "bevor: {role}: panic{location}: {message}; this is a bug in bevor, please report it \
             with this line\n"
        );
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        // Where the report cannot be written, nothing can be said.
        let _written = report.write_all(line.as_bytes());
        bevor_confine::exit_now(PANICKED);
    }));
}

/// What serves system calls and writes of them to `to`.
pub fn trace_calls(kind: TraceKind, to: File) -> Dispatch {
    let sink = Box::new(move |line: &str| {
        // One write, so that lines of several threads do not mix; a reader that is gone misses it.
        let _written = (&to).write_all(format!("{line}\n").as_bytes());
    });
    let (lines, summary) = match kind {
        TraceKind::Record => {
            record::install(sink);
            return record::dispatch;
        }
        TraceKind::Lines => (true, false),
        TraceKind::Summary => (false, true),
        TraceKind::LinesAndSummary => (true, true),
    };
    strace::install(sink, lines, summary);
    strace::dispatch
}

/// Exit status of a process that panicked: 128 + SIGABRT.
const PANICKED: i32 = 134;

/// Sends messages to the log from now on.
pub fn start(log: Log, to: OwnedFd) {
    let level = if log.debug { tracing::Level::DEBUG } else { tracing::Level::INFO };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(LogFile(Arc::new(File::from(to))));
    if log.json {
        tracing::subscriber::set_global_default(builder.json().finish()).ok();
    } else {
        tracing::subscriber::set_global_default(builder.finish()).ok();
    }
}

/// The log file. Each message is one `write`, so that lines of several threads do not mix.
struct LogFile(Arc<File>);

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = &'a File;

    fn make_writer(&'a self) -> &'a File {
        &self.0
    }
}

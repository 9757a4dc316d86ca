//! What calls answered and which flags they took: for tests, which prove the table with it.
//!
//! Each fact is one line, written when it is first seen: `openat ok`, `openat ENOENT`,
//! `openat flags=O_CREAT` (a flag or value of a call that succeeded).

use bevor_abi::Errno;
use bevor_abi::errno::{EINTR, ERESTARTSYS};
use bevor_kernel::{Ctx, Stop, SysResult};
use bevor_memory::MemoryManager;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::OnceLock;

use crate::strace::format::Values;
use crate::strace::shape::{Direction, Shape};
use crate::strace::{Sink, is_end};
use crate::{row, table};

/// Most different arguments that are looked at: hostile programs have no end of them.
const ARGUMENTS_MAX: usize = 1 << 16;

#[derive(Default)]
struct Seen {
    /// Number of the call and of the error, 0 for success.
    results: HashSet<(u64, u16)>,
    /// Number of the call, place of the argument, its register and the one before.
    arguments: HashSet<(u64, usize, u64, u64)>,
    lines: HashSet<String>,
}

struct Recorder {
    sink: Sink,
    seen: Mutex<Seen>,
}

static RECORDER: OnceLock<Recorder> = OnceLock::new();

/// Sends what every later [`dispatch`] sees for the first time to `sink`. The first sink stays.
pub fn install(sink: Sink) {
    // A second sink is dropped: there is one record per sentry.
    let _ = RECORDER.set(Recorder { sink, seen: Mutex::default() });
}

/// Serves a call and records it; the kernel's `Dispatch` while calls are recorded.
///
/// # Errors
/// What the handler answers.
pub fn dispatch(ctx: &mut Ctx<'_>, nr: u64, args: [u64; 6]) -> SysResult {
    if let Some(recorder) = RECORDER.get()
        && is_end(nr)
    {
        // The sandbox may be gone when it has been served.
        recorder.succeeded(nr, args, ctx.mm());
        return table::dispatch(ctx, nr, args);
    }
    let result = table::dispatch(ctx, nr, args);
    if let Some(recorder) = RECORDER.get() {
        match &result {
            Ok(_) | Err(Stop::NoReturn) => recorder.succeeded(nr, args, ctx.mm()),
            Err(Stop::Errno(errno)) if *errno != ERESTARTSYS => recorder.failed(nr, *errno),
            Err(Stop::Errno(_) | Stop::Block(_)) => {}
        }
    }
    result
}

/// A waiting call was interrupted by a signal handler and fails.
pub fn interrupted(nr: u64) {
    if let Some(recorder) = RECORDER.get() {
        recorder.failed(nr, EINTR.into());
    }
}

impl Recorder {
    fn failed(&self, nr: u64, errno: Errno) {
        let Some(row) = row(nr) else { return };
        if self.seen.lock().results.insert((nr, errno.code.0)) {
            (self.sink)(&format!("{} {}", row.name, errno.code));
        }
    }

    fn succeeded(&self, nr: u64, regs: [u64; 6], memory: &MemoryManager) {
        let Some(row) = row(nr) else { return };
        let mut seen = self.seen.lock();
        if seen.results.insert((nr, 0)) {
            (self.sink)(&format!("{} ok", row.name));
        }
        let values = Values { regs: &regs, moved: None, memory };
        for (index, (arg, reg)) in row.args.iter().zip(regs).enumerate() {
            let name = arg.name.trim_start_matches("r#");
            let mut shown = String::new();
            match arg.shape {
                Shape::Named(_) | Shape::SockOpt | Shape::Protocol => {
                    // An option's name depends on the level before it.
                    let before = match arg.shape {
                        Shape::SockOpt => index.checked_sub(1).map_or(0, |at| regs[at]),
                        _ => 0,
                    };
                    if seen.arguments.len() < ARGUMENTS_MAX
                        && seen.arguments.insert((nr, index, reg, before))
                    {
                        values.show(index, arg.shape, &mut shown);
                        self.words(&mut seen, row.name, name, &shown);
                    }
                }
                // What is behind an address changes, so it is looked at every time.
                Shape::Struct(Direction::In, _) | Shape::List(Direction::In, _) => {
                    values.show(index, arg.shape, &mut shown);
                    for field in shown.split(['{', '}', ' ', ',']) {
                        if let Some((name, words)) = field.split_once('=') {
                            self.words(&mut seen, row.name, name, words);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Records the names among the flags in `shown`, the argument or field `name` of `call`.
    fn words(&self, seen: &mut Seen, call: &str, name: &str, shown: &str) {
        for word in shown.split('|').filter(|word| is_name(word)) {
            let line = format!("{call} {name}={word}");
            if seen.lines.insert(line.clone()) {
                (self.sink)(&line);
            }
        }
    }
}

/// Whether a part of a shown argument is the name of a flag, not a number.
fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_uppercase() || first == '_')
}

//! Dispatch that writes every call to a sink.

use bevor_abi::nr::{SYS_exit, SYS_exit_group};
use bevor_kernel::{Ctx, Stop, SysResult};
use bevor_memory::{MemoryManager, UserAddr};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::format::Peek;
use super::summary::Summary;
use super::trace::{Call, Outcome};
use crate::table;

/// Takes one line without its line feed.
pub type Sink = Box<dyn Fn(&str) + Send + Sync>;

/// Calls that have started, by the id of the caller's `Pid`.
type Pending = Mutex<HashMap<u64, (Call, Instant)>>;

struct Tracer {
    sink: Sink,
    /// Each call is a line.
    lines: bool,
    /// Calls are counted; taken when the counts are written.
    summary: Mutex<Option<Summary>>,
    pending: Pending,
}

static TRACER: OnceLock<Tracer> = OnceLock::new();

/// Sends every later [`dispatch`] to `sink`, as `lines`, as a `summary` at the end, or both. The
/// first sink stays.
pub fn install(sink: Sink, lines: bool, summary: bool) {
    let summary = Mutex::new(summary.then(Summary::default));
    // A second sink is dropped: there is one trace per sentry.
    let _ = TRACER.set(Tracer { sink, lines, summary, pending: Pending::default() });
}

/// Writes the summary, if one is wanted and was not written before: the program has ended.
pub fn finish() {
    if let Some(tracer) = TRACER.get()
        && let Some(summary) = tracer.summary.lock().take()
    {
        (tracer.sink)(&summary.table());
    }
}

impl Peek for MemoryManager {
    fn peek(&self, addr: u64, buf: &mut [u8]) -> usize {
        // Page by page, so that what lies before an unmapped page is shown.
        let mut done = 0;
        while done < buf.len() {
            let Some(at) = addr.checked_add(bevor_abi::conv::u64_of(done)) else { break };
            let room = bevor_abi::conv::usize_of(4096 - at % 4096).min(buf.len() - done);
            if self.read_bytes(UserAddr(at), &mut buf[done..done + room]).is_err() {
                break;
            }
            done += room;
        }
        done
    }
}

impl Tracer {
    fn say(&self, tid: i32, line: &str) {
        (self.sink)(&format!("[{tid:5}] {line}"));
    }

    /// A call has ended.
    fn leave(&self, tid: i32, call: &Call, outcome: Outcome, took: Duration, mm: &MemoryManager) {
        if let Some(summary) = &mut *self.summary.lock() {
            let failed = matches!(outcome, Outcome::Failed(_) | Outcome::Interrupted);
            summary.add(call.nr(), took, failed);
        }
        if self.lines {
            self.say(tid, &call.leave(outcome, took, mm));
        }
    }
}

/// Whether the call ends its caller.
pub(crate) fn is_end(nr: u64) -> bool {
    nr == SYS_exit || nr == SYS_exit_group
}

/// Serves a call and traces it; the kernel's `Dispatch` while `--strace` is on.
///
/// # Errors
/// What the handler answers.
pub fn dispatch(ctx: &mut Ctx<'_>, nr: u64, args: [u64; 6]) -> SysResult {
    let Some(tracer) = TRACER.get() else { return table::dispatch(ctx, nr, args) };
    let (key, tid) = (ctx.task().pid().id, ctx.task().tid());
    let begun = tracer.pending.lock().remove(&key);
    let (call, start) = match begun {
        Some(begun) if ctx.resumed().is_some() => begun,
        begun => {
            if let Some((call, start)) = begun {
                tracer.leave(tid, &call, Outcome::Interrupted, start.elapsed(), ctx.mm());
            }
            (Call::enter(crate::row(nr), nr, args, &**ctx.mm()), Instant::now())
        }
    };
    let first = ctx.resumed().is_none();
    if is_end(nr) {
        // The sandbox may be gone when it has been served.
        if first {
            tracer.leave(tid, &call, Outcome::NoReturn, start.elapsed(), ctx.mm());
        }
        return table::dispatch(ctx, nr, args);
    }
    let result = table::dispatch(ctx, nr, args);
    let outcome = match &result {
        Ok(value) => Outcome::Value(*value),
        Err(Stop::Errno(errno)) => Outcome::Failed(*errno),
        Err(Stop::NoReturn) => Outcome::NoReturn,
        Err(Stop::Block(_)) => {
            if first && tracer.lines {
                tracer.say(tid, &call.wait());
            }
            tracer.pending.lock().insert(key, (call, start));
            return result;
        }
    };
    tracer.leave(tid, &call, outcome, start.elapsed(), ctx.mm());
    result
}

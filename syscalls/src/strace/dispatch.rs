//! Dispatch that writes every call to a sink.

use bevor_kernel::{Ctx, Stop, SysResult};
use bevor_memory::{MemoryManager, UserAddr};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Instant;

use super::format::Peek;
use super::trace::{Call, Outcome};
use crate::table;

/// Takes one line without its line feed.
pub type Sink = Box<dyn Fn(&str) + Send + Sync>;

/// Calls that have started, by the id of the caller's `Pid`.
type Pending = Mutex<HashMap<u64, (Call, Instant)>>;

struct Tracer {
    sink: Sink,
    pending: Pending,
}

static TRACER: OnceLock<Tracer> = OnceLock::new();

/// Sends every later [`dispatch`] to `sink`. The first sink stays.
pub fn install(sink: Sink) {
    // A second sink is dropped: there is one trace per sentry.
    let _ = TRACER.set(Tracer { sink, pending: Pending::default() });
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
                let line = call.leave(Outcome::Interrupted, start.elapsed(), &**ctx.mm());
                tracer.say(tid, &line);
            }
            (Call::enter(crate::row(nr), nr, args, &**ctx.mm()), Instant::now())
        }
    };
    let first = ctx.resumed().is_none();
    let result = table::dispatch(ctx, nr, args);
    let outcome = match &result {
        Ok(value) => Outcome::Value(*value),
        Err(Stop::Errno(errno)) => Outcome::Failed(*errno),
        Err(Stop::NoReturn) => Outcome::NoReturn,
        Err(Stop::Block(_)) => {
            if first {
                tracer.say(tid, &call.wait());
            }
            tracer.pending.lock().insert(key, (call, start));
            return result;
        }
    };
    tracer.say(tid, &call.leave(outcome, start.elapsed(), &**ctx.mm()));
    result
}

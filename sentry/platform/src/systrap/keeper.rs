//! The platform's own two threads: one reaps dead stub processes, one keeps spares ready, cleans
//! control pages and ends guests that ignore a kick.

use std::io;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use crate::systrap::core::Core;
use crate::systrap::host::{self, Children};

/// How often unanswered kicks are looked at, while there are any.
const LOOK: Duration = Duration::from_secs(1);
/// How long a kick may stay unanswered.
const KICK_PATIENCE_NS: u64 = 10_000_000_000;

/// Starts both threads and returns when they have begun: a thread that is only being born makes host
/// calls that no filter allows.
pub fn start(core: &Arc<Core>) -> io::Result<()> {
    let born = Arc::new(Barrier::new(3));
    let spawn = |name: &str, work: fn(&Arc<Core>)| {
        let (core, born) = (core.clone(), born.clone());
        std::thread::Builder::new().name(name.into()).stack_size(128 << 10).spawn(move || {
            born.wait();
            work(&core);
        })
    };
    spawn("reaper", reap)?;
    spawn("keeper", keep)?;
    born.wait();
    Ok(())
}

fn reap(core: &Arc<Core>) {
    // Ends when the last child is gone, the zygote included.
    while let Ok(pid) = host::wait(Children::Group(core.zygote_pid), libc::WNOWAIT) {
        if let Some(pid) = pid {
            core.reap(pid);
        }
    }
}

fn keep(core: &Arc<Core>) {
    let mut broken = false;
    loop {
        let mut state = core.keeper.lock();
        if state.stop {
            return;
        }
        let dirty = std::mem::take(&mut state.dirty);
        let retired = state.retired.pop();
        let ready = state.pool.len() + usize::from(retired.is_some()) + state.retired.len();
        let short = ready < core.config.nr_spares && !broken;
        if dirty.is_empty() && retired.is_none() && !short {
            if state.kicks {
                core.keeper_wake.wait_for(&mut state, LOOK);
                state.kicks = false;
                drop(state);
                end_deaf_guests(core);
            } else {
                core.keeper_wake.wait(&mut state);
                broken = false;
            }
            continue;
        }
        drop(state);
        if let Some(stub) = retired.and_then(|retired| core.empty(retired)) {
            core.keeper.lock().pool.push(stub);
        }
        dirty.into_iter().for_each(|slot| core.free_slot(slot));
        if short {
            match core.make_stub() {
                Ok(stub) => core.keeper.lock().pool.push(stub),
                Err(error) => {
                    tracing::warn!(%error, "no spare stub process");
                    broken = true;
                }
            }
        }
    }
}

/// Kills processes one of whose threads has not answered a kick for too long.
fn end_deaf_guests(core: &Arc<Core>) {
    core.rewatch_kicks();
    let stubs: Vec<_> = core.stubs.lock().values().cloned().collect();
    let now = host::now_ns();
    for stub in stubs {
        let oldest = stub.threads.lock().iter().filter_map(|t| t.unanswered_kick()).min();
        let Some(since) = oldest else { continue };
        if now.saturating_sub(since) > KICK_PATIENCE_NS {
            tracing::warn!(pid = stub.pid, "a guest ignores kicks: killing its process");
            stub.kill();
        } else {
            core.watch_kicks();
        }
    }
}

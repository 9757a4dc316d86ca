//! Load: one busy loop pinned to each core.

use std::process::{Child, Command, Stdio};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// First word of the command line that makes this binary a busy loop.
pub const COMMAND: &str = "busy-loop";

/// Busy loops that end when this is dropped.
#[derive(Debug)]
pub struct Load {
    children: Vec<Child>,
}

impl Load {
    /// Starts one loop for each core this process may use.
    pub fn start() -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let allowed = sched_getaffinity(Pid::from_raw(0)).map_err(|error| error.to_string())?;
        let mut load = Self { children: Vec::new() };
        for core in (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false)) {
            let child =
                Command::new(&own).args([COMMAND, &core.to_string()]).stdin(Stdio::null()).spawn();
            load.children.push(child.map_err(|error| error.to_string())?);
        }
        Ok(load)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The busy loop itself; ends with its parent.
pub fn spin(core: &str) -> ! {
    let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
    let mut set = CpuSet::new();
    if let Ok(core) = core.parse() {
        let _ = set.set(core);
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
    loop {
        std::hint::black_box(core);
    }
}

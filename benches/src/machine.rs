//! What the numbers were measured on.

use std::fs;
use std::process::Command;

use serde::Serialize;

/// A machine, a commit, a day.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// Processor model.
    pub processor: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Kernel release and version.
    pub kernel: String,
    /// `huge pages of shared memory`, as the host has them.
    pub shmem_enabled: String,
    /// Commit that was measured.
    pub commit: String,
    /// gVisor's version, if it took part.
    pub gvisor: String,
    /// Seconds since 1970.
    pub date_s: u64,
    /// Load average at the start.
    pub load: String,
}

impl Machine {
    /// Looks at this machine.
    pub fn look(gvisor: Option<&std::path::Path>) -> Self {
        let line = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let field = |path: &str, name: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let found = text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
            found.unwrap_or_default().trim_start_matches([' ', '\t', ':']).to_owned()
        };
        let said = |program: &str, args: &[&str]| {
            let output = Command::new(program).args(args).output().ok();
            output
                .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
                .unwrap_or_default()
        };
        let memory = field("/proc/meminfo", "MemTotal");
        let kib: u64 = memory.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            processor: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: kib * 1024,
            kernel: format!(
                "{} {}",
                line("/proc/sys/kernel/osrelease"),
                line("/proc/sys/kernel/version")
            ),
            shmem_enabled: line("/sys/kernel/mm/transparent_hugepage/shmem_enabled"),
            commit: said(
                "git",
                &[
                    "-C",
                    env!("CARGO_MANIFEST_DIR"),
                    "describe",
                    "--always",
                    "--dirty",
                    "--abbrev=12",
                ],
            ),
            gvisor: gvisor
                .map(|path| said(&path.display().to_string(), &["--version"]))
                .unwrap_or_default(),
            date_s: since.map_or(0, |since| since.as_secs()),
            load: line("/proc/loadavg"),
        }
    }
}

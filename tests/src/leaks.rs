//! What a sandbox may leave behind on the host: nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// A look at the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    things: BTreeSet<String>,
}

/// Notes everything on the host that a sandbox could have made.
pub fn look() -> Look {
    let mut things = BTreeSet::new();
    if let Ok(mounts) = fs::read_to_string("/proc/self/mountinfo") {
        things.extend(mounts.lines().map(|line| format!("mount {line}")));
    }
    for (word, path) in
        [("shm", "/dev/shm"), ("tmp", "/tmp"), ("run", "/run"), ("vartmp", "/var/tmp")]
    {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.to_lowercase().contains("bevor") && !is_others(&name) {
                things.insert(format!("{word} {name}"));
            }
        }
    }
    let mut groups = Vec::new();
    folders(Path::new("/sys/fs/cgroup"), 4, &mut groups);
    // Others on this machine make control groups, too; ours carry our name.
    let ours = groups.into_iter().filter(|group| group.contains("bevor"));
    things.extend(ours.map(|group| format!("cgroup {group}")));
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.bytes().all(|byte| byte.is_ascii_digit()) && is_bevor(&entry.path()) {
            things.insert(format!("process {name}"));
        }
    }
    Look { things }
}

/// Whether a folder is named after a process that runs: another run of these tests.
fn is_others(name: &str) -> bool {
    let alive = |part: &str| {
        part.parse::<u32>().is_ok_and(|pid| Path::new("/proc").join(pid.to_string()).exists())
    };
    name.split(['.', '-']).skip(1).any(|part| !part.starts_with('0') && alive(part))
}

/// Whether a process belongs to the binary that this run tests.
///
/// Others may be running a binary of their own on this machine, so it is the
/// path that counts, not the name.
fn is_bevor(process: &Path) -> bool {
    let own = format!("/var/tmp/bevor-test.{}/", std::process::id());
    fs::read_link(process.join("exe")).is_ok_and(|exe| exe.to_string_lossy().starts_with(&own))
}

fn folders(dir: &Path, depth: u32, found: &mut Vec<String>) {
    if depth == 0 {
        return;
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path().to_string_lossy().into_owned());
            folders(&entry.path(), depth - 1, found);
        }
    }
}

/// Fails if something is there now that was not before.
///
/// What a kernel takes down in the background gets two seconds.
pub fn compare(before: &Look) -> Result<(), String> {
    let mut new: Vec<String> = Vec::new();
    for _ in 0..20 {
        new = look().things.difference(&before.things).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
    new.truncate(10);
    Err(format!("left behind:\n{}", new.join("\n")))
}

//! `bevor doctor`: can this host run sandboxes, and what would have to change.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bevor_confine::{landlock_abi, probe};
use nix::sys::resource::{Resource, getrlimit};
use serde::Serialize;

use crate::failure::{Attempt, FAILED, Failure};
use crate::roles;
use crate::surface::print;

/// How a finding weighs.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Weight {
    /// As it should be.
    Good,
    /// Works, but slower or with one wall less.
    Lacking,
    /// Sandboxes cannot run.
    Fatal,
}

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    weight: Weight,
    found: String,
    /// What to do about it; empty when good.
    advice: &'static str,
}

#[derive(Serialize)]
struct Report {
    can_run: bool,
    findings: Vec<Finding>,
}

/// Prints the findings; status 0 when sandboxes can run.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(json: bool) -> Result<u8, Failure> {
    let mut findings = vec![kernel(), architecture()];
    findings.extend(user_namespaces());
    findings.push(seccomp());
    findings.push(needed("clone3", probe::clone3(), "a filter around this shell refuses clone3"));
    findings.push(needed(
        "openat2",
        probe::openat2(),
        "a filter around this shell refuses openat2",
    ));
    findings.push(memfd_exec());
    findings.push(landlock());
    findings.push(wished(
        "syscall user dispatch",
        probe::syscall_user_dispatch(),
        "Linux 5.11 makes trapped calls cheaper",
    ));
    findings.push(wished("mseal", probe::mseal(), "Linux 6.10 lets the stub be sealed"));
    findings.push(wished("mdwe", probe::mdwe(), "Linux 6.6 lets the sentry refuse new code"));
    findings.push(wished(
        "fsgsbase",
        probe::fsgsbase(),
        "an older processor or a kernel option: thread switches are slower",
    ));
    findings.push(limit("descriptors (ulimit -Hn)", Resource::RLIMIT_NOFILE, 4096));
    findings.push(limit("processes (ulimit -Hu)", Resource::RLIMIT_NPROC, 4096));
    findings.push(map_count());
    findings.push(ptrace_scope());
    if findings.iter().all(|finding| finding.weight != Weight::Fatal) {
        findings.push(trial());
    }
    let can_run = findings.iter().all(|finding| finding.weight != Weight::Fatal);
    let report = Report { can_run, findings };
    let text = if json {
        serde_json::to_string_pretty(&report).attempt("cannot write the report")?
    } else {
        text(&report)
    };
    print(&text)?;
    Ok(if can_run { 0 } else { FAILED })
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let mark = match finding.weight {
            Weight::Good => "ok  ",
            Weight::Lacking => "less",
            Weight::Fatal => "NO  ",
        };
        // Writing to a string cannot fail.
        let _written = write!(text, "{mark}  {:<26} {}", finding.what, finding.found);
        if !finding.advice.is_empty() {
            let _written = write!(text, ": {}", finding.advice);
        }
        text.push('\n');
    }
    text.push_str(if report.can_run {
        "This host can run sandboxes."
    } else {
        "This host cannot run sandboxes until the lines marked NO are put right."
    });
    text
}

fn good(what: &'static str, found: impl Into<String>) -> Finding {
    Finding { what, weight: Weight::Good, found: found.into(), advice: "" }
}

fn lacking(what: &'static str, found: impl Into<String>, advice: &'static str) -> Finding {
    Finding { what, weight: Weight::Lacking, found: found.into(), advice }
}

fn fatal(what: &'static str, found: impl Into<String>, advice: &'static str) -> Finding {
    Finding { what, weight: Weight::Fatal, found: found.into(), advice }
}

fn needed(what: &'static str, has: bool, advice: &'static str) -> Finding {
    if has { good(what, "yes") } else { fatal(what, "no", advice) }
}

fn wished(what: &'static str, has: bool, advice: &'static str) -> Finding {
    if has { good(what, "yes") } else { lacking(what, "no", advice) }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn number(path: &str) -> Option<u64> {
    read(path)?.parse().ok()
}

fn kernel() -> Finding {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut parts = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if version >= (5, 14) {
        good("kernel", release)
    } else {
        fatal("kernel", release, "Linux 5.14 or newer is needed")
    }
}

fn architecture() -> Finding {
    good("architecture", std::env::consts::ARCH)
}

fn user_namespaces() -> Vec<Finding> {
    const WHAT: &str = "user namespaces";
    let root = nix::unistd::geteuid().is_root();
    let mut findings = Vec::new();
    match number("/proc/sys/user/max_user_namespaces") {
        None => findings.push(fatal(WHAT, "none", "the kernel needs CONFIG_USER_NS")),
        Some(0) => findings.push(fatal(WHAT, "0", "sysctl user.max_user_namespaces=10000")),
        Some(count) => findings.push(good(WHAT, format!("up to {count}"))),
    }
    if number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        let advice = "sysctl kernel.unprivileged_userns_clone=1";
        findings.push(if root {
            lacking("for ordinary users", "no", advice)
        } else {
            fatal("for ordinary users", "no", advice)
        });
    }
    if number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        let advice = "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor \
                      profile with userns for this binary";
        findings.push(lacking("for ordinary users", "restricted by AppArmor", advice));
    }
    findings
}

fn seccomp() -> Finding {
    const WHAT: &str = "seccomp filters";
    match read("/proc/sys/kernel/seccomp/actions_avail") {
        Some(actions) if actions.contains("kill_process") && actions.contains("trap") => {
            match filter_goes_on() {
                Some(true) => good(WHAT, "yes"),
                Some(false) => fatal(WHAT, "refused", "something around this shell refuses them"),
                None => fatal(
                    WHAT,
                    "installing one hangs",
                    "restart this host: its kernel is stuck (docs/decisions/filter.md)",
                ),
            }
        }
        _ => fatal(WHAT, "no", "the kernel needs CONFIG_SECCOMP_FILTER"),
    }
}

/// Has a process put a filter on itself. `None`: it hangs, out of reach of every signal.
fn filter_goes_on() -> Option<bool> {
    const LIMIT: Duration = Duration::from_secs(5);
    let mut command = Command::new("/proc/self/exe");
    command.arg(OsStr::from_bytes(roles::PROBE.to_bytes()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return Some(false) };
    let started = Instant::now();
    while started.elapsed() < LIMIT {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) => std::thread::sleep(Duration::from_millis(2)),
            Err(_) => return Some(false),
        }
    }
    None
}

fn memfd_exec() -> Finding {
    const WHAT: &str = "executable memory files";
    match number("/proc/sys/vm/memfd_noexec") {
        Some(2..) => fatal(WHAT, "no", "sysctl vm.memfd_noexec=1"),
        _ => good(WHAT, "yes"),
    }
}

fn landlock() -> Finding {
    const WHAT: &str = "landlock";
    let root = nix::unistd::geteuid().is_root();
    match landlock_abi() {
        0 if root => lacking(WHAT, "no", "boot with lsm=landlock,… for one more wall"),
        0 => fatal(WHAT, "no", "ordinary users need it: boot with lsm=landlock,… or run as root"),
        abi => good(WHAT, format!("version {abi}")),
    }
}

fn limit(what: &'static str, resource: Resource, enough: u64) -> Finding {
    match getrlimit(resource) {
        Ok((_, libc::RLIM_INFINITY)) => good(what, "unlimited"),
        Ok((_, hard)) if hard >= enough => good(what, hard.to_string()),
        Ok((_, hard)) => lacking(what, hard.to_string(), "large programs will not fit"),
        Err(error) => lacking(what, error.to_string(), "unknown"),
    }
}

fn map_count() -> Finding {
    const WHAT: &str = "vm.max_map_count";
    match number("/proc/sys/vm/max_map_count") {
        Some(count) if count >= 65_530 => good(WHAT, count.to_string()),
        Some(count) => lacking(WHAT, count.to_string(), "sysctl vm.max_map_count=262144"),
        None => lacking(WHAT, "unknown", "is /proc mounted?"),
    }
}

fn ptrace_scope() -> Finding {
    const WHAT: &str = "--platform=ptrace";
    match number("/proc/sys/kernel/yama/ptrace_scope") {
        Some(3..) => lacking(WHAT, "no", "kernel.yama.ptrace_scope is 3 until the next boot"),
        _ => good(WHAT, "yes"),
    }
}

/// Runs a sandbox, for the proof.
fn trial() -> Finding {
    const WHAT: &str = "a sandbox";
    let Some(program) =
        ["/bin/true", "/usr/bin/true"].into_iter().find(|path| Path::new(path).exists())
    else {
        return lacking(WHAT, "not tried", "this host has no /bin/true");
    };
    let started = Instant::now();
    let output = Command::new("/proc/self/exe")
        .args(["do", "--cwd=/", "--timeout=30s", "--", program])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            good(WHAT, format!("ran {program} in {:.1} ms", started.elapsed().as_secs_f64() * 1e3))
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or("nothing was said").to_owned();
            fatal(WHAT, said, "please report this")
        }
        Err(error) => fatal(WHAT, error.to_string(), "is /proc mounted?"),
    }
}

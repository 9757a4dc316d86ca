//! What a test is, and how the tests are found.
//!
//! A program under `guest/`, `smoke/` or `hostile/` is a test by being there.
//! One comment line in it, `bevor-test: WORD…`, says what is unusual:
//!
//! | word | meaning |
//! |---|---|
//! | `timeout=SECONDS` | time limit of one run (default 60) |
//! | `tier=full` | only with `--full` |
//! | `user=root`, `user=ordinary` | only as that user (default: both for `smoke/` and `cli/`, else root) |
//! | `user=both` | as root and as an ordinary user |
//! | `flags=A,B` | more flags for the compiler |
//! | `do=A,B` | more flags for `bevor do` |
//! | `platform=systrap`, `platform=ptrace` | only on that one (long tests) |
//! | `stderr=ignore` | standard error need not be the same |
//! | `kernel=MAJOR.MINOR` | only where the host is at least that new: what it lacks it cannot show |
//! | `waits=reloaded` | also with every waiting call saved and reloaded (with `--full` all of `guest/` are) |
//! | `files=few` | also in a sandbox whose processes may have few descriptors (with `--full` all of `guest/` are) |
//! | `exit=N` | the status that is expected: in Bevor for `hostile/`, on the host for the others (below 96) |

use std::fmt;
use std::path::{Path, PathBuf};

use crate::places::Places;

/// How Bevor runs guest code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Platform {
    /// The default platform.
    Systrap,
    /// The portable platform.
    Ptrace,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Systrap => "systrap",
            Self::Ptrace => "ptrace",
        })
    }
}

/// Whom a test runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum User {
    /// User 0.
    Root,
    /// An unprivileged user without an entry in the passwd file.
    Ordinary,
}

impl User {
    /// Host user and group id.
    pub fn id(self) -> u32 {
        match self {
            Self::Root => 0,
            Self::Ordinary => 31_000,
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Ordinary => "user",
        })
    }
}

/// How a test's program is started.
#[derive(Clone, Debug)]
pub enum Source {
    /// A C file, compiled by the runner.
    C(PathBuf),
    /// A shell script.
    Shell(PathBuf),
    /// A Python script.
    Python(PathBuf),
    /// The main file of a Go program with a folder of its own.
    Go(PathBuf),
}

impl Source {
    /// The file itself.
    pub fn path(&self) -> &Path {
        match self {
            Self::C(path) | Self::Shell(path) | Self::Python(path) | Self::Go(path) => path,
        }
    }
}

/// One test program.
#[derive(Clone, Debug)]
pub struct Case {
    /// `folder/name`.
    pub name: String,
    /// Where the program comes from.
    pub source: Source,
    /// Seconds one run may take.
    pub timeout_s: u64,
    /// Only in the long tier.
    pub full: bool,
    /// Users it runs as.
    pub users: Vec<User>,
    /// More flags for the compiler.
    pub compiler_flags: Vec<String>,
    /// The only platform it runs on.
    pub platform: Option<Platform>,
    /// More flags for `bevor do`.
    pub do_flags: Vec<String>,
    /// Compare standard error as well.
    pub compare_stderr: bool,
    /// The least version of the host's kernel.
    pub kernel: (u32, u32),
    /// Also with every waiting call saved and reloaded.
    pub reload_waits: bool,
    /// Also where descriptors are few.
    pub few_files: bool,
    /// Status that is expected, in Bevor of a hostile program, else on the host.
    pub exit: Option<i32>,
}

/// Finds the tests of one folder of `tests/`, by name.
pub fn find(places: &Places, folder: &str) -> Result<Vec<Case>, String> {
    let dir = places.tests.join(folder);
    let listing = std::fs::read_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut cases = Vec::new();
    for entry in listing {
        let path = entry.map_err(|error| error.to_string())?.path();
        let source = match path.extension().and_then(|extension| extension.to_str()) {
            Some("c") => Source::C(path.clone()),
            Some("sh") => Source::Shell(path.clone()),
            Some("py") => Source::Python(path.clone()),
            None if path.join("main.go").exists() => Source::Go(path.join("main.go")),
            _ => continue,
        };
        cases.push(read(folder, source)?);
    }
    let host = host_version();
    cases.retain(|case| case.kernel <= host);
    cases.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(cases)
}

/// The first two numbers of a version.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(['.', '-']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The version of the host's kernel; the oldest of all where it is not told.
fn host_version() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    version(release.trim()).unwrap_or_default()
}

fn read(folder: &str, source: Source) -> Result<Case, String> {
    let path = source.path().to_owned();
    let shown = path.display();
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{shown}: {error}"))?;
    let named = if matches!(source, Source::Go(_)) { path.parent() } else { Some(path.as_path()) };
    let stem = named
        .and_then(Path::file_stem)
        .and_then(|stem| stem.to_str())
        .ok_or(format!("{shown}: strange name"))?;
    let mut case = Case {
        name: format!("{folder}/{stem}"),
        source,
        timeout_s: 60,
        full: false,
        users: if matches!(folder, "smoke" | "cli") {
            vec![User::Root, User::Ordinary]
        } else {
            vec![User::Root]
        },
        compiler_flags: Vec::new(),
        do_flags: Vec::new(),
        compare_stderr: true,
        kernel: (0, 0),
        reload_waits: false,
        few_files: false,
        platform: None,
        exit: None,
    };
    let Some(line) = text.lines().take(20).find_map(|line| line.split_once("bevor-test:")) else {
        return Ok(case);
    };
    for word in line.1.trim_end_matches("*/").split_whitespace() {
        let list = |value: &str| value.split(',').map(str::to_owned).collect();
        let wrong = || format!("{shown}: do not know `{word}`");
        match word.split_once('=').ok_or_else(wrong)? {
            ("timeout", value) => case.timeout_s = value.parse().map_err(|_| wrong())?,
            ("tier", "full") => case.full = true,
            ("user", "both") => case.users = vec![User::Root, User::Ordinary],
            ("user", "root") => case.users = vec![User::Root],
            ("user", "ordinary") => case.users = vec![User::Ordinary],
            ("flags", value) => case.compiler_flags = list(value),
            ("do", value) => case.do_flags = list(value),
            ("waits", "reloaded") => case.reload_waits = true,
            ("files", "few") => case.few_files = true,
            ("platform", "systrap") => case.platform = Some(Platform::Systrap),
            ("platform", "ptrace") => case.platform = Some(Platform::Ptrace),
            ("stderr", "ignore") => case.compare_stderr = false,
            ("kernel", value) => case.kernel = version(value).ok_or_else(wrong)?,
            ("exit", value) => case.exit = Some(value.parse().map_err(|_| wrong())?),
            _ => return Err(wrong()),
        }
    }
    Ok(case)
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_the_first_two_numbers() {
        assert_eq!(version("6.1.0-37-amd64"), Some((6, 1)));
        assert_eq!(version("6.10"), Some((6, 10)));
        assert_eq!(version("6.18-rc1"), Some((6, 18)));
        assert_eq!(version("six"), None);
    }
}

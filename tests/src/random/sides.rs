//! The host and Bevor: where sequences run, and what came of each.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Sequence;
use crate::case::{self, Platform, User};
use crate::places::make_dir;
use crate::runner::Context;
use crate::supervise;

/// What the files lie on in Bevor; the host's counterpart is in [`Sides::native`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mount {
    /// The sandbox's own tmpfs, beside the host's.
    Tmpfs,
    /// Prepared files of the host under changes in memory, beside the host's tmpfs.
    Overlay,
    /// A folder of the host that may be changed, beside another one of the same file system.
    Rw,
}

/// Seconds one batch may take.
const LIMIT_S: u64 = 240;

/// What a sequence printed, line by line; none if it was not reached.
pub type Shown = Option<Vec<String>>;

/// Both sides of a comparison.
pub struct Sides<'a> {
    context: &'a Context<'a>,
    platform: Platform,
    user: User,
    mount: Mount,
    program: String,
    stem: String,
    count: AtomicU64,
}

impl<'a> Sides<'a> {
    /// Compiles the program and makes the folder of this comparison.
    pub fn new(
        context: &'a Context<'a>,
        platform: Platform,
        user: User,
        mount: Mount,
    ) -> Result<Self, String> {
        let places = &context.places;
        let program = case::find(places, "random")?.pop().ok_or("no tests/random/steps.c")?;
        let program = context.builder.prepare(places, &program)?.join(" ");
        let stem = format!("random-{mount:?}-{platform}-{user}").to_lowercase();
        Ok(Self { context, platform, user, mount, program, stem, count: AtomicU64::new(0) })
    }

    /// Executes sequences on both sides: what each printed, on the host and in Bevor.
    pub fn both(&self, sequences: &[Sequence]) -> Result<Vec<(Shown, Shown)>, String> {
        let mut text = String::new();
        for sequence in sequences {
            text += &format!("== {}\n{}\n", sequence.name, sequence.steps.join("\n"));
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let dir = self.context.places.run.join("work").join(format!("{}-{number}", self.stem));
        let _ = fs::remove_dir_all(&dir);
        make_dir(&dir, 0o777)?;
        fs::write(dir.join("steps"), text).map_err(|error| error.to_string())?;
        let result = self.native(&dir).and_then(|native| {
            let bevor = if self.context.options.native_only {
                self.native(&dir)?
            } else {
                self.bevor(&dir)?
            };
            let of = |all: &HashMap<String, Vec<String>>, name: &str| all.get(name).cloned();
            Ok(sequences
                .iter()
                .map(|Sequence { name, .. }| (of(&native, name), of(&bevor, name)))
                .collect())
        });
        let _ = fs::remove_dir_all(&dir);
        result
    }

    fn native(&self, dir: &Path) -> Result<HashMap<String, Vec<String>>, String> {
        let base = match self.mount {
            Mount::Tmpfs | Mount::Overlay => {
                PathBuf::from(format!("/dev/shm/{}.{}", self.stem, std::process::id()))
            }
            Mount::Rw => dir.join("native"),
        };
        make_dir(&base, 0o777)?;
        let text = self.one(dir, "native", self.words(&base, "both"));
        let _ = fs::remove_dir_all(&base);
        let text = text?;
        if !text.ends_with("== end\n") {
            let last = text.lines().last().unwrap_or_default();
            return Err(format!("on the host the program ended with: {last}"));
        }
        if let Some(line) = text.lines().find(|line| line.contains("BAD ")) {
            return Err(format!("on the host: {line}"));
        }
        Ok(by_name(&text))
    }

    fn bevor(&self, dir: &Path) -> Result<HashMap<String, Vec<String>>, String> {
        let base = match self.mount {
            Mount::Tmpfs => PathBuf::from("/dev/shm/random"),
            Mount::Overlay | Mount::Rw => dir.join("bevor"),
        };
        let mut flags = Vec::new();
        let mut phase = "both";
        if self.mount != Mount::Tmpfs {
            make_dir(&base, 0o777)?;
            self.one(dir, "prepare", self.words(&base, "prepare"))?;
            phase = "run";
        }
        if self.mount == Mount::Rw {
            flags.push(format!("--rw={}", base.display()));
        }
        let words = self.context.bevor_do(self.platform, &flags, &self.words(&base, phase));
        Ok(by_name(&self.one(dir, "bevor", words)?))
    }

    fn words(&self, base: &Path, phase: &str) -> Vec<String> {
        vec![self.program.clone(), base.to_string_lossy().into_owned(), phase.to_owned()]
    }

    fn one(&self, dir: &Path, side: &str, words: Vec<String>) -> Result<String, String> {
        let out = self.context.places.out.join(&self.stem).join(side);
        let mut order = supervise::order(words, dir, self.user, LIMIT_S, &out);
        order.stdin = Some(dir.join("steps"));
        let outcome = supervise::run(&order)?;
        if !outcome.leftover.is_empty() {
            return Err(format!("{side}: left running: {}", outcome.leftover.join(" ")));
        }
        let mut text = String::from_utf8_lossy(&outcome.stdout).into_owned();
        if outcome.status != 0 {
            let errors = String::from_utf8_lossy(&outcome.stderr);
            text += &format!("status {} {}\n", outcome.status, errors.trim_end());
        }
        Ok(text)
    }
}

/// Cuts what a run printed into what each sequence printed.
fn by_name(text: &str) -> HashMap<String, Vec<String>> {
    let mut all: HashMap<String, Vec<String>> = HashMap::new();
    let mut name = String::new();
    for line in text.lines() {
        match line.strip_prefix("== ") {
            Some(next) => {
                next.clone_into(&mut name);
                all.insert(name.clone(), Vec::new());
            }
            None => all.entry(name.clone()).or_default().push(line.to_owned()),
        }
    }
    all
}

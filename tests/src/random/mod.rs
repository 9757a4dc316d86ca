//! Random sequences of file operations by several processes at once.
//!
//! `generate` makes a sequence from a seed; the program `tests/random/steps.c` executes many of them, first
//! on the host, then in one sandbox. A sequence that does not show the same on both sides is shrunk to
//! the fewest steps that still differ, and printed with both results side by side.

mod generate;
mod shrink;
mod sides;

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::case::{Platform, User};
use crate::runner::Context;
use sides::{Mount, Sides};

/// One test: sequences on one kind of mount.
pub struct Kind {
    /// Name of the test.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(&Context, Platform, User) -> Result<(), String>,
}

/// Every kind of mount.
pub const KINDS: &[Kind] = &[
    Kind { name: "random/tmpfs", run: |c, p, u| run(c, p, u, Mount::Tmpfs) },
    Kind { name: "random/overlay", run: |c, p, u| run(c, p, u, Mount::Overlay) },
    Kind { name: "random/rw", run: |c, p, u| run(c, p, u, Mount::Rw) },
];

/// Sequences of the short tier.
const SHORT: u64 = 150;
/// Sequences of the long tier.
const LONG: u64 = 1000;
/// Sequences the long tier adds from a fresh seed.
const FRESH: u64 = 250;
/// Steps of a sequence.
const STEPS: u64 = 50;
/// Sequences one sandbox executes.
const TOGETHER: usize = 250;
/// Kinds of differences of which one sequence is shrunk and shown; all of them with `--keep`.
const SHOWN: usize = 4;

/// A sequence: its name and its steps.
#[derive(Clone, Debug)]
pub struct Sequence {
    name: String,
    steps: Vec<String>,
}

fn run(context: &Context, platform: Platform, user: User, mount: Mount) -> Result<(), String> {
    let sides = Sides::new(context, platform, user, mount)?;
    let mut failures = Vec::new();
    let mut kinds = BTreeMap::new();
    let mut differing = 0;
    let shown = if context.options.keep { usize::MAX } else { SHOWN };
    let seeds = seeds(context);
    for batch in seeds.chunks(TOGETHER) {
        let sequences: Vec<Sequence> = batch
            .iter()
            .map(|&seed| Sequence {
                name: format!("seed{seed}"),
                steps: generate::sequence(seed, STEPS, mount),
            })
            .collect();
        let both = sides.both(&sequences)?;
        for (sequence, (native, bevor)) in sequences.iter().zip(&both) {
            if native == bevor {
                continue;
            }
            differing += 1;
            let kind = shrink::kind(native, bevor);
            let count: &mut u64 = kinds.entry(kind).or_default();
            *count += 1;
            if *count == 1 && failures.len() < shown {
                failures.push(shrink::shrink(&sides, sequence)?);
            }
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    let kinds: Vec<String> =
        kinds.iter().map(|(kind, count)| format!("{count:5} × {kind}")).collect();
    Err(format!(
        "{differing} of {} sequences differ; first in\n{}\n{}",
        seeds.len(),
        kinds.join("\n"),
        failures.join("\n")
    ))
}

/// The seeds of this run: `--seeds FIRST-LAST`, or those of the tier.
fn seeds(context: &Context) -> Vec<u64> {
    if let Some((first, last)) = context.options.seeds {
        return (first..=last).collect();
    }
    let mut seeds: Vec<u64> = (1..=if context.options.full { LONG } else { SHORT }).collect();
    if context.options.full {
        let fresh =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() * 1000);
        println!("fresh seeds: --seeds {fresh}-{}", fresh + FRESH - 1);
        seeds.extend(fresh..fresh + FRESH);
    }
    seeds
}

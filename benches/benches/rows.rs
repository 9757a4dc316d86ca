//! Criterion benches: each row of the guest program, native and in Bevor.
//!
//! `cargo bench -p bevor-benches` compares with the run before; the numbers that
//! are published come from `bevor-bench`, which lets the sides take turns.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bevor_benches::guest;
use bevor_benches::side::Side;
use criterion::{Criterion, criterion_group, criterion_main};

fn bevor() -> Option<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/x86_64-unknown-linux-gnu");
    ["release", "fast"]
        .into_iter()
        .map(|profile| top.join(profile).join("bevor"))
        .find(|path| path.exists())
}

fn rows(criterion: &mut Criterion) {
    let dir = std::env::temp_dir().join(format!("bevor-rows.{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("the folder for temporary files can be written");
    let program = guest::build(&dir).expect("gcc is installed");
    let mut sides = vec![Side::Native];
    sides.extend(bevor().map(|path| Side::Bevor(path, "systrap")));
    for row in guest::ROWS {
        let mut group = criterion.benchmark_group(*row);
        group
            .sample_size(10)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_secs(1));
        for side in &sides {
            group.bench_function(side.to_string(), |bencher| {
                bencher.iter_custom(|iterations| {
                    let measured =
                        guest::measure(side, &program, iterations, &[row]).expect("the row runs");
                    #[expect(
                        clippy::cast_precision_loss,
                        reason = "a count of iterations is far below 2^52"
                    )]
                    let total_ns = measured[0].1 * iterations as f64;
                    Duration::from_secs_f64(total_ns / 1e9)
                });
            });
        }
        group.finish();
    }
    let mut group = criterion.benchmark_group("start-true-end");
    group.sample_size(10);
    for side in &sides {
        group.bench_function(side.to_string(), |bencher| {
            bencher.iter(|| guest::start_and_end(side).expect("true runs"));
        });
    }
    group.finish();
    let _ = std::fs::remove_dir_all(&dir);
}

criterion_group!(benches, rows);
criterion_main!(benches);

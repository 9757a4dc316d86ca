//! A test runner for one thread: cases share the platform, and some count processes.

use std::io::Write;
use std::process::ExitCode;

use bevor_platform::Platform;

/// A named test.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// The test; it panics to fail.
    pub run: fn(&dyn Platform),
}

/// Makes a list of [`Case`]s from function names.
macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        &[$($crate::conformance::case::Case {
            name: concat!(module_path!(), "::", stringify!($name)),
            run: $name,
        }),+]
    };
}
pub(crate) use cases;

/// Runs the cases whose name contains one of `args` (all without arguments).
///
/// Test profiles abort on panic, so the first failure ends the run; its name is printed before.
pub fn run(
    platform: &dyn Platform,
    args: &[String],
    cases: impl Iterator<Item = Case>,
) -> ExitCode {
    let list = args.iter().any(|arg| arg == "--list");
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let mut ran = 0;
    for case in cases {
        if !wanted.is_empty() && !wanted.iter().any(|part| case.name.contains(part.as_str())) {
            continue;
        }
        ran += 1;
        if list {
            println!("{}: test", case.name);
            continue;
        }
        print!("test {} ... ", case.name);
        std::io::stdout().flush().expect("standard output can be written");
        (case.run)(platform);
        println!("ok");
    }
    if ran == 0 {
        println!("test result: FAILED. no case has such a name");
        return ExitCode::FAILURE;
    }
    println!("test result: ok. {ran} passed on {}", platform.name());
    ExitCode::SUCCESS
}

//! Compiles guest programs, keeping what is already up to date.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::case::{Case, Source};
use crate::places::Places;

type Words = Result<Vec<String>, String>;

/// Makes each case runnable once, however many jobs ask for it.
#[derive(Debug, Default)]
pub struct Builder {
    made: Mutex<HashMap<String, Arc<OnceLock<Words>>>>,
}

impl Builder {
    /// The words that start a case's program.
    pub fn prepare(&self, places: &Places, case: &Case) -> Words {
        let cell = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(made.entry(case.name.clone()).or_default())
        };
        cell.get_or_init(|| prepare(places, case)).clone()
    }
}

fn prepare(places: &Places, case: &Case) -> Words {
    let program = |path: PathBuf| path.to_string_lossy().into_owned();
    match &case.source {
        Source::C(path) => {
            let built = compile(places, path, &case.name, &case.compiler_flags)?;
            Ok(vec![program(places.publish(&built)?)])
        }
        Source::Go(path) => {
            let built = compile_go(places, path, &case.name)?;
            Ok(vec![program(places.publish(&built)?)])
        }
        Source::Shell(path) => Ok(vec!["/bin/bash".to_owned(), program(places.publish(path)?)]),
        Source::Python(path) => {
            Ok(vec!["/usr/bin/python3".to_owned(), program(places.publish(path)?)])
        }
    }
}

/// Compiles one C file unless the program is newer than its sources.
pub fn compile(
    places: &Places,
    source: &Path,
    name: &str,
    flags: &[String],
) -> Result<PathBuf, String> {
    let program = places.cache.join(name.replace('/', "-"));
    let headers = [
        "guest/t.h",
        "guest/mnt.h",
        "guest/errors.h",
        "guest/terminal.h",
        "guest/provoke.h",
        "guest/pty_pair.h",
        "guest/landlock.h",
        "guest/seccomp.h",
        "guest/pidfd.h",
        "random/operations.h",
        "random/symbols.h",
        "fuzz/calls.h",
        "fuzz/kinds.h",
        "fuzz/objects.h",
        "fuzz/structs.h",
        "fuzz/values.h",
    ]
    .map(|name| places.tests.join(name));
    let stamp = program.with_extension("flags");
    let flag_text = flags.join(" ");
    let fresh = fs::read_to_string(&stamp).is_ok_and(|old| old == flag_text)
        && newer(&program, source)
        && headers.iter().all(|header| newer(&program, header));
    if fresh {
        return Ok(program);
    }
    let output = Command::new("gcc")
        // No warnings: the programs hand the kernel bad arguments on purpose.
        .args(["-std=gnu17", "-O1", "-g0", "-w"])
        .args(["-D_GNU_SOURCE", "-pthread"])
        .arg("-I")
        .arg(places.tests.join("guest"))
        .args(flags.iter().filter(|flag| !flag.starts_with("-l")))
        .arg("-o")
        .arg(&program)
        .arg(source)
        .args(flags.iter().filter(|flag| flag.starts_with("-l")))
        .output()
        .map_err(|error| format!("gcc: {error}"))?;
    if !output.status.success() {
        let _ = fs::remove_file(&program);
        let text =
            String::from_utf8_lossy(&output.stderr).lines().take(20).collect::<Vec<_>>().join("\n");
        return Err(format!("gcc: {text}"));
    }
    fs::write(&stamp, flag_text).map_err(|error| error.to_string())?;
    Ok(program)
}

fn compile_go(places: &Places, main: &Path, name: &str) -> Result<PathBuf, String> {
    let program = places.cache.join(name.replace('/', "-"));
    if newer(&program, main) {
        return Ok(program);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(main.parent().ok_or("a program without a folder")?)
        .env("PATH", format!("{path}:/usr/local/go/bin"))
        .envs([
            ("CGO_ENABLED", "0"),
            ("GOTOOLCHAIN", "local"),
            ("GOPROXY", "off"),
            ("GOFLAGS", "-buildvcs=false"),
        ])
        .env("GOCACHE", places.cache.join("go-cache"))
        .output()
        .map_err(|error| format!("go: {error}"))?;
    if output.status.success() {
        return Ok(program);
    }
    Err(format!("go: {}", String::from_utf8_lossy(&output.stderr).trim_end()))
}

fn newer(program: &Path, than: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified());
    matches!((modified(program), modified(than)), (Ok(program), Ok(source)) if program > source)
}

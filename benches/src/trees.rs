//! What the measured programs work on.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Bytes of `large`, as the guest program has it.
const LARGE_BYTES: usize = 64 << 20;

/// Makes `tree` and `git10k`, git repositories of 1,000 and 10,000 small files, `tar20k`, a tree of
/// 20,000, and the archive of it, `names`, a directory of 1,000 files, `large`, and `one.c`.
///
/// # Errors
/// What could not be written or run.
pub fn prepare(dir: &Path) -> Result<(), String> {
    let source = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\
                  int main(void) { puts(strchr(\"a b\", 32)); return atoi(\"0\"); }\n";
    let others = || {
        fs::write(dir.join("one.c"), source)?;
        fs::write(dir.join("large"), vec![b'l'; LARGE_BYTES])?;
        fs::create_dir(dir.join("names"))?;
        (0..1000).try_for_each(|index| fs::write(dir.join(format!("names/entry-{index}")), ""))
    };
    others().map_err(|error| error.to_string())?;
    for (name, nr_files, nr_dirs) in
        [("tree", 1000, 32), ("git10k", 10_000, 250), ("tar20k", 20_000, 400)]
    {
        let tree = dir.join(name);
        grow(&tree, nr_files, nr_dirs).map_err(|error| error.to_string())?;
        if name != "tar20k" && !commit(&tree) {
            eprintln!("git cannot make {name} a repository: git status will be missing");
        }
    }
    let quiet = (Stdio::null(), Stdio::null());
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(dir).args(["-cf"]).arg(dir.join("tar20k.tar")).arg("tar20k");
    let archived = tar.stdout(quiet.0).stderr(quiet.1).status();
    if !archived.is_ok_and(|status| status.success()) {
        eprintln!("tar does not work: its rows will be missing");
    }
    Ok(())
}

/// Makes a tree of small files, spread over some directories.
fn grow(tree: &Path, nr_files: usize, nr_dirs: usize) -> std::io::Result<()> {
    for index in 0..nr_dirs {
        fs::create_dir_all(tree.join(format!("d{index}")))?;
    }
    for index in 0..nr_files {
        let text = format!("line {index}\n").repeat(1 + index % 200);
        fs::write(tree.join(format!("d{}/f{index}", index % nr_dirs)), text)?;
    }
    Ok(())
}

/// Commits a tree to a new repository in it; whether git could.
fn commit(tree: &Path) -> bool {
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(tree).args(["-c", "user.name=b", "-c", "user.email=b@b"]).args(args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    git(&["init"]) && git(&["add", "."]) && git(&["commit", "-m", "files"])
}

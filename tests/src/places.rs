//! Where things are: the sources, the binaries, and the run's own folder.
//!
//! Everything a test needs is copied into a folder under /var/tmp that any user
//! may read: the clone itself may lie under a home only root can enter.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The folders of one run.
#[derive(Debug)]
pub struct Places {
    /// Top of the workspace.
    pub top: PathBuf,
    /// `tests/` of the workspace.
    pub tests: PathBuf,
    /// Where compiled programs are kept between runs.
    pub cache: PathBuf,
    /// Where outputs of failed tests are kept.
    pub out: PathBuf,
    /// This run's own folder, world-readable, removed at the end.
    pub run: PathBuf,
    /// What has been copied already.
    published: Mutex<HashSet<PathBuf>>,
    /// The binary under test, as copied into the run's folder.
    pub bevor: PathBuf,
}

impl Places {
    /// Finds the workspace and makes the run's folder.
    pub fn new(bevor: Option<&str>) -> Result<Self, String> {
        let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let top = tests.parent().ok_or("tests/ has no parent")?.to_owned();
        let own = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
        let given = match bevor {
            Some(path) => PathBuf::from(path),
            None => own.with_file_name("bevor"),
        };
        let run = PathBuf::from(format!("/var/tmp/bevor-test.{}", std::process::id()));
        let places = Self {
            cache: top.join("target/bevor-test/programs"),
            out: top.join("target/bevor-test/out"),
            bevor: run.join("bevor"),
            top,
            tests,
            run,
            published: Mutex::default(),
        };
        make_dir(&places.run, 0o755)?;
        make_dir(&places.run.join("programs"), 0o755)?;
        make_dir(&places.cache, 0o755)?;
        let _ = fs::remove_dir_all(&places.out);
        make_dir(&places.out, 0o755)?;
        if given.exists() {
            copy(&given, &places.bevor)?;
        }
        Ok(places)
    }

    /// Copies a file into the run's folder of programs, once, and names the copy. Programs of
    /// different folders may have one name.
    pub fn publish(&self, file: &Path) -> Result<PathBuf, String> {
        let name = file.file_name().ok_or("a program without a name")?;
        let folder = file.parent().and_then(Path::file_name).ok_or("a program in no folder")?;
        let folder = self.run.join("programs").join(folder);
        let published = folder.join(name);
        // A shell reads its script as it goes on: a copy is not touched again.
        let mut done = self.published.lock().map_err(|error| error.to_string())?;
        if done.insert(published.clone()) {
            make_dir(&folder, 0o755)?;
            copy(file, &published)?;
        }
        Ok(published)
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.run);
    }
}

/// Makes a folder with a mode, whatever the umask.
pub fn make_dir(path: &Path, mode: u32) -> Result<(), String> {
    let shown = path.display();
    fs::create_dir_all(path).map_err(|error| format!("{shown}: {error}"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|error| format!("{shown}: {error}"))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to)
        .map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))?;
    let mode = fs::metadata(from).map_err(|error| error.to_string())?.permissions().mode();
    fs::set_permissions(to, fs::Permissions::from_mode(mode | 0o555))
        .map_err(|error| error.to_string())
}

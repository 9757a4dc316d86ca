//! The sides of the comparison and how a program is started on each.

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// One side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// The host kernel.
    Native,
    /// Bevor: the binary and the platform.
    Bevor(PathBuf, &'static str),
    /// gVisor's runsc.
    Gvisor(PathBuf),
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native => f.write_str("native"),
            Self::Bevor(_, platform) => write!(f, "bevor-{platform}"),
            Self::Gvisor(_) => f.write_str("gvisor"),
        }
    }
}

impl Side {
    /// A command that runs `argv` on this side, with nothing on its streams.
    pub fn command(&self, argv: &[&str]) -> Command {
        let mut words: Vec<String> = match self {
            Self::Native => Vec::new(),
            Self::Bevor(path, platform) => {
                vec![
                    path.display().to_string(),
                    "do".into(),
                    format!("--platform={platform}"),
                    "--".into(),
                ]
            }
            Self::Gvisor(path) => {
                let flags = ["--platform=systrap", "--network=none", "--ignore-cgroups", "do"];
                [path.display().to_string()].into_iter().chain(flags.map(String::from)).collect()
            }
        };
        words.extend(argv.iter().map(|word| (*word).to_owned()));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

//! Mount options of tmpfs.

use crate::superblock::{ParamFault, check_param};
use bevor_abi::Errno;
use bevor_abi::errno::EINVAL;
use bevor_memory::PAGE_SIZE;

/// Options of `mount -t tmpfs`. What is not given has tmpfs's default.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TmpfsOptions {
    /// `size=`, `nr_blocks=`.
    pub size: Option<Size>,
    /// `nr_inodes=`; 0 for no limit.
    pub inodes: Option<u64>,
    /// Mode of the root directory.
    pub mode: Option<u32>,
    /// Owner of the root directory.
    pub uid: Option<u32>,
    /// Group of the root directory.
    pub gid: Option<u32>,
}

/// A size limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// Bytes; 0 for no limit.
    Bytes(u64),
    /// Hundredths of the memory there is.
    Percent(u64),
}

/// Reads a number with one of the suffixes k, m, g, t, p, e.
fn number(text: &str) -> Result<u64, Errno> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text.get(digits.len()..).unwrap_or_default() {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        "t" | "T" => 40,
        "p" | "P" => 50,
        "e" | "E" => 60,
        _ => return Err(EINVAL.because("unknown size suffix")),
    };
    let number: u64 = digits.parse().map_err(|_| EINVAL)?;
    number.checked_mul(1 << shift).ok_or_else(|| EINVAL.into())
}

impl TmpfsOptions {
    /// Reads a comma-separated list.
    ///
    /// # Errors
    /// `EINVAL` for an unknown option or a bad value.
    pub fn parse(text: &[u8]) -> Result<Self, Errno> {
        let text = std::str::from_utf8(text).map_err(|_| EINVAL)?;
        let mut options = Self::default();
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            match key {
                "size" => {
                    options.size = Some(match value.strip_suffix('%') {
                        Some(part) => Size::Percent(part.parse().map_err(|_| EINVAL)?),
                        None => Size::Bytes(number(value)?),
                    });
                }
                "nr_blocks" => {
                    let bytes = number(value)?.checked_mul(PAGE_SIZE).ok_or(EINVAL)?;
                    options.size = Some(Size::Bytes(bytes));
                }
                "nr_inodes" => options.inodes = Some(number(value)?),
                "mode" => {
                    let mode = u32::from_str_radix(value, 8).map_err(|_| EINVAL)?;
                    options.mode = Some(mode & 0o7777);
                }
                "uid" => options.uid = Some(value.parse().map_err(|_| EINVAL)?),
                "gid" => options.gid = Some(value.parse().map_err(|_| EINVAL)?),
                // How Linux places pages and numbers inodes does not show here.
                "huge" if ["never", "always", "within_size", "advise"].contains(&value) => {}
                "mpol" | "inode32" | "inode64" | "noswap" => {}
                _ => return Err(EINVAL.because("unknown tmpfs option")),
            }
        }
        Ok(options)
    }

    /// Looks at one parameter.
    ///
    /// # Errors
    /// That it is unknown or has a bad value.
    pub fn check(option: &[u8]) -> Result<(), ParamFault> {
        let known = [
            "size",
            "nr_blocks",
            "nr_inodes",
            "mode",
            "uid",
            "gid",
            "huge",
            "mpol",
            "inode32",
            "inode64",
            "noswap",
        ];
        check_param(option, &known, Self::parse)
    }

    /// Takes over what `change` gives (remount); the root's owner and mode stay.
    pub fn change(&mut self, change: &Self) {
        self.size = change.size.or(self.size);
        self.inodes = change.inodes.or(self.inodes);
    }

    /// The limit on contents, bytes, where `total` bytes of memory exist: half of them by default.
    #[must_use]
    pub fn size_bytes(&self, total: u64) -> u64 {
        let bytes = match self.size {
            None => total / 2,
            Some(Size::Bytes(0)) => return u64::MAX,
            Some(Size::Bytes(bytes)) => bytes,
            Some(Size::Percent(part)) => (total / 100).saturating_mul(part),
        };
        bytes.checked_next_multiple_of(PAGE_SIZE).unwrap_or(u64::MAX)
    }

    /// The limit on inodes, 0 for none.
    #[must_use]
    pub fn max_inodes(&self, total: u64) -> u64 {
        self.inodes.unwrap_or(total / PAGE_SIZE / 2)
    }

    /// The options as mountinfo shows them.
    #[must_use]
    pub fn text(&self) -> String {
        let mut parts = Vec::new();
        match self.size {
            Some(Size::Bytes(bytes)) if bytes != 0 => {
                parts.push(format!("size={}k", bytes.div_ceil(1024)));
            }
            Some(Size::Percent(part)) => parts.push(format!("size={part}%")),
            _ => {}
        }
        parts.extend(self.inodes.map(|inodes| format!("nr_inodes={inodes}")));
        parts.extend(self.mode.filter(|&mode| mode != 0o1777).map(|mode| format!("mode={mode:o}")));
        parts.extend(self.uid.filter(|&uid| uid != 0).map(|uid| format!("uid={uid}")));
        parts.extend(self.gid.filter(|&gid| gid != 0).map(|gid| format!("gid={gid}")));
        parts.push("inode64".into());
        parts.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A list that is nearly right: known keys, odd values.
    fn list() -> impl Strategy<Value = String> {
        let key = prop::sample::select(vec![
            "size",
            "nr_blocks",
            "nr_inodes",
            "mode",
            "uid",
            "gid",
            "huge",
            "mpol",
            "inode64",
            "x",
            "",
        ]);
        let value = prop_oneof![
            "[0-9]{0,21}[kKmMgGtTpPeE%]?",
            "[0-7]{1,12}",
            "-?[0-9]{1,3}",
            "(never|always|\\PC{0,6})",
        ];
        let part = (key, prop_oneof![Just("="), Just(""), Just("==")], value)
            .prop_map(|(key, equals, value)| [key, equals, &value].concat());
        prop::collection::vec(part, 0..5).prop_map(|parts| parts.join(","))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn any_options_are_refused_or_shown_as_they_are(text in list(), total: u64, raw: Vec<u8>) {
            let _refused = TmpfsOptions::parse(&raw);
            let _refused = TmpfsOptions::check(text.as_bytes());
            let Ok(options) = TmpfsOptions::parse(text.as_bytes()) else { return Ok(()) };
            let (_, _) = (options.size_bytes(total), options.max_inodes(total));
            let shown = options.text();
            let again = TmpfsOptions::parse(shown.as_bytes()).map(|again| again.text());
            prop_assert_eq!(again.ok(), Some(shown));
        }
    }

    #[test]
    fn options_are_read_and_shown() {
        let options = TmpfsOptions::parse(b"size=64m,mode=755,uid=1000,nr_inodes=1k").unwrap();
        assert_eq!(options.size_bytes(1 << 30), 64 << 20);
        assert_eq!(options.max_inodes(1 << 30), 1024);
        assert_eq!(options.text(), "size=65536k,nr_inodes=1024,mode=755,uid=1000,inode64");
        assert!(TmpfsOptions::parse(b"sizes=1").is_err());
        assert!(TmpfsOptions::parse(b"size=99999999e").is_err());
        assert!(TmpfsOptions::parse(b"size=12q").is_err());
    }
}

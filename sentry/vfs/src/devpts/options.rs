//! Mount options of devpts.

use bevor_abi::Errno;
use bevor_abi::errno::EINVAL;
use std::fmt::Write as _;

/// Most pseudo-terminals an instance can number.
const MAX: u32 = 1 << 20;

/// Options of `mount -t devpts`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DevPtsOptions {
    /// Owner of new entries; that of the opener by default.
    pub uid: Option<u32>,
    /// Group of new entries; that of the opener by default.
    pub gid: Option<u32>,
    /// Permissions of new entries.
    pub mode: u32,
    /// Permissions of `ptmx`.
    pub ptmx_mode: u32,
    /// How many entries there may be.
    pub max: u32,
}

impl Default for DevPtsOptions {
    fn default() -> Self {
        Self { uid: None, gid: None, mode: 0o600, ptmx_mode: 0, max: MAX }
    }
}

impl DevPtsOptions {
    /// Reads a comma-separated list over the options there are.
    ///
    /// # Errors
    /// `EINVAL` for an unknown option or a bad value.
    pub fn parse(mut self, text: &[u8]) -> Result<Self, Errno> {
        let text = std::str::from_utf8(text).map_err(|_| EINVAL)?;
        let octal = |value: &str| u32::from_str_radix(value, 8).map_err(|_| EINVAL);
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            match key {
                "uid" => self.uid = Some(value.parse().map_err(|_| EINVAL)?),
                "gid" => self.gid = Some(value.parse().map_err(|_| EINVAL)?),
                "mode" => self.mode = octal(value)? & 0o7777,
                "ptmxmode" => self.ptmx_mode = octal(value)? & 0o7777,
                "max" => {
                    self.max = value.parse().map_err(|_| EINVAL)?;
                    if self.max > MAX {
                        return Err(EINVAL.into());
                    }
                }
                // Every instance is new.
                "newinstance" if value.is_empty() => {}
                _ => return Err(EINVAL.because("unknown devpts option")),
            }
        }
        Ok(self)
    }

    /// The options as mountinfo shows them.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.uid.map(|uid| write!(text, "uid={uid},"));
        let _ = self.gid.map(|gid| write!(text, "gid={gid},"));
        let _ = write!(text, "mode={:03o},ptmxmode={:03o}", self.mode, self.ptmx_mode);
        if self.max < MAX {
            let _ = write!(text, ",max={}", self.max);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::DevPtsOptions;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn any_options_are_refused_or_shown_as_they_are(
            text in "((uid|gid|mode|ptmxmode|max|newinstance|x)?=?-?[0-9]{0,11},?){0,4}",
            raw: Vec<u8>,
        ) {
            let _refused = DevPtsOptions::default().parse(&raw);
            let Ok(options) = DevPtsOptions::default().parse(text.as_bytes()) else { return Ok(()) };
            let shown = options.text();
            let again = DevPtsOptions::default().parse(shown.as_bytes()).map(|again| again.text());
            prop_assert_eq!(again.ok(), Some(shown));
        }
    }

    #[test]
    fn options_are_read_and_shown() {
        let options = DevPtsOptions::default();
        assert_eq!(options.text(), "mode=600,ptmxmode=000");
        let text = b"newinstance,mode=620,ptmxmode=0666,gid=5,max=9";
        assert_eq!(options.parse(text).unwrap().text(), "gid=5,mode=620,ptmxmode=666,max=9");
        assert!(options.parse(b"size=1").is_err());
        assert!(options.parse(b"max=2000000").is_err());
    }
}

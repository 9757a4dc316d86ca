//! Symbolic names of flags and values, for traces and error messages.

use core::fmt;

/// How the entries of a [`Names`] combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any combination of bits; multi-bit entries match as a whole.
    Flags,
    /// Exactly one entry.
    Values,
}

/// A family of constants with their names, such as the flags of `open(2)`.
#[derive(Debug)]
pub struct Names {
    /// How the entries combine.
    pub kind: Kind,
    /// Name and value; of equal values the first is the one shown.
    pub entries: &'static [(&'static str, i64)],
}

impl Names {
    /// The name of exactly this value.
    #[must_use]
    pub fn name(&self, value: i64) -> Option<&'static str> {
        self.entries.iter().find(|entry| entry.1 == value).map(|entry| entry.0)
    }

    /// The value of this name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<i64> {
        self.entries.iter().find(|entry| entry.0 == name).map(|entry| entry.1)
    }

    /// A view of `value` that displays as `O_RDWR|O_CLOEXEC|0x40000000`.
    #[must_use]
    pub const fn show(&'static self, value: i64) -> Shown {
        Shown { names: self, value }
    }
}

/// A value that displays by its symbolic names, with what is unnamed in hexadecimal.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    names: &'static Names,
    value: i64,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.names.name(self.value) {
            return f.write_str(name);
        }
        if self.names.kind == Kind::Values {
            return write!(f, "{}", self.value);
        }
        let mut rest = self.value;
        let mut separator = "";
        // Widest first, so that O_SYNC is not shown as its part O_DSYNC.
        for width in (1..=64).rev() {
            for &(name, bits) in self.names.entries {
                if bits.count_ones() == width && rest & bits == bits {
                    write!(f, "{separator}{name}")?;
                    separator = "|";
                    rest &= !bits;
                }
            }
        }
        if rest != 0 || separator.is_empty() {
            write!(f, "{separator}{rest:#x}")?;
        }
        Ok(())
    }
}

//! The shape of a host-call table: rows, argument forms and the words that write them.
//!
//! A table is data, so that one source gives the filter, `bevor surface` and the tests. A row reads:
//!
//! ```
//! use bevor_confine::{Row, arg, form, row};
//! const ROWS: &[Row] = &[
//!     row!(SYS_read, "reads donated descriptors", "boot::surface"),
//!     row!(
//!         SYS_madvise,
//!         [form!(arg!(2: int advice == libc::MADV_DONTNEED))],
//!         "gives freed heap back to the host",
//!         "boot::surface"
//!     ),
//! ];
//! assert_eq!(ROWS[1].forms[0].to_string(), "advice == MADV_DONTNEED");
//! ```

use std::fmt;

/// One host system call a role may make.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Number in the host's table.
    pub nr: i64,
    /// Linux's name.
    pub name: &'static str,
    /// Allowed argument forms, any one of which suffices. Empty: any arguments.
    pub forms: &'static [Form],
    /// Why the role needs it, in one line.
    pub reason: &'static str,
    /// The test (or program) that fails without it.
    pub test: &'static str,
    /// Compared before all others: the calls made most often.
    pub hot: bool,
}

impl Row {
    /// The same row, tried first by the filter.
    #[must_use]
    pub const fn hot(mut self) -> Self {
        self.hot = true;
        self
    }
}

/// One allowed form of a call: conditions that must all hold.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// The conditions; never empty.
    pub args: &'static [Arg],
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, arg) in self.args.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{arg}")?;
        }
        Ok(())
    }
}

/// How an argument is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Test {
    /// Equal.
    Eq,
    /// Different.
    Ne,
    /// Unsigned less.
    Lt,
    /// Unsigned less or equal.
    Le,
    /// Unsigned greater.
    Gt,
    /// Unsigned greater or equal.
    Ge,
    /// Equal after masking.
    Masked(u64),
}

/// The value an argument is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value {
    /// Known when the table was written.
    Is(u64),
    /// Known only when the process starts: a descriptor number, an address of the stub.
    Named(&'static str),
}

/// A condition on one argument.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Which argument, 0 to 5.
    pub index: u8,
    /// Whether the host uses all 64 bits of the register (sizes, addresses) or only the lower 32.
    pub wide: bool,
    /// The comparison.
    pub test: Test,
    /// What it is compared with.
    pub value: Value,
    /// The condition as written in the table.
    pub text: &'static str,
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `stringify!` keeps the paths and the line breaks of the source.
        let mut words = self.text.split_whitespace();
        if let Some(first) = words.next() {
            f.write_str(&first.replace("libc::", ""))?;
        }
        for word in words {
            write!(f, " {}", word.replace("libc::", ""))?;
        }
        Ok(())
    }
}

/// A constant as the host's register holds it. Negative numbers (`AT_FDCWD`, `-1`) sign-extend.
///
/// # Panics
/// At compile time, when a table's constant does not fit a register.
#[must_use]
pub const fn register(value: i128) -> u64 {
    assert!(value >= i64::MIN as i128 && value <= u64::MAX as i128, "constant fits a register");
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "two's complement is what a register holds; the range was checked"
    )]
    let bits = value as u64;
    bits
}

/// Linux's name of a call from libc's constant: `SYS_read` gives `read`.
#[must_use]
pub const fn call_name(constant: &'static str) -> &'static str {
    match constant.split_at_checked("SYS_".len()) {
        Some((_, name)) => name,
        None => constant,
    }
}

/// Writes one [`Row`]: `row!(SYS_name, reason, test)` for any arguments, or
/// `row!(SYS_name, [form!(…), …], reason, test)`.
#[macro_export]
macro_rules! row {
    ($name:ident, [$($form:expr),+ $(,)?], $reason:expr, $test:expr $(,)?) => {
        $crate::Row {
            nr: $crate::libc::$name,
            name: $crate::call_name(stringify!($name)),
            forms: const { &[$($form),+] },
            reason: $reason,
            test: $test,
            hot: false,
        }
    };
    ($name:ident, $reason:expr, $test:expr $(,)?) => {
        $crate::Row {
            nr: $crate::libc::$name,
            name: $crate::call_name(stringify!($name)),
            forms: &[],
            reason: $reason,
            test: $test,
            hot: false,
        }
    };
}

/// Writes one [`Form`] from [`arg!`](crate::arg) conditions.
#[macro_export]
macro_rules! form {
    ($($arg:expr),+ $(,)?) => {
        $crate::Form { args: const { &[$($arg),+] } }
    };
}

/// Writes one [`Arg`]: `arg!(index: width name test value)`.
///
/// `width` is `int` (the host reads 32 bits) or `long` (64 bits: sizes, addresses). `test` is `==`,
/// `!=`, `<`, `<=`, `>`, `>=` or `& MASK ==`. A value written `@name` is bound when the filter is
/// compiled (see [`Values`](crate::Values)).
#[macro_export]
macro_rules! arg {
    (@value @ $v:ident) => { $crate::Value::Named(stringify!($v)) };
    (@value $v:expr) => { $crate::Value::Is(const { $crate::register($v as i128) }) };
    (@wide int) => { false };
    (@wide long) => { true };
    ($i:literal : $w:ident $n:ident == $($v:tt)+) => {
        $crate::Arg { index: $i, wide: $crate::arg!(@wide $w), test: $crate::Test::Eq,
            value: $crate::arg!(@value $($v)+), text: stringify!($n == $($v)+) }
    };
    ($i:literal : $w:ident $n:ident != $($v:tt)+) => {
        $crate::Arg { index: $i, wide: $crate::arg!(@wide $w), test: $crate::Test::Ne,
            value: $crate::arg!(@value $($v)+), text: stringify!($n != $($v)+) }
    };
    ($i:literal : $w:ident $n:ident <= $($v:tt)+) => {
        $crate::Arg { index: $i, wide: $crate::arg!(@wide $w), test: $crate::Test::Le,
            value: $crate::arg!(@value $($v)+), text: stringify!($n <= $($v)+) }
    };
    ($i:literal : $w:ident $n:ident < $($v:tt)+) => {
        $crate::Arg { index: $i, wide: $crate::arg!(@wide $w), test: $crate::Test::Lt,
            value: $crate::arg!(@value $($v)+), text: stringify!($n < $($v)+) }
    };
    ($i:literal : $w:ident $n:ident >= $($v:tt)+) => {
        $crate::Arg { index: $i, wide: $crate::arg!(@wide $w), test: $crate::Test::Ge,
            value: $crate::arg!(@value $($v)+), text: stringify!($n >= $($v)+) }
    };
    ($i:literal : $w:ident $n:ident > $($v:tt)+) => {
        $crate::Arg { index: $i, wide: $crate::arg!(@wide $w), test: $crate::Test::Gt,
            value: $crate::arg!(@value $($v)+), text: stringify!($n > $($v)+) }
    };
    ($i:literal : $w:ident $n:ident & ($m:expr) == $($v:tt)+) => {
        $crate::Arg { index: $i, wide: $crate::arg!(@wide $w),
            test: $crate::Test::Masked(const { $crate::register(($m) as i128) }),
            value: $crate::arg!(@value $($v)+), text: stringify!($n & ($m) == $($v)+) }
    };
    ($i:literal : $w:ident $n:ident & $m:ident == $($v:tt)+) => {
        $crate::Arg { index: $i, wide: $crate::arg!(@wide $w),
            test: $crate::Test::Masked(const { $crate::register($m as i128) }),
            value: $crate::arg!(@value $($v)+), text: stringify!($n & $m == $($v)+) }
    };
    ($i:literal : $w:ident $n:ident & $m:literal == $($v:tt)+) => {
        $crate::Arg { index: $i, wide: $crate::arg!(@wide $w),
            test: $crate::Test::Masked(const { $crate::register($m as i128) }),
            value: $crate::arg!(@value $($v)+), text: stringify!($n & $m == $($v)+) }
    };
}

//! What the table says about a call, and the macro that turns rows into dispatch and data.

use bevor_abi::Code;

use crate::strace::shape::Shape;

/// One argument of a call.
#[derive(Debug)]
pub struct ArgInfo {
    /// Its name.
    pub name: &'static str,
    /// Its type in the table.
    pub kind: &'static str,
    /// How a trace shows it.
    pub shape: Shape,
}

/// How far a call is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does what Linux does.
    Full,
    /// Something is missing.
    Partial {
        /// What.
        missing: &'static str,
    },
    /// It always fails.
    Refused {
        /// With this error.
        errno: Code,
        /// For this reason.
        why: &'static str,
    },
}

impl Support {
    /// `full`, `partial` or `refused`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial { .. } => "partial",
            Self::Refused { .. } => "refused",
        }
    }
}

/// What the table says about one system call.
#[derive(Debug)]
pub struct Row {
    /// Its number.
    pub nr: u64,
    /// Its name.
    pub name: &'static str,
    /// Its arguments.
    pub args: &'static [ArgInfo],
    /// How far it is served.
    pub support: Support,
    /// Path of its handler below this crate, empty for a refused call.
    pub handler: &'static str,
}

impl Row {
    /// What is missing, or why it is refused; empty for a full call.
    #[must_use]
    pub fn note(&self) -> String {
        match self.support {
            Support::Full => String::new(),
            Support::Partial { missing } => missing.into(),
            Support::Refused { errno, why } => format!("{errno}: {why}"),
        }
    }
}

/// Turns the rows of the table into [`Row`]s and the `match` that calls the handlers.
macro_rules! syscalls {
    ($(
        $nr:literal $name:ident($($arg:ident: $ty:ty),*)
            => $kind:ident $($path:ident)::* $($note:literal)?;
    )*) => {
        /// Every call, by ascending number.
        pub static ROWS: &[$crate::row::Row] = &[$(
            $crate::row::Row {
                nr: $nr,
                name: stringify!($name),
                args: &[$($crate::row::ArgInfo {
                    name: stringify!($arg),
                    kind: stringify!($ty),
                    shape: <$ty as $crate::args::Arg>::SHAPE,
                }),*],
                support: $crate::row::syscalls!(@support $kind $($path)::* $($note)?),
                handler: $crate::row::syscalls!(@handler $kind $($path)::*),
            },
        )*];

        /// Serves a call.
        ///
        /// # Errors
        /// What its handler answers; `ENOSYS` for a number without row.
        pub fn dispatch(ctx: &mut $crate::Ctx<'_>, nr: u64, args: [u64; 6]) -> $crate::SysResult {
            let mut regs = args.into_iter();
            let mut next = || regs.next().unwrap_or(0);
            match nr {
                $($nr => $crate::row::syscalls!(@call $kind ctx nr next $($path)::* ($($ty),*) $($note)?),)*
                _ => $crate::missing(ctx, nr, bevor_abi::errno::ENOSYS.because("no such call")),
            }
        }
    };

    (@support full $($path:ident)::+) => { $crate::row::Support::Full };
    (@support partial $($path:ident)::+ $missing:literal) => {
        $crate::row::Support::Partial { missing: $missing }
    };
    (@support refused $errno:ident $why:literal) => {
        $crate::row::Support::Refused { errno: bevor_abi::errno::$errno, why: $why }
    };
    (@support later) => {
        $crate::row::Support::Refused {
            errno: bevor_abi::errno::ENOSYS,
            why: "not implemented yet",
        }
    };

    (@handler refused $errno:ident) => { "" };
    (@handler later) => { "" };
    (@handler $kind:ident $($path:ident)::+) => { stringify!($($path)::+) };

    (@call refused $ctx:ident $nr:ident $next:ident $errno:ident ($($ty:ty),*) $why:literal) => {
        $crate::missing($ctx, $nr, bevor_abi::errno::$errno.because($why))
    };
    (@call later $ctx:ident $nr:ident $next:ident ($($ty:ty),*)) => {
        $crate::missing($ctx, $nr, bevor_abi::errno::ENOSYS.because("not implemented yet"))
    };
    (@call $kind:ident $ctx:ident $nr:ident $next:ident $($path:ident)::+ ($($ty:ty),*) $($note:literal)?) => {
        $crate::$($path)::+($ctx, $($crate::row::syscalls!(@reg $next $ty)),*)
    };
    (@reg $next:ident $ty:ty) => { $crate::args::FromReg::from_reg($next()) };
}
pub(crate) use syscalls;

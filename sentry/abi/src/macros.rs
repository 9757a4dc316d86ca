//! The two macros every module of this crate is written with.

/// Defines constants that keep Linux's spelling, and the [`Names`](crate::names::Names) they form.
///
/// `flags` sets combine bit by bit, `values` sets stand alone. Values are literals, so that each is
/// written once and serves both as the constant and in the name table.
macro_rules! uapi {
    ($(#[doc = $doc:literal] $kind:ident $set:ident: $ty:ident {
        $($name:ident = $value:literal),+ $(,)?
    })+) => {
        $(
            $(#[doc = $doc] pub const $name: $ty = $value;)+
            #[doc = $doc]
            pub static $set: $crate::names::Names = $crate::names::Names {
                kind: $crate::macros::uapi!(@kind $kind),
                entries: &[$((stringify!($name), $value)),+],
            };
        )+
    };
    (@kind flags) => { $crate::names::Kind::Flags };
    (@kind values) => { $crate::names::Kind::Values };
}

/// Defines structures as the kernel lays them out: `[SIZE]` in bytes is checked when compiling.
///
/// All fields are public and keep the kernel's names; padding is explicit. Each gets the `zerocopy`
/// traits and an all-zero `Default`.
macro_rules! uapi_struct {
    ($($(#[doc = $doc:literal])+ [$size:literal] $name:ident {
        $($(#[doc = $fdoc:literal])* $field:ident: $fty:ty),+ $(,)?
    })+) => {
        $(
            $(#[doc = $doc])+
            #[derive(
                Clone, Copy, Debug, PartialEq, Eq,
                zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout,
            )]
            #[repr(C)]
            pub struct $name {
                $(
                    #[doc = concat!("`", stringify!($field), "` of the kernel's structure.")]
                    $(#[doc = $fdoc])*
                    pub $field: $fty,
                )+
            }

            impl Default for $name {
                fn default() -> Self {
                    zerocopy::FromZeros::new_zeroed()
                }
            }

            const _: () = assert!(size_of::<$name>() == $size);
        )+
    };
}

pub(crate) use {uapi, uapi_struct};

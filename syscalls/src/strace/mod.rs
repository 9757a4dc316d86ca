//! `--strace`: every call as one line with decoded arguments, result and duration.
//!
//! Arguments the call reads are decoded when it starts, those it writes when it has succeeded.

mod compact;
mod dispatch;
mod fields;
pub mod format;
pub mod shape;
mod sockaddr;
mod summary;
mod text;
mod trace;
pub mod wait_status;

pub(crate) use dispatch::is_end;
pub use dispatch::{Sink, dispatch, finish, install};
pub use format::Peek;
pub use trace::{Call, Outcome};

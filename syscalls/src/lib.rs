//! The system-call table and the handlers, one file per area.
//!
//! [`table`] has one row per call; [`table::dispatch`] is the `match` made of it. A handler is a
//! plain function `fn name(ctx: &mut Ctx<'_>, …) -> SysResult` in the file of its area.
#![forbid(unsafe_code)]

pub mod args;
pub mod docs;
pub mod row;
pub mod sets;
pub mod strace;
pub mod table;

use bevor_abi::Errno;
use std::marker::PhantomData;

/// What a handler sees of the caller; the kernel's own takes its place.
#[derive(Debug)]
pub struct Ctx<'a>(PhantomData<&'a ()>);

/// The value a call returns, or why there is none.
pub type SysResult = Result<u64, Errno>;

/// Counts a call nobody serves and fails it.
fn missing(_ctx: &Ctx<'_>, _nr: u64, errno: Errno) -> SysResult {
    Err(errno)
}

/// The row of a call.
#[must_use]
pub fn row(nr: u64) -> Option<&'static row::Row> {
    let index = table::ROWS.binary_search_by_key(&nr, |row| row.nr).ok()?;
    table::ROWS.get(index)
}

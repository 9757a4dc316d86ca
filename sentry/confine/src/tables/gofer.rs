//! Host calls of the gofer: the only process that resolves host paths.

use crate::row::Row;

/// The rows.
pub const ROWS: &[Row] = &[];

//! Host calls of stub threads that run guest code.

use crate::row::Row;

/// The rows.
pub const ROWS: &[Row] = &[];

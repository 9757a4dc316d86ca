//! Host calls of the agent: the stub thread that carries out mapping orders.

use crate::row::Row;

/// The rows.
pub const ROWS: &[Row] = &[];

//! The syscall table and the handlers, one file per area.

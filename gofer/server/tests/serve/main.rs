//! What the gofer does for a client, without confinement.

mod common;
mod hostile;
mod read;
mod write;

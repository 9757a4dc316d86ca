//! Command line of Bevor.
fn main() {}

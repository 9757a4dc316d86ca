//! Benchmarks of Bevor beside native, runc and gVisor.

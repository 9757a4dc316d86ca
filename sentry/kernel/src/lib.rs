//! Executor, tasks, signals, futexes, timers, credentials, namespaces, descriptor tables.

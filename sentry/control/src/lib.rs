//! Control socket of a sandbox: messages, client and server plumbing.

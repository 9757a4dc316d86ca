//! Host-call tables of every role, their seccomp filters, namespaces and privileges.

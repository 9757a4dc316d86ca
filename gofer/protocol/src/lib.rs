//! Messages and shared-memory channel between the sentry and the gofer, with its client.

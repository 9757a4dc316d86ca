//! Starts a sentry: confinement, kernel, root file system, control server.

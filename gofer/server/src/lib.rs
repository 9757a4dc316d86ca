//! The gofer: resolves every host path on behalf of a confined sentry.

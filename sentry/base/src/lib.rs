//! Small shared kernel vocabulary: wait queues, clocks, credentials, identifiers.

//! Guests that attack the stub.

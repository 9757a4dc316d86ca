//! Control socket of a sandbox: messages, client and server plumbing.
//!
//! The sentry serves it ([`Server`], [`Handler`]); `bevor do`, the OCI commands and the shim are its
//! clients ([`Client`]). A request is JSON behind a length; descriptors travel beside it.
#![deny(unsafe_code)]

mod client;
mod host;
mod message;
mod server;
mod text;
mod wire;

pub use client::{Client, ClientError};
pub use message::{
    Answer, Capabilities, Changes, ChangesForm, ContainerState, Create, Ended, Envelope, Event,
    EventKind, Gofer, Limits, Mount, MountKind, Phase, Process, Refusal, RefusalKind, Reply,
    Request, RequestId, Rlimit, Root, Status, Stream, Target, Terminal, User,
};
pub use server::{End, Handler, Listener, Promise, Server, Streams, Waiter, pair};
pub use text::Text;
pub use wire::{Connection, MAX_DESCRIPTORS, MAX_MESSAGE, WireError};

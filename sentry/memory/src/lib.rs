//! Guest memory: memory files, VMAs, copy-on-write, safe copying to and from guests.
//!
//! - [`MemoryManager`] is the memory of one guest address space: `mmap` and its family, faults,
//!   `fork`, and copying in and out by [`UserAddr`].
//! - [`IoDst`] and [`IoSrc`] are what `read` and `write` of files work on.
//! - [`MemoryFile`]s hold the pages, paid for by an [`Account`]; [`PageStore`] makes file content
//!   of them.
//! - [`Mappable`] is what a file must offer to be mapped.

mod account;
mod addr;
mod arch;
mod era;
mod extents;
mod file;
mod host;
mod io;
mod large;
mod mappable;
mod message;
mod mm;
mod pool;
mod rangemap;
mod recover;
mod shared;
mod store;

#[cfg(test)]
mod testing;

pub use account::{Account, LimitHit, LimitHook};
pub use addr::{
    GUEST_END, GUEST_MIN, IoVecs, MAX_RW_COUNT, PAGE_SIZE, TASK_SIZE, UIO_MAXIOV, UserAddr,
    UserPtr, UserSlice, page_ceil, page_floor,
};
pub use bevor_platform::{Access, Prot};
pub use extents::Place;
pub use file::{AllocOpts, FileRange, Fill, MemoryFile};
pub use io::{IoDst, IoSrc};
pub use mappable::{Backing, BackingRun, MapName, Mappable, MappingSet, next_mappable_id};
pub use message::{ADDRESS_BYTES, Incoming, Outgoing};
pub use mm::{
    AccessMode, FaultError, ForkOpts, Holder, Layout, Limits, MapEntry, MemoryManager, MmapArgs,
    Rss, SmapsEntry, Statm, VmFlags, copy_between,
};
pub use pool::MemoryPool;
pub use recover::install_fault_recovery;
pub use store::{PageStore, SpaceLimit, bytes_in_stores};

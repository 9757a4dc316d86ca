//! Guests without a platform: address spaces emulated inside the test process.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "tests count in small numbers"
)]

mod concurrency;
mod host_oracle;
mod mm_behaviour;
mod mm_model;
mod store;

use crate::account::Account;
use crate::addr::{PAGE_SIZE, UserAddr};
use crate::mappable::{BackingRun, MapName, Mappable, MappingSet, next_mappable_id};
use crate::mm::{FaultError, ForkOpts, Layout, MemoryManager, MmapArgs};
use crate::pool::MemoryPool;
use crate::recover;
use bevor_abi::Errno;
use bevor_platform::{Access, Order, PlatformError, Prot, Space, SpaceId, Thread};
use std::os::fd::OwnedFd;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// First guest address of test spaces.
pub(crate) const BASE: u64 = 0x10_0000;
/// Bytes of guest addresses in test spaces.
pub(crate) const SPAN: u64 = 1 << 32;

/// A guest address space that is a reserved window of the test process.
pub(crate) struct FakeSpace {
    base: *mut u8,
    pub(crate) orders: AtomicU64,
    pub(crate) batches: AtomicU64,
    gone: AtomicBool,
}

// SAFETY: the window is plain address space; accesses go through `recover` or the host.
unsafe impl Send for FakeSpace {}
// SAFETY: as above.
unsafe impl Sync for FakeSpace {}

impl FakeSpace {
    pub(crate) fn new() -> Arc<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a fresh reservation at an address the host chooses.
        let base =
            unsafe { libc::mmap(ptr::null_mut(), SPAN as usize, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(base, libc::MAP_FAILED);
        Arc::new(Self {
            base: base.cast(),
            orders: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            gone: AtomicBool::new(false),
        })
    }

    fn host(&self, addr: u64, len: u64) -> *mut u8 {
        assert!(addr >= BASE && addr + len <= BASE + SPAN, "an order leaves the guest's range");
        assert_eq!((addr | len) % PAGE_SIZE, 0, "an order is not page aligned");
        assert_ne!(len, 0, "an empty order");
        self.base.wrapping_add((addr - BASE) as usize)
    }

    fn carry_out(&self, order: &Order) {
        let bits = |prot: &Prot| {
            (if prot.read { libc::PROT_READ } else { 0 })
                | (if prot.write { libc::PROT_WRITE } else { 0 })
                | (if prot.exec { libc::PROT_READ } else { 0 })
        };
        match order {
            Order::Map { addr, len, prot, fd, offset, populate } => {
                let populate = if *populate { libc::MAP_POPULATE } else { 0 };
                let flags = libc::MAP_SHARED | libc::MAP_FIXED | populate;
                let at = self.host(*addr, *len).cast();
                // SAFETY: replaces part of our own reservation.
                let mapped = unsafe {
                    libc::mmap(at, *len as usize, bits(prot), flags, *fd, *offset as i64)
                };
                assert_eq!(mapped, at, "{order:?}: {}", std::io::Error::last_os_error());
            }
            Order::Unmap { addr, len } => {
                let flags =
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
                let at = self.host(*addr, *len).cast();
                // SAFETY: replaces part of our own reservation by nothing.
                let mapped =
                    unsafe { libc::mmap(at, *len as usize, libc::PROT_NONE, flags, -1, 0) };
                assert_eq!(mapped, at);
            }
            Order::Protect { addr, len, prot } => {
                let at = self.host(*addr, *len).cast();
                // SAFETY: changes part of our own reservation.
                assert_eq!(0, unsafe { libc::mprotect(at, *len as usize, bits(prot)) });
            }
            Order::Advise { addr, len, advice } => {
                let at = self.host(*addr, *len).cast();
                // SAFETY: the advice kinds of orders keep contents.
                unsafe { libc::madvise(at, *len as usize, *advice) };
            }
        }
    }
}

impl Drop for FakeSpace {
    fn drop(&mut self) {
        // SAFETY: our own reservation, which nobody uses any more.
        unsafe { libc::munmap(self.base.cast(), SPAN as usize) };
    }
}

impl Space for FakeSpace {
    fn id(&self) -> SpaceId {
        SpaceId(0)
    }

    fn apply(&self, orders: &[Order]) -> Result<(), PlatformError> {
        if self.gone.load(Ordering::Relaxed) {
            return Err(PlatformError::Gone);
        }
        self.orders.fetch_add(orders.len() as u64, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        orders.iter().for_each(|order| self.carry_out(order));
        Ok(())
    }

    fn new_thread(self: Arc<Self>) -> Result<Box<dyn Thread>, PlatformError> {
        Err(PlatformError::Gone)
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn kill(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    fn membarrier(&self) -> Result<(), PlatformError> {
        Ok(())
    }

    fn cpu_time_ns(&self) -> u64 {
        0
    }

    fn forget_patches(&self, _addr: u64, _len: u64) {}
}

/// A guest process: its memory and the window it runs in.
pub(crate) struct Guest {
    pub(crate) mm: Arc<MemoryManager>,
    pub(crate) space: Arc<FakeSpace>,
}

/// What a sandbox shares.
pub(crate) struct Sandbox {
    pub(crate) pool: Arc<MemoryPool>,
    pub(crate) account: Arc<Account>,
}

impl Sandbox {
    pub(crate) fn new(limit: u64) -> Self {
        crate::install_fault_recovery().expect("the handlers can be set");
        Self { pool: MemoryPool::new(), account: Arc::new(Account::new(limit)) }
    }

    /// A sandbox that has files for long contents, of small pages.
    pub(crate) fn with_large_files(limit: u64) -> Self {
        crate::install_fault_recovery().expect("the handlers can be set");
        let files = (0..2).map(|_| crate::host::memfd(c"large").expect("a memfd")).collect();
        let pool = MemoryPool::with_large_files(files);
        Self { pool, account: Arc::new(Account::new(limit)) }
    }

    pub(crate) fn guest(&self) -> Guest {
        let space = FakeSpace::new();
        let shared: Arc<dyn Space> = Arc::clone(&space) as _;
        let mm = MemoryManager::new(shared, Arc::clone(&self.pool), Arc::clone(&self.account))
            .expect("a memory file");
        mm.set_layout(Layout {
            min: BASE,
            end: BASE + SPAN,
            mmap_base: BASE + SPAN - (256 << 20),
            stack_top: BASE + SPAN,
            pie_base: BASE + (1 << 30),
            brk_gap: 0,
        });
        Guest { mm, space }
    }
}

impl Guest {
    pub(crate) fn fork(&self) -> Guest {
        self.fork_with(&ForkOpts::default())
    }

    pub(crate) fn fork_with(&self, opts: &ForkOpts) -> Guest {
        let space = FakeSpace::new();
        let shared: Arc<dyn Space> = Arc::clone(&space) as _;
        Guest { mm: self.mm.fork(shared, opts).expect("fork"), space }
    }

    /// Runs an access like the processor would: straight at the window, faults served until it
    /// succeeds or fails.
    fn touch(
        &self,
        addr: u64,
        len: usize,
        access: Access,
        other: *mut u8,
    ) -> Result<(), FaultError> {
        let mut done = 0;
        for _ in 0..10_000 {
            if done == len {
                return Ok(());
            }
            let at = addr + done as u64;
            if !(BASE..BASE + SPAN).contains(&at) {
                return self.mm.fault(at, access, false);
            }
            let room = (PAGE_SIZE - at % PAGE_SIZE) as usize;
            let bytes = room.min(len - done);
            let host = self.space.base.wrapping_add((at - BASE) as usize);
            let (dst, src) = match access {
                Access::Write => (host, other.wrapping_add(done)),
                _ => (other.wrapping_add(done), host),
            };
            // SAFETY: `other` is the caller's buffer of `len` bytes, `host` our reservation.
            match unsafe { recover::copy(dst, src, bytes) } {
                Ok(()) => done += bytes,
                Err(fault) => {
                    done += fault.done;
                    self.mm.fault(addr + done as u64, access, false)?;
                }
            }
        }
        panic!("the fault at {addr:#x} ({access:?}) never ends: {}", self.mm.describe(addr));
    }

    pub(crate) fn load(&self, addr: u64, to: &mut [u8]) -> Result<(), FaultError> {
        self.touch(addr, to.len(), Access::Read, to.as_mut_ptr())
    }

    pub(crate) fn store(&self, addr: u64, from: &[u8]) -> Result<(), FaultError> {
        self.touch(addr, from.len(), Access::Write, from.as_ptr().cast_mut())
    }

    pub(crate) fn load_byte(&self, addr: u64) -> Result<u8, FaultError> {
        let mut byte = [0];
        self.load(addr, &mut byte).map(|()| byte[0])
    }

    pub(crate) fn store_byte(&self, addr: u64, byte: u8) -> Result<(), FaultError> {
        self.store(addr, &[byte])
    }

    pub(crate) fn map(&self, addr: u64, len: u64, prot: u32, flags: u32) -> Result<u64, Errno> {
        self.mm.mmap(MmapArgs { addr, len, prot, flags, ..MmapArgs::default() })
    }

    pub(crate) fn map_file(
        &self,
        file: &Arc<dyn Mappable>,
        offset: u64,
        len: u64,
        prot: u32,
        flags: u32,
    ) -> Result<u64, Errno> {
        let file = Some(Arc::clone(file));
        self.mm.mmap(MmapArgs { len, prot, flags, file, offset, ..MmapArgs::default() })
    }

    /// Reads a byte as a system call would.
    pub(crate) fn peek(&self, addr: u64) -> Result<u8, Errno> {
        self.mm.read::<u8>(UserAddr(addr))
    }
}

pub(crate) const R: u32 = 1;
pub(crate) const RW: u32 = 3;
pub(crate) const RX: u32 = 5;
pub(crate) const PRIVATE: u32 = 0x02;
pub(crate) const SHARED: u32 = 0x01;
pub(crate) const FIXED: u32 = 0x10;
pub(crate) const ANON: u32 = 0x22;
pub(crate) const SHARED_ANON: u32 = 0x21;

/// A file of the host, as the gofer would donate it.
pub(crate) struct HostBacked {
    id: u64,
    pub(crate) fd: Arc<OwnedFd>,
    mappings: MappingSet,
    pub(crate) writable: bool,
}

impl HostBacked {
    pub(crate) fn new(content: &[u8]) -> Arc<Self> {
        let fd = crate::host::memfd(c"test file").expect("a memfd");
        let file = std::fs::File::from(fd);
        std::os::unix::fs::FileExt::write_all_at(&file, content, 0).expect("room for a test file");
        Arc::new(Self {
            id: next_mappable_id(),
            fd: Arc::new(file.into()),
            mappings: MappingSet::new(),
            writable: true,
        })
    }

    pub(crate) fn file(&self) -> std::fs::File {
        self.fd.try_clone().expect("a descriptor").into()
    }
}

impl Mappable for HostBacked {
    fn id(&self) -> u64 {
        self.id
    }

    fn backing(&self, offset: u64, len: u64, _for_write: bool) -> Result<Vec<BackingRun>, Errno> {
        Ok(vec![BackingRun::host(Arc::clone(&self.fd), self.id(), offset, len)])
    }

    fn size(&self) -> u64 {
        self.file().metadata().map_or(0, |meta| meta.len())
    }

    fn describe(&self) -> MapName {
        MapName { path: b"/test/file".to_vec(), dev: 7, ino: 42 }
    }

    fn mappings(&self) -> &MappingSet {
        &self.mappings
    }

    fn may_write(&self) -> bool {
        self.writable
    }
}

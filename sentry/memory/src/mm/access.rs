//! Copying to and from a guest's memory.
//!
//! The common path takes the read lock, finds the mapping and moves the bytes through the sentry's
//! window: no host call. A page that is missing, or must be copied first, is faulted in under the
//! write lock, and the copy goes on.

use super::fault::to_usize;
use super::pma::{Pages, Pma};
use super::{MemoryManager, State};
use crate::addr::{IoVecs, PAGE_SIZE, UserAddr, UserSlice};
use crate::recover::{self, Faulted};
use bevor_abi::Errno;
use bevor_abi::errno::{EFAULT, EINVAL, ENAMETOOLONG, ENOMEM};
use bevor_platform::Access;
use std::mem::MaybeUninit;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// How often one page may be lost again to other threads before a copy gives up.
const MAX_TRIES: u32 = 64;

/// Whose rights a copy has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AccessMode {
    /// The guest's own: what is `PROT_NONE` or read-only fails.
    #[default]
    Guest,
    /// A debugger's (`ptrace`, `/proc/pid/mem`): rights do not count; stores into read-only private
    /// memory go to private copies, code shows without call-site patches.
    Force,
}

impl Pma {
    /// The window address of byte `at`, and how many bytes follow in the window and the mapping.
    fn window(&self, at: u64) -> Result<(*mut u8, u64), Faulted> {
        match &self.pages {
            Pages::Memory(range) => Ok((range.at(at), range.len() - at)),
            Pages::Host { file, offset, len } => {
                let (base, room) = file.at(offset + at)?;
                Ok((base, room.min(len - at)))
            }
        }
    }
}

impl State {
    /// The window address behind `addr` for this access, and how many bytes are there in one go.
    /// `None` when the page must be faulted in first (or may not be accessed).
    fn window_at(
        &self,
        addr: u64,
        write: bool,
        mode: AccessMode,
    ) -> Option<Result<(*mut u8, u64), Faulted>> {
        let (start, pma) = self.pmas.get(addr)?;
        let allowed = match (write, mode) {
            (false, AccessMode::Guest) => pma.readable(),
            (false, AccessMode::Force) => true,
            (true, AccessMode::Guest) => pma.writable(),
            (true, AccessMode::Force) => !pma.cow && (pma.prot.write || !pma.of_file),
        };
        allowed.then(|| pma.window(addr - start))
    }
}

impl MemoryManager {
    /// Runs `op` on the window of each contiguous run of `[addr, addr + len)`, with the address, the
    /// bytes there, and the bytes done so far. Returns how far it came.
    #[inline]
    fn access(
        &self,
        addr: u64,
        len: u64,
        write: bool,
        mode: AccessMode,
        mut op: impl FnMut(*mut u8, usize, usize) -> Result<(), Faulted>,
    ) -> Result<(), (usize, Errno)> {
        let mut done = 0u64;
        let mut tries = 0;
        if addr.checked_add(len).is_none() {
            return Err((0, EFAULT.into()));
        }
        loop {
            let st = self.state.read();
            while done < len {
                let Some(window) = st.window_at(addr + done, write, mode) else { break };
                let moved = match window {
                    Ok((base, room)) => {
                        let bytes = room.min(len - done);
                        op(base, to_usize(bytes), to_usize(done)).map(|()| bytes)
                    }
                    Err(fault) => Err(fault),
                };
                match moved {
                    Ok(bytes) => {
                        done += bytes;
                        tries = 0;
                    }
                    Err(fault) => {
                        let why = EFAULT.because("the file behind the mapping ends before");
                        return Err((to_usize(done) + fault.done, why));
                    }
                }
            }
            drop(st);
            if done >= len {
                return Ok(());
            }
            tries += 1;
            if tries > MAX_TRIES {
                return Err((to_usize(done), EFAULT.because("the page keeps vanishing")));
            }
            self.fault_in(addr + done, write, mode).map_err(|error| (to_usize(done), error))?;
        }
    }

    /// Makes one page accessible to a copy.
    #[cold]
    fn fault_in(&self, addr: u64, write: bool, mode: AccessMode) -> Result<(), Errno> {
        let access = if write { Access::Write } else { Access::Read };
        let attempt = || {
            self.change(|st| {
                if addr >= st.layout.end {
                    return Err(EFAULT.because("beyond the address space"));
                }
                match st.resolve(addr, access, mode == AccessMode::Force) {
                    Ok(_) => Ok(()),
                    Err(fault) if fault.oom => Err(ENOMEM.into()),
                    Err(_) => Err(EFAULT.into()),
                }
            })
        };
        // Linux has no better answer than EFAULT here, either.
        self.with_reclaim(|error: &Errno| *error == ENOMEM, attempt)
            .map_err(|_| EFAULT.because("not accessible, or the container's memory limit"))
    }

    /// Copies from the guest as far as it can be read: the bytes copied, and why it stopped.
    pub(crate) fn read_some(
        &self,
        addr: UserAddr,
        to: &mut [u8],
        mode: AccessMode,
    ) -> Result<(), (usize, Errno)> {
        let (base, len) = (to.as_mut_ptr(), to.len());
        self.access(addr.0, len as u64, false, mode, |src, bytes, done| {
            // SAFETY: `access` passes a window that stays mapped under the lock, and runs that add
            // up to at most `len` bytes, so the destination stays within `to`.
            unsafe { recover::copy(base.wrapping_add(done), src, bytes) }
        })
    }

    /// Copies to the guest as far as it can be written.
    pub(crate) fn write_some(
        &self,
        addr: UserAddr,
        from: &[u8],
        mode: AccessMode,
    ) -> Result<(), (usize, Errno)> {
        let (base, len) = (from.as_ptr(), from.len());
        self.access(addr.0, len as u64, true, mode, |dst, bytes, done| {
            // SAFETY: as in `read_some`, the other way round.
            unsafe { recover::copy(dst, base.wrapping_add(done), bytes) }
        })
    }

    /// Zeroes guest memory as far as it can be written.
    pub(crate) fn zero_some(&self, addr: UserAddr, len: u64) -> Result<(), (usize, Errno)> {
        self.access(addr.0, len, true, AccessMode::Guest, |dst, bytes, _| {
            // SAFETY: `access` passes a window that stays mapped under the lock.
            unsafe { recover::zero(dst, bytes) }
        })
    }

    /// Copies between guest memory and window memory of another file, page to page.
    ///
    /// # Safety
    /// `base` names `len` bytes of a window that stays mapped.
    pub(crate) unsafe fn move_window(
        &self,
        addr: UserAddr,
        base: *mut u8,
        len: u64,
        to_guest: bool,
    ) -> Result<(), (usize, Errno)> {
        self.access(addr.0, len, to_guest, AccessMode::Guest, |guest, bytes, done| {
            let other = base.wrapping_add(done);
            let (dst, src) = if to_guest { (guest, other) } else { (other, guest) };
            // SAFETY: both sides are windows that stay mapped.
            unsafe { recover::copy(dst, src, bytes) }
        })
    }

    /// Copies `to.len()` bytes from the guest.
    ///
    /// # Errors
    /// `EFAULT` if not all of it can be read; `to` is then partly filled.
    pub fn read_bytes(&self, addr: UserAddr, to: &mut [u8]) -> Result<(), Errno> {
        self.read_some(addr, to, AccessMode::Guest).map_err(|(_, error)| error)
    }

    /// Copies `from` to the guest.
    ///
    /// # Errors
    /// `EFAULT` if not all of it can be written; part of it may be.
    pub fn write_bytes(&self, addr: UserAddr, from: &[u8]) -> Result<(), Errno> {
        self.write_some(addr, from, AccessMode::Guest).map_err(|(_, error)| error)
    }

    /// Copies from the guest as a debugger may, until the first byte it cannot; returns how many.
    ///
    /// # Errors
    /// `EFAULT` if there was none.
    pub fn read_force(&self, addr: UserAddr, to: &mut [u8]) -> Result<usize, Errno> {
        let copied = partial(self.read_some(addr, to, AccessMode::Force), to.len())?;
        self.hide_patches(addr, &mut to[..copied]);
        Ok(copied)
    }

    /// Copies to the guest as a debugger may, until the first byte it cannot; returns how many.
    ///
    /// # Errors
    /// `EFAULT` if there was none.
    pub fn write_force(&self, addr: UserAddr, from: &[u8]) -> Result<usize, Errno> {
        self.drop_patches(addr, from.len() as u64)?;
        partial(self.write_some(addr, from, AccessMode::Force), from.len())
    }

    /// Reads a value.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn read<T: FromBytes>(&self, addr: UserAddr) -> Result<T, Errno> {
        let mut value = MaybeUninit::<T>::zeroed();
        // SAFETY: the slice covers exactly the value's zero-initialised storage.
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u8>(), size_of::<T>())
        };
        self.read_bytes(addr, bytes)?;
        // SAFETY: `FromBytes`: any bytes make a valid `T`.
        Ok(unsafe { value.assume_init() })
    }

    /// Writes a value.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn write<T: IntoBytes + Immutable>(&self, addr: UserAddr, value: &T) -> Result<(), Errno> {
        self.write_bytes(addr, value.as_bytes())
    }

    /// Reads `count` values.
    ///
    /// # Errors
    /// `EFAULT`; the caller has bounded `count`.
    pub fn read_array<T: FromBytes>(&self, addr: UserAddr, count: usize) -> Result<Vec<T>, Errno> {
        let size = u64::try_from(size_of::<T>()).map_err(|_| EFAULT)?;
        (0..count as u64).map(|index| self.read(addr.index(index, size)?)).collect()
    }

    /// Writes values one after another.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn write_array<T: IntoBytes + Immutable>(
        &self,
        addr: UserAddr,
        values: &[T],
    ) -> Result<(), Errno> {
        self.write_bytes(addr, values.as_bytes())
    }

    /// Zeroes `len` bytes.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn zero(&self, addr: UserAddr, len: u64) -> Result<(), Errno> {
        self.zero_some(addr, len).map_err(|(_, error)| error)
    }

    /// Reads a NUL-terminated string, returned without its NUL.
    ///
    /// # Errors
    /// `ENAMETOOLONG` when no NUL is among the first `max_len` bytes; `EFAULT`.
    pub fn read_cstr(&self, addr: UserAddr, max_len: usize) -> Result<Vec<u8>, Errno> {
        let mut text = Vec::new();
        let mut buf = [0u8; 256];
        let mut at = addr;
        while text.len() < max_len {
            // A chunk ends where a page ends, so that bytes behind the string need not be mapped.
            let in_page = to_usize(PAGE_SIZE - at.0 % PAGE_SIZE);
            let chunk = buf.len().min(in_page).min(max_len - text.len());
            self.read_bytes(at, &mut buf[..chunk])?;
            if let Some(end) = buf[..chunk].iter().position(|&byte| byte == 0) {
                text.extend_from_slice(&buf[..end]);
                return Ok(text);
            }
            text.extend_from_slice(&buf[..chunk]);
            at = at.add(chunk as u64)?;
        }
        Err(ENAMETOOLONG.into())
    }

    /// Reads an array of `count` `struct iovec`.
    ///
    /// # Errors
    /// `EINVAL`: too many, or lengths out of range; `EFAULT`.
    pub fn read_iovecs(&self, addr: UserAddr, count: usize) -> Result<IoVecs, Errno> {
        if count > crate::addr::UIO_MAXIOV {
            return Err(EINVAL.because("more than 1024 segments"));
        }
        let raw: Vec<[u64; 2]> = self.read_array(addr, count)?;
        IoVecs::new(raw.into_iter().map(|[at, len]| UserSlice::new(UserAddr(at), len)).collect())
    }

    /// Runs `op` on an aligned word.
    fn word<R>(
        &self,
        addr: UserAddr,
        write: bool,
        mut op: impl FnMut(*mut u32) -> Result<R, Faulted>,
    ) -> Result<R, Errno> {
        if !addr.is_aligned(4) {
            return Err(EINVAL.because("word not aligned"));
        }
        let mut result = None;
        self.access(addr.0, 4, write, AccessMode::Guest, |at, _, _| {
            result = Some(op(at.cast())?);
            Ok(())
        })
        .map_err(|(_, error)| error)?;
        result.ok_or_else(|| EFAULT.into())
    }

    /// Loads an aligned word atomically.
    ///
    /// # Errors
    /// `EFAULT`; `EINVAL` if not aligned.
    pub fn load_u32(&self, addr: UserAddr) -> Result<u32, Errno> {
        // SAFETY: an aligned window address that stays mapped under the lock.
        self.word(addr, false, |at| unsafe { recover::load_u32(at) })
    }

    /// Stores an aligned word atomically.
    ///
    /// # Errors
    /// `EFAULT`; `EINVAL` if not aligned.
    pub fn store_u32(&self, addr: UserAddr, value: u32) -> Result<(), Errno> {
        // SAFETY: as in `load_u32`.
        self.word(addr, true, |at| unsafe { recover::store_u32(at, value) })
    }

    /// Stores `new` in an aligned word if it holds `expected`, atomically; returns what it held.
    ///
    /// # Errors
    /// `EFAULT`; `EINVAL` if not aligned.
    pub fn cas_u32(&self, addr: UserAddr, expected: u32, new: u32) -> Result<u32, Errno> {
        // SAFETY: as in `load_u32`.
        self.word(addr, true, |at| unsafe { recover::cas_u32(at, expected, new) })
    }

    /// Replaces an aligned word by `change` of it, atomically; returns what it held
    /// (`FUTEX_WAKE_OP`).
    ///
    /// # Errors
    /// `EFAULT`; `EINVAL` if not aligned.
    pub fn fetch_update_u32(
        &self,
        addr: UserAddr,
        change: impl Fn(u32) -> u32,
    ) -> Result<u32, Errno> {
        self.word(addr, true, |at| {
            // SAFETY: as in `load_u32`.
            let mut seen = unsafe { recover::load_u32(at) }?;
            // A guest that keeps changing the word can only make us retry; bounded all the same.
            for _ in 0..1_000_000 {
                // SAFETY: as in `load_u32`.
                let held = unsafe { recover::cas_u32(at, seen, change(seen)) }?;
                if held == seen {
                    return Ok(held);
                }
                seen = held;
            }
            Err(Faulted { done: 0 })
        })
    }

    /// What a shared futex at `addr` is keyed by: the page's identity and the offset in it; `None`
    /// when the memory is private to this address space.
    ///
    /// # Errors
    /// `EFAULT`: not mapped readable.
    pub fn shared_key(&self, addr: UserAddr) -> Result<Option<(u64, u64)>, Errno> {
        self.load_u32(UserAddr(addr.0 & !3))?;
        let st = self.state.read();
        let (start, vma) = st.vmas.get(addr.0).ok_or(EFAULT)?;
        Ok(vma
            .file()
            .filter(|_| vma.is_shared())
            .map(|file| (file.id(), vma.file_offset(addr.0 - start))))
    }

    /// Runs `op` on windows of the guest's segments from byte `skip` on, at most `max` bytes, as
    /// host vectors; all pages are faulted in before. Returns what `op` returns.
    pub(crate) fn with_host_vecs(
        &self,
        segments: &[UserSlice],
        max: u64,
        write: bool,
        op: &mut dyn FnMut(&[crate::host::HostVec]) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let mut tries = 0;
        loop {
            let st = self.state.read();
            let mut vecs = Vec::with_capacity(segments.len().min(16));
            let mut missing = None;
            let mut total = 0u64;
            'segments: for segment in segments {
                let mut done = 0;
                while done < segment.len && total < max {
                    if vecs.len() == crate::addr::UIO_MAXIOV {
                        break 'segments;
                    }
                    let at = segment.addr.0.checked_add(done).ok_or(EFAULT)?;
                    match st.window_at(at, write, AccessMode::Guest) {
                        Some(Ok((base, room))) => {
                            let bytes = room.min(segment.len - done).min(max - total);
                            vecs.push(crate::host::host_vec(base, to_usize(bytes)));
                            done += bytes;
                            total += bytes;
                        }
                        Some(Err(_)) => {
                            missing = Some((at, true));
                            break 'segments;
                        }
                        None => {
                            missing = Some((at, false));
                            break 'segments;
                        }
                    }
                }
            }
            match missing {
                Some((_, true)) if total == 0 => return Err(EFAULT.into()),
                Some((at, false)) => {
                    drop(st);
                    tries += 1;
                    let loaded = if tries > UIO_TRIES {
                        Err(EFAULT.into())
                    } else {
                        self.fault_in(at, write, AccessMode::Guest)
                    };
                    match loaded {
                        Ok(()) => continue,
                        Err(error) if total == 0 => return Err(error),
                        // What can be accessed is moved; the rest fails the next time.
                        Err(_) => {
                            return self.with_host_vecs(segments, total, write, op);
                        }
                    }
                }
                _ => {}
            }
            return if vecs.is_empty() { Ok(0) } else { op(&vecs) };
        }
    }
}

/// How many pages of one vectored transfer are faulted in at most; the rest comes with the next.
const UIO_TRIES: u32 = 4096;

/// A result that is an error only if nothing was moved.
fn partial(result: Result<(), (usize, Errno)>, all: usize) -> Result<usize, Errno> {
    match result {
        Ok(()) => Ok(all),
        Err((0, error)) => Err(error),
        Err((done, _)) => Ok(done),
    }
}

/// Copies between two guests (`process_vm_readv`), at most `len` bytes; returns how many.
///
/// # Errors
/// `EFAULT` if none could be.
pub fn copy_between(
    from: &MemoryManager,
    from_addr: UserAddr,
    to: &MemoryManager,
    to_addr: UserAddr,
    len: u64,
) -> Result<u64, Errno> {
    let mut buf = vec![0u8; to_usize(len.min(64 << 10))];
    let mut done = 0;
    while done < len {
        let bytes = to_usize((len - done).min(buf.len() as u64));
        let step = || -> Result<usize, Errno> {
            let got = partial(
                from.read_some(from_addr.add(done)?, &mut buf[..bytes], AccessMode::Guest),
                bytes,
            )?;
            partial(to.write_some(to_addr.add(done)?, &buf[..got], AccessMode::Guest), got)
        };
        let mut step = step;
        match step() {
            Ok(moved) => {
                done += moved as u64;
                if moved < bytes {
                    break;
                }
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

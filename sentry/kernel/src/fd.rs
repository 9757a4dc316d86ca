//! Descriptor tables: numbers to open file descriptions.

use bevor_abi::Errno;
use bevor_abi::errno::{EBADF, EMFILE};
use bevor_vfs::file::{File, OpenFlags};
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Highest limit on descriptors (`/proc/sys/fs/nr_open`).
pub const NR_OPEN: u32 = 1_048_576;

#[derive(Clone, Debug)]
struct Entry {
    file: Arc<File>,
    close_on_exec: bool,
}

#[derive(Clone, Debug, Default)]
struct Slots {
    entries: Vec<Option<Entry>>,
    /// No free number lies below it.
    first_free: usize,
}

impl Slots {
    fn get(&self, fd: i32) -> Option<&Entry> {
        self.entries.get(usize::try_from(fd).ok()?)?.as_ref()
    }

    fn take(&mut self, fd: i32) -> Option<Entry> {
        let index = usize::try_from(fd).ok()?;
        let entry = self.entries.get_mut(index)?.take()?;
        self.first_free = self.first_free.min(index);
        Some(entry)
    }

    fn put(&mut self, index: usize, entry: Entry) -> Option<Entry> {
        if index >= self.entries.len() {
            self.entries.resize_with(index + 1, || None);
        }
        self.entries[index].replace(entry)
    }

    fn free_from(&self, low: usize) -> usize {
        let start = low.max(self.first_free);
        let gap = self.entries.iter().skip(start).position(Option::is_none);
        gap.map_or(self.entries.len().max(start), |gap| start + gap)
    }
}

/// A descriptor table, shared between tasks with `CLONE_FILES`.
///
/// Files are always dropped after the table's lock: closing may call into file systems.
#[derive(Debug)]
pub struct FdTable {
    /// Unique; what record locks name as their owner.
    id: u64,
    slots: RwLock<Slots>,
}

impl Default for FdTable {
    fn default() -> Self {
        Self::with(Slots::default())
    }
}

impl Drop for FdTable {
    fn drop(&mut self) {
        // The end of a process closes what it left open.
        if bevor_vfs::locks::any_records() || bevor_vfs::event::dnotify::any() {
            for entry in self.slots.get_mut().entries.iter().flatten() {
                bevor_vfs::locks::closed(&entry.file, self.id);
                bevor_vfs::event::dnotify::closed(&entry.file, self.id);
            }
        }
        // As on Linux, the last opened goes first.
        while self.slots.get_mut().entries.pop().is_some() {}
    }
}

impl FdTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn with(slots: Slots) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), slots: RwLock::new(slots) }
    }

    /// Unique number of the table, the owner of record locks.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The description behind `fd`, also an `O_PATH` one.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn get_any(&self, fd: i32) -> Result<Arc<File>, Errno> {
        Ok(self.slots.read().get(fd).ok_or(EBADF)?.file.clone())
    }

    /// The description behind `fd`, for operations an `O_PATH` descriptor does not allow.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn get(&self, fd: i32) -> Result<Arc<File>, Errno> {
        let file = self.get_any(fd)?;
        if file.flags().has(OpenFlags::PATH) {
            return Err(EBADF.because("O_PATH descriptor"));
        }
        Ok(file)
    }

    /// The description of this number, if a descriptor leads to it.
    #[must_use]
    pub fn find(&self, id: u64) -> Option<Arc<File>> {
        let slots = self.slots.read();
        let mut files = slots.entries.iter().flatten().map(|entry| &entry.file);
        files.find(|file| file.id() == id).cloned()
    }

    /// Whether a number below `limit` is free.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn has_room(&self, limit: u64) -> Result<(), Errno> {
        let index = self.slots.read().free_from(0);
        if index as u64 >= limit.min(u64::from(NR_OPEN)) { Err(EMFILE.into()) } else { Ok(()) }
    }

    /// Installs `file` at the lowest free number, at least `low`, below `limit`.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn install(
        &self,
        file: Arc<File>,
        close_on_exec: bool,
        low: i32,
        limit: u64,
    ) -> Result<i32, Errno> {
        let limit = limit.min(u64::from(NR_OPEN));
        let mut slots = self.slots.write();
        let index = slots.free_from(usize::try_from(low).map_err(|_| EMFILE)?);
        if index as u64 >= limit {
            return Err(EMFILE.into());
        }
        slots.put(index, Entry { file, close_on_exec });
        if usize::try_from(low).is_ok_and(|low| low <= slots.first_free) {
            slots.first_free = index + 1;
        }
        i32::try_from(index).map_err(|_| EMFILE.into())
    }

    /// Installs `file` at `fd`, returning what was there (`dup2`).
    ///
    /// # Errors
    /// `EBADF` when `fd` is out of range.
    pub fn replace(
        &self,
        fd: i32,
        file: Arc<File>,
        close_on_exec: bool,
        limit: u64,
    ) -> Result<Option<Arc<File>>, Errno> {
        let index = usize::try_from(fd).map_err(|_| EBADF)?;
        if index as u64 >= limit.min(u64::from(NR_OPEN)) {
            return Err(EBADF.into());
        }
        let old = self.slots.write().put(index, Entry { file, close_on_exec });
        Ok(old.map(|entry| entry.file))
    }

    /// Removes `fd` and returns its description for closing.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn remove(&self, fd: i32) -> Result<Arc<File>, Errno> {
        let entry = self.slots.write().take(fd).ok_or(EBADF)?;
        Ok(entry.file)
    }

    /// Removes every descriptor in `first..=last` and returns the descriptions (`close_range`).
    #[must_use]
    pub fn remove_range(&self, first: u32, last: u32) -> Vec<Arc<File>> {
        let mut slots = self.slots.write();
        let end = u32::try_from(slots.entries.len()).unwrap_or(u32::MAX);
        let fds = first..last.saturating_add(1).min(end);
        let fds = fds.filter_map(|fd| i32::try_from(fd).ok());
        fds.filter_map(|fd| slots.take(fd)).map(|entry| entry.file).collect()
    }

    /// Whether `fd` closes on `execve`.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn close_on_exec(&self, fd: i32) -> Result<bool, Errno> {
        Ok(self.slots.read().get(fd).ok_or(EBADF)?.close_on_exec)
    }

    /// Sets whether `fd` closes on `execve`.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn set_close_on_exec(&self, fd: i32, on: bool) -> Result<(), Errno> {
        let mut slots = self.slots.write();
        let index = usize::try_from(fd).map_err(|_| EBADF)?;
        let entry = slots.entries.get_mut(index).and_then(Option::as_mut).ok_or(EBADF)?;
        entry.close_on_exec = on;
        Ok(())
    }

    /// Marks every descriptor in `first..=last` close-on-exec (`CLOSE_RANGE_CLOEXEC`).
    pub fn set_close_on_exec_range(&self, first: u32, last: u32) {
        let mut slots = self.slots.write();
        let (first, last) = (first as usize, last as usize);
        for entry in slots.entries.iter_mut().take(last.saturating_add(1)).skip(first).flatten() {
            entry.close_on_exec = true;
        }
    }

    /// A copy for `fork` or `unshare`.
    #[must_use]
    pub fn duplicate(&self) -> Arc<Self> {
        Arc::new(Self::with(self.slots.read().clone()))
    }

    /// Removes what `execve` closes and returns the descriptions.
    #[must_use]
    pub fn take_close_on_exec(&self) -> Vec<Arc<File>> {
        let mut slots = self.slots.write();
        let fds = 0..i32::try_from(slots.entries.len()).unwrap_or(i32::MAX);
        let doomed: Vec<i32> =
            fds.filter(|&fd| slots.get(fd).is_some_and(|entry| entry.close_on_exec)).collect();
        doomed.into_iter().filter_map(|fd| slots.take(fd)).map(|entry| entry.file).collect()
    }

    /// Open descriptors with their descriptions and close-on-exec flags, by number.
    #[must_use]
    pub fn list(&self) -> Vec<(i32, Arc<File>, bool)> {
        let slots = self.slots.read();
        let numbered = (0..).zip(&slots.entries);
        numbered
            .filter_map(|(fd, entry)| {
                entry.as_ref().map(|entry| (fd, entry.file.clone(), entry.close_on_exec))
            })
            .collect()
    }

    /// How many numbers the table has room for (`FDSize:`).
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slots.read().entries.len().max(64).next_power_of_two()
    }
}

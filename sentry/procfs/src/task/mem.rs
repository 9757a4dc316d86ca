//! `/proc/PID/mem`: the memory of a process, at the offsets its addresses are.

use super::Subject;
use crate::node::Place;
use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EINVAL, EIO};
use bevor_memory::{IoDst, IoSrc, MemoryManager, UserAddr};
use bevor_vfs::caller::Caller;
use bevor_vfs::file::{File, FileOps, OpenFlags};
use bevor_vfs::inode::{Attr, FileType, FsStat, Inode, InodeRef};
use std::any::Any;
use std::sync::{Arc, Weak};

/// Most bytes copied in one go.
const CHUNK: usize = 64 << 10;

/// The file of a task.
pub fn file(subject: &Subject) -> InodeRef {
    Arc::new(Mem { subject: subject.clone(), place: subject.place() })
}

struct Mem {
    subject: Subject,
    place: Place,
}

impl Inode for Mem {
    fn file_type(&self) -> FileType {
        FileType::Regular
    }

    fn ino(&self) -> u64 {
        self.place.ino("mem")
    }

    fn dev(&self) -> u64 {
        self.place.dev
    }

    fn attr(&self) -> Result<Attr, Errno> {
        Ok(self.place.attr("mem", 0o600, FileType::Regular))
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        let _ = flags;
        let task = self.subject.task()?;
        if !self.subject.mounted.caller_task(caller)?.may_inspect(&task) {
            return Err(EACCES.into());
        }
        let mm = task.mm().map_or_else(Weak::new, |mm| Arc::downgrade(&mm));
        Ok(Box::new(OpenMem { mm }))
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        Ok(self.place.statfs())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The memory as it was when the file was opened: a later `execve` leaves it behind, and nothing of
/// it once it is gone.
struct OpenMem {
    mm: Weak<MemoryManager>,
}

impl FileOps for OpenMem {
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = file;
        let Some(mm) = self.mm.upgrade() else { return Ok(0) };
        let mut buf = vec![0; usize::try_from(dst.remaining()).unwrap_or(CHUNK).min(CHUNK)];
        let mut done = 0;
        while dst.remaining() > 0 {
            let wanted = usize::try_from(dst.remaining()).unwrap_or(CHUNK).min(CHUNK);
            let addr = UserAddr(at.wrapping_add(done as u64));
            let Ok(got) = mm.read_force(addr, &mut buf[..wanted]) else { break };
            let put = dst.put(&buf[..got])?;
            done += put;
            if put < wanted {
                break;
            }
        }
        if done == 0 && dst.remaining() > 0 { Err(EIO.into()) } else { Ok(done) }
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = file;
        let Some(mm) = self.mm.upgrade() else { return Ok(0) };
        let mut done = 0;
        while src.remaining() > 0 {
            let bytes = src.take_vec(CHUNK)?;
            let addr = UserAddr(at.wrapping_add(done as u64));
            let Ok(put) = mm.write_force(addr, &bytes) else {
                return if done == 0 { Err(EIO.into()) } else { Ok(done) };
            };
            done += put;
            if put < bytes.len() {
                break;
            }
        }
        Ok(done)
    }

    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        match whence {
            0 => Ok(offset.cast_unsigned()),
            1 => Ok(at.wrapping_add_signed(offset)),
            _ => Err(EINVAL.into()),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

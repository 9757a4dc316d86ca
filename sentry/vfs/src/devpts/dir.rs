//! The open directory of devpts.

use crate::devpts::inode::{FIRST_INO, PTMX_INO, ROOT_INO, RootInode};
use crate::file::{DirEntry, DirSink, File, FileOps};
use crate::inode::FileType;
use bevor_abi::Errno;
use bevor_abi::errno::EISDIR;
use bevor_memory::{IoDst, IoSrc};
use std::any::Any;
use std::sync::Arc;

/// `.`, `..` and `ptmx` come before the slaves.
const FIXED: u64 = 3;

pub(super) struct DirFile {
    pub(super) root: Arc<RootInode>,
}

impl FileOps for DirFile {
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, dst, at);
        Err(EISDIR.into())
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, src, at);
        Err(EISDIR.into())
    }

    fn read_dir(&self, at: u64, sink: &mut DirSink<'_>) -> Result<u64, Errno> {
        let fixed: [(&[u8], u64, FileType); 3] = [
            (b".", ROOT_INO, FileType::Directory),
            (b"..", ROOT_INO, FileType::Directory),
            (b"ptmx", PTMX_INO, FileType::CharDevice),
        ];
        let mut at = at;
        for (next, (name, ino, kind)) in (1..).zip(fixed) {
            if at >= next {
                continue;
            }
            if !sink(&DirEntry { name, ino, dtype: kind.dirent_type(), next }) {
                return Ok(at);
            }
            at = next;
        }
        let from = u32::try_from(at.saturating_sub(FIXED)).unwrap_or(u32::MAX);
        let numbers: Vec<u32> =
            self.root.fs.entries.lock().range(from..).map(|(&number, _)| number).collect();
        for number in numbers {
            let (name, number) = (number.to_string(), u64::from(number));
            let next = FIXED + number + 1;
            let dtype = FileType::CharDevice.dirent_type();
            let ino = FIRST_INO + number;
            if !sink(&DirEntry { name: name.as_bytes(), ino, dtype, next }) {
                return Ok(at);
            }
            at = next;
        }
        Ok(at)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

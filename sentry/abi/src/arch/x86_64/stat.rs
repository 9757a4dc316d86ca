//! `struct stat` of x86-64.

use crate::macros::uapi_struct;

uapi_struct! {
    /// Result of `stat(2)`.
    [144] Stat {
        st_dev: u64, st_ino: u64, st_nlink: u64, st_mode: u32, st_uid: u32, st_gid: u32, pad0: u32,
        st_rdev: u64, st_size: i64, st_blksize: i64, st_blocks: i64, st_atime: i64,
        st_atime_nsec: i64, st_mtime: i64, st_mtime_nsec: i64, st_ctime: i64, st_ctime_nsec: i64,
        unused: [i64; 3],
    }
}

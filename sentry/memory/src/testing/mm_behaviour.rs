//! What single operations do.

use super::{
    ANON, BASE, FIXED, Guest, HostBacked, PRIVATE, R, RW, RX, SHARED, SHARED_ANON, SPAN, Sandbox,
};
use crate::addr::{PAGE_SIZE, UserAddr};
use crate::io::{IoDst, IoSrc};
use crate::mappable::Mappable;
use crate::mm::{ForkOpts, Limits};
use bevor_abi::Code;
use bevor_abi::errno::{
    EACCES, EAGAIN, EBUSY, EEXIST, EFAULT, EINVAL, ENAMETOOLONG, ENOMEM, EPERM,
};
use bevor_platform::{Access, Order, Space, Text};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

const P: u64 = PAGE_SIZE;
const SEGV: i32 = libc::SIGSEGV;

fn sandbox() -> Sandbox {
    Sandbox::new(u64::MAX)
}

fn code<T: std::fmt::Debug>(result: Result<T, bevor_abi::Errno>) -> Code {
    result.expect_err("an error").code
}

/// Nothing is charged or committed once all guests are gone.
fn assert_all_freed(sandbox: &Sandbox) {
    sandbox.pool.trim();
    assert_eq!(sandbox.account.charged(), 0, "charges left");
    assert_eq!(sandbox.pool.allocated_bytes(&sandbox.account), 0, "allocations left");
    assert_eq!(sandbox.pool.committed_bytes(&sandbox.account), 0, "pages left");
}

#[test]
fn anonymous_memory_reads_zero_and_keeps_stores() {
    let sandbox = sandbox();
    let guest = sandbox.guest();
    let at = guest.map(0, 10 * P, RW, ANON).unwrap();
    assert_eq!(guest.load_byte(at + 9 * P).unwrap(), 0);
    guest.store(at + P - 3, b"across pages").unwrap();
    let mut seen = [0; 12];
    guest.mm.read_bytes(UserAddr(at + P - 3), &mut seen).unwrap();
    assert_eq!(&seen, b"across pages");
    guest.mm.write_bytes(UserAddr(at + 5 * P), b"from the kernel").unwrap();
    let mut seen = [0; 15];
    guest.load(at + 5 * P, &mut seen).unwrap();
    assert_eq!(&seen, b"from the kernel");
    guest.mm.munmap(at, 10 * P).unwrap();
    assert_eq!(guest.load_byte(at).unwrap_err().signo, SEGV);
    assert_eq!(code(guest.peek(at)), EFAULT);
    drop(guest);
    assert_all_freed(&sandbox);
}

#[test]
fn rights_hold_for_guests_and_system_calls_alike() {
    let sandbox = sandbox();
    let guest = sandbox.guest();
    let at = guest.map(0, 3 * P, R, ANON).unwrap();
    assert_eq!(guest.load_byte(at).unwrap(), 0);
    assert_eq!(guest.store_byte(at, 1).unwrap_err().code, 2);
    assert_eq!(code(guest.mm.write_bytes(UserAddr(at), b"x")), EFAULT);
    guest.mm.mprotect(at + P, P, RW).unwrap();
    guest.store_byte(at + P, 7).unwrap();
    guest.mm.mprotect(at, 3 * P, 0).unwrap();
    assert_eq!(guest.load_byte(at + P).unwrap_err().code, 2);
    assert_eq!(code(guest.peek(at + P)), EFAULT);
    let mut byte = [0];
    assert_eq!(guest.mm.read_force(UserAddr(at + P), &mut byte).unwrap(), 1);
    assert_eq!(byte, [7]);
    guest.mm.mprotect(at, 3 * P, RX).unwrap();
    assert_eq!(guest.mm.fault(at, Access::Exec, false), Ok(()));
    assert_eq!(guest.load_byte(at + P).unwrap(), 7);
    // What a debugger stores is seen by the guest, rights or not.
    assert_eq!(guest.mm.write_force(UserAddr(at + P), &[9]).unwrap(), 1);
    assert_eq!(guest.load_byte(at + P).unwrap(), 9);
}

#[test]
fn mmap_answers_as_linux_does() {
    let sandbox = sandbox();
    let guest = sandbox.guest();
    assert_eq!(code(guest.map(0, 0, RW, ANON)), EINVAL);
    assert_eq!(code(guest.map(0, P, RW, 0x20)), EINVAL);
    assert_eq!(code(guest.map(0, P, RW, 0x23)), EINVAL);
    assert_eq!(code(guest.map(0, u64::MAX, RW, ANON)), ENOMEM);
    assert_eq!(code(guest.map(0, SPAN * 2, RW, ANON)), ENOMEM);
    assert_eq!(code(guest.map(BASE + 1, P, RW, ANON | FIXED)), EINVAL);
    assert_eq!(code(guest.map(BASE - P, P, RW, ANON | FIXED)), EPERM);
    assert_eq!(code(guest.map(BASE + SPAN, P, RW, ANON | FIXED)), ENOMEM);
    assert_eq!(code(guest.map(0, P, RW, ANON | 0x4_0000)), ENOMEM);
    let at = guest.map(BASE + 64 * P, P, RW, ANON).unwrap();
    assert_eq!(at, BASE + 64 * P, "a free hint is taken");
    let other = guest.map(at, P, RW, ANON).unwrap();
    assert_ne!(other, at, "an occupied hint is not");
    assert_eq!(code(guest.map(at, P, RW, ANON | 0x10_0000)), EEXIST);
    guest.store_byte(at, 5).unwrap();
    assert_eq!(guest.map(at, P, RW, ANON | FIXED).unwrap(), at);
    assert_eq!(guest.load_byte(at).unwrap(), 0, "a fixed mapping replaces");
    let below = guest.map(0, P, RW, ANON).unwrap();
    assert_eq!(below + P, other, "top-down, next to the last");
    let low = guest.map(0, P, RW, ANON | 0x40).unwrap();
    assert!((0x4000_0000..0x8000_0000).contains(&low));
    let mut read_only = HostBacked::new(b"x");
    Arc::get_mut(&mut read_only).unwrap().writable = false;
    let read_only: Arc<dyn Mappable> = read_only;
    assert_eq!(code(guest.map_file(&read_only, 0, P, RW, SHARED)), EACCES);
    assert_eq!(code(guest.map_file(&read_only, 1, P, R, SHARED)), EINVAL);
    let view = guest.map_file(&read_only, 0, P, R, SHARED).unwrap();
    assert_eq!(code(guest.mm.mprotect(view, P, RW)), EACCES);
    assert!(guest.map_file(&read_only, 0, P, RW, PRIVATE).is_ok());
}

#[test]
fn limits_hold() {
    let sandbox = sandbox();
    let guest = sandbox.guest();
    guest.mm.set_limits(Limits { address_space: 16 * P, data: 8 * P, ..Limits::default() });
    assert_eq!(code(guest.map(0, 17 * P, R, ANON)), ENOMEM);
    let at = guest.map(0, 8 * P, RW, ANON).unwrap();
    assert_eq!(code(guest.map(0, P, RW, ANON)), ENOMEM);
    let readable = guest.map(0, 8 * P, R, ANON).unwrap();
    assert_eq!(code(guest.mm.mprotect(readable, P, RW)), ENOMEM);
    assert_eq!(code(guest.map(0, P, R, ANON)), ENOMEM);
    guest.mm.munmap(at, P).unwrap();
    guest.mm.mprotect(readable, P, RW).unwrap();
    guest.mm.set_limits(Limits { memlock: 2 * P, ..Limits::default() });
    assert_eq!(code(guest.mm.mlock(readable, 3 * P, false)), ENOMEM);
    guest.mm.mlock(readable, 2 * P, false).unwrap();
    guest.mm.mlock(readable, 2 * P, false).unwrap();
    assert_eq!(code(guest.map(0, P, RW, ANON | 0x2000)), EAGAIN);
    assert_eq!(code(guest.mm.madvise(readable, P, 4)), EINVAL);
    assert_eq!(code(guest.mm.msync(readable, P, 2)), EBUSY);
    guest.mm.munlockall().unwrap();
    assert_eq!(guest.mm.statm().locked, 0);
    guest.mm.set_limits(Limits { memlock: 0, ..Limits::default() });
    assert_eq!(code(guest.mm.mlock(readable, P, false)), EPERM);
}

#[test]
fn the_account_limits_what_can_be_committed() {
    let sandbox = Sandbox::new(64 * P);
    let guest = sandbox.guest();
    // More than the limit can be reserved, not used.
    let at = guest.map(0, 1024 * P, RW, ANON | 0x4000).unwrap();
    for page in 0..32 {
        guest.store_byte(at + page * P, 1).unwrap();
    }
    let mut failed = None;
    for page in 32..1024 {
        if let Err(fault) = guest.store_byte(at + page * P, 1) {
            failed = Some((page, fault));
            break;
        }
    }
    let (page, fault) = failed.expect("the limit is hit");
    assert!(fault.oom);
    assert!(page <= 64, "{page} pages under a limit of 64");
    assert!(sandbox.account.hits() > 0);
    assert!(sandbox.pool.committed_bytes(&sandbox.account) <= 64 * P);
    guest.mm.munmap(at, 1024 * P).unwrap();
    assert_eq!(sandbox.account.charged(), 0);
    let at = guest.map(0, 16 * P, RW, ANON).unwrap();
    guest.store_byte(at, 1).unwrap();
}

#[test]
fn what_was_never_touched_makes_room_for_what_is() {
    let sandbox = Sandbox::new(256 * P);
    let idle = sandbox.guest();
    let mapped = idle.map(0, 100 * P, RW, ANON).unwrap();
    idle.store_byte(mapped + 50 * P, 9).unwrap();
    let guest = sandbox.guest();
    let at = guest.map(0, 240 * P, RW, ANON).unwrap();
    for page in 0..240 {
        guest.store_byte(at + page * P, page as u8).unwrap();
    }
    assert!(sandbox.account.charged() <= 256 * P);
    for page in 0..240 {
        assert_eq!(guest.load_byte(at + page * P).unwrap(), page as u8);
    }
    assert_eq!(idle.load_byte(mapped + 50 * P).unwrap(), 9);
    for page in 0..15 {
        idle.mm.write_bytes(UserAddr(mapped + page * P), &[8]).unwrap();
    }
    assert_eq!(code(idle.mm.write_bytes(UserAddr(mapped + 20 * P), &[8])), EFAULT);
    assert!(guest.store_byte(at, 7).is_ok());
    drop((guest, idle));
    assert_all_freed(&sandbox);
}

#[test]
fn fork_shares_until_either_side_stores() {
    let sandbox = sandbox();
    let parent = sandbox.guest();
    let private = parent.map(0, 64 * P, RW, ANON).unwrap();
    let shared = parent.map(0, 4 * P, RW, SHARED_ANON).unwrap();
    for page in 0..64 {
        parent.store_byte(private + page * P, page as u8).unwrap();
    }
    let child = parent.fork();
    let committed = sandbox.pool.committed_bytes(&sandbox.account);
    parent.store_byte(private, 100).unwrap();
    child.store_byte(private + P, 101).unwrap();
    child.mm.write_bytes(UserAddr(private + 40 * P), &[102]).unwrap();
    parent.store_byte(shared, 103).unwrap();
    assert_eq!(parent.load_byte(private).unwrap(), 100);
    assert_eq!(parent.load_byte(private + P).unwrap(), 1);
    assert_eq!(parent.load_byte(private + 40 * P).unwrap(), 40);
    assert_eq!(child.load_byte(private).unwrap(), 0);
    assert_eq!(child.load_byte(private + P).unwrap(), 101);
    assert_eq!(child.peek(private + 40 * P).unwrap(), 102);
    assert_eq!(child.load_byte(shared).unwrap(), 103);
    let after = sandbox.pool.committed_bytes(&sandbox.account);
    assert!(after - committed < 64 * P, "only what was stored to is copied");
    let grandchild = child.fork();
    drop(parent);
    grandchild.store_byte(private + 63 * P, 9).unwrap();
    assert_eq!(child.load_byte(private + 63 * P).unwrap(), 63);
    drop(child);
    for page in 2..40 {
        grandchild.store_byte(private + page * P, 1).unwrap();
    }
    assert_eq!(grandchild.load_byte(private + P).unwrap(), 101);
    drop(grandchild);
    assert_all_freed(&sandbox);
}

#[test]
fn fork_leaves_out_and_wipes_what_it_was_told_to() {
    let sandbox = sandbox();
    let parent = sandbox.guest();
    let at = parent.map(0, 6 * P, RW, ANON).unwrap();
    parent.store(at, &[1; 6 * P as usize]).unwrap();
    parent.mm.madvise(at + P, P, 10).unwrap();
    parent.mm.madvise(at + 3 * P, P, 18).unwrap();
    let child =
        parent.fork_with(&ForkOpts { stack_pointer: Some(at + 5 * P), alone: true, account: None });
    assert_eq!(child.load_byte(at).unwrap(), 1);
    assert_eq!(child.load_byte(at + P).unwrap_err().code, 1);
    assert_eq!(child.load_byte(at + 3 * P).unwrap(), 0);
    assert_eq!(child.load_byte(at + 4 * P).unwrap(), 1);
    parent.store_byte(at + 5 * P, 2).unwrap();
    assert_eq!(child.load_byte(at + 5 * P).unwrap(), 1);
    assert_eq!(parent.load_byte(at + 3 * P).unwrap(), 1);
}

#[test]
fn private_file_mappings_copy_and_shared_ones_reach_the_file() {
    let sandbox = sandbox();
    let guest = sandbox.guest();
    let host = HostBacked::new(&[b'a'; 40 * P as usize]);
    let file: Arc<dyn Mappable> = host.clone();
    let private = guest.map_file(&file, 0, 40 * P, RW, PRIVATE).unwrap();
    let shared = guest.map_file(&file, 0, 40 * P, RW, SHARED).unwrap();
    let small = guest.map_file(&file, P, P, RW, PRIVATE).unwrap();
    guest.store_byte(private + 20 * P, b'b').unwrap();
    guest.store_byte(small, b'c').unwrap();
    assert_eq!(guest.load_byte(shared + 20 * P).unwrap(), b'a');
    guest.store_byte(shared + P, b'd').unwrap();
    assert_eq!(guest.load_byte(private + P).unwrap(), b'd');
    guest.mm.write_bytes(UserAddr(shared + 2 * P), b"e").unwrap();
    let mut seen = [0; 1];
    std::os::unix::fs::FileExt::read_exact_at(&host.file(), &mut seen, 2 * P).unwrap();
    assert_eq!(&seen, b"e");
    // Dropping the copies shows the file again.
    guest.mm.madvise(private + 20 * P, P, 4).unwrap();
    assert_eq!(guest.load_byte(private + 20 * P).unwrap(), b'a');
    guest.mm.madvise(small, P, 4).unwrap();
    assert_eq!(guest.load_byte(small).unwrap(), b'd');
}

#[test]
fn a_truncated_file_is_a_fault_not_a_crash() {
    let sandbox = sandbox();
    let guest = sandbox.guest();
    let host = HostBacked::new(&[1; 4 * P as usize]);
    let file: Arc<dyn Mappable> = host.clone();
    let at = guest.map_file(&file, 0, 4 * P, RW, SHARED).unwrap();
    let private = guest.map_file(&file, 0, 32 * P, RW, PRIVATE).unwrap();
    assert_eq!(guest.peek(at + 3 * P).unwrap(), 1);
    host.file().set_len(2 * P).unwrap();
    let mut buf = vec![0; 4 * P as usize];
    assert_eq!(code(guest.mm.read_bytes(UserAddr(at), &mut buf)), EFAULT);
    let mut dst = vec![0u8; 4 * P as usize];
    let mut src = IoSrc::user_one(&guest.mm, UserAddr(at), 4 * P);
    assert_eq!(src.take(&mut dst).unwrap(), 2 * P as usize, "what exists is moved");
    assert_eq!(code(src.take(&mut dst)), EFAULT);
    assert_eq!(code(guest.mm.write_bytes(UserAddr(at + 2 * P), b"x")), EFAULT);
    assert_eq!(code(guest.mm.load_u32(UserAddr(at + 2 * P))), EFAULT);
    assert_eq!(code(guest.mm.store_u32(UserAddr(at + 2 * P), 1)), EFAULT);
    assert_eq!(code(guest.mm.cas_u32(UserAddr(at + 2 * P), 0, 1)), EFAULT);
    assert_eq!(guest.mm.fault(at + 2 * P, Access::Read, true).unwrap_err().signo, libc::SIGBUS);
    let stored = guest.store_byte(private + 2 * P, 1).unwrap_err();
    assert_eq!(stored.signo, libc::SIGBUS);
    guest.store_byte(private + P, 1).unwrap();
    host.file().set_len(4 * P).unwrap();
    assert_eq!(guest.mm.fault(at + 2 * P, Access::Read, true), Ok(()));
    assert_eq!(guest.load_byte(at + 2 * P).unwrap(), 0);
    guest.store_byte(private + 2 * P, 1).unwrap();
}

#[test]
fn brk_moves_both_ways() {
    let sandbox = sandbox();
    let guest = sandbox.guest();
    let start = BASE + (1 << 20);
    guest.mm.set_brk_start(start);
    assert_eq!(guest.mm.brk(0), start);
    assert_eq!(guest.mm.brk(start + 10), start + 10);
    guest.store_byte(start + P - 1, 4).unwrap();
    assert_eq!(guest.store_byte(start + P, 4).unwrap_err().signo, SEGV);
    assert_eq!(guest.mm.brk(start + 100 * P), start + 100 * P);
    assert_eq!(guest.load_byte(start + P - 1).unwrap(), 4);
    guest.store_byte(start + 99 * P, 4).unwrap();
    assert_eq!(guest.mm.maps().len(), 1, "the heap is one mapping");
    assert_eq!(guest.mm.brk(start + 10), start + 10);
    assert_eq!(guest.load_byte(start + 99 * P).unwrap_err().signo, SEGV);
    guest.mm.brk(start + 100 * P);
    assert_eq!(guest.load_byte(start + 99 * P).unwrap(), 0);
    guest.map(start + 200 * P, P, RW, ANON | FIXED).unwrap();
    assert_eq!(guest.mm.brk(start + 200 * P), start + 100 * P, "something is in the way");
    assert_eq!(guest.mm.brk(start - 1), start + 100 * P);
}

#[test]
fn stacks_grow_to_their_limit_and_keep_a_gap() {
    let sandbox = sandbox();
    let guest = sandbox.guest();
    guest.mm.set_limits(Limits { stack: 1 << 20, ..Limits::default() });
    let start = guest.mm.map_stack(2 * P, false).unwrap();
    let top = BASE + SPAN;
    assert!(start < top - 2 * P);
    guest.store_byte(start - 40 * P, 1).unwrap();
    guest.store_byte(top - (1 << 20), 1).unwrap();
    assert_eq!(guest.store_byte(top - (1 << 20) - 1, 1).unwrap_err().signo, SEGV);
    guest.mm.write_bytes(UserAddr(top - 8), &[1; 8]).unwrap();
    assert_eq!(guest.mm.maps().len(), 1);
    assert_eq!(guest.mm.maps()[0].name.path, b"[stack]");
    // Another mapping nearby stops the growth before it.
    let other = sandbox.guest();
    let start = other.mm.map_stack(2 * P, false).unwrap();
    other.map(start - 300 * P, P, RW, ANON | FIXED).unwrap();
    other.store_byte(start - 30 * P, 1).unwrap();
    assert_eq!(other.store_byte(start - 200 * P, 1).unwrap_err().signo, SEGV);
}

#[test]
fn mremap_moves_grows_and_shrinks() {
    let sandbox = sandbox();
    let guest = sandbox.guest();
    let at = guest.map(BASE + (8 << 20), 4 * P, RW, ANON).unwrap();
    guest.store(at, &[3; 4 * P as usize]).unwrap();
    assert_eq!(guest.mm.mremap(at, 4 * P, 8 * P, 0, 0).unwrap(), at, "grows in place");
    assert_eq!(guest.load_byte(at + 7 * P).unwrap(), 0);
    guest.map(at + 8 * P, P, RW, ANON | FIXED).unwrap();
    assert_eq!(code(guest.mm.mremap(at, 8 * P, 16 * P, 0, 0)), ENOMEM);
    let moved = guest.mm.mremap(at, 8 * P, 16 * P, 1, 0).unwrap();
    assert_ne!(moved, at);
    assert_eq!(guest.load_byte(moved + 3 * P).unwrap(), 3);
    assert_eq!(guest.load_byte(moved + 15 * P).unwrap(), 0);
    assert_eq!(guest.load_byte(at).unwrap_err().signo, SEGV);
    assert_eq!(guest.mm.mremap(moved, 16 * P, 2 * P, 0, 0).unwrap(), moved);
    assert_eq!(guest.load_byte(moved + 2 * P).unwrap_err().signo, SEGV);
    let target = BASE + (64 << 20);
    assert_eq!(guest.mm.mremap(moved, 2 * P, 2 * P, 3, target).unwrap(), target);
    assert_eq!(guest.load_byte(target + P).unwrap(), 3);
    let copy = guest.mm.mremap(target, 2 * P, 2 * P, 5, 0).unwrap();
    assert_eq!(guest.load_byte(copy).unwrap(), 3);
    assert_eq!(guest.load_byte(target).unwrap(), 0, "the old range stays, empty");
    let shared = guest.map(0, 2 * P, RW, SHARED_ANON).unwrap();
    let twin = guest.mm.mremap(shared, 0, 2 * P, 1, 0).unwrap();
    guest.store_byte(shared + P, 8).unwrap();
    assert_eq!(guest.load_byte(twin + P).unwrap(), 8);
    assert_eq!(code(guest.mm.mremap(copy, 0, P, 1, 0)), EINVAL);
    assert_eq!(code(guest.mm.mremap(copy, P, P, 2, target)), EINVAL);
    assert_eq!(code(guest.mm.mremap(copy, P, P, 8, 0)), EINVAL);
    assert_eq!(code(guest.mm.mremap(BASE, P, 2 * P, 1, 0)), EFAULT);
    assert_eq!(code(guest.mm.mremap(copy, 64 * P, 65 * P, 1, 0)), EFAULT);
}

#[test]
fn advice_has_its_effects_and_errors() {
    let sandbox = sandbox();
    let guest = sandbox.guest();
    let at = guest.map(BASE + (8 << 20), 8 * P, RW, ANON).unwrap();
    guest.store(at, &[3; 8 * P as usize]).unwrap();
    let before = sandbox.pool.committed_bytes(&sandbox.account);
    guest.mm.madvise(at + P, 2 * P, 4).unwrap();
    assert_eq!(before - sandbox.pool.committed_bytes(&sandbox.account), 2 * P);
    assert_eq!(guest.load_byte(at + P).unwrap(), 0);
    assert_eq!(guest.load_byte(at + 3 * P).unwrap(), 3);
    guest.mm.madvise(at + 4 * P, P, 8).unwrap();
    assert_eq!(code(guest.mm.madvise(at, P, 99)), EINVAL);
    assert_eq!(code(guest.mm.madvise(at + 1, P, 4)), EINVAL);
    assert_eq!(guest.mm.madvise(at, 0, 4), Ok(()));
    assert_eq!(code(guest.mm.madvise(at, 9 * P, 4)), ENOMEM);
    assert_eq!(guest.load_byte(at + 7 * P).unwrap(), 0, "the mapped part was advised");
    assert_eq!(code(guest.mm.madvise(at, P, 9)), EINVAL);
    guest.mm.mprotect(at, P, 0).unwrap();
    assert_eq!(code(guest.mm.madvise(at, P, 22)), EINVAL);
    guest.mm.madvise(at + P, 7 * P, 23).unwrap();
    let vec = guest.map(0, P, RW, ANON).unwrap();
    guest.mm.mincore(at + P, 7 * P, UserAddr(vec)).unwrap();
    let mut seen = [9; 8];
    guest.load(vec, &mut seen).unwrap();
    assert_eq!(seen, [1, 1, 1, 1, 1, 1, 1, 0]);
    assert_eq!(code(guest.mm.mincore(at + P, 8 * P, UserAddr(vec))), ENOMEM);
    assert_eq!(code(guest.mm.mincore(at + P, P, UserAddr(8))), EFAULT);
}

#[test]
fn shared_pages_of_a_forked_family_are_not_discarded_for_all() {
    let sandbox = sandbox();
    let parent = sandbox.guest();
    let at = parent.map(0, 4 * P, RW, ANON).unwrap();
    parent.store_byte(at, 3).unwrap();
    let child = parent.fork();
    child.mm.madvise(at, 4 * P, 4).unwrap();
    assert_eq!(child.load_byte(at).unwrap(), 0);
    assert_eq!(parent.load_byte(at).unwrap(), 3);
}

#[test]
fn patches_show_to_the_processor_and_not_to_debuggers() {
    let sandbox = sandbox();
    let guest = sandbox.guest();
    let host = HostBacked::new(&[0x90; 8 * P as usize]);
    let file: Arc<dyn Mappable> = host.clone();
    let at = guest.map_file(&file, 0, 8 * P, RX, PRIVATE).unwrap();
    guest.mm.patch_code(UserAddr(at + 2 * P - 2), &[1, 2, 3, 4]).unwrap();
    guest.mm.patch_code(UserAddr(at + 2 * P + 8), &[5]).unwrap();
    let mut seen = [0; 4];
    guest.load(at + 2 * P - 2, &mut seen).unwrap();
    assert_eq!(seen, [1, 2, 3, 4]);
    guest.mm.read_force(UserAddr(at + 2 * P - 2), &mut seen).unwrap();
    assert_eq!(seen, [0x90; 4]);
    let child = guest.fork();
    child.mm.write_force(UserAddr(at + 2 * P), &[0xcc]).unwrap();
    child.load(at + 2 * P - 2, &mut seen).unwrap();
    assert_eq!(seen, [1, 2, 0xcc, 0x90]);
    guest.load(at + 2 * P - 2, &mut seen).unwrap();
    assert_eq!(seen, [1, 2, 3, 4]);
    guest.mm.mprotect(at, 8 * P, RW).unwrap();
    guest.load(at + 2 * P - 2, &mut seen).unwrap();
    assert_eq!(seen, [0x90; 4], "writable code is not patched");
    assert_eq!(code(guest.mm.patch_code(UserAddr(at), &[1])), EPERM);
    assert_eq!(code(guest.mm.patch_code(UserAddr(BASE), &[1])), EFAULT);
}

#[test]
fn addresses_given_up_for_trampolines_stay_given_up() {
    let sandbox = sandbox();
    let guest = sandbox.guest();
    let code_at = guest.map(0, 4 * P, RX, ANON).unwrap();
    let held = guest.mm.reserve_near(code_at + 17, 16 * P).unwrap();
    assert_eq!(held % P, 0);
    assert!(code_at.abs_diff(held) < 1 << 31);
    assert_eq!(code(guest.map(held, P, RW, ANON | FIXED)), ENOMEM);
    assert_ne!(guest.map(held, P, RW, ANON).unwrap(), held);
    let other = guest.map(0, P, RW, ANON).unwrap();
    assert_eq!(code(guest.mm.mremap(other, P, P, 3, held)), ENOMEM);
    let (below, above) = (held - 2 * P, held + 16 * P);
    guest.map(below, 2 * P, RW, ANON | FIXED).unwrap();
    guest.map(above, P, RW, ANON | FIXED).unwrap();
    assert_eq!(code(guest.mm.mremap(below, 2 * P, 3 * P, 0, 0)), ENOMEM);
    let trampolines = HostBacked::new(&[5; P as usize]);
    let order = Order::Map {
        addr: held,
        len: P,
        prot: bevor_platform::Prot { read: true, write: false, exec: true },
        fd: trampolines.fd.as_raw_fd(),
        offset: 0,
        populate: true,
    };
    guest.space.apply(&[order]).unwrap();
    guest.mm.munmap(below, 19 * P).unwrap();
    assert_eq!(guest.load_byte(below).unwrap_err().signo, SEGV);
    assert_eq!(guest.load_byte(above).unwrap_err().signo, SEGV);
    assert_eq!(guest.load_byte(held).unwrap(), 5, "the trampolines are still mapped");
}

#[test]
fn strings_words_and_vectors() {
    let sandbox = sandbox();
    let guest = sandbox.guest();
    let at = guest.map(0, 2 * P, RW, ANON).unwrap();
    guest.store(at + 2 * P - 6, b"hello\0").unwrap();
    let end = UserAddr(at + 2 * P - 6);
    assert_eq!(guest.mm.read_cstr(end, 4096).unwrap(), b"hello");
    assert_eq!(guest.mm.read_cstr(end, 6).unwrap(), b"hello");
    assert_eq!(code(guest.mm.read_cstr(end, 5)), ENAMETOOLONG);
    guest.store_byte(at + 2 * P - 1, b'!').unwrap();
    assert_eq!(code(guest.mm.read_cstr(end, 4096)), EFAULT);
    let word = UserAddr(at);
    guest.mm.store_u32(word, 40).unwrap();
    assert_eq!(guest.mm.fetch_update_u32(word, |v| v + 2).unwrap(), 40);
    assert_eq!(guest.mm.cas_u32(word, 42, 7).unwrap(), 42);
    assert_eq!(guest.mm.cas_u32(word, 42, 8).unwrap(), 7);
    assert_eq!(guest.mm.load_u32(word).unwrap(), 7);
    assert_eq!(code(guest.mm.load_u32(UserAddr(at + 1))), EINVAL);
    guest.mm.write(UserAddr(at + 64), &[at, 3u64, at + P, 5]).unwrap();
    let vecs = guest.mm.read_iovecs(UserAddr(at + 64), 2).unwrap();
    assert_eq!(vecs.total(), 8);
    let mut dst = IoDst::user(&guest.mm, vecs);
    assert_eq!(dst.put(b"abcd").unwrap(), 4);
    assert_eq!(dst.remaining(), 4);
    dst.rewind(2);
    assert_eq!(dst.put(b"XYZWVUT").unwrap(), 6);
    assert_eq!(dst.put(b"more").unwrap(), 0);
    let mut seen = [0; 5];
    guest.load(at + P, &mut seen).unwrap();
    assert_eq!(&seen, b"YZWVU");
    assert_eq!(guest.peek(at + 2).unwrap(), b'X');
    guest.mm.write(UserAddr(at + 64), &[at, i64::MAX as u64, at + P, 5]).unwrap();
    assert_eq!(code(guest.mm.read_iovecs(UserAddr(at + 64), 2)), EINVAL);
    assert_eq!(code(guest.mm.read_iovecs(UserAddr(at + 64), 1025)), EINVAL);
}

#[test]
fn partial_transfers_stop_at_the_first_bad_page() {
    let sandbox = sandbox();
    let guest = sandbox.guest();
    let at = guest.map(BASE + (8 << 20), 2 * P, RW, ANON).unwrap();
    let mut dst = IoDst::user_one(&guest.mm, UserAddr(at + P), 3 * P);
    assert_eq!(dst.put(&[1; 3 * P as usize]).unwrap(), P as usize);
    assert_eq!(code(dst.put(&[1])), EFAULT);
    let file = HostBacked::new(&[7; 4 * P as usize]);
    let mut dst = IoDst::user_one(&guest.mm, UserAddr(at + P), 3 * P);
    assert_eq!(dst.host_read(file.fd.as_fd(), Some(0), u64::MAX).unwrap(), P as usize);
    assert_eq!(code(dst.host_read(file.fd.as_fd(), Some(0), u64::MAX)), EFAULT);
    assert_eq!(guest.load_byte(at + 2 * P - 1).unwrap(), 7);
    let mut src = IoSrc::user_one(&guest.mm, UserAddr(at + P), 10);
    assert_eq!(src.host_write(file.fd.as_fd(), Some(2), 4).unwrap(), 4);
    assert_eq!(src.remaining(), 6);
}

#[test]
fn reports_tell_what_is_there() {
    let sandbox = sandbox();
    let guest = sandbox.guest();
    let host = HostBacked::new(&[1; 8 * P as usize]);
    let file: Arc<dyn Mappable> = host;
    let text = guest.map_file(&file, P, 4 * P, RX, PRIVATE).unwrap();
    let heap = guest.map(0, 16 * P, RW, ANON).unwrap();
    guest.store(heap, &[1; 3 * P as usize]).unwrap();
    let maps = guest.mm.maps();
    assert_eq!(maps.len(), 2);
    let line = maps.iter().find(|map| map.range.start == text).unwrap();
    assert_eq!(
        (line.offset, line.name.ino, line.name.path.as_slice()),
        (P, 42, &b"/test/file"[..])
    );
    let statm = guest.mm.statm();
    assert_eq!(statm.size, 20 * P);
    assert_eq!(statm.data, 16 * P);
    assert_eq!(statm.text, 4 * P);
    assert_eq!(statm.rss.anon, 3 * P);
    let child = guest.fork();
    let smaps = child.mm.smaps();
    let block = smaps.iter().find(|block| block.map.range.start == heap).unwrap();
    assert_eq!((block.rss, block.pss), (3 * P, 3 * P / 2));
    assert_eq!((block.shared_dirty, block.private_dirty), (3 * P, 0));
}

#[test]
fn rebuilding_on_a_new_host_process_keeps_everything() {
    let sandbox = sandbox();
    let Guest { mm, space } = sandbox.guest();
    let guest = Guest { mm, space };
    let at = guest.map(0, 4 * P, RW, ANON).unwrap();
    guest.store_byte(at, 1).unwrap();
    let child = guest.fork();
    let fresh = super::FakeSpace::new();
    guest.mm.rebuild(fresh.clone()).unwrap();
    let moved = Guest { mm: guest.mm, space: fresh };
    assert_eq!(moved.load_byte(at).unwrap(), 1);
    moved.store_byte(at, 2).unwrap();
    assert_eq!(child.load_byte(at).unwrap(), 1);
}

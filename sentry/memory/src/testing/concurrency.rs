//! Many host threads at one address space: nothing hangs, tears or leaks.

use super::{ANON, BASE, FIXED, HostBacked, PRIVATE, RW, SHARED, Sandbox};
use crate::addr::{PAGE_SIZE, UserAddr};
use crate::mappable::Mappable;
use crate::mm::MmapArgs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const P: u64 = PAGE_SIZE;

/// A small generator: the threads only need to differ.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }
}

#[test]
fn threads_may_do_anything_at_once() {
    let sandbox = Sandbox::new(4096 * P);
    let guest = Arc::new(sandbox.guest());
    let host = HostBacked::new(&[1; 64 * P as usize]);
    let file: Arc<dyn Mappable> = host.clone();
    let origin = BASE + (64 << 20);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (guest, host, file) = (Arc::clone(&guest), Arc::clone(&host), Arc::clone(&file));
            scope.spawn(move || {
                let mut random = Random(thread + 1);
                for _ in 0..1500 {
                    let at = origin + random.below(64) * P;
                    let len = (1 + random.below(16)) * P;
                    match random.below(12) {
                        0 | 1 => drop(guest.map(at, len, RW, ANON | FIXED)),
                        2 => {
                            let flags = FIXED | if random.below(2) == 0 { PRIVATE } else { SHARED };
                            let file = Some(Arc::clone(&file));
                            let args = MmapArgs {
                                addr: at,
                                len,
                                prot: RW,
                                flags,
                                file,
                                ..MmapArgs::default()
                            };
                            let _ = guest.mm.mmap(args);
                        }
                        3 => drop(guest.mm.munmap(at, len)),
                        4 => drop(guest.mm.mprotect(
                            at,
                            len,
                            u32::try_from(random.below(4)).unwrap(),
                        )),
                        5 => drop(guest.mm.madvise(at, len, 4)),
                        6 => drop(guest.fork()),
                        7 => {
                            host.file().set_len(random.below(64) * P).unwrap();
                            file.mappings().invalidate(file.id(), 0..u64::MAX);
                        }
                        8 => drop(guest.mm.mremap(at, len, len, 3, origin + random.below(64) * P)),
                        9 => drop(sandbox_reclaim(&guest)),
                        _ => drop(guest.mm.write_bytes(UserAddr(at), &[7; 3 * P as usize])),
                    }
                }
            });
        }
    });
    drop(guest);
    sandbox.pool.trim();
    assert_eq!(sandbox.account.charged(), 0, "charges left");
    assert_eq!(sandbox.pool.allocated_bytes(&sandbox.account), 0, "allocations left");
}

fn sandbox_reclaim(guest: &super::Guest) -> u64 {
    guest.mm.account().reclaim()
}

/// Words that a guest thread counts up stay counted while their pages are copied, moved and
/// taken back beneath it.
#[test]
fn no_store_of_a_guest_is_lost() {
    let sandbox = Sandbox::new(u64::MAX);
    let guest = Arc::new(sandbox.guest());
    let at = guest.map(0, 16 * P, RW, ANON).unwrap();
    let done = AtomicBool::new(false);
    let counts = [const { AtomicU64::new(0) }; 2];
    std::thread::scope(|scope| {
        let counters: Vec<_> = (0..2u64)
            .map(|thread| {
                let (guest, done) = (Arc::clone(&guest), &done);
                let counted = &counts[usize::try_from(thread).unwrap()];
                scope.spawn(move || {
                    let mut count = 0u64;
                    while !done.load(Ordering::Relaxed) {
                        let slot = at + (count % 16) * P + thread * 64;
                        let mut held = [0; 8];
                        guest.load(slot, &mut held).unwrap();
                        assert_eq!(u64::from_le_bytes(held), count / 16, "a store was lost");
                        guest.store(slot, &(count / 16 + 1).to_le_bytes()).unwrap();
                        count += 1;
                        counted.store(count, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let few = || counts.iter().any(|count| count.load(Ordering::Relaxed) < 1000);
        let mut forks = 0;
        while forks < 150 || few() {
            forks += 1;
            let child = guest.fork();
            child.store_byte(at + P + 32, 1).unwrap();
            guest.mm.account().reclaim();
            drop(child);
        }
        done.store(true, Ordering::Relaxed);
        for counter in counters {
            counter.join().unwrap();
        }
    });
}

/// Mappings that are mostly untouched hold more than the limit; threads that all run short at once find
/// what one of them takes back.
#[test]
fn who_runs_short_waits_for_another_who_finds_pages() {
    const THREADS: usize = 4;
    const AREAS: u64 = 64;
    for _ in 0..20 {
        let sandbox = Sandbox::new(2 * AREAS * P);
        let guest = Arc::new(sandbox.guest());
        let areas: Vec<u64> = (0..AREAS).map(|_| guest.map(0, 16 * P, RW, ANON).unwrap()).collect();
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (guest, areas) = (Arc::clone(&guest), &areas);
                scope.spawn(move || {
                    for at in areas.iter().skip(thread).step_by(THREADS) {
                        guest.store_byte(at + 7 * P, 1).unwrap();
                    }
                });
            }
        });
        for at in areas {
            let mut byte = [0];
            guest.load(at + 7 * P, &mut byte).unwrap();
            assert_eq!(byte, [1]);
        }
    }
}

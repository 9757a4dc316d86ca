//! Random sequences of operations on a family of guests, against a model of every page.

use super::{ANON, BASE, FIXED, Guest, RW, SHARED_ANON, Sandbox};
use crate::addr::{PAGE_SIZE, UserAddr};
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use std::collections::HashMap;

/// Pages the operations play on.
const PAGES: u64 = 96;
const ORIGIN: u64 = BASE + (16 << 20);

#[derive(Clone, Debug)]
enum Op {
    Map { page: u64, count: u64, prot: u32, shared: bool },
    Unmap { page: u64, count: u64 },
    Protect { page: u64, count: u64, prot: u32 },
    Move { page: u64, count: u64, to: u64 },
    Discard { page: u64, count: u64 },
    Store { page: u64, value: u8 },
    KernelStore { page: u64, value: u8 },
    Fork { kernel_hint: bool },
    Exit,
    Switch,
}

fn op() -> impl Strategy<Value = Op> {
    let span = || (0..PAGES, 1..24u64);
    let prot = || prop_oneof![3 => RW..=RW, 1 => 0u32..=7];
    prop_oneof![
        4 => (span(), prot(), any::<bool>())
            .prop_map(|((page, count), prot, shared)| Op::Map { page, count, prot, shared }),
        2 => span().prop_map(|(page, count)| Op::Unmap { page, count }),
        2 => (span(), prot()).prop_map(|((page, count), prot)| Op::Protect { page, count, prot }),
        1 => (span(), 0..PAGES).prop_map(|((page, count), to)| Op::Move { page, count, to }),
        1 => span().prop_map(|(page, count)| Op::Discard { page, count }),
        8 => (0..PAGES, 1u8..).prop_map(|(page, value)| Op::Store { page, value }),
        4 => (0..PAGES, 1u8..).prop_map(|(page, value)| Op::KernelStore { page, value }),
        1 => any::<bool>().prop_map(|kernel_hint| Op::Fork { kernel_hint }),
        1 => proptest::strategy::Just(Op::Exit),
        2 => proptest::strategy::Just(Op::Switch),
    ]
}

/// What a page of one guest is: rights, and its value or the number of a shared one.
#[derive(Clone, Copy, Debug)]
struct Page {
    prot: u32,
    content: Content,
}

#[derive(Clone, Copy, Debug)]
enum Content {
    Private(u8),
    Shared(usize),
}

struct Process {
    guest: Guest,
    pages: HashMap<u64, Page>,
}

#[derive(Default)]
struct Model {
    shared: Vec<u8>,
}

impl Model {
    fn value(&self, page: &Page) -> u8 {
        match page.content {
            Content::Private(value) => value,
            Content::Shared(index) => self.shared[index],
        }
    }

    fn run(&mut self, process: &mut Process, op: &Op) {
        let range = |page: u64, count: u64| page..(page + count).min(PAGES);
        let at = |page: u64| ORIGIN + page * PAGE_SIZE;
        let (guest, pages) = (&process.guest, &mut process.pages);
        match *op {
            Op::Map { page, count, prot, shared } => {
                let range = range(page, count);
                let flags = FIXED | if shared { SHARED_ANON } else { ANON };
                let len = (range.end - range.start) * PAGE_SIZE;
                guest.map(at(page), len, prot, flags).unwrap();
                for page in range {
                    let content = if shared {
                        self.shared.push(0);
                        Content::Shared(self.shared.len() - 1)
                    } else {
                        Content::Private(0)
                    };
                    pages.insert(page, Page { prot, content });
                }
            }
            Op::Unmap { page, count } => {
                let range = range(page, count);
                guest.mm.munmap(at(page), (range.end - range.start) * PAGE_SIZE).unwrap();
                pages.retain(|page, _| !range.contains(page));
            }
            Op::Protect { page, count, prot } => {
                let range = range(page, count);
                let len = (range.end - range.start) * PAGE_SIZE;
                let covered = range.clone().all(|page| pages.contains_key(&page));
                assert_eq!(guest.mm.mprotect(at(page), len, prot).is_ok(), covered);
                for page in range {
                    let Some(known) = pages.get_mut(&page) else { break };
                    known.prot = prot;
                }
            }
            Op::Move { page, count, to } => {
                let from = range(page, count);
                let count = from.end - from.start;
                let len = count * PAGE_SIZE;
                let possible = pages.contains_key(&page)
                    && to + count <= PAGES
                    && (to >= from.end || to + count <= from.start);
                let moved = guest.mm.mremap(at(page), len, len, 3, at(to));
                if to + count > PAGES {
                    // It may have landed outside of what the model watches: bring it back.
                    if moved.is_ok() {
                        guest.mm.munmap(at(to), len).unwrap();
                        pages.retain(|page, _| !from.contains(page) && *page < to);
                    }
                    return;
                }
                assert_eq!(moved.is_ok(), possible, "{moved:?}");
                if possible {
                    for index in 0..count {
                        if let Some(page) = pages.remove(&(page + index)) {
                            pages.insert(to + index, page);
                        }
                    }
                }
            }
            Op::Discard { page, count } => {
                let range = range(page, count);
                let covered = range.clone().all(|page| pages.contains_key(&page));
                let result = guest.mm.madvise(at(page), (range.end - range.start) * PAGE_SIZE, 4);
                assert_eq!(result.is_ok(), covered);
                for page in range {
                    if let Some(Page { content: Content::Private(value), .. }) =
                        pages.get_mut(&page)
                    {
                        *value = 0;
                    }
                }
            }
            Op::Store { page, value } | Op::KernelStore { page, value } => {
                let known = pages.get_mut(&page);
                let allowed = known.as_ref().is_some_and(|known| known.prot & 2 != 0);
                let offset = u64::from(value) * 16;
                let stored = match op {
                    Op::Store { .. } => guest.store(at(page), &[value]).is_ok(),
                    _ => guest.mm.write_bytes(UserAddr(at(page)), &[value]).is_ok(),
                };
                assert_eq!(stored, allowed, "page {page}, {known:?}");
                if let (true, Some(known)) = (stored, known) {
                    let _ = guest.store(at(page) + offset.max(1), &[value]);
                    match &mut known.content {
                        Content::Private(held) => *held = value,
                        Content::Shared(index) => self.shared[*index] = value,
                    }
                }
            }
            Op::Fork { .. } | Op::Exit | Op::Switch => {}
        }
    }

    fn check(&self, process: &Process) {
        for page in 0..PAGES {
            let addr = ORIGIN + page * PAGE_SIZE;
            let expected = process
                .pages
                .get(&page)
                .filter(|known| known.prot != 0)
                .map(|known| self.value(known));
            assert_eq!(process.guest.peek(addr).ok(), expected, "kernel, page {page}");
            assert_eq!(process.guest.load_byte(addr).ok(), expected, "guest, page {page}");
        }
    }
}

fn play(ops: &[Op]) {
    let sandbox = Sandbox::new(u64::MAX);
    let mut model = Model::default();
    let mut family = vec![Process { guest: sandbox.guest(), pages: HashMap::new() }];
    let mut current = 0;
    for op in ops {
        match op {
            Op::Fork { kernel_hint } if family.len() < 5 => {
                let process = &family[current];
                let stack_pointer = kernel_hint.then_some(ORIGIN + 40 * PAGE_SIZE);
                let opts =
                    crate::mm::ForkOpts { stack_pointer, alone: *kernel_hint, account: None };
                let child = process.guest.fork_with(&opts);
                let pages = process.pages.clone();
                family.push(Process { guest: child, pages });
            }
            Op::Exit if family.len() > 1 => {
                family.swap_remove(current);
                current = 0;
            }
            Op::Switch => current = (current + 1) % family.len(),
            op => model.run(&mut family[current], op),
        }
    }
    family.iter().for_each(|process| model.check(process));
    // A second look finds the same: checking changes nothing.
    family.iter().for_each(|process| model.check(process));
    drop(family);
    sandbox.pool.trim();
    assert_eq!(sandbox.account.charged(), 0, "charges left");
    assert_eq!(sandbox.pool.allocated_bytes(&sandbox.account), 0, "allocations left");
    assert_eq!(sandbox.pool.committed_bytes(&sandbox.account), 0, "pages left");
}

#[test]
fn random_operations_match_the_model() {
    let mut runner = TestRunner::new(Config { cases: 200, ..Config::default() });
    let ops = proptest::collection::vec(op(), 1..120);
    runner
        .run(&ops, |ops| {
            play(&ops);
            Ok(())
        })
        .unwrap();
}

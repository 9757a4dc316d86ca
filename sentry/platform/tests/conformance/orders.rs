//! Mapping orders.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use bevor_platform::{Access, Event, Order, Platform, PlatformError, Prot, Space};

use crate::conformance::case::Case;
use crate::conformance::case::cases;
use crate::conformance::world::{DATA, PAGE, R, RW, RX, World, guest_code, map, memory_file};

pub const CASES: &[Case] = cases![
    batches_are_carried_out_in_order,
    unmapped_memory_is_gone,
    mapping_replaces_what_was_there,
    a_batch_of_many_orders,
    orders_outside_the_guest_are_refused,
    the_edges_of_the_guest_can_be_mapped,
    a_host_error_is_reported,
    advice_is_passed_on,
    populated_pages_are_there,
    executable_and_writable_memory,
    too_many_mappings_are_refused_before_anything_is_done,
    two_spaces_share_a_page,
    orders_while_a_thread_runs,
];

const AT: u64 = 0x7000_0000;
const NOTHING: Prot = Prot { read: false, write: false, exec: false };

guest_code!(load, "2:", "mov rdi, [rdi]", "mov eax, 1", "syscall", "jmp 2b");

/// What the guest reads at `addr`, `None` if it faults.
fn read(world: &mut World, addr: u64) -> Option<u64> {
    world.jump(0);
    world.ctx.regs.rdi = addr;
    match world.run() {
        Event::Syscall => Some(world.ctx.regs.rdi),
        Event::PageFault { access: Access::Read, addr: at, .. } if at == addr => None,
        other => panic!("{other:?}"),
    }
}

fn batches_are_carried_out_in_order(platform: &dyn Platform) {
    let mut world = World::new(platform, load());
    for page in 0..4 {
        world.set_word(page * PAGE, 100 + page);
    }
    let orders = [
        world.alias(AT, 0, RW),
        world.alias(AT + PAGE, 1, RW),
        world.alias(AT, 2, R),
        Order::Unmap { addr: AT + PAGE, len: PAGE },
        world.alias(AT + 2 * PAGE, 3, RW),
        Order::Protect { addr: AT + 2 * PAGE, len: PAGE, prot: NOTHING },
    ];
    world.space.apply(&orders).expect("the batch is sound");
    assert_eq!(read(&mut world, AT), Some(102));
    assert_eq!(read(&mut world, AT + PAGE), None);
    assert_eq!(read(&mut world, AT + 2 * PAGE), None);
    world.space.apply(&[]).expect("nothing to do");
}

fn unmapped_memory_is_gone(platform: &dyn Platform) {
    let mut world = World::new(platform, load());
    assert_eq!(read(&mut world, DATA + PAGE), Some(0));
    let orders = [Order::Unmap { addr: DATA + PAGE, len: PAGE }];
    world.space.apply(&orders).expect("data can be unmapped");
    assert_eq!(read(&mut world, DATA), Some(0));
    assert_eq!(read(&mut world, DATA + PAGE), None);
    assert_eq!(read(&mut world, DATA + 2 * PAGE), Some(0));
    // Nothing there to unmap: fine too.
    world.space.apply(&orders).expect("unmapping nothing succeeds");
}

fn mapping_replaces_what_was_there(platform: &dyn Platform) {
    let mut world = World::new(platform, load());
    let other = memory_file(PAGE);
    std::os::unix::fs::FileExt::write_all_at(&other, &7_u64.to_le_bytes(), 0)
        .expect("a memory file can be written");
    let order = map(DATA + PAGE, PAGE, R, other.as_raw_fd(), 0);
    world.space.apply(&[order]).expect("a page can be replaced");
    // The mapping outlives the descriptor.
    drop(other);
    assert_eq!(read(&mut world, DATA + PAGE), Some(7));
    assert_eq!(read(&mut world, DATA), Some(0));
}

const fn backwards(i: u64) -> u64 {
    2 - i % 3
}

/// Maps the page `i` of a run so that the host cannot join it with its neighbours.
fn lone_page(world: &World, i: u64) -> Order {
    world.alias(AT + i * PAGE, backwards(i), RW)
}

fn a_batch_of_many_orders(platform: &dyn Platform) {
    let mut world = World::new(platform, load());
    world.set_word(0, 1);
    world.set_word(PAGE, 2);
    // Alternating pages, so that the host cannot join neighbours.
    world.set_word(2 * PAGE, 3);
    let orders: Vec<Order> = (0..1000).map(|i| lone_page(&world, i)).collect();
    world.space.apply(&orders).expect("a large batch");
    for i in [0, 1, 499, 998, 999] {
        assert_eq!(read(&mut world, AT + i * PAGE), Some(1 + backwards(i)));
    }
    let all = [Order::Unmap { addr: AT, len: 1000 * PAGE }];
    world.space.apply(&all).expect("one order for all");
    assert_eq!(read(&mut world, AT + 999 * PAGE), None);
}

fn orders_outside_the_guest_are_refused(platform: &dyn Platform) {
    let mut world = World::new(platform, load());
    let end = platform.guest_range().end;
    let fd = world.file.as_raw_fd();
    let bad = [
        map(end, PAGE, RW, fd, 0),
        map(end - PAGE, 2 * PAGE, RW, fd, 0),
        map(u64::MAX - PAGE + 1, PAGE, RW, fd, 0),
        map(AT, u64::MAX - PAGE + 1, RW, fd, 0),
        Order::Unmap { addr: end - PAGE, len: 1 << 40 },
        Order::Unmap { addr: end + (1 << 30), len: PAGE },
        Order::Protect { addr: end, len: PAGE, prot: RW },
        Order::Advise { addr: end, len: PAGE, advice: libc::MADV_HUGEPAGE },
    ];
    for order in bad {
        // Nothing of the batch happens.
        let batch = [Order::Unmap { addr: DATA, len: PAGE }, order];
        let answer = world.space.apply(&batch);
        assert!(matches!(answer, Err(PlatformError::Range)), "{order:?}: {answer:?}");
    }
    assert_eq!(read(&mut world, DATA), Some(0));
}

fn the_edges_of_the_guest_can_be_mapped(platform: &dyn Platform) {
    let mut world = World::new(platform, load());
    let range = platform.guest_range();
    world.set_word(0, 11);
    world.set_word(PAGE, 12);
    // A host may refuse its lowest page to ordinary users; a little above it is everybody's.
    let low = range.start.max(0x1_0000);
    let orders = [world.alias(low, 0, RW), world.alias(range.end - PAGE, 1, RW)];
    world.space.apply(&orders).expect("both ends of the range");
    assert_eq!(read(&mut world, low), Some(11));
    assert_eq!(read(&mut world, range.end - PAGE), Some(12));
    let orders = [Order::Unmap { addr: low, len: range.end - low }];
    world.space.apply(&orders).expect("the whole range can be emptied");
    world.jump(0);
    assert!(matches!(world.run(), Event::PageFault { access: Access::Exec, .. }));
}

fn a_host_error_is_reported(platform: &dyn Platform) {
    let mut world = World::new(platform, load());
    world.set_word(0, 5);
    let orders = [world.alias(AT, 0, RW), map(AT + PAGE, PAGE, RW, 999_999, 0)];
    match world.space.apply(&orders) {
        Err(PlatformError::Host { source, .. }) => {
            assert_eq!(source.raw_os_error(), Some(libc::EBADF));
        }
        other => panic!("{other:?}"),
    }
    // The space lives on, with what came before.
    assert_eq!(read(&mut world, AT), Some(5));
    world.space.apply(&[world.alias(AT + PAGE, 0, RW)]).expect("orders still work");
    assert_eq!(read(&mut world, AT + PAGE), Some(5));
}

fn advice_is_passed_on(platform: &dyn Platform) {
    let mut world = World::new(platform, load());
    let populate = Order::Advise { addr: DATA, len: PAGE, advice: libc::MADV_POPULATE_WRITE };
    world.space.apply(&[populate]).expect("mapped pages can be populated");
    let nothing = Order::Advise { addr: AT, len: PAGE, advice: libc::MADV_POPULATE_READ };
    match world.space.apply(&[nothing]) {
        Err(PlatformError::Host { source, .. }) => {
            assert_eq!(source.raw_os_error(), Some(libc::ENOMEM));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(read(&mut world, DATA), Some(0));
}

fn populated_pages_are_there(platform: &dyn Platform) {
    use std::os::unix::fs::MetadataExt;
    let world = World::new(platform, load());
    let file = memory_file(64 * PAGE);
    let order = Order::Map {
        addr: AT,
        len: 64 * PAGE,
        prot: RW,
        fd: file.as_raw_fd(),
        offset: 0,
        populate: true,
    };
    world.space.apply(&[order]).expect("a file can be mapped");
    let blocks = file.metadata().expect("a memory file has a size").blocks();
    assert!(blocks * 512 >= 64 * PAGE, "{blocks} blocks");
}

guest_code!(
    write_code,
    "mov dword ptr [rdi], 0x050f01b0", // mov al, 1; syscall
    "xor eax, eax",
    "jmp rdi",
);

fn executable_and_writable_memory(platform: &dyn Platform) {
    let mut world = World::new(platform, write_code());
    let prot = Prot { read: true, write: true, exec: true };
    world.space.apply(&[world.alias(AT, 0, prot)]).expect("a just-in-time compiler's page");
    world.ctx.regs.rdi = AT;
    assert_eq!(world.run_to_syscall(), 1);
    world.space.apply(&[Order::Protect { addr: AT, len: PAGE, prot: RX }]).expect("sealed");
    world.jump(0);
    world.ctx.regs.rdi = AT;
    let event = world.run();
    assert!(matches!(event, Event::PageFault { addr: AT, access: Access::Write, .. }), "{event:?}");
}

fn too_many_mappings_are_refused_before_anything_is_done(platform: &dyn Platform) {
    let mut world = World::new(platform, load());
    let limit: u64 = std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .expect("/proc is mounted")
        .trim()
        .parse()
        .expect("a number");
    if limit > 1 << 20 {
        // Filling that many would take minutes.
        return;
    }
    let orders: Vec<Order> = (0..limit + 100).map(|i| lone_page(&world, i)).collect();
    let mut applied = 0;
    for batch in orders.chunks(4096) {
        match world.space.apply(batch) {
            Ok(()) => applied += batch.len() as u64,
            Err(PlatformError::TooManyMappings) => break,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(applied < limit, "{applied} mappings are more than the host allows");
    assert!(applied + 4096 + 1000 > limit, "{applied} mappings are far from the host's limit");
    assert_eq!(read(&mut world, AT + applied * PAGE), None);
    assert_eq!(read(&mut world, AT + (applied - 1) * PAGE), Some(0));
    let all = [Order::Unmap { addr: AT, len: (limit + 100) * PAGE }];
    world.space.apply(&all).expect("a full space can be emptied");
    world.space.apply(&[world.alias(AT, 0, RW)]).expect("and filled again");
}

guest_code!(
    exchange,
    "mov rax, 1",
    "lock xadd [rdi], rax",
    "mov rdi, rax",
    "mov eax, 1",
    "syscall"
);

fn two_spaces_share_a_page(platform: &dyn Platform) {
    let mut one = World::new(platform, exchange());
    let mut two = World::new(platform, exchange());
    assert_ne!(one.space.id(), two.space.id());
    let shared = memory_file(PAGE);
    let order = [map(AT, PAGE, RW, shared.as_raw_fd(), 0)];
    for world in [&one, &two] {
        world.space.apply(&order).expect("a page can be mapped");
    }
    for round in 0..10 {
        for (i, world) in [&mut one, &mut two].into_iter().enumerate() {
            world.jump(0);
            world.ctx.regs.rdi = AT;
            assert_eq!(world.run_to_syscall(), 1);
            assert_eq!(world.ctx.regs.rdi, 2 * round + i as u64);
        }
    }
    // What is not shared is not.
    one.set_word(0, 0xaa);
    assert_eq!(two.word(0), 0);
}

guest_code!(
    wait_for_word,
    "2:",
    "pause",
    "cmp qword ptr [rdi], 0",
    "je 2b",
    "mov eax, 1",
    "syscall"
);

fn orders_while_a_thread_runs(platform: &dyn Platform) {
    let mut world = World::new(platform, wait_for_word());
    world.set_word(PAGE, 1);
    world.space.apply(&[world.alias(AT, 0, RW)]).expect("a page can be mapped");
    world.ctx.regs.rdi = AT;
    world.resume();
    let space: Arc<dyn Space> = world.space.clone();
    for i in 1..100 {
        space.apply(&[world.alias(AT + i * PAGE, 0, RW)]).expect("a page can be mapped");
    }
    // A page is swapped under the running guest.
    space.apply(&[world.alias(AT, 1, RW)]).expect("a page can be replaced");
    loop {
        match world.wait() {
            Event::Interrupted => world.resume(),
            Event::Syscall => break,
            other => panic!("{other:?}"),
        }
    }
}

//! Rewritten call sites.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::systrap::host::{self, Exec};
use crate::systrap::tests::harness::{
    CODE, DATA, EXEC, Guest, PLATFORM, at, enter, guest, map, soon,
};
use crate::{Answers, Context, Event, Platform, Space, Text, Wake};

/// The code page as a memory crate would hold it: each change is a new file page.
pub struct Page {
    space: Arc<dyn Space>,
    bytes: Mutex<Vec<u8>>,
    files: Mutex<Vec<OwnedFd>>,
}

impl Page {
    pub fn new(guest: &Guest) -> Self {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; 0x1000];
        let file = std::fs::File::from(guest.memory.code.try_clone().expect("dup"));
        file.read_exact_at(&mut bytes, 0).expect("read");
        let bytes = Mutex::new(bytes);
        Self { space: guest.space.clone(), bytes, files: Mutex::default() }
    }
}

impl Text for Page {
    fn read_code(&self, addr: u64, bytes: &mut [u8]) -> usize {
        let code = self.bytes.lock();
        let start = usize::try_from(addr - CODE).expect("in the page");
        let len = bytes.len().min(code.len() - start);
        bytes[..len].copy_from_slice(&code[start..start + len]);
        len
    }

    fn reserve_near(&self, addr: u64, _len: u64) -> Option<u64> {
        Some((addr & !0xffff) + 0x1000_0000)
    }

    fn replace_code(&self, addr: u64, old: &[u8], new: &[u8]) -> bool {
        let mut code = self.bytes.lock();
        let start = usize::try_from(addr - CODE).expect("in the page");
        assert_eq!(&code[start..start + old.len()], old);
        code[start..start + new.len()].copy_from_slice(new);
        let file = host::memfd(c"patched", 0x1000, Exec::Allowed).expect("memfd");
        host::write_at(&file, &code, 0).expect("write");
        self.space.apply(&[map(CODE, 0x1000, EXEC, &file, 0)]).expect("maps");
        self.files.lock().push(file);
        true
    }
}

fn patched_wrapper() -> (Guest, Page) {
    let mut g = Guest::new(guest!(guest_wrapper), 0);
    let page = Page::new(&g);
    for round in 0.. {
        assert_eq!(g.answer(0), Event::Syscall);
        assert_eq!(g.ctx.regs.syscall_nr(), 2000 + round);
        if let Some(site) = g.thread.patch_candidate() {
            assert_eq!(site, at(guest!(guest_wrapper_after)));
            assert!(g.space.patch(site, &page));
            break;
        }
    }
    (g, page)
}

/// Answers the call, which must be number `nr` and come without a trap.
fn next_call(g: &mut Guest, nr: u64) {
    loop {
        g.ctx.regs.rax = if g.ctx.full { g.ctx.regs.rax } else { 0 };
        match g.run() {
            Event::Interrupted => {}
            event => {
                assert_eq!(event, Event::Syscall);
                break;
            }
        }
    }
    let regs = &g.ctx.regs;
    assert_eq!(regs.syscall_nr(), nr);
    assert_eq!((regs.rip, regs.rcx), (at(guest!(guest_wrapper_after)), regs.rip));
    assert_eq!((regs.gs_base, regs.r11 & 1), (0, 1), "the carry flag was set");
    assert_eq!(g.thread.patch_candidate(), None);
}

#[test]
fn a_rewritten_site_calls_on_with_all_registers() {
    let (mut g, _page) = patched_wrapper();
    let first = g.ctx.regs.rbx;
    g.ctx.regs.rax = 0;
    for step in 1..200 {
        if step % 7 == 0 {
            // All registers are set, as a signal's delivery would.
            g.ctx.full = true;
            g.ctx.regs.rax = 0;
        }
        next_call(&mut g, 2000 + first + step);
        assert_eq!(g.ctx.regs.rbx, first + step);
    }
}

#[test]
fn a_call_can_be_restarted_at_a_rewritten_site() {
    let (mut g, _page) = patched_wrapper();
    let nr = g.ctx.regs.rbx + 2001;
    g.ctx.regs.rax = 0;
    next_call(&mut g, nr);
    g.ctx.regs.rip -= 2;
    g.ctx.regs.rax = nr;
    g.ctx.full = true;
    next_call(&mut g, nr);
}

#[test]
fn a_guest_with_a_gs_base_of_its_own_traps_as_before() {
    let (mut g, _page) = patched_wrapper();
    let nr = g.ctx.regs.rbx + 2001;
    g.ctx.regs.gs_base = DATA;
    g.ctx.regs.rax = 0;
    g.ctx.full = true;
    for i in 0..20 {
        while g.run() != Event::Syscall {}
        assert_eq!(g.ctx.regs.syscall_nr(), nr + i);
        assert_eq!(g.ctx.regs.rip, at(guest!(guest_wrapper_after)));
        assert_eq!(g.ctx.regs.gs_base, DATA);
        g.ctx.regs.rax = 0;
    }
}

#[test]
fn extended_registers_survive_a_rewritten_call() {
    let (mut g, _page) = patched_wrapper();
    g.ctx.regs.rax = 0;
    let nr = g.ctx.regs.rbx + 2001;
    let mut state = g.thread.fp_state().expect("state");
    state.xsave[160..176].fill(0x3c);
    state.xsave[512] |= 3;
    g.thread.set_fp_state(&state).expect("sets");
    next_call(&mut g, nr);
    for i in 1..50 {
        next_call(&mut g, nr + i);
    }
    assert_eq!(g.thread.fp_state().expect("state").xsave[160..176], [0x3c; 16]);
}

#[test]
fn a_fork_knows_its_parents_sites() {
    let (g, page) = patched_wrapper();
    let child = PLATFORM.new_space().expect("a space");
    g.space.share_patches(&*child).expect("shares");
    let files = page.files.lock();
    let mut orders = g.memory.orders();
    orders[0] = map(CODE, 0x1000, EXEC, files.last().expect("patched"), 0);
    child.apply(&orders).expect("maps");
    drop(files);
    let mut thread = child.clone().new_thread().expect("a thread");
    let mut port = PLATFORM.new_port().expect("a port");
    let nr = g.ctx.regs.rbx + 2001;
    let mut ctx = Context { regs: g.ctx.regs, full: true };
    ctx.regs.rax = 0;
    for i in 0..20 {
        port.resume(1, &mut *thread, &ctx).expect("resumes");
        assert_eq!(port.next(soon()), Wake::Event(1));
        assert_eq!(thread.take_event(&mut ctx), Event::Syscall);
        assert_eq!(ctx.regs.syscall_nr(), nr + i);
        assert_eq!(thread.patch_candidate(), None);
        ctx.regs.rax = 0;
    }
}

#[test]
fn known_answers_are_given_in_the_guest() {
    let mut g = Guest::new(guest!(guest_getpid), 0);
    let page = Page::new(&g);
    g.thread.set_answers(&Answers { enabled: true, pid: 3, ..Answers::default() });
    g.ctx.regs.rbx = 100;
    let mut asked = 0;
    loop {
        match g.run() {
            // Inside the patch that was just made: sent on.
            Event::Interrupted => continue,
            event => assert_eq!(event, Event::Syscall),
        }
        if g.ctx.regs.syscall_nr() != 39 {
            break;
        }
        asked += 1;
        if let Some(site) = g.thread.patch_candidate() {
            assert!(g.space.patch(site, &page));
        }
        g.ctx.regs.rax = 3;
    }
    assert_eq!(g.ctx.regs.rdi, 300);
    assert!(asked < 20, "{asked} of 100 reached the sentry");

    // Switched off, every call is seen.
    g.thread.set_answers(&Answers::default());
    g.ctx = enter(guest!(guest_getpid), 0);
    g.ctx.regs.rbx = 5;
    for _ in 0..5 {
        assert_eq!(g.run(), Event::Syscall);
        assert_eq!(g.ctx.regs.syscall_nr(), 39);
        g.ctx.regs.rax = 1;
    }
    assert_eq!(g.run(), Event::Syscall);
    assert_eq!((g.ctx.regs.syscall_nr(), g.ctx.regs.rdi), (2001, 5));
}

#[test]
fn a_kick_stops_a_guest_that_only_asks_what_the_stub_answers() {
    let mut g = Guest::new(guest!(guest_getpid_forever), 0);
    let page = Page::new(&g);
    loop {
        assert_eq!(g.run(), Event::Syscall);
        g.ctx.regs.rax = 3;
        if let Some(site) = g.thread.patch_candidate() {
            assert!(g.space.patch(site, &page));
            break;
        }
    }
    g.thread.set_answers(&Answers { enabled: true, pid: 3, ..Answers::default() });
    let kick = g.thread.kicker();
    for round in 0..2000 {
        g.resume();
        if round % 100 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
        loop {
            kick.kick();
            if g.port.try_next().is_some() {
                break;
            }
        }
        let event = g.thread.take_event(&mut g.ctx);
        assert_eq!(event, Event::Interrupted);
        let offset = g.ctx.regs.rip - CODE;
        assert!(offset < 0x1000, "{:x} is not the guest's code", g.ctx.regs.rip);
        // Every other time all registers are reloaded.
        g.ctx.full |= round % 2 == 0;
    }
}

//! Guests that attack the stub, and what the stub's code may contain.

use std::any::Any;
use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions, InstructionInfoFactory, Mnemonic};

use crate::systrap::image::Image;
use crate::systrap::layout::{ALT_STACK, AREA, UP, UP_XSAVE};
use crate::systrap::tests::harness::{DATA, DATA_END, Guest, PLATFORM, enter, guest};
use crate::systrap::thread::SystrapThread;
use crate::{Event, Thread};

/// Address of a thread's area in its process.
fn area(thread: &mut Box<dyn Thread>) -> u64 {
    let thread: &mut dyn Any = &mut **thread;
    thread.downcast_mut::<SystrapThread>().expect("a systrap thread").shared.area
}

/// The stub's code is `range` to `range`: every instruction in it.
fn instructions(image: &Image) -> impl Iterator<Item = iced_x86::Instruction> + '_ {
    Decoder::with_ip(64, image.code, 0, DecoderOptions::NONE).into_iter()
}

#[test]
fn the_stub_touches_no_extended_register() {
    let image = Image::embedded();
    let mut info = InstructionInfoFactory::new();
    let mut count = 0;
    for instruction in instructions(&image) {
        count += 1;
        if matches!(instruction.mnemonic(), Mnemonic::Xsave64 | Mnemonic::Xrstor64) {
            continue;
        }
        let at = instruction.ip();
        assert!(!instruction.is_invalid(), "{at:x} does not decode");
        assert!(instruction.fpu_stack_increment_info().increment() == 0, "{at:x} is x87");
        for used in info.info(&instruction).used_registers() {
            let register = used.register();
            assert!(
                register.is_gpr() || register.is_segment_register(),
                "{at:x} uses {register:?}"
            );
        }
    }
    assert!(count > 200);
}

#[test]
fn every_call_of_the_stub_has_a_row() {
    let image = Image::embedded();
    let known: Vec<u64> = bevor_confine::tables::agent::SITES
        .iter()
        .chain(bevor_confine::tables::guest::SITES)
        .map(|site| image.known(site.symbol))
        .collect();
    let mut sites = 0;
    for instruction in instructions(&image) {
        if instruction.mnemonic() == Mnemonic::Syscall {
            sites += 1;
            assert!(known.contains(&instruction.next_ip()), "{:x}", instruction.ip());
        }
    }
    assert_eq!(sites, known.len());
}

/// Fills part of the thread's area with a byte from inside the guest, then goes on.
fn scribble(part: Range<u64>, byte: u8) {
    let mut g = Guest::new(guest!(guest_fill), 0);
    let area = area(&mut g.thread);
    g.ctx.regs.rdi = area + part.start;
    g.ctx.regs.rcx = part.end - part.start;
    g.ctx.regs.rax = byte.into();
    for _ in 0..20 {
        match g.run() {
            Event::Gone => break,
            _ => g.ctx.regs.rax = 0,
        }
        if g.thread.fp_state().is_err() {
            break;
        }
    }
    let mut other = Guest::new(guest!(guest_calls), 0);
    assert_eq!(other.run(), Event::Syscall, "a neighbour notices nothing");
}

#[test]
fn scribbling_over_the_event_page_harms_the_guest_only() {
    for byte in [0, 1, 0x7f, 0xff] {
        scribble(UP..UP + 0x1000, byte);
    }
}

#[test]
fn scribbling_over_the_extended_state_harms_the_guest_only() {
    scribble(UP_XSAVE..UP_XSAVE + 0x3000, 0xff);
}

#[test]
fn scribbling_over_the_signal_stack_harms_the_guest_only() {
    scribble(ALT_STACK..AREA, 0xff);
}

#[test]
fn pages_of_the_sentry_cannot_be_written() {
    let mut g = Guest::new(guest!(guest_store), 0);
    let core = &PLATFORM.core;
    let area = area(&mut g.thread);
    for addr in [
        area + crate::systrap::layout::DOWN,
        core.region.config(0),
        core.region.bell(0),
        core.region.agent_down(),
        core.region.image + 0x1000,
    ] {
        g.ctx = enter(guest!(guest_store), addr);
        assert!(matches!(g.run(), Event::PageFault { addr: at, .. } if at == addr));
    }
}

#[test]
fn a_stack_pointer_inside_the_signal_stack_harms_the_guest_only() {
    for at in [ALT_STACK, ALT_STACK + 0x100, ALT_STACK + 0x1800, AREA - 0x40, AREA] {
        let mut g = Guest::new(guest!(guest_calls), 0);
        g.ctx.regs.rsp = area(&mut g.thread) + at;
        for _ in 0..3 {
            if g.run() == Event::Gone {
                break;
            }
        }
        let mut other = Guest::new(guest!(guest_calls), 0);
        assert_eq!(other.run(), Event::Syscall);
    }
}

#[test]
fn a_guest_that_forges_the_agents_results_fools_itself_only() {
    // Another thread of the process overwrites the results all the time.
    let mut g = Guest::new(guest!(guest_forge), 0);
    g.ctx.regs.rdi = PLATFORM.core.region.agent_up();
    g.resume();
    for _ in 0..200 {
        // Whatever it says, the order was carried out when `apply` returns.
        drop(g.space.apply(&g.memory.orders()));
    }
    drop(g.space.clone().new_thread());
    g.space.kill();
    assert_eq!(g.wait(), Event::Gone);
    let mut other = Guest::new(guest!(guest_load), DATA);
    assert_eq!(other.run(), Event::Syscall);
    assert_eq!(other.ctx.regs.rsp, DATA_END);
}

#[test]
fn a_thread_that_waits_on_its_own_account_is_one_that_waits() {
    // The host says that it waits, and where; which registers it took there does not matter.
    let image = Image::embedded();
    for _ in 0..50 {
        let mut g = Guest::new(guest!(guest_wait_alone), 0);
        g.ctx.regs.rcx = PLATFORM.core.region.image + image.known("guest_wait_ip") - 2;
        g.run();
        let pid = g.stub_pid();
        drop(g);
        let others: Vec<_> = (0..12).map(|_| Guest::new(guest!(guest_calls), 0)).collect();
        if let Some(mut next) = others.into_iter().find(|next| next.stub_pid() == pid) {
            assert_eq!(next.run(), Event::Syscall);
            assert_eq!(next.ctx.regs.rsp, DATA_END);
            return;
        }
    }
    panic!("its process never serves again");
}

#[test]
fn a_forged_signal_frame_harms_the_guest_only() {
    // The handler's way out is open to guests: it takes registers from a page they can write.
    let core = &PLATFORM.core;
    let image = Image::embedded();
    let mut g = Guest::new(guest!(guest_jump), core.region.image);
    g.ctx.regs.rdi = core.region.image + image.known("signal_return");
    g.ctx.regs.rdx = DATA + 0x200;
    g.ctx.regs.rsp = DATA + 0x100;
    assert_eq!(g.run(), Event::Gone, "no extended state at address 0");
    // Signal mask and signal stack it must not change: the host's way out is closed.
    for site in ["guest_wait_ip", "guest_wake_ip", "agent_call_ip", "no_restorer"] {
        let mut g = Guest::new(guest!(guest_jump), core.region.image);
        g.ctx.regs.rdi = core.region.image + image.known(site) - 2;
        g.ctx.regs.rax = libc::SYS_rt_sigreturn.cast_unsigned();
        g.ctx.regs.rsp = DATA + 0x100;
        assert_eq!(g.run(), Event::Gone, "{site}");
    }
    let mut other = Guest::new(guest!(guest_calls), 0);
    assert_eq!(other.run(), Event::Syscall);
}

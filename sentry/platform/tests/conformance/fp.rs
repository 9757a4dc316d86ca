//! Extended state.

use bevor_platform::{FpState, Platform};

use crate::conformance::case::Case;
use crate::conformance::case::cases;
use crate::conformance::world::{DATA, World, guest_code};

pub const CASES: &[Case] = cases![
    a_program_starts_with_the_initial_state,
    state_is_read_as_the_guest_left_it,
    state_is_loaded_as_it_was_set,
    an_empty_state_is_the_initial_one,
    hostile_state_is_harmless,
    state_survives_system_calls,
];

const XMM0: usize = 160;
const MXCSR: usize = 24;
const XSTATE_BV: usize = 512;

guest_code!(save, "2:", "fxsave [rdi]", "mov eax, 1", "syscall", "jmp 2b");

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn saved_by_guest(world: &mut World) -> Vec<u8> {
    world.ctx.regs.rdi = DATA;
    world.ctx.full = true;
    assert_eq!(world.run_to_syscall(), 1);
    world.bytes(0, 512)
}

fn assert_initial(saved: &[u8]) {
    assert_eq!(saved[..2], [0x7f, 0x03], "x87 control word");
    assert_eq!(saved[2..5], [0; 3], "x87 status and tags");
    assert_eq!(u32_at(saved, MXCSR), 0x1f80);
    assert!(saved[XMM0..XMM0 + 256].iter().all(|&b| b == 0), "SSE registers");
}

fn a_program_starts_with_the_initial_state(platform: &dyn Platform) {
    let mut world = World::new(platform, save());
    assert_initial(&saved_by_guest(&mut world));
}

guest_code!(
    load_then_call,
    "movups xmm0, [rdi]",
    "movups xmm15, [rdi + 16]",
    "ldmxcsr [rdi + 32]",
    "fldcw [rdi + 36]",
    "fldpi",
    "mov eax, 1",
    "syscall",
    "fstp qword ptr [rdi + 40]",
    "movups [rdi], xmm15",
    "mov eax, 2",
    "syscall",
);

fn state_is_read_as_the_guest_left_it(platform: &dyn Platform) {
    let mut world = World::new(platform, load_then_call());
    let words = [0x0101, 0x0202, 0x0303, 0x0404];
    for (i, word) in words.into_iter().enumerate() {
        world.set_word(8 * i as u64, word);
    }
    world.set_word(32, 0x1fa0 | 0x27f << 32);
    world.ctx.regs.rdi = DATA;
    assert_eq!(world.run_to_syscall(), 1);
    let state = world.thread.fp_state().expect("a parked thread").xsave;
    assert!(state.len() >= 576, "a standard XSAVE area");
    assert_eq!(state[..2], [0x7f, 0x02]);
    assert_eq!(u32_at(&state, MXCSR), 0x1fa0);
    assert_eq!(state[XMM0..XMM0 + 16], world.bytes(0, 16));
    assert_eq!(state[XMM0 + 240..XMM0 + 256], world.bytes(16, 16));
    assert_eq!(state[XSTATE_BV] & 3, 3, "x87 and SSE are in use");
    // Reading it disturbs nothing.
    assert_eq!(world.run_to_syscall(), 2);
    assert_eq!(world.word(40), std::f64::consts::PI.to_bits());
    assert_eq!([world.word(0), world.word(8)], [0x0303, 0x0404]);
}

guest_code!(call_then_save, "mov eax, 1", "syscall", "fxsave [rdi]", "mov eax, 2", "syscall");

fn state_is_loaded_as_it_was_set(platform: &dyn Platform) {
    let mut world = World::new(platform, call_then_save());
    assert_eq!(world.run_to_syscall(), 1);
    let mut state = world.thread.fp_state().expect("a parked thread");
    for (i, byte) in state.xsave[XMM0..XMM0 + 256].iter_mut().enumerate() {
        *byte = u8::try_from(i).expect("256 bytes");
    }
    state.xsave[MXCSR..MXCSR + 4].copy_from_slice(&0x1fc0_u32.to_le_bytes());
    state.xsave[XSTATE_BV] |= 3;
    world.thread.set_fp_state(&state).expect("a parked thread");
    let again = world.thread.fp_state().expect("a parked thread");
    assert_eq!(again.xsave[XMM0..XMM0 + 256], state.xsave[XMM0..XMM0 + 256]);
    world.ctx.regs.rdi = DATA;
    world.ctx.full = true;
    assert_eq!(world.run_to_syscall(), 2);
    let saved = world.bytes(0, 512);
    assert_eq!(saved[XMM0..XMM0 + 256], state.xsave[XMM0..XMM0 + 256]);
    assert_eq!(u32_at(&saved, MXCSR), 0x1fc0);
}

fn an_empty_state_is_the_initial_one(platform: &dyn Platform) {
    let mut world = World::new(platform, save());
    let mut state = world.thread.fp_state().expect("a parked thread");
    state.xsave[XMM0..XMM0 + 256].fill(0xee);
    state.xsave[XSTATE_BV] |= 3;
    world.thread.set_fp_state(&state).expect("a parked thread");
    assert_eq!(saved_by_guest(&mut world)[XMM0..XMM0 + 256], [0xee; 256]);
    world.thread.set_fp_state(&FpState::default()).expect("a parked thread");
    world.jump(0);
    assert_initial(&saved_by_guest(&mut world));
}

fn hostile_state_is_harmless(platform: &dyn Platform) {
    let mut world = World::new(platform, save());
    for (len, fill) in [(4096, 0xff), (576, 0xff), (512, 0xff), (100, 0xff), (1 << 20, 0)] {
        // Refused or trimmed, as the platform likes; the guest goes on in any case.
        let _ = world.thread.set_fp_state(&FpState { xsave: vec![fill; len] });
        world.thread.set_fp_state(&FpState::default()).expect("still a parked thread");
        world.jump(0);
        assert_initial(&saved_by_guest(&mut world));
    }
}

guest_code!(
    count_in_xmm,
    "pcmpeqd xmm1, xmm1", // all ones: minus one
    "pxor xmm0, xmm0",
    "2:",
    "psubd xmm0, xmm1",
    "movd edi, xmm0",
    "mov eax, 1",
    "syscall",
    "jmp 2b",
);

fn state_survives_system_calls(platform: &dyn Platform) {
    let mut world = World::new(platform, count_in_xmm());
    for i in 1..=1000 {
        assert_eq!(world.run_to_syscall(), 1);
        assert_eq!(world.ctx.regs.rdi, i);
        world.ctx.full = i % 3 == 0;
        world.answer(0);
    }
}

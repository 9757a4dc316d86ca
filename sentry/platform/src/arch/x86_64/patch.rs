//! Rewriting of system call sites.
//!
//! A site is `syscall` and the instruction after it, decoded forward from the address the processor
//! reported, so that every boundary is certain. Its first five bytes become `jmp rel32` to a trampoline
//! within 2 GiB. One of them, the third, was an instruction's beginning: somebody may return or jump
//! there. So the trampoline is placed where that byte of the distance is an opcode that does not exist in
//! 64-bit mode; who arrives there raises SIGILL and is sent on to the trampoline's tail, which holds the
//! instruction that was there. All other bytes of the following instruction stay as they are.

use iced_x86::{
    BlockEncoder, BlockEncoderOptions, Decoder, DecoderOptions, FlowControl, Instruction,
    InstructionBlock,
};

use crate::arch::x86_64::simple;
use crate::systrap::layout::{down, trampoline};

/// Longest stretch of code looked at: `syscall` and one instruction.
pub const LOOK: usize = 2 + 15;
/// Bytes a patch changes.
pub const PATCH_LEN: usize = 5;
const SYSCALL: [u8; 2] = [0x0f, 0x05];
const TRAMPOLINE_LEN: usize = 64;
const _: () = assert!(TRAMPOLINE_LEN as u64 == trampoline::LEN);
/// Length of `syscall`.
pub const SYSCALL_LEN: u64 = 2;
const JMP: u8 = 0xe9;
/// One-byte opcodes that raise #UD in 64-bit mode on every processor. Not 0x62, 0xc4, 0xc5, 0xd5,
/// 0xd6, 0x82, 0x9a, 0xea: prefixes of newer instructions, or likely to become such.
const INVALID: [u8; 15] =
    [0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0xce, 0xd4];

/// A site that can be rewritten.
#[derive(Debug)]
pub struct Site {
    /// Address of the `syscall` instruction.
    pub addr: u64,
    next: Next,
}

/// The instruction that is moved.
#[derive(Debug)]
enum Next {
    /// It means the same anywhere.
    Anywhere(Vec<u8>),
    /// It may have to be encoded anew.
    Decoded(Box<Instruction>),
}

impl Next {
    fn len(&self) -> usize {
        match self {
            Self::Anywhere(bytes) => bytes.len(),
            Self::Decoded(instruction) => instruction.len(),
        }
    }

    /// Its bytes at address `at`.
    fn encode(&self, at: u64) -> Option<Vec<u8>> {
        match self {
            Self::Anywhere(bytes) => Some(bytes.clone()),
            Self::Decoded(instruction) => {
                let block = [**instruction];
                let block = InstructionBlock::new(&block, at);
                let moved = BlockEncoder::encode(64, block, BlockEncoderOptions::NONE).ok()?;
                Some(moved.code_buffer)
            }
        }
    }
}

/// What to write where.
#[derive(Debug)]
pub struct Patch {
    /// The site's new first bytes.
    pub code: [u8; PATCH_LEN],
    /// The trampoline.
    pub trampoline: [u8; TRAMPOLINE_LEN],
    /// Length of the moved instruction in the trampoline.
    pub moved_len: u64,
    /// Address after the moved instruction's original.
    pub back: u64,
}

impl Site {
    /// Decodes the bytes at `addr`. `None`: they are no `syscall`, or the instruction after it cannot
    /// be moved.
    pub fn decode(addr: u64, code: &[u8]) -> Option<Self> {
        let rest = code.strip_prefix(&SYSCALL)?;
        if let Some(bytes) = simple::length(rest).and_then(|len| rest.get(..len)) {
            let reaches = bytes.len() + SYSCALL.len() >= PATCH_LEN;
            return reaches.then(|| Self { addr, next: Next::Anywhere(bytes.to_vec()) });
        }
        let next = addr + SYSCALL_LEN;
        let mut decoder = Decoder::with_ip(64, rest, next, DecoderOptions::NONE);
        let instruction = decoder.decode();
        let movable = matches!(
            instruction.flow_control(),
            FlowControl::Next | FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
        );
        let reaches = instruction.len() + SYSCALL.len() >= PATCH_LEN;
        (!instruction.is_invalid() && movable && reaches)
            .then(|| Self { addr, next: Next::Decoded(Box::new(instruction)) })
    }

    /// Whether a trampoline at `at` is in reach and makes the third byte trap.
    pub fn fits(&self, at: u64) -> bool {
        self.distance(at).is_some_and(|rel| INVALID.contains(&rel.to_le_bytes()[1]))
    }

    fn distance(&self, at: u64) -> Option<i32> {
        let from = self.addr + PATCH_LEN as u64;
        i32::try_from(at.wrapping_sub(from).cast_signed()).ok()
    }

    /// Builds the patch with a trampoline at `at`, which [`fits`](Self::fits).
    pub fn build(&self, at: u64, stub_entry: u64) -> Option<Patch> {
        let mut code = [JMP, 0, 0, 0, 0];
        code[1..].copy_from_slice(&self.distance(at)?.to_le_bytes());

        let tail = at + trampoline::TAIL;
        let moved = self.next.encode(tail)?;
        let back = self.addr + SYSCALL_LEN + self.next.len() as u64;
        let jump_end = tail + moved.len() as u64 + PATCH_LEN as u64;
        let home = i32::try_from(back.wrapping_sub(jump_end).cast_signed()).ok()?;

        let mut bytes = [0xcc; TRAMPOLINE_LEN];
        let mut put = |offset: u64, what: &[u8]| {
            let start = usize::try_from(offset).ok()?;
            bytes.get_mut(start..start + what.len())?.copy_from_slice(what);
            Some(())
        };
        // lea r11, [rip + tail]; jmp [rip + stub]
        let to_tail = u8::try_from(trampoline::TAIL - 7).ok()?;
        put(trampoline::ENTRY, &[0x4c, 0x8d, 0x1d, to_tail, 0, 0, 0])?;
        let to_stub = u8::try_from(trampoline::STUB - 13).ok()?;
        put(trampoline::ENTRY + 7, &[0xff, 0x25, to_stub, 0, 0, 0])?;
        put(trampoline::STUB, &stub_entry.to_le_bytes())?;
        put(trampoline::ORIGINAL, &(self.addr + SYSCALL_LEN).to_le_bytes())?;
        put(trampoline::TRAP, &SYSCALL)?;
        put(trampoline::TAIL, &moved)?;
        put(trampoline::TAIL + moved.len() as u64, &[JMP])?;
        put(trampoline::TAIL + moved.len() as u64 + 1, &home.to_le_bytes())?;
        Some(Patch { code, trampoline: bytes, moved_len: moved.len() as u64, back })
    }
}

/// The constant by which `guest_patched` recognises GS bases in `window`.
pub fn window_constant(window: u64) -> [u8; 4] {
    let [_, _, _, _, high @ ..] = window.to_le_bytes();
    0_u32.wrapping_sub(u32::from_be_bytes(high)).to_le_bytes()
}

/// The calls answered in the guest by their entry in `down::ANSWERS`, with the entries.
pub fn answers(answers: &crate::Answers) -> [(i64, u64); 14] {
    let crate::Answers { pid, tid, ppid, pgid, sid, uid, euid, gid, egid, .. } = *answers;
    let plain = |value: u32| down::ANSWERED | u64::from(value);
    let special = |kind: u64, value: u64| down::ANSWERED | down::SPECIAL | kind | value;
    let names = answers.names.map_or(0, |_| special(down::NAMES_TO, 0));
    [
        (libc::SYS_getpid, plain(pid)),
        (libc::SYS_gettid, plain(tid)),
        (libc::SYS_getppid, plain(ppid)),
        (libc::SYS_getpgrp, plain(pgid)),
        (libc::SYS_getpgid, special(0, pgid.into())),
        (libc::SYS_getsid, special(0, sid.into())),
        (libc::SYS_getuid, plain(uid)),
        (libc::SYS_geteuid, plain(euid)),
        (libc::SYS_getgid, plain(gid)),
        (libc::SYS_getegid, plain(egid)),
        (libc::SYS_getresuid, special(down::IDS_TO, 0)),
        (libc::SYS_getresgid, special(down::IDS_TO, 12)),
        (libc::SYS_uname, names),
        (libc::SYS_sched_yield, special(down::YIELD, 0)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// syscall; cmp rax, -4095
    const GLIBC: [u8; 8] = [0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff];

    #[test]
    fn every_answered_call_is_named() {
        let answered = answers(&crate::Answers::default()).map(|(nr, _)| nr.cast_unsigned());
        let named = crate::ANSWERED_CALLS;
        assert_eq!(named.split_last(), Some((&libc::SYS_getcpu.cast_unsigned(), &answered[..])));
    }

    fn place(site: &Site, near: u64) -> u64 {
        (0..0x400).map(|i| near + i * trampoline::LEN).find(|&at| site.fits(at)).expect("a place")
    }

    #[test]
    fn a_patch_keeps_or_traps_every_boundary() {
        for addr in [0x40_1234, 0x7f12_3456_789a] {
            let site = Site::decode(addr, &GLIBC).expect("a site");
            let at = place(&site, addr & !0xffff | 0x100_0000);
            let patch = site.build(at, 0x7f00_8000_0000).expect("a patch");
            let mut code = GLIBC;
            code[..PATCH_LEN].copy_from_slice(&patch.code);
            let jump = Decoder::with_ip(64, &code, addr, DecoderOptions::NONE).decode();
            assert_eq!((jump.len(), jump.near_branch_target()), (5, at));
            let inside = Decoder::with_ip(64, &code[2..], addr + 2, DecoderOptions::NONE).decode();
            assert!(inside.is_invalid());
            assert_eq!(patch.back, addr + 8);
        }
    }

    #[test]
    fn the_trampoline_does_what_the_site_did() {
        // syscall; jae +0x10 (long form); syscall; lea rax, [rip + 0x100]; …
        for code in [
            &[0x0f, 0x05, 0x0f, 0x83, 0x10, 0, 0, 0][..],
            &[0x0f, 0x05, 0x48, 0x8d, 0x05, 0, 1, 0, 0][..],
            &GLIBC,
            // mov [rsp + 8], rax
            &[0x0f, 0x05, 0x48, 0x89, 0x44, 0x24, 8],
        ] {
            let addr = 0x40_1000;
            let site = Site::decode(addr, code).expect("a site");
            let at = place(&site, 0x80_0000);
            let patch = site.build(at, 0).expect("a patch");
            let tail = usize::try_from(trampoline::TAIL).expect("small");
            let bytes = &patch.trampoline[tail..];
            let mut decoder =
                Decoder::with_ip(64, bytes, at + trampoline::TAIL, DecoderOptions::NONE);
            let moved = decoder.decode();
            let options = DecoderOptions::NONE;
            let next = Decoder::with_ip(64, &code[2..], addr + SYSCALL_LEN, options).decode();
            assert_eq!(moved.mnemonic(), next.mnemonic());
            assert_eq!(moved.near_branch_target(), next.near_branch_target());
            assert_eq!(
                moved.is_ip_rel_memory_operand().then(|| moved.ip_rel_memory_address()),
                next.is_ip_rel_memory_operand().then(|| next.ip_rel_memory_address())
            );
            assert_eq!(decoder.decode().near_branch_target(), patch.back);
        }
    }

    #[test]
    fn what_cannot_be_moved_is_left_alone() {
        let refused: [&[u8]; 6] = [
            &[0x0f, 0x05, 0xc3, 0x90, 0x90],       // ret
            &[0x0f, 0x05, 0x85, 0xc0, 0x75, 0x10], // test eax, eax
            &[0x0f, 0x05, 0xe8, 0, 0, 0, 0],       // call
            &[0x0f, 0x05, 0x48, 0x3d, 0x01],       // cut off
            &[0x0f, 0x05],
            &[0xcd, 0x80, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff], // int 0x80
        ];
        for code in refused {
            assert!(Site::decode(0x40_0000, code).is_none(), "{code:x?}");
        }
    }
}

//! Filters that bind each call to the one instruction that makes it.

use seccompiler::{BpfProgram, sock_filter};

use crate::filter::{FilterError, Foreign, Options, Values, compile, ip_within};
use crate::row::Row;

/// The calls one `syscall` instruction of the stub may make.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// The stub's symbol for the address after the instruction, which is what a filter sees.
    pub symbol: &'static str,
    /// The calls.
    pub rows: &'static [Row],
}

/// `BPF_JMP | BPF_JA`: skips `k` instructions.
const JA: u16 = 0x05;
/// `BPF_RET | BPF_K`.
const RET: u16 = 0x06;

/// Compiles sites into a program that allows, at each, its rows, and traps everything else (calls of
/// other architectures included). The first site is tried first. `address` resolves symbols.
///
/// # Errors
/// [`FilterError::Unbound`] also for an unknown symbol; [`FilterError::Table`].
pub fn compile_sites<'a>(
    sites: impl IntoIterator<Item = &'a Site>,
    address: impl Fn(&str) -> Option<u64>,
    values: &Values,
) -> Result<BpfProgram, FilterError> {
    let options = Options { foreign: Foreign::Trap, ..Options::default() };
    let mut program = BpfProgram::new();
    for site in sites {
        let ip = address(site.symbol).ok_or(FilterError::Unbound(site.symbol))?;
        let mut body = compile(site.rows, values, &options)?;
        program.append(&mut ip_within(&(ip..ip + 1)));
        if let Some(elsewhere) = program.last_mut() {
            let skip = u32::try_from(body.len()).unwrap_or(u32::MAX);
            *elsewhere = sock_filter { code: JA, jt: 0, jf: 0, k: skip };
        }
        program.append(&mut body);
    }
    program.push(sock_filter { code: RET, jt: 0, jf: 0, k: libc::SECCOMP_RET_TRAP });
    Ok(program)
}

//! From table to BPF program.
//!
//! The program is a chain of segments that `seccompiler` made: the hot rows, the other rows, then the
//! calls that kill at once. A segment whose numbers do not match falls through to the next; a row
//! whose number matches and whose forms all fail ends in the default action. Only the check of the
//! instruction pointer, which `seccompiler` cannot express, is written by hand.

use std::collections::BTreeMap;
use std::ops::Range;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};

use crate::row::{Arg, Row, Test, Value};

/// Why a table could not be compiled or installed.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// A row names a value that was not given.
    #[error("no value was given for @{0} of the host-call table")]
    Unbound(&'static str),
    /// The table itself is wrong or too long.
    #[error("the host-call table does not compile: {0}")]
    Table(#[from] seccompiler::BackendError),
    /// The host refused the filter.
    #[error("the host refused a seccomp filter (is CONFIG_SECCOMP_FILTER on?): {0}")]
    Host(#[from] std::io::Error),
    /// Another thread of the process has a filter of its own.
    #[error("thread {0} could not take the seccomp filter")]
    Thread(i64),
}

/// Values that are known only when a process starts, by the name a table gives them.
#[derive(Clone, Debug, Default)]
pub struct Values(Vec<(&'static str, u64)>);

impl Values {
    /// No values.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a value.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: u64) -> Self {
        self.0.push((name, value));
        self
    }

    fn get(&self, value: Value) -> Result<u64, FilterError> {
        match value {
            Value::Is(value) => Ok(value),
            Value::Named(name) => self
                .0
                .iter()
                .find_map(|&(n, v)| (n == name).then_some(v))
                .ok_or(FilterError::Unbound(name)),
        }
    }
}

/// What happens to a call of another architecture (`int 0x80`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Foreign {
    /// The process is killed.
    #[default]
    Kill,
    /// `SIGSYS`, like every other refused call: the sentry serves it.
    Trap,
}

/// What a filter does besides comparing rows.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Calls from an instruction pointer outside this range are trapped, whatever they are. The
    /// pointer a filter sees is the one after the `syscall` instruction.
    pub ip: Option<Range<u64>>,
    /// Calls of another architecture.
    pub foreign: Foreign,
    /// Calls that kill the process at once instead of being trapped, unless a row allows them.
    pub killed: &'static [Row],
}

/// Instructions at the head of a segment: three check the architecture, one loads the number.
const ARCH_LEN: usize = 3;
const HEAD_LEN: usize = ARCH_LEN + 1;

/// Compiles rows into a program that allows them and traps everything else.
///
/// Rows of one call are merged: any of their forms is allowed.
///
/// # Errors
/// [`FilterError::Unbound`], [`FilterError::Table`].
pub fn compile<'a>(
    rows: impl IntoIterator<Item = &'a Row>,
    values: &Values,
    options: &Options,
) -> Result<BpfProgram, FilterError> {
    let mut hot = BTreeMap::new();
    let mut rest = BTreeMap::new();
    for row in rows {
        let map: &mut BTreeMap<i64, Vec<SeccompRule>> =
            if row.hot || hot.contains_key(&row.nr) { &mut hot } else { &mut rest };
        let rules = rules(row, values)?;
        match map.get_mut(&row.nr) {
            Some(have) if have.is_empty() || rules.is_empty() => have.clear(),
            Some(have) => have.extend(rules),
            None => drop(map.insert(row.nr, rules)),
        }
    }
    // A hot row met after a plain one of the same call takes the plain one's forms over.
    for (nr, rules) in &mut hot {
        match rest.remove(nr) {
            Some(more) if more.is_empty() || rules.is_empty() => rules.clear(),
            Some(more) => rules.extend(more),
            None => {}
        }
    }
    let mut killed: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for row in options.killed {
        if !hot.contains_key(&row.nr) && !rest.contains_key(&row.nr) {
            killed.insert(row.nr, rules(row, values)?);
        }
    }

    let mut program = options.ip.as_ref().map_or_else(Vec::new, ip_within);
    let mut first = true;
    for (rules, on_match) in [
        (hot, SeccompAction::Allow),
        (rest, SeccompAction::Allow),
        (killed, SeccompAction::KillProcess),
    ] {
        if rules.is_empty() {
            continue;
        }
        let filter = SeccompFilter::new(rules, SeccompAction::Trap, on_match, ARCH)?;
        let mut segment: BpfProgram = filter.try_into()?;
        segment.pop(); // its default action: the next segment, or the one after the last, follows
        if first {
            if options.foreign == Foreign::Trap {
                segment[ARCH_LEN - 1].k = libc::SECCOMP_RET_TRAP;
            }
        } else {
            // The architecture is known and the accumulator still holds the number.
            segment.drain(..HEAD_LEN);
        }
        first = false;
        program.append(&mut segment);
    }
    program.push(ret(libc::SECCOMP_RET_TRAP));
    if program.len() > MAX_LEN {
        return Err(seccompiler::BackendError::FilterTooLarge(program.len()).into());
    }
    Ok(program)
}

#[cfg(target_arch = "x86_64")]
const ARCH: seccompiler::TargetArch = seccompiler::TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: seccompiler::TargetArch = seccompiler::TargetArch::aarch64;

/// `BPF_MAXINSNS`.
const MAX_LEN: usize = 4096;

fn rules(row: &Row, values: &Values) -> Result<Vec<SeccompRule>, FilterError> {
    let mut rules = Vec::with_capacity(row.forms.len());
    for form in row.forms {
        let mut conditions = Vec::with_capacity(form.args.len());
        for arg in form.args {
            conditions.push(condition(arg, values)?);
        }
        rules.push(SeccompRule::new(conditions)?);
    }
    Ok(rules)
}

fn condition(arg: &Arg, values: &Values) -> Result<SeccompCondition, FilterError> {
    let op = match arg.test {
        Test::Eq => SeccompCmpOp::Eq,
        Test::Ne => SeccompCmpOp::Ne,
        Test::Lt => SeccompCmpOp::Lt,
        Test::Le => SeccompCmpOp::Le,
        Test::Gt => SeccompCmpOp::Gt,
        Test::Ge => SeccompCmpOp::Ge,
        Test::Masked(mask) => SeccompCmpOp::MaskedEq(mask),
    };
    let len = if arg.wide { SeccompCmpArgLen::Qword } else { SeccompCmpArgLen::Dword };
    Ok(SeccompCondition::new(arg.index, len, op, values.get(arg.value)?)?)
}

// `struct seccomp_data`: number, architecture, instruction pointer (low half first), arguments.
const IP_LOW: u32 = 8;
const IP_HIGH: u32 = 12;
const LD_ABS: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JEQ: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JGT: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const JGE: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RET: u16 = 0x06; // BPF_RET | BPF_K

const fn ld(offset: u32) -> sock_filter {
    sock_filter { code: LD_ABS, jt: 0, jf: 0, k: offset }
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

const fn ret(action: u32) -> sock_filter {
    sock_filter { code: RET, jt: 0, jf: 0, k: action }
}

const fn halves(value: u64) -> (u32, u32) {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a 64-bit word")]
    let halves = ((value >> 32) as u32, value as u32);
    halves
}

/// Traps calls whose instruction pointer is outside `range`, falls through for the others.
///
/// Public so that a program written by hand (the stub's) can start with it.
#[must_use]
pub fn ip_within(range: &Range<u64>) -> BpfProgram {
    let (start_high, start_low) = halves(range.start);
    let (end_high, end_low) = halves(range.end);
    vec![
        // start <= ip: the high half decides unless equal.
        ld(IP_HIGH),
        jump(JGT, start_high, 3, 0),
        jump(JEQ, start_high, 0, 7),
        ld(IP_LOW),
        jump(JGE, start_low, 0, 5),
        // ip < end
        ld(IP_HIGH),
        jump(JGT, end_high, 3, 0),
        jump(JEQ, end_high, 0, 3),
        ld(IP_LOW),
        jump(JGE, end_low, 0, 1),
        ret(libc::SECCOMP_RET_TRAP),
    ]
}

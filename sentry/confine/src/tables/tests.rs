//! Checks the real tables by running their programs in an interpreter of classic BPF, so that calls
//! no test could make on a host (`exit`, blocking waits) are tried too.

use std::collections::BTreeMap;

use crate::row::{Arg, Row, Test, Value};
use crate::tables::{Features, KILLED, Role, rows};
use crate::{BpfProgram, Options, Values, compile};

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
/// Stands for every value that is bound when a process starts.
const BOUND: u64 = 0x7f12_3456_7000;

/// Runs a program on one call. The instructions are those `seccompiler` and `ip_within` emit.
fn run(program: &BpfProgram, nr: u32, arch: u32, args: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend(nr.to_le_bytes());
    data.extend(arch.to_le_bytes());
    data.extend(BOUND.to_le_bytes());
    args.iter().for_each(|arg| data.extend(arg.to_le_bytes()));
    let (mut pc, mut a) = (0_usize, 0_u32);
    loop {
        let step = &program[pc];
        pc += 1;
        let branch = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
        match step.code {
            0x20 => {
                let at = step.k as usize;
                a = u32::from_le_bytes(data[at..at + 4].try_into().expect("four bytes"));
            }
            0x54 => a &= step.k,
            0x05 => pc += step.k as usize,
            0x15 => pc += branch(a == step.k),
            0x25 => pc += branch(a > step.k),
            0x35 => pc += branch(a >= step.k),
            0x06 => return step.k,
            code => panic!("instruction {code:#x}"),
        }
    }
}

fn value(arg: &Arg) -> u64 {
    match arg.value {
        Value::Is(value) => value,
        Value::Named(_) => BOUND,
    }
}

/// Whether `arg` holds for a register value, by the definition of the comparisons.
fn holds(arg: &Arg, register: u64) -> bool {
    let narrow = |v: u64| if arg.wide { v } else { v & 0xffff_ffff };
    let (have, want) = (narrow(register), narrow(value(arg)));
    match arg.test {
        Test::Eq => have == want,
        Test::Ne => have != want,
        Test::Lt => have < want,
        Test::Le => have <= want,
        Test::Gt => have > want,
        Test::Ge => have >= want,
        Test::Masked(mask) => have & narrow(mask) == want,
    }
}

/// Register values worth trying for the arguments a call's forms name.
fn candidates(forms: &[crate::Form]) -> Vec<[u64; 6]> {
    let mut interesting: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
    for arg in forms.iter().flat_map(|form| form.args) {
        let v = value(arg);
        let list = interesting.entry(arg.index).or_default();
        list.extend([v, v.wrapping_add(1), v.wrapping_sub(1), 0, u64::MAX, v | 1 << 40]);
        if let Test::Masked(mask) = arg.test {
            list.extend([v | !mask, v ^ mask]);
        }
        list.sort_unstable();
        list.dedup();
    }
    let mut all = vec![[0_u64; 6]];
    for (index, values) in interesting {
        all = all
            .into_iter()
            .flat_map(|args| {
                values.iter().map(move |&v| {
                    let mut args = args;
                    args[usize::from(index)] = v;
                    args
                })
            })
            .collect();
        assert!(all.len() < 200_000, "forms stay simple enough to be checked");
    }
    all
}

fn bound(rows: &[&Row]) -> Values {
    let mut values = Values::new();
    for arg in rows.iter().flat_map(|row| row.forms).flat_map(|form| form.args) {
        if let Value::Named(name) = arg.value {
            values = values.with(name, BOUND);
        }
    }
    values
}

fn every_table() -> Vec<(Role, Vec<&'static Row>)> {
    let mut tables = Vec::new();
    for role in Role::ALL {
        for bits in 0..8 {
            let features = Features {
                ptrace: bits & 1 != 0,
                net_host: bits & 2 != 0,
                host_unix: bits & 4 != 0,
            };
            tables.push((role, rows(role, features)));
        }
    }
    tables
}

#[test]
fn every_form_is_allowed_and_nothing_else() {
    let options = Options { killed: KILLED, ..Options::default() };
    for (role, rows) in every_table() {
        let program = compile(rows.iter().copied(), &bound(&rows), &options).expect("it compiles");
        for nr in 0..1024_u32 {
            let same: Vec<_> = rows.iter().filter(|row| row.nr == i64::from(nr)).collect();
            let killed = KILLED.iter().any(|row| row.nr == i64::from(nr));
            let any = same.iter().any(|row| row.forms.is_empty());
            let forms: Vec<_> = same.iter().flat_map(|row| row.forms).copied().collect();
            for args in candidates(&forms) {
                let allowed = any
                    || forms.iter().any(|form| {
                        form.args.iter().all(|arg| holds(arg, args[usize::from(arg.index)]))
                    });
                let expected = match (allowed, same.is_empty() && killed) {
                    (true, _) => libc::SECCOMP_RET_ALLOW,
                    (false, true) => libc::SECCOMP_RET_KILL_PROCESS,
                    (false, false) => libc::SECCOMP_RET_TRAP,
                };
                let got = run(&program, nr, X86_64, args);
                assert_eq!(got, expected, "{role}: call {nr} with {args:x?}");
                let got = run(&program, nr, I386, args);
                assert_eq!(got, libc::SECCOMP_RET_KILL_PROCESS, "{role}: 32-bit call {nr}");
                let got = run(&program, nr | 0x4000_0000, X86_64, args);
                assert_eq!(got, libc::SECCOMP_RET_TRAP, "{role}: x32 call {nr}");
            }
        }
    }
}

#[test]
fn rows_are_complete_and_unique() {
    for (role, rows) in every_table() {
        let mut seen = std::collections::BTreeSet::new();
        for row in rows {
            // The stub's tables are lists by instruction, each of which may make the same call.
            let by_site = matches!(role, Role::Guest | Role::Agent);
            // A feature may add forms to a call, but not those it has.
            let whole = row.forms.is_empty().then_some(String::new());
            for form in row.forms.iter().map(ToString::to_string).chain(whole) {
                let new = seen.insert((row.nr, form.clone()));
                let wider = !form.is_empty() && seen.contains(&(row.nr, String::new()));
                assert!(new && !wider || by_site, "{role}: {} {form} stands twice", row.name);
            }
            assert!(!row.reason.is_empty(), "{role}: {} has no reason", row.name);
            assert!(!row.test.is_empty(), "{role}: {} names no test", row.name);
            assert!(row.forms.iter().all(|form| !form.args.is_empty()), "{role}: {}", row.name);
        }
    }
}

#[test]
fn no_role_may_start_programs_mount_or_leave_its_namespaces() {
    for (role, rows) in every_table() {
        let refused =
            ["execve", "execveat", "mount", "unshare", "setns", "bpf", "keyctl", "seccomp"];
        for name in refused {
            assert!(rows.iter().all(|row| row.name != name), "{role} may {name}");
        }
    }
}

//! Puts filters on forked children and tries calls.

use crate::filter::{Foreign, Options, Values, compile};
use crate::host::testing::{End, call, in_child, int80_getpid};
use crate::host::{Threads, install};
use crate::row::Row;
use crate::tables::KILLED;
use crate::{arg, form, row};

const BASE: &[Row] = &[row!(SYS_exit_group, "ends the child", "here")];
const SIGSYS: End = End::Signal(libc::SIGSYS);
const ZERO: [u64; 6] = [0; 6];

fn args(values: &[(usize, u64)]) -> [u64; 6] {
    let mut args = ZERO;
    for &(i, value) in values {
        args[i] = value;
    }
    args
}

/// How a child ends that allows `rows` besides `exit_group` and makes one call: `Exit(0)` when the
/// call ran, whatever it answered.
fn outcome(rows: &[Row], options: &Options, values: &Values, nr: i64, args: [u64; 6]) -> End {
    let program = compile(BASE.iter().chain(rows), values, options).expect("the table compiles");
    in_child(|| {
        if install(&program, Threads::Caller).is_err() {
            return 1;
        }
        let _ran = call(nr, args);
        0
    })
}

fn plain(rows: &[Row], nr: i64, args: [u64; 6]) -> End {
    outcome(rows, &Options::default(), &Values::new(), nr, args)
}

#[test]
fn allows_what_is_listed_and_traps_the_rest() {
    let rows = &[row!(SYS_getppid, "", "")];
    assert_eq!(plain(rows, libc::SYS_getppid, ZERO), End::Exit(0));
    assert_eq!(plain(rows, libc::SYS_getuid, ZERO), SIGSYS);
    assert_eq!(plain(rows, libc::SYS_getppid | 0x4000_0000, ZERO), SIGSYS);
    assert_eq!(plain(rows, 9999, ZERO), SIGSYS);
}

#[test]
fn every_comparison_does_what_it_says() {
    // lseek(-1, …) fails with EBADF when the filter lets it through.
    let nr = libc::SYS_lseek;
    let eq = &[row!(SYS_lseek, [form!(arg!(1: long offset == 5))], "", "")];
    let ne = &[row!(SYS_lseek, [form!(arg!(1: long offset != 5))], "", "")];
    let lt = &[row!(SYS_lseek, [form!(arg!(1: long offset < 5))], "", "")];
    let le = &[row!(SYS_lseek, [form!(arg!(1: long offset <= 5))], "", "")];
    let gt = &[row!(SYS_lseek, [form!(arg!(1: long offset > 5))], "", "")];
    let ge = &[row!(SYS_lseek, [form!(arg!(1: long offset >= 5))], "", "")];
    let masked = &[row!(SYS_lseek, [form!(arg!(1: long offset & 6 == 4))], "", "")];
    let high = 5 | (1 << 40);
    for (rows, allowed, refused) in [
        (eq, &[5_u64][..], &[4, 6, high][..]),
        (ne, &[4, 6, high], &[5]),
        (lt, &[0, 4], &[5, 6, high, u64::MAX]),
        (le, &[4, 5], &[6, high, u64::MAX]),
        (gt, &[6, high, u64::MAX], &[0, 4, 5]),
        (ge, &[5, 6, high, u64::MAX], &[0, 4]),
        (masked, &[4, 5, 12, high], &[2, 6, 7]),
    ] {
        for &offset in allowed {
            let end = plain(rows, nr, args(&[(0, u64::MAX), (1, offset)]));
            assert_eq!(end, End::Exit(0), "{} with {offset:#x}", rows[0].forms[0]);
        }
        for &offset in refused {
            let end = plain(rows, nr, args(&[(0, u64::MAX), (1, offset)]));
            assert_eq!(end, SIGSYS, "{} with {offset:#x}", rows[0].forms[0]);
        }
    }
}

#[test]
fn int_arguments_ignore_the_upper_half_and_long_ones_do_not() {
    let int = &[row!(SYS_lseek, [form!(arg!(2: int whence == libc::SEEK_SET))], "", "")];
    let long = &[row!(SYS_lseek, [form!(arg!(2: long whence == libc::SEEK_SET))], "", "")];
    let with_high_half = args(&[(0, u64::MAX), (2, 1 << 32)]);
    assert_eq!(plain(int, libc::SYS_lseek, with_high_half), End::Exit(0));
    assert_eq!(plain(long, libc::SYS_lseek, with_high_half), SIGSYS);
}

#[test]
fn forms_are_alternatives_and_conditions_add_up() {
    let rows = &[row!(
        SYS_lseek,
        [
            form!(arg!(1: long offset == 1), arg!(2: int whence == 1)),
            form!(arg!(1: long offset == 2))
        ],
        "",
        ""
    )];
    let bad_fd = (0, u64::MAX);
    assert_eq!(plain(rows, libc::SYS_lseek, args(&[bad_fd, (1, 1), (2, 1)])), End::Exit(0));
    assert_eq!(plain(rows, libc::SYS_lseek, args(&[bad_fd, (1, 2), (2, 7)])), End::Exit(0));
    assert_eq!(plain(rows, libc::SYS_lseek, args(&[bad_fd, (1, 1), (2, 2)])), SIGSYS);
    assert_eq!(plain(rows, libc::SYS_lseek, args(&[bad_fd, (1, 3), (2, 1)])), SIGSYS);
}

#[test]
fn rows_of_one_call_merge_wherever_they_stand() {
    const ONE: Row = row!(SYS_lseek, [form!(arg!(1: long offset == 1))], "", "");
    const TWO: Row = row!(SYS_lseek, [form!(arg!(1: long offset == 2))], "", "");
    for rows in [[ONE, TWO], [ONE.hot(), TWO], [ONE, TWO.hot()], [ONE.hot(), TWO.hot()]] {
        for (offset, end) in [(1, End::Exit(0)), (2, End::Exit(0)), (3, SIGSYS)] {
            let args = args(&[(0, u64::MAX), (1, offset)]);
            assert_eq!(plain(&rows, libc::SYS_lseek, args), end, "offset {offset}");
        }
    }
    const ANY: Row = row!(SYS_lseek, "", "");
    for rows in [[ONE, ANY], [ANY, ONE], [ONE.hot(), ANY], [ANY, ONE.hot()]] {
        let args = args(&[(0, u64::MAX), (1, 3)]);
        assert_eq!(plain(&rows, libc::SYS_lseek, args), End::Exit(0));
    }
}

#[test]
fn named_values_are_bound_when_compiled() {
    let rows = &[row!(SYS_lseek, [form!(arg!(0: int fd == @log))], "", "")];
    let values = Values::new().with("log", 4_000);
    let options = Options::default();
    let allowed = args(&[(0, 4_000)]);
    assert_eq!(outcome(rows, &options, &values, libc::SYS_lseek, allowed), End::Exit(0));
    assert_eq!(outcome(rows, &options, &values, libc::SYS_lseek, args(&[(0, 4_001)])), SIGSYS);
    let error = compile(rows, &Values::new(), &options).expect_err("no value given");
    assert!(error.to_string().contains("@log"), "{error}");
}

#[test]
fn killed_calls_die_even_where_sigsys_is_ignored() {
    let options = Options { killed: KILLED, ..Options::default() };
    for row in KILLED {
        let end = outcome(&[], &options, &Values::new(), row.nr, ZERO);
        assert_eq!(end, SIGSYS, "{}", row.name);
    }
    // A table that allows one takes precedence.
    let rows = &[row!(SYS_personality, "", "")];
    let ask = args(&[(0, 0xffff_ffff)]);
    assert_eq!(outcome(rows, &options, &Values::new(), libc::SYS_personality, ask), End::Exit(0));
}

#[test]
fn foreign_architectures_die_or_trap() {
    for foreign in [Foreign::Kill, Foreign::Trap] {
        let options = Options { foreign, ..Options::default() };
        // 20 is getpid in the 32-bit table and writev in the 64-bit one, which is allowed here.
        let rows = &[row!(SYS_writev, "", ""), BASE[0]];
        let program = compile(rows, &Values::new(), &options).expect("the table compiles");
        let end = in_child(|| {
            if install(&program, Threads::Caller).is_err() {
                return 1;
            }
            i32::from(int80_getpid() > 0)
        });
        assert_eq!(end, SIGSYS, "{foreign:?}");
    }
}

#[test]
fn calls_from_outside_the_instruction_range_are_trapped() {
    let everywhere = Options { ip: Some(0..u64::MAX), ..Options::default() };
    let rows = &[row!(SYS_getppid, "", "")];
    let values = Values::new();
    let nr = libc::SYS_getppid;
    assert_eq!(outcome(rows, &everywhere, &values, nr, ZERO), End::Exit(0));
    for range in [0..0x1000, 0x7fff_ffff_f000..u64::MAX, 0xffff_ffff_ffff_0000..u64::MAX] {
        let options = Options { ip: Some(range.clone()), ..Options::default() };
        assert_eq!(outcome(rows, &options, &values, nr, ZERO), SIGSYS, "{range:x?}");
    }
}

//! The socket options guests may use on the host are those of the host-call table, and no others.

use std::collections::BTreeSet;

use bevor_confine::tables::net_host;
use bevor_confine::{Row, Value};
use bevor_net::host::options::{READABLE, SETTABLE};

/// The (level, option) pairs a call may be made with.
fn allowed(name: &str) -> BTreeSet<(u64, u64)> {
    let number = |value| match value {
        Value::Is(number) => number,
        Value::Named(name) => panic!("{name} has no number"),
    };
    let row: &Row = net_host::ROWS.iter().find(|row| row.name == name).expect("a row");
    let pairs = row.forms.iter().map(|form| {
        let [level, option] = form.args else { panic!("{name}: {form}") };
        assert_eq!((level.index, option.index), (1, 2), "{name}: {form}");
        (number(level.value), number(option.value))
    });
    pairs.collect()
}

#[test]
fn the_lists_are_the_same() {
    let wide = |pairs: &[(u32, u32)]| -> BTreeSet<(u64, u64)> {
        pairs.iter().map(|&(level, option)| (u64::from(level), u64::from(option))).collect()
    };
    let (settable, mut readable) = (wide(&SETTABLE), wide(&READABLE));
    assert_eq!(allowed("setsockopt"), settable);
    readable.extend(&settable);
    // SO_LINGER is answered by the sentry, which keeps it.
    readable.remove(&(1, 13));
    assert_eq!(allowed("getsockopt"), readable);
}

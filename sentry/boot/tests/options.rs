//! The socket options guests may use on the host are those of the host-call table, and no others.

use std::collections::BTreeSet;

use bevor_confine::Value;
use bevor_confine::tables::{Features, Role, rows, sentry};
use bevor_net::host::options::{READABLE, SETTABLE, UNIX_READABLE, UNIX_SETTABLE};

/// The (level, option) pairs a call may be made with.
fn allowed(name: &str, features: Features) -> BTreeSet<(u64, u64)> {
    let number = |value| match value {
        Value::Is(number) => number,
        Value::Named(name) => panic!("{name} has no number"),
    };
    assert!(sentry::ROWS.iter().all(|row| row.name != name), "only with an option");
    let rows = rows(Role::Sentry, features);
    let forms = rows.iter().filter(|row| row.name == name).flat_map(|row| row.forms);
    let pairs = forms.map(|form| {
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
    let network = Features { net_host: true, ..Features::default() };
    assert_eq!(allowed("setsockopt", network), settable);
    readable.extend(&settable);
    // SO_LINGER is answered by the sentry, which keeps it.
    readable.remove(&(1, 13));
    assert_eq!(allowed("getsockopt", network), readable);
    let unix = Features { host_unix: true, ..Features::default() };
    let (settable, mut readable) = (wide(&UNIX_SETTABLE), wide(&UNIX_READABLE));
    assert_eq!(allowed("setsockopt", unix), settable);
    readable.extend(&settable);
    // SO_PASSCRED is answered by the sentry, which keeps it.
    readable.remove(&(1, 16));
    assert_eq!(allowed("getsockopt", unix), readable);
}

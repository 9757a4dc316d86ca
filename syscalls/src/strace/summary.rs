//! How often, how long and with how many errors each call was made, as `strace -c` shows it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::row;

/// One call's account.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    took: Duration,
    calls: u64,
    errors: u64,
}

/// The accounts of all calls made so far.
#[derive(Debug, Default)]
pub struct Summary(BTreeMap<u64, Account>);

impl Summary {
    /// A call ended.
    pub fn add(&mut self, nr: u64, took: Duration, failed: bool) {
        let account = self.0.entry(nr).or_default();
        account.took += took;
        account.calls += 1;
        account.errors += u64::from(failed);
    }

    /// The table, the longest first; the time is what passed, waiting included.
    #[must_use]
    pub fn table(&self) -> String {
        let mut accounts: Vec<_> = self.0.iter().map(|(&nr, &account)| (nr, account)).collect();
        accounts.sort_by_key(|&(nr, account)| (std::cmp::Reverse(account.took), nr));
        let mut all = Account::default();
        for (_, account) in &accounts {
            all.took += account.took;
            all.calls += account.calls;
            all.errors += account.errors;
        }
        let rule = format!(
            "{} {} {} {} {} ----------------",
            "------", "-----------", "-----------", "---------", "---------"
        );
        let mut text = format!(
            "{:>6} {:>11} {:>11} {:>9} {:>9} {}\n{rule}\n",
            "% time", "seconds", "usecs/call", "calls", "errors", "syscall"
        );
        for (nr, account) in accounts {
            let name = row(nr).map_or_else(|| format!("syscall_{nr}"), |row| row.name.into());
            line(&mut text, account, all.took, &name);
        }
        text.push_str(&rule);
        text.push('\n');
        line(&mut text, all, all.took, "total");
        text.truncate(text.trim_end().len());
        text
    }
}

fn line(text: &mut String, account: Account, all: Duration, name: &str) {
    let share = match all.as_nanos() {
        0 => 0,
        all => account.took.as_nanos() * 10_000 / all,
    };
    let each = account.took.as_micros() / u128::from(account.calls.max(1));
    let errors = if account.errors == 0 { String::new() } else { account.errors.to_string() };
    let share = format!("{}.{:02}", share / 100, share % 100);
    let seconds = format!("{}.{:06}", account.took.as_secs(), account.took.subsec_micros());
    let written = writeln!(
        text,
        "{share:>6} {seconds:>11} {each:>11} {:>9} {errors:>9} {name}",
        account.calls
    );
    written.expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_comes_first_and_the_total_last() {
        let mut summary = Summary::default();
        summary.add(0, Duration::from_micros(30), false);
        summary.add(257, Duration::from_micros(60), true);
        summary.add(257, Duration::from_micros(10), false);
        let table = summary.table();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[2], " 70.00    0.000070          35         2         1 openat");
        assert_eq!(lines[3], " 30.00    0.000030          30         1           read");
        assert_eq!(lines[5], "100.00    0.000100          33         3         1 total");
        assert_eq!(Summary::default().table().lines().count(), 4);
    }
}

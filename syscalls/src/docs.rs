//! The table as `docs/syscalls.md` and as JSON.

use serde::Serialize;
use std::fmt::Write;

use crate::proof;
use crate::row::Row;
use crate::table::ROWS;

/// What is said of one call.
#[derive(Debug, Serialize)]
struct Shown {
    nr: u64,
    name: &'static str,
    support: &'static str,
    note: String,
    tests: Vec<&'static str>,
}

impl Shown {
    fn of(row: &Row) -> Self {
        let (support, note) = proof::support(row);
        let tests = proof::of(row.name).map(|proof| proof.tests.clone()).unwrap_or_default();
        Self { nr: row.nr, name: row.name, support, note, tests }
    }
}

/// The table as JSON: an array of `{nr, name, support, note, tests}`.
#[must_use]
pub fn json() -> String {
    let rows: Vec<_> = ROWS.iter().map(Shown::of).collect();
    serde_json::to_string_pretty(&rows).expect("rows are plain strings and numbers")
}

/// The page `docs/syscalls.md`.
#[must_use]
pub fn markdown() -> String {
    let rows: Vec<_> = ROWS.iter().map(|row| (row, Shown::of(row))).collect();
    let count = |word| rows.iter().filter(|(_, shown)| shown.support == word).count();
    let mut page = format!(
        "# System calls\n\n\
         Generated from `syscalls/src/table.rs`, from what tests saw (`syscalls/proof.txt`, written by \
         `./test --prove`) and from the errors and flags each call has (`syscalls/errnos.txt`, \
         `syscalls/flags.txt`); \
         `UPDATE_DOCS=1 cargo test -p bevor-syscalls` rewrites it.\n\n\
         Of the {} system calls of x86-64 Linux 6.18 Bevor serves {} in full and {} in part; {} are \
         refused. A call counts as full only if tests saw it succeed, and saw every error that its \
         manual page names and a sandbox can provoke, with the host's answer and on both \
         platforms; the most used calls only if every flag was seen, too.\n\n\
         | nr | call | support | errors seen | note |\n|---:|---|---|---|---|\n",
        ROWS.len(),
        count("full"),
        count("partial"),
        count("refused"),
    );
    for (row, shown) in &rows {
        let note = shown.note.replace('|', "\\|");
        let errors = proof::of(row.name).map(|proof| proof.errors.join(" ")).unwrap_or_default();
        let (nr, call, word) = (row.nr, prototype(row), shown.support);
        writeln!(page, "| {nr} | `{call}` | {word} | {errors} | {note} |")
            .expect("strings take all");
    }
    page
}

/// The table as text for a terminal.
#[must_use]
pub fn text() -> String {
    let mut text = String::new();
    for shown in ROWS.iter().map(Shown::of) {
        let mark = match shown.support {
            "full" => ' ',
            "partial" => '~',
            _ => '-',
        };
        let line = format!("{:3} {mark} {:<24} {}", shown.nr, shown.name, shown.note);
        writeln!(text, "{}", line.trim_end()).expect("strings take all");
    }
    text
}

fn prototype(row: &Row) -> String {
    let args: Vec<_> = row.args.iter().map(|arg| arg.name.trim_start_matches("r#")).collect();
    format!("{}({})", row.name, args.join(", "))
}

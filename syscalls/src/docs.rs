//! The table as `docs/syscalls.md` and as JSON.

use std::fmt::Write;

use crate::row::{Row, Support};
use crate::table::ROWS;

/// The table as JSON: an array of `{nr, name, support, note, tests}`.
#[must_use]
pub fn json() -> String {
    serde_json::to_string_pretty(ROWS).expect("rows are plain strings and numbers")
}

/// The page `docs/syscalls.md`.
#[must_use]
pub fn markdown() -> String {
    let count = |word| ROWS.iter().filter(|row| row.support.word() == word).count();
    let mut page = format!(
        "# System calls\n\n\
         Generated from `syscalls/src/table.rs`; `UPDATE_DOCS=1 cargo test -p bevor-syscalls` \
         rewrites it.\n\n\
         Of the {} system calls of x86-64 Linux 6.18 Bevor serves {} in full and {} in part; {} are \
         refused.\n\n\
         | nr | call | support | note |\n|---:|---|---|---|\n",
        ROWS.len(),
        count("full"),
        count("partial"),
        count("refused"),
    );
    for row in ROWS {
        let (nr, call, word, note) = (row.nr, prototype(row), row.support.word(), row.note());
        let note = note.replace('|', "\\|");
        writeln!(page, "| {nr} | `{call}` | {word} | {note} |").expect("strings take all");
    }
    page
}

/// The table as text for a terminal.
#[must_use]
pub fn text() -> String {
    let mut text = String::new();
    for row in ROWS {
        let mark = match row.support {
            Support::Full => ' ',
            Support::Partial { .. } => '~',
            Support::Refused { .. } => '-',
        };
        let line = format!("{:3} {mark} {:<24} {}", row.nr, row.name, row.note());
        writeln!(text, "{}", line.trim_end()).expect("strings take all");
    }
    text
}

fn prototype(row: &Row) -> String {
    let args: Vec<_> = row.args.iter().map(|arg| arg.name.trim_start_matches("r#")).collect();
    format!("{}({})", row.name, args.join(", "))
}

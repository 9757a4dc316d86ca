//! The table agrees with Linux's numbers, and the generated page with the table.

use bevor_abi::Code;
use bevor_abi::nr::SYSCALLS;
use bevor_syscalls::docs;
use bevor_syscalls::proof;
use bevor_syscalls::row::Support;
use bevor_syscalls::table::ROWS;
use std::path::Path;

#[test]
fn every_call_of_linux_has_a_row_under_its_number() {
    assert_eq!(ROWS.len(), SYSCALLS.entries.len());
    for row in ROWS {
        let name = format!("SYS_{}", row.name);
        assert_eq!(SYSCALLS.value(&name), i64::try_from(row.nr).ok(), "{name}");
        assert!(row.args.len() <= 6, "{name}");
    }
    assert!(ROWS.is_sorted_by(|a, b| a.nr < b.nr));
}

#[test]
fn a_row_is_found_by_its_number() {
    assert_eq!(bevor_syscalls::row(257).map(|row| row.name), Some("openat"));
    assert!(bevor_syscalls::row(400).is_none());
    assert!(bevor_syscalls::row(u64::MAX).is_none());
}

#[test]
fn what_is_not_full_says_why() {
    for row in ROWS {
        assert_eq!(row.note().is_empty(), row.support == Support::Full, "{}", row.name);
        assert_eq!(row.handler.is_empty(), row.support.word() == "refused", "{}", row.name);
    }
}

#[test]
fn json_has_what_the_cli_promises() {
    let rows: serde_json::Value = serde_json::from_str(&docs::json()).expect("valid JSON");
    let rows = rows.as_array().expect("an array");
    assert_eq!(rows.len(), ROWS.len());
    for row in rows {
        assert!(row["nr"].is_u64() && row["name"].is_string() && row["note"].is_string());
        assert!(["full", "partial", "refused"].contains(&row["support"].as_str().unwrap_or("")));
        assert!(row["tests"].is_array());
    }
}

#[test]
fn what_is_proven_is_in_the_table() {
    for name in proof::names() {
        assert!(ROWS.iter().any(|row| row.name == name), "{name} has no row");
    }
    for row in ROWS.iter().filter(|row| row.support == Support::Full) {
        let proof = proof::of(row.name).unwrap_or_else(|| panic!("{} is in no list", row.name));
        for error in proof.documented.iter().chain(proof.never.iter().map(|(error, _)| error)) {
            if let Some((argument, _)) = error.split_once('=') {
                assert!(proof::takes(row, argument), "{}: {error}", row.name);
                continue;
            }
            let known = (1..200).any(|nr| Code(nr).name() == *error) || *error == "success";
            assert!(known, "{}: {error}", row.name);
        }
        for (error, why) in &proof.never {
            let seen = proof.errors.contains(error) || proof.flags.contains(error);
            assert!(!why.is_empty() && !seen, "{}: {error}", row.name);
        }
    }
}

#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/syscalls.md");
    let page = docs::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("docs/ is writable");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "run `UPDATE_DOCS=1 cargo test -p bevor-syscalls`");
}

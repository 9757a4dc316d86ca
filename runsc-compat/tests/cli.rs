//! What the command line says to bad input, and its commands that need no sandbox.

use std::process::{Command, Output, Stdio};

fn bevor(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bevor"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

/// Asserts status 125 and exactly one line on standard error; returns it.
fn refused(args: &[&str]) -> String {
    let output = bevor(args);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(125), "{args:?}: {errors}");
    assert!(output.stdout.is_empty(), "{args:?} wrote to standard output");
    assert!(errors.starts_with("bevor: ") && errors.lines().count() == 1, "{args:?}: {errors}");
    errors
}

#[test]
fn bad_input_is_one_line_and_status_125() {
    for (args, hint) in [
        (&["fly"][..], "fly"),
        (&["do"], "PROG"),
        (&["do", "--frobnicate", "--", "true"], "--frobnicate"),
        (&["do", "--platform=qemu", "--", "true"], "qemu"),
        (&["do", "--timeout=soon", "--", "true"], "duration"),
        (&["do", "--memory=lots", "--", "true"], "size"),
        (&["do", "--cpus=0", "--", "true"], "--cpus"),
        (&["do", "--cpus=0.5", "--", "true"], "--cpus"),
        (&["do", "--pids=0", "--", "true"], "0"),
        (&["do", "--net=internet", "--", "true"], "internet"),
        (&["do", "--log-format=xml", "--", "true"], "xml"),
        (&["do", "--root=/no/such/directory", "--", "true"], "/no/such/directory"),
        (&["do", "--root=/dev/null", "--", "true"], "/dev/null"),
        (&["do", "--ro=/no/such/path", "--", "true"], "/no/such/path"),
        (&["do", "--rw=/no/such/path:/x", "--", "true"], "/no/such/path"),
        (&["do", "--ro=/tmp:/", "--", "true"], "--root"),
        (&["do", "--env=NOTHING", "--", "true"], "NAME=VALUE"),
        (&["do", "--env==x", "--", "true"], "NAME=VALUE"),
        (&["do", "--cwd=relative", "--", "true"], "absolute"),
        (&["do", "--hostname=", "--", "true"], "--hostname"),
        (&["do", "--log=/no/such/directory/log", "--", "true"], "/no/such/directory/log"),
        (&["do", "--ro=/no/such\npath", "--", "true"], "such\\npath"),
    ] {
        let line = refused(args);
        assert!(line.contains(hint), "{args:?}: {line}");
    }
}

#[test]
fn help_says_what_there_is_and_hides_the_roles() {
    let output = bevor(&["--help"]);
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    for command in ["do", "doctor", "surface", "syscalls"] {
        assert!(text.contains(command), "{command} is missing from {text}");
    }
    assert!(!text.contains("role"), "{text}");
    assert!(bevor(&["do", "--help"]).status.success());
    assert!(bevor(&["--version"]).status.success());
}

#[test]
fn a_role_that_nobody_started_says_so() {
    for role in ["sentry-role", "gofer-role"] {
        let output = bevor(&[role]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{errors}");
        assert!(errors.starts_with("bevor: ") && errors.lines().count() == 1, "{errors}");
    }
}

#[test]
fn surface_lists_every_role_with_reasons() {
    let output = bevor(&["surface", "--json"]);
    assert!(output.status.success());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for role in ["sentry", "gofer", "guest", "agent"] {
        let calls = json["roles"][role]["syscalls"].as_array().expect(role);
        for call in calls {
            assert!(call["name"].is_string() && call["forms"].is_array(), "{call}");
            assert!(call["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{call}");
        }
    }
    let text = bevor(&["surface"]);
    assert!(String::from_utf8_lossy(&text.stdout).contains("gofer: "));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bevor"))
        .arg("surface")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn syscalls_prints_the_table() {
    let output = bevor(&["syscalls", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = json.as_array().expect("an array");
    assert!(rows.iter().any(|row| row["name"] == "openat"));
    assert!(String::from_utf8_lossy(&bevor(&["syscalls"]).stdout).contains("openat"));
}

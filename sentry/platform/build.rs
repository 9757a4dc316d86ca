//! Compiles the stub: a freestanding ELF image that is embedded in the platform crate.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let stub = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stub");
    println!("cargo::rerun-if-changed={}", stub.display());
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("stub");
    let rustc = env::var_os("RUSTC").expect("cargo sets it");
    let target = env::var("TARGET").expect("cargo sets it");
    let status = Command::new(rustc)
        .arg(stub.join("src/main.rs"))
        .args(["--crate-name=bevor_stub", "--edition=2024", "--crate-type=bin"])
        .args(["-Copt-level=2", "-Cpanic=abort", "-Crelocation-model=pic", "-Cdebuginfo=0"])
        .args(["-Clink-arg=-nostartfiles", "-Clink-arg=-nostdlib", "-Clink-arg=-static"])
        .args(["-Clink-arg=-no-pie", "-Clink-arg=-Wl,--build-id=none", "-Clink-arg=-Wl,-z,norelro"])
        .arg("-Ctarget-feature=+crt-static")
        .arg(format!("-Clink-arg=-Wl,-T,{}", stub.join("link.ld").display()))
        .arg(format!("--target={target}"))
        .arg("-o")
        .arg(&out)
        .status()
        .expect("rustc runs");
    assert!(status.success(), "the stub does not compile");
}

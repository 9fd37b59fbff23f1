//! Compiles the BPF program that main.rs embeds.

use std::{env, path::PathBuf, process::Command};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("parent.bpf.o");
    let status = Command::new(env::var_os("CLANG").unwrap_or_else(|| "clang-19".into()))
        .args(["-target", "bpf", "-g", "-O2", "-I/usr/include/x86_64-linux-gnu", "-c", "parent.bpf.c", "-o"])
        .arg(&out)
        .status()
        .expect("clang-19 has to be installed");
    assert!(status.success(), "clang-19 does not compile parent.bpf.c");
    println!("cargo::rerun-if-changed=parent.bpf.c");
}

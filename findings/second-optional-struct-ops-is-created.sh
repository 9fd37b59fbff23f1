#!/usr/bin/env bash
# The question mark of SEC("?.struct_ops") holds for the first struct of the section only.
#
# libbpf 1.7.0 (crate libbpf-sys 1.7.0); nothing is loaded, the object is only opened. A struct_ops map in such a section
# is not created unless it is asked for, so that an object loads on kernels that lack its members.
# Seen: of two structs in "?.struct_ops", bpf_map__autocreate is false for the first and true for the second; the object
# then fails to load where the second one's members are missing. The section's name loses its "?" at the first variable.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
cd "$folder"
mkdir src
cat > prog.bpf.c <<'C'
#define SEC(name) __attribute__((section(name), used))
struct ops { int (*run)(void); };
SEC("struct_ops/run") int run(void *ctx) { return 0; }
SEC("?.struct_ops") struct ops first = { .run = (void *)run };
SEC("?.struct_ops") struct ops second = { .run = (void *)run };
char _license[] SEC("license") = "GPL";
C
clang-19 -O2 -g -target bpf -c prog.bpf.c
cat > Cargo.toml <<'M'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"

[dependencies]
libbpf-sys = "=1.7.0"
M
cat > src/main.rs <<'R'
use std::ffi::{CStr, CString};

fn main() {
    let path = CString::new("prog.bpf.o").unwrap();
    unsafe {
        println!("{}", CStr::from_ptr(libbpf_sys::libbpf_version_string()).to_str().unwrap());
        let object = libbpf_sys::bpf_object__open_file(path.as_ptr(), std::ptr::null());
        for name in ["first", "second"] {
            let name = CString::new(name).unwrap();
            let map = libbpf_sys::bpf_object__find_map_by_name(object, name.as_ptr());
            println!("{} {}", name.to_str().unwrap(), libbpf_sys::bpf_map__autocreate(map));
        }
    }
}
R
cargo build -q
told=$(./target/debug/finding)
echo "$told"
[ "$told" = $'v1.7\nfirst false\nsecond true' ] || { echo "libbpf creates them otherwise now"; exit 1; }

#!/usr/bin/env bash
# One unknown section name: libbpf keeps the object, ebpf-go takes it for another program, aya refuses the whole object.
#
# libbpf 1.1 (Debian 12), cilium/ebpf 0.22.0, aya-obj 0.2.1; an object with SEC("xdp_ingress") and SEC("xdp"), and one
# with SEC("tc") and SEC("xdp"). Nothing is loaded: each library only opens the objects.
# Seen: libbpf opens the first, and xdp_ingress has no type. ebpf-go matches section names without a "+" in its table as
# prefixes, so xdp_ingress is an XDP program. aya's parser ends at the first section that it does not know, "tc" included
# (its own name is "classifier"), and its xdp program is lost with it.
set -euo pipefail
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -r "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
mkdir objects go rust rust/src
apt-get download -qq libbpf1=1:1.1.2-0+deb12u1 2>/dev/null
dpkg-deb -x libbpf1*.deb root
for section in xdp_ingress tc; do
	cat > objects/$section.bpf.c <<C
#define SEC(name) __attribute__((section(name), used))
SEC("$section") int odd(void *ctx) { return 0; }
SEC("xdp") int pass(void *ctx) { return 2; }
char _license[] SEC("license") = "GPL";
C
	clang-19 -O2 -g -target bpf -c objects/$section.bpf.c -o objects/$section.o
done

cat > go/go.mod <<'M'
module finding

go 1.24

require github.com/cilium/ebpf v0.22.0
M
cat > go/main.go <<'G'
package main

import (
	"fmt"
	"os"

	"github.com/cilium/ebpf"
)

func main() {
	spec, err := ebpf.LoadCollectionSpec(os.Args[1])
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	fmt.Println("odd is", spec.Programs["odd"].Type, "and pass is", spec.Programs["pass"].Type)
}
G
cat > rust/Cargo.toml <<'M'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"

[dependencies]
aya-obj = "=0.2.1"
M
cat > rust/src/main.rs <<'R'
fn main() {
    let data = std::fs::read(std::env::args().nth(1).unwrap()).unwrap();
    match aya_obj::Object::parse(&data) {
        Ok(object) => println!("{} programs", object.programs.len()),
        Err(error) => println!("error: {error}"),
    }
}
R
cat > libbpf.py <<'PY'
import ctypes
import glob
import sys

lib = ctypes.CDLL(glob.glob("root/usr/lib/*/libbpf.so.1.1.*")[0])
lib.bpf_object__open_file.restype = lib.bpf_object__find_program_by_name.restype = ctypes.c_void_p
lib.bpf_object__find_program_by_name.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
lib.bpf_program__type.argtypes = [ctypes.c_void_p]
opened = lib.bpf_object__open_file(sys.argv[1].encode(), None)
types = [lib.bpf_program__type(lib.bpf_object__find_program_by_name(opened, name)) for name in (b"odd", b"pass")]
print("types", *types)  # enum bpf_prog_type: 0 unspecified, 3 sched_cls, 6 xdp
PY
(cd go && GOFLAGS=-mod=mod GOPATH=$folder/gopath GOTOOLCHAIN=local go build -o ../open-go . 2>/dev/null)
(cd rust && cargo build -q && cp target/debug/finding ../open-rust)

told() { printf '%-12s %-8s %s\n' "$1" "$2" "$3"; [ "$3" = "$4" ] || { echo "$2 says something else now, not: $4"; exit 1; }; }
told xdp_ingress libbpf "$(python3 libbpf.py objects/xdp_ingress.o)" "types 0 6"
told xdp_ingress ebpf-go "$(./open-go objects/xdp_ingress.o)" "odd is XDP and pass is XDP"
told xdp_ingress aya-obj "$(./open-rust objects/xdp_ingress.o)" "error: invalid program section \`xdp_ingress\`"
told tc libbpf "$(python3 libbpf.py objects/tc.o)" "types 3 6"
told tc ebpf-go "$(./open-go objects/tc.o)" "odd is SchedCLS and pass is XDP"
told tc aya-obj "$(./open-rust objects/tc.o)" "error: invalid program section \`tc\`"

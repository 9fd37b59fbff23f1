#!/usr/bin/env bash
# A static function in a program's section: libbpf refuses the whole object, ebpf-go makes it a program of its own.
#
# libbpf 1.1 (Debian 12), cilium/ebpf 0.22.0; nothing is loaded, each library only opens the object. A subprogram that is
# static and not inlined usually stands in .text; with SEC() on it, it stands beside the program that calls it.
# Seen: libbpf opens nothing ("program 'helper' is static and not supported"); ebpf-go lists "helper" as an XDP program
# that NewCollection loads and verifies by itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -r "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
mkdir go
apt-get download -qq libbpf1=1:1.1.2-0+deb12u1 2>/dev/null
dpkg-deb -x libbpf1*.deb root
cat > prog.bpf.c <<'C'
#define SEC(name) __attribute__((section(name), used))
static __attribute__((noinline)) SEC("xdp") int helper(void *ctx) { return 2; }
SEC("xdp") int pass(void *ctx) { return helper(ctx); }
char _license[] SEC("license") = "GPL";
C
clang-19 -O2 -g -target bpf -c prog.bpf.c
cat > go/go.mod <<'M'
module finding

go 1.24

require github.com/cilium/ebpf v0.22.0
M
cat > go/main.go <<'G'
package main

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
)

func main() {
	spec, err := ebpf.LoadCollectionSpec("prog.bpf.o")
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	var found []string
	for name, program := range spec.Programs {
		found = append(found, name+" "+program.Type.String())
	}
	slices.Sort(found)
	fmt.Println(found)
}
G
(cd go && GOFLAGS=-mod=mod GOPATH=$folder/gopath GOTOOLCHAIN=local go build -o ../open-go . 2>/dev/null)
go=$(./open-go)
libbpf=$(python3 - <<'PY' 2>&1
import ctypes
import glob

lib = ctypes.CDLL(glob.glob("root/usr/lib/*/libbpf.so.1.1.*")[0])
lib.bpf_object__open_file.restype = ctypes.c_void_p
print("opened" if lib.bpf_object__open_file(b"prog.bpf.o", None) else "refused")
PY
)
printf 'ebpf-go: %s\nlibbpf:  %s\n' "$go" "$libbpf"
[ "$go" = "[helper XDP pass XDP]" ] || { echo "ebpf-go takes it for something else now"; exit 1; }
grep -q "program 'helper' is static and not supported" <<<"$libbpf" && grep -q refused <<<"$libbpf" || { echo "libbpf takes it now"; exit 1; }

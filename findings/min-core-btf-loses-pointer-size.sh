#!/usr/bin/env bash
# bpftool gen min_core_btf drops what tells a 32-bit kernel's pointers from a 64-bit kernel's.
#
# bpftool 7.1 (libbpf 1.1, Debian 12). BTF does not record a pointer's size: libbpf derives it from the type named
# "long". min_core_btf keeps only the types that relocations touch, so a minimised BTF of a 32-bit kernel has no long, and
# a loader that is a 64-bit program (a harness beside a board's BTF) takes every pointer for 8 bytes.
# Seen: btf__pointer_size is 4 before and 0 after; the pointer type's resolved size is 4 before and 8 after.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get download -qq bpftool libbpf1=1:1.1.2-0+deb12u1 2>/dev/null
for package in bpftool*.deb libbpf1*.deb; do dpkg-deb -x "$package" root; done

cat > kernel.c <<'C'
struct mm { unsigned long start; };
struct task { int pid; struct mm *mm; unsigned long flags; };
struct task one;
C
cat > prog.bpf.c <<'C'
struct task { struct mm *mm; } __attribute__((preserve_access_index));
__attribute__((section("kprobe/x"), used)) int size(void *ctx)
{
	return __builtin_preserve_field_info(((struct task *)ctx)->mm, 1 /* BPF_FIELD_BYTE_SIZE */);
}
char _license[] __attribute__((section("license"))) = "GPL";
C
gcc -m32 -gbtf -c kernel.c
objcopy --dump-section .BTF=kernel.btf kernel.o
clang-19 -O2 -g -target bpf -c prog.bpf.c
root/usr/sbin/bpftool version
root/usr/sbin/bpftool gen min_core_btf kernel.btf min.btf prog.bpf.o

python3 - <<'PY'
import ctypes
import glob

lib = ctypes.CDLL(glob.glob("root/usr/lib/*/libbpf.so.1.1.*")[0])
lib.btf__parse.restype = ctypes.c_void_p
lib.btf__type_cnt.argtypes = lib.btf__pointer_size.argtypes = [ctypes.c_void_p]
lib.btf__pointer_size.restype = ctypes.c_size_t
lib.btf__resolve_size.argtypes = [ctypes.c_void_p, ctypes.c_uint]
lib.btf__resolve_size.restype = ctypes.c_longlong
seen = []
for name, pointer in ((b"kernel.btf", 5), (b"min.btf", 2)):
    btf = lib.btf__parse(name, None)
    seen.append((lib.btf__pointer_size(btf), lib.btf__resolve_size(btf, pointer)))
    print(name.decode(), "pointer size", seen[-1][0], "size of its pointer type", seen[-1][1])
assert seen == [(4, 4), (0, 8)], "min_core_btf keeps what tells pointers apart now"
PY

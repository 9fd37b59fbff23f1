"""How the adapter in C is built: with clang, libbpf from its sources, and the static libraries that it needs.

For another architecture than this machine's, these come from Debian's packages for it (`sysroot`), and lld links.
"""

from __future__ import annotations

from everykernel.compile import COMPILERS

__all__ = ["COMMAND", "COMPILERS", "LIBRARY", "PROGRAM", "SYSROOT"]

PROGRAM = "adapter"
LIBRARY = "library"  # where sources.libbpf puts libbpf
SYSROOT = "sysroot"  # where those of another architecture are
# The kernel's BTF is parsed once for all of an object's programs (see adapter.c).
_WRAPPED = ("btf__load_vmlinux_btf", "btf__free")

# `make` is not asked for: libbpf's Makefile wants pkg-config and more, and a shell expands the names of its sources.
_SCRIPT = f"""
set -e
if [ -d {SYSROOT} ]; then set -- "--target=$1" "--sysroot=$PWD/{SYSROOT}" -fuse-ld=lld; else set --; fi
mkdir -p bpf
cp {LIBRARY}/src/*.h bpf/
for source in {LIBRARY}/src/*.c; do
    "$0" "$@" -O2 -std=gnu89 -w -D_LARGEFILE64_SOURCE -D_FILE_OFFSET_BITS=64 \\
        -I{LIBRARY}/src -I{LIBRARY}/include -I{LIBRARY}/include/uapi -c "$source" -o "$(basename "$source" .c).lib.o"
done
libraries="-lelf -lz"
if printf 'int main(void) {{ return 0; }}' | "$0" "$@" -xc -static -o probe - -lzstd 2>/dev/null; then
    libraries="$libraries -lzstd"
fi
"$0" "$@" -O2 -Wall -Werror -s -I. -I{LIBRARY}/include/uapi *.c *.lib.o -static \\
    {" ".join(f"-Wl,--wrap={name}" for name in _WRAPPED)} $libraries -o {PROGRAM}
"""
COMMAND = ("sh", "-c", _SCRIPT, "{tool}", "{target}")

"""How the adapter in C is built: with clang, libbpf from its sources, and the static libraries that it needs."""

from __future__ import annotations

from everykernel.compile import COMPILERS

__all__ = ["COMMAND", "COMPILERS", "PROGRAM"]

PROGRAM = "adapter"
_LIBRARY = "library"  # where sources.libbpf puts libbpf
# The kernel's BTF is parsed once for all of an object's programs (see adapter.c).
_WRAPPED = ("btf__load_vmlinux_btf", "btf__free")

# `make` is not asked for: libbpf's Makefile wants pkg-config and more, and a shell expands the names of its sources.
_SCRIPT = f"""
set -e
mkdir -p bpf
cp {_LIBRARY}/src/*.h bpf/
for source in {_LIBRARY}/src/*.c; do
    "$0" -O2 -std=gnu89 -w -D_LARGEFILE64_SOURCE -D_FILE_OFFSET_BITS=64 \\
        -I{_LIBRARY}/src -I{_LIBRARY}/include -I{_LIBRARY}/include/uapi -c "$source" -o "$(basename "$source" .c).lib.o"
done
libraries="-lelf -lz"
if printf 'int main(void) {{ return 0; }}' | "$0" -xc -static -o probe - -lzstd 2>/dev/null; then
    libraries="$libraries -lzstd"
fi
"$0" -O2 -Wall -Werror -s -I. -I{_LIBRARY}/include/uapi *.c *.lib.o -static \\
    {" ".join(f"-Wl,--wrap={name}" for name in _WRAPPED)} $libraries -o {PROGRAM}
"""
COMMAND = ("sh", "-c", _SCRIPT, "{tool}")

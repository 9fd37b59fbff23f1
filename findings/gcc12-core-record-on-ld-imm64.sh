#!/usr/bin/env bash
# GCC 12 puts a CO-RE record on an instruction that also has a data relocation.
#
# gcc-bpf 12.2 (Debian 12), -mco-re, a program that reads a field into a global variable:
#   clang places each byte_off record on the load whose offset it changes. GCC 12 places the last one on the
#   ld_imm64 that loads the variable's address, which has an R_BPF_64_64 relocation of its own. The object is accepted
#   by every reader; a loader that applies both adds the field's offset to the variable's address.
# Seen: a record of .BTF.ext and a relocation of the section's .rel name the same instruction, whose opcode is 0x18.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get download -qq gcc-bpf=12.2.0-14+deb12u1+ binutils-bpf=2.40-2+1 2>/dev/null
for package in *.deb; do dpkg-deb -x "$package" root; done
python3 -m pip install -q --root-user-action=ignore --disable-pip-version-check --target site pyelftools==0.32

cat > prog.bpf.c <<'C'
#define SEC(name) __attribute__((section(name), used))
#define CORE __attribute__((preserve_access_index))
struct super_block { unsigned long s_magic; } CORE;
struct inode { struct super_block *i_sb; } CORE;
unsigned long magic;
SEC("fentry/iput") int reading(unsigned long long *ctx)
{
	struct inode *inode = (void *)ctx[0];
	magic = inode->i_sb->s_magic;
	return 0;
}
char _license[] SEC("license") = "GPL";
C
PATH=$PWD/root/usr/bin:$PATH bpf-gcc -O2 -gbtf -mco-re -c prog.bpf.c -o prog.bpf.o
root/usr/bin/bpf-gcc --version | head -n 1

PYTHONPATH=site python3 - <<'PY'
import struct
from elftools.elf.elffile import ELFFile

elf = ELFFile(open("prog.bpf.o", "rb"))
ext = elf.get_section_by_name(".BTF.ext").data()
header, = struct.unpack_from("<I", ext, 4)
core_off, core_len = struct.unpack_from("<II", ext, 24)
at, end = header + core_off + 4, header + core_off + core_len  # behind the size of a record
records = []
while at < end:
    _, count = struct.unpack_from("<II", ext, at)
    at += 8
    for _ in range(count):
        records.append(struct.unpack_from("<IIII", ext, at)[0])
        at += 16
code = elf.get_section_by_name("fentry/iput").data()
data = {r["r_offset"] for r in elf.get_section_by_name(".relfentry/iput").iter_relocations()}
both = [offset for offset in records if offset in data]
print("CO-RE records at", records, "data relocations at", sorted(data), "both at", both)
assert both and all(code[offset] == 0x18 for offset in both), "GCC places its records elsewhere now"
PY

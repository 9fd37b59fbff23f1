"""A small debug package for a real kernel: its vmlinux says in DWARF where some fields of that kernel are."""

from __future__ import annotations

import subprocess
from pathlib import Path

from everykernel.btf import Btf, kinds

from .kernels.published import deb


def _offsets(types: Btf, name: str) -> dict[str, int]:
    """Return where a struct's members are (bytes), also those in its anonymous structs."""
    number = types.find(name, "struct")
    assert number is not None
    found: dict[str, int] = {}
    pending = [(number, 0)]
    while pending:
        number, base = pending.pop()
        struct = types.type(number)
        assert isinstance(struct, kinds.Struct)
        for member in struct.members:
            at = base + member.bit_offset // 8
            if member.name:
                found[member.name] = at
            else:
                pending.append((member.type, at))
    return found


def debug_package(folder: Path, types: Btf, release: str) -> Path:
    """Return a debug package whose vmlinux says, in DWARF, where the fields that cases/anonymous_member reads are."""
    task, mm = _offsets(types, "task_struct"), _offsets(types, "mm_struct")
    after = mm["arg_end"]
    assert mm["map_count"] < mm["total_vm"] < mm["arg_start"] == after - 4, "the source below has another order"
    source = f"""
    struct mm_struct {{
        struct {{
            char one[{mm["map_count"]}]; int map_count;
            char two[{mm["total_vm"] - mm["map_count"] - 4}]; unsigned long total_vm;
            char three[{mm["arg_start"] - mm["total_vm"] - 4}]; unsigned long arg_start, arg_end;
        }};
    }};
    struct task_struct {{ char before[{task["mm"]}]; struct mm_struct *mm; }} init_task;
    """
    (folder / "a.c").write_text(source)
    command = ["gcc", "-m32", "-g", "-gdwarf-4", "-ffreestanding", "-c", "-o", "vmlinux", "a.c"]
    subprocess.run(command, cwd=folder, check=True)
    vmlinux = (folder / "vmlinux").read_bytes()
    return deb(folder, f"linux-image-{release}-dbg", "1", {f"usr/lib/debug/boot/vmlinux-{release}": vmlinux})

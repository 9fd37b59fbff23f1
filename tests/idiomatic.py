"""Compiles the C that `explain` proposes: the object's types declared around it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from everykernel import core
from everykernel.btf import SizeUnknown, kinds
from everykernel.btf.naming import title
from everykernel.core import idioms, reads, relokinds
from everykernel.core.spec import Spec
from everykernel.load.programs.link import reached
from everykernel.object import ObjectSpec, read

_HEAD = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n#include <bpf/bpf_core_read.h>\n"
_PRESERVED = "__attribute__((preserve_access_index))"


def compiled(
    idiom: str, spec: Spec, renames: Sequence[idioms.Rename], folder: Path, enumerator: str = ""
) -> ObjectSpec:
    """Return the object of one program around an idiom; raise CalledProcessError where clang refuses it.

    ``enumerator`` is one of the enum that the path leads to, of which the idiom speaks: ``NAME = 3``. Each is a file
    of its own: clang 19 takes types of one name for one type, though each function has its own.
    """
    source, out = folder / "idiom.bpf.c", folder / "idiom.o"
    body = "\n\t".join([*declarations(spec, renames, enumerator), *idiom.splitlines()])
    function = f'SEC("kprobe/x") int idiom(void *ctx)\n{{\n\t{body}\n\t{_use(idiom)}\n\treturn 0;\n}}\n'
    source.write_text(f'{_HEAD}{function}char _license[] SEC("license") = "GPL";\n')
    flags = ["-O2", "-g", "-Wall", "-Werror", "-target", "bpf", "-I/usr/include/x86_64-linux-gnu"]
    subprocess.run(["clang-19", *flags, "-c", str(source), "-o", str(out)], check=True)
    return read(out.read_bytes(), "idiom.o")


def relocated(made: ObjectSpec, target: core.Target) -> core.RelocatedProgram:
    """Return an idiom's program as a kernel has it."""
    assert made.btf is not None
    (program,) = made.programs
    return core.relocate_program(made, program, core.Session(made.btf, target))


def live(made: ObjectSpec, found: core.RelocatedProgram) -> list[core.Applied]:
    """Return the records of an idiom's program that can be reached."""
    (program,) = made.programs
    parts = reached(made.functions[program.function], made.functions)
    dead = reads.Finder(made).dead(parts, found)
    return [a for a in found.applied if (a.function.name, a.insn) not in dead]


def failures(made: ObjectSpec, target: core.Target) -> list[str]:
    """Return what a kernel refuses of an idiom, and what of it would reach what is not there."""
    found = relocated(made, target)
    if found.failed is not None:
        return [str(found.failed)]
    return [str(a.fixup) for a in live(made, found) if a.fixup.outcome != core.PATCHED]


def _use(idiom: str) -> str:
    return "bpf_perf_event_output(ctx, 0, 0, &x, sizeof(x));" if " x = " in idiom or " x[" in idiom else ""


def declarations(spec: Spec, renames: Sequence[idioms.Rename], enumerator: str = "") -> list[str]:
    """Declare the object's types as far as an idiom speaks of them, and ``p``."""
    root = title(spec.btf, spec.root)
    if spec.kind in relokinds.ENUMVAL_BASED:
        return [_defined(root, f"{{ {spec.accessors[0].name} }}", "enum")]
    lines = [_defined(root, f"{{ {_path(spec, 1, enumerator)} }} {_PRESERVED}")]
    for own in (r for r in renames if r.own):
        member = f"{own.declared}{own.path[-1]}{':1' if own.bits else ''};"
        lines.append(_defined(own.own, f"{{ {member} }} {_PRESERVED}"))
    if spec.kind in relokinds.FIELD_BASED:
        lines.append(f"{root} *p __attribute__((unused)) = (void *)bpf_get_current_task();")
    return lines


def _defined(root: str, body: str, word: str = "struct") -> str:
    """Define a struct, union or enum by its name, or a typedef of one that has none."""
    return f"{root} {body};" if " " in root else f"typedef {word} {body} {root};"


def _path(spec: Spec, step: int, enumerator: str) -> str:
    """Declare the members of a path from one of its steps on."""
    if step >= len(spec.accessors):
        return "char nothing;"
    accessor = spec.accessors[step]
    struct = spec.btf.type(accessor.type)
    assert isinstance(struct, kinds.Struct)
    member, dims, last = struct.members[accessor.step], "", step
    while last + 1 < len(spec.accessors) and spec.accessors[last + 1].name is None:
        last += 1
        dims += f"[{spec.accessors[last].step + 1}]"
    if last + 1 < len(spec.accessors):
        return f"struct {{ {_path(spec, last + 1, enumerator)} }} {accessor.name}{dims};"
    leaf = spec.accessors[last].type if dims else member.type
    values = enumerator or f"first_of_{accessor.name}"
    return _leaf(spec, leaf, f"{accessor.name}{dims}", member.bit_size, values)


def _leaf(spec: Spec, number: int, name: str, bits: int, values: str) -> str:
    declared = idioms.scalar(spec.btf, number)
    resolved = spec.btf.resolve(number)
    if declared:
        return f"{declared}{name}{f':{bits}' if bits else ''};"
    if spec.btf.kind(resolved) in (kinds.ENUM, kinds.ENUM64):
        return f"enum {spec.btf.name_of(resolved)} {{ {values} }} {name};"
    try:
        size = max(1, spec.btf.size_of(resolved))
    except SizeUnknown:
        size = 1
    return f"char {name}[{size}];"

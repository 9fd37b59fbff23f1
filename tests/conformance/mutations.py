"""Probed reads of real objects, and the kernel's BTF changed under each: a width, a sign, a bitfield, a move.

A change of what the bytes mean has to be told as a misread of that very instruction, a move must not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import NamedTuple

from everykernel import core
from everykernel.btf import Btf, kinds
from everykernel.btf.edit import Editor
from everykernel.btf.subset import Subset
from everykernel.core import needed, reads
from everykernel.core.reads import flow
from everykernel.core.reads.values import Address
from everykernel.core.spec import Spec
from everykernel.load.programs.link import reached
from everykernel.object.spec import ObjectSpec, ProgramSpec

CHANGES = ("width", "sign", "bits", "offset")
_WIDTHS = {1: 2, 2: 4, 4: 8, 8: 4}
_SIGNED = 1 << 24  # of the word that describes an int


class Probed(NamedTuple):
    """A probed read of a number: the instruction, and the path to the field in ``btf``, a kernel's cut down."""

    spec: ObjectSpec
    program: ProgramSpec
    function: str
    insn: int
    btf: Btf
    path: Spec

    @property
    def type(self) -> kinds.Int:
        """The field's type in the kernel."""
        found = self.btf.type(self.btf.resolve(self.member.type))
        assert isinstance(found, kinds.Int)
        return found

    @property
    def member(self) -> kinds.Member:
        """The field."""
        last = self.path.accessors[-1]
        struct = self.btf.type(last.type)
        assert isinstance(struct, kinds.Struct)
        return struct.members[last.step]


def probed(specs: Iterable[ObjectSpec], vmlinux: Btf) -> list[Probed]:
    """Return the probed reads of integers in members of structs, one of each object in turn."""
    by_object = [list(_of_object(spec, vmlinux)) for spec in specs if spec.btf is not None]
    return [one for row in zip_longest(*by_object) for one in row if one is not None]


def _of_object(spec: ObjectSpec, vmlinux: Btf) -> Iterator[Probed]:
    assert spec.btf is not None
    subset, whole = Subset(vmlinux), core.Target(vmlinux)
    needed.keep((record for f in spec.functions.values() for _, record in f.core), spec.btf, whole, subset)
    btf = Btf.parse(subset.image())
    session = core.Session(spec.btf, core.Target(btf))
    seen = set()
    for program in spec.programs:
        relocated = core.relocate_program(spec, program, session)
        if relocated.failed is not None:
            continue
        parts = reached(spec.functions[program.function], spec.functions)
        finder = reads.Finder(spec)
        accesses, walked = finder.walked(parts, relocated)
        adapted = {a.function.name for a in relocated.applied if a.fixup.kind in ("byte_sz", "signed", "lshift_u64")}
        for read in walked.reads if walked is not None and walked.settled else ():
            place = (read.function, read.insn)
            if place in seen or read.function in adapted or read.how not in flow.COPIES.values():
                continue
            source = read.source
            if isinstance(source, Address) and not source.delta and _plain(accesses[source.access], read.size):
                seen.add(place)
                path = accesses[source.access].applied.fixup.paths[1]
                yield Probed(spec, program, *place, btf, path)


def _plain(access: reads.Access, size: int | None) -> bool:
    """Whether a member is read that is an integer here and there, whole."""
    there = access.applied.fixup.paths[1:]
    if len(there) != 1 or access.forms.form.size != size or access.forms.doubtful:
        return False
    last = there[0].accessors[-1]
    struct = there[0].btf.type(last.type)
    if last.name is None or not isinstance(struct, kinds.Struct) or struct.members[last.step].bit_size:
        return False
    found = there[0].btf.type(there[0].btf.resolve(struct.members[last.step].type))
    return isinstance(found, kinds.Int)


def possible(read: Probed, change: str) -> bool:
    """Whether a change means anything for a read: char has no sign of its own, nor has bool."""
    return change != "sign" or not (read.type.is_bool or read.type.name == "char")


def changed(read: Probed, change: str) -> Btf:
    """Return the kernel's BTF with the field changed."""
    editor = Editor(read.btf)
    last, member, type_ = read.path.accessors[-1], read.member, read.type
    at = editor.at(last.type) + 3 + 3 * last.step
    sign = _SIGNED if type_.signed else 0
    if change in ("width", "sign"):
        size = _WIDTHS[type_.size] if change == "width" else type_.size
        sign = sign ^ _SIGNED if change == "sign" else sign
        editor.words[at + 1] = editor.add(editor.string("changed"), kinds.INT << 24, size, sign | 8 * size)
    elif change == "bits":
        editor.words[editor.at(last.type) + 1] |= 1 << 31
        editor.words[at + 2] = 3 << 24 | member.bit_offset
    else:
        editor.words[at + 2] += 64
    return Btf.parse(editor.image())


def told(read: Probed, target: Btf) -> bool:
    """Whether a misread is told of a read's very instruction."""
    assert read.spec.btf is not None
    session = core.Session(read.spec.btf, core.Target(target))
    relocated = core.relocate_program(read.spec, read.program, session)
    parts = reached(read.spec.functions[read.program.function], read.spec.functions)
    found = reads.Finder(read.spec).find(read.program, parts, relocated)
    return any((m.function, m.insn) == (read.function, read.insn) for m in found.misreads)


def measure(found: Iterable[Probed]) -> tuple[Counter[str], Counter[str], list[str]]:
    """Return how many changes were tried and told, by kind, and those that came out wrong, in words."""
    tried: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    wrong = []
    for read in found:
        for change in CHANGES:
            if not possible(read, change):
                continue
            tried[change] += 1
            alarm = told(read, changed(read, change))
            alarms[change] += alarm
            if alarm != (change != "offset"):
                where = f"{read.spec.name}: {read.function}: instruction {read.insn}"
                wrong.append(f"{where}: {change} of {read.member.name}: {'told' if alarm else 'not told'}")
    return tried, alarms, wrong

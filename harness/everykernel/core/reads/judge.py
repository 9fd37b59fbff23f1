"""Whether a read that the walk over a program found is what the object takes it for.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds
from everykernel.btf.index import essential
from everykernel.btf.naming import printable
from everykernel.core import relokinds
from everykernel.core.fixup import PATCHED
from everykernel.core.reads import fields
from everykernel.core.reads.values import Address
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from everykernel.core.program import Applied
    from everykernel.core.reads.walked import Compared, Read
    from everykernel.core.spec import Spec

_ADAPTS = frozenset({
    relokinds.FIELD_BYTE_SIZE, relokinds.FIELD_SIGNED, relokinds.FIELD_LSHIFT_U64, relokinds.FIELD_RSHIFT_U64,
})  # fmt: skip


class Misread(NamedTuple):
    """One read that is taken for something else.

    Attributes:
        function, insn: the instruction that reads, counted in its function.
        access: what the object asks for, in C.
        taken: what the object takes it for.
        kernel: what this kernel has.
    """

    function: str
    insn: int
    access: str
    taken: str
    kernel: str


class Forms(NamedTuple):
    """The forms of an access: in the object, and in each type of the kernel that it may mean."""

    here: Spec
    form: fields.Form
    there: tuple[tuple[Spec, fields.Form], ...]

    @property
    def doubtful(self) -> bool:
        """Whether a read of it may go wrong: whichever of its types the kernel means."""
        return all(fields.differ(self.form, form) or self.renumbered(path, form) for path, form in self.there)

    def renumbered(self, path: Spec, form: fields.Form) -> dict[int, tuple[str, int]]:
        """Return the object's enumerators that have another value there: number here → name, number there."""
        ours, theirs = self.here.btf.type(self.form.type), path.btf.type(form.type)
        if not isinstance(ours, kinds.Enum) or not isinstance(theirs, kinds.Enum):
            return {}
        there = {value.name: value.value for value in theirs.values}
        names: dict[int, list[str]] = {}
        for value in ours.values:
            names.setdefault(value.value, []).append(essential(value.name))
        return {
            number: (same[0], there[same[0]])
            for number, same in names.items()
            if all(there.get(name, number) != number for name in same)
        }


def forms(paths: tuple[Spec, ...]) -> Optional[Forms]:
    """Return the forms along an access's paths (`Fixup.paths`), None where one is not known."""
    here, *there = paths
    form = fields.form(here)
    found = [(path, fields.form(path)) for path in there]
    known = tuple((path, f) for path, f in found if f is not None)
    return Forms(here, form, known) if form is not None and len(known) == len(found) else None


class Access(NamedTuple):
    """One relocated offset, and the forms of what it leads to."""

    applied: Applied
    forms: Forms

    @property
    def text(self) -> str:
        """The access in C."""
        return self.applied.fixup.access


def is_offset(applied: Applied) -> bool:
    """Whether a record relocated an offset."""
    fixup = applied.fixup
    return fixup.record.kind == relokinds.FIELD_BYTE_OFFSET and fixup.outcome == PATCHED and bool(fixup.paths)


def adapts(applied: Applied) -> bool:
    """Whether a record asks for what a program needs to read a field of any width."""
    return applied.fixup.record.kind in _ADAPTS


class Judge:
    """Compares what was read with what the kernel has.

    Attributes:
        misreads: what was found wrong, in the order of the reads.
        settled: numbers of the accesses of which a read was judged.

    Args:
        accesses: all, by their number.
        doubtful: the numbers of those that may be misread.
        applied: the program's records: what a function asks the size, the sign or the shifts of, it adapts itself to.
    """

    def __init__(self, accesses: Sequence[Access], doubtful: set[int], applied: Sequence[Applied]) -> None:
        self.misreads: list[Misread] = []
        self.settled: set[int] = set()
        self._accesses = accesses
        self._doubtful = doubtful
        self._adapted = {(a.function.name, _plain(a.fixup.access)) for a in applied if adapts(a)}

    def read(self, read: Read) -> None:
        """Judge one read of an access."""
        source = read.source
        if not isinstance(source, Address) or source.access not in self._doubtful:
            return
        access = self._accesses[source.access]
        if read.adapted or (access.applied.function.name, _plain(access.text)) in self._adapted:
            self.settled.add(source.access)
            return
        if source.delta or read.size is None:
            return
        self.settled.add(source.access)
        if self._relocated(access, read.size) if read.record else _wrong(access, read.size):
            path, form = access.forms.there[0]
            taken, kernel = fields.words(access.forms.here, access.forms.form), fields.words(path, form)
            self.misreads.append(Misread(read.function, read.insn, access.text, taken, kernel))

    def _relocated(self, access: Access, size: int) -> bool:
        """Whether a load that CO-RE adjusted goes wrong: it adjusts no sign, and not the shifts behind a bitfield's."""
        fixup, here = access.applied.fixup, access.forms.form
        if fixup.old is None or fixup.new is None or fixup.mem_size is not None:
            return False
        if not here.bits:
            return _wrong(access, size)
        before = (here.bit - 8 * fixup.old, here.bits)
        return all((form.bit - 8 * fixup.new, form.bits) != before for _, form in access.forms.there)

    def compared(self, compared: Compared) -> None:
        """Judge one comparison with an enumerator."""
        if compared.access not in self._doubtful:
            return
        access = self._accesses[compared.access]
        found = [access.forms.renumbered(*there).get(compared.number) for there in access.forms.there]
        if found[0] is None or found.count(found[0]) < len(found):
            return
        name, number = found[0]
        name = printable(name)
        taken, kernel = f"{name} = {compared.number}", f"{name} = {number}"
        self.misreads.append(Misread(compared.function, compared.insn, f"{access.text} == {name}", taken, kernel))


def _wrong(access: Access, size: int) -> bool:
    return all(fields.misread(access.forms.form, form, size) for _, form in access.forms.there)


def _plain(access: str) -> str:
    """Return an access without the flavour of its root type."""
    root, dot, path = access.partition(".")
    return essential(root) + dot + path

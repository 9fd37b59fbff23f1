"""`Btf`: a BTF's types by number and by name, decoded only when touched.

Parsing makes one pass over the type section that notes where each record starts; everything else is found on demand
(a vmlinux has more than 100,000 types, a relocation touches a few dozen).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import sys
from array import array
from typing import TYPE_CHECKING, Optional

from everykernel.btf import header, kinds, records
from everykernel.btf.index import NameIndex, StringTable
from everykernel.btf.kinds import Type
from everykernel.btf.learnt import Learnt, pack, unpack
from everykernel.errors import BtfMalformed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MAX_DEPTH = 32  # of arrays and modifiers on the way to a size: libbpf's MAX_RESOLVE_DEPTH
_LONG_NAMES = frozenset({
    "long", "long int", "int long", "unsigned long", "long unsigned", "unsigned long int", "unsigned int long",
    "long unsigned int", "long int unsigned", "int unsigned long", "int long unsigned",
})  # fmt: skip
_BEYOND = 1 << 40  # words: past the end of any BTF
_POPULAR = (
    "task_struct", "mm_struct", "cred", "nsproxy", "pid", "signal_struct", "files_struct", "file", "path", "dentry",
    "inode", "super_block", "vfsmount", "sk_buff", "sock", "sock_common", "net", "net_device", "request", "bio",
    "gendisk", "trace_event_raw_sys_enter", "trace_event_raw_sched_process_exec", "bpf_func_id", "bpf_map_type",
)  # fmt: skip
_TRANSPARENT = frozenset({kinds.TYPEDEF, kinds.VOLATILE, kinds.CONST, kinds.RESTRICT, kinds.TYPE_TAG})


class SizeUnknown(ValueError):
    """A type without a size: void, a forward declaration, a function, or a nesting that libbpf gives up on."""


class Btf:
    """The types of one kernel, module or object.

    Attributes:
        name: for messages and records: ``vmlinux``, a module's name, a file's.
        raw: the bytes as they were given.
        base: the BTF that this one continues (split BTF of a module), or None.
        byteorder: ``little`` or ``big``.
        count: the number of type ids, void and the base's included: the first id that does not exist.
        learnt: whether something was known of it beforehand.
        first: the first id of this BTF itself: 1, or the base's ``count``.
    """

    def __init__(
        self, data: bytes, base: Optional[Btf], name: str, pointer_size: Optional[int], known: Optional[Learnt] = None
    ) -> None:
        self.raw = data
        self.base = base
        self.name = name
        head = header.parse(data, name=name, base=base._header if base else None)
        self._header: header.Header = head
        self.byteorder = head.byteorder
        if base is not None and base.byteorder != head.byteorder:
            raise BtfMalformed(
                f"is {head.byteorder}-endian, its base {base.byteorder}-endian", where=f"{name}: BTF header"
            )
        self._words = array("I", data[slice(*head.types)])
        if head.byteorder != sys.byteorder:
            self._words.byteswap()
        self._strings: StringTable = StringTable(data[slice(*head.strings)], base._strings.end if base else 0)
        self.first: int = base.count if base else 1
        self._offsets = known.offsets if known else _offsets(self._words, head, name, self.first)
        self.count: int = self.first + len(self._offsets)
        self._types: dict[int, Type] = {0: kinds.Void()}
        self._names: dict[int, str] = {}
        self._pointer_size = pointer_size
        self._found_pointer_size: Optional[int] = None
        self.learnt = known is not None
        self._index: Optional[NameIndex] = NameIndex.learnt(known, self.strings()) if known else None

    @classmethod
    def parse(
        cls,
        data: bytes,
        *,
        base: Optional[Btf] = None,
        name: str = "vmlinux",
        pointer_size: Optional[int] = None,
        learnt: bytes = b"",
    ) -> Btf:
        """Return the BTF of raw BTF bytes; ``base`` is needed for a module's split BTF.

        ``pointer_size`` (4 or 8) is used where the BTF has no ``long`` to tell it. ``learnt`` is what `learn` returned
        for the same bytes, if it did; it is not looked at for others. Raises BtfMalformed.
        """
        return cls(bytes(data), base, name, pointer_size, unpack(learnt, data))

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return f"<Btf {self.name}: {self.count} types>"

    def __iter__(self) -> Iterator[tuple[int, Type]]:
        for number in range(self.first, self.count):
            yield number, self.type(number)

    @property
    def pointer_size(self) -> int:
        """Size of a pointer: that of the first ``long`` in the base or here, else what the caller gave, else 8."""
        if self._found_pointer_size is None:
            inherited = self.base.pointer_size if self.base is not None else None
            self._found_pointer_size = inherited or self._size_of_long() or self._pointer_size or 8
        return self._found_pointer_size

    @property
    def index(self) -> NameIndex:
        """The name index, built at first use."""
        if self._index is None:
            names = array("I", map(self._words.__getitem__, self._offsets))
            self._index = NameIndex(names, self.first, self.strings())
        return self._index

    def type(self, number: int) -> Type:
        """Return a type by its id (0 is void); raise BtfMalformed for an id that is not there or a broken record."""
        found = self._types.get(number)
        if found is None:
            if self.base is not None and 0 <= number < self.first:
                return self.base.type(number)
            if not 0 < number < self.count:
                raise BtfMalformed(f"there is no type {number} (types end at {self.count - 1})", where=self.name)
            found = self._types[number] = records.decode(self, self._words, self._offsets[number - self.first], number)
        return found

    def kind(self, number: int) -> int:
        """Return a type's kind as the kernel's number, without decoding it."""
        if self.base is not None and number < self.first:
            return self.base.kind(number)
        if not 0 < number < self.count:
            if number == 0:
                return kinds.VOID
            raise BtfMalformed(f"there is no type {number} (types end at {self.count - 1})", where=self.name)
        return (self._words[self._offsets[number - self.first] + 1] >> 24) & 0x7F

    def name_of(self, number: int) -> str:
        """Return a type's name without decoding the rest of it."""
        if self.base is not None and number < self.first:
            return self.base.name_of(number)
        self.kind(number)
        return self.string(self._words[self._offsets[number - self.first]]) if number else ""

    def offset(self, number: int) -> int:
        """Return the byte offset of a type's record in ``raw``, for messages; -1 for the base's."""
        if not self.first <= number < self.count:
            return -1
        return self._header.types[0] + 4 * self._offsets[number - self.first]

    def string(self, offset: int) -> str:
        """Return the string at an offset of the string section; raise BtfMalformed if there is none."""
        found = self._names.get(offset)
        if found is None:
            table = self._strings
            if offset < table.start and self.base is not None:
                return self.base.string(offset)
            start = offset - table.start
            if not 0 <= start < len(table.data):
                raise BtfMalformed(
                    f"string offset {offset:#x} is past the strings (end {table.end:#x})", where=self.name
                )
            text = table.data[start : table.data.index(b"\0", start)]
            found = self._names[offset] = text.decode("utf-8", "surrogateescape")
        return found

    def words(self) -> tuple[array[int], array[int]]:
        """Return copies of this BTF's own records as 32-bit words, and of the index of each record's first word."""
        return array("I", self._words), array("I", self._offsets)

    def strings(self) -> tuple[StringTable, ...]:
        """Return the string sections that names may stand in, the base's first and this BTF's own last."""
        below = self.base.strings() if self.base is not None else ()
        return (*below, self._strings)

    def learn(self) -> bytes:
        """Return what `parse` need not find out again on another machine of this byte order; b"" for nothing."""
        found = self.index.sorted()
        return pack(Learnt(self._offsets, *found), self.raw, self.byteorder) if found else b""

    def warm(self) -> None:
        """Do now what the first searches would do later, and decode what tracing programs ask for most.

        For a process that answers many objects, or a snapshot of one.
        """
        self.index.build()
        _ = self.pointer_size
        for name in _POPULAR:
            for number in self.own_candidates(name):
                with contextlib.suppress(BtfMalformed):  # said when it is used
                    self.type(number)

    def find(self, name: str, kind: str) -> Optional[int]:
        """Return the id of the first type with exactly this name and kind (``struct``, ``func`` …), or None."""
        return next(iter(self.find_all(name, (kind,))), None)

    def find_all(self, name: str, kind_names: Iterable[str]) -> list[int]:
        """Return the ids of all types with exactly this name and one of these kinds, in order, the base's first."""
        wanted = {kinds.KIND_NUMBERS[k] for k in kind_names}
        found = self.base.find_all(name, kind_names) if self.base is not None else []
        return found + [n for n in self.own_named(name) if self.kind(n) in wanted]

    def own_named(self, name: str) -> list[int]:
        """Return the ids of this BTF's own types (not its base's) with exactly this name, in order."""
        return self.index.find(name, flavours=False)

    def names_like(self, name: str, limit: int) -> list[str]:
        """Return names of this BTF's own types that share their first or last four letters with a name."""
        return self.index.like(name, limit)

    def own_candidates(self, essential: str) -> list[int]:
        """Return the ids of this BTF's own types whose name, less its ``___flavour``, is ``essential``, in order."""
        return self.index.find(essential, flavours=True)

    def resolve(self, number: int) -> int:
        """Return the id that is left when typedefs, const, volatile, restrict and type tags are taken off.

        A chain without an end is BtfMalformed.
        """
        seen: Optional[set[int]] = None
        while self.kind(number) in _TRANSPARENT:
            seen = seen or set()
            if number in seen:
                raise BtfMalformed(
                    "its chain of typedefs and qualifiers has no end", where=f"{self.name}: type {number}"
                )
            seen.add(number)
            number = self.type(number).type  # type: ignore[union-attr]
        return number

    def size_of(self, number: int) -> int:
        """Return a type's size in bytes; raise SizeUnknown where it has none.

        As libbpf's btf__resolve_size: through at most 32 levels, no more than 32 bits.
        """
        count = 1
        for _ in range(_MAX_DEPTH):
            found = self.type(number)
            if isinstance(found, (kinds.Int, kinds.Struct, kinds.Enum, kinds.DataSec, kinds.Float)):
                size = found.size
            elif isinstance(found, kinds.Ptr):
                size = self.pointer_size
            elif isinstance(found, kinds.Array):
                count *= found.count
                number = found.type
                if count > 0xFFFFFFFF:
                    raise SizeUnknown(f"type {number} takes more than 4 GiB")
                continue
            elif isinstance(found, (kinds.Typedef, kinds.Modifier, kinds.Var, kinds.DeclTag)):
                number = found.type
                continue
            else:
                raise SizeUnknown(f"{found.kind} {found.name}".rstrip() + " has no size")
            if count * size > 0xFFFFFFFF:
                raise SizeUnknown(f"type {number} takes more than 4 GiB")
            return count * size
        raise SizeUnknown(f"type {number} is nested more than {_MAX_DEPTH} levels deep")

    def check(self) -> None:
        """Decode every type, so that a broken record anywhere is found (as libbpf does when it reads a BTF)."""
        for _ in self:
            pass

    def _size_of_long(self) -> Optional[int]:
        words = self._words
        for number, at in enumerate(self._offsets, self.first):
            if (words[at + 1] >> 24) & 0x7F == kinds.INT and words[at + 2] in (4, 8):
                try:
                    found = self.type(number)
                except BtfMalformed:
                    continue  # said when it is used
                if found.name in _LONG_NAMES and isinstance(found, kinds.Int):
                    return found.size
        return None


def _offsets(words: array[int], head: header.Header, name: str, first: int) -> array[int]:
    """Return the index of the first word of every record; raise BtfMalformed where one ends past the section."""
    # Most of a vmlinux's 100,000 records have no items: one look-up in a table by the info word's top byte, which is
    # the kind and a flag. Kinds with items are 0 in it, unknown ones lead past the end.
    steps = [0 if item else size or _BEYOND for size, item in zip(head.fixed_words, head.item_words)] * 2
    fixed, items = head.fixed_words * 2, head.item_words * 2
    infos = words[1:]  # the info word of the record at N is infos[N]
    found = array("I")
    append = found.append
    at, end = 0, len(words)
    try:
        while at < end:
            append(at)
            info = infos[at]
            at += steps[info >> 24] or fixed[info >> 24] + items[info >> 24] * (info & 0xFFFFFF)
    except IndexError:
        at = end + 1
    if at > end:
        last = found[-1]
        where = f"{name}: type {first + len(found) - 1} at {head.types[0] + 4 * last:#x}"
        kind = infos[last] >> 24 & 0x7F if last < len(infos) else 0
        if not head.fixed_words[kind]:
            raise BtfMalformed(f"kind {kind} is not known", where=where)
        raise BtfMalformed(f"its record ends past the type section (end {head.types[1]:#x})", where=where)
    return found

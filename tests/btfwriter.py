"""Writes small BTF and .BTF.ext images, sound or broken, for tests."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from everykernel.btf import Btf, kinds

Member = tuple[str, int, int] | tuple[str, int, int, int]  # name, type, bit offset[, bit size]


class Writer:
    """Appends types; each method returns the new type's id. ``next`` is the id that comes next, for forward references.

    Args:
        big: write big-endian data.
        base: continue this BTF (split BTF of a module).
    """

    def __init__(self, *, big: bool = False, base: Btf | None = None) -> None:
        self.order = ">" if big else "<"
        self.base = base
        self.first_string = base.strings()[-1].end if base else 0
        self.strings = bytearray(b"" if base else b"\0")
        self.offsets: dict[str, int] = {"": 0}
        self.words: list[int] = []
        self.next = base.count if base else 1

    def string(self, text: str) -> int:
        if text not in self.offsets:
            self.offsets[text] = self.first_string + len(self.strings)
            self.strings += text.encode("utf-8", "surrogateescape") + b"\0"
        return self.offsets[text]

    def add(self, name: str | int, kind: int, third: int, *words: int, vlen: int = 0, flag: bool = False) -> int:
        offset = self.string(name) if isinstance(name, str) else name
        self.words += [offset, flag << 31 | kind << 24 | vlen, third, *(word & 0xFFFFFFFF for word in words)]
        self.next += 1
        return self.next - 1

    def integer(
        self, name: str, size: int = 4, *, signed: bool = False, bits: int = 0, offset: int = 0, flags: int = 0
    ) -> int:
        return self.add(name, kinds.INT, size, (flags | signed) << 24 | offset << 16 | (bits or 8 * size))

    def ptr(self, type_id: int) -> int:
        return self.add("", kinds.PTR, type_id)

    def array(self, type_id: int, count: int, index: int | None = None) -> int:
        return self.add("", kinds.ARRAY, 0, type_id, type_id if index is None else index, count)

    def struct(self, name: str, size: int, members: Sequence[Member], kind: int = kinds.STRUCT) -> int:
        flag = any(len(member) == 4 for member in members)
        words = []
        for member in members:
            bits = member[3] if len(member) == 4 else 0
            words += [self.string(member[0]), member[1], bits << 24 | member[2] if flag else member[2]]
        return self.add(name, kind, size, *words, vlen=len(members), flag=flag)

    def union(self, name: str, size: int, members: Sequence[Member]) -> int:
        return self.struct(name, size, members, kinds.UNION)

    def enum(self, name: str, values: dict[str, int], size: int = 4, *, signed: bool = False) -> int:
        words = [word for key, value in values.items() for word in (self.string(key), value)]
        return self.add(name, kinds.ENUM, size, *words, vlen=len(values), flag=signed)

    def enum64(self, name: str, values: dict[str, int], size: int = 8, *, signed: bool = False) -> int:
        words = [word for key, value in values.items() for word in (self.string(key), value, value >> 32)]
        return self.add(name, kinds.ENUM64, size, *words, vlen=len(values), flag=signed)

    def fwd(self, name: str, *, union: bool = False) -> int:
        return self.add(name, kinds.FWD, 0, flag=union)

    def typedef(self, name: str, type_id: int) -> int:
        return self.add(name, kinds.TYPEDEF, type_id)

    def modifier(self, kind: str, type_id: int, name: str = "") -> int:
        return self.add(name, kinds.KIND_NUMBERS[kind], type_id)

    def func_proto(self, result: int, params: Sequence[tuple[str, int]]) -> int:
        words = [word for name, type_id in params for word in (self.string(name), type_id)]
        return self.add("", kinds.FUNC_PROTO, result, *words, vlen=len(params))

    def func(self, name: str, proto: int, linkage: int = 1) -> int:
        return self.add(name, kinds.FUNC, proto, vlen=linkage)

    def var(self, name: str, type_id: int, linkage: int = 1) -> int:
        return self.add(name, kinds.VAR, type_id, linkage)

    def datasec(self, name: str, size: int, variables: Sequence[tuple[int, int, int]]) -> int:
        words = [word for variable in variables for word in variable]
        return self.add(name, kinds.DATASEC, size, *words, vlen=len(variables))

    def floating(self, name: str, size: int) -> int:
        return self.add(name, kinds.FLOAT, size)

    def decl_tag(self, name: str, type_id: int, component: int = -1) -> int:
        return self.add(name, kinds.DECL_TAG, type_id, component)

    def image(self, *, layout: Sequence[tuple[int, int]] = ()) -> bytes:
        """The whole BTF; ``layout`` adds a layout section (info size and item size of each kind)."""
        types = struct.pack(f"{self.order}{len(self.words)}I", *self.words)
        table = b"".join(struct.pack(self.order + "BBH", info, item, 0) for info, item in layout)
        fields = [0, len(types), len(types) + len(table), len(self.strings)]
        if layout:
            fields += [len(types), len(table)]
        head = struct.pack(self.order + "HBBI", 0xEB9F, 1, 0, 8 + 4 * len(fields))
        return head + struct.pack(f"{self.order}{len(fields)}I", *fields) + types + table + bytes(self.strings)

    def btf(self, name: str = "vmlinux", *, pointer_size: int | None = None) -> Btf:
        return Btf.parse(self.image(), base=self.base, name=name, pointer_size=pointer_size)

    def ext(
        self,
        *,
        core: dict[str, list[tuple[int, int, str, int]]] | None = None,
        functions: dict[str, list[tuple[int, int]]] | None = None,
        lines: dict[str, list[tuple[int, str, str, int]]] | None = None,
    ) -> bytes:
        """A .BTF.ext; its strings go into this BTF, so build it before the image.

        Records are (insn_off, type, access, kind), (insn_off, type) and (insn_off, file, line, line << 10 | column).
        """
        tables = [
            self._table(2, functions or {}),
            self._table(4, lines or {}),
            self._table(4, core or {}),
        ]
        head = struct.pack(self.order + "HBBI", 0xEB9F, 1, 0, 32)
        at = 0
        for table in tables:
            head += struct.pack(self.order + "2I", at, len(table))
            at += len(table)
        return head + b"".join(tables)

    def _table(self, count: int, sections: Mapping[str, Sequence[tuple[int | str, ...]]]) -> bytes:
        if not sections:
            return b""
        out = struct.pack(self.order + "I", 4 * count)
        for section, records in sections.items():
            out += struct.pack(self.order + "2I", self.string(section), len(records))
            for record in records:
                words = [self.string(word) if isinstance(word, str) else word for word in record]
                out += struct.pack(f"{self.order}{count}I", *words)
        return out


def two_tasks() -> bytes:
    """Return a BTF with two structs of one name, whose members change places: no record on them has one answer."""
    w = Writer()
    number = w.integer("int", signed=True)
    w.struct("task", 8, [("pid", number, 0), ("state", number, 32)])
    w.struct("task___x", 8, [("state", number, 0), ("pid", number, 32)])
    return w.image()

"""Objects that no compiler makes, byte for byte: CO-RE records on instructions that cannot be relocated."""

from __future__ import annotations

from tests import elfwriter as e
from tests.btfwriter import Writer
from tests.conformance.foreign import Foreign

_MOVE = e.insn(0xBF, 1, 0)  # r1 = r0: no immediate that a value could go into


def objects() -> list[Foreign]:
    """Return the objects."""
    return [Foreign("made/unsuited", _unsuited(), own=True)]


def _unsuited() -> bytes:
    """A program whose record, of a type that no kernel has, is on such an instruction, where it is never reached."""
    btf = Writer()
    integer = btf.integer("int", signed=True)
    btf.func("never", btf.func_proto(integer, []), 1)
    btf.func("plain", btf.func_proto(integer, []), 1)
    thing = btf.struct("no_such_thing", 8, [("a", integer, 0), ("b", integer, 32)])
    skip = e.MOV0 + e.insn(0x15, 0, 0, 1)  # r0 = 0; if r0 == 0 goto +1
    writer = e.ObjectWriter()
    writer.code("raw_tp/sys_enter", never=skip + _MOVE + e.EXIT)
    writer.code("socket", plain=e.MOV0 + e.EXIT)
    writer.section("license", b"GPL\0")
    ext = btf.ext(core={"raw_tp/sys_enter": [(16, thing, "0:1", 0)]})
    writer.section(".BTF", btf.image(), flags=0)
    writer.section(".BTF.ext", ext, flags=0)
    return writer.build()

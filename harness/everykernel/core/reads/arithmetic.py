"""What one arithmetic instruction or one comparison does to known values. Source: the kernel's instruction-set.rst.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import Optional

from everykernel.core.reads.values import U32, U64, Address, Const, Context, Data, Held, Offset, Stack, Value, signed

ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, NEG, MOD, XOR, MOV, ARSH, END = range(0, 0xE0, 0x10)
JA, JEQ, JGT, JGE, JSET, JNE, JSGT, JSGE, CALL, EXIT, JLT, JLE, JSLT, JSLE = range(0, 0xE0, 0x10)


def apply(operation: int, left: Value, right: Value, *, wide: bool) -> Value:
    """Return the value of ``left operation right``; ``wide``: of 64 bits, else the low 32 are kept."""
    if operation == MOV:
        return _moved(right, wide=wide)
    if isinstance(left, Const) and isinstance(right, Const):
        return _constant(operation, left, right, wide=wide)
    if isinstance(left, Held):
        return _held(operation, left, right, wide=wide)
    if not wide:
        return None
    if operation == ADD:
        return _added(left, right)
    if operation == SUB and isinstance(right, Const):
        return _added(left, Const(-right.value & U64))
    return None


def _moved(value: Value, *, wide: bool) -> Value:
    if wide:
        return value
    if isinstance(value, Const):
        return Const(value.value & U32, value.adapted)
    if isinstance(value, Held) and value.size <= 4 and not value.shift:
        return value
    return None


def _constant(operation: int, left: Const, right: Const, *, wide: bool) -> Value:
    bits = 64 if wide else 32
    mask = U64 if wide else U32
    a, b = left.value & mask, right.value & mask
    count = b & (bits - 1)
    found = {
        ADD: a + b, SUB: a - b, MUL: a * b, OR: a | b, AND: a & b, XOR: a ^ b, LSH: a << count, RSH: a >> count,
        ARSH: signed(a, bits) >> count, NEG: -a,
    }.get(operation)  # fmt: skip
    return None if found is None else Const(found & mask, left.adapted or right.adapted)


def _held(operation: int, left: Held, right: Value, *, wide: bool) -> Value:
    """Follow a field's value through the shifts and masks by which a compiler widens it, and through additions."""
    if isinstance(right, Offset):
        return _added(left, right) if wide and operation == ADD else None
    if not isinstance(right, Const):
        return None
    bits = 8 * left.size
    if operation == LSH and wide and not left.shift and right.value == 64 - bits:
        return Held(left.access, left.size, right.value)
    if operation in (RSH, ARSH) and wide and left.shift and right.value == left.shift:
        return Held(left.access, left.size)
    if operation == AND and not left.shift and right.value & U64 == (1 << bits) - 1:
        return left
    return None


def _added(left: Value, right: Value) -> Value:
    if isinstance(right, Offset) and not isinstance(left, Offset):
        if isinstance(left, Const):
            return Offset(right.access, right.value, right.delta + signed(left.value, 64))
        return None if isinstance(left, (Stack, Data)) else Address(right.access, right.delta)
    if isinstance(left, Offset) and not isinstance(right, (Const, Offset)):
        return _added(right, left)
    if not isinstance(right, Const):
        return _added(right, left) if isinstance(left, Const) and right is not None else None
    step = signed(right.value, 64)
    if isinstance(left, Offset):
        return Offset(left.access, left.value, left.delta + step)
    if isinstance(left, Address):
        return Address(left.access, left.delta + step)
    if isinstance(left, Stack):
        return Stack(left.offset + step)
    if isinstance(left, Context):
        return Context(left.offset + step)
    if isinstance(left, Data):
        return Data(left.section, left.offset + step)
    return None


def taken(operation: int, left: Value, right: Value, *, wide: bool) -> Optional[bool]:
    """Return whether a conditional jump is taken, None where that is not known."""
    numbers = [number(v) for v in (left, right)]
    if numbers[0] is None or numbers[1] is None:
        return None
    bits = 64 if wide else 32
    mask = (1 << bits) - 1
    a, b = numbers[0] & mask, numbers[1] & mask
    x, y = signed(a, bits), signed(b, bits)
    return {
        JEQ: a == b, JNE: a != b, JGT: a > b, JGE: a >= b, JLT: a < b, JLE: a <= b, JSET: bool(a & b),
        JSGT: x > y, JSGE: x >= y, JSLT: x < y, JSLE: x <= y,
    }.get(operation)  # fmt: skip


def number(value: Value) -> Optional[int]:
    """Return a value as a number, None where it is none that is known."""
    if isinstance(value, Const):
        return value.value
    return value.value + value.delta & U64 if isinstance(value, Offset) else None

"""What is known before an instruction: of each register, and of the stack.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import Optional

from everykernel.core.reads.values import Const, Stack, Value, joined

_FRAME = 512  # bytes of a function's stack (MAX_BPF_STACK)


class State:
    """What is known before an instruction: registers by their number, and stack slots as offset → (size, value)."""

    __slots__ = ("registers", "stack")

    def __init__(self, registers: list[Value], stack: dict[int, tuple[int, Value]]) -> None:
        self.registers = registers
        self.stack = stack

    def copy(self) -> State:
        """Return a state that changes apart from this one."""
        return State(list(self.registers), dict(self.stack))

    def join(self, other: State) -> bool:
        """Keep what is true of both; return whether that is less."""
        registers = [joined(a, b) for a, b in zip(self.registers, other.registers)]
        stack: dict[int, tuple[int, Value]] = {}
        for at, (size, value) in self.stack.items():
            there = other.stack.get(at)
            if there is not None and there[0] == size:
                both = joined(value, there[1])
                if both is not None:
                    stack[at] = (size, both)
        changed = registers != self.registers or stack != self.stack
        self.registers, self.stack = registers, stack
        return changed

    def store(self, at: int, size: int, value: Value) -> None:
        """Put a value into the stack, over what was there."""
        self.forget(at, size)
        if value is not None and -_FRAME <= at < 0:
            self.stack[at] = (size, value)

    def forget(self, at: int, size: Optional[int]) -> None:
        """Forget so many bytes of the stack; all of it without a size."""
        if size is None:
            self.stack.clear()
            return
        for start in [s for s, (length, _) in self.stack.items() if s < at + size and at < s + length]:
            del self.stack[start]


def fresh(registers: list[Value]) -> State:
    """Return the state at a function's start: its arguments, and a stack of its own."""
    return State([None, *registers[1:6], *4 * [None], Stack(0), *5 * [None]], {})


def narrowed(slot: Optional[tuple[int, Value]], size: int, byteorder: str) -> Value:
    """Return what a load of ``size`` bytes has of a stack slot."""
    if slot is None:
        return None
    length, value = slot
    if length == size:
        if isinstance(value, Const) and size < 8:
            return Const(value.value & (1 << 8 * size) - 1, value.adapted)
        return value
    if length > size and byteorder == "little" and isinstance(value, Const):
        return Const(value.value & (1 << 8 * size) - 1, value.adapted)
    return None

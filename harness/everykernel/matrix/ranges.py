"""Ranges of kernel releases, as expectations write them: ``6.1``, ``>=5.14,<6.15``.

A bound is compared with as many numbers of the release as it has itself, so ``<=6.1`` and ``6.1`` hold for 6.1.192, and
``>6.1`` begins with 6.2. Ranges are for data that says what a kernel *should* do; code probes for what it *can* do.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from everykernel.errors import UsageError

Numbers = tuple[int, ...]

_OPERATORS: dict[str, Callable[[Numbers, Numbers], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
    "": operator.eq,
}
_BOUND = re.compile(r"\s*(>=|<=|==|!=|>|<|)\s*(\d+(?:\.\d+)*)\s*")
# Debian's release says 6.1.0-56 for every 6.1.y; the point release is in the version (libbpf reads it there too).
_DEBIAN = re.compile(r"Debian (\d+(?:\.\d+)+)")
_LEADING = re.compile(r"\d+(?:\.\d+)*")


def numbers(release: str, version: str = "") -> Numbers:
    """Return a kernel's release numbers, ``(6, 1, 192)``, from what ``uname -r`` and ``uname -v`` print there.

    Raises UsageError for a release that begins with no number.
    """
    found = _DEBIAN.search(version)
    text = found.group(1) if found else ""
    if not text:
        leading = _LEADING.match(release)
        if leading is None:
            raise UsageError(f"{release!r} does not begin with the numbers of a kernel release")
        text = leading.group()
    return tuple(int(n) for n in text.split("."))


@dataclass(frozen=True)
class KernelRange:
    """Releases for which every bound holds; without bounds, all of them.

    Attributes:
        text: as it was written.
        bounds: operator (``""`` is equality) and numbers.
    """

    text: str = ""
    bounds: tuple[tuple[str, Numbers], ...] = ()

    @classmethod
    def parse(cls, text: str, where: str = "") -> KernelRange:
        """Return the range that ``text`` means; raise UsageError, with ``where``, if it means none."""
        bounds = []
        for part in text.split(","):
            found = _BOUND.fullmatch(part)
            if found is None:
                raise UsageError(
                    f"{text!r} is not a range of kernels", where=where, remedy="write '6.1' or '>=5.14,<6.15'"
                )
            bounds.append((found.group(1), tuple(int(n) for n in found.group(2).split("."))))
        return cls(text, tuple(bounds))

    def holds(self, release: Numbers) -> bool:
        """Return whether a release is in the range."""
        return all(_OPERATORS[sign](_cut(release, len(bound)), bound) for sign, bound in self.bounds)


def _cut(release: Numbers, length: int) -> Numbers:
    """Return the first ``length`` numbers of a release; those that it does not have are 0."""
    return (release + (0,) * length)[:length]

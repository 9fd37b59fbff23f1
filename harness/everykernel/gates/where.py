"""Which kernels something is said of: a spec as a run names it, a range of releases, or all of an architecture's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from everykernel.architectures import ARCHITECTURES, DEFAULT
from everykernel.errors import UsageError
from everykernel.matrix.ranges import KernelRange, Numbers, numbers

ALL = "*"
_BETWEEN = re.compile(r"(\d+(?:\.\d+)*)\.\.(\d+(?:\.\d+)*)")
_LEADING = re.compile(r"\d+(?:\.\d+)+")
_REMEDY = "write a kernel as the run names it (6.1, 6.1/i386), '5.10..6.1', '>=5.14,<6.15', or '*'"


@dataclass(frozen=True)
class KernelSeen:
    """A kernel of a run.

    Attributes:
        spec: its column.
        release: its numbers, empty where nothing tells them.
        arch: our name of its architecture.
        btf: what it has of its own: ``kernel`` or ``none``, "" where no guest told.
        missing: why there was no such kernel, "" where there was.
    """

    spec: str
    release: Numbers = ()
    arch: str = DEFAULT.name
    btf: str = ""
    missing: str = ""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> KernelSeen:
        """Return the kernel of a column's record, which may be of any run, cut short or not."""
        spec = str(record.get("spec", "?"))
        release = _numbers(str(record.get("release", "")), str(record.get("version", "")))
        leading = _LEADING.match(spec)
        if not release and leading:
            release = tuple(int(n) for n in leading[0].split(".")[:_PARTS])
        _, slash, tail = spec.rpartition("/")
        arch = str(record.get("arch") or (tail if slash and tail in ARCHITECTURES else DEFAULT.name))
        return cls(spec, release, arch, str(record.get("btf", "")), str(record.get("missing", "")))


_PARTS, _DIGITS = 4, 9  # numbers of a release that count, and digits of one that a kernel can have


def _numbers(release: str, version: str) -> Numbers:
    try:
        found = numbers(release, version)
    except (UsageError, ValueError):  # more digits than Python turns into a number
        return ()
    return found[:_PARTS] if all(n < 10**_DIGITS for n in found) else ()


@dataclass(frozen=True)
class Where:
    """Kernels, as a baseline or a rule writes them.

    Attributes:
        text: as it was written.
        range: releases for which it holds, of one architecture; None where it names one kernel.
        arch: that architecture, "" for every one.
    """

    text: str
    range: KernelRange | None = None
    arch: str = ""

    @classmethod
    def parse(cls, text: str, where: str = "") -> Where:
        """Return what a text means.

        ``5.10..6.1`` is a range with both ends, whose kernels are of x86_64 unless ``/ARCH`` follows, as in a spec; so
        is one with operators; ``*`` is all kernels, ``*/arm64`` all of one architecture. Everything else is the spec of
        one kernel. Raises UsageError, with ``where``, for what is none.
        """
        body, slash, arch = text.rpartition("/")
        if not slash or arch not in ARCHITECTURES:
            body, arch = text, ""
        if body == ALL:
            return cls(text, KernelRange(), arch)
        between = _BETWEEN.fullmatch(body)
        if between is not None:
            body = f">={between[1]},<={between[2]}"
        elif body[:1] not in (">", "<", "=", "!") or not body:
            if not text.strip():
                raise UsageError("names no kernel", where=where, remedy=_REMEDY)
            return cls(text)
        try:
            return cls(text, KernelRange.parse(body, where), arch or DEFAULT.name)
        except UsageError as e:
            raise UsageError(f"{text!r} is not a range of kernels", where=where, remedy=_REMEDY) from e

    def holds(self, kernel: KernelSeen) -> bool:
        """Return whether a kernel is among these; one whose release is not known is in no range but ``*``."""
        if self.range is None:
            return kernel.spec == self.text
        if self.arch and kernel.arch != self.arch:
            return False
        return not self.range.bounds or (bool(kernel.release) and self.range.holds(kernel.release))

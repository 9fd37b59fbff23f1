"""The kernel's symbols and their addresses: /proc/kallsyms, read once as long as no module comes or goes.

The kernel writes the file line by line, which takes a second in an emulated machine; to look a name up in what was read
takes a hundredth of that.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from everykernel.load.system.door import System


class Symbols:
    """The symbols of a machine's kernel; ``known`` are those of another in the same state."""

    def __init__(self, system: System, known: Optional[Symbols] = None) -> None:
        self._system = system
        self._modules: bytes = b"" if known is None else known._modules
        self._text: bytes = b"" if known is None else known._text

    def addresses(self, name: str) -> list[int]:
        """Return the addresses that a symbol has, none where there is no such symbol. Raises OSError."""
        return addresses(self.read(), name)

    def read(self) -> bytes:
        """Return /proc/kallsyms as it is with the modules that are loaded now."""
        modules = self._system.read("/proc/modules")
        if not self._text or modules != self._modules:
            self._text, self._modules = self._system.read("/proc/kallsyms"), modules
        return self._text


def addresses(text: bytes, name: str) -> list[int]:
    """Return the different addresses of a name in the form of /proc/kallsyms, in its order.

    A static variable's name may go on after ``.llvm.``, as libbpf's kallsyms_cb has it (libbpf 1.7).
    """
    wanted = b" " + name.encode("utf-8", "surrogateescape")
    found: dict[int, None] = {}
    at = text.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        if text[end : end + 1] in (b"\n", b"\t") or (text[at - 1 : at] == b"d" and text.startswith(b".llvm.", end)):
            line = text.rfind(b"\n", 0, at) + 1
            found.setdefault(int(text[line : at - 2], 16))
        at = text.find(wanted, end)
    return list(found)

"""What attaching takes of an object: its maps and programs, and what is made for it on the way.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Optional

from everykernel.load.attach.outcome import needs

if TYPE_CHECKING:
    from everykernel.btf import Btf
    from everykernel.load.attach.operations import Registration
    from everykernel.load.attach.program import Program
    from everykernel.load.kernel.types import KernelTypes
    from everykernel.load.maps.map import Map
    from everykernel.load.rules.rules import Rules


class Places:
    """Where the programs of one object attach to that name no place: made when first asked for, closed with it.

    Args:
        maps: the object's, by name.
        programs: likewise.
        kernel: that they are loaded into.
        rules: of the loader whose decisions are taken.

    Attributes:
        operations: the object's operations structs.
    """

    def __init__(
        self, maps: Mapping[str, Map], programs: Mapping[str, Program], kernel: KernelTypes, rules: Rules
    ) -> None:
        self.rules = rules
        self._kernel: Optional[KernelTypes] = kernel
        self.system = kernel.system
        self.maps = maps
        self.programs = programs
        self.operations: list[Registration] = []
        self._made: dict[str, Any] = {}
        self._undo: list[Callable[[], None]] = []

    @property
    def kernel(self) -> KernelTypes:
        """The kernel that they are loaded into, until the object is closed."""
        assert self._kernel is not None, "nothing of a closed object attaches"
        return self._kernel

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what is made for the object under a name, once."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def at_close(self, undo: Callable[[], None]) -> None:
        """Have something undone when the object is closed, after its programs are detached."""
        self._undo.append(undo)

    def types(self, module: str) -> Optional[Btf]:
        """Return the BTF of the kernel ("") or of one of its modules, None where there is none."""
        if not module:
            return self.kernel.vmlinux
        return next((btf for btf in self.kernel.target.modules if btf.name == module), None)

    def map(self, target: str) -> int:
        """Return the descriptor of the map in ``map:NAME``; raise NotAttached where that is none."""
        word, _, name = target.partition(":")
        fd = self.maps[name].fd if word == "map" and name in self.maps else -1
        if fd < 0:
            raise needs("it attaches to a map: give one of the object's as map:NAME")
        return fd

    def close(self) -> None:
        """Undo what was done for the object, what came last first, and let go of the kernel's types.

        They are large, and objects and their programs refer to one another until the garbage collector comes.
        """
        self._kernel = None
        self._made.clear()
        while self._undo:
            self._undo.pop()()

"""freplace: a program takes the place of a global function of another program that is loaded already.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from everykernel.load.attach import outcome
from everykernel.load.attach.outcome import Link, NotAttached
from everykernel.load.kernel import program

if TYPE_CHECKING:
    from collections.abc import Mapping

    from everykernel.load.attach.program import Program
    from everykernel.load.system.door import System

_NO_ATTACH_TYPE = "cgroup_inet_ingress"  # number 0, which is what programs of this type are loaded with


def place(system: System, target: str, programs: Mapping[str, Program]) -> tuple[int, int]:
    """Return descriptor and BTF id of ``PROGRAM:FUNCTION`` of the same object; raise NotAttached where it is nothing.

    The target's BTF is the kernel's copy of it: type ids count from there.
    """
    name, colon, function = target.partition(":")
    if not colon:
        why = "it replaces a function of another program, and none is given: name both as program:function"
        raise NotAttached(why, code="attach-target-missing")
    found = programs.get(name)
    if found is None or found.fd < 0:
        why = f"program {name!r}, whose function it replaces, is not loaded"
        raise NotAttached(why, code="attach-target-missing")
    number = program.function(system, found.fd, function)
    if not number:
        raise NotAttached(f"program {name!r} has no function {function!r} in its BTF", code="attach-target-missing")
    return found.fd, number


def attach(system: System, fd: int, target: str, programs: Mapping[str, Program]) -> Link:
    """Put a program in the place of ``PROGRAM:FUNCTION``: of what it was loaded for, or of another function like it.

    By a link with a target of its own: Linux commit 4a1e7c0c63e0 (v5.10).
    """
    theirs, number = place(system, target, programs)
    return outcome.create(system, fd, theirs, _NO_ATTACH_TYPE, f"freplace {target}", extra=("I", number))

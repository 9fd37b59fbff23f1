"""Guests with this host's own user space around another kernel, by virtme-ng: for tools that need what is here.

Law: virtme-ng says what such a machine is, and we start it, as every other; nothing of the host changes.
"""

from everykernel.machine.vng.columns import resolve
from everykernel.machine.vng.machines import VngMachines

__all__ = ["VngMachines", "resolve"]

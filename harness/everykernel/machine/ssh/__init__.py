"""Machines of the user's, reached over SSH: each is a column beside the guests.

Law: what is done there is undone, however it ends; nothing is loaded there unless that was allowed.
"""

from everykernel.machine.ssh.target import Target, Terms
from everykernel.machine.ssh.targets import Targets

__all__ = ["Target", "Targets", "Terms"]

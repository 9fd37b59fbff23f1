"""`Refused`: why a record cannot be relocated at all; `compute` turns it into a fixup whose outcome is ``failed``.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations


class Refused(Exception):
    """libbpf would fail the object at this record; ``code`` is a reason code, ``errno`` what libbpf answers."""

    def __init__(self, message: str, code: str = "object-malformed", errno: str = "EINVAL") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.errno = errno

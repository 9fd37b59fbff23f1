"""The names of error numbers.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
import os
from typing import Optional

ENOTSUPP = 524  # the kernel's own, which errno does not name


def error_name(code: Optional[int]) -> str:
    """Return the name of an error number: ``EACCES``; ENOTSUPP too, and of its two names the kernel's EOPNOTSUPP."""
    if code in (ENOTSUPP, errno.EOPNOTSUPP):
        return "ENOTSUPP" if code == ENOTSUPP else "EOPNOTSUPP"
    return errno.errorcode.get(code or 0, str(code))


def failure(code: int) -> OSError:
    """Return the exception for an error number."""
    return OSError(code, os.strerror(code))

"""Where the data folders are: beside the sources in a checkout, inside the package in a wheel.

The one module that knows the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

UNCHANGED_SETTING = "EVERYKERNEL_UNCHANGED"
_PACKAGE = Path(__file__).parent
_CHECKOUT = _PACKAGE.parent.parent


def data(name: str) -> Path:
    """Return the folder ``cases``, ``images`` or ``kernels``."""
    packaged = _PACKAGE / "_data" / name
    return packaged if packaged.is_dir() else _CHECKOUT / name


def package() -> Path:
    """Return the folder of the package's own Python sources."""
    return _PACKAGE


def ours_changes() -> bool:
    """Return whether these are a checkout's sources, which their developer changes: not a wheel's, nor CI's."""
    return not (_PACKAGE / "_data").is_dir() and not os.environ.get(UNCHANGED_SETTING)

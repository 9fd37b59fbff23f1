"""This process's own temporary folder: consoles, what QEMU says, initramfs files while a kernel boots.

It goes when the process ends; what a killed process left is swept up by the next one. A folder belongs to a living
process as long as that holds a lock on it.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
from pathlib import Path

PREFIX = "everykernel-run-"
_lock = threading.Lock()
_folder: Path | None = None
_owner = 0


def run_folder() -> Path:
    """Return the folder, made when it is first asked for."""
    global _folder, _owner
    with _lock:
        if _folder is None or _owner != os.getpid():
            sweep(Path(tempfile.gettempdir()))
            _folder, _owner = Path(tempfile.mkdtemp(prefix=PREFIX)), os.getpid()
            _hold(_folder)
        return _folder


def _hold(folder: Path) -> int | None:
    """Return a descriptor that locks ``folder`` until it is closed, None if another process has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def sweep(parent: Path) -> None:
    """Delete the folders of ours in ``parent`` whose processes have ended."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or gone meanwhile
            if folder.stat().st_uid != os.getuid() or (descriptor := _hold(folder)) is None:
                continue
            shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)


@atexit.register
def _delete() -> None:
    if _folder is not None and _owner == os.getpid():
        shutil.rmtree(_folder, ignore_errors=True)

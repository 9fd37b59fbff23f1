"""Where the user's cache is: apart from cache.py, which takes longer to import than a short command runs."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from everykernel.errors import CacheError

ROOT_SETTING = "EVERYKERNEL_CACHE"


def cache() -> Path:
    """Return the cache's root, whether it is there or not: ``EVERYKERNEL_CACHE``, else the user's cache folder."""
    if setting := os.environ.get(ROOT_SETTING):
        return Path(setting).expanduser().absolute()
    if sys.platform == "linux":  # XDG Base Directory Specification, as platformdirs has it: a relative path is none
        said = Path(os.environ.get("XDG_CACHE_HOME", "").strip())
        return (said if said.is_absolute() else Path("~/.cache").expanduser()) / "everykernel"
    import platformdirs

    return Path(platformdirs.user_cache_dir("everykernel"))


def check_ours(path: Path) -> None:
    """Raise CacheError for a cache that others could have put something into: snapshots and kernels are run."""
    status = path.stat()
    elsewhere = f"set {ROOT_SETTING} to a folder of your own"
    if status.st_uid != os.geteuid():
        text = f"the cache belongs to another user (uid {status.st_uid}, and you are {os.geteuid()})"
        raise CacheError(text, where=str(path), remedy=elsewhere)
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        import shlex

        text = f"the cache can be written by others (mode {stat.S_IMODE(status.st_mode):o})"
        raise CacheError(text, where=str(path), remedy=f"chmod go-w {shlex.quote(str(path))}, or {elsewhere}")

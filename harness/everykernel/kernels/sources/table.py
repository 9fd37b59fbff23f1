"""The table of sources: by name what makes each, and the order in which a spec that names none asks them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence

from everykernel.errors import UsageError
from everykernel.kernels.debian import Archive
from everykernel.kernels.sources import rpm, ubuntu
from everykernel.kernels.sources.arch import Arch
from everykernel.kernels.sources.debian import Debian
from everykernel.kernels.sources.file import File
from everykernel.kernels.sources.mainline import Mainline
from everykernel.kernels.sources.oci import Oci
from everykernel.kernels.sources.protocol import Source

SETTING = "EVERYKERNEL_SOURCES"
# A distribution's own long-term kernels before upstream builds. Those whose version does not say what is in them
# (RHEL's 4.18) are asked by their name only, unless the user lists them.
USUAL = ("debian", "ubuntu", "mainline")


def _rpm(name: str, update: bool) -> Source:
    """Return a distribution of RPM packages, whose index of indexes is asked for anew in every run."""
    return rpm.Rpm(name)


_MAKERS: dict[str, Callable[[bool], Source]] = {
    "debian": lambda update: Debian(Archive(update=update)),
    "ubuntu": lambda update: ubuntu.Ubuntu(ubuntu.archive(update)),
    "mainline": lambda update: Mainline(),
    "file": lambda update: File(),
    "oci": lambda update: Oci(),
    "arch": lambda update: Arch(),
    **{name: functools.partial(_rpm, name) for name in rpm.names()},
}
NAMES = tuple(_MAKERS)
SLASHED = ("oci", "file")  # those in whose names of kernels slashes stand


def make(name: str, *, update: bool = False) -> Source:
    """Return a source by name; raise UsageError for one that is not in the table."""
    if name not in _MAKERS:
        raise UsageError(f"no source is called {name!r}", where="sources", remedy=f"there are {', '.join(_MAKERS)}")
    return _MAKERS[name](update)


def usual(listed: Sequence[str] = (), *, update: bool = False, environ: Mapping[str, str] = os.environ) -> list[Source]:
    """Return the sources that a spec which names none asks, in order: of the environment, the project, or the usual."""
    setting = environ.get(SETTING, "").replace(",", " ").split()
    return [make(name, update=update) for name in dict.fromkeys(setting or listed or USUAL)]

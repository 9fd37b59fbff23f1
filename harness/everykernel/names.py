"""Names from outside that become part of a path: releases, versions, packages, modules.

What an image's header, an index, a package or a guest says is a name only if it matches `PATTERN`: it has no slash,
does not begin like a hidden file or an option, and holds nothing that a shell or a terminal acts on. It is checked
where it enters, and once more where a path is made of it (`everykernel.cache.entry`).
"""

from __future__ import annotations

import re

from everykernel.errors import EverykernelError, HarnessError

PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_-]*")
LONGEST = 200  # a file system takes 255 bytes, and locks and temporary files put some 40 around a name
_SHOWN = 60  # characters of a bad name that an error shows


def checked(
    name: str, what: str, *, where: str = "", error: type[EverykernelError] = HarnessError, remedy: str = ""
) -> str:
    """Return ``name`` if it can be one part of a path; raise ``error``, which says ``what`` it should have named.

    ``name`` may be anything at all; what is shown of it is escaped and cut.
    """
    if PATTERN.fullmatch(name) and len(name) <= LONGEST:
        return name
    shown = ascii(name[:_SHOWN]) + ("…" if len(name) > _SHOWN else "")
    raise error(f"{shown} is no name for {what}", where=where, remedy=remedy or "it would lead out of its folder")

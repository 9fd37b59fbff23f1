"""What a layer of an image deletes of those below it (OCI image-spec layer.md, "Whiteouts")."""

from __future__ import annotations

import posixpath

PREFIX = ".wh."
_OPAQUE = ".wh..wh..opq"  # all that the layers below have in its folder


class Whiteouts:
    """The whiteouts of one layer; those of a layer hide nothing of its own."""

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._folders: set[str] = set()

    def take(self, member: str) -> bool:
        """Tell whether a member is a whiteout, and if so remember what it hides."""
        folder, name = posixpath.split(member)
        if not name.startswith(PREFIX):
            return False
        if name == _OPAQUE:
            self._folders.add(folder)
        else:
            self._paths.add(posixpath.join(folder, name.removeprefix(PREFIX)))
        return True

    def hides(self, member: str) -> bool:
        """Tell whether a member of a lower layer is gone: it, a folder that it is in, or all of that folder."""
        above = member
        while above:
            if above in self._paths:
                return True
            above = posixpath.dirname(above)
            if above in self._folders:
                return True
        return False

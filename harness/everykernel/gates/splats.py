"""Which warnings of a kernel make a cell not green: WARN, KASAN, lockdep, stalls, but for those that are allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from everykernel.errors import UsageError
from everykernel.matrix.records import CaseResult

_LOOKED_AT = 16 << 10  # characters of a splat that are compared with what is allowed


class Splats:
    """Finds the warnings of a result that are not allowed.

    Args:
        allowed: regular expressions; a splat in which one is found is allowed.
        where: who says so, for errors.

    Raises UsageError for what is no regular expression.
    """

    def __init__(self, allowed: Sequence[str] = (), where: str = "allow-splats") -> None:
        self._allowed = []
        for text in allowed:
            try:
                self._allowed.append(re.compile(text))
            except re.error as e:
                raise UsageError(f"{text!r} is no regular expression: {e}", where=where) from e

    def __call__(self, result: CaseResult) -> list[str]:
        """Return the warnings of a result that are not allowed."""
        return [splat for splat in map(str, result.get("warnings", [])) if not self._is_allowed(splat[:_LOOKED_AT])]

    def _is_allowed(self, splat: str) -> bool:
        return any(pattern.search(splat) for pattern in self._allowed)


def none(_: CaseResult) -> list[str]:
    """Find no warnings: they decide nothing."""
    return []

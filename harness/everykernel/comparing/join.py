"""Two tellings of one thing as one: field by field, all that either says, and the same whichever comes first."""

from __future__ import annotations

import json
from typing import Any


def canonical(value: Any) -> str:
    """Return the text by which values are told apart: JSON with sorted keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def join(one: Any, other: Any) -> Any:
    """Return what two tellings say together; of a field on which they differ, the one whose text sorts last.

    It is associative, commutative and idempotent, so the order in which files are merged decides nothing.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        both = {**one, **other}
        return {key: join(one[key], other[key]) if key in one and key in other else both[key] for key in both}
    return max(one, other, key=lambda value: (isinstance(value, dict), canonical(value)))

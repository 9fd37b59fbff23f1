"""What an HTML file holds beside its text: data that no browser runs, and the policy that allows its own code alone."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from typing import Any

from everykernel.escaping import block

_LEVEL = 6  # of zlib: 9 takes three times as long, and saves 2 %


def packed(value: Any) -> str:
    """Return a value as the base64 of deflated JSON: letters, digits, ``+``, ``/`` and ``=`` alone, whatever is in it.

    A browser reads it with ``DecompressionStream("deflate")``.
    """
    text = json.dumps(value, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode("ascii"), _LEVEL)).decode("ascii")


def shown(value: Any) -> Any:
    """Return a value, of lists and dictionaries that are ours, with every text in it printable; lines stay lines."""
    if isinstance(value, str):
        return value if value.isprintable() else block(value)
    if isinstance(value, dict):
        return {key: shown(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [shown(one) for one in value]
    return value


def policy_hash(text: str) -> str:
    """Return the source of a policy that allows exactly this text (Content Security Policy, hash-source)."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") + "'"

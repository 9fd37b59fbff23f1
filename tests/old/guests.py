"""Guests whose agent lives with a kernel that answers as an older one's: another zip, with snapshots of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from everykernel.images import agent

_HERE = Path(__file__).parent
_AGENT = "everykernel/guest/agent.py"
_CALL = """
from tests.old.become import become as _become

_become({!r}, filtered={}, doubled={}, backports={})
"""


@contextmanager
def old(
    release: str, *, filtered: bool = True, doubled: bool = True, backports: frozenset[tuple[str, int]] = frozenset()
) -> Iterator[None]:
    """Have every guest that is started meanwhile be of an older release: filtered by seccomp, doubled at the door."""
    members = agent._members()
    call = _CALL.format(release, filtered, doubled, f"frozenset({sorted(backports)!r})")
    members[_AGENT] = members[_AGENT] + call.encode()
    members["tests/__init__.py"] = members["tests/old/__init__.py"] = b""
    for name in ("become", "double", "table"):
        members[f"tests/old/{name}.py"] = (_HERE / f"{name}.py").read_bytes()
    forgets = [made for made in vars(agent).values() if hasattr(made, "cache_clear")]
    try:
        for made in forgets:
            made.cache_clear()
        with mock.patch.object(agent, "_members", return_value=members):
            yield
    finally:
        for made in forgets:
            made.cache_clear()

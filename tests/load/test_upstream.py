"""A message may say since when upstream has something; that this kernel lacks it by its number, none says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from everykernel import folders
from everykernel.load.kernel import releases
from everykernel.load.kernel.helpers import HELPERS
from everykernel.object.maps import MAP_TYPES
from everykernel.object.sections import ATTACH_TYPES, PROGRAM_TYPES

ROOT = folders.package()
FILES = sorted(p for p in ROOT.rglob("*.py") if p.relative_to(ROOT).parts[0] not in ("kernels", "loaders", "bench"))
_RELEASE = re.compile(r"v\d+\.\d+")  # of Linux: as messages write it
_NUMBER = re.compile(r"(?<![\d.])v?[2-7]\.\d{1,2}(?![\d.])")
_CLAIM = re.compile(
    r"\b(since|before|until|needs?|requires?|newer than|older than|at least|as of|prior to)\b(?! everykernel).{0,24}?"
    r"(?<![\d.])v?[2-7]\.\d{1,2}\b|(?<![\d.])v?[2-7]\.\d{1,2} (has|or newer|or later|and later|and newer|and up)\b"
)
# Texts that are no messages about the kernel that is looked at: FEATURES, the commit of each kind of BTF, for readers.
ELSEWHERE = {"btf/sanitise.py"}


def _texts(source: str) -> Iterator[tuple[int, str, ast.AST | None]]:
    """Yield line, text and what holds it of each text that is no docstring: f-strings as one, ``{}`` inside."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        parent = parents.get(node)
        if isinstance(parent, (ast.Expr, ast.JoinedStr, ast.FormattedValue)):
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value, parent
        elif isinstance(node, ast.JoinedStr):
            pieces = (str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values)
            yield node.lineno, "".join(pieces), parent


def _faults(source: str) -> list[str]:
    found = []
    for line, text, parent in _texts(source):
        if _RELEASE.fullmatch(text):
            called = ast.unparse(parent.func) if isinstance(parent, ast.Call) else type(parent).__name__
            if called not in ("upstream", "Newer", "Tuple", "IfExp"):
                found.append(f"{line}: {text} is not said by upstream()")
        elif _CLAIM.search(text) or (_RELEASE.search(text) and _NUMBER.search(text)):
            found.append(f"{line}: {text!r}")
    return found


@pytest.mark.parametrize("path", FILES, ids=[str(p.relative_to(ROOT)) for p in FILES])
def test_no_text_says_what_a_number_means_but_upstream(path: Path) -> None:
    """Releases of Linux are in messages only through `upstream`, which says that they are upstream's."""
    name = str(path.relative_to(ROOT))
    found = _faults(path.read_text())
    assert (found != []) if name in ELSEWHERE else (found == []), found


@pytest.mark.parametrize(
    "source",
    [
        'raise NotAttached("needs Linux 5.8")',
        'text = f"{what}: this kernel is older than v5.2"',
        'why = "as this kernel has no variables per CPU (v7.3 has)"',
        'say("Linux has it since v6.9")',
        'say("links before 5.7 have none")',
        'say(f"{name} takes 6 (12 since v6.6)")',
        'release = "v6.9"',
        'remedy = "use Linux 5.8 or newer"',
    ],
)
def test_each_fault_is_seen(source: str) -> None:
    """The test above finds each of the things that it is for."""
    assert _faults(source)


@pytest.mark.parametrize(
    "source",
    [
        "say(f\"this kernel has no {name} ({upstream('v6.9')})\")",
        'def f():\n    """Linux commit 1 (v5.2): before v5.2 there was none."""',
        "spec = '6.1'",
        "range_ = '>=5.14,<6.15'",
    ],
)
def test_what_is_no_fault(source: str) -> None:
    """What upstream has may be said; docstrings and names of kernels are no messages."""
    assert not _faults(source)


def test_every_number_is_said_in_one_way() -> None:
    """Of each helper and type, the message is that of upstream, or nothing; and the tables go on in time."""
    lists = {"helper": HELPERS, "map": MAP_TYPES, "program": PROGRAM_TYPES, "attach": ATTACH_TYPES}
    for kind, names in lists.items():
        ages = []
        for number in range(len(names)):
            said = releases.since(kind, number)
            assert re.fullmatch(r"( \(upstream since v\d+\.\d+\))?", said), said
            release = releases.first(kind, number)
            ages.append(tuple(map(int, release[1:].split("."))) if release else (0, 0))
        assert ages == sorted(ages), kind
    assert releases.since("map", MAP_TYPES.index("hash")) == ""
    assert releases.since("helper", 195896080) == ""
    assert releases.since("map", MAP_TYPES.index("arena")) == " (upstream since v6.9)"
    assert releases.since("map", MAP_TYPES.index("ringbuf")) == " (upstream since v5.8)"
    assert releases.since("helper", HELPERS.index("probe_read_kernel")) == " (upstream since v5.5)"
    for name, release in releases.MAP_FLAGS.values():
        assert name.startswith("BPF_F_")
        assert _RELEASE.fullmatch(release)

"""Nothing that the wheel brings along is under the GPL: everykernel is Apache-2.0, and what is built on it may be."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
# QEMU's client is under the LGPL, but for two modules of it that are under the GPL: those are never imported.
LESSER = {"qemu.qmp": ("qemu.qmp.legacy", "qemu.qmp.qmp_tui")}


def name_of(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None
    return match[0].lower()


def dependencies() -> dict[str, importlib.metadata.Distribution]:
    """All that pip installs with the wheel here, by name."""
    pending = [name_of(text) for text in tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]]
    found: dict[str, importlib.metadata.Distribution] = {}
    while pending:
        name = pending.pop()
        if name not in found:
            found[name] = importlib.metadata.distribution(name)
            wanted = [text for text in found[name].requires or () if ";" not in text]
            pending += [name_of(text) for text in wanted]
    return found


def licence(distribution: importlib.metadata.Distribution) -> str:
    """What a distribution says of its licence, in any of the three places there are for it."""
    about = distribution.metadata
    said = [text for name in ("Classifier", "License-Expression", "License") for text in about.get_all(name) or ()]
    return " ".join(text for text in said if not text.startswith(("Programming", "Topic", "Intended")))


def test_no_dependency_is_under_the_gpl() -> None:
    """Not one, at any depth; the table of exceptions has no row too many."""
    found = dependencies()
    assert len(found) > 12
    under = {name for name, one in found.items() if re.search(r"GPL|General Public", licence(one))}
    assert under == set(LESSER)


def test_the_gpl_parts_of_what_is_lgpl_are_not_imported() -> None:
    """Importing all that talks to QEMU imports none of them."""
    program = "import sys, everykernel.machine.control, everykernel.machine.qemu\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    for name, parts in LESSER.items():
        assert name in loaded
        assert not loaded & set(parts)

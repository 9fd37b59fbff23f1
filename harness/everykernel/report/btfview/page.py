"""The page: one HTML file without anything from elsewhere.

The types travel as compressed JSON in a block that no browser runs, and reach the document as text alone; a policy in
the head allows this file's own script and style, by their hashes, and nothing else.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from everykernel.btf import Btf
from everykernel.escaping import printable
from everykernel.report import embed
from everykernel.report.btfview import compare, model

_HERE = Path(__file__).parent


def contents(kernels: Sequence[tuple[str, Btf]]) -> dict[str, Any]:
    """Return what the page holds of one or two kernels, given by label and BTF."""
    every = [model.entries(btf) for _, btf in kernels]
    found: dict[str, Any] = {
        "kernels": [printable(label) for label, _ in kernels],
        "types": [[entry.data() for entry in entries] for entries in every],
        "pairs": [],
    }
    if len(kernels) == 2:
        (_, old), (_, new) = kernels
        found["pairs"] = compare.pairs(old, every[0], new, every[1])
    return found


def page(kernels: Sequence[tuple[str, Btf]]) -> str:
    """Return the HTML of one or two kernels."""
    script, style = ((_HERE / name).read_text() for name in ("script.js", "style.css"))
    parts = {
        "TITLE": html.escape("BTF of " + " and ".join(printable(label) for label, _ in kernels)),
        "STYLE-HASH": embed.policy_hash(style),
        "SCRIPT-HASH": embed.policy_hash(script),
        "STYLE": style,
        "SCRIPT": script,
        "DATA": embed.packed(contents(kernels)),
    }
    return re.sub("@([A-Z-]+)@", lambda name: parts[name[1]], (_HERE / "page.html").read_text())

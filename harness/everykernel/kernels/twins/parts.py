"""What twins are called, and which there can be: ``6.1-btf``, ``6.1-nobtf``, and ``6.1-supplied``.

The third is no third kernel: it is the twin without BTF, relocated against the BTF that pahole made of its own debug
information.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from everykernel import folders
from everykernel.errors import UsageError

WITH, WITHOUT, SUPPLIED = "btf", "nobtf", "supplied"
PARTS = (WITH, WITHOUT, SUPPLIED)
SOURCE = "twins"  # what stands before the colon of a record's source: twins:linux-source-6.1


@dataclass(frozen=True)
class Row:
    """One series of which twins can be built: a row of kernels/catalogue.toml.

    Attributes:
        series: ``6.1``.
        package: Debian's package with its source.
        suites: where that is; the newest version in any of them is built.
        minutes: of one processor, that both twins take together (measured; the host's compiler decides).
    """

    series: str
    package: str
    suites: tuple[str, ...]
    minutes: int


@functools.cache
def rows() -> Mapping[str, Row]:
    """Return the series of which twins can be built, by name, oldest first."""
    raw = tomllib.loads((folders.data("kernels") / "catalogue.toml").read_text())["twins"]
    return {row["series"]: Row(row["series"], row["package"], tuple(row["suites"]), row["minutes"]) for row in raw}


def specs(listed: str, option: str = "--twins") -> list[str]:
    """Return the columns that ``--twins 6.1,6.12`` means: all parts of each; raise UsageError for none."""
    found = [f"{name.strip()}-{part}" for name in listed.split(",") if name.strip() for part in PARTS]
    if not found:
        raise UsageError("no twins were named", where=option, remedy=f"name some of {', '.join(rows())}")
    return found

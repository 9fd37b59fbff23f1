"""The rules in which loaders differ, as data: each kind of disagreement that is known, and why it is one.

differences.toml is the table; docs/loader-differences.md is written from it. A kind is recognised by who refuses and by
what is said: reason code, errno, message, the maps it names with their types, and the verifier's last lines.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_name("differences.toml")


@dataclass(frozen=True)
class Kind:
    """One known kind of disagreement.

    Attributes:
        name: kebab-case, for reports.
        refuses: the loaders that refuse by this rule.
        says: found in what a refusal says.
        takes: loaders of which one at least has to take it, empty for any.
        title: the difference in a line.
        why: the rule, and where the libraries decide it.
        remedy: what an author does who wants it loaded by all.
    """

    name: str
    refuses: tuple[str, ...]
    says: re.Pattern[str]
    takes: tuple[str, ...]
    title: str
    why: str
    remedy: str


@functools.cache
def table(path: Path = TABLE) -> tuple[Kind, ...]:
    """Return the checked-in kinds, the more particular first: the first that fits explains a refusal."""
    with path.open("rb") as file:
        rows = tomllib.load(file)["kind"]
    return tuple(
        Kind(
            name=row["name"],
            refuses=tuple(row["refuses"]),
            says=re.compile(row["says"], re.DOTALL),
            takes=tuple(row.get("takes", ())),
            title=row["title"],
            why=row["why"],
            remedy=row["remedy"],
        )
        for row in rows
    )


def explain(refuses: str, says: str, takes: frozenset[str]) -> Kind | None:
    """Return the kind that explains a refusal, None if no kind is known.

    Args:
        refuses: the loader that refuses.
        says: all that is said of it.
        takes: the loaders that take what it refuses.
    """
    for kind in table():
        if refuses in kind.refuses and (not kind.takes or takes & set(kind.takes)) and kind.says.search(says):
            return kind
    return None


def page() -> str:
    """Return docs/loader-differences.md."""
    lines = [
        "# Where loaders differ",
        "",
        "Written from `harness/everykernel/loaders/differences.toml`: the rules by which one loader refuses what",
        "another takes, as `everykernel report --disagreements` names them. `own` is this project's loader, by",
        "libbpf's rules.",
    ]
    for kind in table():
        who = ", ".join(kind.refuses)
        lines += ["", f"## {kind.title}", "", f"`{kind.name}`, refused by {who}"]
        lines[-1] += f", taken by {', '.join(kind.takes)}." if kind.takes else "."
        lines += ["", kind.why, "", f"To have it loaded by all: {kind.remedy}."]
    return "\n".join(lines) + "\n"

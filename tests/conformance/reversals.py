"""Each rule of a loader turned into libbpf's, one at a time; run in a guest, what our loader then makes of objects.

``python3 reversals.py LOADER FOLDER NAME…`` with the agent's zip on the path: loads the objects of FOLDER by the rules
as they are ("") and by each reversal of NAME…, and prints a line of JSON for each load.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from everykernel.load.rules import libbpf, named
from everykernel.load.rules.rules import Rules

AS_IT_IS = ""


def reversals(rules: Rules) -> dict[str, Rules]:
    """Return the rules with one of their parts as libbpf has it, by the part's name: ``externs.flavours``."""
    found: dict[str, Rules] = {AS_IT_IS: rules}
    for path, value in _parts(rules, libbpf.RULES, ""):
        found[path] = _with(rules, path.partition("#")[0].split("."), value)
    return found


def _parts(ours: Any, theirs: Any, prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for field in dataclasses.fields(ours):
        mine, libbpfs = getattr(ours, field.name), getattr(theirs, field.name)
        path = f"{prefix}{field.name}"
        if field.name == "name" or mine == libbpfs:
            continue
        if dataclasses.is_dataclass(mine):
            found += _parts(mine, libbpfs, f"{path}.")
        elif field.name == "checks":  # what is refused at opening: each by itself
            for number, one in enumerate(mine):
                found.append((f"{path}#{_title(one, number)}", tuple(c for c in mine if c is not one)))
        else:
            found.append((path, libbpfs))
    return found


def _title(check: Any, number: int) -> str:
    return str(getattr(check, "__name__", number)).strip("_")


def _with(whole: Any, path: list[str], value: Any) -> Any:
    name, *rest = path
    return dataclasses.replace(whole, **{name: _with(getattr(whole, name), rest, value) if rest else value})


def main(loader: str, folder: str, wanted: list[str]) -> None:
    """Load, and print what came of it."""
    from everykernel import load, wire
    from everykernel.guest.requests import Requests

    requests = Requests(load.kernel_btf())
    known = reversals(named.named(loader))
    for path in sorted(Path(folder).iterdir()):
        for name in [AS_IT_IS, *wanted]:
            named.RULES[loader] = known[name]
            said = requests.serve(wire.Load(path.name, path.read_bytes(), rules=loader))
            assert isinstance(said, wire.Loaded), said
            sys.stdout.write(json.dumps([path.name, name, said.relocate, said.load], default=_plain) + "\n")
            requests.serve(wire.Unload(said.handle))


def _plain(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, (bytes, bytearray)) else str(value)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])

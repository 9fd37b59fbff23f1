"""The JSON Schema of results files (schema ``everykernel/1``), and the one gate through which files come in.

A results file may be anybody's: an artifact of another machine, an attachment, a fork's. What passes the gate has every
field of the type that `records` says, so that whoever reads on need not ask again.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema

from everykernel.errors import UsageError

PATH = Path(__file__).with_name("schema.json")
_TOLD = 240  # characters of what is wrong that an error shows


def load() -> dict[str, Any]:
    """Return the schema, as jsonschema and other validators take it."""
    schema: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return schema


def check(data: Any, where: str) -> None:
    """Raise UsageError, with the place inside the file, if ``data`` is not what the schema says.

    Args:
        data: what a file holds, as JSON has it.
        where: the file.
    """
    try:
        _validator()(data)
    except fastjsonschema.JsonSchemaValueException as e:
        name = e.name or ""
        place = name.removeprefix("data").removeprefix(".")
        said = e.message.removeprefix(name).strip()
        said = said if len(said) <= _TOLD else f"{said[: _TOLD - 1]}…"
        raise UsageError(
            f"{place or 'the file'} {said}", where=where, remedy="the shape is docs/result-schema.md's"
        ) from e


@cache
def _validator() -> Any:
    return fastjsonschema.compile(load(), use_default=False)

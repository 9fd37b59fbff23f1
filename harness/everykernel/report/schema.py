"""The JSON Schema of results files (schema ``everykernel/1``), which ships with the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("schema.json")


def load() -> dict[str, Any]:
    """Return the schema, as jsonschema and other validators take it."""
    schema: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return schema

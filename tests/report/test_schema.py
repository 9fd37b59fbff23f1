"""The schema that ships with the package says what we write."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from everykernel import wire
from everykernel.matrix import records
from everykernel.reasons import REASONS
from everykernel.report import schema

SCHEMA = schema.load()
SHAPES: list[tuple[type, dict[str, Any]]] = [
    (records.RunRecord, SCHEMA["properties"]["run"]),
    (records.HostRecord, SCHEMA["properties"]["run"]["properties"]["host"]),
    (records.KernelRecord, SCHEMA["$defs"]["kernel"]),
    (records.CaseResult, SCHEMA["$defs"]["result"]),
    (records.ProblemRecord, SCHEMA["$defs"]["result"]["properties"]["problems"]["items"]),
    (wire.Stage, SCHEMA["$defs"]["stage"]),
    (wire.ProgramUse, SCHEMA["$defs"]["use"]),
    (wire.Relocation, SCHEMA["$defs"]["relocation"]),
    (wire.MapRecord, SCHEMA["$defs"]["map"]),
    (wire.ProgramRecord, SCHEMA["$defs"]["program"]),
]


def test_it_is_a_schema() -> None:
    """The file is valid under the dialect that it names."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(("shape", "described"), SHAPES, ids=lambda v: getattr(v, "__name__", ""))
def test_it_has_every_field(shape: type, described: dict[str, Any]) -> None:
    """Each record's fields are the schema's; ``expected`` is added by the harness when it judges."""
    assert set(described["properties"]) - {"expected"} == set(shape.__annotations__)
    assert set(described.get("required", ())) <= set(described["properties"])


def test_it_refuses_other_files() -> None:
    """A status that does not exist is found."""
    wrong = {"schema": "everykernel/1", "run": {}, "kernels": [], "results": []}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


def test_codes_are_documented() -> None:
    """Every reason code that the harness itself gives is in the table of reasons."""
    assert {"assertion-failed", "harness-error", "timeout"} <= set(REASONS)

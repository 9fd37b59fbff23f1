"""The schema that ships with the package says what we write."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from everykernel import wire
from everykernel.matrix import records
from everykernel.reasons import REASONS
from everykernel.report import schema

SCHEMA = schema.load()
PAGE = (Path(__file__).parents[2] / "docs" / "result-schema.md").read_text()
SHAPES: list[tuple[type, dict[str, Any]]] = [
    (records.RunRecord, SCHEMA["properties"]["run"]),
    (records.HostRecord, SCHEMA["$defs"]["host"]),
    (records.WorkerRecord, SCHEMA["$defs"]["worker"]),
    (
        records.PartRecord,
        {**SCHEMA["$defs"]["part"], "properties": {**SCHEMA["$defs"]["part"]["properties"], "parts": {}}},
    ),
    (records.LoaderRecord, SCHEMA["$defs"]["loader"]),
    (records.KernelRecord, SCHEMA["$defs"]["kernel"]),
    (records.CaseResult, SCHEMA["$defs"]["result"]),
    (records.ProblemRecord, SCHEMA["$defs"]["result"]["properties"]["problems"]["items"]),
    (records.Reused, SCHEMA["$defs"]["reused"]),
    (records.Granted, SCHEMA["$defs"]["result"]["properties"]["granted"]),
    (wire.Stage, SCHEMA["$defs"]["stage"]),
    (wire.Whole, SCHEMA["$defs"]["whole"]),
    (wire.Misread, SCHEMA["$defs"]["misread"]),
    (wire.ProgramUse, SCHEMA["$defs"]["use"]),
    (records.CommandRecord, SCHEMA["$defs"]["command"]),
    (records.OutputRecord, SCHEMA["$defs"]["output"]),
    (wire.BpfCall, SCHEMA["$defs"]["call"]),
    (wire.Appeared, SCHEMA["$defs"]["appeared"]),
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


@pytest.mark.parametrize(("shape", "described"), SHAPES, ids=lambda v: getattr(v, "__name__", ""))
def test_its_page_names_every_field(shape: type, described: dict[str, Any]) -> None:
    """docs/result-schema.md speaks of each field of each record."""
    words = set(re.findall(r"[`\"](\w+)[`\"]", PAGE))
    assert set(described["properties"]) - words == set()


def test_the_key_is_the_one_that_the_page_names() -> None:
    """What tells cells apart is what the documentation says, field by field."""
    assert f"`({', '.join(records.KEY)})`" in PAGE
    assert set(records.KEY) <= set(records.CaseResult.__annotations__)


def test_it_refuses_other_files() -> None:
    """A status that does not exist is found."""
    wrong = {"schema": "everykernel/1", "run": {}, "kernels": [], "results": []}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


def test_codes_are_documented() -> None:
    """Every reason code that the harness itself gives is in the table of reasons."""
    assert {"assertion-failed", "harness-error", "timeout"} <= set(REASONS)

"""What of a contract concerns each of several objects, and their records as one."""

from __future__ import annotations

from typing import Any

import pytest
from tests import elfwriter as e

from everykernel import object as object_
from everykernel.errors import UsageError
from everykernel.load import collection
from everykernel.object import MapSpec, ObjectSpec


def _spec(name: str, program: str, *maps: str) -> ObjectSpec:
    writer = e.ObjectWriter()
    writer.code("xdp", **{program: e.MOV0 + e.EXIT})
    found = object_.read(writer.build(), name)
    return ObjectSpec(**{**found.__dict__, "maps": {m: MapSpec(m, 1, 4, 4, 1) for m in maps}})


A, B = _spec("a.o", "one", "shared", "mine"), _spec("b.o", "two", "shared")


@pytest.mark.parametrize(
    ("contract", "of_a", "of_b"),
    [
        ({}, {}, {}),
        ({"programs": ["two"]}, {"programs": []}, {"programs": ["two"]}),
        (
            {"maps": {"shared": {"max_entries": 3}, "mine": {"create": False}}},
            {"maps": {"shared": {"max_entries": 3}, "mine": {"create": False}}},
            {"maps": {"shared": {"max_entries": 3}}},
        ),
        ({"types": {"one": "kprobe"}}, {"types": {"one": "kprobe"}}, {"types": {}}),
        (
            {"variants": {"g": [{"programs": ["one"]}, {"programs": []}]}},
            {"variants": {"g": [{"programs": ["one"]}, {"programs": []}]}},
            {"variants": {}},
        ),
    ],
)
def test_each_object_takes_what_it_has(contract: dict[str, Any], of_a: dict[str, Any], of_b: dict[str, Any]) -> None:
    """A contract for several objects is taken apart by what each has; together nothing of it is lost."""
    collection._check([A, B], contract, None)
    assert (collection._part(contract, A), collection._part(contract, B)) == (of_a, of_b)


@pytest.mark.parametrize(
    ("specs", "contract", "message"),
    [
        ([A, B], {"skip": ["on"]}, r"contract: unknown program 'on' \[did you mean 'one'\?\]"),
        ([A, B], {"maps": {"share": {}}}, r"contract: unknown map 'share' \[did you mean 'shared'\?\]"),
        ([A, B], {"globals": {"x": 1}}, "contract: unknown variable 'x'"),
        ([A, _spec("c.o", "one")], {}, r"objects: program 'one' is in a.o and in c.o \[load these apart\]"),
    ],
)
def test_what_no_object_has_is_refused(specs: list[ObjectSpec], contract: dict[str, Any], message: str) -> None:
    """A name that none has, and a program that two have, are errors before anything is loaded."""
    with pytest.raises(UsageError, match=message):
        collection._check(specs, contract, None)


class _Loaded:
    """As much of a loaded object as its record takes."""

    def __init__(self, spec: ObjectSpec, status: str, message: str = "") -> None:
        self.spec = spec
        whole = {"loader": "libbpf", "status": status, "code": "", "errno": None, "message": message}
        rows = [{"name": p.name} for p in spec.programs]
        self.load = {
            "status": status, "code": "x" if message else "", "message": message, "seconds": 1.5, "maps": [],
            "programs": rows, "whole": whole, "notes": [f"note of {spec.name}"],
        }  # fmt: skip


def test_records_are_one() -> None:
    """The stage is the worst object's, whose name its message has; programs and notes are of all."""
    made: Any = collection._merged([_Loaded(A, "passed"), _Loaded(B, "failed", "no")], "load")  # type: ignore[list-item]
    assert (made["status"], made["code"], made["message"], made["seconds"]) == ("failed", "x", "b.o: no", 3.0)
    assert [p["name"] for p in made["programs"]] == ["one", "two"]
    assert made["notes"] == ["a.o: note of a.o", "b.o: note of b.o"]
    assert made["whole"]["message"] == "no"

"""What a contract decides becomes part of what the object says."""

from __future__ import annotations

from typing import Any

import pytest
from tests import elfwriter as e
from tests.btfwriter import Writer

from everykernel import object as object_
from everykernel.errors import UsageError
from everykernel.load.programs.decide import Decided, decide
from everykernel.load.system.local import Local
from everykernel.object import MapSpec, ObjectSpec, contract


def _spec() -> ObjectSpec:
    """Three programs, one in a ``?`` section, and a map whose value's type has four bytes."""
    btf = Writer()
    integer = btf.integer("int", signed=True)
    writer = e.ObjectWriter()
    writer.code("kprobe/old", a=e.MOV0 + e.EXIT)
    writer.code("xdp", b=e.MOV0 + e.EXIT)
    writer.code("?tc", c=e.MOV0 + e.EXIT)
    writer.section(".BTF", btf.image(), flags=0)
    found = object_.read(writer.build(), "x.o")
    maps = {"m": MapSpec("m", 1, 4, 4, 0, key_type=integer, value_type=integer)}
    return ObjectSpec(**{**found.__dict__, "maps": maps})


class SixCpus(Local):
    """A machine that could have six CPUs."""

    def cpus(self, which: str = "possible") -> list[int]:
        return list(range(6))


def _decide(names: list[str] | None = None, **table: Any) -> Decided:
    return decide(_spec(), contract.parse(table, "x"), names, system=SixCpus())


def test_nothing_decided_is_the_object_itself() -> None:
    """Without a contract every program is tried as the object has it, and nothing is noted."""
    spec = _spec()
    found = decide(spec, contract.Contract(), system=Local())
    assert found.spec is spec
    assert [p.name for p in found.programs] == ["a", "b", "c"]
    assert found.notes == []


@pytest.mark.parametrize(
    ("names", "table", "chosen", "notes"),
    [
        (None, {"programs": ["b", "a", "b"]}, ["b", "a"], ["switched off by the contract: c"]),
        (None, {"skip": ["b"]}, ["a", "c"], ["switched off by the contract: b"]),
        (["c"], {}, ["c"], []),
        (["c", "a"], {"variants": {"g": [{"programs": ["a"]}]}}, ["c"], []),
        (None, {"variants": {"g": [{"programs": ["a"]}, {"programs": ["b"]}]}}, ["c"], []),
    ],
)
def test_which_programs_load(names: list[str] | None, table: Any, chosen: list[str], notes: list[str]) -> None:
    """Those of a list, less those that are skipped; those of variants load only with their group."""
    found = _decide(names, **table)
    assert [p.name for p in found.programs] == chosen
    assert found.notes == notes


def test_targets_and_what_may_fail() -> None:
    """A program has the contract's target, and one that may fail decides no more than one of a ``?`` section."""
    programs = {p.name: p for p in _decide(targets={"a": "new"}, may_fail=["b"]).spec.programs}
    assert (programs["a"].target, programs["a"].autoload) == ("new", True)
    assert [programs[name].autoload for name in "bc"] == [False, False]


def test_sizes() -> None:
    """A map has the contract's sizes, the types only as long as they fit, and the record says what it was before."""
    found = _decide(maps={"m": {"max_entries": "cpus"}})
    made = found.spec.maps["m"]
    assert (made.max_entries, made.key_size, made.value_size) == (6, 4, 4)
    assert made.value_type != 0
    assert found.notes == ["map 'm': max_entries 0 -> 6 (cpus), as the contract says"]
    made = _decide(maps={"m": {"value_size": 16}}).spec.maps["m"]
    assert (made.value_size, made.key_type, made.value_type) == (16, 0, 0)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"skip": ["d"]}, "x.o: skip: unknown program 'd'"),
        ({"maps": {"n": {}}}, "x.o: maps: unknown map 'n'"),
        ({"globals": {"v": 1}}, "x.o: globals: unknown variable 'v'"),
        ({"kconfig": {"CONFIG_HZ": 1}}, "x.o: kconfig: unknown setting 'CONFIG_HZ'"),
        ({"variants": {"g": [{"programs": ["d"]}]}}, "x.o: variants: unknown program 'd'"),
    ],
)
def test_what_the_object_does_not_have(table: Any, message: str) -> None:
    """A name that the object does not have is an error that says where the contract names it."""
    with pytest.raises(UsageError) as caught:
        _decide(**table)
    assert str(caught.value).startswith(message)


def test_types_take_the_place_of_sections() -> None:
    """Another type drops what the section says but its attach type, as libbpf does; the same one changes nothing."""
    found = _decide(types={"a": "kprobe", "b": "sched_cls"}, attach_types={"c": "tcx_ingress"}).spec
    rules = {p.name: p.rule for p in found.programs}
    before = {p.name: p.rule for p in _spec().programs}
    assert rules["a"] == before["a"]
    assert rules["b"] is not None
    assert (rules["b"].type, rules["b"].attach_type, rules["b"].how) == (
        "sched_cls",
        "xdp",
        "",
    )
    assert rules["c"] is not None
    assert (rules["c"].type, rules["c"].attach_type) == ("sched_cls", "tcx_ingress")


def test_attach_points_fit_the_type() -> None:
    """An attach point of another type of programs is refused, with what to set."""
    places = {p.name: p.attach for p in _decide(attach={"a": ["kprobe:x", "uprobe:f:y"]}).spec.programs}["a"]
    assert [(rule.stem, target) for rule, target in places] == [("kprobe", "x"), ("uprobe", "f:y")]
    with pytest.raises(
        UsageError, match=r"x.o: attach: 'kprobe' attaches kprobe programs.*\[types = \{ b = \"kprobe\" \}\]"
    ):
        _decide(attach={"b": "kprobe:x"})


def test_an_inner_map_needs_a_map_of_maps() -> None:
    """A prototype makes the map's values descriptors; a map of anything else takes none."""
    inner = {"type": "array", "key_size": 4, "value_size": 8, "max_entries": "cpus"}
    made = _decide(maps={"m": {"type": "hash_of_maps", "inner": inner}}).spec.maps["m"]
    assert made.inner is not None
    assert (made.value_size, made.inner.type, made.inner.max_entries) == (4, 2, 6)
    with pytest.raises(UsageError, match="map 'm' is of type hash, which holds no maps"):
        _decide(maps={"m": {"inner": inner}})

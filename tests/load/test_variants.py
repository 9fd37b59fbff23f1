"""Of a group of variants, the first that the kernel takes is kept."""

from __future__ import annotations

from typing import Any

import pytest
from tests import elfwriter as e

from everykernel import object as object_
from everykernel import wire
from everykernel.errors import UsageError
from everykernel.load import LoadedObject, Program
from everykernel.load.kernel.reason import Reason
from everykernel.load.kernel.types import KernelTypes
from everykernel.load.programs import needs
from everykernel.load.programs.variants import Group
from everykernel.object import ProgramSpec, contract


class Kernel:
    """Loads programs without a kernel: those named in ``refuses`` are refused."""

    def __init__(self, *refuses: str) -> None:
        writer = e.ObjectWriter()
        writer.code("xdp", a=e.MOV0 + e.EXIT, b=e.MOV0 + e.EXIT, c=e.MOV0 + e.EXIT)
        self.object = LoadedObject(object_.read(writer.build(), "x.o"), {}, {}, KernelTypes(None))
        self.refuses = refuses
        self.tried: list[str] = []

    def load(self, spec: ProgramSpec, lacks: Reason | None = None) -> None:
        if lacks is None:
            self.tried.append(f"{spec.name}@{spec.target}" if spec.target else spec.name)
        refused = lacks is not None or spec.name in self.refuses
        record: wire.ProgramRecord = {
            "name": spec.name,
            "status": wire.FAILED if refused else wire.PASSED,
            "code": (lacks.code if lacks else "load-failed") if refused else "",
            "message": "no" if refused else "",
            "decides": False,
        }
        self.object.programs[spec.name] = Program(spec, record, -1, self.object)

    def keep(self, *variants: dict[str, Any]) -> list[str]:
        """Go through a group of these variants and return its notes."""
        parsed = contract.parse({"variants": {"g": list(variants)}}, "x")
        group = Group("g", parsed.variants["g"], self.object, KernelTypes(None), self.load)
        group.keep_first()
        return group.notes

    def records(self) -> dict[str, tuple[str, bool]]:
        return {p.name: (p.record["status"], p.record["decides"]) for p in self.object.programs.values()}


def test_the_first_is_kept() -> None:
    """What comes after the first that loads is not tried, and what is kept decides."""
    kernel = Kernel()
    assert kernel.keep({"programs": ["b"]}, {"programs": ["a"]}) == ["variants 'g': b (1 of 2) is kept"]
    assert kernel.tried == ["b"]
    assert kernel.records() == {"b": ("passed", True)}
    assert kernel.object.programs["b"].record["variant"] == "g: b"


def test_a_refusal_leads_to_the_next() -> None:
    """A refused variant stays in the record and decides nothing; programs load in the order of the variant."""
    kernel = Kernel("a")
    notes = kernel.keep({"programs": ["a"]}, {"programs": ["c", "b"], "targets": {"c": "there"}})
    assert notes == ["variants 'g': not a: a: no", "variants 'g': c at there, b (2 of 2) is kept"]
    assert kernel.tried == ["a", "c@there", "b"]
    assert kernel.records() == {"a": ("failed", False), "c": ("passed", True), "b": ("passed", True)}


def test_all_or_none() -> None:
    """Where one program of a variant is refused, its others are unloaded again."""
    kernel = Kernel("b")
    kernel.keep({"programs": ["a", "b"]}, {"programs": ["c"]})
    assert kernel.records() == {"a": ("skipped", False), "b": ("failed", False), "c": ("passed", True)}


def test_doing_without() -> None:
    """A variant without programs is always taken."""
    assert Kernel("a").keep({"programs": ["a"]}, {"programs": []})[-1] == "variants 'g': none (2 of 2) is kept"


def test_none_that_loads() -> None:
    """The refusal of the last variant that was tried decides."""
    kernel = Kernel("a", "b")
    kernel.keep({"programs": ["a"]}, {"programs": ["b"]}, {"programs": ["c"], "needs": {"btf": "func x"}})
    assert kernel.records() == {"a": ("failed", False), "b": ("failed", True)}


def test_none_that_can_be_tried() -> None:
    """Where the kernel lacks what every variant needs, the first says so, with the reason's code, and decides."""
    kernel = Kernel()
    assert kernel.keep({"programs": ["a"], "needs": {"btf": "struct x"}}) == [
        "variants 'g': not a: this kernel has no BTF to look for struct x"
    ]
    assert kernel.tried == []
    assert kernel.records() == {"a": ("failed", True)}
    assert kernel.object.programs["a"].record["code"] == "btf-missing"


@pytest.mark.parametrize(
    ("need", "message"),
    [
        ({"helper": "bpf_loup"}, "unknown helper 'loup' [did you mean 'loop'?]"),
        ({"map_type": "ringbuff"}, "unknown map type 'ringbuff' [did you mean 'ringbuf'?]"),
        ({"program_type": "kprob"}, "unknown program type 'kprob' [did you mean 'kprobe'?]"),
        ({"btf": "structure x"}, "unknown kind of type 'structure' [did you mean 'struct'?]"),
    ],
)
def test_a_need_that_no_kernel_has(need: dict[str, str], message: str) -> None:
    """A name that no kernel knows is an error, not a reason to pass a variant over."""
    with pytest.raises(UsageError) as caught:
        needs.lacking(contract.Variant(("a",), {}, need), None, KernelTypes(None))
    assert str(caught.value).endswith(message)

"""The verdict on the object as a whole, which stands beside those on its programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everykernel import wire
from everykernel.compile import Job, compile_one
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines

pytestmark = pytest.mark.vm

SOURCES = Path(__file__).parents[1] / "conformance" / "wholes"
PASSED = {"loader": "libbpf", "status": "passed", "code": "", "errno": None, "message": ""}


@pytest.fixture(scope="module")
def guest(machines: Machines, columns: dict[str, Kernel]) -> Iterator[Guest]:
    """One guest of 6.12: no test leaves anything but loaded objects."""
    with machines.start(columns["6.12"]) as guest:
        yield guest


class Loader:
    """Compiles a source of SOURCES and loads it."""

    def __init__(self, guest: Guest, columns: dict[str, Kernel], folder: Path) -> None:
        self.guest = guest
        self.arch = columns["6.12"].arch
        self.folder = folder

    def __call__(self, name: str, contract: dict[str, Any] | None = None) -> Any:
        target = self.folder / f"{name}.bpf.o"
        compile_one(Job(SOURCES / f"{name}.bpf.c", self.arch, target))
        reply = self.guest.request(wire.Load(target.name, target.read_bytes(), contract=contract or {}))
        assert isinstance(reply, wire.Loaded)
        self.guest.request(wire.Unload(reply.handle))
        return reply.load


@pytest.fixture
def load(guest: Guest, columns: dict[str, Kernel], tmp_path: Path) -> Loader:
    return Loader(guest, columns, tmp_path)


def _statuses(stage: Any) -> dict[str, str]:
    return {program["name"]: program["status"] for program in stage["programs"]}


def test_a_type_that_one_program_rules_out_fails_the_whole(load: Loader) -> None:
    """Each program loads by itself; together, the second's field is in no type that is left."""
    stage = load("ruled_out")
    assert stage["status"] == "passed"
    assert _statuses(stage) == {"first": "passed", "second": "passed"}
    whole = stage["whole"]
    assert (whole["loader"], whole["status"]) == ("libbpf", "failed")
    assert (whole["code"], whole["errno"]) == ("relocation-unresolved", "EINVAL")
    why = "with what other programs' records leave of the kernel's types: EINVAL: byte_off struct irq_info.slot: "
    assert whole["message"].startswith(f"program 'second': {why}")


def test_a_program_that_is_switched_off_rules_nothing_out(load: Loader) -> None:
    """With the contract's programs alone, or a question mark before the section, the whole is the other program."""
    for skipped in ("first", "second"):
        assert load("ruled_out", {"skip": [skipped]})["whole"] == PASSED
    assert load("not_asked")["whole"] == PASSED
    assert load("not_asked", {"programs": ["first", "second"]})["whole"]["errno"] == "EINVAL"
    assert load("not_asked", {"programs": ["first", "second"], "may_fail": ["first"]})["whole"] == PASSED
    assert load("not_asked", {"variants": {"one": [{"programs": ["first"]}]}})["whole"]["errno"] == "EINVAL"


def test_a_type_that_is_told_apart_makes_the_whole_load(load: Loader) -> None:
    """A program whose record is ambiguous by itself loads beside one that leaves a single type."""
    stage = load("told_apart")
    assert _statuses(stage) == {"first": "passed", "second": "not-reached"}
    assert stage["whole"] == PASSED


@pytest.mark.parametrize(
    ("name", "code", "errno", "message"),
    [
        ("second_refused", "verifier-rejected", "EACCES", "program 'second': EACCES: "),
        ("map_refused", "map-create-failed", "EINVAL", "map 'bad': EINVAL: "),
        ("extern_unused", "ksym-missing", "ESRCH", "extern 'no_such_symbol': "),
        ("extern_typed", "ksym-missing", "EINVAL", "extern 'no_such_variable': "),
        ("no_target", "attach-target-missing", "EINVAL", "program 'second': its section names no target"),
        ("unknown_section", "object-unsupported", "EINVAL", "program 'second': section 'nothing/like/it' "),
        ("replaces", "attach-target-missing", "EINVAL", "program 'second': libbpf replaces no function"),
        ("slot_unasked", "load-failed", "EBADF", "map 'calls': EBADF: slot 1 takes no 'second'"),
        ("operations_unknown", "attach-target-missing", "ESRCH", "map 'made': this kernel takes no operations struct"),
        ("legacy", "object-unsupported", "EOPNOTSUPP", "map 'counts': libbpf 1.x takes no maps of a section"),
    ],
)
def test_why_libbpf_gives_up(load: Loader, name: str, code: str, errno: str, message: str) -> None:
    """The whole fails at the first refusal, in libbpf's order, with its errno; other programs load all the same."""
    stage = load(name)
    whole = stage["whole"]
    assert (whole["status"], whole["code"], whole["errno"]) == ("failed", code, errno)
    assert whole["message"].startswith(message)
    assert _statuses(stage).get("first", "passed") == "passed" or name == "extern_typed"


def test_what_is_not_asked_for_does_not_fail_the_whole(load: Loader) -> None:
    """Programs of sections with a question mark, and those of operations structs that are not made, are left alone."""
    for name in ("refused_unasked", "nothing_asked", "operations_unasked"):
        assert load(name)["whole"] == PASSED

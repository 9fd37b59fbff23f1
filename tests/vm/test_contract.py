"""The loader contract in real kernels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.asking import result_of

from everykernel import wire
from everykernel.compile import Job, compile_one
from everykernel.errors import RequestFailed
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines

pytestmark = pytest.mark.vm

SOURCE = Path(__file__).parent / "objects" / "contract.bpf.c"
OLD, NEW = "5.10", "6.12"

# Enough to make every program of the object load.
WHOLE: dict[str, Any] = {
    "may_fail": ["refused"],
    "targets": {"on_open": "do_sys_openat2"},
    "maps": {
        "counts": {"max_entries": "cpus"},
        "wide": {"max_entries": 3, "value_size": 8},
        "ring": {"max_entries": "3 pages"},
    },
    "globals": {"limit": 40, "count": -2, "word": "A", "seen": 100},
    "kconfig": {"CONFIG_HZ": 21, "CONFIG_BPF_SYSCALL": False},
    "variants": {
        "loop": [{"programs": ["by_helper"], "needs": {"helper": "loop"}}, {"programs": ["by_hand"]}],
    },
}


class Tried:
    """The object as a guest loaded it by a contract."""

    def __init__(self, guest: Guest, data: bytes, contract: dict[str, Any]) -> None:
        self.guest = guest
        reply = guest.request(wire.Load("contract.bpf.o", data, contract=contract))
        assert isinstance(reply, wire.Loaded)
        self.handle, self.relocate, self.load = reply.handle, reply.relocate, reply.load
        self.programs = {p["name"]: p for p in self.load["programs"]}
        self.maps = {m["name"]: m for m in self.load["maps"]}
        self.notes = "\n".join(self.load["notes"])

    def result(self, program: str) -> int:
        return result_of(self.guest, self.handle, program)


@pytest.fixture(scope="module")
def data(columns: dict[str, Kernel], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    target = tmp_path_factory.mktemp("contract") / "contract.bpf.o"
    compile_one(Job(SOURCE, columns[NEW].arch, target))
    return target.read_bytes()


@pytest.fixture(scope="module", params=(OLD, NEW))
def fresh(request: pytest.FixtureRequest, machines: Machines, columns: dict[str, Kernel]) -> Iterator[Guest]:
    """One guest a kernel: no test leaves anything but loaded objects."""
    with machines.start(columns[request.param]) as guest:
        yield guest


def test_all_that_a_contract_decides(fresh: Guest, data: bytes) -> None:
    """Initial values, sizes, settings and targets are what the kernel then has; the record says what was decided."""
    found = Tried(fresh, data, WHOLE)
    assert (found.relocate["status"], found.load["status"]) == ("passed", "passed")
    assert (found.programs["refused"]["status"], found.programs["refused"]["decides"]) == ("failed", False)
    assert found.result("guarded") == 40 - 2 + ord("A")
    assert found.result("settings") == 42
    assert found.result("stores") == 1
    assert [found.maps[m]["max_entries"] for m in ("counts", "wide", "ring")] == [fresh.facts.cpus, 3, 4 * 4096]
    assert found.maps["wide"]["value_size"] == 8
    assert "map 'counts': max_entries 0 -> 2 (cpus), as the contract says" in found.notes
    assert "variable 'limit' = 40, as the contract says" in found.notes
    attached = fresh.request(wire.Attach(found.handle, "on_open"))
    assert isinstance(attached, wire.Attached)
    assert [(p["attach"], p["status"]) for p in attached.programs] == [("do_sys_openat2", "passed")]
    fresh.run(["/bin/cat", "/proc/version"])
    values = fresh.request(wire.Globals(found.handle))
    assert isinstance(values, wire.Value)
    assert values.value["seen"] > 100
    rows = fresh.request(wire.MapOp(found.handle, "counts", "items"))
    assert isinstance(rows, wire.Value)
    assert [key for key, _ in rows.value] == [-2]
    fresh.request(wire.Unload(found.handle))


def test_each_kernel_takes_its_own_variant(fresh: Guest, data: bytes) -> None:
    """Gated on a helper or on nothing but the verifier, the first variant that the kernel takes is kept, and named."""
    old = fresh.kernel.spec == OLD
    gated = WHOLE["variants"]["loop"]
    for variants, why in ((gated, "this kernel has no helper bpf_loop"), ([{"programs": ["by_helper"]}, gated[1]], "")):
        found = Tried(fresh, data, {**WHOLE, "variants": {"loop": variants}})
        assert found.load["status"] == "passed"
        name = "by_hand" if old else "by_helper"
        assert found.programs[name]["variant"] == f"loop: {name}"
        assert found.programs[name]["decides"]
        assert f"variants 'loop': {name} ({2 if old else 1} of 2) is kept" in found.notes
        assert found.result(name) == (5 if old else 17)
        if old and why:
            assert f"not by_helper: {why}" in found.notes
            assert "by_helper" not in found.programs
        elif old:
            assert found.programs["by_helper"]["status"] == "failed"  # for the address of a function, known since v5.13
            assert not found.programs["by_helper"]["decides"]
        fresh.request(wire.Unload(found.handle))


def test_a_group_that_the_kernel_refuses_fails_the_stage(fresh: Guest, data: bytes) -> None:
    """Without a variant that loads, the last refusal decides; one program's refusal unloads its variant's others."""
    variants = [
        {"programs": ["by_hand", "refused"]},
        {"programs": ["by_hand"], "needs": {"function": "no_such_function_ever"}},
    ]
    found = Tried(fresh, data, {**WHOLE, "may_fail": [], "skip": ["by_helper"], "variants": {"any": variants}})
    assert (found.load["status"], found.load["code"]) == ("failed", "verifier-rejected")
    assert found.programs["refused"]["decides"]
    assert (found.programs["by_hand"]["status"], found.programs["by_hand"]["decides"]) == ("skipped", False)
    assert "switched off by the contract: by_helper" in found.notes
    assert "not by_hand: this kernel has no function no_such_function_ever to probe" in found.notes
    fresh.request(wire.Unload(found.handle))
    found = Tried(fresh, data, {**WHOLE, "variants": {"any": variants[1:]}, "skip": ["by_helper"]})
    assert (found.load["status"], found.load["code"]) == ("failed", "attach-target-missing")
    assert found.programs["by_hand"]["variant"] == "any: by_hand"


def test_values_that_switch_code_on(fresh: Guest, data: bytes) -> None:
    """A read-only value is known to the verifier: what it switches on is verified, and refused for its relocation."""
    found = Tried(fresh, data, {"programs": ["guarded"], "globals": {"broken": True}})
    assert list(found.programs) == ["guarded"]
    assert found.programs["guarded"]["code"] == "relocation-unresolved"
    assert "no_such_member_ever" in found.programs["guarded"]["message"]


def test_a_map_that_is_left_out(fresh: Guest, data: bytes) -> None:
    """What uses it loads where the verifier does not come to it; elsewhere the log names the map, in libbpf's words."""
    left_out = {"wide": {"create": False}, "counts": {"create": False}, ".bss": {"create": False}}
    found = Tried(fresh, data, {"programs": ["spared", "stores"], "maps": left_out, "globals": {"limit": 40}})
    assert {m: found.maps[m]["status"] for m in left_out} == dict.fromkeys(left_out, "skipped")
    assert found.maps["ring"]["status"] == "passed"
    assert "map 'wide' is left out, as the contract says" in found.notes
    assert found.result("spared") == 9
    stores = found.programs["stores"]
    assert (found.load["status"], stores["code"], stores["errno"]) == ("failed", "verifier-rejected", "EINVAL")
    assert stores["message"].startswith("EINVAL: it needs map 'wide': left out by the contract at ")
    assert "<invalid BPF map reference>\nBPF map 'wide' is referenced but wasn't created\n" in stores["log"]
    fresh.request(wire.Unload(found.handle))
    found = Tried(fresh, data, {"programs": ["spared"], "maps": left_out})
    assert "BPF map 'counts' is referenced but wasn't created" in found.programs["spared"]["log"]
    fresh.request(wire.Unload(found.handle))
    found = Tried(fresh, data, {"programs": ["on_open"], "maps": left_out})
    assert "BPF map '.bss' is referenced but wasn't created" in found.programs["on_open"]["log"]
    fresh.request(wire.Unload(found.handle))


def test_a_map_of_another_type(fresh: Guest, data: bytes) -> None:
    """The map is what the contract makes of it: a hash for each processor."""
    terms = {"counts": {"type": "percpu_hash", "max_entries": 2}}
    found = Tried(fresh, data, {"programs": ["on_open"], "targets": WHOLE["targets"], "maps": terms})
    assert found.maps["counts"]["type"] == "percpu_hash"
    assert "map 'counts': type hash -> percpu_hash, as the contract says" in found.notes
    fresh.request(wire.Attach(found.handle, "on_open"))
    fresh.run(["/bin/cat", "/proc/version"])
    rows = fresh.request(wire.MapOp(found.handle, "counts", "items"))
    assert isinstance(rows, wire.Value)
    [(key, values)] = rows.value
    assert (key, len(values)) == (1, fresh.facts.cpus)
    assert max(values) > 0
    fresh.request(wire.Unload(found.handle))


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        (
            {"maps": {"counts": {"type": "percpu_has"}}},
            r"unknown map type 'percpu_has' \[did you mean 'percpu_hash'\?\]",
        ),
        ({"maps": {".bss": {"type": "hash"}}}, "unknown map '.bss'"),
        ({"program": ["guarded"]}, r"unknown key 'program' \[did you mean 'programs'\?\]"),
        ({"globals": {"limits": 1}}, r"unknown variable 'limits' \[did you mean 'limit'\?\]"),
        ({"globals": {"limit": "text"}}, "does not fit"),
        ({"maps": {"count": {}}}, r"unknown map 'count' \[did you mean 'counts'\?\]"),
        ({"skip": ["by_helpers"]}, r"unknown program 'by_helpers' \[did you mean 'by_helper'\?\]"),
        ({"kconfig": {"CONFIG_HZZ": 1}}, r"unknown setting 'CONFIG_HZZ' \[did you mean 'CONFIG_HZ'\?\]"),
        (
            {"variants": {"a": [{"programs": ["by_hand"], "needs": {"helper": "loup"}}]}},
            r"unknown helper 'loup' \[did you mean 'loop'\?\]",
        ),
    ],
)
def test_a_misspelt_contract_is_refused(fresh: Guest, data: bytes, contract: dict[str, Any], message: str) -> None:
    """What the object does not have, or no kernel can have, is an error that names the nearest; nothing is loaded."""
    with pytest.raises(RequestFailed, match=message):
        Tried(fresh, data, contract)

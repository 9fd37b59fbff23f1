"""Our loader by the rules of cilium/ebpf, beside that library itself, in one guest: probes that hold one rule each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everykernel import wire
from everykernel.compile import Job, compile_one
from everykernel.kernels.model import Kernel
from everykernel.loaders import adapter, drive
from everykernel.loaders.adapter import Adapter
from everykernel.machine import Guest, Machines

pytestmark = pytest.mark.vm

SOURCES = Path(__file__).parents[1] / "conformance" / "rules" / "ebpf_go"
PROBES = sorted(path.name.removesuffix(".bpf.c") for path in SOURCES.glob("*.bpf.c"))
# Attaching is what differs, both refuse it, and what differs on other kernels only.
ALIKE = {"kprobe_syscall", "map_static", "context_tag", "floats", "target_twice"}
PATIENCE = 300.0


@pytest.fixture(scope="module")
def guest(machines: Machines, columns: dict[str, Kernel]) -> Iterator[Guest]:
    """One guest of 6.12: no probe leaves anything but loaded objects."""
    with machines.start(columns["6.12"]) as guest:
        yield guest


@pytest.fixture(scope="module")
def library() -> Adapter:
    """The library, built."""
    (made,) = adapter.prepare(adapter.parse("ebpf-go"))
    assert made is not None
    assert not made.skipped
    return made


def _compiled(name: str, guest: Guest, folder: Path) -> bytes:
    target = folder / f"{name}.bpf.o"
    compile_one(Job(SOURCES / f"{name}.bpf.c", guest.kernel.arch, target))
    return target.read_bytes()


def _verdicts(stage: Any, opened: bool) -> dict[str, tuple[str, str | None]]:
    """Return what came of each program and of the object, status and errno."""
    if not opened:
        return {"": ("not opened", None)}
    found = {p["name"]: (p["status"], p["errno"]) for p in stage["programs"]}
    # In Go's random order, any of those that are refused may be the one whose errno is told: it is left out.
    return {**found, "": (stage["whole"]["status"], None)}


def _ours(guest: Guest, name: str, data: bytes, rules: str) -> dict[str, tuple[str, str | None]]:
    reply = guest.request(wire.Load(f"{name}.bpf.o", data, rules=rules), PATIENCE)
    assert isinstance(reply, wire.Loaded)
    guest.request(wire.Unload(reply.handle))
    refused = {m["name"]: m["errno"] for m in reply.load["maps"] if m["status"] == wire.FAILED}
    for program in reply.load["programs"]:
        if program["errno"] is None:
            needs = [errno for one, errno in refused.items() if f"it needs map {one!r}" in program["message"]]
            program["errno"] = needs[0] if needs else None
    return _verdicts(reply.load, reply.load["status"] != wire.NOT_REACHED or bool(reply.load["programs"]))


@pytest.mark.parametrize("name", PROBES)
def test_a_rule_decides_as_in_the_library(name: str, guest: Guest, library: Adapter, tmp_path: Path) -> None:
    """By ebpf-go's rules each program, and the object, comes to what ebpf-go makes of it; libbpf's decide otherwise."""
    data = _compiled(name, guest, tmp_path)
    answer = drive.ask(guest, library, f"{name}.bpf.o", data, timeout=PATIENCE)
    assert not answer.broken
    assert answer.opened is not None
    stage = {"programs": answer.programs, "whole": answer.whole}
    theirs = _verdicts(stage, answer.opened["status"] == wire.PASSED)
    assert _ours(guest, name, data, "ebpf-go") == theirs
    assert (_ours(guest, name, data, "libbpf") == theirs) == (name in ALIKE)


def test_a_system_call_is_probed_by_its_name(guest: Guest, tmp_path: Path) -> None:
    """A kprobe on sys_execve finds the function of the architecture by ebpf-go's rules, and by libbpf's it does not."""
    data = _compiled("kprobe_syscall", guest, tmp_path)
    statuses = {}
    for rules in ("libbpf", "ebpf-go"):
        reply = guest.request(wire.Load("kprobe_syscall.bpf.o", data, rules=rules), PATIENCE)
        assert isinstance(reply, wire.Loaded)
        attached = guest.request(wire.Attach(reply.handle), PATIENCE)
        assert isinstance(attached, wire.Attached)
        guest.request(wire.Unload(reply.handle))
        statuses[rules] = {p["name"]: (p["status"], p["errno"]) for p in attached.programs}
    assert statuses["libbpf"] == {"called": (wire.FAILED, "ENOENT"), "returned": (wire.FAILED, "ENOENT")}
    assert statuses["ebpf-go"] == {"called": (wire.PASSED, None), "returned": (wire.PASSED, None)}


@pytest.mark.parametrize(
    ("name", "where", "program"),
    [("static_program", "relocate", ""), ("perf_typed", "load", "writes"), ("section_prefix", "load", "joined")],
)
def test_who_takes_it_is_said_where_it_fails(name: str, where: str, program: str, guest: Guest, tmp_path: Path) -> None:
    """What fails by a rule of libbpf alone says which loader takes it, and how to ask for it."""
    data = _compiled(name, guest, tmp_path)
    reply = guest.request(wire.Load(f"{name}.bpf.o", data), PATIENCE)
    assert isinstance(reply, wire.Loaded)
    guest.request(wire.Unload(reply.handle))
    stage = {"relocate": reply.relocate, "load": reply.load}[where]
    records = {p["name"]: p["message"] for p in stage.get("programs", [])}
    assert "--rules ebpf-go]" in (records[program] if program else stage["message"])
    assert "unknown" not in records or "--rules" not in records["unknown"]  # no loader takes that one


# In the guest: how often an object is loaded by the rules of other loaders.
COUNTING = """
from everykernel.load import advice

def check(obj):
    if not hasattr(advice, "tried"):
        advice.tried, load = [], advice.load
        advice.load = lambda *given, **named: advice.tried.append(named["rules"].name) or load(*given, **named)
    return list(advice.tried)
"""


@pytest.mark.parametrize(("section", "tried"), [("fentry/no_such_function", []), ("fentry", ["ebpf-go"])])
def test_what_others_refuse_too_is_not_tried(section: str, tried: list[str], guest: Guest, tmp_path: Path) -> None:
    """Where the other rules find no such target either, the object is loaded once; where they ask anyway, they do."""
    source, made = tmp_path / "target.bpf.c", tmp_path / "target.bpf.o"
    source.write_text(f"""
        #include <linux/bpf.h>
        #include <bpf/bpf_helpers.h>
        __attribute__((section("{section}"), used)) int lost(void *ctx) {{ return 0; }}
        SEC("raw_tp/sys_enter") int plain(void *ctx) {{ return 0; }}
        char LICENSE[] SEC("license") = "GPL";
    """)
    compile_one(Job(source, guest.kernel.arch, made))

    def load() -> wire.Loaded:
        reply = guest.request(wire.Load("target.bpf.o", made.read_bytes()), PATIENCE)
        assert isinstance(reply, wire.Loaded)
        return reply

    def count(handle: int) -> list[str]:
        checked = guest.request(wire.Check(handle, COUNTING, "counting.py"))
        assert isinstance(checked, wire.Checked)
        assert checked.passed, checked.message
        return list(checked.evidence)

    handle = load().handle
    before = count(handle)
    (lost,) = (program for program in load().load["programs"] if program["name"] == "lost")
    assert (lost["code"], "--rules" in lost["message"]) == ("attach-target-missing", False)
    assert count(handle)[len(before) :] == tried

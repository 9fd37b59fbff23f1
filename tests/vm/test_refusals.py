"""What messages say of a refusal is what kernels from 5.10 to 7.3 mean by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.elfwriter import bpf_object, insn

from everykernel import kernels, wire
from everykernel.architectures import ARCHITECTURES
from everykernel.compile import Job, compile_one
from everykernel.machine import Machines
from everykernel.report import diagnosis

pytestmark = pytest.mark.vm

SERIES = ("5.10", "6.1", "6.12", "7.3")
SOURCE = Path(__file__).parent / "objects/refused.bpf.c"
EXIT = insn(0x95)
STORE = insn(0x7A, 10, off=-8, imm=1)  # *(u64 *)(r10 - 8) = 1

# Programs of one newer instruction each, what they are called in a message, and the first release with them.
NEWER = {
    "moves": (insn(0xB7, 0, imm=5) + insn(0xBF, 0, 0, off=8), "move with sign extension", (6, 6)),
    "divides": (insn(0xB7, 0, imm=5) + insn(0xB7, 1, imm=2) + insn(0x3F, 0, 1, off=1), "signed division", (6, 6)),
    "loads": (STORE + insn(0x91, 0, 10, off=-8), "load with sign extension", (6, 6)),
    "swaps": (insn(0xB7, 0, imm=5) + insn(0xD7, 0, imm=64), "unconditional byte swap", (6, 6)),
    "jumps": (
        insn(0xB7, 0, imm=5) + insn(0x15, 1, off=1) + insn(0x06, imm=1) + insn(0xB7, 0, imm=6),
        "jump of 32 bits",
        (6, 6),
    ),
    "may_goto": (insn(0xB7, 0, imm=5) + insn(0xE5, off=1) + insn(0xB7, 0, imm=6), "may_goto", (6, 9)),
    "acquires": (STORE + insn(0xDB, 0, 10, off=-8, imm=0x100), "load-acquire or store-release", (6, 15)),
}
BACKPORTED = {("jumps", "6.1")}  # the 6.1 of stable releases took up Linux commit 4cd58e9af8b9


def _load(machines: Machines, series: str, name: str, data: bytes) -> dict[str, Any]:
    (resolved,) = kernels.resolve([series])
    with machines.start(resolved.fetch()) as guest:
        reply = guest.request(wire.Load(name=name, data=data))
        assert isinstance(reply, wire.Loaded)
        return {program["name"]: program for program in reply.load["programs"]}


@pytest.mark.parametrize("series", SERIES)
def test_newer_instructions_are_named(series: str, machines: Machines) -> None:
    """A kernel before the release that is named refuses the instruction, with its name; from then on it loads."""
    code, functions = b"", []
    for name, (words, _, _) in NEWER.items():
        functions.append((name, "socket", len(code), len(words + EXIT)))
        code += words + EXIT
    programs = _load(machines, series, "newer.o", bpf_object({"socket": code}, functions, {"license": b"GPL\0"}))
    here = tuple(map(int, series.split(".")))
    for name, (_, called, since) in NEWER.items():
        record = programs[name]
        if here >= since or (name, series) in BACKPORTED:
            assert record["status"] == "passed", record
        else:
            release = f"v{since[0]}.{since[1]}"
            assert record["code"] == "verifier-rejected"
            assert f"this kernel has no {called} (upstream since {release}; " in record["message"], record


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The object of `SOURCE`."""
    target = tmp_path_factory.mktemp("objects") / "refused.bpf.o"
    compile_one(Job(SOURCE, ARCHITECTURES["x86_64"], target))
    return target.read_bytes()


@pytest.mark.parametrize("series", SERIES)
def test_the_reason_is_in_the_headline(series: str, machines: Machines, refused: bytes) -> None:
    """Global functions with pointers load since v5.12; before that, and of a lookup unchecked, the reason is told."""
    programs = _load(machines, series, "refused.bpf.o", refused)
    told = programs["calls_global"]
    if series == "5.10":
        assert told["message"].startswith(
            "EINVAL: this kernel takes no pointers in global functions (upstream since v5.12; make it static): "
            "Arg#0 type PTR in eval() is not supported yet."
        )
    else:
        assert told["status"] == "passed"
    message = programs["null_deref"]["message"]
    assert ": R0 invalid mem access 'map_value_or_null' at " in message
    assert message.endswith("refused.bpf.c:41: return *value;")
    _, report = diagnosis.split(programs["null_deref"]["log"])
    assert (report is not None) == (series == "7.3")
    if report is not None:
        assert "R0 may be NULL" in report.reason
        assert report.suggestion.startswith("Add a NULL check")
        assert report.path

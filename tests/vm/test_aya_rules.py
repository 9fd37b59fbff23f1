"""aya's rules, one a probe: our own loader with them decides as aya itself, in the same guest.

Each probe of conformance/rules/aya holds one rule and says it in its first comment. The table has what aya makes of
each program, and what our loader makes of it by libbpf's rules, so that a rule which decides nothing would be noticed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from everykernel import wire
from everykernel.kernels.model import Kernel
from everykernel.loaders import adapter, contract, drive
from everykernel.machine import Machines
from everykernel.machine.spec import MachineSpec

PROBES = Path(__file__).parents[1] / "conformance" / "rules" / "aya"
KERNELS = ("5.10", "6.12")

LOADED, REFUSED = "loaded", "refused"
Verdicts = dict[str, str]  # by program: loaded, refused by the loader or for a map, or the kernel's errno

# What aya makes of the programs of each probe, and what libbpf's rules do; on 5.10 too, where OLD has nothing else.
PROBED: dict[str, tuple[str, str]] = {
    "core_ambiguous": ("one=refused", "one=loaded"),
    "core_guarded": ("one=loaded", "one=loaded"),
    "core_matches": ("not opened", "one=loaded"),
    "core_missing_size": ("one=refused two=refused", "one=loaded two=loaded"),
    "core_module": ("one=EACCES", "one=loaded"),
    "core_resized": ("one=refused two=refused", "one=EINVAL two=loaded"),
    "exception": ("throws=EINVAL", "throws=loaded"),
    "function_static": ("helped=loaded one=loaded", "not opened"),
    "hook_of_groups": ("one=loaded", "one=loaded"),
    "kfunc_missing": ("one=refused two=refused", "one=refused two=loaded"),
    "kfunc_weak": ("one=loaded", "one=loaded"),
    "ksym_weak": ("one=loaded", "one=refused"),
    "license_empty": ("not opened", "one=loaded"),
    "license_none": ("one=loaded", "one=EINVAL"),
    "map_devmap": ("one=loaded", "one=refused"),
    "map_extra": ("not opened", "one=loaded"),
    "map_legacy": ("one=loaded", "one=loaded"),
    "map_members": ("one=loaded", "not opened"),
    "map_of_programs": ("not opened", "one=loaded two=loaded"),
    "map_perf": ("one=refused", "one=refused"),
    "map_refused": ("one=refused two=refused", "one=refused two=loaded"),
    "map_ringbuf": ("one=loaded", "one=refused"),
    "map_ringbuf_key": ("one=refused", "one=refused"),
    "map_stacks": ("one=refused", "one=loaded"),
    "map_static": ("one=loaded", "not opened"),
    "map_typed_key": ("one=refused", "one=loaded"),
    "map_unsupported": ("one=refused two=refused", "one=loaded two=loaded"),
    "module_function": ("one=refused two=loaded", "one=loaded two=loaded"),
    "section_more": (
        "four=loaded one=loaded three=loaded two=loaded",
        "four=refused one=refused three=refused two=refused",
    ),
    "section_optional": ("not opened", "one=loaded"),
    "section_unknown": ("not opened", "one=loaded two=loaded"),
    "section_wrong": ("not opened", "one=refused"),
    "setting": ("one=refused two=refused", "one=loaded two=loaded"),
    "structs": ("one=loaded", "one=loaded"),
    "target_qualified": ("one=refused", "one=loaded"),
    "text_gap": ("not opened", "one=loaded"),
    "variables_named": ("one=loaded", "not opened"),
}
OLD: dict[str, tuple[str, str]] = {
    "core_module": ("one=EACCES", "one=EACCES"),
    "exception": ("throws=refused", "throws=refused"),
    "hook_of_groups": ("one=EINVAL", "one=EINVAL"),
    "ksym_weak": ("one=loaded", "one=loaded"),
    "map_extra": ("not opened", "one=refused"),
    "map_unsupported": ("one=refused two=refused", "one=loaded two=refused"),
    "module_function": ("one=refused two=loaded", "one=refused two=loaded"),
    "variables_named": ("one=EINVAL", "not opened"),
}


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The probes, compiled."""
    folder = tmp_path_factory.mktemp("probes")
    found = {}
    for source in sorted(PROBES.glob("*.bpf.c")):
        out = folder / f"{source.stem}.o"
        flags = ["-target", "bpf", "-mcpu=v3", "-g", "-O2", "-I/usr/include/x86_64-linux-gnu"]
        subprocess.run(["clang-19", *flags, "-c", str(source), "-o", str(out)], check=True)
        found[source.name.partition(".")[0]] = out.read_bytes()
    return found


@pytest.fixture(scope="module")
def aya() -> adapter.Adapter:
    """The adapter; its toolchain has to be there."""
    (found,) = adapter.prepare(adapter.parse("aya"))
    assert found is not None
    assert not found.skipped, found.skipped
    return found


class Asked:
    """What was made of one probe on one kernel: by aya, by our loader with its rules, and with libbpf's."""

    def __init__(self, real: tuple[Verdicts, str], ours: tuple[Verdicts, str], libbpf: tuple[Verdicts, str]) -> None:
        self.real, self.ours, self.libbpf = real, ours, libbpf


@pytest.fixture(scope="module", params=KERNELS)
def asked(
    request: pytest.FixtureRequest,
    columns: dict[str, Kernel],
    machines: Machines,
    objects: dict[str, bytes],
    aya: adapter.Adapter,
) -> Iterator[tuple[str, dict[str, Asked]]]:
    """All probes, asked in one guest of each kernel, which has a module loaded."""
    kernel = columns[request.param]
    with machines.start(kernel, MachineSpec(memory=512, modules=("nf_conntrack",))) as guest:
        found = {}
        for name, data in objects.items():
            answer = drive.ask(guest, aya, f"{name}.bpf.o", data)
            assert not answer.broken, f"{name}: {answer.broken}"
            own = []
            for rules in ("aya", "libbpf"):
                loaded = guest.request(wire.Load(f"{name}.bpf.o", data, rules=rules), 60)
                assert isinstance(loaded, wire.Loaded)
                own.append(_ours(loaded))
                guest.request(wire.Unload(loaded.handle))
            assert answer.whole is not None
            found[name] = Asked((_theirs(answer), answer.whole["status"]), own[0], own[1])
        yield request.param, found


def _theirs(answer: contract.Answer) -> Verdicts:
    return {p["name"]: _word(p["status"], p["errno"] if p["by"] == "kernel" else None) for p in answer.programs}


def _ours(loaded: wire.Loaded) -> tuple[Verdicts, str]:
    whole = loaded.load.get("whole") or {"status": wire.FAILED}
    return {p["name"]: _word(p["status"], p["errno"]) for p in loaded.load["programs"]}, whole["status"]


def _word(status: str, errno: str | None) -> str:
    return LOADED if status == wire.PASSED else errno or REFUSED


def _told(verdicts: Verdicts) -> str:
    """Return verdicts in one line; of an object that is not opened none is known."""
    return " ".join(f"{name}={word}" for name, word in sorted(verdicts.items())) or "not opened"


def _alike(ours: Verdicts, theirs: Verdicts) -> bool:
    """Whether each program is loaded by both, or by neither, with the kernel's errno where it was asked by both."""
    words = {(ours.get(name, REFUSED), theirs.get(name, REFUSED)) for name in {*ours, *theirs}}
    return all(a == b or (LOADED not in (a, b) and REFUSED in (a, b)) for a, b in words)


@pytest.mark.parametrize("probe", sorted(path.name.partition(".")[0] for path in PROBES.glob("*.bpf.c")))
def test_a_rule_decides_as_aya_does(asked: tuple[str, dict[str, Asked]], probe: str) -> None:
    """Own verdicts by aya's rules equal aya's, program by program and as a whole, and are what the table says."""
    kernel, found = asked
    one = found[probe]
    assert _alike(one.ours[0], one.real[0]), f"ours {_told(one.ours[0])}, aya's {_told(one.real[0])}"
    assert one.ours[1] == one.real[1], "as a whole"
    wanted = OLD.get(probe, PROBED[probe]) if kernel == "5.10" else PROBED[probe]
    assert (_told(one.real[0]), _told(one.libbpf[0])) == wanted

"""Tools of libbpf-tools, loaded by a contract as their own user space loads them, in the guest in which they run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from everykernel import wire
from everykernel.kernels import debian
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines
from everykernel.matrix import case
from everykernel.object import embedded

pytestmark = pytest.mark.vm

TOOLS = Path(__file__).parent / "tools"
_LIBRARIES = ("libc6", "libelf1t64", "zlib1g", "libzstd1")
_SONAMES = {"ld-linux-x86-64.so.2", "libc.so.6", "libelf.so.1", "libz.so.1", "libzstd.so.1"}


@dataclass(frozen=True)
class Outcome:
    """What a kernel takes of a tool: the variants that are kept, and the program that it refuses ("" for none)."""

    variants: frozenset[str] = frozenset()
    refused: str = ""


_START, _MERGE = "start: blk_account_io_start", "merge: blk_account_io_merge_bio"
OUTCOMES = {
    # Its block_rq_issue goes by the kernel's version for what stable 5.10 has taken over from v5.11 (Linux commit
    # a54895fa057c), so that neither the tool nor its contract load there.
    ("biosnoop", "5.10"): Outcome(frozenset({_START, _MERGE}), "block_rq_issue"),
    # From v5.16 to v6.4 the function that it traces is inlined, or has another name that the compiler may inline too.
    ("biosnoop", "6.1"): Outcome(frozenset({_START, _MERGE}), "blk_account_io_start"),
    ("biosnoop", "6.12"): Outcome(frozenset({"start: block_io_start"})),
    ("cpudist", "5.10"): Outcome(frozenset({"switch: sched_switch_btf"})),
    ("cpudist", "6.1"): Outcome(frozenset({"switch: sched_switch_btf"})),
    ("cpudist", "6.12"): Outcome(frozenset({"switch: sched_switch_btf"})),
    ("offcputime", "5.10"): Outcome(),
    ("offcputime", "6.1"): Outcome(),
    ("offcputime", "6.12"): Outcome(),
}


@dataclass(frozen=True)
class Tools:
    """Executables by name, and the libraries that they need, of one release of Debian."""

    programs: Mapping[str, bytes]
    libraries: Mapping[str, bytes]


@pytest.fixture(scope="module")
def tools() -> Tools:
    archive = debian.Archive()
    wanted = {name for name, _ in OUTCOMES}
    programs = {}
    for path, data in _files(archive, "libbpf-tools"):
        name = path.rpartition("/")[2].removesuffix("-libbpf")
        if name in wanted:
            programs[name] = data
    libraries = {}
    for package in _LIBRARIES:
        for path, data in _files(archive, package):
            name = path.rpartition("/")[2]
            soname = name if name in _SONAMES else next((s for s in _SONAMES if _is(name, s)), "")
            if soname:
                libraries[soname] = data
    assert set(programs) == wanted
    assert set(libraries) == _SONAMES
    return Tools(programs, libraries)


def _is(name: str, soname: str) -> bool:
    """Whether a file is the library that a symbolic link of this name leads to: libz.so.1.3.1, libelf-0.192.so."""
    stem = soname.partition(".so")[0]
    return name.startswith((f"{soname}.", f"{stem}-")) and ".so" in name


def _files(archive: debian.Archive, package: str) -> list[tuple[str, bytes]]:
    entry = archive.package("trixie", package, "amd64")
    assert entry is not None
    members = debian.unpack(archive.fetch(entry))
    return [(m.name, c.read()) for m, c in members if c is not None and "/gconv/" not in m.name]


def _observe(guest: Guest, *argv: str) -> Any:
    ran = guest.run(["python3", "/tool/observe.py", *argv], timeout=90)
    assert ran.code == 0, ran.stderr.decode()
    return json.loads(ran.stdout)


@pytest.mark.parametrize(("tool", "series"), OUTCOMES)
def test_a_contract_loads_what_the_tool_loads(
    machines: Machines, columns: dict[str, Kernel], tools: Tools, tool: str, series: str
) -> None:
    """By its contract alone an object ends up in the kernel as its tool puts it there: the same programs, instruction
    for instruction, on the same targets, the same maps in the same sizes, the same read-only values. Where the tool
    fails, its contract fails on the same program."""
    contract = dict(case.read(TOOLS / f"{tool}.toml").contract)
    [data] = embedded.carve(tools.programs[tool])
    with machines.start(columns[series]) as guest:
        guest.push("/tool/observe.py", (TOOLS / "observe.py").read_bytes())
        guest.push("/tool/program", tools.programs[tool], mode=0o755)
        for name, content in tools.libraries.items():
            guest.push(f"/tool/{name}", content, mode=0o755)
        theirs = _observe(guest, "/tool/ld-linux-x86-64.so.2", "--library-path", "/tool", "/tool/program")
        loaded = guest.request(wire.Load(f"{tool}_bpf.o", data, contract=contract))
        assert isinstance(loaded, wire.Loaded)
        ours = _observe(guest)
    outcome = OUTCOMES[tool, series]
    kept = {p["variant"] for p in loaded.load["programs"] if "variant" in p and p["decides"]}
    assert loaded.relocate["status"] == "passed"
    assert kept == outcome.variants
    if outcome.refused:
        assert loaded.load["message"].startswith(f"{outcome.refused}: ")
        assert f"prog '{outcome.refused}': failed to load" in theirs["output"]
        return
    assert loaded.load["status"] == "passed", loaded.load["message"]
    assert theirs["programs"], theirs["output"]
    assert (ours["programs"], ours["maps"]) == (theirs["programs"], theirs["maps"])

"""Guests without Python: what the loader on the host says of an object is what the loader in the guest says.

A dozen cases on two architectures here; every case and a hundred objects of others, on three: nox -s bare.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.bare import same
from tests.missing_btf import SESSION, committed

from everykernel import folders, wire
from everykernel.architectures import ARCHITECTURES
from everykernel.compile import compile_all, jobs
from everykernel.errors import KernelPanic, RequestFailed
from everykernel.kernels.model import Kernel
from everykernel.kernels.supplied import Supply
from everykernel.machine import Guest, Machines, MachineSpec, slots
from everykernel.matrix import plan
from everykernel.matrix.campaign import Campaign
from everykernel.matrix.case import Case
from everykernel.settings import BARE

pytestmark = pytest.mark.vm

# Of every kind: what relocates and what does not, maps of many types, BTF that is rewritten, what is refused, and why.
CASES = (
    "anonymous_member",
    "bitfield",
    "exec_event",
    "helpers_agree",
    "kprobe_registers",
    "ksyscall",
    "percpu_maps",
    "ringbuf_events",
    "sk_lookup",
    "tracepoint_context",
    "unresolved",
    "usdt_sites",
)
BARE_MACHINE = MachineSpec(kind=BARE)
BOARD = "6.1/armhf@bare"


def _cases(names: tuple[str, ...]) -> list[Case]:
    compile_all(jobs(names))
    return plan.cases([str(folders.data("cases") / name) for name in names])


@pytest.fixture
def bare(machines: Machines, linux: Kernel) -> Iterator[Guest]:
    """A fresh guest of `linux` without Python."""
    with machines.start(linux, BARE_MACHINE) as guest:
        yield guest


def test_a_snapshot_that_does_not_come_back(machines: Machines, linux: Kernel) -> None:
    """A damaged snapshot is made again before anything is learnt from it, and the notes say so."""
    spec = dataclasses.replace(BARE_MACHINE, memory=224)
    folder = machines.snapshot(linux, spec).folder
    (folder / "state").write_bytes(b"damaged")
    with Machines("tcg") as others:
        prepared = others.prepare(linux, spec)
        assert any("the boot snapshot did not come back" in note for note in prepared.notes), prepared.notes
        with others.start(linux, spec) as guest:
            assert guest.facts.release == linux.release


@pytest.mark.parametrize("spec", ["6.1", "6.12/s390x"])
def test_the_same_records(spec: str) -> None:
    """Both loaders say the same, to the last word of a verifier's log, in either byte order."""
    pair = same.compare(_cases(CASES), [spec])
    assert pair.broke == {}
    assert pair.differ == {}
    assert pair.compared == len(CASES)
    assert pair.loaded > len(CASES) // 2


def test_differences_are_seen() -> None:
    """The comparison finds what differs, wherever it stands, and passes over times and addresses."""
    one = {"a": [{"seconds": 1, "log": "at ffff888004a3c000"}], "b": 1}
    other = {"a": [{"seconds": 2, "log": "at ffff888004a3d000"}], "b": 2, "c": []}
    found = list(same.differences(same._plain(one), same._plain(other)))
    assert [line.partition(":")[0] for line in found] == ["b", "c"]


def test_a_board() -> None:
    """A 32-bit kernel without BTF, nothing in its guest but the program: an object loads by a supplied BTF."""
    (column,) = plan.columns([BOARD])
    kernel = column.kernel()
    btf = committed(kernel)
    assert btf.exists(), f"there is no BTF for {kernel.release} in {btf.parent}: {SESSION}"
    (case,) = _cases(("exec_event",))
    case = dataclasses.replace(case, until="load", btf=None)
    supplies = [Supply.parse(str(btf))]
    with closing(Campaign([column], Machines("tcg"), width=1, slot=slots.slot, btf=supplies)) as campaign:
        result = campaign.run(BOARD, case).result()["result"]
    assert (result["outcome"], result["message"]) == ("passed", "")
    assert result["btf"].startswith("supplied:")
    assert result["target"] == BARE
    programs = result["stages"]["load"]["programs"]
    assert programs
    assert {program["status"] for program in programs} == {"passed"}
    assert result["stages"]["relocate"]["relocations"]


def test_attached_run_and_read_from_afar(bare: Guest) -> None:
    """Programs are attached and test-run, maps and variables read and written, events heard, by the door alone."""
    (case,) = _cases(("ringbuf_events",))
    data = case.content(ARCHITECTURES["x86_64"])
    assert data is not None
    loaded = bare.request(wire.Load("prog.bpf.o", data))
    assert loaded.load["status"] == "passed"
    pid = 1  # the program's own: it is the first process
    bare.request(wire.Globals(loaded.handle, {"ek_pid": pid}))
    attached = bare.request(wire.Attach(loaded.handle))
    assert {program["status"] for program in attached.programs} == {"passed"}
    variables = bare.request(wire.Globals(loaded.handle, {})).value
    assert variables["ek_pid"] == pid
    events = bare.request(wire.Events(loaded.handle, "events", 1, 0.2)).value
    assert events["lost"] == 0
    bare.request(wire.Detach(loaded.handle, None))
    bare.request(wire.Unload(loaded.handle))
    with pytest.raises(RequestFailed, match="there is no loaded object"):
        bare.request(wire.Attach(loaded.handle))


def test_files_from_afar(bare: Guest) -> None:
    """Files are pushed with their folders and pulled; what is not there, or may not be written, is told."""
    data = bytes(range(256)) * 1000
    bare.push("/tmp/a/b/file", data, mode=0o755)
    assert bare.pull("/tmp/a/b/file") == data
    with pytest.raises(RequestFailed, match=r"/no/such/file: no such file or directory"):
        bare.pull("/no/such/file")
    with pytest.raises(RequestFailed, match="is a directory"):
        bare.push("/tmp", b"")


def test_nothing_runs_there(bare: Guest) -> None:
    """Programs and checks are refused, and say why; no check runs on the host."""
    check = wire.Check(1, "raise SystemExit(7)", "case.py")
    messages: list[wire.Request[Any]] = [wire.Run(["/bin/true"]), check, wire.Start(["/bin/true"])]
    for message in messages:
        with pytest.raises(RequestFailed, match="it has neither Python nor programs") as caught:
            bare.request(message)
        assert caught.value.code == "command-not-started"
    assert bare.facts.python == ""


def test_what_a_guest_says_of_its_kernel(bare: Guest, guest: Guest) -> None:
    """The facts are those that an agent in the guest finds, its own Python aside."""
    assert dataclasses.replace(bare.facts, python="") == dataclasses.replace(guest.facts, python="")


def test_each_guest_is_fresh(machines: Machines, linux: Kernel) -> None:
    """What one guest did, the next has not seen; their random numbers differ, their clocks are right."""
    drawn = []
    for _ in range(2):
        with machines.start(linux, BARE_MACHINE) as guest:
            with pytest.raises(RequestFailed, match="no such file"):
                guest.pull("/tmp/mine")
            guest.push("/tmp/mine", b"x")
            drawn.append(guest.pull("/proc/sys/kernel/random/uuid"))
    assert drawn[0] != drawn[1]


def test_a_panic_is_told(bare: Guest) -> None:
    """A kernel that panics in the middle of a request is named by its console, as with an agent inside."""
    with pytest.raises(KernelPanic, match="sysrq triggered crash"):
        bare.push("/proc/sysrq-trigger", b"c")


def test_a_guest_is_booted_where_its_snapshot_does_not_come_back(machines: Machines, linux: Kernel) -> None:
    """A cold guest is learnt anew: its kernel is at other addresses."""
    with machines.boot(linux, BARE_MACHINE) as guest:
        assert guest.start_kind == "cold-boot"
        (case,) = _cases(("bitfield",))
        data = case.content(ARCHITECTURES["x86_64"])
        assert data is not None
        assert guest.request(wire.Load("prog.bpf.o", data)).load["status"] == "passed"


def test_a_module_and_a_sysctl(machines: Machines, linux: Kernel) -> None:
    """What a case asks of its machine is there: modules with their dependencies, and settings."""
    spec = MachineSpec(kind=BARE, modules=("dummy",), sysctls=(("kernel.pid_max", "4242"),))
    with machines.start(linux, spec) as guest:
        assert b"dummy " in guest.pull("/proc/modules")
        assert guest.pull("/proc/sys/kernel/pid_max").strip() == b"4242"


def test_what_runs_is_skipped_with_its_reason() -> None:
    """A case that has a check passes as far as it gets; the run stage says what the machine lacks."""
    (case,) = _cases(("bitfield",))
    (column,) = plan.columns(["6.1@bare"])
    with closing(Campaign([column], Machines("tcg"), width=1, slot=slots.slot)) as campaign:
        result = campaign.run("6.1@bare", case).result()["result"]
    assert result["outcome"] == "passed"
    assert result["stages"]["run"]["status"] == "skipped"
    assert result["stages"]["run"]["message"] == "this machine has neither Python nor programs, for its check"


TEST = """
import pytest

def test_it(kernel, load):
    bare = kernel.spec.endswith("@bare")
    with load("prog.bpf.o") as loaded:
        assert loaded.attach()
    if bare:
        with pytest.raises(Exception, match="neither Python nor programs"):
            kernel.run(["true"])
    else:
        assert kernel.run(["true"]).code == 0
"""


def test_pytest_takes_it(tmp_path: Path) -> None:
    """``pytest --kernels 6.1,6.1@bare``: items, and a test's own loads, in both kinds of guest, told apart."""
    (case,) = _cases(("exec_event",))
    shutil.copy(case.object_path(ARCHITECTURES["x86_64"]), tmp_path / "prog.bpf.o")
    (tmp_path / "test_it.py").write_text(TEST)
    options = ["-p", "no:cacheprovider", "-q", "--kernel-report", "out", "--kernel-accel", "tcg"]
    argv = [sys.executable, "-m", "pytest", "prog.bpf.o", "test_it.py", "--kernels", "6.1,6.1@bare", *options]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    told = {(one["kernel"], one["target"], one["start"]) for one in found["results"]}
    assert told == {("6.1", "guest", "restored"), ("6.1@bare", "bare", "restored")}
    assert [(one["spec"], one.get("target")) for one in found["kernels"]] == [("6.1", None), ("6.1@bare", "bare")]

"""A cell is run where something that decides it has changed, and not run where nothing has."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import btfwriter, faking

from everykernel import folders, wire
from everykernel.errors import CaseTimeout, HarnessError, KernelPanic
from everykernel.kernels.model import Kernel, ResolvedKernel
from everykernel.kernels.supplied import Supply
from everykernel.loaders.adapter import Adapter
from everykernel.machine import COLD_BOOT, Guest, MachineSpec
from everykernel.matrix import case, deciding, kept, results
from everykernel.matrix.campaign import Campaign
from everykernel.matrix.case import Case
from everykernel.matrix.plan import Column
from everykernel.matrix.records import CellReport
from everykernel.matrix.results import identify
from everykernel.matrix.reuse import Reuse
from everykernel.matrix.sizing import Granted

CHECK = "def check(obj):\n    pass\n"


@dataclass
class Runs:
    """Runs of one cell, each in a process of its own as far as the cell can tell, over one cache."""

    folder: Path
    kernel: Kernel = field(default_factory=lambda: faking.kernel("6.1"))
    world: faking.World = field(default_factory=faking.World)
    supplies: list[Supply] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)  # of the case.toml
    change: Callable[[Case], Case] = lambda case: case
    retries: int = 0

    def write(self, **script: Any) -> None:
        """Write the case: its object does what the script says."""
        self.folder.mkdir(exist_ok=True)
        faking.objects(self.folder, prog=script)
        (self.folder / "check.py").write_text(CHECK)
        (self.folder / "case.toml").write_text("\n".join(['object = "prog.bpf.o"', 'check = "check.py"', *self.lines]))

    def run(self, *, take: bool = True, keep: Any = None) -> tuple[CellReport, bool]:
        """Return a cell's report, and whether a guest was started for it."""
        fetched = self.kernel
        resolved = ResolvedKernel(
            fetched.spec, fetched.arch, "6.1", "1", fetched.release, "", "fake", "", lambda resolved, progress: fetched
        )
        before = len(self.world.guests)
        reuse = Reuse(identify("auto"), self.world, self.supplies, take=take)
        running = Campaign(
            [Column(fetched.spec, resolved)], self.world, btf=self.supplies, reuse=reuse, retries=self.retries
        )
        what = self.change(case.read(self.folder / "case.toml"))
        report = running.run(fetched.spec, what, keep=keep).result(10)
        running.close()
        self.world.over.clear()
        return report, len(self.world.guests) > before

    def again(self) -> bool:
        """Return whether a second run starts a guest."""
        return self.run()[1]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "cache"))
    made = Runs(tmp_path / "thing")
    made.write()
    return made


def toml(*lines: str) -> Callable[[Runs], None]:
    """Return what adds lines to a case.toml."""

    def change(runs: Runs) -> None:
        runs.lines += lines
        runs.write()

    return change


def of_case(**changed: Any) -> Callable[[Runs], None]:
    """Return what changes fields of a case, as options of a run do."""
    return lambda runs: setattr(runs, "change", lambda case: replace(case, **changed))


def of_kernel(**changed: Any) -> Callable[[Runs], None]:
    return lambda runs: setattr(runs, "kernel", replace(runs.kernel, **changed))


def other_object(runs: Runs) -> None:
    runs.write(load=faking.REJECTED)


def other_check(runs: Runs) -> None:
    (runs.folder / "check.py").write_text(CHECK + "# more\n")


def other_machine(runs: Runs) -> None:
    runs.world.decided = "another image, QEMU, accelerator or agent"


def supplied(runs: Runs) -> None:
    path = runs.folder / "own.btf"
    path.write_bytes(btfwriter.two_tasks())
    runs.supplies = [Supply.parse(str(path))]


def beside(runs: Runs) -> None:
    (runs.folder / "other.bpf.o").write_text("{}")
    path = runs.folder / "case.toml"
    path.write_text(path.read_text().replace('object = "prog.bpf.o"', 'objects = ["prog.bpf.o", "other.bpf.o"]'))


DECIDES: dict[str, Callable[[Runs], None]] = {
    "object": other_object,
    "objects beside": beside,
    "check": other_check,
    "contract": toml("[contract]", 'may_fail = ["p"]'),
    "case: trigger": toml('trigger = ["/bin/true"]'),
    "case: expectation": toml("[[expect]]", 'stage = "load"', 'status = "passed"'),
    "case: timeout": toml("timeout = 3"),
    "case: attach": toml("attach = false"),
    "case: strict reads": toml("strict-reads = true"),
    "option: until": of_case(until="load"),
    "rules": of_case(rules="ebpf-go"),
    "machine: cpus": toml("[machine]", "cpus = 4"),
    "machine: command line": toml("[machine]", 'cmdline = "lsm=bpf"'),
    "memory": lambda runs: setattr(runs, "change", lambda case: case.with_memory(512)),
    "BTF that was supplied": supplied,
    "kernel: package": of_kernel(sha256="1" * 64),
    "kernel: image": of_kernel(digest="1" * 64),
    "kernel: version": of_kernel(version="6.1.192-2"),
    "kernel: release": of_kernel(release="6.1.0-57-cloud-amd64"),
    "guest image, QEMU, accelerator, our code in the guest": other_machine,
}


@pytest.mark.parametrize("change", DECIDES.values(), ids=DECIDES.keys())
def test_what_decides_a_cell_makes_it_run(runs: Runs, change: Callable[[Runs], None]) -> None:
    """What has changed is run, once: then its verdict is known as well as the one before."""
    assert runs.run()[1]
    assert not runs.again()
    change(runs)
    assert runs.again()
    assert not runs.again()


def test_our_own_code_decides(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts are given by code of the host too."""
    runs.run()
    monkeypatch.setattr(deciding, "our_code", lambda: "another")
    assert runs.again()


def test_the_content_of_a_supplied_btf_decides(runs: Runs) -> None:
    """The file may keep its name."""
    supplied(runs)
    runs.run()
    assert not runs.again()
    writer = btfwriter.Writer()
    writer.integer("int", 4)
    (runs.folder / "own.btf").write_bytes(writer.image())
    assert runs.again()


def test_btf_that_comes_with_a_kernel_decides(runs: Runs) -> None:
    """A kernel without BTF may come with some that was made for it."""
    made = runs.folder / "vmlinux.btf"
    made.write_bytes(btfwriter.two_tasks())
    runs.kernel = replace(runs.kernel, supplied=made)
    runs.run()
    assert not runs.again()
    writer = btfwriter.Writer()
    writer.integer("int", 4)
    made.write_bytes(writer.image())
    assert runs.again()


def test_code_that_shows_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte in a room that judges makes another digest, one in a room that shows does not."""
    for name in ("matrix", "report"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text("a = 1\n")
    monkeypatch.setattr(folders, "package", lambda: tmp_path)

    def digest() -> str:
        deciding.our_code.cache_clear()
        return deciding.our_code()

    before = digest()
    (tmp_path / "report/a.py").write_text("a = 2\n")
    assert digest() == before
    (tmp_path / "matrix/a.py").write_text("a = 2\n")
    assert digest() != before
    deciding.our_code.cache_clear()


ADAPTER = Adapter("mine", Path("/bin/mine"), "1", sha256="1" * 64)


@pytest.mark.parametrize(
    "other",
    [replace(ADAPTER, sha256="2" * 64), replace(ADAPTER, version="2"), None],
    ids=["program", "version", "own"],
)
def test_the_loader_decides(runs: Runs, other: Adapter | None) -> None:
    """A real loader's adapter counts by its bytes, and by the version of its library; where it lies does not."""

    def key(adapter: Adapter | None) -> str:
        return key_of(runs, adapter=adapter)

    assert key(ADAPTER) == key(replace(ADAPTER, program=Path("/elsewhere/mine")))
    assert key(ADAPTER) != key(other)
    with pytest.raises(deciding.Undecided):
        key(replace(ADAPTER, sha256=""))


def key_of(runs: Runs, **changed: Any) -> str:
    what = replace(case.read(runs.folder / "case.toml"), **changed)
    return deciding.key("machine", runs.kernel, Granted(what, what.machine), [])


def test_a_command_counts_with_its_files(runs: Runs) -> None:
    """The program and what is pushed count by their bytes, its arguments and how it is to end as they are."""
    (runs.folder / "tool").write_text("#!/bin/sh\n")
    (runs.folder / "data").write_text("1")

    def key(*lines: str) -> str:
        (runs.folder / "case.toml").write_text("\n".join(['push = ["data"]', *lines]))
        return key_of(runs)

    first = key('command = "./tool"')
    assert key('command = "./tool"') == first
    assert key('command = "./tool -v"') != first
    assert key('command = "./tool"', "exit = 1") != first
    (runs.folder / "data").write_text("2 ")
    assert key('command = "./tool"') != first
    with pytest.raises(deciding.Undecided):
        key('command = "./tool"', "headers = true")


# ------------------------------------------------------------------------------------------------ what decides nothing


def test_a_moved_object_is_not_run(runs: Runs, tmp_path: Path) -> None:
    """It has the name that it has now in its record, and the verdict that it had there."""
    runs.change = lambda _: case.bare(runs.folder / "prog.bpf.o", "here/prog.bpf.o")
    runs.run()
    (tmp_path / "elsewhere").mkdir()
    shutil.move(runs.folder / "prog.bpf.o", tmp_path / "elsewhere/prog.bpf.o")
    runs.change = lambda _: case.bare(tmp_path / "elsewhere/prog.bpf.o", "elsewhere/prog.bpf.o")
    report, ran = runs.run()
    assert not ran
    assert report["result"]["object"] == "elsewhere/prog.bpf.o"


@pytest.mark.parametrize(
    "change",
    [toml("# a comment"), toml('description = "other words"'), of_case(loaders=("own",))],
    ids=["comment", "description", "loaders"],
)
def test_words_decide_nothing(runs: Runs, change: Callable[[Runs], None]) -> None:
    """Of a case its meaning counts."""
    runs.run()
    change(runs)
    assert not runs.again()


def test_a_moved_case_without_a_check_is_not_run(runs: Runs, tmp_path: Path) -> None:
    """Its name is the one that it has now; a check's records may quote where it lies, so that one is run."""
    (runs.folder / "case.toml").write_text('object = "prog.bpf.o"')
    runs.run()
    runs.folder = runs.folder.rename(tmp_path / "moved")
    report, ran = runs.run()
    assert (ran, report["result"]["case"]) == (False, "moved")


# ---------------------------------------------------------------------------------------------- what is no sure verdict


class Cold(faking.World):
    """Guests that are booted because their snapshot does not come back."""

    def start(self, *args: Any, **options: Any) -> Any:
        guest: Guest = super().start(*args, **options)
        guest.start_kind = COLD_BOOT
        return guest


def warns(runs: Runs) -> None:
    runs.world.splats["6.1"] = ["WARNING: CPU: 0"]


def is_late(runs: Runs) -> None:
    runs.world.answer(wire.Attach, CaseTimeout("no answer within 60 s", where="6.1"))


def panics_as_expected(runs: Runs) -> None:
    runs.world.answer(wire.Attach, KernelPanic("it panicked", console="trace", where="6.1"))
    toml("[[expect]]", 'stage = "run"', 'status = "failed"', 'code = "kernel-panic"')(runs)


def is_flaky(runs: Runs) -> None:
    runs.retries = 1
    runs.write(**{"raise": "KernelPanic", "breaks": 1})


def runs_out_of_memory(runs: Runs) -> None:
    lacks = {**faking.REFUSED, "errno": "ENOMEM", "message": "no memory"}
    runs.write(load={"status": "failed", "code": "map-refused", "message": "no memory", "programs": [lacks]})


UNSURE: dict[str, Callable[[Runs], None]] = {
    "the guest broke": lambda runs: runs.write(**{"raise": "KernelPanic"}),
    "the guest broke, as expected": panics_as_expected,
    "the harness broke": lambda runs: runs.write(**{"raise": "HarnessError"}),
    "a retry": is_flaky,
    "a timeout": is_late,
    "a kernel that warned": warns,
    "memory": runs_out_of_memory,
    "a cold boot": lambda runs: setattr(runs, "world", Cold()),
    "machines that nobody knows": lambda runs: setattr(runs.world, "decided", None),
}


@pytest.mark.parametrize("change", UNSURE.values(), ids=UNSURE.keys())
def test_what_is_not_settled_is_run_again(runs: Runs, change: Callable[[Runs], None]) -> None:
    """Nothing but a verdict that a fresh kernel would give again is kept."""
    change(runs)
    assert runs.run()[1]
    assert runs.again()


def test_a_failure_is_a_settled_verdict(runs: Runs) -> None:
    """It is taken like any other, but where its guest is to be looked at."""
    runs.write(load=faking.REJECTED)
    runs.run()
    report, ran = runs.run()
    assert (ran, report["result"]["outcome"], report["result"]["code"]) == (False, "failed", "verifier-rejected")
    seen: list[str] = []
    _, ran = runs.run(keep=lambda guest, report: seen.append(report["result"]["code"]))
    assert (ran, seen) == (True, ["verifier-rejected"])


def test_an_object_that_changes_while_it_is_run_is_not_kept(runs: Runs) -> None:
    """Its verdict is of the bytes that were loaded, whichever these were."""

    def load(message: wire.Load) -> wire.Message:
        faking.objects(runs.folder, prog={"later": len(runs.world.guests)})
        return runs.world._load(message)

    runs.world.answer(wire.Load, load)
    runs.run()
    assert runs.again()


def test_a_case_with_something_new_is_run(runs: Runs) -> None:
    """What has no form that could be compared is never taken for the same."""

    @dataclass(frozen=True)
    class Later(Case):
        place: Any = field(default_factory=object)

    runs.change = lambda case: Later(**vars(case))
    assert runs.run()[1]
    assert runs.again()


def test_a_kernel_with_something_new_is_run(runs: Runs) -> None:
    """What a later kernel may be made of decides its cells as well."""

    @dataclass(frozen=True)
    class Later(Kernel):
        place: Path = Path()

    runs.kernel = Later(**vars(runs.kernel))
    assert runs.run()[1]
    assert runs.again()


# --------------------------------------------------------------------------------------------------------- what is kept


def timeless(value: Any) -> Any:
    """Return a record without its times, and without where it is from."""
    if isinstance(value, dict):
        return {name: timeless(item) for name, item in value.items() if name not in ("seconds", "reused")}
    return [timeless(item) for item in value] if isinstance(value, list) else value


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
RELOCATIONS = st.fixed_dictionaries(
    {
        "program": TEXTS, "insn": st.integers(0, 100), "kind": st.just("byte_off"), "access": TEXTS,
        "outcome": st.sampled_from(["patched", "poisoned"]), "local": st.integers(0, 9), "target": st.none(),
    }
)  # fmt: skip
PROGRAMS = st.sampled_from([faking.PROGRAM, faking.REFUSED, {**faking.REFUSED, "decides": False}])
SCRIPTS = st.fixed_dictionaries(
    {},
    optional={
        "load": st.fixed_dictionaries({"programs": st.lists(PROGRAMS, max_size=3)})
        | st.just(faking.REJECTED)
        | st.just({"status": "skipped", "notes": ["a note"]}),
        "relocate": st.fixed_dictionaries({"relocations": st.lists(RELOCATIONS, max_size=3)}),
        "misreads": st.lists(st.just(faking.MISREAD), max_size=2),
        "ek_failed_line": st.integers(0, 9),
    },
)


@given(SCRIPTS, st.sampled_from([(), ("strict-reads = true",), ("attach = false",), ('description = "x"',)]), TEXTS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fresh_and_reused_records_differ_in_time_and_provenance_only(
    runs: Runs, script: dict[str, Any], lines: tuple[str, ...], console: str
) -> None:
    """Whatever the verdict is, a reader of the report sees the same, and from which run it is."""
    shutil.rmtree(runs.folder)
    runs.lines, runs.world = list(lines), faking.World()
    runs.world.consoles["6.1"] = console
    runs.write(**script)
    first, ran = runs.run(take=False)
    fresh, ran_again = runs.run(take=False)
    taken, ran_third = runs.run()
    assert (ran, ran_again, ran_third) == (True, True, False)
    assert timeless(taken) == timeless(fresh) == timeless(first)
    reused = taken["result"]["reused"]
    assert set(reused) == {"run", "at", "seconds"}
    assert reused["seconds"] == fresh["result"]["seconds"]
    assert "reused" not in fresh["result"]


def test_a_fresh_run_takes_nothing_and_keeps_anew(runs: Runs) -> None:
    """What is taken afterwards is of that run."""
    old, _ = runs.run()
    assert runs.run(take=False)[1]
    [place] = Path(str(runs.folder.parent / "cache/cells")).glob("*/*.json")
    kept_by = results.read(place)["run"]["id"]
    report, ran = runs.run()
    assert (ran, report["result"]["reused"]["run"]) == (False, kept_by)
    assert "reused" not in old["result"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-40],
        lambda text: text.replace('"passed"', '"splendid"'),
        lambda text: text.replace('"outcome": "passed"', '"outcome": "error"'),
        lambda text: text.replace('"console": ""', '"console": 7'),
        lambda text: json.dumps({**json.loads(text), "results": []}),
        lambda text: "",
    ],
    ids=["cut", "no status", "no verdict", "no console", "no cell", "empty"],
)
def test_what_is_damaged_is_run(runs: Runs, spoil: Callable[[str], str]) -> None:
    """A file that does not pass the gate of results is as good as none, and the next verdict takes its place."""
    runs.run()
    [place] = (runs.folder.parent / "cache/cells").glob("*/*.json")
    before = place.read_text()
    place.write_text(spoil(before))
    assert place.read_text() != before
    assert runs.again()
    assert not runs.again()


def test_a_disk_that_takes_no_more_ends_no_run(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cell has its verdict, and the run says once that none is kept."""

    def full(*_: Any) -> None:
        raise HarnessError("cannot be written: no space left", where="cells")

    monkeypatch.setattr(kept, "keep", full)
    told: list[str] = []
    reuse = Reuse(identify("auto"), runs.world, tell=told.append)
    monkeypatch.setattr("tests.matrix.test_reuse.Reuse", lambda *a, **o: reuse, raising=False)
    report, _ = runs.run()
    assert report["result"]["outcome"] == "passed"
    runs.run()
    assert told == ["verdicts are not kept: cells: cannot be written: no space left"]


def test_what_is_kept_is_bounded(runs: Runs) -> None:
    """What was used least recently goes first."""
    for number in range(3):
        runs.write(number=number)
        runs.run()
    places = sorted((runs.folder.parent / "cache/cells").glob("*/*.json"))
    for age, place in enumerate(places):
        os.utime(place, (age, age))
    size = sum(place.stat().st_blocks * 512 for place in places)
    assert kept.trim(size) == 0
    assert kept.trim(size - 1) == 1
    assert [place.exists() for place in places] == [False, True, True]


def test_machines_tell_what_decides_their_guests(runs: Runs) -> None:
    """The fake's word is another for each kernel and machine, as the warm snapshot's name is."""
    said = {
        runs.world.decides(kernel, spec)
        for kernel in (runs.kernel, replace(runs.kernel, digest="1"))
        for spec in (MachineSpec(), MachineSpec(cpus=1))
    }
    assert len(said) == 4

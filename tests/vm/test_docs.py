"""Every command in the documentation works as it stands there."""

from __future__ import annotations

import glob
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.comparing import building
from tests.gates.made import cell, run

from everykernel import folders
from everykernel.btf import Btf

from ..debugpackage import debug_package

ROOT = Path(__file__).parents[2]
COMMAND = re.compile(r"^    ((?:everykernel|pytest|nox|python3 bootstrap\.py)(?: .*)?)$", re.MULTILINE)
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
SYNOPSIS = re.compile(r"[\[|<]|\.\.\. |SPEC")  # a line that shows a form, not a command
# What runs elsewhere: the sessions of nox itself, and the whole matrix (test_cases.py, test_supplied_btf.py).
ELSEWHERE = (
    "python3 bootstrap.py",
    "nox",
    "everykernel report serve",  # until Ctrl-C: tests/report/test_serving.py
    "pytest --kernels 5.10,6.1,6.12,6.1/i386",
    "pytest --kernels 6.1/i386 --kernel-btf cases/btf cases",
)
BUILT = re.compile(r"twins|kernels build")  # what needs kernels that were built: test_twins.py
OF_TARGETS = re.compile(r"ssh://|--target")  # tests/targets/test_columns.py has a host for them
OF_CLUSTERS = re.compile(r"--(kernel-)?cluster|everykernel (worker|scheduler) ")  # tests/cluster/test_docs.py has one
OBJECTS = ("mytool.bpf.o", "biosnoop.bpf.o")
PAIR = {"mytool_bpfel.o": "arm64", "mytool_bpfeb.o": "s390x"}
BTFS = ("mytool.btf", "whole.btf")
DEBUG_PACKAGE = "linux-image-686-pae-dbg.deb"
CHANGED = 1  # the exit code of `btf diff` where something differs
LOST = 1  # the twin without BTF refuses what needs it

pytestmark = pytest.mark.vm


def reports(folder: Path) -> None:
    """Write results.json and report folders: two parts, a run in which a cell failed and a newer one, one of pytest."""
    name = OBJECTS[0]
    failed = {"again": f"everykernel run {name} --kernels 6.1"}
    node = {"test": f"{name}::mytool[6.1]"}
    found = {
        "part-1": building.results([building.result(name, "6.1")], building.run("1")),
        "part-2": building.results([building.result(name, "6.12")], building.run("2")),
        "old": building.results([building.result(name, "6.1", "failed", **failed)], building.run("3")),
        "new": building.results([building.result(name, "6.1")], building.run("4")),
        "report": building.results([building.result(name, "6.1", "failed", **node)], building.run("5")),
    }
    for report, results in found.items():
        (folder / report).mkdir()
        (folder / report / "results.json").write_text(json.dumps(results))
    (folder / "results.json").write_text(json.dumps(building.results([])))


def commands() -> list[str]:
    """The commands of all pages that work with what can be fetched, each once."""
    return [command for command in written() if not BUILT.search(command)]


def written() -> list[str]:
    """The commands of all pages, each once."""
    found = [line.split("#")[0].strip() for page in PAGES for line in COMMAND.findall(page.read_text())]
    here = [c for c in found if not SYNOPSIS.search(c) and not c.startswith(ELSEWHERE) and not OF_TARGETS.search(c)]
    here = [c for c in here if not OF_CLUSTERS.search(c)]
    return list(dict.fromkeys(here))


def test_pages_have_commands() -> None:
    """The pattern that finds them finds them."""
    assert len(commands()) > 8
    assert any(c.startswith("everykernel shell 6.1") for c in commands())


@pytest.mark.parametrize("command", commands())
def test_command_works(command: str, tmp_path: Path) -> None:
    """In a folder with objects and BTF of those names, the command succeeds."""
    check(command, tmp_path)


def check(command: str, tmp_path: Path) -> None:
    """Run a command in a folder with objects and BTF of the names in the docs; assert that it succeeds."""
    for name in OBJECTS:
        shutil.copy(folders.data("cases") / "exec_event/build/x86_64/prog.bpf.o", tmp_path / name)
    for name, arch in PAIR.items():
        shutil.copy(folders.data("cases") / f"ringbuf_events/build/{arch}/prog.bpf.o", tmp_path / name)
    (i386_btf,) = (folders.data("cases") / "btf").glob("*/*/i386/*.btf")
    for name in BTFS:
        shutil.copy(i386_btf, tmp_path / name)
    package = debug_package(tmp_path, Btf.parse(i386_btf.read_bytes()), i386_btf.stem)
    package.rename(tmp_path / DEBUG_PACKAGE)
    (tmp_path / "btf").mkdir()
    reports(tmp_path)
    (tmp_path / "out").mkdir()
    for name in ("results.json", "old.json", "out/results.json"):
        (tmp_path / name).write_text(json.dumps(run(cell("mytool.bpf.o", "6.1"))))
    (tmp_path / "everykernel.baseline").touch()
    tool = tmp_path / "mytool"
    script = b"#!/bin/busybox sh\necho mytool\nexit\n"
    tool.write_bytes(script + (tmp_path / OBJECTS[0]).read_bytes())  # a file that runs, and holds an object
    tool.chmod(0o755)
    program, *words = shlex.split(command)
    arguments = [name for word in words for name in (glob.glob(word, root_dir=tmp_path) or [word])]  # noqa: PTH207 - as a shell does it
    path = Path(sys.executable).with_name(program)
    done = subprocess.run(
        [str(path), *arguments],
        cwd=tmp_path,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    expected = CHANGED if command.startswith("everykernel btf diff") else LOST if " --twins" in command else 0
    assert done.returncode == expected, done.stdout

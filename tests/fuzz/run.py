"""Whole runs whose guests lie: through the gate, cells, ledger, terminal, Markdown, JUnit and results.json.

    python -m tests.fuzz.run [REPLIES] [SEED]     until so many replies were changed (20,000)

Each run has cases and bare objects on four kernels, by ``everykernel run`` and by pytest in turns; each guest answers
with a recording in which some replies are changed. `check` holds each run to what no guest may break.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest
from markdown_it import MarkdownIt
from tests import faking
from tests.fuzz import lies, recording

from everykernel import cli, wire
from everykernel.errors import GuestLost
from everykernel.kernels.model import Kernel
from everykernel.machine import gate
from everykernel.machine.fake import FakeGuest
from everykernel.machine.running import verdict
from everykernel.machine.spec import MachineSpec
from everykernel.report import schema

KERNELS = tuple(faking.RELEASES)
CASES, OBJECTS = 12, 12
NAMES = ("a[/x]", "b[blink]", "c\x1b[31m", "d|`e`", "f<script>", "g\u202eh", "i\u2028j", "k" * 120, "l*_m_", "n;o")
ALONE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
OURS = re.compile(r"\x1b\[([0-9;]*m|2K|1A|\?25[lh])")  # colour, and how the board of a terminal is redrawn


class Liar(FakeGuest):
    """A guest that answers by a recording of which one reply, or all, are changed."""

    def __init__(self, world: Liars, kernel: Kernel, spec: MachineSpec) -> None:
        super().__init__(world, kernel, spec)
        self._world = world
        self._dice = world.dice
        self._cell = self._dice.choice(world.cells)
        self._lies = self._dice.choice((None, "hello", "load", "load", "attach", "run", "check", "globals"))

    @property
    def facts(self) -> wire.Facts:
        """What it says first."""
        reply = self.request(wire.Hello(0, b""))
        assert isinstance(reply, wire.Facts)
        return reply

    def request(self, message: wire.Request[wire.Reply], timeout: float | None = None) -> wire.Reply:
        """Return what passes the gate of a changed answer."""
        honest = [reply for reply in self._cell.replies if reply.request == message.kind]
        if not honest:
            honest = [
                recording.Reply(message.kind, '{"n":0,"kind":"ran","body":{"code":0,"stdout":"","stderr":""}}', "")
            ]
        reply = self._dice.choice(honest)
        parts = reply.parts
        if self._lies in (None, message.kind):
            parts = lies.twist(reply, self._world.replies, self._dice)
            Liars.changed += 1
        _, answer = gate.admit(*parts, {0: message})
        found: wire.Reply = verdict(answer, self.kernel.spec, self.console)
        return found

    def console(self) -> str:
        """A console that has been at it too."""
        return "[    1.0] \x1b[2J\u202e```\n[    1.1] WARNING: CPU: 0 PID: 1 at \x07x.c:1 [/red]\n| a | <b>\n"


class Liars(faking.World):
    """Machines whose guests lie, each in its own way."""

    dice: random.Random = random.Random(0)
    changed: ClassVar[int] = 0
    cells: ClassVar[list[recording.Recording]] = recording.read()
    replies: ClassVar[list[recording.Reply]] = [reply for cell in cells for reply in cell.replies]

    def start(self, kernel: Kernel, spec: MachineSpec | None = None, *, ahead: bool = False) -> FakeGuest:
        """Return a guest that lies."""
        self.prepare(kernel, spec)
        if self.dice.random() < 0.01:
            raise GuestLost("it never \x1b[5mcame\u202e up", where=kernel.spec, console="| ``` <b>\x07\n")
        return Liar(self, kernel, spec or MachineSpec())


def prepare(folder: Path, cases: int = CASES, objects: int = OBJECTS) -> list[str]:
    """Write cases and objects with names that mean something elsewhere; return the arguments of a run."""
    for number in range(cases):
        case = folder / f"case{number}"
        case.mkdir()
        (case / "case.toml").write_text('object = "prog.bpf.o"\ntrigger = ["true"]\ncheck = "check.py"\n')
        (case / "check.py").write_text("def check(obj):\n    return 1\n")
        (case / "prog.bpf.o").write_text('{"ek_failed_line": 0}')
    for number in range(objects):
        path = folder / f"{NAMES[number % len(NAMES)]}{number}.bpf.o"
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    return sorted(str(path.relative_to(folder)) for path in [*folder.glob("case*"), *folder.glob("**/[!p]*.bpf.o")])


def by_command(folder: Path, seed: int) -> tuple[int, str]:
    """Run ``everykernel run`` in this process; return its exit code and all that it printed."""
    names = prepare(folder)
    report = str(folder / "report")
    Liars.dice = random.Random(seed)
    printed = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
    ):
        faking.install(patch)
        patch.setattr("everykernel.machine.Machines", Liars)
        patch.chdir(folder)
        patch.setenv("COLUMNS", "100")
        if seed % 4 == 0:
            patch.setenv("FORCE_COLOR", "1")
        code = cli.main(["run", *names, "--kernels", ",".join(KERNELS), "--report", report])
    return code, printed.getvalue().replace("\r", "") if seed % 4 == 0 else printed.getvalue()


CONFTEST = f"""
import random, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import pytest
from tests import faking
from tests.fuzz.run import Liars
faking.install(patch := pytest.MonkeyPatch())
patch.setattr("everykernel.machine.Machines", Liars)

@pytest.hookimpl(trylast=True)
def pytest_sessionstart():
    Liars.dice = random.Random(SEED)

@pytest.hookimpl(trylast=True)
def pytest_sessionfinish():
    open("changed", "a").write(f"{{Liars.changed}}\\n")
"""


def by_pytest(folder: Path, seed: int) -> tuple[int, str]:
    """Run pytest in a process of its own, with two workers in half of the runs; return exit code and output."""
    prepare(folder)
    (folder / "conftest.py").write_text(CONFTEST.replace("SEED", str(seed)))
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\nkernel_objects = *[0-9].bpf.o\n")
    options = ["-n", "2"] if seed % 4 == 3 else []
    argv = [sys.executable, "-m", "pytest", "-q", "--kernels", ",".join(KERNELS), "--kernel-report", "report"]
    environment = {**os.environ, "COLUMNS": "100", "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [*argv, "--junitxml=junit.xml", *options], cwd=folder, env=environment, capture_output=True, check=False
    )
    Liars.changed += sum(map(int, (folder / "changed").read_text().split()))
    ElementTree.parse(folder / "junit.xml")
    return ran.returncode, ran.stdout.decode("utf-8", "surrogateescape") + ran.stderr.decode("utf-8", "surrogateescape")


def check(folder: Path, code: int, printed: str) -> None:
    """Raise AssertionError where a run lost a cell, or printed or wrote what it must not."""
    text = (folder / "report" / "results.json").read_text(encoding="utf-8")
    results: dict[str, Any] = json.loads(text, parse_constant=lambda word: pytest.fail(f"results.json holds {word}"))
    jsonschema.validate(results, schema.load())
    planned = (CASES + OBJECTS) * len(KERNELS)
    assert len(results["results"]) == planned, (
        f"{planned} cells were planned, {len(results['results'])} are in results.json"
    )
    passed = {(r["outcome"], r["code"]) for r in results["results"]}
    assert passed <= {("passed", "")} or code != 0, f"exit code 0 with {passed}"
    views = {name: (folder / "report" / name).read_text() for name in ("matrix.md", "index.html")}
    for what, shown in (("output", OURS.sub("", printed)), *views.items()):
        found = ALONE.search(shown)
        assert found is None, f"{what} holds {found[0]!r} at {shown[max(0, found.start() - 60) : found.end()]!r}"
    assert "Traceback (most recent call last)" not in printed, printed
    _markdown(views["matrix.md"])
    _html(views["index.html"], CASES + OBJECTS)


def _html(page: str, rows: int) -> None:
    """Raise AssertionError where data became markup: the page has its own scripts, one block a row, and no handler."""
    counts = Counter(re.findall(r"<([a-z]+)[ >]", page))
    assert counts["script"] == page.count("</script>") == rows + 3, counts
    assert not counts.keys() & {"img", "iframe", "object", "embed", "form", "link", "base"}, counts


def _markdown(page: str) -> None:
    """Raise AssertionError where data became markup: headings, HTML, links or emphasis that no report writes."""
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    inline = [child.type for token in tokens for child in token.children or []]
    assert not {"link_open", "image", "em_open", "strong_open", "code_inline"} & set(inline), inline
    headings = [tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"]
    twins = {text for text in headings if re.fullmatch(r"What BTF is worth: [\w.-]+ \([\w.-]+\)", text)}
    assert set(headings) <= {"Kernel compatibility", "What did not pass", *twins}, headings
    html = {child.content for token in tokens for child in token.children or [] if child.type == "html_inline"}
    assert html <= {"<br>"}, html
    assert not any(token.type == "html_block" for token in tokens)


def main(replies: int = 20_000, seed: int = 1) -> None:
    """Run until so many replies were changed; say how many runs and cells that took."""
    began, runs = time.process_time(), 0
    while Liars.changed < replies:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            code, printed = (by_pytest if seed % 2 else by_command)(folder, seed)
            try:
                check(folder, code, printed)
            except BaseException:
                sys.stderr.write(f"seed {seed}:\n")
                raise
        seed, runs = seed + 1, runs + 1
    cells = runs * (CASES + OBJECTS) * len(KERNELS)
    took = time.process_time() - began
    sys.stdout.write(f"{Liars.changed} changed replies in {runs} runs of {cells} cells, {took:.0f} s\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

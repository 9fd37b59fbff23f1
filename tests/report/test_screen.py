"""Whatever an object, a guest or a path is called and says, terminals and reports show it, and obey none of it."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len
from rich.table import Table
from tests import faking

from everykernel import cli, escaping, wire
from everykernel.errors import KernelPanic, UsageError
from everykernel.machine import fake
from everykernel.matrix import records
from everykernel.matrix.progress import Board
from everykernel.report import blocks, causes, markdown, screen, terminal
from everykernel.report.labels import labels

# C0 and C1 controls, DEL, bidirectional controls, separators of lines, zero-width characters, and lone surrogates.
CONTROLS = "".join(
    map(chr, [*range(1, 0x20), *range(0x7F, 0xA0), 0x61C, *range(0x200B, 0x2010), *range(0x2028, 0x202F),
              *range(0x2060, 0x206A), 0xAD, 0xFEFF, 0xFFF9, 0xDFFF, 0xDC80, 0xD800, 0xE0001])
)  # fmt: skip
MARKUP = (
    "[blink]b[/x] [link=http://x]y[/] :smile: ``` | <img src=x> &lt; *a* _b_ [c](http://d) www.e.f\x1b[2J\x1b]0;t\x07"
)
HOSTILE = f"{MARKUP}{CONTROLS}{MARKUP}"
FILE = "a[blink]b\x1b[31m\r\n\t\x07\x9b\x7f\u202e\u2028\u200b|`<i>:bug:\udcff.bpf.o"  # a name that ext4 takes
SGR = re.compile(r"\x1b\[[0-9;]*m")


def odd(text: str, *, colour: bool = False) -> list[str]:
    """Return what a terminal may obey, or a reader cannot see, in what was printed."""
    return [c for c in (SGR.sub("", text) if colour else text) if c != "\n" and not c.isprintable()]


class World(faking.World):
    """Guests that say hostile things wherever they may say something."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__()
        self.answer(wire.Load, self._answer)
        self.answer(wire.Check, lambda message: wire.Checked(False, HOSTILE, HOSTILE, {HOSTILE: HOSTILE}))
        for spec in faking.RELEASES:
            self.consoles[spec] = f"one\n{HOSTILE}\nlast"
            self.splats[spec] = [f"WARNING: {HOSTILE}\n{HOSTILE}"]
            told = fake.facts(faking.kernel(spec))
            self.facts[spec] = replace(told, release=f"{told.release}{HOSTILE}", version=f"{told.version}{HOSTILE}")

    @staticmethod
    def _answer(message: wire.Load) -> wire.Message:
        if message.data.startswith(b"panic"):
            raise KernelPanic(HOSTILE, console=f"one\n{HOSTILE}\nlast", where=HOSTILE, remedy=HOSTILE)
        names = ("name", "section", "type", "errno", "message", "source", "attach", "note")
        program = {**dict.fromkeys(names, HOSTILE), "log": f"0: {HOSTILE}\n{HOSTILE}", "status": "failed",
                   "code": "verifier-rejected", "decides": True}  # fmt: skip
        asked = {**dict.fromkeys(("program", "kind", "access", "message"), HOSTILE), "outcome": "poisoned", "insn": 1,
                 "local": 1, "target": None}  # fmt: skip
        others = [{**program, "name": f"{HOSTILE}{n}", "code": code, "message": f"{n}{HOSTILE}"}
                  for n, code in enumerate(("relocation-unresolved", "map-create-failed", HOSTILE) * 4)]  # fmt: skip
        stage = {"status": "failed", "code": "verifier-rejected", "message": HOSTILE, "notes": [HOSTILE],
                 "programs": [program, *others], "maps": [program, *others]}  # fmt: skip
        relocate = {"status": "passed", "btf": f"supplied:{HOSTILE}", "relocations": [asked], "notes": [HOSTILE]}
        return wire.Loaded(1, relocate, stage)


@pytest.fixture
def _world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    faking.install(monkeypatch)
    monkeypatch.setattr("everykernel.machine.Machines", World)


def files(folder: Path, name: str = FILE) -> list[str]:
    """Write objects with hostile names, one of which ends its guest."""
    (folder / "a[").mkdir()
    found = [name, "a[/x].bpf.o", f"panic{name}"]
    for name in found:
        (folder / name).write_bytes(b"panic" if name.startswith("panic") else b"{}")
    return found


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("verbose", [(), ("-v",), ("-vv",)])
@pytest.mark.usefixtures("_world")
def test_the_command(
    colour: bool, verbose: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """``run`` and ``report`` print no control character but the newline and, in colour, rich's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    if colour:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
    names = files(tmp_path)
    assert cli.main(["run", *names, "--kernels", ",".join(["6.1", "5.10"]), "--report", "out", *verbose]) == 3
    assert cli.main(["report", "out", *verbose]) == 0
    shown = capfd.readouterr()
    assert ("\x1b[" in shown.out) is colour
    assert odd(re.sub(r"\x1b\[(\?25[lh]|\d?[AK]|2K)|\r", "", shown.err), colour=colour) == []
    assert odd(shown.out, colour=colour) == []
    assert r"a[blink]b\x1b[31m\r\n\t\x07\x9b\x7f\u202e\u2028\u200b|`<i>:bug:\xff.bpf.o" in SGR.sub("", shown.out)
    assert "x].bpf.o" in shown.out
    assert cli.main(["report", "out", "--format", "markdown"]) == 0
    page = capfd.readouterr().out
    assert odd(page) == []
    assert page == (tmp_path / "out/matrix.md").read_text()
    assert cli.main(["run", "gone\x1b[2J\u202e\udcff.bpf.o", "--kernels", "6.1"]) == 2
    assert cli.main(["report", "gone\x1b[2J"]) == 2
    assert cli.main(["report", "--nonsense\x1b[2J\u202e"]) == 2
    errors = capfd.readouterr().err
    assert odd(errors) == []
    assert len(errors.splitlines()) == 3


@pytest.mark.parametrize("options", [(), ("-v", "--color=yes"), ("-vv", "-rA"), ("-n", "2")])
def test_pytest(options: tuple[str, ...], pytester: pytest.Pytester) -> None:
    """The same under pytest, its summary and its JUnit file, which is well-formed."""
    pytester.makeconftest(
        faking.CONFTEST + "from tests.report.test_screen import World\nimport everykernel.machine\n"
        "everykernel.machine.Machines = World\n"
    )
    pytester.makepyfile("def test_mine(load):\n    load('a[/x].bpf.o')\n")
    pytester.makeini("[pytest]\nkernel_objects = *.bpf.o\n")  # pytest takes no brackets in paths that it is given
    files(pytester.path, FILE.replace("\udcff", "") if "-n" in options else FILE)  # execnet sends UTF-8 only
    ran = pytester.runpytest_subprocess(
        "--kernels", "6.1,6.1/i386", "--junitxml=out.xml", "--kernel-report=out", *options
    )
    ran.assert_outcomes(failed=6, errors=2)
    said = ran.stdout.str() + ran.stderr.str()
    assert odd(said, colour="--color=yes" in options) == []
    assert r"a[blink]b\x1b[31m\r\n" in said
    tree = ElementTree.parse(pytester.path / "out.xml")
    for element in tree.iter():
        assert odd("".join([element.text or "", element.tail or "", *element.attrib.values()])) == []
    page = (pytester.path / "out/matrix.md").read_text()
    assert odd(page) == []
    assert len(json.loads((pytester.path / "out/results.json").read_text())["results"]) == 8


NAMES = [HOSTILE, "a|b", "`", "``" * 40, "<script>", "[x](y)", "\\", "\\|", "a_b", "_x_", "http://a.b", "# x", "&lt;"]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_markdown_is_the_table_that_was_meant(name: str) -> None:
    """Whatever a row is called, the table keeps its columns, the page its blocks, and HTML is none of a stranger's."""
    bad: Any = {"case": name, "kernel": "6.1", "outcome": "failed", "stage": "load", "code": "load-failed",
                "message": f"{name}\n```\n# {name}", "stages": {}, "again": name}  # fmt: skip
    page = markdown.render([bad], [{"spec": "6.1", "notes": [name]}])
    assert odd(page) == []
    head, _, row = [line for line in page.splitlines() if line.startswith("|")]
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == len(re.findall(r"\|", head)) == 3
    outside: list[str] = []
    inside: list[str] = []
    fence = ""
    for line in page.splitlines():
        found = re.match(r"(`{3,})(text)?$", line)
        if found and not fence:
            fence = found[1]
        elif fence and line == fence:
            fence = ""
        else:
            (inside if fence else outside).append(line)
    assert fence == ""
    assert not any(line.startswith("# ") for line in outside[1:])
    assert not re.search(r"<(?!br>)", "\n".join(outside))
    assert not re.search(r"(?<!\\)(?:\\\\)*[`\[\]]", "\n".join(outside))
    assert any(escaping.printable(name)[:300] in line for line in inside)


def test_tables_fit_what_is_shown() -> None:
    """A name is escaped before it is measured: its column is as wide as what is printed."""
    out = screen.Screen(file=io.StringIO(), width=100)
    table = Table(box=None, pad_edge=False)
    table.add_column("x", no_wrap=True)
    table.add_column("y")
    table.add_row(screen.text("a\x1b[2J"), "end")
    out.print(table)
    assert isinstance(out.file, io.StringIO)
    assert r"a\x1b[2J  end" in out.file.getvalue()


def test_a_screen_shows_what_nobody_escaped() -> None:
    """Text that reaches the screen as it came is escaped there, but for newlines; markup in it is text."""
    out = screen.Screen(file=io.StringIO(), width=100, force_terminal=True)
    out.print(f"a[bold]b[/bold]\n:smile: {HOSTILE} 12", soft_wrap=True)
    assert isinstance(out.file, io.StringIO)
    assert out.file.getvalue().startswith("a[bold]b[/bold]\n:smile: [blink]b[/x]")
    assert odd(out.file.getvalue()) == []


def test_progress_and_errors() -> None:
    """What workers say of a run, and what an error says, is one printable line."""
    board = Board()
    board.expect(HOSTILE)
    board.note(HOSTILE)
    board.phase(HOSTILE, HOSTILE)
    with board.task(HOSTILE, None):
        said = [*board.lines(), *board.messages(), str(UsageError(HOSTILE, where=HOSTILE, remedy=HOSTILE))]
    assert len(said) == 4
    assert [odd(line) for line in said] == [[]] * 4
    assert not any("\n" in line for line in said)


def test_logs_keep_their_lines() -> None:
    """A log keeps its lines and its tabs' room, whichever way its lines end; all else is escaped."""
    assert escaping.lines("a\tb\r\nc\x1b[1m\n\x85") == ["a       b", r"c\x1b[1m", r"\x85"]
    assert escaping.lines("plain\nlog\n") == ["plain", "log", ""]
    assert blocks.tail("1\n2\n3\n\n", 2) == ["    | … 1 lines before", "    | 2", "    | 3"]


def huge(number: int) -> records.CaseResult:
    """Return a cell in which that many programs, maps and relocations failed, each for a reason of its own."""
    failed: Any = [{"name": f"p{n}", "section": "x", "status": "failed", "code": "relocation-unresolved",
                    "message": f"why {n}", "log": "line\n" * 30} for n in range(number)]  # fmt: skip
    asked: Any = [{"program": f"p{n}", "insn": n, "kind": "byte_off", "access": f"a.b{n}", "outcome": "poisoned",
                   "message": f"none {n}"} for n in range(number)]  # fmt: skip
    maps: Any = [{"name": f"m{n}", "status": "failed", "message": f"map m{n}"} for n in range(number)]
    return {
        "case": "huge", "kernel": "6.1", "outcome": "failed", "stage": "load", "code": "relocation-unresolved",
        "message": "why 0", "warnings": ["w"] * number,
        "problems": [{"stage": "load", "program": f"p{n}", "code": "relocation-unresolved", "message": f"why {n}"}
                     for n in range(number)],
        "stages": {"relocate": {"status": "passed", "relocations": asked},
                   "load": {"status": "failed", "programs": failed, "maps": maps}},
    }  # fmt: skip


def test_a_block_is_capped_and_counts() -> None:
    """Of 20,000 programs that failed a few are shown, the rest counted, in a time that grows with their number."""
    lines = blocks.lines(huge(20_000))
    assert len(lines) < 250
    assert "  … and 19992 more reasons (in results.json, or with -v)" in lines
    assert "  … and 19992 more maps (in results.json, or with -v)" in lines
    assert "  … and 19992 more kernel warnings" in lines
    every = blocks.lines(huge(40), verbose=1)
    assert sum("also load: relocation-unresolved: p" in line for line in every) == 39


def test_programs_of_one_name_are_told_once() -> None:
    """A guest may give all programs one name: the log of each is shown once, not once for each problem."""
    cell: Any = huge(300)
    for problem in cell["problems"]:
        problem["program"] = "p"
    for program in cell["stages"]["load"]["programs"]:
        program["name"] = "p"
    assert sum(line == "    | line" for line in blocks.lines(cell, verbose=2)) == 300 * 30


@pytest.mark.parametrize(
    "shown", [lambda cell: blocks.lines(cell, verbose=1), lambda cell: causes.lines(causes.find([cell]), {}, [])]
)
def test_time_grows_with_the_number(shown: Callable[[records.CaseResult], object]) -> None:
    """Ten times as many failures take about ten times as long; were it their square, it would be a hundred."""
    took = []
    for number in (2_000, 20_000):
        result = huge(number)
        began = time.process_time()
        shown(result)
        took.append(time.process_time() - began)
    assert took[1] < 40 * took[0]


@pytest.mark.parametrize(
    "text", ["a" * 10**6, "1" * 10**6, "'" * 10**6, " at /" * 10**5, "1: (00) " * 10**5, "`" * 10**6]
)
def test_long_words_cost_no_more(text: str) -> None:
    """A message of a megabyte is looked at once, whatever it repeats."""
    bad: Any = {"case": "x", "kernel": "6.1", "outcome": "failed", "stage": "load", "code": "load-failed",
                "message": text, "notes": [text], "problems": [{"stage": "load", "message": text}]}  # fmt: skip
    began = time.process_time()
    terminal.show(screen.Screen(file=io.StringIO(), width=100), [bad], [{"spec": "6.1"}])
    markdown.render([bad], [{"spec": "6.1"}])
    assert time.process_time() - began < 20


def test_a_long_line_is_cut() -> None:
    """A line of a megabyte is shown in part, and says how much it is."""
    found = blocks.lines({"case": "x", "kernel": "6.1", "message": "a" * 1_000_000})
    assert len(found[0]) < 1100
    assert found[0].endswith("more characters)")


def test_labels_tell_rows_apart() -> None:
    """Rows whose paths differ only in the middle have labels that differ; none is wider than its column."""
    rows = [f"objects/some-project__pkg_exporter_probe_{n}_{'x' * 40}_bpfel.o" for n in ("flow", "tcp", "udp")]
    rows += [f"objects/{'y' * 100}{n}{'z' * 100}.o" for n in range(20)] + [
        "objects/short.o",
        "objects/世界" + "世" * 40,
    ]
    shared, found = labels(rows, 34)
    assert shared == "objects/"
    assert len(set(found.values())) == len(rows)
    assert "flow" in found[rows[0]]
    assert "tcp" in found[rows[1]]
    assert found["objects/short.o"] == "short.o"
    assert max(map(cell_len, found.values())) <= 34
    assert labels(["only/one.o"], 34) == ("", {"only/one.o": "only/one.o"})

"""`relocate --source`: instructions beside C, and what kernels make of those that CO-RE relocates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import elfwriter as e
from tests.btfwriter import Writer, two_tasks

from everykernel import cli
from everykernel.core import relokinds as rk

BOTH = ["prog.bpf.o", "--btf", "old.btf", "--btf", "new.btf"]


def _object(path: Path, file: str = "prog.bpf.c") -> None:
    """A program that asks for a member, and reads it where it is there; it calls a helper and uses a map's section."""
    w = Writer()
    root = w.struct("task", 8, [("pid", w.integer("int", signed=True), 0), ("state", 1, 32)])
    code = (
        e.insn(0xB7, 1, imm=1)  # 0: is it there?
        + e.insn(0x15, 1, off=1)
        + e.insn(0xB7, 2, imm=4)  # 2: where?
        + e.load64(3, imm=4)  # 3, 4
        + e.call(14, 0)
        + e.EXIT
    )
    ext = w.ext(
        functions={"xdp": [(0, w.func("prog", w.func_proto(1, [])))]},
        core={"xdp": [(0, root, "0:1", rk.FIELD_EXISTS), (16, root, "0:1", rk.FIELD_BYTE_OFFSET)]},
        lines={"xdp": [(0, file, "\tif (exists)", 7 << 10), (16, file, "\t\tread();", 8 << 10), (24, file, "", 0)]},
    )
    writer = e.ObjectWriter()
    writer.code("xdp", prog=code)
    writer.section("license", b"GPL\0")
    writer.section(".bss", flags=e.ALLOC | e.WRITE, kind=e.NOBITS, size=8)
    writer.section(".BTF", w.image())
    writer.section(".BTF.ext", ext)
    writer.symbol("seen", ".bss", 0, 8, kind=e.OBJECT)
    writer.relocate("xdp", 24, "seen")
    path.write_bytes(writer.build())


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVERYKERNEL_KERNELS", raising=False)
    _object(tmp_path / "prog.bpf.o")
    for name, members in (("old.btf", ("state", "pid")), ("new.btf", ("pid",))):
        w = Writer()
        number = w.integer("long", 8, signed=True)
        number = w.integer("int", signed=True)
        w.struct("task", 4 * len(members), [(member, number, 32 * i) for i, member in enumerate(members)])
        (tmp_path / name).write_bytes(w.image())


def _printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_instructions_stand_below_their_line_of_c(capsys: pytest.CaptureFixture[str]) -> None:
    """C, instructions with what they refer to, and below each record what each kernel answers."""
    assert cli.main(["relocate", "--source", *BOTH]) == 0
    assert _printed(capsys) == [
        "xdp: prog",
        "prog.bpf.c",
        "7 if (exists)",
        "0 r1 = 1",
        "^ field_exists struct task.state: 1 in the object",
        "old.btf: the same",
        "new.btf: 0",
        "1 if r1 == 0 goto +1 # to 3",
        "8 read();",
        "2 r2 = 4",
        "^ byte_off struct task.state: 4 in the object",
        "old.btf: 0",
        "new.btf: poisoned: struct task has no member 'state' (no path leads there)",
        "-",
        "3 r3 = 4 ll # .bss",
        "5 call 14 # bpf_get_current_pid_tgid",
        "6 exit",
    ]


def test_each_relocation_has_its_place_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """With ``--format jsonl`` a relocation says its instruction, file, line and C; without --source it does not."""
    assert cli.main(["relocate", *BOTH, "--format", "jsonl"]) == 0
    plain = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert cli.main(["relocate", "--source", *BOTH, "--format", "jsonl"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    place = ("text", "file", "line", "source")
    assert [{k: v for k, v in row.items() if k not in place} for row in rows] == plain
    assert [tuple(row[key] for key in place) for row in rows[:2]] == [
        ("r1 = 1", "prog.bpf.c", 7, "if (exists)"),
        ("r2 = 4", "prog.bpf.c", 8, "read();"),
    ]


def test_an_object_without_lines_shows_its_instructions(capsys: pytest.CaptureFixture[str]) -> None:
    """What was compiled without -g has no C to show, and no records."""
    code = e.MOV0 + e.EXIT
    Path("bare.o").write_bytes(e.bpf_object({"xdp": code}, [("prog", "xdp", 0, 16)], {"license": b"GPL\0"}))
    assert cli.main(["relocate", "--source", "bare.o", "--btf", "old.btf"]) == 0
    assert _printed(capsys) == ["xdp: prog", "0 r0 = 0", "1 exit"]


def test_hostile_lines_are_shown_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    """A file's name in .BTF.ext that a terminal would obey is text."""
    _object(Path("prog.bpf.o"), "\x1b[2Jprog\u202e.c")
    assert cli.main(["relocate", "--source", *BOTH]) == 0
    assert r"\x1b[2Jprog\u202e.c" in _printed(capsys)


def test_a_refused_program_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    """Two candidates that conflict are said at the instruction."""
    Path("two.btf").write_bytes(two_tasks())
    assert cli.main(["relocate", "--source", "prog.bpf.o", "--btf", "two.btf"]) == 1
    assert any(line.startswith("two.btf: failed: ") for line in _printed(capsys))

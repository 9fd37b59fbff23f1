"""`relocate`, `explain` and `btf` look at kernels without booting them."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest
from tests import elfwriter, holders
from tests.btfwriter import Writer, two_tasks

from everykernel import cli
from everykernel.btf import Btf
from everykernel.core import relokinds as rk
from everykernel.matrix import inside

KEYS = ["object", "btf", "section", "program", "index", "insn", "kind", "access", "local", "target", "outcome"]


def _write(path: Path, w: Writer, records: list[tuple[int, int, str, int]], code: bytes) -> None:
    """An object with one program and these CO-RE records (instruction, type, access, kind)."""
    ext = w.ext(
        functions={"xdp": [(0, w.func("prog", w.func_proto(1, [])))]},
        core={"xdp": [(insn * 8, type_id, access, kind) for insn, type_id, access, kind in records]},
    )
    data = {"license": b"GPL\0", ".BTF": w.image(), ".BTF.ext": ext}
    code += bytes.fromhex("9500000000000000")
    path.write_bytes(elfwriter.bpf_object({"xdp": code}, [("prog", "xdp", 0, len(code))], data))


def _object(path: Path) -> None:
    """A program with three records: a field that moves, one that is gone later, whether that exists."""
    w = Writer()
    number = w.integer("int", signed=True)
    root = w.struct("task", 8, [("pid", number, 0), ("state", number, 32)])
    records = [
        (0, root, "0:0", rk.FIELD_BYTE_OFFSET),
        (1, root, "0:1", rk.FIELD_BYTE_OFFSET),
        (2, root, "0:1", rk.FIELD_EXISTS),
    ]
    _write(path, w, records, b"".join(struct.pack("<BBhi", 0xB7, 1, 0, value) for value in (0, 4, 1)))


def _kernels(folder: Path) -> None:
    for name, fields in (("old.btf", ("state", "pid")), ("new.btf", ("__state", "x", "pid"))):
        w = Writer()
        number = w.integer("int", signed=True)
        w.integer("long", 8, signed=True)
        w.struct("unrelated", 4, [("y", number, 0)])
        w.struct("task", 4 * len(fields), [(field, number, 32 * i) for i, field in enumerate(fields)])
        (folder / name).write_bytes(w.image())


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVERYKERNEL_KERNELS", raising=False)
    _object(tmp_path / "prog.bpf.o")
    _kernels(tmp_path)


def test_kernels_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    """A value that differs from its left neighbour is marked, and what is missing is a dash."""
    assert cli.main(["relocate", "prog.bpf.o", "--btf", "old.btf", "--btf", "new.btf"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["access", "old.btf", "new.btf"] in rows
    assert ["struct", "task.pid", "4", "*8"] in rows
    assert ["struct", "task.state", "0", "*-"] in rows
    assert ["has", "struct", "task.state", "yes", "*no"] in rows


def test_one_json_object_a_relocation(capsys: pytest.CaptureFixture[str]) -> None:
    """Records come in order, for each BTF, with the promised keys first."""
    assert cli.main(["relocate", "prog.bpf.o", "--btf", "old.btf", "--btf", "new.btf", "--format", "jsonl"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [list(row)[: len(KEYS)] for row in rows] == [KEYS] * 6
    assert [(row["btf"], row["index"], row["outcome"]) for row in rows[3:]] == [
        ("new.btf", 0, "patched"), ("new.btf", 1, "poisoned"), ("new.btf", 2, "patched"),
    ]  # fmt: skip
    assert (rows[3]["old"], rows[3]["new"], rows[3]["local"], rows[3]["target"]) == (0, 8, 0, 8)


def test_objects_inside_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    """`relocate` and `explain` take a program that holds objects, each told as FILE:NAME, or one of them."""
    data = Path("prog.bpf.o").read_bytes()
    symbol = holders.Symbol("one", holders.address(0), len(data))
    Path("tool").write_bytes(holders.program(data + data.replace(b"GPL", b"MIT"), [symbol]))
    names = inside.parts("tool", "little")
    assert [n.partition(":")[0] for n in names] == ["tool", "tool"]
    assert cli.main(["relocate", "tool", "--btf", "old.btf", "--format", "jsonl"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert list(dict.fromkeys(row["object"] for row in rows)) == names
    assert cli.main(["explain", "tool:one", "--btf", "new.btf"]) == 0
    assert cli.main(["relocate", "tool:two", "--btf", "old.btf"]) == 2
    assert "everykernel: tool: there is no object 'two' in it [it has one, " in capsys.readouterr().err


def test_a_refused_program_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    """Two candidates that conflict make libbpf refuse the object, and the command fail."""
    Path("two.btf").write_bytes(two_tasks())
    assert cli.main(["relocate", "prog.bpf.o", "--btf", "two.btf"]) == 1
    assert "failed: " in capsys.readouterr().out
    assert cli.main(["explain", "prog.bpf.o", "--btf", "two.btf"]) == 1
    assert "refused: " in capsys.readouterr().out


def test_explain_names_what_a_kernel_has_instead(capsys: pytest.CaptureFixture[str]) -> None:
    """The renamed member is found, moved fields are counted apart."""
    assert cli.main(["explain", "prog.bpf.o", "--btf", "old.btf", "--btf", "new.btf"]) == 0
    out = capsys.readouterr().out
    assert "  new.btf: struct task has no member 'state'\n      near: struct task.__state" in out
    assert "  struct task.pid: 4 (old.btf), 8 (new.btf)\n" in out


def test_explain_may_be_strict() -> None:
    """A field that a kernel lacks, and that no guard keeps a path from, is no pass there."""
    assert cli.main(["explain", "prog.bpf.o", "--btf", "new.btf"]) == 0
    assert cli.main(["explain", "prog.bpf.o", "--btf", "new.btf", "--strict"]) == 1
    assert cli.main(["explain", "prog.bpf.o", "--btf", "old.btf", "--strict"]) == 0


def test_explain_sees_a_guard_by_what_it_guards(capsys: pytest.CaptureFixture[str]) -> None:
    """What is only reached where it is there needs no idiom: the branch is followed, not the question counted."""
    w = Writer()
    number = w.integer("int", signed=True)
    root = w.struct("task", 8, [("pid", number, 0), ("state", number, 32)])
    code = b"".join(struct.pack("<BBhi", *insn) for insn in ((0xB7, 1, 0, 1), (0x15, 1, 1, 0), (0xB7, 2, 0, 4)))
    _write(Path("guarded.o"), w, [(0, root, "0:1", rk.FIELD_EXISTS), (2, root, "0:1", rk.FIELD_BYTE_OFFSET)], code)
    assert cli.main(["explain", "guarded.o", "--btf", "old.btf", "--btf", "new.btf", "--strict"]) == 0
    out = capsys.readouterr().out
    assert "  struct task.state: 0 (old.btf), not there (new.btf)\n" in out
    assert "handles both" not in out


def test_explain_and_relocate_tell_misreads(capsys: pytest.CaptureFixture[str]) -> None:
    """A probed read of four bytes, of a field that has one in a kernel, is named with the kernel and a remedy."""
    w = Writer()
    number = w.integer("int", signed=True)
    root = w.struct("task", 8, [("pid", number, 0), ("state", number, 32)])
    code = b"".join(
        struct.pack("<BBhi", *insn)
        for insn in (
            (0xB7, 6, 0, 4), (0x0F, 0x61, 0, 0), (0xBF, 0x13, 0, 0), (0xBF, 0xA1, 0, 0), (0x07, 1, 0, -8),
            (0xB7, 2, 0, 4), (0x85, 0, 0, 113),
        )
    )  # fmt: skip
    _write(Path("reads.o"), w, [(0, root, "0:1", rk.FIELD_BYTE_OFFSET)], code)
    narrow = Writer()
    narrow.integer("long", 8, signed=True)
    narrow.struct("task", 8, [("state", narrow.integer("u8", 1), 0)])
    Path("narrow.btf").write_bytes(narrow.image())
    told = "prog: struct task.state is taken for int state, 4 bytes; narrow.btf: u8 state, 1 byte"
    assert cli.main(["explain", "reads.o", "--btf", "old.btf", "--btf", "narrow.btf"]) == 0
    out = capsys.readouterr().out
    assert told in out
    assert "x = BPF_CORE_READ_BITFIELD_PROBED(p, state);" in out
    assert cli.main(["relocate", "reads.o", "--btf", "old.btf", "--btf", "narrow.btf"]) == 0
    assert " ".join(capsys.readouterr().out.split()).count(told) == 1
    assert cli.main(["relocate", "reads.o", "--btf", "narrow.btf", "--format", "jsonl"]) == 0
    assert json.loads(capsys.readouterr().out)["misread"] == "u8 state, 1 byte"


def test_explain_shows_the_idiom_where_nothing_guards(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a guard in the object, C that handles both kernels is shown."""
    w = Writer()
    number = w.integer("int", signed=True)
    root = w.struct("task", 8, [("pid", number, 0), ("state", number, 32)])
    _write(Path("bare.o"), w, [(0, root, "0:1", rk.FIELD_BYTE_OFFSET)], struct.pack("<BBhi", 0xB7, 1, 0, 4))
    assert cli.main(["explain", "bare.o", "--btf", "old.btf", "--btf", "new.btf"]) == 0
    out = capsys.readouterr().out
    assert "  handles both:\n" in out
    assert "bpf_core_field_exists" in out


def test_explain_says_what_programs_take_from_one_another(capsys: pytest.CaptureFixture[str]) -> None:
    """libbpf has one memory of candidates an object: what each program finds alone may be lost to all together."""
    w = Writer()
    number = w.integer("int", signed=True)
    root = w.struct("irq_info", 8, [("evtchn", number, 0), ("slot", number, 32)])
    proto = w.func_proto(1, [])
    ext = w.ext(
        functions={"xdp": [(0, w.func("first", proto))], "tc": [(0, w.func("second", proto))]},
        core={"xdp": [(0, root, "0:0", rk.FIELD_BYTE_OFFSET)], "tc": [(0, root, "0:1", rk.FIELD_BYTE_OFFSET)]},
    )
    code = [struct.pack("<BBhi", 0xB7, 0, 0, value) + bytes.fromhex("9500000000000000") for value in (0, 4)]
    data = {"license": b"GPL\0", ".BTF": w.image(), ".BTF.ext": ext}
    symbols = [("first", "xdp", 0, 16), ("second", "tc", 0, 16)]
    Path("two.o").write_bytes(elfwriter.bpf_object({"xdp": code[0], "tc": code[1]}, symbols, data))
    kernel = Writer()
    number = kernel.integer("int", signed=True)
    kernel.struct("irq_info", 64, [("evtchn", number, 64)])
    kernel.struct("irq_info", 16, [("slot", number, 96)])
    Path("three.btf").write_bytes(kernel.image())
    assert cli.main(["explain", "two.o", "--btf", "three.btf"]) == 0
    out = capsys.readouterr().out
    assert "2 more are in the same place in every kernel." in out
    assert "  three.btf: second: struct irq_info.slot: struct irq_info (three.btf 3) has it" in out


def _module(path: Path, base: Writer, *, distilled: bool) -> None:
    """A module's file: its types continue those of a kernel, or of a base that it brings along."""
    w = Writer(base=base.btf())
    w.struct("nfs_inode", 8, [("fileid", 1, 0)])
    sections = {".BTF": w.image(), **({".BTF.base": base.image()} if distilled else {})}
    path.write_bytes(elfwriter.bpf_object({}, [], sections))


def test_modules_are_looked_into(capsys: pytest.CaptureFixture[str]) -> None:
    """A module's file needs its kernel's BTF as a base, unless it brings one; raw split BTF does too."""
    base = Writer()
    base.integer("u64", 8)
    Path("vmlinux").write_bytes(base.image())
    _module(Path("split.ko"), base, distilled=False)
    _module(Path("own.ko"), base, distilled=True)
    Path("none.ko").write_bytes(elfwriter.bpf_object({}, [], {}))
    split = Writer(base=base.btf())
    split.struct("nfs_inode", 8, [("fileid", 1, 0)])
    Path("split.btf").write_bytes(split.image())
    for words in (["split.ko", "--base", "vmlinux"], ["own.ko"], ["split.btf", "--base", "vmlinux"]):
        assert cli.main(["btf", "find", words[0], "nfs_*", *words[1:]]) == 0
        assert capsys.readouterr().out == "     2 struct nfs_inode\n"
        assert cli.main(["btf", "dump", *words]) == 0
        out = capsys.readouterr().out
        assert out.startswith("struct nfs_inode {")
        assert "u64 fileid;" in out
    assert cli.main(["btf", "find", "split.ko", "nfs_*"]) == 2
    assert "split.ko: is a module, whose types continue its kernel's [--base 6.12]" in capsys.readouterr().err
    assert cli.main(["btf", "find", "none.ko", "nfs_*", "--base", "vmlinux"]) == 2
    assert "none.ko: has no BTF [" in capsys.readouterr().err
    assert cli.main(["btf", "find", "vmlinux", "nfs_*", "--module", "nfs"]) == 2
    assert "vmlinux: is a file, and has no modules [name the module's file, and its --base]" in capsys.readouterr().err


def test_a_module_in_a_kernels_folder_has_its_base_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the kernel that a module belongs to, nothing has to be named."""
    base = Writer()
    base.integer("u64", 8)
    folder = Path("kernel/lib/modules/6.1/kernel/fs")
    folder.mkdir(parents=True)
    Path("kernel/vmlinux.btf").write_bytes(base.image())
    _module(folder / "nfs.ko", base, distilled=False)
    assert cli.main(["btf", "find", str(folder / "nfs.ko"), "nfs_inode"]) == 0
    assert "struct nfs_inode" in capsys.readouterr().out


def test_diff_says_what_changed(capsys: pytest.CaptureFixture[str]) -> None:
    """Differences are exit code 1, as with diff(1); none are 0; an unknown type is a usage error."""
    assert cli.main(["btf", "diff", "old.btf", "new.btf", "task"]) == 1
    assert "struct task.state: renamed: state -> __state\n" in capsys.readouterr().out
    assert cli.main(["btf", "diff", "old.btf", "old.btf"]) == 0
    assert cli.main(["btf", "diff", "old.btf", "new.btf", "nothing"]) == 2
    assert "old.btf, new.btf: neither has a type 'nothing'" in capsys.readouterr().err


def test_find_looks_at_types_and_members(capsys: pytest.CaptureFixture[str]) -> None:
    """A part of a name finds types and members; nothing found is a usage error."""
    assert cli.main(["btf", "find", "old.btf", "t*"]) == 0
    assert "struct task\n" in capsys.readouterr().out
    assert cli.main(["btf", "find", "old.btf", "state"]) == 0
    assert "struct task: int state at 0\n" in capsys.readouterr().out
    assert cli.main(["btf", "find", "old.btf", "nothing"]) == 2


def test_minimise_keeps_what_the_object_needs(capsys: pytest.CaptureFixture[str]) -> None:
    """The result is smaller, and relocates the object to the same values."""
    assert cli.main(["btf", "minimise", "prog.bpf.o", "--btf", "old.btf", "-o", "small.btf"]) == 0
    small = Btf.parse(Path("small.btf").read_bytes())
    assert small.find("task", "struct") is not None
    assert small.find("unrelated", "struct") is None
    values = []
    for name in ("old.btf", "small.btf"):
        assert cli.main(["relocate", "prog.bpf.o", "--btf", name, "--format", "jsonl"]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        values.append([(row["outcome"], row["target"]) for row in rows])
    assert values[0] == values[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["relocate", "prog.bpf.o"], "everykernel: no kernels were named [--kernels 5.10,6.1,6.12, or --btf FILE]"),
        (["relocate", "gone.o", "--btf", "old.btf"], "everykernel: gone.o: cannot be read: No such file or directory"),
        (["btf", "dump", "gone"], "everykernel: gone: there is no such file, nor such a kernel"),
        (
            ["btf", "dump", "old.btf", "ta"],
            "everykernel: old.btf: has no type 'ta' [everykernel btf find old.btf '*ta*']",
        ),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where, what, and what next; exit code 2."""
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.splitlines()[-1] == message


@pytest.mark.parametrize("command", ["relocate", "explain"])
def test_a_project_names_its_kernels_once(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where neither --btf nor --kernels is given, pyproject.toml's are looked at, and no others where one is."""
    Path("pyproject.toml").write_text('[tool.everykernel]\nkernels = ["new.btf"]\n')
    told = []
    for arguments in ([], ["--kernels", "new.btf"], ["--btf", "old.btf"]):
        cli.main([command, "prog.bpf.o", *arguments])
        told.append(capsys.readouterr().out)
    assert told[0] == told[1] != told[2]


def test_one_kernel_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Against one kernel, each record has a line, and no column is squeezed where nothing has a width."""
    w = Writer()
    number = w.integer("int", signed=True)
    root = w.struct("task", 8, [("a_member_with_a_name_that_is_rather_long_" * 3, number, 0)])
    _write(Path("long.o"), w, [(0, root, "0:0", rk.FIELD_BYTE_OFFSET)], struct.pack("<BBhi", 0xB7, 1, 0, 0))
    assert cli.main(["relocate", "long.o", "--btf", "old.btf"]) == 0
    head, row = capsys.readouterr().out.splitlines()[:2]
    assert head.split() == ["program", "insn", "kind", "access", "local", "target", "outcome"]
    assert row.startswith("prog     0     byte_off  struct task.a_member")


HOSTILE = "a[/x][blink]b[link=c]\x1b[2J\x9b\x07\r\n\t\x7f\u202e\u2028\u200b:bug:"


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize(
    "words",
    [
        ("relocate", "{o}", "--btf", "{old}"),
        ("relocate", "{o}", "{o}", "--btf", "{old}", "--btf", "{new}"),
        ("relocate", "{o}", "--btf", "{old}", "--format", "jsonl"),
        ("explain", "{o}", "{o}", "--btf", "{old}", "--btf", "{new}"),
        ("btf", "dump", "{old}"),
        ("btf", "dump", "{old}", "{name}"),
        ("btf", "dump", "{old}", "no{name}"),
        ("btf", "find", "{new}", "*"),
        ("btf", "find", "{new}", "no{name}"),
        ("btf", "diff", "{old}", "{new}"),
        ("btf", "diff", "{old}", "{new}", "--json"),
        ("btf", "minimise", "{o}", "--btf", "{old}", "-o", "{o}.out"),
        ("relocate", "gone{o}", "--btf", "{old}"),
        ("explain", "{o}", "--btf", "gone{old}"),
    ],
)
def test_names_are_shown_and_not_obeyed(
    words: tuple[str, ...], colour: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names in objects and BTF, and paths, are no markup and no order to a terminal, whichever command prints them."""
    if colour:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
    names = {"o": f"{HOSTILE}.o", "old": f"{HOSTILE}.old", "new": f"{HOSTILE}.new", "name": HOSTILE}
    Path("a[").mkdir()
    for file, members in (("old", ("x", HOSTILE)), ("new", (f"__{HOSTILE}", "y", "x"))):
        w = Writer()
        number = w.integer(HOSTILE + "int", signed=True)
        w.struct(HOSTILE, 4 * len(members), [(member, number, 32 * i) for i, member in enumerate(members)])
        w.enum(HOSTILE + "enum", {HOSTILE + file: 1})
        Path(names[file]).write_bytes(w.image())
    w = Writer()
    number = w.integer(HOSTILE + "int", signed=True)
    root = w.struct(HOSTILE, 8, [("x", number, 0), (HOSTILE, number, 32)])
    fields = [(0, root, "0:0", rk.FIELD_BYTE_OFFSET), (1, root, "0:1", rk.FIELD_BYTE_OFFSET)]
    _write(Path(names["o"]), w, fields, b"".join(struct.pack("<BBhi", 0xB7, 1, 0, value) for value in (0, 4)))
    assert cli.main([word.format(**names) for word in words]) in (0, 1, 2)
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert [c for c in re.sub(r"\x1b\[[0-9;]*m", "", text) if c != "\n" and not c.isprintable()] == []
    assert "Traceback" not in said.err
    assert "defect" not in said.err
    shown = re.sub(r"\x1b\[[0-9;]*m|\n *", "", said.out + said.err)
    assert "a[/x][blink]b[link=c]" in shown
    assert "\\u202e" in shown


def test_view_writes_one_page(capsys: pytest.CaptureFixture[str]) -> None:
    """A page of one BTF, or of two side by side, is written whole; without a place for it nothing is done."""
    assert cli.main(["btf", "view", "old.btf", "--html", "one.html"]) == 0
    assert cli.main(["btf", "view", "old.btf", "new.btf", "--html", "two.html"]) == 0
    assert re.search(r"two.html: \d+ bytes", capsys.readouterr().err)
    assert "<title>BTF of old.btf</title>" in Path("one.html").read_text()
    assert "<title>BTF of old.btf and new.btf</title>" in Path("two.html").read_text()
    assert cli.main(["btf", "view", "old.btf"]) == 2
    assert "Missing option '--html'" in capsys.readouterr().err

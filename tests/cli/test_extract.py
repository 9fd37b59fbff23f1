"""`extract`, and everything else that takes a file with objects in it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests import elfwriter, faking, holders

from everykernel import cli
from everykernel.architectures import DEFAULT
from everykernel.errors import ObjectUnsupported, UsageError
from everykernel.matrix import plan

CODE = bytes.fromhex("b7000000000000009500000000000000")


def _object(license_: bytes = b"GPL\0", *, big: bool = False) -> bytes:
    return elfwriter.bpf_object({"socket": CODE}, [("f", "socket", 0, 16)], {"license": license_}, big=big)


@pytest.fixture(autouse=True)
def _tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program with an object that has a name, one that has none, the first once more, and one of the other order."""
    monkeypatch.chdir(tmp_path)
    first = _object()
    content = first + _object(b"MIT\0") + first + _object(big=True)
    Path("tool").write_bytes(
        holders.program(content, [holders.Symbol("main._BpfBytes", holders.address(0), len(first))])
    )
    Path("plain").write_bytes(holders.program(b"nothing", []))


def _second() -> str:
    return f"{64 + len(_object()):#x}"


def test_objects_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    """Each object is written once, as it was, by its symbol's name or its offset, and by its byte order."""
    assert cli.main(["extract", "tool", "-o", "out/new"]) == 0
    written = {path.name: path.read_bytes() for path in Path("out/new").iterdir()}
    third = f"{64 + 3 * len(_object()):#x}"
    assert written == {
        "tool-bpf-bpfel.bpf.o": _object(),
        f"tool-{_second()}-bpfel.bpf.o": _object(b"MIT\0"),
        f"tool-{third}-bpfeb.bpf.o": _object(big=True),
    }
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(f"out/new/{name}" for name in written)


def test_list_writes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`--list` shows name, byte order, size, offset and digest of each."""
    assert cli.main(["extract", "--list", "tool"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows][:2] == ["tool:bpf", f"tool:{_second()}"]
    assert rows[0][1:] == ["little", str(len(_object())), "0x40", hashlib.sha256(_object()).hexdigest()]
    assert rows[2][1] == "big"
    assert {path.name for path in tmp_path.iterdir()} == {"tool", "plain"}


def test_a_file_without_objects_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """What has no object in it is said in one line, with what it has, by every command."""
    told = "plain: no BPF object in it; 1 ELF file of other machines [what is compressed is not looked into"
    for command in (["extract", "plain"], ["relocate", "plain", "--btf", "plain"]):
        assert cli.main(command) == ObjectUnsupported.exit_code
        assert capsys.readouterr().err.startswith(f"everykernel: {told}")
    assert cli.main(["extract", "gone"]) == UsageError.exit_code
    assert capsys.readouterr().err == "everykernel: gone: cannot be read: No such file or directory\n"


def test_a_run_has_a_row_an_object() -> None:
    """A program is as many rows as it has objects of the target's byte order; FILE:NAME is one of them."""
    cases = plan.cases(["tool"])
    assert [case.name for case in cases] == ["tool:bpf", f"tool:{_second()}"]
    assert [case.object_data(DEFAULT) for case in cases] == [
        ("tool:bpf", _object()),
        (f"tool:{_second()}", _object(b"MIT\0")),
    ]
    assert [case.object_shown(DEFAULT) for case in plan.cases(["tool:bpf", "tool"])] == [case.name for case in cases]
    with pytest.raises(UsageError, match="tool: there is no object 'x' in it"):
        plan.cases(["tool:x"])
    with pytest.raises(ObjectUnsupported, match="plain: no BPF object in it"):
        plan.cases(["plain"])


def test_what_is_no_program_stands_for_itself() -> None:
    """A damaged object, or one of another machine, keeps its row, whose verdict says what is wrong with it."""
    Path("damaged.o").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\1\0\xf7\0")
    Path("text.o").write_bytes(b"{}")
    assert [case.object_data(DEFAULT)[0] for case in plan.cases(["damaged.o", "text.o"])] == ["damaged.o", "text.o"]


def test_pytest_has_an_item_an_object(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that was named is collected as its objects; one that was not, or is no ELF file, is left alone."""
    faking.install(monkeypatch)
    (pytester.path / "tool").write_bytes(holders.program(_object() + _object(b"MIT\0"), []))
    (pytester.path / "plain").write_bytes(holders.program(b"nothing", []))
    arguments = ("--kernels", "6.1,6.12", "--collect-only", "-q")
    result = pytester.runpytest(*arguments, "tool")
    result.stdout.fnmatch_lines(
        [f"tool::tool:0x40[[]{s}[]]" for s in ("6.1", "6.12")]
        + [f"tool::tool:{_second()}[[]{s}[]]" for s in ("6.1", "6.12")]
    )
    assert pytester.runpytest(*arguments).ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result = pytester.runpytest(*arguments, "plain")
    result.stdout.fnmatch_lines(["*plain: no BPF object in it; 1 ELF file of other machines*"])

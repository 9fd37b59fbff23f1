"""``everykernel compile``."""

from __future__ import annotations

from pathlib import Path

import pytest

from everykernel import cli
from everykernel.architectures import ARCHITECTURES


def case(folder: Path, source: str) -> Path:
    path = folder / "cases" / "one"
    path.mkdir(parents=True)
    (path / "case.toml").write_text('object = "build/{arch}/prog.bpf.o"\n')
    (path / "prog.bpf.c").write_text(source)
    return path


def test_says_what_it_compiled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Talk goes to stderr: each object, then how many; a second call finds all up to date."""
    path = case(tmp_path, "int x;\n")
    assert cli.main(["compile", str(path)]) == 0
    output = capsys.readouterr()
    assert output.out == ""
    assert str(path / "build" / "x86_64" / "prog.bpf.o") in output.err
    assert output.err.endswith(f"{len(ARCHITECTURES)} objects compiled, 0 up to date\n")
    assert cli.main(["compile", str(path)]) == 0
    assert capsys.readouterr().err == f"0 objects compiled, {len(ARCHITECTURES)} up to date\n"


def test_shows_what_the_compiler_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A source that does not compile ends in exit code 1, the compiler's output, and one line with the first error."""
    path = case(tmp_path, "int x = ;\n")
    assert cli.main(["compile", str(path)]) == 1
    error = capsys.readouterr().err
    assert "cases/one/prog.bpf.c:1:9: error: expected expression" in error
    assert f"everykernel: {path / 'prog.bpf.c'}: clang" in error


def test_an_unknown_case_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt case ends in exit code 2."""
    assert cli.main(["compile", "no_such_case"]) == 2
    assert "no case 'no_such_case'" in capsys.readouterr().err

"""``everykernel init``: what it finds out, what it writes, and what it leaves alone."""

from __future__ import annotations

import configparser
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.action.runner import load

from everykernel import cli, settings
from everykernel.project import files, find

FILES = ["tests/test_kernels.py", "pyproject.toml", "tox.ini", ".github/workflows/kernels.yml"]


@pytest.fixture(autouse=True)
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)


def put(**texts: str) -> None:
    for name, text in texts.items():
        path = Path(name.replace("__", "/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_repository_gets_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    """A test, settings, environments and a workflow, of the objects and the build command that were found."""
    Path("build").mkdir()
    Path("build/tool.bpf.o").touch()
    Path("Makefile").touch()
    assert cli.main(["init", "--yes"]) == 0
    out, err = capsys.readouterr()
    told = [f"{name}: written" for name in FILES]
    assert out.splitlines() == [
        *told, "next: make && pytest --kernels 6.12 tests/test_kernels.py", "or:   tox -e k6.12"
    ]  # fmt: skip
    assert err == ""
    assert settings.read(Path.cwd()) == {"kernels": ["5.10", "6.1", "6.12"]}
    assert '"build/tool.bpf.o"' in Path(FILES[0]).read_text()
    tox = configparser.RawConfigParser()
    tox.read("tox.ini")
    assert tox["tox"]["env_list"] == "k{5.10,6.1,6.12}"
    own = tox["testenv:k{5.10,6.1,6.12}"]
    assert "k6.1: EVERYKERNEL_KERNELS = 6.1" in own["set_env"].splitlines()
    assert own["commands_pre"].split() == own["allowlist_externals"].split() == ["make"]
    job = load(Path(FILES[3]))["jobs"]["kernels"]
    assert {"run": "make"} in job["steps"]
    assert job["steps"][-1]["with"] == {"pytest": "tests/test_kernels.py"}


def test_a_second_time_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """What is there is said to be."""
    put(**{"tool.bpf.c": ""})
    assert cli.main(["init", "--yes"]) == 0
    before = {name: Path(name).read_text() for name in FILES}
    capsys.readouterr()
    assert cli.main(["init", "--yes"]) == 0
    assert {name: Path(name).read_text() for name in FILES} == before
    assert [line for line in capsys.readouterr().out.splitlines() if ": is there" in line] == [
        f"{name}: is there" for name in FILES
    ]


def test_settings_are_continued(capsys: pytest.CaptureFixture[str]) -> None:
    """What pyproject.toml and tox.ini say stays, and the difference is shown."""
    pyproject, tox = '[project]\nname = "tool"', "[tox]\nenv_list = py\n\n[testenv]\ncommands = true\n"
    put(**{"pyproject.toml": pyproject, "tox.ini": tox, "tool.bpf.o": ""})
    assert cli.main(["init", "--yes", "--kernels", "6.12,6.1/i386"]) == 0
    out = capsys.readouterr().out
    assert "pyproject.toml: continued" in out
    assert '  +kernels = ["6.12", "6.1/i386"]' in out.splitlines()
    table = tomllib.loads(Path("pyproject.toml").read_text())
    assert table["project"] == {"name": "tool"}
    assert table["tool"]["everykernel"] == {"kernels": ["6.12", "6.1/i386"]}
    text = Path("tox.ini").read_text()
    assert text.startswith(tox)
    assert find.sections(text) == ["tox", "testenv", "testenv:k{6.12,6.1_i386}"]
    assert "    k6.1_i386: EVERYKERNEL_KERNELS = 6.1/i386\n" in text


def test_a_project_that_has_settings_keeps_them() -> None:
    """Its own kernels are what the other files are made of."""
    own = '[tool.everykernel]\nkernels = ["6.1"]\n'
    put(**{"pyproject.toml": own, "tool.bpf.o": ""})
    assert cli.main(["init", "--yes"]) == 0
    assert Path("pyproject.toml").read_text() == own
    assert "env_list = k{6.1}" in Path("tox.ini").read_text()


def test_nothing_is_overwritten_without_being_told_to(capsys: pytest.CaptureFixture[str]) -> None:
    """A file that holds something else is shown and left, and the exit code says so; --force replaces it."""
    put(**{"tests__test_kernels.py": "mine\n", "tool.bpf.o": ""})
    assert cli.main(["init", "--yes"]) == 1
    out = capsys.readouterr().out
    assert "  -mine" in out.splitlines()
    assert "tests/test_kernels.py: left alone, since it holds something else (--force replaces it)" in out
    assert Path(FILES[0]).read_text() == "mine\n"
    assert cli.main(["init", "--yes", "--force"]) == 0
    assert "tests/test_kernels.py: replaced" in capsys.readouterr().out
    assert "tool.bpf.o" in Path(FILES[0]).read_text()


def test_it_asks_at_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What it found is the default of each question; nothing is replaced by a no."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    said = iter(["", "make bpf", "6.12", "n"])
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: next(said))
    put(**{"src__tool.bpf.c": "", "Makefile": "", "tests__test_kernels.py": "mine\n"})
    assert cli.main(["init"]) == 1
    out, err = capsys.readouterr()
    assert "objects are taken to be beside their sources" in err
    assert "next: make bpf && pytest --kernels 6.12 tests/test_kernels.py" in out
    assert Path(FILES[0]).read_text() == "mine\n"
    assert "EVERYKERNEL_KERNELS = 6.12" in Path("tox.ini").read_text()


def test_no_terminal_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe it asks nothing, and says that."""
    put(**{"tool.bpf.o": ""})
    assert cli.main(["init"]) == 0
    assert "this is no terminal: what was found out is taken, as --yes does" in capsys.readouterr().err


def test_a_repository_without_objects_is_told_what_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written; an object that is named is enough."""
    assert cli.main(["init", "--yes"]) == 2
    assert "no *.bpf.o and no *.bpf.c here [--object build/tool.bpf.o]" in capsys.readouterr().err
    assert list(Path.cwd().iterdir()) == []
    assert cli.main(["init", "--yes", "--object", "out/x.o", "--build", "cmake -B out && ninja -C out"]) == 0
    assert 'run: "ninja -C out"' in Path(FILES[3]).read_text()
    assert "    cmake -B out\n    ninja -C out\n" in Path("tox.ini").read_text()


@pytest.mark.parametrize(
    ("name", "text"),
    [("pyproject.toml", "[tool.tox]\n"), ("setup.cfg", "[tox:tox]\n"), ("tox.toml", "")],
)
def test_settings_of_tox_elsewhere_are_not_hidden(name: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A new tox.ini would be taken before them."""
    put(**{name: text, "tool.bpf.o": ""})
    assert cli.main(["init", "--yes"]) == 0
    assert f"{name} has settings for tox, so there is no tox.ini" in capsys.readouterr().err
    assert not Path("tox.ini").exists()


def test_names_from_outside_stay_data(capsys: pytest.CaptureFixture[str]) -> None:
    """An object's name is never code, nor a screen's command; one that cannot be shown is left out."""
    evil = 'a"]; import os; os.abort() #.bpf.o'
    put(**{evil: "", "b\x1b[2J.bpf.o": ""})
    assert cli.main(["init", "--yes"]) == 0
    ran = subprocess.run([sys.executable, FILES[0]], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert json.dumps(evil) in Path(FILES[0]).read_text()
    assert "\x1b" not in Path(FILES[0]).read_text() + capsys.readouterr().out


def test_others_code_is_not_looked_at() -> None:
    """Hidden folders, environments, and what was vendored."""
    put(
        **{
            "ours.bpf.o": "",
            ".git__a.bpf.o": "",
            "node_modules__b.bpf.o": "",
            "env__pyvenv.cfg": "",
            "env__c.bpf.o": "",
        }
    )
    assert find.look(Path.cwd()).objects == ("ours.bpf.o",)


def test_looking_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository of any size is looked at for so long, and what was cut is said."""
    monkeypatch.setattr(find, "LARGEST", 3)
    put(**{f"{n}.bpf.o": "" for n in range(9)})
    found = find.look(Path.cwd())
    assert (len(found.objects), found.cut) == (3, True)


@pytest.mark.parametrize("text", ["[tool", "tool = 3", "\udcff"])
def test_a_pyproject_that_is_damaged_is_continued_by_nobody(text: str) -> None:
    """What cannot be read is not guessed at: init tells, and writes nothing."""
    Path("pyproject.toml").write_bytes(text.encode(errors="surrogateescape"))
    Path("tool.bpf.o").touch()
    before = Path("pyproject.toml").read_bytes()
    assert cli.main(["init", "--yes"]) == 2
    assert Path("pyproject.toml").read_bytes() == before


@pytest.mark.parametrize("content", [b"\xff\x00", b"#" * (find.LARGEST_TEXT + 1)], ids=["no text", "too large"])
def test_a_file_that_is_no_text_is_not_replaced(content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even by --force: it is named, and stays."""
    Path("tool.bpf.o").touch()
    Path("tox.ini").write_bytes(content)
    assert cli.main(["init", "--yes", "--force"]) == 2
    assert "tox.ini: is no text of up to 4 MiB [move it away]" in capsys.readouterr().err
    assert Path("tox.ini").read_bytes() == content


def test_factors_are_what_tox_takes() -> None:
    """Letters, digits, dots and underscores."""
    assert [files.factor(spec) for spec in ("5.10", "6.1/i386", "ubuntu:6.8")] == ["k5.10", "k6.1_i386", "kubuntu_6.8"]

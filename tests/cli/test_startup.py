"""What a short command does not use, it does not import: a cold process is imports for the most part."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests import elfwriter
from tests.btfwriter import Writer

from everykernel.cli import light
from everykernel.cli.relocate import relocate
from everykernel.core import relokinds as rk
from everykernel.load.rules import named
from everykernel.loaders import names

# What takes long to import, and has no part in one object and one BTF.
HEAVY = (
    "rich", "jinja2", "fastjsonschema", "filelock", "platformdirs", "tomllib", "tarfile", "urllib.request", "http",
    "ssl", "email", "xml", "html", "ctypes", "zstandard", "lz4", "asyncio", "concurrent", "subprocess", "pytest",
    "everykernel.cache", "everykernel.wire", "everykernel.machine", "everykernel.images",
    "everykernel.kernels.resolver", "everykernel.kernels.sources", "everykernel.kernels.download",
    "everykernel.load.loader", "everykernel.load.system", "everykernel.load.rules", "everykernel.matrix.records",
    "everykernel.object.embedded", "everykernel.plugin",
)  # fmt: skip
READERS = ("click", "elftools", "inspect", "dataclasses", "difflib")  # of unusual command lines and files, of defects
OURS = ("everykernel.btf", "everykernel.core", "everykernel.object", "everykernel.settings")


def imported(code: str, *arguments: str, cwd: Path) -> set[str]:
    """Return the modules that a fresh interpreter has after some code."""
    told = f"import sys\n{code}\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", told, *arguments], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def command(*arguments: str, cwd: Path) -> set[str]:
    """Return the modules that a command had imported when it ended, well."""
    return imported("from everykernel.cli import main\nassert main(sys.argv[1:]) == 0", *arguments, cwd=cwd)


def inputs(folder: Path) -> None:
    """Write an object with one relocation, and BTF in which its field has moved."""
    local, kernel = Writer(), Writer()
    task = local.struct("task", 8, [("pid", local.integer("int", signed=True), 32)])
    ext = local.ext(
        functions={"xdp": [(0, local.func("prog", local.func_proto(1, [])))]},
        core={"xdp": [(0, task, "0:0", rk.FIELD_BYTE_OFFSET)]},
    )
    code = bytes.fromhex("b701000004000000 9500000000000000")
    data = {"license": b"GPL\0", ".BTF": local.image(), ".BTF.ext": ext}
    (folder / "prog.bpf.o").write_bytes(elfwriter.bpf_object({"xdp": code}, [("prog", "xdp", 0, len(code))], data))
    kernel.struct("task", 8, [("pid", kernel.integer("int", signed=True), 0)])
    (folder / "old.btf").write_bytes(kernel.image())


@pytest.mark.parametrize("form", ["table", "jsonl"])
def test_relocate_imports_what_relocates(form: str, tmp_path: Path) -> None:
    """One object against one BTF in a file, for a pipe: no colours, no network, no cache, no loader."""
    inputs(tmp_path)
    found = command("relocate", "prog.bpf.o", "--btf", "old.btf", "--format", form, cwd=tmp_path)
    assert {"everykernel.core.compute", "everykernel.btf.index"} <= found
    assert [name for name in (*HEAVY, *READERS) if name in found] == []


def test_help_imports_no_command(tmp_path: Path) -> None:
    """The list of subcommands is a table."""
    found = command("--help", cwd=tmp_path)
    assert "everykernel.cli" in found
    assert [name for name in (*HEAVY, *OURS) if name in found] == []


def test_the_plugin_is_light_where_no_kernel_is_named(tmp_path: Path) -> None:
    """Every run of pytest on this machine imports it; without kernels it costs its options."""
    code = "import pytest\nassert pytest.main(['-q', '-p', 'no:cacheprovider', '-p', 'no:xdist']) == 0"
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass\n")
    found = imported(code, cwd=tmp_path)
    assert "everykernel.plugin.hooks" in found
    ours = {name for name in found if name.startswith("everykernel.")}
    wanted = ("plugin", "settings", "errors", "escaping", "dataclass", "loaders", "loaders.names")
    assert {name for name in ours if not name.removeprefix("everykernel.").startswith(wanted)} == set()


def test_names_of_rules_are_those_of_the_rules() -> None:
    """Who only names rules does not import them; the names are the same."""
    assert names.REAL == named.NAMES
    assert named.DEFAULT.name == names.USUAL_RULES


@pytest.mark.parametrize(
    "words",
    [
        ["relocate", "prog.bpf.o"],
        ["relocate", "prog.bpf.o", "prog.bpf.o", "--btf", "old.btf"],
        ["relocate", "--btf", "old.btf", "--format", "jsonl", "prog.bpf.o", "--format", "table", "--btf", "old.btf"],
        ["relocate", "missing", "--btf", "missing"],
    ],
)
def test_what_is_read_without_click_means_the_same_to_click(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command line has one meaning, whoever reads it."""
    monkeypatch.delenv("EVERYKERNEL_KERNELS", raising=False)
    monkeypatch.chdir(tmp_path)
    inputs(tmp_path)
    asked = light.relocate(words)
    assert asked is not None
    context = relocate.make_context("relocate", words[1:])
    read = context.params
    assert (list(map(str, read["objects"])), list(read["btf"]), read["form"]) == asked
    assert (read["kernel_list"], read["with_source"]) == (None, False)


@pytest.mark.parametrize(
    "words",
    [
        [], ["--version"], ["explain", "x"], ["relocate"], ["relocate", "x", "--btf"], ["relocate", "x", "--btf", "-h"],
        ["relocate", "x", "--btf=y"], ["relocate", "--", "x"], ["relocate", "-"], ["relocate", "x", "--format", "xml"],
        ["relocate", "x", "--source"], ["relocate", "x", "--kernels", "6.1"], ["relocate", "x", ""],
    ],
)  # fmt: skip
def test_other_command_lines_are_left_to_click(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unusual, and what is wrong, is read and told by click."""
    monkeypatch.delenv("EVERYKERNEL_KERNELS", raising=False)
    assert light.relocate(words) is None


def test_settings_in_the_environment_are_left_to_click(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of kernels in the environment is one of click's options."""
    monkeypatch.setenv("EVERYKERNEL_KERNELS", "6.1")
    assert light.relocate(["relocate", "x", "--btf", "y"]) is None

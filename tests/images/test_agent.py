"""The agent's zip holds what travels and nothing else, and has the same bytes wherever it is made."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from everykernel import images
from everykernel.images import agent


def test_what_is_inside() -> None:
    """The travelling modules and pyelftools, with an entry for Python."""
    names = zipfile.ZipFile(io.BytesIO(images.agent_zipapp())).namelist()
    assert {
        "__main__.py",
        "everykernel/wire/__init__.py",
        "everykernel/guest/agent.py",
        "everykernel/guest/first/first.bpfel",
        "everykernel/guest/first/first.bpfeb",
        "elftools/elf/elffile.py",
    } <= set(names)
    assert not any(name.startswith(("everykernel/machine", "everykernel/kernels")) for name in names)
    assert not any("__pycache__" in name for name in names)


def test_bytecode_is_beside_the_sources() -> None:
    """A guest with another Python than ours finds the sources; tracebacks find them too."""
    names = set(zipfile.ZipFile(io.BytesIO(images.agent_compiled())).namelist())
    sources = set(zipfile.ZipFile(io.BytesIO(images.agent_zipapp())).namelist())
    modules = {name for name in sources - {"__main__.py"} if name.endswith(".py")}
    assert names - sources == {f"{name}c" for name in modules}


def test_another_pythons_bytecode_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytecode with a foreign magic number does no harm."""
    monkeypatch.setattr(importlib.util, "MAGIC_NUMBER", b"\xff\xff\r\n")
    agent.agent_compiled.cache_clear()
    try:
        test_python_imports_it_alone(tmp_path, agent.agent_compiled)
    finally:
        agent.agent_compiled.cache_clear()


def test_the_same_sources_give_the_same_bytes() -> None:
    """Nothing of the time or the host is in it."""
    first = images.agent_zipapp()
    agent.agent_zipapp.cache_clear()
    assert images.agent_zipapp() == first
    infos = zipfile.ZipFile(io.BytesIO(first)).infolist()
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert [info.filename for info in infos] == sorted(info.filename for info in infos)


@pytest.mark.parametrize("make", [images.agent_zipapp, images.agent_compiled])
def test_python_imports_it_alone(tmp_path: Path, make: Callable[[], bytes]) -> None:
    """The agent's modules import from the zip with nothing else on the path, compiled or not."""
    path = tmp_path / "agent.pyz"
    path.write_bytes(make())
    program = "import sys; sys.path.insert(0, sys.argv[1]); import everykernel.guest.agent as a; print(a.__file__)"
    ran = subprocess.run([sys.executable, "-S", "-I", "-c", program, path], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(str(path))

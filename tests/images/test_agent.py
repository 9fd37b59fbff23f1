"""The agent's zip holds what travels and nothing else, and has the same bytes wherever it is made."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from everykernel import images
from everykernel.guest import stage0
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


IMPORTING = """
import importlib.util, json, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import stage0
sys.path.pop(0)
stage0.ZIP = sys.argv[2]
stage0.receive(json.loads(sys.argv[3]), sys.stdin.buffer.read())
import everykernel.guest.agent as agent, elftools.elf.elffile
from everykernel import load
print(json.dumps({
    "loaders": sorted({type(m.__loader__).__name__ for n, m in sys.modules.items() if n.startswith("everykernel")}),
    "file": agent.__file__,
    "package": load.__path__,
    "learnt": agent._learnt().decode(),
    "first": len(pkgutil.get_data("everykernel.guest", "first/first.bpfel")),
    "again": len(pkgutil.get_data("everykernel.guest", "first/first.bpfel")),
    "source": agent.__loader__.get_source("everykernel.guest.agent").splitlines()[0],
    "none": importlib.util.find_spec("everykernel.nothing") is None,
}))
"""


@pytest.mark.parametrize("foreign", [False, True])
def test_what_is_sent_is_imported(tmp_path: Path, foreign: bool) -> None:
    """Modules come from bytecode, files and sources are found; a Python that has other bytecode takes the zip."""
    told, sent = images.agent_sent(b"known")
    about = json.loads(told)
    if foreign:
        about["magic"] = "ffff0d0a"
    path = tmp_path / "agent.pyz"
    folder = Path(stage0.__file__).parent
    argv = [sys.executable, "-S", "-I", "-c", IMPORTING, str(folder), str(path), json.dumps(about)]
    ran = subprocess.run(argv, input=sent, capture_output=True)
    assert ran.returncode == 0, ran.stderr.decode()
    size = (folder / "first" / "first.bpfel").stat().st_size
    assert json.loads(ran.stdout) == {
        "loaders": ["zipimporter" if foreign else "Sent"],
        "file": f"{path}/everykernel/guest/agent.py",
        "package": [f"{path}/everykernel/load"],
        "learnt": "" if foreign else "known",
        "first": size,
        "again": size,
        "source": '"""The agent: serves the host\'s requests over one read-write descriptor.',
        "none": True,
    }
    assert path.read_bytes() == images.agent_zipapp()

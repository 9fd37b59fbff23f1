"""The agent's zip holds what travels and nothing else, and has the same bytes wherever it is made."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

from everykernel import images
from everykernel.images import agent


def test_what_is_inside() -> None:
    """The travelling modules and pyelftools, with an entry for Python."""
    names = zipfile.ZipFile(io.BytesIO(images.agent_zipapp())).namelist()
    assert {"__main__.py", "everykernel/wire.py", "everykernel/guest/agent.py", "elftools/elf/elffile.py"} <= set(names)
    assert not any(name.startswith(("everykernel/machine", "everykernel/kernels")) for name in names)
    assert not any("__pycache__" in name for name in names)


def test_the_same_sources_give_the_same_bytes() -> None:
    """Nothing of the time or the host is in it."""
    first = images.agent_zipapp()
    agent.agent_zipapp.cache_clear()
    assert images.agent_zipapp() == first
    infos = zipfile.ZipFile(io.BytesIO(first)).infolist()
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert [info.filename for info in infos] == sorted(info.filename for info in infos)


def test_python_imports_it_alone(tmp_path: Path) -> None:
    """The agent's modules import from the zip with nothing else on the path."""
    path = tmp_path / "agent.pyz"
    path.write_bytes(images.agent_zipapp())
    program = "import sys; sys.path.insert(0, sys.argv[1]); import everykernel.guest.agent as a; print(a.__file__)"
    ran = subprocess.run([sys.executable, "-S", "-I", "-c", program, path], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(str(path))

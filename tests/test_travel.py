"""What travels to the guest imports the standard library and pyelftools only."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import elftools

from everykernel import folders

TRAVELLING = (
    "architectures",
    "btf",
    "core",
    "dataclass",
    "errors",
    "escaping",
    "guest",
    "load",
    "object",
    "reasons",
    "wire",
)


def modules() -> list[str]:
    """Return the dotted names of all modules that travel."""
    root = folders.package()
    names = []
    for top in TRAVELLING:
        path = root / f"{top}.py"
        files = [path] if path.exists() else sorted((root / top).rglob("*.py"))
        for file in files:
            parts = file.relative_to(root.parent).with_suffix("").parts
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def test_travelling_modules_import_with_nothing_else_on_the_path(tmp_path: Path) -> None:
    """Each travelling module imports in an isolated interpreter that sees only them and pyelftools."""
    archive = tmp_path / "travel.zip"
    roots = [
        (folders.package().parent, folders.package()),
        (Path(elftools.__file__).parents[1], Path(elftools.__file__).parent),
    ]
    with zipfile.ZipFile(archive, "w") as z:
        for base, root in roots:
            for file in root.rglob("*.py"):
                z.write(file, file.relative_to(base))
    code = f"import sys; sys.path.insert(0, {str(archive)!r})\n" + "".join(f"import {name}\n" for name in modules())
    done = subprocess.run([sys.executable, "-S", "-I", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(modules()) > len(TRAVELLING)

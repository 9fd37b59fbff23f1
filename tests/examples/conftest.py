"""The wheel, an environment with it, and repositories of others that use it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from everykernel.compile import COMPILERS

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs/examples"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as users get it."""
    dist = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", str(dist), str(ROOT)], check=True)
    return next(dist.glob("*.whl"))


@pytest.fixture(scope="session")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the wheel alone, and the clang that this host has under its plain name."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True)
    subprocess.run([str(folder / "bin/pip"), "install", "--quiet", str(wheel)], check=True)
    clang = next(path for name in COMPILERS if (path := shutil.which(name)))
    (folder / "bin/clang").symlink_to(clang)
    return folder / "bin"


class Repository:
    """Somebody's repository, in a folder of its own, in which commands run as its developers type them."""

    def __init__(self, folder: Path, bin_folder: Path, wheel: Path) -> None:
        self.folder = folder
        constraint = folder.parent / "constraints.txt"
        constraint.write_text(f"everykernel @ file://{wheel}\n")
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("TOX", "PYTEST"))},
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "PIP_CONSTRAINT": str(constraint),  # what tox installs as everykernel is this wheel
        }

    def run(self, *argv: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command; output and errors in one."""
        command = [str(word) for word in argv]
        return subprocess.run(
            command, cwd=self.folder, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def tox(self, environments: str) -> subprocess.CompletedProcess[str]:
        """Run tox of this project's development tools."""
        return self.run(sys.executable, "-m", "tox", "-e", environments)

    def change(self, path: str, old: str, new: str) -> None:
        """Replace words in a file that has them."""
        text = (self.folder / path).read_text()
        assert old in text
        (self.folder / path).write_text(text.replace(old, new))


@pytest.fixture
def repository(tmp_path: Path, bin_folder: Path, wheel: Path) -> Repository:
    """An empty one."""
    folder = tmp_path / "repository"
    folder.mkdir()
    return Repository(folder, bin_folder, wheel)


@pytest.fixture
def example(request: pytest.FixtureRequest, repository: Repository) -> Repository:
    """A copy of the example whose name is the parameter."""
    shutil.copytree(EXAMPLES / request.param, repository.folder, dirs_exist_ok=True)
    return repository

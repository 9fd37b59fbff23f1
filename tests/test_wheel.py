"""What is installed from the wheel is what a user gets."""

from __future__ import annotations

import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()

pytestmark = pytest.mark.wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sdist."""
    dist = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(dist), str(ROOT)], check=True)
    return next(dist.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with nothing but the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True)
    subprocess.run([str(folder / "bin/pip"), "install", "--quiet", str(wheel)], check=True)
    return folder / "bin"


def run(*argv: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(a) for a in argv], cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_every_tracked_data_file_is_inside_and_nothing_else_on_top(wheel: Path) -> None:
    """The sdist does not lose data on the way, and the wheel claims one name."""
    names = zipfile.ZipFile(wheel).namelist()
    tracked = subprocess.run(
        ["git", "ls-files", "cases", "images", "kernels"], cwd=ROOT, check=True, text=True, capture_output=True
    ).stdout.split()
    assert tracked
    assert {f"everykernel/_data/{name}" for name in tracked} <= set(names)
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"everykernel"}
    assert any(re.fullmatch(r"everykernel/_data/cases/[^/]+/build/i386/.*\.o", name) for name in names)


def test_the_sources_of_real_loaders_are_inside(wheel: Path) -> None:
    """Adapters are built from what the wheel brings along: C, Go and Rust, and what pins their libraries."""
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "harness/everykernel/loaders"], cwd=ROOT, check=True, text=True, capture_output=True
    ).stdout.split()
    assert {path.removeprefix("harness/") for path in tracked} <= names
    for pinned in ("aya/Cargo.lock", "ebpf-go/go.sum", "libbpf/adapter.c", "differences.toml"):
        assert f"everykernel/loaders/{pinned}" in names


def test_the_readmes_test_passes_with_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    """In an empty folder, `pytest --kernels 6.1` runs the README's example."""
    example = re.search(r"```python\n# (\w+\.py)\n(.*?)```", README, re.DOTALL)
    assert example
    (tmp_path / example[1]).write_text(example[2])
    assert len([line for line in example[2].splitlines() if line.strip()]) <= 10
    done = run(installed / "pytest", "--kernels", "6.1", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_the_loader_is_a_library(installed: Path, tmp_path: Path) -> None:
    """The imports of docs/library.md work from the wheel, and from the file that its command writes, by itself."""
    imports = "from everykernel.load import kernel_btf, load; from everykernel.object import read"
    assert run(installed / "python", "-c", imports, cwd=tmp_path).returncode == 0
    assert run(installed / "everykernel", "library", "everykernel.pyz", cwd=tmp_path).returncode == 0
    alone = f"import sys; sys.path[:0] = ['everykernel.pyz']; {imports}"
    done = run(sys.executable, "-S", "-I", "-c", alone, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_an_object_needs_no_test_file(installed: Path, tmp_path: Path) -> None:
    """`pytest --kernels 5.10,6.12 some.bpf.o` relocates and loads it in a folder with nothing else."""
    (tmp_path / "some.bpf.o").write_bytes((ROOT / "cases/exec_event/build/x86_64/prog.bpf.o").read_bytes())
    done = run(installed / "pytest", "--kernels", "5.10,6.12", "some.bpf.o", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout

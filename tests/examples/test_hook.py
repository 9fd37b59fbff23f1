"""The hooks of pre-commit, as pre-commit installs and runs it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.examples.conftest import EXAMPLES, ROOT, Repository

pytestmark = pytest.mark.examples


def test_objects_are_looked_at_before_a_commit(repository: Repository, tmp_path: Path) -> None:
    """In the project's kernels; one whose field no kernel has is held back, and named."""
    for name in ("Makefile", "src", "pyproject.toml"):
        copy = shutil.copytree if (EXAMPLES / "c-tox" / name).is_dir() else shutil.copy
        copy(EXAMPLES / "c-tox" / name, repository.folder / name)
    hooks = tmp_path / "hooks"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(hooks)], check=True)
    repository.env["PRE_COMMIT_HOME"] = str(tmp_path / "home")
    del repository.env["PIP_CONSTRAINT"]  # pre-commit installs what it cloned
    for argv in (["git", "init", "-q"], ["make"], ["git", "add", "-f", "build/exec.bpf.o"]):
        assert repository.run(*argv).returncode == 0
    hook: list[str | Path] = [
        sys.executable,
        "-m",
        "pre_commit",
        "try-repo",
        hooks,
        "everykernel-explain",
        "--all-files",
    ]
    done = repository.run(*hook)
    assert done.returncode == 0, done.stdout
    assert "Passed" in done.stdout
    relocating: list[str | Path] = ["everykernel-relocate" if word == "everykernel-explain" else word for word in hook]
    done = repository.run(*relocating)
    assert done.returncode == 0, done.stdout
    repository.change("src/exec.bpf.c", "real_parent", "true_parent")
    for argv in (["make"], ["git", "add", "-f", "build/exec.bpf.o"]):
        assert repository.run(*argv).returncode == 0
    done = repository.run(*hook)
    assert done.returncode == 1, done.stdout
    assert "true_parent" in done.stdout

"""What ``everykernel init`` writes works as it stands, and what it says to do next is what to do."""

from __future__ import annotations

import re
import shlex
import shutil

import pytest
from tests.examples.conftest import EXAMPLES, Repository

pytestmark = pytest.mark.examples


def test_what_init_writes_passes(repository: Repository) -> None:
    """In a repository with a Makefile and an object; with pytest, then with tox."""
    for name in ("Makefile", "src"):
        copy = shutil.copytree if (EXAMPLES / "c-tox" / name).is_dir() else shutil.copy
        copy(EXAMPLES / "c-tox" / name, repository.folder / name)
    assert repository.run("make").returncode == 0
    done = repository.run("everykernel", "init", "--yes", "--kernels", "6.12")
    assert done.returncode == 0, done.stdout
    told = re.search(r"^next: (.*)$", done.stdout, re.MULTILINE)
    assert told
    assert told[1] == "make && pytest --kernels 6.12 tests/test_kernels.py"
    done = repository.run("bash", "-c", told[1])
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    told = re.search(r"^or:   tox -e (.*)$", repository.run("everykernel", "init", "--yes").stdout, re.MULTILINE)
    assert told
    done = repository.tox(shlex.split(told[1])[0])
    assert done.returncode == 0, done.stdout
    assert (repository.folder / "kernel-report/k6.12/results.json").is_file()

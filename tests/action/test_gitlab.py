"""The pipeline that we show is one that GitLab takes, and its scripts do what they say."""

from __future__ import annotations

import os
import stat
import string
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.action.runner import ROOT, load
from tests.action.test_metadata import check

PIPELINE = ROOT / "docs/examples/gitlab-ci.yml"
# An environment of stand-ins, as python3 -m venv makes one.
VENV = """
mkdir -p "$3/bin"
for name in pip pytest everykernel; do
  printf '#!/bin/bash\\necho "%s $*" >>"$LOG"\\n' $name >"$3/bin/$name"
  echo 'for word; do [[ $word != kernel-report* ]] || mkdir -p "$word"; done' >>"$3/bin/$name"
  /bin/chmod +x "$3/bin/$name"
done
"""


def test_it_fits_gitlabs_schema() -> None:
    """As GitLab's editor checks it."""
    check("gitlab-ci", PIPELINE)


class Jobs:
    """Runs jobs of the pipeline in one folder, as a runner does: script by script in one shell, with its umask."""

    def __init__(self, folder: Path) -> None:
        self.pipeline = load(PIPELINE)
        self.folder, self.log, self.bin = folder / "project", folder / "log", folder / "bin"
        self.folder.mkdir()
        self.bin.mkdir()
        for name, body in {"apt-get": "", "make": "", "python3": VENV}.items():
            (self.bin / name).write_text(f'#!/bin/bash\necho "{name} $*" >>"$LOG"\n{body}\n')
            (self.bin / name).chmod(0o755)

    def run(self, name: str, **variables: str) -> dict[str, Any]:
        """Run a job, and return it with what it extends."""
        job = self.pipeline[name]
        job = {**self.pipeline[job["extends"]], **job}
        env = {"CI_PROJECT_DIR": str(self.folder), "LOG": str(self.log), "PATH": f"{self.bin}:{os.environ['PATH']}"}
        env |= {key: string.Template(value).substitute(env) for key, value in self.pipeline["variables"].items()}
        script = "\n".join(["umask 0000", "set -eo pipefail", *job["before_script"], *job["script"]])
        subprocess.run(["bash", "-c", script], cwd=self.folder, env=env | variables, check=True)
        return job


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path)


def test_parts_run_and_are_merged(jobs: Jobs) -> None:
    """Each part is one of as many as the pipeline says; the last job has them all, and checks the whole."""
    for index in ("1", "2"):
        part = jobs.run("kernels", CI_NODE_INDEX=index, CI_NODE_TOTAL=str(jobs.pipeline["kernels"]["parallel"]))
    last = jobs.run("report")
    told = [line for line in jobs.log.read_text().splitlines() if line.startswith(("pytest", "everykernel"))]
    assert told == [
        "pytest --kernel-shard 1/2 --kernel-report kernel-report-1 tests",
        "pytest --kernel-shard 2/2 --kernel-report kernel-report-2 tests",
        "everykernel report merge kernel-report-1 kernel-report-2 -o kernel-report",
        "everykernel report check kernel-report",
    ]
    assert part["artifacts"]["when"] == last["artifacts"]["when"] == last["when"] == "always"
    assert last["needs"] == ["kernels"]


def test_the_cache_is_one_that_we_take(jobs: Jobs) -> None:
    """GitLab's runners let everybody write what they make; the cache is its user's alone, and holds what is kept."""
    (jobs.folder / ".cache/everykernel").mkdir(parents=True)
    (jobs.folder / ".cache/everykernel").chmod(0o777)  # as it comes out of GitLab's archive
    job = jobs.run("kernels", CI_NODE_INDEX="1", CI_NODE_TOTAL="2")
    cache = Path(jobs.pipeline["variables"]["EVERYKERNEL_CACHE"].removeprefix("$CI_PROJECT_DIR/"))
    assert stat.S_IMODE((jobs.folder / cache).stat().st_mode) == 0o700
    assert {Path(path).parent for path in job["cache"]["paths"]} == {cache}

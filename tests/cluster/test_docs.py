"""The commands of docs/cluster.md, as they stand there, on one machine and in the fake world."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from tests import faking
from tests.cluster.conftest import ROOT, Machines

PAGE = (ROOT / "docs" / "cluster.md").read_text()
COMMAND = re.compile(r"^    ((?:everykernel|pytest) .*)$", re.MULTILINE)
HOST = "192.168.1.10"


def test_every_command_works(machines: Machines, tmp_path: Path) -> None:
    """Scheduler, worker, run and pytest follow one another as the page says."""
    scheduler, worker, run, test = COMMAND.findall(PAGE)
    words = [*shlex.split(scheduler.replace(HOST, "127.0.0.1"))[1:], "--port", "0"]
    line = machines.begin("scheduler", *words, says="scheduler at")
    machines.address = line.split("scheduler at ")[1].split(": everykernel")[0]

    def here(command: str) -> list[str]:
        return shlex.split(command.replace(f"tcp://{HOST}:8786", machines.address))[1:]

    machines.begin("worker", *here(worker), says="worker")
    faking.objects(tmp_path, mytool={"n": 1}, biosnoop={"n": 2})
    done = machines.run(*here(run), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "6 cells: 6 passed" in done.stdout
    (tmp_path / "conftest.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport pytest\nfrom tests.cluster import world\n"
        "world.install(pytest.MonkeyPatch())\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nkernel_objects = *.bpf.o\n")
    done = machines.program(sys.executable, "-m", "pytest", *here(test), cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout

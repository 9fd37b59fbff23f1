"""A host is a column beside the guests: one command, one matrix, and the same verdicts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.targets.server import Server

from everykernel.kernels.model import Kernel

pytestmark = pytest.mark.vm

CASES = Path(__file__).parents[2] / "cases"
NAMES = ("fentry", "field_exists", "ringbuf_events")
AGREE = ("status", "code", "message", "btf", "relocations", "maps")  # of a stage
OF_PROGRAM = ("name", "section", "type", "attach", "status", "code", "errno", "verified_insns")


@pytest.fixture(scope="module")
def newer(linux: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A host with OpenSSH 10, and Python 3.13. The last test ends it."""
    made = Server(linux, "trixie", tmp_path_factory.mktemp("trixie"))
    yield made
    made.close()


class User:
    """A home with an SSH configuration, and a project that names its targets."""

    def __init__(self, folder: Path, **servers: Server) -> None:
        self.folder = folder
        (folder / ".ssh").mkdir()
        lines, named = [], ["[tool.everykernel.targets]"]
        for name, server in servers.items():
            lines += [f"Host {name}-ssh", "HostName 127.0.0.1", f"Port {server.port}", "User lab"]
            lines += [
                f"IdentityFile {server.key}",
                "IdentitiesOnly yes",
                f"UserKnownHostsFile {folder}/.ssh/known_hosts",
            ]
            console = f"tail -n +1 -f {server.console}"
            named.append(f'{name} = {{ host = "{name}-ssh", console = "{console}" }}')
        (folder / ".ssh" / "config").write_text("\n".join(lines) + "\n")
        (folder / ".ssh" / "known_hosts").write_text("".join(server.known() for server in servers.values()))
        (folder / "pyproject.toml").write_text("\n".join(named) + "\n")

    def run(self, *argv: str, code: int = 0) -> str:
        home = {"HOME": str(self.folder), "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or f"{Path.home()}/.cache"}
        done = subprocess.run(
            [sys.executable, "-m", *argv], cwd=self.folder, env={**os.environ, **home}, capture_output=True, text=True
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def results(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "results.json").read_text())
        return found


@pytest.fixture
def user(server: Server, newer: Server, tmp_path: Path) -> User:
    return User(tmp_path, old=server, new=newer)


def agreed(results: Any) -> dict[str, list[tuple[str, str]]]:
    """Return, by case, the columns that it was run on, and where: all cells of a case say the same."""
    by_case: dict[str, list[dict[str, Any]]] = {}
    for result in results["results"]:
        by_case.setdefault(result["case"], []).append(result)
    for found in by_case.values():
        first, *others = (verdicts(one) for one in found)
        assert all(other == first for other in others)
    return {case: sorted((one["kernel"], one["target"]) for one in found) for case, found in by_case.items()}


def verdicts(result: dict[str, Any]) -> dict[str, Any]:
    """Return what two columns of the same kernel have to agree in."""
    found = {}
    for name, stage in result["stages"].items():
        programs = [{key: program.get(key) for key in OF_PROGRAM} for program in stage.get("programs", [])]
        found[name] = {"programs": programs, **{key: stage.get(key) for key in AGREE}}
    return {"stages": found, "outcome": result["outcome"], "misreads": result["misreads"], "btf": result["btf"]}


def test_one_command_three_columns(user: User) -> None:
    """A guest, a host with OpenSSH 9.2 and one with OpenSSH 10 of the same kernel agree in every cell."""
    cases = [str(CASES / name) for name in NAMES]
    columns = ["--kernels", "6.1", "--target", "old", "--target", "ssh://new", "--target-may-load"]
    shown = user.run("everykernel", "run", *cases, *columns, "--json", "results.json", "--timeout", "300")
    assert f"{3 * len(NAMES)} cells: {3 * len(NAMES)} passed" in shown
    results = user.results()
    each = [(kernel, "guest" if kernel == "6.1" else "ssh") for kernel in ("6.1", "ssh://new", "ssh://old")]
    assert agreed(results) == dict.fromkeys(NAMES, each)
    guest, *targets = results["kernels"]
    assert "target" not in guest
    for kernel in targets:
        assert kernel["promises"] == {"fresh_kernel": False, "console": True, "loads": True}
        assert (kernel["release"], kernel["unprivileged_bpf"]) == (guest["release"], "2")
        assert "accelerator" not in kernel
        assert "every cell has the same kernel" in kernel["notes"][0]


def test_pytest_takes_targets(user: User) -> None:
    """``pytest --kernels 6.1,ssh://NAME`` runs a test's own program on both, by its fixture."""
    (user.folder / "test_host.py").write_text(
        "def test_host(kernel):\n    assert kernel.run(['uname', '-r']).stdout.startswith(b'6.1')\n"
    )
    options = ["-p", "no:cacheprovider", "-q", "--kernel-target-may-load", "--kernel-timeout", "300"]
    shown = user.run("pytest", "--kernels", "6.1,ssh://old", *options)
    assert "2 passed" in shown


def test_boot_free_commands_take_targets(user: User) -> None:
    """Its BTF serves relocation like a kernel's that was fetched; nothing is run there."""
    shown = user.run(
        "everykernel", "relocate", str(CASES / "field_exists/build/x86_64/prog.bpf.o"), "--btf", "ssh://old"
    )
    assert "ssh://old" in shown


def test_a_command_runs_in_guests(user: User) -> None:
    """A command of the user's own is not run on a machine that runs already."""
    said = user.run("everykernel", "run", "--cmd", "true", "--target", "old", code=2)
    assert "ssh://old: a command runs in guests only" in said


DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = re.findall(
    r"^    ((?:everykernel|pytest) .*(?:ssh://|--target).*)$", (DOCS / "targets.md").read_text(), re.M
)


def test_the_page_has_commands() -> None:
    """The pattern finds them."""
    assert len(COMMANDS) == 4


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_page(server: Server, tmp_path: Path, command: str) -> None:
    """Each works as it stands there, with a host called lab."""
    user = User(tmp_path, lab=server)
    shutil.copy(CASES / "exec_event/build/x86_64/prog.bpf.o", tmp_path / "mytool.bpf.o")
    (tmp_path / "test_mytool.py").write_text(
        "def test_mytool(load):\n    with load('mytool.bpf.o') as loaded:\n        loaded.attach()\n"
    )
    argv = command.split()
    patient = {"run": ["--timeout", "300"], "pytest": ["-p", "no:cacheprovider", "--kernel-timeout", "300"]}
    user.run(*argv, *next((more for word, more in patient.items() if word in argv[:2]), []))


def test_a_panic_is_read_on_its_console(user: User, newer: Server) -> None:
    """A host that panics is told with its trace, from the console that a command prints; later cells say the cause."""
    for name in ("first", "second"):
        (user.folder / name).mkdir()
        lines = ["attach = false", 'trigger = ["/bin/sh", "-c", "echo c > /proc/sysrq-trigger; sleep 60"]']
        source = CASES / "fentry"
        (user.folder / name / "case.toml").write_text(
            "\n".join([f'object = "{source}/build/{{arch}}/prog.bpf.o"', *lines])
        )
    user.run(
        "everykernel",
        "run",
        "first",
        "second",
        "--target",
        "new",
        "--target-may-load",
        "--json",
        "results.json",
        code=3,
    )
    first, second = user.results()["results"]
    assert first["code"] == "kernel-panic", first["message"]
    assert "sysrq triggered crash" in first["message"]
    assert second["code"] == "guest-lost"
    assert second["message"].startswith(
        "ssh://new: not run: the target went away in an earlier cell: the kernel panicked"
    )

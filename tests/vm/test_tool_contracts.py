"""Three tools whose user space decides much: each beside its own object, loaded from the tool's file by a contract."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.vm.tools import packages

from everykernel import wire
from everykernel.kernels import debian
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines
from everykernel.matrix import case
from everykernel.object import embedded

pytestmark = pytest.mark.vm

TOOLS = Path(__file__).parent / "tools"
GO_TOOL = "github.com/cilium/ebpf/examples/tcprtt_sockops@v0.22.0"
_LIBRARIES = ("libc6", "libelf1t64", "zlib1g", "libzstd1")
_OF_SYSTEMD = (
    "libsystemd-shared", "libbpf1", "libcap2", "libacl1", "libblkid1", "libmount1", "libcrypt1", "libselinux1",
    "libpcre2-8-0", "libseccomp2", "libssl3t64", "libaudit1", "libcap-ng0", "libpam0g", "libgcc-s1",
)  # fmt: skip
_INTERPRETED = ("/tool/ld-linux-x86-64.so.2", "--library-path", "/tool")
_PINS = "/sys/fs/bpf/systemd/userns-restrict/maps"


@dataclass(frozen=True)
class Tool:
    """A tool with what it needs in a guest: its files by path, how it is run, and what it prints once all is loaded.

    Without that, nothing has to change for a while.
    """

    program: bytes
    files: Mapping[str, bytes]
    argv: tuple[str, ...]
    ready: str = ""


def _funclatency() -> Tool:
    archive = debian.Archive()
    programs = {path.rpartition("/")[2]: data for path, data in packages.files(archive, "libbpf-tools")}
    program = programs["funclatency-libbpf"]
    libraries = packages.with_libraries(archive, [program], _LIBRARIES)
    function = "/lib/x86_64-linux-gnu/libc.so.6:getpgid"
    return Tool(program, libraries, (*_INTERPRETED, "/tool/program", function))


def _nsresourced() -> Tool:
    archive = debian.Archive()
    programs = {path.rpartition("/")[2]: data for path, data in packages.files(archive, "systemd-container")}
    program = programs["systemd-nsresourced"]
    known = (*_LIBRARIES, *_OF_SYSTEMD)
    libbpf = next(data for path, data in packages.files(archive, "libbpf1") if "libbpf.so" in path)
    libraries = packages.with_libraries(archive, [program, libbpf], known) | {"libbpf.so.1": libbpf}
    return Tool(program, libraries, (*_INTERPRETED, "/tool/program"), "userns_restrict_free_user_ns now attached")


def _tcprtt_sockops(folder: Path) -> Tool:
    go = shutil.which("go")
    assert go is not None, "this test builds a tool of the Go module proxy: install Go 1.25 or newer"
    settings = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0", "GOFLAGS": "-trimpath"}
    subprocess.run([go, "install", GO_TOOL], env=settings, check=True, capture_output=True, timeout=600)
    return Tool((folder / "tcprtt_sockops").read_bytes(), {}, ("/tool/program",), "RTT (ms)")


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tool]:
    return {
        "funclatency": _funclatency(),
        "nsresourced": _nsresourced(),
        "tcprtt_sockops": _tcprtt_sockops(tmp_path_factory.mktemp("go")),
    }


def _observe(guest: Guest, *argv: str) -> Any:
    guest.push("/tool/observe.py", (TOOLS / "observe.py").read_bytes())
    ran = guest.run(["python3", "/tool/observe.py", *argv], env={"SYSTEMD_LOG_TARGET": "console"}, timeout=120)
    assert ran.code == 0, ran.stderr.decode()
    return json.loads(ran.stdout)


def _theirs(guest: Guest, tool: Tool) -> Any:
    """Run the tool until it is ready, and return what it has in the kernel then."""
    for name, content in tool.files.items():
        guest.push(f"/tool/{name}", content, mode=0o755)
    guest.push("/tool/program", tool.program, mode=0o755)
    until = ("--until", tool.ready) if tool.ready else ()
    found = _observe(guest, *until, *tool.argv)
    assert tool.ready in found["output"], found["output"]
    return found


def _ours(guest: Guest, name: str, tool: Tool) -> wire.Loaded:
    """Load the object that is in the tool's file by the contract."""
    [found] = embedded.find(tool.program, name).objects
    contract = dict(case.read(TOOLS / f"{name}.toml").contract)
    loaded = guest.request(wire.Load(f"{name}_bpf.o", found.data, contract=contract))
    assert isinstance(loaded, wire.Loaded)
    assert loaded.load["status"] == "passed", loaded.load["message"]
    return loaded


def _pins(guest: Guest) -> list[bytes]:
    return guest.run(["ls", _PINS]).stdout.split()


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("funclatency", "5.10"), ("funclatency", "6.12"), ("tcprtt_sockops", "5.10"), ("tcprtt_sockops", "6.12"),
        ("nsresourced", "6.12"),  # 5.10 has no bpf among its security modules
    ],
)  # fmt: skip
def test_a_contract_loads_what_the_tool_loads(
    machines: Machines, columns: dict[str, Kernel], tools: dict[str, Tool], name: str, series: str
) -> None:
    """By its contract the object in a tool's file is in the kernel what the tool has there: programs, instruction for
    instruction, maps with their sizes, flags and read-only values, and where they are pinned."""
    tool = tools[name]
    with machines.start(columns[series]) as guest:
        theirs = _theirs(guest, tool)
        pins = _pins(guest)
    with machines.start(columns[series]) as guest:
        _ours(guest, name, tool)
        ours = _observe(guest)
        assert _pins(guest) == pins
    assert theirs["programs"], theirs["output"]
    assert (ours["programs"], ours["maps"]) == (theirs["programs"], theirs["maps"])


@pytest.mark.parametrize("series", ["5.10", "6.12"])
def test_attach_points_of_a_contract_see_what_the_tool_sees(
    machines: Machines, columns: dict[str, Kernel], tools: dict[str, Tool], series: str
) -> None:
    """funclatency's programs, attached by the contract, measure each call of the library's function."""
    with machines.start(columns[series]) as guest:
        loaded = _ours(guest, "funclatency", tools["funclatency"])
        attached = guest.request(wire.Attach(loaded.handle))
        assert isinstance(attached, wire.Attached)
        assert [p["status"] for p in attached.programs] == ["passed", "passed"], attached.programs
        calls = "import os\nfor _ in range(17): os.getpgid(0)"
        assert guest.run(["python3", "-c", calls]).code == 0
        reply = guest.request(wire.Globals(loaded.handle))
        assert isinstance(reply, wire.Value)
        assert sum(reply.value["hist"]) == 17

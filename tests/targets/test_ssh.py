"""Targets over SSH: guests with a real OpenSSH server are columns like any other, and are left as they were found."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from everykernel import wire
from everykernel.errors import (
    CapabilityMissing,
    CaseTimeout,
    DiskFull,
    EverykernelError,
    FolderRefused,
    GuestLost,
    HostKeyChanged,
    HostKeyUnknown,
    KernelHung,
    LoginRefused,
    PythonMissing,
    RequestFailed,
    SudoRefused,
    TargetError,
    TargetUnreachable,
    UsageError,
)
from everykernel.machine import Guest
from everykernel.machine.ssh import Targets
from tests.targets.conftest import Client
from tests.targets.server import FOLDERS, Server

pytestmark = pytest.mark.vm

CASES = Path(__file__).parents[2] / "cases"
OBJECT = CASES / "fentry" / "build" / "x86_64" / "prog.bpf.o"


def traces(server: Server) -> dict[str, Any]:
    """Return what a run could leave on a server: files, processes, what is loaded, settings."""
    files = server.sh(f"ls -d {' '.join(f'{folder}/*' for folder in FOLDERS)} /sys/fs/bpf/* 2>/dev/null || true")
    processes = server.sh("ps -o args | grep -c '[b]ase64.b64decode\\|[e]verykernel-' || true")
    loaded = server.guest.request(wire.Command(["/bin/true"], 10.0))
    return {
        "files": files.split(),
        "processes": processes.strip(),
        "loaded": [*loaded.programs, *loaded.maps],
        "ids": ids(server),
        "stats": server.sh("cat /proc/sys/kernel/bpf_stats_enabled"),
    }


IDS = """
import sys
sys.path.insert(0, "/everykernel/everykernel-agent.pyz")
from everykernel.load.kernel.numbers import Numbers
from everykernel.load.system.door import System
print({kind: sorted(found) for kind, found in Numbers(System())._before.items()})
"""


def ids(server: Server) -> str:
    """Return the kernel's numbers of all programs, maps, links and BTF."""
    server.guest.push("/root/ids.py", IDS.encode())
    return server.sh("python3 -S -I /root/ids.py", 120)


@pytest.fixture
def clean(server: Server) -> Iterator[None]:
    """Nothing is left on the server when a test ends, some seconds later at most."""
    before = traces(server)
    yield
    deadline = time.monotonic() + 60
    while (after := traces(server)) != before and time.monotonic() < deadline:
        time.sleep(1)
    assert after == before


def begin(targets: Targets, spec: str) -> Guest:
    return targets.start(targets.resolve(spec).fetch())


def test_an_object_is_loaded_attached_and_gone(server: Server, client: Client, clean: None) -> None:
    """By sudo, as its user may: facts, load, attach, a program's own runs; afterwards nothing of it is there."""
    targets = client.targets()
    with begin(targets, server.url) as guest:
        assert guest.facts.release == server.guest.facts.release
        assert guest.facts.unprivileged_bpf == "2"
        loaded = guest.request(wire.Load("prog.bpf.o", OBJECT.read_bytes()))
        assert (loaded.relocate["status"], loaded.load["status"]) == ("passed", "passed")
        attached = guest.request(wire.Attach(loaded.handle))
        assert {program["status"] for program in attached.programs} == {"passed"}
        assert guest.run(["id", "-u"]).stdout == b"0\n"
        assert guest.finish() == []
    targets.close()


def test_without_leave_to_load_objects_are_relocated(server: Server, client: Client, clean: None) -> None:
    """Nothing is loaded, nothing is run, whatever is asked for: facts, and the relocations against the kernel's BTF."""
    targets = client.targets(may_load=False)
    with begin(targets, server.at("plain")) as guest:
        asked = wire.Load("prog.bpf.o", OBJECT.read_bytes(), until="relocate")
        loaded = guest.request(asked)
        assert loaded.relocate["status"] == "passed"
        assert loaded.relocate["btf"] == "kernel"
        assert loaded.load["status"] == "skipped"
        for message in (dataclasses.replace(asked, until="load"), wire.Run(["/bin/true"]), wire.Attach(1)):
            with pytest.raises(RequestFailed, match="nothing may be loaded or run on this target") as caught:
                guest.request(message)
            assert caught.value.code == "permission-denied"
        assert guest.finish() == []
    targets.close()


# --- what keeps us out


def refusal(kind: type[EverykernelError], attempt: Callable[[], Any]) -> str:
    with pytest.raises(kind) as caught:
        attempt()
    assert type(caught.value) is kind
    return str(caught.value)


def test_a_wrong_key(server: Server, client: Client, clean: None, tmp_path: Path) -> None:
    """A key that the target does not take is told, with the command that tries it."""
    from tests.targets.server import keygen

    client.write(key=keygen(tmp_path / "other"))
    said = refusal(LoginRefused, lambda: client.targets().resolve(server.url))
    assert said == (
        f"{server.url}: user 'lab' is not let in: none of our keys is taken "
        f"[try: ssh -o BatchMode=yes -p {server.port} lab@127.0.0.1 true]"
    )


def test_an_unknown_host(server: Server, client: Client, clean: None) -> None:
    """A host that nobody knows is refused with its fingerprint, and believed once that is allowed."""
    client.known.write_text("")
    said = refusal(HostKeyUnknown, lambda: client.targets().resolve(server.url))
    shown = subprocess.run(["ssh-keygen", "-lf", server.folder / "host.pub"], capture_output=True, text=True).stdout
    assert f"its host key is not known: ssh-ed25519 {shown.split()[1]}" in said
    assert client.known.read_text() == ""
    assert client.targets(accept_new=True, may_load=False).resolve(server.url).release
    assert client.known.read_text() == server.known()
    assert client.targets(may_load=False).resolve(server.url).release


def test_a_changed_host_key(server: Server, client: Client, clean: None, tmp_path: Path) -> None:
    """A host that shows another key than the one that is known is refused, also where new ones are believed."""
    from tests.targets.server import keygen

    keygen(tmp_path / "before")
    before = " ".join((tmp_path / "before.pub").read_text().split()[:2])
    client.known.write_text(server.known(before))
    said = refusal(HostKeyChanged, lambda: client.targets(accept_new=True).resolve(server.url))
    assert "and another one is known: is it the same host?" in said
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in said
    assert client.known.read_text() == server.known(before)


def test_no_sudo(server: Server, client: Client, clean: None) -> None:
    """A user that may not load and is not let by sudo is told so before anything is done."""
    said = refusal(SudoRefused, lambda: client.targets().resolve(server.at("plain")))
    assert said.startswith(f"{server.at('plain')}: user 'plain' is not root, and sudo -n is refused: sudo: ")
    assert "plain ALL=(root) NOPASSWD: ALL" in said


def test_no_capability(server: Server, client: Client, clean: None) -> None:
    """A user without CAP_BPF that is not to use sudo is told so."""
    named = {"127.0.0.1": {"sudo": False}}
    said = refusal(CapabilityMissing, lambda: client.targets(named).resolve(server.url))
    assert said.startswith(f"{server.url}: user 'lab' has neither CAP_BPF nor CAP_SYS_ADMIN, and sudo = false")


def test_no_python(server: Server, client: Client, clean: None) -> None:
    """A target without Python, or with one that is not there, is told so."""
    server.sh("mkdir /root/away; mv /usr/bin/python3* /root/away/")
    try:
        said = refusal(PythonMissing, lambda: client.targets().resolve(server.url))
    finally:
        server.sh("mv /root/away/* /usr/bin/; rmdir /root/away")
    assert said.startswith(f"{server.url}: it has no Python ≥ 3.9 with ctypes (none at all)")
    named = {"127.0.0.1": {"python": "/opt/python"}}
    assert "none at all" in refusal(PythonMissing, lambda: client.targets(named).resolve(server.url))


@pytest.mark.parametrize(
    ("options", "kind", "why"),
    [
        ("ro", FolderRefused, "no folder for the agent can be made: read-only file system"),
        ("size=64k", DiskFull, "no folder for the agent can be made: no space left on device"),
        ("nr_inodes=1", DiskFull, "no folder for the agent can be made: no space left on device"),
    ],
)
def test_no_room(server: Server, client: Client, clean: None, options: str, kind: Any, why: str) -> None:
    """A /tmp that nobody can write to, and one that is full, have errors of their own; another folder may serve."""
    server.sh(f"mount -t tmpfs -o {options} tmpfs /tmp")
    try:
        targets = client.targets()
        said = refusal(kind, lambda: begin(targets, server.url))
        assert said.startswith(f"{server.url}: {why} [make room, or name another place: folder = ")
        assert server.sh("ls -A /tmp") == ""
        if options == "ro":
            with begin(client.targets({"127.0.0.1": {"folder": "/var/tmp"}}), server.url) as guest:
                assert guest.run(["true"]).code == 0
    finally:
        server.sh("umount /tmp")


def test_nobody_there(client: Client) -> None:
    """A port where nobody listens, a host that does not exist, and one that speaks no SSH are told apart."""
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        said = refusal(TargetUnreachable, lambda: client.targets().resolve(f"ssh://127.0.0.1:{port}"))
        assert said == f"ssh://127.0.0.1:{port}: 127.0.0.1 port {port}: connection refused"
        listening.listen()
        said = refusal(TargetUnreachable, lambda: client.targets(patience=1).resolve(f"ssh://127.0.0.1:{port}"))
        assert f"127.0.0.1 port {port} speaks no SSH that we understand" in said
    said = refusal(TargetUnreachable, lambda: client.targets().resolve("ssh://nobody.invalid"))
    assert "there is no host 'nobody.invalid'" in said

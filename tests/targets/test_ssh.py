"""Targets over SSH: guests with a real OpenSSH server are columns like any other, and are left as they were found."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.targets.conftest import Client
from tests.targets.relay import Relay
from tests.targets.server import FOLDERS, Server

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
    TargetUnreachable,
)
from everykernel.machine import Guest
from everykernel.machine.ssh import Targets, about
from everykernel.machine.ssh.session import Session

pytestmark = pytest.mark.vm

CASES = Path(__file__).parents[2] / "cases"
OBJECT = CASES / "fentry" / "build" / "x86_64" / "prog.bpf.o"


def traces(server: Server) -> dict[str, Any]:
    """Return what a run could leave on a server: files, processes, what is loaded, settings."""
    files = server.sh(f"ls -d {' '.join(f'{folder}/*' for folder in FOLDERS)} /sys/fs/bpf/* 2>/dev/null || true")
    processes = server.sh("ps -o args | grep -c '[b]ase64.b64decode\\|[e]verykernel-\\|[s]leep 1000' || true")
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
from everykernel.load.system.local import Local
print({kind: sorted(found) for kind, found in Numbers(Local())._before.items()})
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
        more: list[wire.Request[Any]] = [dataclasses.replace(asked, until="load"), wire.Run(["true"]), wire.Attach(1)]
        for message in more:
            with pytest.raises(RequestFailed, match="nothing may be loaded or run on this target") as caught:
                guest.request(message)
            assert caught.value.code == "permission-denied"
        assert guest.finish() == []
    targets.close()


@pytest.fixture
def no_python(server: Server) -> Iterator[None]:
    """The server has no Python for a while; the agent inside goes on."""
    server.sh("mkdir /root/away; mv /usr/bin/python3* /root/away/")
    yield
    server.sh("mv /root/away/* /usr/bin/; rmdir /root/away")


def record(loaded: wire.Loaded) -> Any:
    """Return what was found out, without what it took."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items() if key != "seconds"}
        return [plain(one) for one in value] if isinstance(value, list) else value

    return plain([loaded.relocate, loaded.load, loaded.misreads])


def test_a_static_program_stands_in_for_python(server: Server, client: Client, clean: None, request: Any) -> None:
    """Where the project says so, the loader is here: the same records, and nothing left, cut or not."""
    asked = wire.Load("prog.bpf.o", OBJECT.read_bytes())
    targets = client.targets()
    with begin(targets, server.url) as guest:
        by_python = record(guest.request(asked))
    targets.close()
    request.getfixturevalue("no_python")
    named = {"127.0.0.1": {"python": "none"}}
    targets = client.targets(named, may_load=False)
    with begin(targets, server.at("plain")) as guest:
        assert guest.request(dataclasses.replace(asked, until="relocate")).relocate["status"] == "passed"
        with pytest.raises(RequestFailed, match="nothing may be loaded or run on this target"):
            guest.request(asked)
    targets.close()
    targets = client.targets(named)
    with begin(targets, server.url) as guest:
        assert guest.facts.python == ""
        loaded = guest.request(asked)
        assert record(loaded) == by_python
        assert {one["status"] for one in guest.request(wire.Attach(loaded.handle)).programs} == {"passed"}
        assert guest.finish() == []
    with begin(targets, server.url) as guest:
        guest.request(asked)
    targets.close()  # its connection is cut under the agent
    server.sh("mount -t tmpfs -o ro tmpfs /tmp")
    try:
        said = refusal(FolderRefused, lambda: begin(client.targets(named), server.url))
    finally:
        server.sh("umount /tmp")
    assert "no folder for the agent can be made: read-only file system" in said


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


def test_no_python(server: Server, client: Client, clean: None, no_python: None) -> None:
    """A target without Python, or with one that is not there, is told so."""
    said = refusal(PythonMissing, lambda: client.targets().resolve(server.url))
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


# --- other ways there


def test_by_way_of_another_host(server: Server, client: Client, clean: None) -> None:
    """ProxyJump goes through the hosts that are named, each known by its own key; so does a ProxyCommand."""
    inner = ["Host inner", "HostName 127.0.0.1", "Port 22", "User plain"]
    client.known.write_text(server.known() + f"127.0.0.1 {server.host_key}\n")
    client.write(*inner, f"ProxyJump plain@127.0.0.1:{server.port}")
    assert client.targets(may_load=False).resolve("ssh://inner").release
    own = f"-o UserKnownHostsFile={client.known} -i {server.key} -o BatchMode=yes -p {server.port} plain@127.0.0.1"
    client.write(*inner, f"ProxyCommand ssh -F /dev/null -W %h:%p {own}")
    assert client.targets(may_load=False).resolve("ssh://inner").release
    client.write("Host inner", "ProxyJump inner")
    assert "its ProxyJump has no end" in refusal(TargetUnreachable, lambda: client.targets().resolve("ssh://inner"))


def test_a_key_of_an_agent(server: Server, client: Client, clean: None, monkeypatch: Any, tmp_path: Path) -> None:
    """A key that only an agent has lets us in; without it, nothing does."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    client.config.write_text(f"UserKnownHostsFile {client.known}\n")
    refusal(LoginRefused, lambda: client.targets(may_load=False).resolve(server.url))
    socket_ = str(tmp_path / "agent")
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket_], stdout=subprocess.DEVNULL) as agent:
        try:
            monkeypatch.setenv("SSH_AUTH_SOCK", socket_)
            deadline = time.monotonic() + 20
            while not Path(socket_).exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            subprocess.run(["ssh-add", "-q", server.key], check=True)
            assert client.targets(may_load=False).resolve(server.url).release
        finally:
            agent.terminate()


NODE = """\
unshare -m -p -i -u -f --mount-proc /usr/sbin/sshd -D -f /etc/ssh/sshd_config -p 2200 >/var/log/node 2>&1 &
for second in $(seq 60); do grep -q ':0898 .* 0A ' /proc/net/tcp && break; sleep 1; done
grep -q ':0898 .* 0A ' /proc/net/tcp || { cat /var/log/node; exit 1; }
echo $!
"""
UNPRIVILEGED = """
import ctypes, os
for capability in (21, 38, 39):  # CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF
    assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0  # PR_CAPBSET_DROP
os.execv("/usr/sbin/sshd", ["/usr/sbin/sshd", "-f", "/etc/ssh/sshd_config", "-p", "2201", "-o", "PidFile=/run/few.pid"])
"""


def test_a_node_that_is_a_container(server: Server, client: Client, clean: None) -> None:
    """As a privileged node of kind: namespaces of its own, the host's kernel; it loads as any host does."""
    node = f"ssh://root@127.0.0.1:{server.others[0]}"
    client.known.write_text(f"[127.0.0.1]:{server.others[0]} {server.host_key}\n")
    number = server.sh(NODE).strip()
    try:
        targets = client.targets()
        with begin(targets, node) as guest:
            assert (
                guest.run(["readlink", "/proc/self/ns/pid"]).stdout != server.sh("readlink /proc/self/ns/pid").encode()
            )
            loaded = guest.request(wire.Load("prog.bpf.o", OBJECT.read_bytes()))
            attached = guest.request(wire.Attach(loaded.handle))
            assert {program["status"] for program in attached.programs} == {"passed"}
            assert guest.finish() == []
        targets.close()
    finally:
        server.sh(f"kill {number}; pkill -f 'sshd_config -p 2200'; sleep 1; true")


def test_root_of_a_container_that_may_not_load(server: Server, client: Client, clean: None) -> None:
    """Root without CAP_BPF and CAP_SYS_ADMIN is told so, instead of failing in every cell."""
    node = f"ssh://root@127.0.0.1:{server.others[1]}"
    client.known.write_text(f"[127.0.0.1]:{server.others[1]} {server.host_key}\n")
    server.guest.push("/root/few.py", UNPRIVILEGED.encode())
    server.sh("python3 -S -I /root/few.py")
    try:
        said = refusal(CapabilityMissing, lambda: client.targets().resolve(node))
        assert said.startswith(f"{node}: 'root' has neither CAP_BPF nor CAP_SYS_ADMIN: it is root of a container")
        assert client.targets(may_load=False).resolve(node).release  # for relocating, it will do
    finally:
        server.sh("kill $(cat /run/few.pid)")


# --- what goes wrong on the way


@pytest.fixture
def relay(server: Server) -> Iterator[Relay]:
    made = Relay(server.port)
    yield made
    made.close()


def through(client: Client, relay: Relay) -> str:
    """Return the server's address by the relay, known under the server's own key."""
    client.known.write_text(f"[127.0.0.1]:{relay.port} {client.server.host_key}\n")
    return f"ssh://lab@127.0.0.1:{relay.port}"


def cutting(relay: Relay, action: Callable[..., Any]) -> Callable[..., Any]:
    def cut_first(*arguments: Any) -> Any:
        relay.cut()
        return action(*arguments)

    return cut_first


@pytest.mark.parametrize(
    ("step", "kind", "why"),
    [
        ("ask", GuestLost, "the connection was cut while its kernel was looked at"),
        ("start", GuestLost, "the connection was cut while the agent was started"),
        ("push", GuestLost, "the connection was cut while the agent was brought there"),
        ("greeting", GuestLost, "the connection was lost"),
        ("load", GuestLost, "the connection was lost"),
        ("run", GuestLost, "the connection was lost"),
        ("finish", GuestLost, "the connection was lost"),
    ],
)
def test_a_connection_that_is_cut(
    server: Server, client: Client, relay: Relay, clean: None, monkeypatch: Any, step: str, kind: Any, why: str
) -> None:
    """Whenever it is cut, that is told, the next cell is not begun, and the agent leaves nothing."""
    spec = through(client, relay)
    targets = client.targets()
    if step == "ask":
        monkeypatch.setattr(about, "ask", cutting(relay, about.ask))
        assert refusal(kind, lambda: targets.resolve(spec)) == f"{spec}: {why}"
        return
    kernel = targets.resolve(spec).fetch()
    if step in ("start", "greeting"):
        method = f"_{step}"
        monkeypatch.setattr(Session, method, cutting(relay, getattr(Session, method)))
    if step == "push":
        relay.room = 300_000
    if step in ("start", "greeting", "push"):
        assert refusal(kind, lambda: targets.start(kernel)).startswith(f"{spec}: {why}")
    else:
        with targets.start(kernel) as guest:
            loaded = guest.request(wire.Load("prog.bpf.o", OBJECT.read_bytes()))
            guest.request(wire.Attach(loaded.handle))
            asked: dict[str, wire.Request[Any]] = {
                "load": wire.Load("prog.bpf.o", OBJECT.read_bytes()),
                "run": wire.Run(["sleep", "1000"]),
                "finish": wire.Finish(),
            }
            if step == "run":
                threading.Timer(3, relay.cut).start()
            else:
                relay.room = 1  # what asks for it gets there, and nothing after that
            assert refusal(kind, lambda: guest.request(asked[step])).startswith(f"{spec}: {why}")
    later = refusal(GuestLost, lambda: targets.start(kernel))
    assert later.startswith(f"{spec}: not run: the target went away in an earlier cell: {why}")
    targets.close()


def test_a_host_that_hangs(server: Server, client: Client, relay: Relay, clean: None) -> None:
    """A target that answers nothing more is said to hang; its agent, which hears nothing any more, leaves by itself."""
    spec = through(client, relay)
    targets = client.targets(silence=15.0)
    kernel = targets.resolve(spec).fetch()
    with targets.start(kernel) as guest:
        guest.request(wire.Attach(guest.request(wire.Load("prog.bpf.o", OBJECT.read_bytes())).handle))
        relay.freeze()
        began = time.monotonic()
        said = refusal(KernelHung, lambda: guest.run(["sleep", "1000"], timeout=2))
        assert said == f"{spec}: no answer within 2 s, nor to a ping"
        assert time.monotonic() - began < 15
    assert "not run: the target went away in an earlier cell: no answer" in refusal(
        GuestLost, lambda: targets.start(kernel)
    )
    targets.close()


def test_what_does_not_end(server: Server, client: Client, clean: None) -> None:
    """A request past its deadline is a verdict while the agent answers; what it started is ended with it."""
    targets = client.targets()
    kernel = targets.resolve(server.url).fetch()
    with targets.start(kernel) as guest, pytest.raises(CaseTimeout, match="did not end within 2 s"):
        guest.run(["sleep", "1000"], timeout=2)
    with targets.start(kernel) as guest:  # the next one is not held up
        assert guest.run(["true"]).code == 0
    targets.close()


def test_what_stays_is_told(server: Server, client: Client, clean: None) -> None:
    """A map that a check pins outlives its object: that is told by its number."""
    targets = client.targets()
    source = """
import ctypes, os, struct
def check(obj):
    path = ctypes.create_string_buffer(b"/sys/fs/bpf/left")
    fd = next(m.fd for m in obj.maps.values() if m.fd >= 0)
    attributes = ctypes.create_string_buffer(struct.pack("QII", ctypes.addressof(path), fd, 0), 16)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.syscall(321, 6, attributes, 16) == 0, os.strerror(ctypes.get_errno())
"""
    try:
        with begin(targets, server.url) as guest:
            loaded = guest.request(wire.Load("prog.bpf.o", OBJECT.read_bytes()))
            checked = guest.request(wire.Check(loaded.handle, source, "check.py"))
            assert checked.passed, checked.message
            (map_, *_) = told = guest.finish()
            assert re.fullmatch(
                r"left behind on the target: 1 map stayed that was not there before: number \d+", map_
            ), told
    finally:
        server.sh("rm /sys/fs/bpf/left")
    targets.close()

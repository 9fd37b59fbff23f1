"""What a target's shell says of it, and what follows: who a server is that says something else."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import paramiko
import pytest

from everykernel.errors import CapabilityMissing, EverykernelError, GuestLost, PythonMissing, SudoRefused, TargetError
from everykernel.machine.ssh import about as about_
from everykernel.machine.ssh import vmlinux
from everykernel.machine.ssh.about import About
from everykernel.machine.ssh.connection import Connection, connect
from everykernel.machine.ssh.target import Target, Terms

LAB = Target("ssh://lab", "lab")
ABOUT = About(
    machine="x86_64",
    release="6.1.0",
    version="#1",
    user="me",
    uid=1000,
    capable=False,
    sudo="yes",
    btf=True,
    config="",
    lsm="",
    lockdown="",
    unprivileged_bpf="2",
    boot="1",
    pythons=(((3, 7, 3), "/usr/bin/python3"), ((3, 11, 2), "/usr/bin/python3.11")),
)
ROOT = replace(ABOUT, uid=0, user="root", capable=True, sudo="")


def test_the_first_python_that_is_new_enough() -> None:
    """An older one is passed over, and named where there is no other."""
    assert ABOUT.python(LAB) == ((3, 11, 2), "/usr/bin/python3.11")
    with pytest.raises(PythonMissing, match=r"no Python ≥ 3.9 with ctypes \(only 3.7.3 at /usr/bin/python3\)"):
        replace(ABOUT, pythons=ABOUT.pythons[:1]).python(LAB)


@pytest.mark.parametrize(
    ("about", "sudo", "loads", "by"),
    [
        (ROOT, None, True, False),
        (ROOT, True, True, False),
        (ABOUT, None, True, True),
        (ABOUT, None, False, False),  # nothing is loaded: its user will do
        (ABOUT, True, False, True),
        (ABOUT, False, False, False),
        (replace(ABOUT, capable=True), None, True, False),
        (replace(ABOUT, capable=True), True, True, True),
    ],
)
def test_sudo_where_it_is_needed(about: About, sudo: bool | None, loads: bool, by: bool) -> None:
    """By sudo where loading is allowed and the user may not load, or where that is wanted."""
    assert about.by_sudo(replace(LAB, sudo=sudo), loads=loads) is by


@pytest.mark.parametrize(
    ("about", "sudo", "kind", "why"),
    [
        (replace(ABOUT, sudo="sudo: a password is required"), None, SudoRefused, "a password is required"),
        (replace(ABOUT, sudo=""), None, SudoRefused, "sudo -n is refused: there is none"),
        (ABOUT, False, CapabilityMissing, "neither CAP_BPF nor CAP_SYS_ADMIN, and sudo = false"),
        (replace(ROOT, capable=False), None, CapabilityMissing, "it is root of a container"),
    ],
)
def test_who_may_not_load(about: About, sudo: bool | None, kind: type[EverykernelError], why: str) -> None:
    """A user that would load in vain is told so, with what would help."""
    with pytest.raises(kind) as caught:
        about.by_sudo(replace(LAB, sudo=sudo), loads=True)
    assert why in str(caught.value)
    assert caught.value.remedy


class Shell(paramiko.ServerInterface):
    """Lets everybody in, and answers every program with what a test wants it to say."""

    def __init__(self, say: Callable[[paramiko.Channel], None]) -> None:
        self._say = say

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL  # type: ignore[attr-defined,no-any-return]

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED  # type: ignore[attr-defined,no-any-return]

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Timer(0.2, self._say, (channel,)).start()  # when the request has been answered
        return True


Serving = Callable[[Callable[[paramiko.Channel], None]], Connection]


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """Connect to a server on the loopback that says what a test wants; nothing runs there."""
    key = paramiko.ECDSAKey.generate()
    key.write_private_key_file(str(tmp_path / "key"))
    opened: list[Any] = []

    def serve(say: Callable[[paramiko.Channel], None]) -> Connection:
        listening = socket.create_server(("127.0.0.1", 0))
        opened.append(listening)

        def accept() -> None:
            with contextlib.suppress(EOFError, OSError, paramiko.SSHException):  # a client that is gone already
                answer()

        def answer() -> None:
            transport = paramiko.Transport(listening.accept()[0])
            opened.append(transport)
            transport.add_server_key(key)
            transport.start_server(server=Shell(say))

        threading.Thread(target=accept, daemon=True).start()
        port = listening.getsockname()[1]
        (tmp_path / "config").write_text(f"IdentityFile {tmp_path}/key\nUserKnownHostsFile {tmp_path}/known\n")
        target = Target.parse(f"ssh://127.0.0.1:{port}", {})
        made = connect(target, Terms(accept_new=True, config=str(tmp_path / "config")))
        opened.append(made)
        return made

    yield serve
    for one in reversed(opened):
        one.close()


def saying(text: bytes, code: int | None = 0) -> Callable[[paramiko.Channel], None]:
    def say(channel: paramiko.Channel) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):  # who has heard enough does not listen
            channel.sendall(text)
            if code is not None:
                channel.send_exit_status(code)
            channel.close()

    return say


def test_an_answer(serving: Serving) -> None:
    """What a shell says is read line by line; what it says twice counts from its first."""
    text = (
        b"motd of some host\nmachine=x86_64\nrelease=6.1.0-56\nversion=#1 SMP\nuid=1000\nuser=me\n"
        b"capabilities=0000008000000000\nlockdown=none [integrity] confidentiality\nlsm=lockdown,bpf\nbtf=kernel\n"
        b"python=3.11.2 /usr/bin/python3\npython=odd\nsudo=yes\nend=\n"
    )
    found = about_.ask(serving(saying(text)), LAB, 10)
    assert (found.release, found.uid, found.capable, found.lockdown) == ("6.1.0-56", 1000, True, "integrity")
    assert (found.btf, found.sudo, found.pythons) == (True, "yes", (((3, 11, 2), "/usr/bin/python3"),))


@pytest.mark.parametrize(
    ("text", "kind", "why"),
    [
        (b"", TargetError, "its shell is none that we understand: it says nothing"),
        (b"This account is not available.\n", TargetError, "none that we understand: This account is not available."),
        (b"\x1b[2Jmachine=x86_64\n", TargetError, r"none that we understand: \x1b[2Jmachine=x86_64"),
        (b"uid=root\nrelease=6.1\nend=\n", GuestLost, "its shell says nothing of its kernel that we understand"),
        (b"uid=0\nrelease=../../etc\nend=\n", GuestLost, "its shell says nothing of its kernel that we understand"),
        (b"x" * (1 << 20), TargetError, "its shell is none that we understand: xxx"),
    ],
)
def test_another_answer(serving: Serving, text: bytes, kind: type[EverykernelError], why: str) -> None:
    """What is no answer of ours ends there, whatever it is and however long."""
    with pytest.raises(kind) as caught:
        about_.ask(serving(saying(text)), LAB, 10)
    assert type(caught.value) is kind
    assert why in str(caught.value)


def test_no_answer(serving: Serving) -> None:
    """A shell that says nothing and does not end is given up."""
    with pytest.raises(GuestLost, match="did not answer within 1 s while its kernel was looked at"):
        about_.ask(serving(lambda channel: None), LAB, 1)


def test_an_answer_that_comes_in_drops(serving: Serving) -> None:
    """A host that is too slow is said to be, instead of being judged by half of what it says."""

    def drip(channel: paramiko.Channel) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            for _ in range(100):
                channel.sendall(b"machine=x86_64\n")
                time.sleep(0.3)

    with pytest.raises(GuestLost, match="did not answer within 1 s while its kernel was looked at"):
        about_.ask(serving(drip), LAB, 1)


def test_its_btf(serving: Serving) -> None:
    """It comes as a stream, byte for byte."""
    data = bytes(range(256)) * 4000
    assert vmlinux.read(serving(saying(data)), 10, LAB.spec) == data


@pytest.mark.parametrize(
    ("text", "code", "why"),
    [
        (b"x" * 100_000, None, "the connection was cut while its BTF was read"),
        (b"", 1, "its BTF cannot be read: 'cat /sys/kernel/btf/vmlinux' ended with exit code 1"),
        (b"x" * 100_001, 0, "its BTF has more than 0 MiB"),
    ],
)
def test_btf_that_does_not_come_whole(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, text: bytes, code: int | None, why: str
) -> None:
    """What ended early is not taken for the whole, and what does not end is not kept."""
    monkeypatch.setattr(vmlinux, "_LARGEST", 100_000)
    with pytest.raises(GuestLost) as caught:
        vmlinux.read(serving(saying(text, code)), 10, LAB.spec)
    assert str(caught.value) == f"{LAB.spec}: {why}"


def test_btf_that_does_not_come(serving: Serving) -> None:
    """A host that sends nothing is given up."""
    with pytest.raises(GuestLost, match="the connection was cut while its BTF was read: no answer"):
        vmlinux.read(serving(lambda channel: None), 1, LAB.spec)


def test_facts_in_a_line() -> None:
    """What a user wants to know of a kernel before anything is done there."""
    assert str(ABOUT) == "6.1.0 x86_64, BTF, no configuration, no unprivileged BPF"
    more = replace(ABOUT, config="/proc/config.gz", lockdown="integrity", lsm="lockdown,bpf", unprivileged_bpf="0")
    assert str(more) == "6.1.0 x86_64, BTF, configuration, lockdown integrity, LSMs lockdown,bpf, unprivileged BPF"
    assert str(replace(ABOUT, btf=False, unprivileged_bpf="")) == "6.1.0 x86_64, no BTF, no configuration"

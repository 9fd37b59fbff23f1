"""How a target is named, and reached by the user's own SSH configuration."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

import pytest

from everykernel.errors import UsageError
from everykernel.machine.ssh.config import Route, route
from everykernel.machine.ssh.target import Target


@pytest.mark.parametrize(
    ("spec", "host", "user", "port"),
    [
        ("ssh://lab", "lab", "", None),
        ("ssh://root@10.0.0.7:2222", "10.0.0.7", "root", 2222),
        ("ssh://[fe80::1%eth0]:22/", "fe80::1%eth0", "", 22),
        ("ssh://some.host.example", "some.host.example", "", None),
    ],
)
def test_an_address(spec: str, host: str, user: str, port: int | None) -> None:
    """User and port are what is said, else left to the configuration."""
    assert Target.parse(spec, {}) == Target(spec, host, user, port)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ssh://", "is no target"),
        ("ssh://a b", "is no target"),
        ("ssh://lab/path", "is no target"),
        ("ssh://lab:0", "port 0 is not between 1 and 65535"),
        ("ssh://lab:99999", "port 99999 is not between 1 and 65535"),
        ("ssh://-oProxyCommand=x", "is no target: a host's name does not begin so"),
    ],
)
def test_no_address(spec: str, message: str) -> None:
    """What is none is said to be none."""
    with pytest.raises(UsageError) as caught:
        Target.parse(spec, {})
    assert str(caught.value).startswith(f"{spec}: {message}")


def test_a_name_of_the_project() -> None:
    """A name stands for what pyproject.toml says; what the spec itself says comes first."""
    named: dict[str, dict[str, Any]] = {
        "lab": {"host": "ssh://root@10.0.0.7:2222", "console": "cat log"},
        "board": {"host": "other", "user": "pi", "port": 23, "sudo": False, "folder": "/run", "python": "/opt/python"},
    }
    assert Target.parse("ssh://lab", named) == Target("ssh://lab", "10.0.0.7", "root", 2222, console="cat log")
    found = Target.parse("ssh://me@board:24", named)
    assert found == Target("ssh://me@board:24", "other", "me", 24, "", "/opt/python", False, "/run")


def read(folder: Path, text: str, spec: str = "ssh://lab") -> Route:
    path = folder / "config"
    path.write_text(text)
    return route(Target.parse(spec, {}), str(path))


def test_nothing_is_configured(tmp_path: Path) -> None:
    """Without a configuration the host is as it is named, as ssh has it."""
    found = route(Target.parse("ssh://lab", {}), str(tmp_path / "none"))
    assert (found.host, found.port, found.user) == ("lab", 22, getpass.getuser())
    assert (found.keys, found.agent, found.command, found.jumps, found.trusting) == ((), True, "", (), False)
    assert found.known[0] == "~/.ssh/known_hosts"


def test_what_is_configured(tmp_path: Path) -> None:
    """Names, keys, known hosts, an alias, jumps: as ssh_config(5) says; the spec's own user and port win."""
    (tmp_path / "key").touch()
    text = f"""
Host lab
    HostName 10.0.0.7
    Port 2222
    User root
    IdentityFile {tmp_path}/key
    IdentityFile {tmp_path}/absent
    IdentitiesOnly yes
    HostKeyAlias the-lab
    UserKnownHostsFile /a /b
    StrictHostKeyChecking accept-new
    ProxyJump one,me@two:2022
Host *
    User nobody
"""
    found = read(tmp_path, text)
    assert (found.host, found.port, found.user, found.alias) == ("10.0.0.7", 2222, "root", "the-lab")
    assert (found.keys, found.agent, found.trusting) == ((f"{tmp_path}/key",), False, True)
    assert found.known[:2] == ("/a", "/b")
    assert [(jump.host, jump.user, jump.port) for jump in found.jumps] == [("one", "", None), ("two", "me", 2022)]
    own = read(tmp_path, text, "ssh://you@lab:23")
    assert (own.host, own.port, own.user) == ("10.0.0.7", 23, "you")
    assert read(tmp_path, "ProxyCommand nc %h %p\n").command == "nc lab 22"
    assert read(tmp_path, "ProxyCommand none\nProxyJump none\n").command == ""


def test_match(tmp_path: Path) -> None:
    """Match is followed as far as it is understood, and an error where it is not: it would be taken for fulfilled."""
    text = 'Match host lab exec "true"\n  Port 24\nMatch host lab !exec "true"\n  User wrong\n'
    found = read(tmp_path, text)
    assert (found.port, found.user) == (24, getpass.getuser())
    for criteria in ("localnetwork 10.0.0.0/8", "host lab tagged x", '!version "OpenSSH*"'):
        with pytest.raises(UsageError, match=r"config:1: Match (localnetwork|tagged|version) is not understood"):
            read(tmp_path, f"Match {criteria}\n  Port 25\n")


def test_include_is_said_not_to_be_followed(tmp_path: Path) -> None:
    """paramiko passes over it in silence; we do not."""
    found = read(tmp_path, "Host lab\n  Port 22\ninclude config.d/*\n")
    assert [note.partition(": Include is not followed")[0] for note in found.notes] == [f"{tmp_path}/config:3"]


def test_a_configuration_that_cannot_be_read(tmp_path: Path) -> None:
    """What cannot be parsed is named, and no target is reached by guesswork."""
    for text in ("Host\n", "nonsense\n", "Match host\n"):
        with pytest.raises(UsageError, match="cannot be read"):
            read(tmp_path, text)
    with pytest.raises(UsageError, match="ProxyJump 'a b' is no host"):
        read(tmp_path, "ProxyJump a b\n")

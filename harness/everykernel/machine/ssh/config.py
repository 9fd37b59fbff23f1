"""~/.ssh/config, as far as paramiko understands it; where it does not, that is said.

paramiko reads Host and Match blocks with their tokens; it passes over ``Include``, and takes criteria of Match that it
does not know for fulfilled.
"""

from __future__ import annotations

import getpass
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import paramiko
import paramiko.config

from everykernel.errors import UsageError
from everykernel.machine.ssh.target import Target

_UNDERSTOOD = {"host", "originalhost", "user", "localuser", "exec", "all", "canonical", "final"}  # criteria of Match
_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
_SYSTEM_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_HOP = re.compile(r"(?:ssh://)?(?:(?P<user>[^@\s]+)@)?(?P<host>\[[^\]]+\]|[^:\s]+)(?::(?P<port>\d+))?")


def _run(command: str, **_: object) -> SimpleNamespace:
    """Run the command of a ``Match exec``; what it prints is nobody's business."""
    done = subprocess.run(["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return SimpleNamespace(ok=done.returncode == 0)


# paramiko has invoke run it, which passes our standard input on: there is none under pytest.
paramiko.config.invoke = SimpleNamespace(run=_run)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Route:
    """How a host is reached.

    Attributes:
        name: as it was asked for.
        host, port, user: where, and as whom.
        alias: what known_hosts calls it, "" for host and port.
        keys: files of private keys.
        agent: whether keys of an SSH agent, and the usual files, are offered too.
        known: files of known hosts; a new one is written to the first.
        trusting: whether the configuration itself says that unknown hosts are believed.
        command: a ProxyCommand, "" for none.
        jumps: the hosts of a ProxyJump, the first first.
        notes: what of the configuration is not followed.
    """

    name: str
    host: str
    port: int
    user: str
    alias: str
    keys: tuple[str, ...]
    agent: bool
    known: tuple[str, ...]
    trusting: bool
    command: str
    jumps: tuple[Target, ...]
    notes: tuple[str, ...]


def route(target: Target, path: str) -> Route:
    """Return how a target is reached, by the configuration at ``path``; raise UsageError for one that is not read."""
    parsed, notes = _read(Path(path).expanduser())
    try:
        found = parsed.lookup(target.host)
    except (paramiko.ConfigParseError, paramiko.CouldNotCanonicalize, OSError) as e:
        raise UsageError(f"cannot be followed for {target.host}: {e}", where=path) from e
    jump = found.get("proxyjump", "none")
    only = found.get("identitiesonly", "no").lower() == "yes"
    return Route(
        name=target.spec,
        host=found.get("hostname", target.host),
        port=target.port or int(found.get("port", 22)),
        user=target.user or found.get("user", "") or getpass.getuser(),
        alias=found.get("hostkeyalias", ""),
        keys=tuple(name for name in found.get("identityfile", ()) if Path(name).expanduser().is_file()),
        agent=not only,
        known=(*found.get("userknownhostsfile", " ".join(_KNOWN_HOSTS)).split(), *_SYSTEM_KNOWN_HOSTS),
        trusting=found.get("stricthostkeychecking", "").lower() in ("accept-new", "no", "off"),
        command=found.get("proxycommand") or "",
        jumps=() if jump.lower() == "none" else tuple(_hop(text, path) for text in jump.split(",")),
        notes=notes,
    )


def _hop(text: str, path: str) -> Target:
    found = _HOP.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"ProxyJump {text!r} is no host", where=path)
    host = found["host"].strip("[]")
    return Target(f"ssh://{text.strip()}", host, found["user"] or "", int(found["port"]) if found["port"] else None)


def _read(path: Path) -> tuple[paramiko.SSHConfig, tuple[str, ...]]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(f"cannot be read: {e}", where=str(path)) from e
    notes = []
    for number, line in enumerate(text.splitlines(), 1):
        keyword, _, rest = line.strip().replace("=", " ", 1).partition(" ")
        if keyword.lower() == "include":
            remedy = "say what it has in this file, or in pyproject.toml"
            notes.append(f"{path}:{number}: Include is not followed: {remedy}")
        if keyword.lower() == "match" and (unknown := _not_understood(rest)):
            what = f"Match {unknown} is not understood"
            raise UsageError(what, where=f"{path}:{number}", remedy=f"understood: {', '.join(sorted(_UNDERSTOOD))}")
    try:
        return paramiko.SSHConfig.from_text(text), tuple(notes)
    except (paramiko.ConfigParseError, ValueError) as e:
        raise UsageError(f"cannot be read: {e}", where=str(path)) from e


def _not_understood(criteria: str) -> str:
    """Return the first criterion of a Match that paramiko does not know; "" for none."""
    words = iter(re.findall(r'"[^"]*"|\S+', criteria))
    for word in words:
        name = word.lower().removeprefix("!")
        if name not in _UNDERSTOOD:
            return str(name)
        if name not in ("all", "canonical", "final"):
            next(words, None)
    return ""

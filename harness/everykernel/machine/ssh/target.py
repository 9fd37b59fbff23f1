"""What a user says of a target: ``ssh://user@host:port``, or a name that pyproject.toml explains."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from everykernel.errors import UsageError

_WRITE = "write ssh://user@host:port, ssh://HOST of ~/.ssh/config, or ssh://NAME of [tool.everykernel.targets]"
_FOLDER = re.compile(r"/[\w./+-]{1,199}", re.ASCII)
_URL = re.compile(
    r"ssh://(?:(?P<user>[^@/\s:]+)@)?(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^@/\s:\[\]]+)(?::(?P<port>\d{1,5}))?/?"
)


@dataclass(frozen=True)
class Target:
    """A target as the user names and describes it.

    Attributes:
        spec: the column's name.
        host: a name of ~/.ssh/config, or of the network.
        user, port: where they are said; "" and None leave them to ~/.ssh/config.
        console: a command of this host that prints the target's console; "" where there is none.
        python: the target's interpreter; "" looks for one, ``none`` has a static program stand in.
        sudo: whether the agent runs by ``sudo -n``; None: where the user is not root and may.
        folder: where the agent's temporary folder is made.
    """

    spec: str
    host: str
    user: str = ""
    port: int | None = None
    console: str = ""
    python: str = ""
    sudo: bool | None = None
    folder: str = "/tmp"

    @property
    def bare(self) -> bool:
        """Whether nothing but a static program is to run there."""
        return self.python == "none"

    @classmethod
    def parse(cls, spec: str, named: Mapping[str, Mapping[str, Any]]) -> Target:
        """Return what a spec means; ``named`` are the targets of pyproject.toml. Raise UsageError for what is none."""
        found = _URL.fullmatch(spec)
        if found is None:
            raise UsageError("is no target", where=spec, remedy=_WRITE)
        host = found["host"].strip("[]")
        if host.startswith("-"):
            raise UsageError("is no target: a host's name does not begin so", where=spec, remedy=_WRITE)
        port = int(found["port"]) if found["port"] else None
        if port is not None and not 0 < port < 65536:
            raise UsageError(f"port {port} is not between 1 and 65535", where=spec)
        table = {"host": host, **named.get(host, {})}
        where = _URL.fullmatch(table["host"])
        if where is not None:  # a name for ssh://user@host:port
            own = {"host": where["host"].strip("[]"), "user": where["user"] or ""}
            table = {**table, **own, **({"port": int(where["port"])} if where["port"] else {})}
        said = cls(spec, **table)
        if not _FOLDER.fullmatch(said.folder):
            raise UsageError(f"folder = {said.folder!r} is no plain absolute path", where=spec)
        return replace(said, user=found["user"] or said.user, port=port or said.port)


@dataclass(frozen=True)
class Terms:
    """What holds for all targets of a run.

    Attributes:
        may_load: whether programs may be loaded into their kernels.
        accept_new: whether a host that is not known is believed, and known from then on.
        timeout: seconds for a request that names no time of its own.
        patience: seconds for a connection, and for each step of a session's beginning and end.
        silence: seconds without a word of ours after which an agent gives up.
        config: the user's SSH configuration.
    """

    may_load: bool = False
    accept_new: bool = False
    timeout: float = 60.0
    patience: float = 20.0
    silence: float = 60.0
    config: str = "~/.ssh/config"

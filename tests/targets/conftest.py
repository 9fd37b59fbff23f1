"""Targets for tests: guests with a real SSH server; nothing here skips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.targets.server import Server

from everykernel import kernels
from everykernel.kernels.model import Kernel
from everykernel.machine.ssh import Targets, Terms


@pytest.fixture(scope="session")
def linux() -> Kernel:
    """The kernel of the servers."""
    return kernels.resolve("6.1")[0].fetch()


@pytest.fixture(scope="session")
def server(linux: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A host with OpenSSH 9.2, which tests leave as they found it."""
    made = Server(linux, "bookworm", tmp_path_factory.mktemp("bookworm"))
    yield made
    made.close()


class Client:
    """A user's own side: a configuration that knows the server's key, and what of it a test changes."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.made: list[Targets] = []
        self.known = folder / "known_hosts"
        self.config = folder / "config"
        self.known.write_text(server.known())
        self.write()

    def write(self, *more: str, key: Path | None = None) -> None:
        lines = [*more, "Host *", f"UserKnownHostsFile {self.known}", f"IdentityFile {key or self.server.key}"]
        self.config.write_text("\n".join([*lines, "IdentitiesOnly yes", ""]))

    def targets(self, named: dict[str, Any] | None = None, **terms: Any) -> Targets:
        usual: dict[str, Any] = {"may_load": True, "timeout": 180.0, "patience": 60.0, "config": str(self.config)}
        self.made.append(Targets(Terms(**usual | terms), named))
        return self.made[-1]

    def close(self) -> None:
        for targets in self.made:
            targets.close()


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Iterator[Client]:
    made = Client(server, tmp_path)
    yield made
    made.close()

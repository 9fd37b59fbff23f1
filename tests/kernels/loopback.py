"""Debian's archive on this machine, as command and plugin see it: mirror, archive server, snapshots, keyring."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from everykernel.kernels import armour, catalogue, mirror, trust

from . import published
from .archive import Server
from .published import Signer

SUITES = {"bookworm-security": "pool/updates/main/l/linux", "bookworm": "pool/main/l/linux"}
_KNOWN = replace(catalogue.load(), rolling={})


def settings(url: str) -> dict[str, str]:
    """Return the environment in which a server's archives are Debian's."""
    return {mirror.SETTING: f"{url}/debian {url}/debian-security", "EVERYKERNEL_SOURCES": "debian"}


def pretend(url: str, keyrings: Path, change: Callable[[object, str, object], None] = setattr) -> None:
    """Take a server for Debian's own servers, and the keyring of a folder for the host's."""
    known = replace(_KNOWN, archive=f"{url}/archive", snapshot=f"{url}/snapshot/{{archive}}/{{time}}")
    change(catalogue, "load", lambda path=None, distribution="debian": known)
    change(trust, "_KEYRING_FOLDERS", (keyrings,))


class Archive:
    """Both archives, with packages that come and go.

    Attributes:
        server, signer: who serves and signs them.
        keyrings: the folder with the keyring of who signs them.
    """

    def __init__(self, folder: Path, server: Server, signer: Signer) -> None:
        self.server, self.signer, self._top = server, signer, folder / "archives"
        self.keyrings = folder / "keyrings"
        self.keyrings.mkdir()
        plain = armour.plain(self.signer.public.read_bytes(), "")
        (self.keyrings / "debian-archive-keyring.gpg").write_bytes(plain)
        for suite in SUITES:
            self.pool(suite).mkdir(parents=True)

    def pool(self, suite: str) -> Path:
        """Return the folder of a suite's packages."""
        return self._archive(suite) / SUITES[suite]

    def add(self, suite: str, release: str, version: str, members: dict[str, bytes]) -> Path:
        """Build a package of a kernel in a suite's pool."""
        return published.deb(self.pool(suite), f"linux-image-{release}", version, members, compression="zstd")

    def publish(self, *, pooled: dict[str, Path] | None = None) -> None:
        """Write the indexes anew and serve all that there is, and in the pools by suite what no index has any more."""
        for suite, packages in SUITES.items():
            published.index(self._archive(suite), {suite: packages}, self.signer)
        for suite, path in (pooled or {}).items():
            shutil.copy(path, self.pool(suite))
        self.server.files.clear()
        for name in ("debian", "debian-security"):
            published.serve(self.server, self._top / name, f"/{name}")

    def _archive(self, suite: str) -> Path:
        return self._top / ("debian-security" if suite.endswith("-security") else "debian")

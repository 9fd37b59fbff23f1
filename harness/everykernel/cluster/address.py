"""Addresses of schedulers and workers, and which of them need TLS.

Who reaches a scheduler or a worker of distributed runs code there: its protocol carries pickled functions. Without TLS,
which authenticates both sides, it is for networks of one's own only.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

from everykernel.errors import ToolMissing, UsageError

PORT = 8786  # of a scheduler where none is said: distributed's own default
SCHEMES = ("tcp", "tls")
FORM = "tcp://HOST:8786, or tls://HOST:8786"


@dataclass(frozen=True)
class Address:
    """Where a scheduler listens."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse(text: str, where: str = "--cluster") -> Address:
    """Return the address that a text means; raise UsageError for what is none."""
    try:
        parts = urlsplit(text)
        port = parts.port or PORT
    except ValueError as e:
        raise UsageError(f"{text!r} is no address: {e}", where=where, remedy=FORM) from e
    if parts.scheme not in SCHEMES or not parts.hostname or parts.path or parts.query or parts.username:
        raise UsageError(f"{text!r} is no address of a scheduler", where=where, remedy=FORM)
    return Address(parts.scheme, parts.hostname, port)


def check(address: Address, where: str) -> None:
    """Raise UsageError for an address on the public Internet without TLS, and for a host that has none."""
    if address.scheme == "tls":
        return
    try:
        found = {row[4][0] for row in socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)}
    except OSError as e:
        raise UsageError(f"host {address.host!r} is not known: {e.strerror}", where=where) from e
    for text in sorted(str(one) for one in found):
        if is_public(text):
            raise UsageError(
                f"{text} is a public address, and without TLS whoever reaches it runs code here",
                where=where,
                remedy=f"tls://{address.host}:{address.port} (docs/cluster.md), or a private network",
            )


def is_public(ip: str) -> bool:
    """Return whether an address is one of the public Internet's."""
    return ipaddress.ip_address(ip.partition("%")[0]).is_global


def require(where: str = "--cluster") -> None:
    """Raise ToolMissing where the extra is not installed."""
    if find_spec("distributed") is None:
        raise ToolMissing("needs Dask's distributed", where=where, remedy="pip install 'everykernel[cluster]'")

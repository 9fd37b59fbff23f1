"""A connection to a target: opened by the user's own keys and known hosts, its errors told apart."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

import paramiko

from everykernel.errors import HostKeyChanged, HostKeyUnknown, LoginRefused, TargetError, TargetUnreachable
from everykernel.machine.ssh.config import Route, route
from everykernel.machine.ssh.target import Target, Terms

# What a connection that breaks raises, and a peer that says nonsense.
BROKEN = (paramiko.SSHException, paramiko.SFTPError, EOFError, OSError, ValueError, IndexError, struct.error)
_KEEPALIVE = 10  # seconds
_GONE_AFTER = 30_000  # milliseconds in which a peer has to acknowledge what we sent (tcp(7), TCP_USER_TIMEOUT)
_DEPTH = 8  # hosts on the way to one
logging.getLogger("paramiko").addHandler(logging.NullHandler())  # what it logs, it raises too


class Connection:
    """An open connection.

    Attributes:
        route: how the target is reached.
        transport: paramiko's.
    """

    def __init__(self, client: paramiko.SSHClient, way: Route, before: list[Any]) -> None:
        self.route = way
        transport = client.get_transport()
        assert transport is not None
        self.transport = transport
        self._client = client
        self._before = before
        self._sftp: paramiko.SFTPClient | None = None

    @property
    def alive(self) -> bool:
        """Whether it is still there, as far as is known."""
        return self.transport.is_active()

    def sftp(self, patience: float) -> paramiko.SFTPClient:
        """Return what moves files; raise TargetError where the target has nothing for it."""
        if self._sftp is None:
            try:
                made = paramiko.SFTPClient.from_transport(self.transport)
            except BROKEN as e:
                if not self.alive:
                    raise TargetUnreachable("the connection was cut", where=self.route.name) from e
                remedy = "install its sftp-server, or name it in sshd_config: Subsystem sftp internal-sftp"
                raise TargetError("it does not serve SFTP", where=self.route.name, remedy=remedy) from e
            assert made is not None
            self._sftp = made
        channel = self._sftp.get_channel()
        assert channel is not None
        channel.settimeout(patience)
        return self._sftp

    def close(self) -> None:
        """End it, and those that it goes through."""
        self._client.close()
        for one in self._before:
            with contextlib.suppress(OSError):
                one.close()


def connect(target: Target, terms: Terms, *, depth: int = 0) -> Connection:
    """Return a connection to a target.

    Raises:
        TargetUnreachable: nobody answers there, or not by SSH.
        HostKeyUnknown, HostKeyChanged: it cannot be believed.
        LoginRefused: it lets us not in.
        UsageError: ~/.ssh/config cannot be followed.
    """
    way = route(target, terms.config)
    if depth > _DEPTH:
        raise TargetUnreachable("its ProxyJump has no end", where=target.spec)
    before: list[Any] = []
    try:
        end = _end(way, terms, before, depth)
        client = _client(way, terms)
        before.insert(0, end)
        _log_in(client, way, terms, end)
        made = Connection(client, way, before)
        made.transport.set_keepalive(_KEEPALIVE)
    except BaseException:
        for one in before:
            with contextlib.suppress(OSError):
                one.close()
        raise
    return made


def _end(way: Route, terms: Terms, before: list[Any], depth: int) -> Any:
    """Return a stream to the target's SSH server; what it goes through is added to ``before``."""
    if way.command:
        ours, theirs = socket.socketpair()
        with theirs:
            fd = theirs.fileno()
            process = subprocess.Popen(["/bin/sh", "-c", f"exec {way.command}"], stdin=fd, stdout=fd)
        before.append(_Ending(process))
        return ours
    if way.jumps:
        hop: Connection | None = None
        for jump in way.jumps:
            hop = connect(jump, terms, depth=depth + 1) if hop is None else _through(hop, jump, terms, before)
            before.insert(0, hop)
        assert hop is not None
        return _forward(hop, way, terms)
    try:
        end = socket.create_connection((way.host, way.port), terms.patience)
    except socket.gaierror as e:
        raise TargetUnreachable(f"there is no host {way.host!r}: {e.strerror}", where=way.name) from e
    except TimeoutError as e:
        text = f"{way.host} port {way.port} does not answer within {terms.patience:g} s"
        raise TargetUnreachable(text, where=way.name) from e
    except OSError as e:
        raise TargetUnreachable(f"{way.host} port {way.port}: {(e.strerror or str(e)).lower()}", where=way.name) from e
    with contextlib.suppress(OSError, AttributeError):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GONE_AFTER)
    return end


def _through(hop: Connection, jump: Target, terms: Terms, before: list[Any]) -> Connection:
    """Return a connection to the next host of several."""
    way = route(jump, terms.config)
    end = _forward(hop, way, terms)
    before.insert(0, end)
    client = _client(way, terms)
    _log_in(client, way, terms, end)
    return Connection(client, way, [])


def _forward(hop: Connection, way: Route, terms: Terms) -> Any:
    to, own = (way.host, way.port), ("127.0.0.1", 0)
    try:
        return hop.transport.open_channel("direct-tcpip", to, own, timeout=terms.patience)
    except BROKEN as e:
        text = f"{hop.route.host} does not reach {way.host} port {way.port}: {e or 'the connection was cut'}"
        raise TargetUnreachable(text, where=way.name) from e


class _Ending:
    """A ProxyCommand, which ends with its connection."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def close(self) -> None:
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)


def _client(way: Route, terms: Terms) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    for name in way.known:
        with contextlib.suppress(OSError, paramiko.SSHException):
            client.get_host_keys().load(str(Path(name).expanduser()))
    client.set_missing_host_key_policy(_Policy(way, terms.accept_new or way.trusting))
    return client


class _Policy(paramiko.MissingHostKeyPolicy):
    """Refuses a host that nobody knows, or believes it and knows it from then on."""

    def __init__(self, way: Route, trusting: bool) -> None:
        self._way = way
        self._trusting = trusting

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        if not self._trusting:
            remedy = "compare it with the host's own, then connect once by ssh, or give --target-accept-new"
            text = f"its host key is not known: {key.get_name()} {key.fingerprint}"
            raise HostKeyUnknown(text, fingerprint=key.fingerprint, where=self._way.name, remedy=remedy)
        path = Path(self._way.known[0]).expanduser()
        with contextlib.suppress(OSError):  # a file that cannot be written to knows nobody: told the next time
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(f"{hostname} {key.get_name()} {key.get_base64()}\n")


def _log_in(client: paramiko.SSHClient, way: Route, terms: Terms, end: Any) -> None:
    """Shake hands, check the host's key, and log in."""
    try:
        client.connect(
            way.alias or way.host,
            port=22 if way.alias else way.port,
            username=way.user,
            key_filename=[str(Path(name).expanduser()) for name in way.keys] or None,  # type: ignore[arg-type]
            allow_agent=way.agent,
            look_for_keys=way.agent and not way.keys,
            sock=end,
            timeout=terms.patience,
            banner_timeout=terms.patience,
            auth_timeout=terms.patience,
            channel_timeout=terms.patience,
        )
    except paramiko.BadHostKeyException as e:
        text = f"its host key is {e.key.get_name()} {e.key.fingerprint}, and another one is known: is it the same host?"
        remedy = f"if it was set up anew: ssh-keygen -R {_known_name(way)}"
        raise HostKeyChanged(text, where=way.name, remedy=remedy) from e
    except paramiko.PasswordRequiredException as e:
        raise LoginRefused("a private key has a passphrase", where=way.name, remedy="ssh-add it") from e
    except (paramiko.AuthenticationException, paramiko.SSHException) as e:
        if isinstance(e, paramiko.AuthenticationException) or "No authentication methods" in str(e):
            text = f"user {way.user!r} is not let in: none of our keys is taken"
            remedy = f"try: ssh -o BatchMode=yes -p {way.port} {way.user}@{way.host} true"
            raise LoginRefused(text, where=way.name, remedy=remedy) from e
        text = f"{way.host} port {way.port} speaks no SSH that we understand: {str(e) or 'the connection was cut'}"
        raise TargetUnreachable(text, where=way.name) from e
    except BROKEN as e:
        text = f"the connection was cut: {str(e) or 'its end was reached'}"
        raise TargetUnreachable(text, where=way.name) from e


def _known_name(way: Route) -> str:
    return way.alias or (way.host if way.port == 22 else f"'[{way.host}]:{way.port}'")

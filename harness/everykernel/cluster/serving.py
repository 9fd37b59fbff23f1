"""The processes of a cluster: a scheduler, and workers that offer slots. Each serves until it is ended.

They are distributed's own, with what ours need: slots as resources, under the name of our code, so that cells meet the
code that asked for them; one address to listen at; no web pages; a worker that is silent for a minute counts as lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import socket
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

from everykernel.cluster import address as addresses
from everykernel.cluster import code, site
from everykernel.cluster.address import Address
from everykernel.errors import HarnessError, UsageError

SILENT = "60 s"  # after which a worker that does not report counts as lost: distributed's own patience is five minutes
JOIN = 60.0  # seconds in which a scheduler has to answer
_EVENTS = 1000  # of a kind, that a scheduler remembers: nobody asks for older ones

Tell = Callable[[str], None]


def scheduler(host: str, port: int, *, tls: bool, tell: Tell) -> None:
    """Serve as a scheduler until SIGINT or SIGTERM.

    Raises UsageError for a public address without TLS, HarnessError where it cannot listen.
    """
    where = Address("tls" if tls else "tcp", host or "0.0.0.0", port)
    _check_listening(where)
    asyncio.run(_scheduler(where, tell))


def worker(scheduler: Address, *, slots: int, host: str, name: str, tell: Tell) -> None:
    """Serve as a worker until SIGINT or SIGTERM, or until the scheduler is lost.

    Args:
        scheduler: where it reports.
        slots: cells at once.
        host: the address to listen at, "" for the one from which it reaches the scheduler.
        name: its name in records, "" for one of the host's.
        tell: hears a line.

    Raises UsageError for a public address without TLS, HarnessError where no scheduler answers.
    """
    addresses.check(scheduler, "scheduler")
    own = Address(scheduler.scheme, host or _own_address(scheduler), 0)
    _check_listening(own)
    try:
        asyncio.run(_worker(scheduler, own, slots, name or f"{socket.gethostname()}-{secrets.token_hex(2)}", tell))
    finally:
        site.close()


def _check_listening(own: Address) -> None:
    """Raise UsageError where others of the Internet could reach what listens, and there is no TLS."""
    if own.host not in ("0.0.0.0", "::"):
        addresses.check(own, "--host")
        return
    if own.scheme == "tls":
        return
    import psutil  # comes with distributed

    found = [
        row.address for rows in psutil.net_if_addrs().values() for row in rows if row.family.name.startswith("AF_INET")
    ]
    if public := next(filter(addresses.is_public, found), ""):
        raise UsageError(
            f"this host has a public address, {public}, and there is no TLS", where="--host",
            remedy="--host of a private network, or --tls (docs/cluster.md)",
        )  # fmt: skip


def _own_address(scheduler: Address) -> str:
    """Return the address from which this host reaches a scheduler; nothing is sent to find it out."""
    try:
        family, kind, _, _, target = socket.getaddrinfo(scheduler.host, scheduler.port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(target)
            return str(probe.getsockname()[0])
    except OSError as e:
        raise HarnessError(f"cannot be reached: {e.strerror}", where=str(scheduler)) from e


async def _scheduler(where: Address, tell: Tell) -> None:
    from distributed import Scheduler

    _settle()
    try:
        async with Scheduler(host=where.host, port=where.port, protocol=where.scheme, dashboard=False) as serving:
            tell(f"scheduler at {serving.address}: everykernel worker {serving.address}")
            await _until_ended(serving.finished())
    except (OSError, RuntimeError, TypeError) as e:
        raise HarnessError(f"no scheduler can be had here: {_first(e)}", where=str(where)) from e


async def _worker(scheduler: Address, own: Address, slots: int, name: str, tell: Tell) -> None:
    from distributed import Worker

    _settle()
    with tempfile.TemporaryDirectory(prefix="everykernel-worker-") as folder:
        serving = Worker(
            str(scheduler),
            nthreads=slots,
            resources={code.resource(): slots},
            name=name,
            host=own.host,
            protocol=own.scheme,
            memory_limit=0,  # what takes memory is QEMU's, whose slots are counted
            local_directory=folder,
            dashboard=False,
            death_timeout=JOIN,
        )
        try:
            await serving
        except (OSError, RuntimeError, TypeError, ValueError) as e:
            raise HarnessError(f"no scheduler answers: {_first(e)}", where=str(scheduler)) from e
        tell(f"worker {name} at {serving.address}: {slots} slot{'' if slots == 1 else 's'}, code {code.digest()}")
        ended = await _until_ended(serving.finished())
        with contextlib.suppress(Exception):
            await serving.close(timeout=5)
        if not ended:
            raise HarnessError("the scheduler is gone, or took this worker for lost", where=str(scheduler))


async def _until_ended(finished: Awaitable[Any]) -> bool:
    """Wait for SIGINT or SIGTERM, or for a server's own end; return whether it was a signal."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    waiting = [asyncio.ensure_future(ended.wait()), asyncio.ensure_future(finished)]
    _, open_ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for one in open_:
        one.cancel()
    return ended.is_set()


def _settle() -> None:
    """Set what a server here does otherwise than distributed's usual one."""
    import dask

    dask.config.set(
        {
            "distributed.scheduler.worker-ttl": SILENT,
            "distributed.admin.low-level-log-length": _EVENTS,
            "distributed.worker.profile.enabled": False,  # of Python code: the work is QEMU's
        }
    )
    for name in ("distributed", "distributed.scheduler", "distributed.worker", "distributed.core", "distributed.comm"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # each client that leaves would be a traceback


def _first(error: Exception) -> str:
    """Return the first line of what an error says."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__

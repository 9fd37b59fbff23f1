"""``everykernel worker`` and ``everykernel scheduler``: the machines of a cluster."""

from __future__ import annotations

from typing import Any

import click

from everykernel.cli import say
from everykernel.cluster import address as addresses


@click.command("worker")
@click.argument("scheduler", metavar="tcp://HOST:8786")
@click.option("--slots", type=click.IntRange(1, 1024), metavar="N", help="Cells at once. [default: as many as cores]")
@click.option("--host", default="", metavar="ADDRESS", help="Listen there. [default: where it reaches the scheduler]")
@click.option("--name", default="", metavar="NAME", help="What results call it. [default: the host's, and four digits]")
def worker(scheduler: str, slots: int | None, host: str, name: str) -> None:
    """Run cells that runs with --cluster send to a scheduler, until it is ended (docs/cluster.md).

    What they need is kept in this machine's cache, and snapshots are made here once. Whoever reaches the scheduler runs
    code here: use tls:// outside networks of your own.
    """
    addresses.require("worker")
    from everykernel.cluster import serving
    from everykernel.machine import slots as machine_slots

    found = addresses.parse(scheduler, "worker")
    serving.worker(found, slots=slots or machine_slots.cores(), host=host, name=name, tell=_tell)


@click.command("scheduler")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Listen there; 0.0.0.0: all.")
@click.option("--port", type=click.IntRange(0, 65535), default=addresses.PORT, show_default=True)
@click.option("--tls", is_flag=True, help="Speak TLS, with distributed's own settings for certificates.")
def scheduler(**options: Any) -> None:
    """Bring runs with --cluster and workers together, until it is ended (docs/cluster.md)."""
    addresses.require("scheduler")
    from everykernel.cluster import serving

    serving.scheduler(**options, tell=_tell)


def _tell(line: str) -> None:
    say.talk(f"everykernel: {line}")

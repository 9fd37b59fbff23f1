"""``everykernel report serve``: a local page over a folder of runs."""

from __future__ import annotations

from pathlib import Path

import click

from everykernel.cli import say
from everykernel.errors import UsageError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 for any that is free.")
@click.option("--bind", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where it listens.")
def serve(folder: Path, port: int, bind: str) -> int:
    """Serve the runs in DIR (itself, and each folder in it, with a results.json) until Ctrl-C; nothing is written.

    The list of runs, each cell over time, and every run's own page.
    """
    from everykernel.report.serving.server import Server

    try:
        server = Server(folder, bind, port)
    except (OSError, OverflowError, UnicodeError) as e:
        why = getattr(e, "strerror", None) or e
        raise UsageError(f"cannot listen on {bind}, port {port}: {why}", where="serve", remedy="another --port") from e
    try:
        say.out(server.url)
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        say.talk("everykernel: stopped")
    finally:
        server.server_close()
    return 0

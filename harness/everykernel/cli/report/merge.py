"""``everykernel report merge``: parts of a run, or several runs, as one."""

from __future__ import annotations

from pathlib import Path

import click

from everykernel.cli import say
from everykernel.comparing import parts
from everykernel.errors import HarnessError
from everykernel.report import terminal
from everykernel.report.merging import merge_into


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "out",
    required=True,
    metavar="DIR|FILE.json",
    type=click.Path(path_type=Path),
    help="Where to: a report folder with evidence and views, or one file of results.",
)
@click.option("--partial", is_flag=True, help="Do not mind that shards of a run are missing.")
def merge(files: tuple[Path, ...], out: Path, partial: bool) -> int:
    """Put the results in FILEs (results.json files, or report folders) together.

    The order of the FILEs decides nothing. Of a cell that several hold, the last verdict is shown, and the others are
    kept beside it. Exit code 4 where shards of a run are missing.
    """
    merged = merge_into(files, out)
    runs = parts.of(merged)
    say.out(f"{out}: {len(runs)} run{'' if len(runs) == 1 else 's'}, {terminal.counts(merged['results'])}")
    missing = parts.missing_shards(runs)
    if missing and not partial:
        raise HarnessError(
            f"shard {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} in none of the files: "
            "cells may be missing",
            where=str(out),
            remedy="merge all shards of the run, or say --partial",
        )
    return 0

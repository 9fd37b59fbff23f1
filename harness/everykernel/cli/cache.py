"""``everykernel cache``: what is kept on this machine, and how to have its room back."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from everykernel import cache, packed
from everykernel.cli import say
from everykernel.errors import UsageError
from everykernel.report import screen

_UNITS = {"": 1e9, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]b)?", re.IGNORECASE)


@click.group("cache")
def cache_group() -> None:
    """List and prune what is kept: kernels, packages, guest images, snapshots.

    The cache keeps itself below EVERYKERNEL_CACHE_LIMIT (GB): what was used least recently goes first, and never what a
    run uses or is about to use.
    """


@cache_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def list_command(as_json: bool) -> None:
    """List the entries, the least recently used first: that is the order in which they would go."""
    found = cache.entries()
    if as_json:
        say.data([_plain(entry) for entry in found], indent=1)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("entry", overflow="fold")
    table.add_column("what", overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("last use", justify="right", no_wrap=True)
    now = time.time()
    for entry in found:
        used = "in use" if cache.busy(entry) else _ago(now - entry.used)
        table.add_row(screen.text(entry.name), screen.text(_what(entry)), shown(entry.bytes), used)
    out = screen.Screen()
    out.print(table)
    total = sum(entry.bytes for entry in found)
    out.print(screen.text(f"{shown(total)} of {shown(cache.limit())} in {cache.root()}"), soft_wrap=True)


@cache_group.command("prune")
@click.option("--to", "size", metavar="SIZE", help="Until so much is left: 5GB, 500MB; a bare number is GB.")
@click.option("--all", "everything", is_flag=True, help="All that is not in use.")
def prune_command(size: str | None, everything: bool) -> None:
    """Delete the least recently used entries until the cache fits into its limit, or SIZE; what is in use stays."""
    if size is not None and everything:
        raise click.UsageError("say --to SIZE or --all, not both")
    maximum = 0 if everything else parse_size(size) if size is not None else cache.limit()
    gone = cache.prune(maximum)
    for entry in gone:
        say.out(f"removed {entry.name} ({shown(entry.bytes)})")
    left = cache.entries()
    total = sum(entry.bytes for entry in left)
    say.talk(f"{shown(sum(entry.bytes for entry in gone))} freed, {shown(total)} left")
    if total > maximum:
        say.talk(f"{len(left)} entries are in use, and stay")


@cache_group.command("pack")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def pack_command(file: Path) -> None:
    """Write kernels, images and snapshots into one FILE, for a machine that starts from nothing.

    It is a tar archive, compressed by zstd; snapshots of the same everykernel, QEMU and image are of use elsewhere.
    """
    found = packed.pack(file.absolute())
    say.out(f"{file}: {shown(file.stat().st_size)}, {len(found)} entries of {shown(sum(e.bytes for e in found))}")


@cache_group.command("unpack")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def unpack_command(file: Path) -> None:
    """Bring what a FILE of `cache pack` holds into the cache; what is there stays.

    Kernels and snapshots are run: take a FILE only from where nobody else can write.
    """
    for name in packed.unpack(file):
        say.out(f"added {name}")


def parse_size(text: str) -> int:
    """Return the bytes that a size means (``5GB``, ``500 MB``; a bare number is GB); raise UsageError for no size."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a size", where="--to", remedy="write 5GB or 500MB")
    return int(float(match[1]) * _UNITS[(match[2] or "").lower()])


def shown(count: float) -> str:
    """Return bytes as a person reads them."""
    return (
        f"{count / 1e9:.1f} GB"
        if count >= 1e9
        else f"{count / 1e6:.0f} MB"
        if count >= 1e6
        else f"{count / 1e3:.0f} kB"
    )


def _plain(entry: cache.Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "path": str(entry.path),
        "what": _what(entry),
        "bytes": entry.bytes,
        "used": entry.used,
        "in_use": cache.busy(entry),
    }


def _what(entry: cache.Entry) -> str:
    """Return what an entry is, from its own record."""
    kind, _, name = entry.name.partition("/")
    if kind == "snapshots":
        about = _record(entry, "about.json")
        machine = about.get("machine")
        memory = f", {machine.get('memory')} MiB" if isinstance(machine, dict) else ""
        return f"{about.get('spec', '?')}, {name.partition('-')[0]} snapshot{memory}"
    if kind == "kernels":
        record = _record(entry, "kernel.json")
        return f"kernel {record.get('series', '?')}, {record.get('flavour', '?')}"
    if kind == "images":
        return "modules of a kernel" if name.startswith("modules-") else "guest image"
    if kind == "cells":
        return f"verdicts of {sum(1 for _ in entry.path.glob('*.json'))} cells"
    if kind == "twins":
        record = _record(entry, "twin.json")
        return f"built: {record['series']}-{record['part']}" if {"series", "part"} <= set(record) else "source of twins"
    known = {"packages": "package of the guest image", "btf": "BTF of a kernel", "cluster": "what travels to workers"}
    return known.get(kind, "")


def _record(entry: cache.Entry, name: str) -> dict[str, Any]:
    try:
        found = json.loads((entry.path / name).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _ago(seconds: float) -> str:
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name} ago"
    return "now"

"""What subcommands print without colour: results on standard output, talk on standard error, both escaped."""

from __future__ import annotations

import codecs
import sys
from typing import Any

from everykernel.escaping import block, printable


def out(text: str) -> None:
    """Print a result, of one line or more."""
    _echo(block(text))


def talk(text: str) -> None:
    """Say one line to whoever watches."""
    _echo(printable(text), err=True)


def show(text: str) -> None:
    """Say one line or more to whoever watches."""
    _echo(block(text), err=True)


def data(value: Any, indent: int | None = None) -> None:
    """Print JSON for programs; all of it is printable ASCII, for it may be a person who looks."""
    import json

    _echo(json.dumps(value, indent=indent).replace("\x7f", "\\u007f"))


def _echo(text: str, *, err: bool = False) -> None:
    """Print as click does, and through click, which takes long to import, where the stream has no more than ASCII."""
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None)
    if encoding is None or codecs.lookup(encoding).name == "ascii":
        import click

        click.echo(text, err=err)
        return
    stream.write(f"{text}\n")
    stream.flush()

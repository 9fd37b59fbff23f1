"""What subcommands print without colour: results on standard output, talk on standard error, both escaped."""

from __future__ import annotations

import json
from typing import Any

import click

from everykernel.escaping import block, printable


def out(text: str) -> None:
    """Print a result, of one line or more."""
    click.echo(block(text))


def talk(text: str) -> None:
    """Say one line to whoever watches."""
    click.echo(printable(text), err=True)


def data(value: Any, indent: int | None = None) -> None:
    """Print JSON for programs; all of it is printable ASCII, for it may be a person who looks."""
    click.echo(json.dumps(value, indent=indent).replace("\x7f", "\\u007f"))

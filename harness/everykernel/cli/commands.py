"""The options of ``everykernel run`` that are about a command of the user's own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import click

from everykernel.architectures import Architecture
from everykernel.cli.choices import Command as Wrapped
from everykernel.errors import UsageError
from everykernel.matrix import case as case_
from everykernel.matrix import command as parsing
from everykernel.matrix import plan
from everykernel.matrix.case import Case

OPTIONS = ("cmd", "push", "sysroot", "headers", "exit_code", "stdout", "stderr", "env", "deadline")
"""The names of their parameters."""
_DEADLINE = 60.0


def options(command: Wrapped) -> Wrapped:
    """Add ``--cmd`` and what goes with it."""
    for option in reversed(
        (
            click.option("--cmd", metavar="COMMAND", help="A program of your own, with arguments, run in the guest."),
            pushed("With --cmd: what the command needs beside its program and that program's libraries."),
            sysroot("With --cmd: the root in which interpreters and libraries are looked for."),
            click.option("--headers", is_flag=True, help="With --cmd: push the kernel's headers, as BCC needs them."),
            click.option(
                "--exit", "exit_code", type=click.IntRange(0, 255), default=0, show_default=True, metavar="CODE",
                help="With --cmd: the exit code that is wanted.",
            ),
            click.option("--stdout", default="", metavar="REGEX", help="With --cmd: what its output is to hold."),
            click.option("--stderr", default="", metavar="REGEX", help="With --cmd: what its errors are to hold."),
            environment("With --cmd: a variable of its environment"),
            click.option(
                "--deadline", type=click.FloatRange(0, 3600, min_open=True), default=_DEADLINE, show_default=True,
                metavar="SECONDS", help="With --cmd: when it is ended.",
            ),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def pushed(text: str) -> Wrapped:
    """Return the option ``--push``."""
    what = f"{text} A file or a folder; without GUEST_PATH it keeps its relative path, below /root. May be repeated."
    return click.option("--push", multiple=True, metavar="FILE[:GUEST_PATH]", help=what)


def sysroot(text: str) -> Wrapped:
    """Return the option ``--sysroot``."""
    what = f"{text} A folder, such as unpacked packages; {{arch}} in it is the kernel's. [default: this host's own]"
    return click.option("--sysroot", default="", metavar="DIR", help=what)


def environment(text: str) -> Wrapped:
    """Return the option ``--env``."""
    return click.option("--env", multiple=True, metavar="NAME[=VALUE]", help=f"{text}, else ours. May be repeated.")


def variables(given: Sequence[str]) -> list[tuple[str, str]]:
    """Return what ``--env`` says: ``NAME=VALUE``, or ``NAME`` for the value that it has here, if it has one."""
    found = []
    for text in given:
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f"{text!r} names no variable", where="--env", remedy="NAME=VALUE")
        if equals or name in os.environ:
            found.append((name, value if equals else os.environ[name]))
    return found


def cases(
    objects: Sequence[str],
    *,
    cmd: str | None,
    push: tuple[str, ...],
    sysroot: str,
    headers: bool,
    exit_code: int,
    stdout: str,
    stderr: str,
    env: tuple[str, ...],
    deadline: float,
) -> list[Case]:
    """Return the cases of a run: those of its objects, and its command."""
    found = plan.cases(objects)
    if cmd is not None:
        command = parsing.parse(
            parsing.words(cmd, "--cmd"),
            push=push,
            sysroot=sysroot,
            headers=headers,
            exit_code=exit_code,
            stdout=stdout,
            stderr=stderr,
            env=variables(env),
            where="--cmd",
        )
        return [*found, case_.of_command(command, deadline)]
    if not found:
        raise UsageError("nothing is to be run", remedy="name an object, a case.toml or a folder of cases, or --cmd")
    if push or sysroot or headers or env or stdout or stderr or exit_code:
        raise UsageError("options of a command, and no command", where="run", remedy="--cmd './mytool --self-test'")
    return found


def check(cases: Iterable[Case], arch: Architecture) -> None:
    """Raise UsageError where a command's files are not there, or are not for such a kernel, before anything boots."""
    for case in cases:
        if case.command is not None:
            case.command.tree(arch)

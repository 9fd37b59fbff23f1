"""The command ``everykernel``: errors are printed here and only here.

click is imported for command lines that need it (`everykernel.cli.light`); its exceptions come from nowhere else.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from typing import TYPE_CHECKING

from everykernel.cli import light, say
from everykernel.errors import EverykernelError, HarnessError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click


_RARELY = 100_000  # objects made until garbage is looked for: of a short process that is a twentieth of its time


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0 all passed, 1 an object or case failed, 2 usage, 3 a guest broke, 4 the harness or its surroundings broke, 130
    interrupted.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that its encoding lacks ends nothing
    try:
        result = _run(list(argv) if argv is not None else sys.argv[1:])
    except EverykernelError as e:
        return _report(e)
    except KeyboardInterrupt as e:
        return _interrupted(e)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        return 1
    except Exception as e:
        import click

        if isinstance(e, click.ClickException):
            say.show(f"everykernel: {_where(e)}{e.format_message()}")
            return e.exit_code
        if isinstance(e, click.Abort):
            return _interrupted(e)
        return _report(HarnessError(f"{type(e).__name__}: {e}", remedy="this is a defect of everykernel: report it"))
    return result if isinstance(result, int) else 0


def _run(argv: list[str]) -> object:
    """Run a command line, and return what its command does."""
    asked = light.relocate(argv)
    if asked is not None:
        gc.set_threshold(_RARELY)
        from everykernel.cli import relocating

        return relocating.show(*asked)
    from everykernel.cli.group import cli

    return cli.main(args=argv, prog_name="everykernel", standalone_mode=False)


def _interrupted(error: BaseException) -> int:
    told = str(error.__cause__ or error)  # click raises Abort from what it caught
    say.talk(f"everykernel: interrupted{': ' if told else ''}{told}")
    return 130


def debugging() -> bool:
    """Return whether tracebacks are wanted: EVERYKERNEL_DEBUG is set."""
    return bool(os.environ.get("EVERYKERNEL_DEBUG"))


def _report(error: EverykernelError) -> int:
    if debugging():
        import traceback

        say.show(traceback.format_exc())
    say.talk(f"everykernel: {error}")
    if error.exit_code == HarnessError.exit_code and not debugging():
        say.talk("everykernel: EVERYKERNEL_DEBUG=1 shows where it happened")
    return error.exit_code


def _where(error: click.ClickException) -> str:
    """Return the subcommand that a usage error arose in."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else ""
    return f"{path.removeprefix('everykernel').strip()}: ".lstrip(": ") if path else ""

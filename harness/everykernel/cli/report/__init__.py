"""``everykernel report``: what was recorded, shown, written anew, compared; a subcommand is imported when called."""

from __future__ import annotations

import importlib

import click

_COMMANDS = {  # name: the function in the module of that name, and its line in the help
    "show": "Show results as a matrix (report FILE is the same).",
    "render": "Write the views of results into a folder.",
    "annotate": "Print what did not pass as annotations of lines of C.",
    "check": "Say whether results are green, against a baseline and rules.",
}


class _Group(click.Group):
    """A group whose first argument is a subcommand, or belongs to ``show``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"{__name__}.{cmd_name}"), cmd_name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*_COMMANDS, *ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Group)
def report() -> None:
    """Show, write anew or compare what a run recorded (results.json, or the folder that holds one)."""

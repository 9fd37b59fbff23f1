"""The command ``everykernel`` as click has it. Subcommands are imported when they are called."""

from __future__ import annotations

import importlib
from typing import NamedTuple

import click


class _Entry(NamedTuple):
    target: str  # module:attribute
    help: str


_COMMANDS = {
    "run": _Entry("everykernel.cli.run:run", "Relocate, load and run objects, cases and commands on kernels."),
    "init": _Entry("everykernel.cli.init:init", "Write what a repository needs to be tested on many kernels."),
    "shell": _Entry("everykernel.cli.shell:shell", "Open a prompt, or run a command, on a kernel."),
    "exec": _Entry(
        "everykernel.cli.exec:exec_command", "Run a program of this host on kernels (go test -exec, cargo)."
    ),
    "kernels": _Entry("everykernel.cli.kernels:kernels_group", "List, fetch, locate and remove kernels."),
    "cache": _Entry("everykernel.cli.cache:cache_group", "List and prune what is kept on this machine."),
    "relocate": _Entry("everykernel.cli.relocate:relocate", "Show what relocations come to in kernels, booting none."),
    "explain": _Entry("everykernel.cli.explain:explain", "Say in words what does not fit a kernel, and what would."),
    "extract": _Entry("everykernel.cli.extract:extract", "Write out the objects inside a program or library."),
    "btf": _Entry("everykernel.cli.btf:btf", "Look into BTF, compare two, cut one down."),
    "report": _Entry("everykernel.cli.report:report", "Show results, write their views."),
    "worker": _Entry("everykernel.cli.cluster:worker", "Run cells that runs with --cluster send."),
    "scheduler": _Entry("everykernel.cli.cluster:scheduler", "Bring runs with --cluster and workers together."),
    "library": _Entry("everykernel.cli.library:library", "Write the loader, as a Python library, into one file."),
    "compile": _Entry("everykernel.cli.compile:compile_command", "Compile the cases' BPF programs."),
    "doctor": _Entry("everykernel.cli.doctor:doctor", "Say what is present, what is missing, and what to do about it."),
}


class _Group(click.Group):
    """A group that imports a subcommand only when it is called or asked for its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in _COMMANDS.items()])


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"everykernel {version('everykernel')}")
        ctx.exit()


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Print the version."
)
def cli() -> None:
    """Prove that compile-once eBPF objects run on every kernel that matters."""

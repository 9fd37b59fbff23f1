"""Options that several subcommands share."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from everykernel import settings
from everykernel.errors import UsageError
from everykernel.loaders.names import REAL, USUAL_RULES

Command = Callable[..., Any]

TIMES = click.IntRange(settings.RETRIES.start, settings.RETRIES.stop - 1)
MEBIBYTES = click.IntRange(settings.MEMORY.start, settings.MEMORY.stop - 1)


class ProjectCommand(click.Command):
    """A command whose options the project's pyproject.toml may give; command line and environment win over it."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Return the context, in which the table's keys are the defaults of the options of the same name."""
        table = settings.read(Path.cwd())
        defaults = {}
        for parameter in self.params:
            for name in parameter.opts:
                key = _KEYS.get(name, name.removeprefix("--"))
                if key in table and parameter.name:
                    defaults[parameter.name] = ",".join(table[key]) if key in _LISTS else table[key]
        return super().make_context(info_name, args, parent, default_map=defaults, **extra)


_LISTS = ("kernels", "loader")  # keys whose options take one text with commas
_KEYS = {"--kernels-missing": "missing"}  # options that are called otherwise than their keys


def _lock(context: click.Context, option: click.Parameter, given: bool) -> None:
    """Say so to whatever resolves kernels, in this process and its children."""
    if given:
        from everykernel.kernels import lock

        os.environ[lock.SETTING] = "1"


def kernels(command: Command, *, required: bool = True) -> Command:
    """Add ``--kernels``, ``--kernels-missing`` and ``--locked``."""
    command = click.option(
        "--locked",
        is_flag=True,
        expose_value=False,
        callback=_lock,
        help="Take no kernel that everykernel.lock does not name.",
    )(command)
    command = click.option(
        "--kernels-missing",
        type=click.Choice(["fail", "skip"]),
        default="fail",
        show_default=True,
        help="What to do about a kernel that no source serves.",
    )(command)
    return click.option(
        "--kernels",
        "kernel_list",
        metavar="LIST",
        envvar="EVERYKERNEL_KERNELS",
        required=required,
        help="Kernels, separated by commas: 5.10,6.1,6.12,6.1/i386.",
    )(command)


def kernels_or_report(command: Command) -> Command:
    """Add the same, and ``--from-report`` and ``--failed``: what a report has to run again names its kernels."""
    command = click.option("--failed", is_flag=True, help="Of the report, only the cells that did not pass.")(command)
    command = click.option(
        "--from-report",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Run the cells of this report again, as they were asked for. Take reports that you trust: they say what "
        "is run.",
    )(command)
    return kernels(command, required=False)


def twins(command: Command) -> Command:
    """Add ``--twins``."""
    return click.option(
        "--twins",
        "twin_list",
        metavar="LIST",
        help="Twins, separated by commas: 6.1 stands for 6.1-btf, 6.1-nobtf and 6.1-supplied, side by side, and "
        "instead of the project's kernels. `everykernel kernels build 6.1` builds them.",
    )(command)


def with_twins(kernel_list: str | None, twin_list: str | None) -> str | None:
    """Return what ``--kernels`` and ``--twins`` name together; only a command line adds kernels to twins."""
    if twin_list is None:
        return kernel_list
    from everykernel.kernels.twins import parts

    where = click.get_current_context().get_parameter_source("kernel_list")
    given = kernel_list if where is click.core.ParameterSource.COMMANDLINE else None
    return ",".join([*filter(None, [given]), *parts.specs(twin_list)])


def btf_sources(command: Command) -> Command:
    """Add ``--btf`` and ``--kernels``, which name the kernels whose BTF is looked at; nothing is booted."""
    command = click.option(
        "--btf",
        metavar="FILE|KERNEL",
        multiple=True,
        help="BTF: raw, in an ELF file (vmlinux), in a kernel image, or of a kernel by its spec. May be repeated.",
    )(command)
    return click.option(
        "--kernels",
        "kernel_list",
        metavar="LIST",
        envvar="EVERYKERNEL_KERNELS",
        help="Kernels by their specs, separated by commas: 5.10..6.12,7.3. [default, without --btf: the project's]",
    )(command)


def guests(command: Command) -> Command:
    """Add ``--accel`` and ``--timeout``."""
    command = click.option(
        "--timeout",
        type=click.FloatRange(0, min_open=True),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="How long a guest may take to answer a request that has no deadline of its own.",
    )(command)
    return click.option(
        "--accel",
        type=click.Choice(["auto", "kvm", "tcg"]),
        default="auto",
        show_default=True,
        help="The accelerator of the guests.",
    )(command)


def machine(command: Command) -> Command:
    """Add ``--machine``."""
    return click.option(
        "--machine",
        type=click.Choice(settings.MACHINES),
        default=settings.QEMU,
        show_default=True,
        help="What cells run in: qemu, a guest with Python; bare, one with nothing but a static program, its loader "
        "on this host: neither triggers nor checks run there; vng, one with this host's own user space, by virtme-ng. "
        "A kernel that says its own has that: --kernels 6.1,6.1@bare,6.1@vng.",
    )(command)


def targets(command: Command) -> Command:
    """Add ``--target``, ``--target-may-load`` and ``--target-accept-new``."""
    command = click.option(
        "--target-accept-new",
        "accept_new",
        is_flag=True,
        help="Believe a target whose host key is not known, and know it from then on; a changed key is refused anyway.",
    )(command)
    command = click.option(
        "--target-may-load",
        "may_load",
        is_flag=True,
        help="Allow to load into the targets' own kernels; without it they are asked for facts and BTF, and objects "
        "are relocated.",
    )(command)
    return click.option(
        "--target",
        "target_list",
        metavar="ssh://[USER@]HOST[:PORT]|NAME",
        multiple=True,
        help="A machine that runs already, as a column: a host of ~/.ssh/config, or a name of "
        "[tool.everykernel.targets]. May be repeated; --kernels takes ssh://HOST too.",
    )(command)


def rules(command: Command) -> Command:
    """Add ``--rules``."""
    return click.option(
        "--rules",
        type=click.Choice(REAL),
        default=USUAL_RULES,
        show_default=True,
        help="The loader whose rules decide, where a case does not say.",
    )(command)


def reuse(command: Command) -> Command:
    """Add ``--reuse`` and ``--fresh``: the parameter is True, False, or None where neither is given."""
    return click.option(
        "--reuse/--fresh",
        default=None,
        help="Take the verdict of an earlier run where nothing has changed that decides it, and keep new ones; or run "
        "every cell, and keep its verdict anew. [default: neither]",
    )(command)


def loaders(command: Command) -> Command:
    """Add ``--loader``."""
    return click.option(
        "--loader",
        "loaders",
        metavar="LIST",
        help="Who loads, separated by commas: own, libbpf, ebpf-go, aya, or NAME=PATH of an adapter of your own. "
        "Each object has a fresh kernel for each. [default: own]",
    )(command)


def specs(text: str) -> list[str]:
    """Return the kernel specs in a list separated by commas; raise UsageError if there are none."""
    named = [part.strip() for part in text.split(",") if part.strip()]
    found = settings.expanded(named, settings.read(Path.cwd()))
    if not found:
        raise UsageError("no kernels were named", where="--kernels", remedy="--kernels 5.10,6.1,6.12")
    return found


def given(*without: str) -> str:
    """Return the options that the command under way was given on its command line, as the shell takes them again.

    ``without`` are names of parameters that are left out.
    """
    context = click.get_current_context()
    words: list[str] = []
    for option in context.command.params:
        name = option.name or ""
        if name in without or name not in context.params or not isinstance(option, click.Option):
            continue
        if context.get_parameter_source(name) is not click.core.ParameterSource.COMMANDLINE:
            continue
        value = context.params[name]
        if option.is_flag:
            words.append(option.opts[-1] if value else option.secondary_opts[-1])
        elif option.count:
            words += [option.opts[0]] * value
        else:
            for one in value if option.multiple else (value,):
                words += [option.opts[-1], f"{one:g}" if isinstance(one, float) else str(one)]
    return "".join(f" {shlex.quote(word)}" for word in words)

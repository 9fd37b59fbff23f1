"""``everykernel shell``: a prompt or a command on a kernel."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import click
from rich.live import Live
from rich.text import Text

from everykernel import machine
from everykernel.cli import choices
from everykernel.cli.prompt import follow, prompt
from everykernel.machine import Guest, MachineSpec
from everykernel.matrix.campaign import Campaign
from everykernel.matrix.plan import columns
from everykernel.matrix.progress import Board
from everykernel.report.screen import Screen


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("kernel")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@choices.guests
@click.option("--cpus", type=int, default=2, show_default=True, help="Virtual CPUs.")
@click.option("--memory", type=int, default=256, show_default=True, metavar="MIB", help="Memory.")
@click.option("--cmdline", default="", metavar="TEXT", help="More of the kernel's command line.")
@click.option("--module", "modules", multiple=True, metavar="NAME", help="A kernel module to load; may be repeated.")
@click.option("--push", "pushed", multiple=True, metavar="FILE:PATH", help="Copy a file to the guest first.")
@click.option(
    "-i", "--stdin", "takes_input", is_flag=True, help="Read standard input to its end, and pass it to COMMAND."
)
def shell(
    kernel: str,
    command: tuple[str, ...],
    accel: str,
    timeout: float,
    cpus: int,
    memory: int,
    cmdline: str,
    modules: tuple[str, ...],
    pushed: tuple[str, ...],
    takes_input: bool,
) -> int:
    """Open a prompt on KERNEL, or run COMMAND there and pass its exit code on.

    everykernel shell 6.1 -- uname -r
    """
    board, talk = Board(), Screen(stderr=True)
    found = columns([kernel], progress=board)
    spec = MachineSpec(cpus=cpus, memory=memory, cmdline=cmdline, modules=modules)
    campaign = Campaign(
        found[:1],
        machine.assemble(machine.Machines(accel, timeout, board), None, board),
        width=1,
        board=board,
        timeout=timeout,
    )
    with closing(campaign):
        guest = _start(campaign, found[0].spec, spec, talk)
        with guest:
            for pair in pushed:
                source, _, target = pair.partition(":")
                guest.push(target or f"/root/{Path(source).name}", Path(source).read_bytes(), mode=0o755)
            if command:
                return follow(guest, command, sys.stdin.buffer.read() if takes_input else b"")
            return prompt(guest, f"{guest.kernel.spec}: {guest.facts.release}")


def _start(campaign: Campaign, spec: str, machine: MachineSpec, talk: Screen) -> Guest:
    """Return the guest, showing what has to be done for it first."""
    future = campaign.start_later(spec, machine)
    with Live(console=talk, transient=True, auto_refresh=False) as live:
        while True:
            try:
                guest = future.result(timeout=0.1)
            except TimeoutError:
                if future.done():
                    raise
            else:
                break
            finally:
                for message in campaign.board.messages():
                    talk.print(f"everykernel: {message}", soft_wrap=True)
            if talk.is_terminal:
                live.update(Text("\n".join(campaign.board.lines())), refresh=True)
    return guest

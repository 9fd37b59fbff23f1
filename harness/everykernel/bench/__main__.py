"""``python -m everykernel.bench``: measure, and print the figures with their ratios."""

from __future__ import annotations

import os
import statistics
import sys

import click

from everykernel import folders
from everykernel.bench import measure, peer
from everykernel.bench.report import Column, Host, text
from everykernel.errors import EverykernelError, ToolMissing
from everykernel.kernels.model import Kernel
from everykernel.machine import Machines
from everykernel.machine.vng import needs
from everykernel.matrix import plan


@click.command()
@click.option("--kernels", "specs", default="5.10,6.1,6.12,6.1/i386", show_default=True, help="The matrix's kernels.")
@click.option("--peers", default="6.1,6.12,6.1+generic", show_default=True, help="Kernels for the comparison.")
@click.option("--case", "name", default="exec_event", show_default=True, help="The case that is measured whole.")
@click.option("--repeat", default=7, show_default=True, help="Restores and cases for each kernel.")
@click.option("--boots", default=3, show_default=True, help="Cold boots for each kernel, the peer's as well.")
@click.option("--accel", default="auto", show_default=True, type=click.Choice(["auto", "kvm", "tcg"]))
def main(specs: str, peers: str, name: str, repeat: int, boots: int, accel: str) -> None:
    """Measure boot, restore, case and matrix, and virtme-ng in the same kernels. Takes some minutes."""
    busy = os.getloadavg()[0]
    columns = plan.columns(specs.split(","))
    case = plan.cases([str(folders.data("cases") / name)])[0]
    with Machines(accel) as machines:
        compared = []
        for column in plan.columns(peers.split(",")):
            kernel = column.kernel()
            _say(f"{kernel.spec}: {boots} boots, {repeat} restores, {repeat} cases")
            speed = measure.speed(machines, kernel, case, repetitions=repeat, boots=boots)
            _say(f"{kernel.spec}: virtme-ng")
            compared.append(Column(kernel, speed, *_peer(kernel, boots, kvm="kvm" in machines.accelerator)))
        _say("the matrix")
        whole = measure.matrix(machines, columns, plan.cases([str(folders.data("cases"))]))
        host = Host(machines.accelerator, len(os.sched_getaffinity(0)), busy)
    click.echo(text(host, compared, whole, kernels=specs, case=name, peer=_peer_name()))


def _peer(kernel: Kernel, boots: int, *, kvm: bool) -> tuple[float | None, str]:
    """Return the peer's median in seconds, or None and why it has none."""
    try:
        return statistics.median(peer.run_true(kernel, kvm=kvm) for _ in range(boots)), ""
    except (peer.PeerUnable, ToolMissing) as e:
        return None, str(e)


def _peer_name() -> str:
    try:
        return needs.version()
    except ToolMissing:
        return "virtme-ng"


def _say(message: str) -> None:
    click.echo(f"everykernel: {message}", err=True)


if __name__ == "__main__":
    try:
        main()
    except EverykernelError as e:
        click.echo(f"everykernel: {e}", err=True)
        sys.exit(e.exit_code)

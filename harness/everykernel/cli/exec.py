"""``everykernel exec``: a program of this host on kernels, as ``go test -exec`` and cargo's runner call one."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import IO

import click

from everykernel import machine
from everykernel.cli import choices, commands
from everykernel.errors import CaseError, EverykernelError, GuestError, UsageError
from everykernel.escaping import block
from everykernel.files import elf, tree
from everykernel.files.libraries import Libraries
from everykernel.files.push import push
from everykernel.files.tree import Tree
from everykernel.machine import Guest, MachineSpec
from everykernel.matrix.campaign import Campaign
from everykernel.matrix.plan import columns
from everykernel.matrix.progress import Board
from everykernel.matrix.sizing import largest

_FOLDER = 64 << 20  # bytes of the working directory that travel
_FILES = 5_000


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("binary")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--kernel", "kernel_list", metavar="LIST", envvar="EVERYKERNEL_KERNELS", required=True,
    help="The kernel, or several separated by commas: BINARY runs on each.",
)  # fmt: skip
@choices.guests
@click.option(
    "--tree/--no-tree", "whole", default=True, show_default=True,
    help="Whether the working directory's files travel, under their own paths.",
)  # fmt: skip
@commands.pushed("What BINARY needs beside the working directory.")
@commands.environment("A variable of its environment")
@click.option("--cpus", type=int, default=2, show_default=True, help="Virtual CPUs.")
@click.option(
    "--memory", type=choices.MEBIBYTES, metavar="MIB", help="Memory. [default: what the files take, from 256]"
)
def exec_command(
    binary: str,
    arguments: tuple[str, ...],
    kernel_list: str,
    accel: str,
    timeout: float,
    whole: bool,
    push: tuple[str, ...],
    env: tuple[str, ...],
    cpus: int,
    memory: int | None,
) -> int:
    """Run BINARY, a program of this host, on a kernel: its output as it comes, its exit code (128 + N for signal N).

    Its libraries and the working directory travel with it. With several kernels each line says which, and the worst
    exit code counts.

    go test -exec 'everykernel exec --kernel 6.1 --' ./...
    """
    board = Board()
    found = columns(choices.specs(kernel_list), progress=board)
    environment = dict(commands.variables(env))
    files, program = _files(binary, whole, push, environment)
    spec = MachineSpec(cpus=cpus, memory=memory if memory is not None else largest(2 * files.bytes))
    campaign = Campaign(
        found,
        machine.assemble(machine.Machines(accel, timeout, board), None, board),
        width=1,
        board=board,
        timeout=timeout,
    )
    runner = _Runner(files, [program, *arguments], environment, named=len(found) > 1)
    with closing(campaign):
        coming: dict[str, Future[Guest]] = {}
        codes = []
        for number, column in enumerate(found):
            for ahead in found[number : number + 2]:  # the next one is made ready meanwhile
                if ahead.spec not in coming:
                    coming[ahead.spec] = campaign.start_later(ahead.spec, spec, ahead=True)
            codes.append(runner.run(column.spec, coming.pop(column.spec)))
    return max(codes)


def _files(binary: str, whole: bool, pushed: tuple[str, ...], env: dict[str, str]) -> tuple[Tree, str]:
    """Return what travels, and what the guest is to start."""
    here = Path.cwd()
    files = Tree(Libraries.searched(env), files=_FILES, size=_FOLDER)
    if whole:
        files.add(here, str(here), remedy="--no-tree, and --push testdata:" + str(here / "testdata"))
    files.files, files.size = tree.FILES, tree.SIZE
    program = binary
    if "/" in binary:
        path = (here / binary).resolve()
        if not path.is_file():
            raise UsageError("there is no such file", where=binary)
        if elf.is_elf(path) and (machine_ := elf.needs(path).machine) not in ("x86_64", "i386"):
            raise UsageError(f"is a program for {machine_}", where=binary, remedy="build it for the guest")
        program = str(path)
        files.add(path, program)
    for text in pushed:
        source, target = tree.parse(text)
        files.add(source, target)
    return files, program


class _Runner:
    """Runs one program on one kernel after the other, its streams on ours."""

    def __init__(self, files: Tree, argv: list[str], env: dict[str, str], *, named: bool) -> None:
        self._files = files
        self._argv = argv
        self._env = env
        self._named = named

    def run(self, spec: str, coming: Future[Guest]) -> int:
        """Return the exit code on one kernel; what goes wrong there is told, and the next kernel has its turn."""
        prefix = f"{spec}: " if self._named else ""
        try:
            with coming.result() as guest:
                return self._follow(guest, prefix)
        except (GuestError, CaseError) as e:
            if not self._named:
                raise
            return _tell(e)

    def _follow(self, guest: Guest, prefix: str) -> int:
        push(guest, self._files)
        here = str(Path.cwd()) if str(Path.cwd()) in self._files.items else ""
        out, err = _Lines(sys.stdout.buffer, prefix), _Lines(sys.stderr.buffer, prefix)
        code = 0
        for output in guest.follow(self._argv, env=self._env, cwd=here, binds=self._files.binds):
            out.write(output.stdout)
            err.write(output.stderr)
            code = output.code or 0
        out.end()
        err.end()
        return code if code >= 0 else 128 - code


def _tell(error: EverykernelError) -> int:
    sys.stderr.write(block(f"everykernel: {error}\n"))
    return error.exit_code


class _Lines:
    """A stream of ours to which a guest's goes as it comes; with a prefix line by line."""

    def __init__(self, stream: IO[bytes], prefix: str) -> None:
        self._stream = stream
        self._prefix = prefix.encode()
        self._begun = False  # whether a line is under way

    def write(self, data: bytes) -> None:
        """Write what came, at once."""
        if not data:
            return
        if self._prefix:
            lines = data.splitlines(keepends=True)
            data = b"".join(
                line if number == 0 and self._begun else self._prefix + line for number, line in enumerate(lines)
            )
            self._begun = not lines[-1].endswith(b"\n")
        self._stream.write(data)
        self._stream.flush()

    def end(self) -> None:
        """End a line that is under way, so that the next kernel's begins at its beginning."""
        if self._prefix and self._begun:
            self._stream.write(b"\n")
            self._stream.flush()

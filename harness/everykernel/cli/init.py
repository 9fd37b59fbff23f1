"""``everykernel init``: write what a repository needs to be tested on many kernels."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from everykernel import settings
from everykernel.cli import say
from everykernel.errors import CaseError, UsageError
from everykernel.project import files, find
from everykernel.project.files import Answers, File
from everykernel.project.find import Found

KERNELS = "5.10,6.1,6.12"


@click.command("init")
@click.argument("folder", default=".", type=click.Path(file_okay=False, exists=True, path_type=Path), metavar="[DIR]")
@click.option(
    "--object", "objects", multiple=True, metavar="FILE", help="A compiled object, from DIR; may be repeated."
)
@click.option("--build", metavar="COMMAND", help="What builds the objects; parts are separated by &&.")
@click.option("--kernels", "kernel_list", metavar="LIST", help=f"Kernels, separated by commas. [default: {KERNELS}]")
@click.option("--yes", is_flag=True, help="Ask nothing: what was found out is taken.")
@click.option("--force", is_flag=True, help="Replace files that hold something else.")
def init(
    folder: Path, objects: tuple[str, ...], build: str | None, kernel_list: str | None, yes: bool, force: bool
) -> int:
    """Write a test, settings, tox environments and a workflow for the repository in DIR.

    What can be found out is (objects, build command, settings that are there); the rest is asked for. Files that are
    there are continued where that is possible, and otherwise left alone, with the difference shown, unless --force is
    given. Exit code 1 where one was left.
    """
    found = find.look(folder)
    if not yes and not sys.stdin.isatty():
        say.talk("everykernel: this is no terminal: what was found out is taken, as --yes does")
        yes = True
    answers = _answers(folder, found, objects, build, kernel_list, yes)
    told = [_write(folder, file, force, yes) for file in files.plan(folder, found, answers)]
    if found.tox not in ("", files.TOX):
        say.talk(
            f"everykernel: {found.tox} has settings for tox, so there is no tox.ini (docs/action.md has what to add)"
        )
    _next(found, answers)
    return 0 if all(told) else CaseError.exit_code


def _answers(
    folder: Path, found: Found, objects: tuple[str, ...], build: str | None, kernel_list: str | None, yes: bool
) -> Answers:
    """Return what the options say, else what the user says, else what was found."""
    if found.cut:
        say.talk(f"everykernel: only the first {find.LARGEST} files were looked at")
    listed = objects or found.objects
    if not yes and not objects:
        said = click.prompt("Objects, separated by spaces", default=shlex.join(listed) or None, err=True)
        listed = tuple(shlex.split(said))
    if not listed:
        raise UsageError("no *.bpf.o and no *.bpf.c here", where=str(folder), remedy="--object build/tool.bpf.o")
    if not found.built and not objects:
        say.talk("everykernel: nothing is built yet: objects are taken to be beside their sources (else --object)")
    if build is None:
        build = found.build
        if not yes:
            build = click.prompt("What builds them", default=found.build, err=True)
    if kernel_list is None:
        own = settings.read(folder.absolute()).get("kernels")
        kernel_list = ",".join(own) if own else KERNELS
        if not yes and not own:
            kernel_list = click.prompt("Kernels", default=KERNELS, err=True)
    kernels = tuple(part.strip() for part in kernel_list.split(",") if part.strip())
    if not kernels:
        raise UsageError("no kernels were named", where="--kernels", remedy=f"--kernels {KERNELS}")
    for text in (*listed, build, *kernels):
        if not text.isprintable() or len(text) > 4096:
            raise UsageError(f"{text[:80]!r} cannot be written into a file of settings", where="init")
    return Answers(listed, build, kernels)


def _write(folder: Path, file: File, force: bool, yes: bool) -> bool:
    """Write one file if that loses nothing, or is wanted; say what was done. Return whether it is as it should be."""
    if file.now == file.text:
        say.out(f"{file.path}: is there")
        return True
    if file.now is not None:
        _show(file.diff())
        if not file.adds and not force and (yes or not click.confirm(f"Replace {file.path}?", err=True)):
            say.out(f"{file.path}: left alone, since it holds something else (--force replaces it)")
            return False
    files.write(folder, file)
    say.out(f"{file.path}: {'written' if file.now is None else 'continued' if file.adds else 'replaced'}")
    return True


def _show(lines: Iterator[str]) -> None:
    for line in lines:
        say.out(f"  {line}")


def _next(found: Found, answers: Answers) -> None:
    kernel = answers.kernels[-1]
    build = f"{answers.build} && " if answers.build else ""
    say.out(f"next: {build}pytest --kernels {shlex.quote(kernel)} {found.tests}/{files.TEST}")
    if found.tox in ("", files.TOX):
        say.out(f"or:   tox -e {files.factor(kernel)}")

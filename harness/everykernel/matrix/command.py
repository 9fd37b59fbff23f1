"""A command as a case: what is run in the guest, what travels there with it, and how it has to end."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from everykernel.architectures import Architecture
from everykernel.errors import UsageError
from everykernel.files import elf, tree
from everykernel.files.libraries import Libraries
from everykernel.files.tree import Tree


@dataclass(frozen=True)
class Command:
    """What is run, and how it is to end.

    Attributes:
        argv: the program with its arguments; ``{arch}`` in the program stands for the architecture's name.
        push: what travels with it, each ``FILE[:GUEST_PATH]``.
        exit: the exit code that is wanted.
        stdout, stderr: regular expressions that are to be found in what it writes, "" for none.
        env: more of its environment, pairs of name and value.
        folder: where relative paths of this host start.
        sysroot: the root in which its interpreter and libraries are looked for, "" for the host's own.
        headers: whether the kernel's own headers travel too.
    """

    argv: tuple[str, ...]
    push: tuple[str, ...] = ()
    exit: int = 0
    stdout: str = ""
    stderr: str = ""
    env: tuple[tuple[str, str], ...] = ()
    folder: Path = field(default_factory=Path)
    sysroot: str = ""
    headers: bool = False

    @property
    def shown(self) -> str:
        """The command as a shell takes it."""
        return shlex.join(self.argv)

    def program(self, arch: Architecture) -> Path | None:
        """Return the host's file that is the program; None where the guest has it, or it is pushed under that path."""
        name = _for(self.argv[0], arch)
        if "/" not in name:
            return None
        path = self.folder / name
        return path if path.is_file() else None

    def started(self, arch: Architecture) -> list[str]:
        """Return the program and its arguments as the guest starts them."""
        name = _for(self.argv[0], arch)
        if self.program(arch) is not None:
            name = tree.parse(name, self.folder)[1]
        return [name, *self.argv[1:]]

    def tree(self, arch: Architecture) -> Tree:
        """Return all that travels: the program, its libraries, what is pushed.

        Raises UsageError for what is not there, or is for another machine.
        """
        found = Tree(Libraries.searched(dict(self.env), self._root(arch)))
        for text in self.push:
            source, target = tree.parse(_for(text, arch), self.folder)
            found.add(source, target, remedy="push less")
        program = self.program(arch)
        if program is not None:
            self._fits(program, arch)
            found.add(program, self.started(arch)[0])
        elif "/" in self.argv[0] and not self._is_there(found, arch):
            raise UsageError("there is no such program, here or pushed", where=_for(self.argv[0], arch))
        return found

    def _root(self, arch: Architecture) -> Path | None:
        if not self.sysroot:
            return None
        root = self.folder / _for(self.sysroot, arch)
        if not root.is_dir():
            raise UsageError("there is no such folder", where=f"sysroot {root}")
        return root

    def _is_there(self, found: Tree, arch: Architecture) -> bool:
        """Return whether a program that is no file of the host's may be in the guest."""
        name = _for(self.argv[0], arch)
        return name.startswith("/") or tree.inside(name) in found.items

    def _fits(self, program: Path, arch: Architecture) -> None:
        if not elf.is_elf(program):
            return
        its = elf.needs(program)
        if its.machine not in (arch.name, *_ALSO.get(arch.name, ())):
            raise UsageError(f"is a program for {its.machine}, and the kernel is {arch.name}", where=str(program))


_ALSO = {"x86_64": ("i386",)}  # what kernels run beside their own


def _for(text: str, arch: Architecture) -> str:
    return text.replace("{arch}", arch.name)


def parse(
    words: Sequence[str],
    *,
    push: Sequence[str] = (),
    exit_code: int = 0,
    stdout: str = "",
    stderr: str = "",
    env: Sequence[tuple[str, str]] = (),
    folder: Path | None = None,
    sysroot: str = "",
    headers: bool = False,
    where: str = "command",
) -> Command:
    """Return the command that a case or the command line asks for; raise UsageError for one that makes no sense."""
    if not words or not words[0]:
        raise UsageError("names no program", where=where, remedy='"./mytool --self-test"')
    for name, pattern in (("stdout", stdout), ("stderr", stderr)):
        try:
            re.compile(pattern)
        except re.error as e:
            raise UsageError(f"{name} = {pattern!r} is no regular expression: {e}", where=where) from e
    if not 0 <= exit_code <= 255:
        raise UsageError(f"exit = {exit_code} is no exit code", where=where, remedy="0 to 255")
    return Command(tuple(words), tuple(push), exit_code, stdout, stderr, tuple(env), folder or Path(), sysroot, headers)


def words(text: str, where: str) -> list[str]:
    """Return the words of a command as a shell would part them; raise UsageError for quotes that do not close."""
    try:
        return shlex.split(text)
    except ValueError as e:
        raise UsageError(f"{text!r} cannot be read: {str(e).lower()}", where=where) from e

"""One cell as it travels: what is run, and the digests of what it needs; made whole again where it arrives.

Everything that reads files on the machine that asks is here answered from what came along, under the names that it has
there: a cell's record does not tell where it was run, but for the worker's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from everykernel.architectures import Architecture
from everykernel.cluster import blobs
from everykernel.errors import EverykernelError
from everykernel.files.tree import Item, Tree
from everykernel.kernels.model import Kernel
from everykernel.kernels.supplied import Supplied, Supply, in_order
from everykernel.loaders.adapter import Adapter
from everykernel.matrix.case import Case
from everykernel.matrix.command import Command


@dataclass(frozen=True)
class Settings:
    """What holds for all cells of a run, as of `everykernel.matrix.campaign.Campaign`."""

    accel: str
    timeout: float
    retries: int
    ceiling: int | None


@dataclass(frozen=True)
class SentFile:
    """A file: the name that it has for the loader, and its digest."""

    name: str
    digest: str


@dataclass(frozen=True)
class SentSupply:
    """One supply of BTF, and what it has for this kernel: a file with its notes, nothing, or an error."""

    name: str
    spec: str
    file: SentFile | None = None
    notes: tuple[str, ...] = ()
    error: EverykernelError | None = None


@dataclass(frozen=True)
class SentCommand:
    """What a command takes into its guest.

    Attributes:
        tree: digest of its files, packed under the numbers of their items.
        items: as of `everykernel.files.tree.Tree`, without their sources.
        numbers: by the path in the guest, the number of a file.
        binds: as of the tree.
        bytes: of all files.
        program: the number of the file that is the program; "" for one of the guest's own.
        started: the program and its arguments as the guest starts them.
    """

    tree: str
    items: tuple[Item, ...]
    numbers: Mapping[str, str]
    binds: tuple[tuple[str, str], ...]
    bytes: int
    program: str
    started: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """A cell on its way.

    Attributes:
        session: the run that it is of.
        kernel: its kernel; the paths are the sender's.
        package: the name of the kernel's package.
        pack: digest of the kernel's files.
        image: digest of the guest image.
        case: the cell's; what it reads from files is in the following.
        objects: by the text that names it in the case, each object.
        check: digest of the check's source, "" for none.
        supplies: BTF of the command line, in the order of precedence.
        own: the case's own BTF.
        command: of a command.
        adapter: digest of a real loader's program, "" for our own.
        settings: the run's.
    """

    session: str
    kernel: Kernel
    package: str
    pack: str
    image: str
    case: Case
    objects: Mapping[str, SentFile]
    check: str
    supplies: tuple[SentSupply, ...]
    own: SentSupply | None
    command: SentCommand | None
    adapter: str
    settings: Settings

    @property
    def small(self) -> list[str]:
        """Digests of what is read whole into memory."""
        sent = [*self.supplies, *filter(None, [self.own])]
        files = [*self.objects.values(), *(one.file for one in sent if one.file is not None)]
        return list(dict.fromkeys([*(one.digest for one in files), *filter(None, [self.check])]))

    @property
    def large(self) -> list[str]:
        """Digests of what stays on the disk."""
        command = self.command.tree if self.command is not None else ""
        return list(filter(None, (self.pack, self.image, self.adapter, command)))


@dataclass(frozen=True)
class ArrivedCase(Case):
    """A case whose files are at hand."""

    objects: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)
    source: str = ""

    def check_source(self) -> str:
        """Return the source of its check."""
        return self.source

    def _data(self, text: str, arch: Architecture) -> tuple[str, bytes]:
        return self.objects[text]


@dataclass(frozen=True)
class ArrivedCommand(Command):
    """A command whose files are at hand."""

    files: Tree = field(default_factory=Tree)
    file: Path | None = None
    words: tuple[str, ...] = ()

    def program(self, arch: Architecture) -> Path | None:
        """Return the file that is the program; None where the guest has it."""
        return self.file

    def started(self, arch: Architecture) -> list[str]:
        """Return the program and its arguments as the guest starts them."""
        return list(self.words)

    def tree(self, arch: Architecture) -> Tree:
        """Return all that travels on to the guest."""
        return replace(self.files, items=dict(self.files.items), binds=list(self.files.binds))


@dataclass(frozen=True)
class ArrivedSupply(Supply):
    """BTF that was looked for where the run was asked for."""

    found: Supplied | None = None
    error: EverykernelError | None = None

    def find(self, release: str, arch: Architecture, source: str = "") -> Supplied | None:
        """Return what was found there for this kernel; raise what was raised there."""
        if self.error is not None:
            raise self.error
        return self.found


def arrive(job: Job, data: Mapping[str, bytes]) -> ArrivedCase:
    """Return a job's case, made of what came; ``data`` has `Job.small` by digest."""
    own = {one.name: getattr(job.case, one.name) for one in fields(Case)}
    own["btf"] = supply(job.own, data) if job.own is not None else None
    own["command"] = _command(job.case.command, job.command) if job.command is not None else None
    own["adapter"] = _adapter(job.case.adapter, job.adapter)
    objects = {text: (one.name, data[one.digest]) for text, one in job.objects.items()}
    return ArrivedCase(**own, objects=objects, source=data[job.check].decode() if job.check else "")


def supply(sent: SentSupply, data: Mapping[str, bytes]) -> ArrivedSupply:
    """Return a supply of BTF, made of what came."""
    found = Supplied(sent.file.name, data[sent.file.digest], sent.notes) if sent.file is not None else None
    return ArrivedSupply(None, sent.name, sent.spec, found=found, error=sent.error)


def _adapter(adapter: Adapter | None, digest: str) -> Adapter | None:
    return replace(adapter, program=blobs.file(digest)) if adapter is not None else None


def _command(command: Command | None, sent: SentCommand) -> ArrivedCommand:
    assert command is not None
    top = blobs.tree(sent.tree)
    sources = {path: top / number for path, number in sent.numbers.items()}
    tree = Tree(items={item.path: replace(item, source=sources.get(item.path)) for item in sent.items})
    tree.binds.extend(sent.binds)
    tree._bytes = sent.bytes
    own: dict[str, Any] = {one.name: getattr(command, one.name) for one in fields(Command)}
    return ArrivedCommand(**own, files=tree, file=top / sent.program if sent.program else None, words=sent.started)


def supplied(supplies: Sequence[Supply], kernel: Kernel) -> list[tuple[Supply, Supplied | EverykernelError | None]]:
    """Return supplies with what each has for a kernel; what comes after the first that has some is not asked."""
    asked: dict[int, Supplied | EverykernelError | None] = {}
    for one in in_order(supplies, kernel.spec):
        try:
            asked[id(one)] = one.find(kernel.release, kernel.arch, kernel.source)
        except EverykernelError as e:
            asked[id(one)] = e
        if asked[id(one)] is not None:
            break
    return [(one, asked.get(id(one))) for one in supplies]

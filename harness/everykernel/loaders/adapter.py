"""An adapter that can be asked: ours, built, or one of the user's own."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from everykernel.architectures import ARCHITECTURES, DEFAULT
from everykernel.errors import ToolMissing, UsageError
from everykernel.loaders import build
from everykernel.loaders.names import EVERY, OWN
from everykernel.loaders.program import built_for
from everykernel.loaders.table import LOADERS

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,23}")  # a user's own: it becomes part of columns and file names
_LIMIT = 128 << 20  # bytes of an adapter: it lies in the guest's memory


@dataclass(frozen=True)
class Adapter:
    """One loader of a run, for kernels of one architecture.

    Attributes:
        name: as columns and records name it.
        program: what is run in the guest; an empty path where the loader is skipped.
        version: of the library that is pinned, "" where the adapter alone can tell.
        toolchain: what built it.
        sha256: of the program.
        skipped: why it cannot be had, "" where it can.
        arch: the architecture of the kernels that it runs on.
    """

    name: str
    program: Path = Path()
    version: str = ""
    toolchain: str = ""
    sha256: str = ""
    skipped: str = ""
    arch: str = DEFAULT.name

    @property
    def again(self) -> str:
        """What names it on a command line."""
        return self.name if self.name in LOADERS else f"{self.name}={self.program}"


@dataclass(frozen=True)
class Wanted:
    """What a user named: a loader, with the path of its adapter where that is the user's own."""

    name: str
    path: Path | None = None


def parse(text: str, where: str = "--loader") -> list[Wanted]:
    """Return the loaders in a list ``own,libbpf,mine=PATH``, each once; raise UsageError for what is none.

    A path holds no comma.
    """
    found: dict[str, Wanted] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, path = part.partition("=")
        one = _own(name, Path(path), where) if equals else _known(name, where)
        if found.setdefault(name, one) != one:
            raise UsageError(f"loader {name!r} is two things", where=where)
    if not found:
        raise UsageError("no loader was named", where=where, remedy=f"{', '.join(EVERY)}, or NAME=PATH")
    return list(found.values())


def _known(name: str, where: str) -> Wanted:
    if name not in EVERY:
        nearest = difflib.get_close_matches(name, EVERY, 1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(EVERY)}, or NAME=PATH"
        raise UsageError(f"unknown loader {name!r}", where=where, remedy=hint)
    return Wanted(name)


def _own(name: str, path: Path, where: str) -> Wanted:
    if name in EVERY or not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a loader of your own", where=where, remedy="lower-case letters, digits, - and ."
        )
    if not path.is_file():
        raise UsageError(f"loader {name!r}: there is no such file", where=str(path))
    if path.stat().st_size > _LIMIT or not built_for(path.read_bytes()):
        raise UsageError(
            f"loader {name!r} is no static Linux program of a known architecture",
            where=str(path),
            remedy="link it statically",
        )
    return Wanted(name, path.absolute())


def prepare(
    wanted: Sequence[Wanted],
    tell: Callable[[str], None] = lambda line: None,
    arches: Sequence[str] = (DEFAULT.name,),
) -> list[Adapter | None]:
    """Return the adapters for kernels of some architectures, built where need be; None stands for our own loader.

    One whose toolchain is missing or too old is there too, and says why it is skipped, as one that is not built for an
    architecture. A user's own is for the one that it was built for. ``tell`` hears of builds.

    Raises:
        DownloadError, CacheError, HarnessError: one cannot be built for another reason.
    """
    found: list[Adapter | None] = []
    for one in wanted:
        if one.name == OWN:
            found.append(None)
        elif one.path is not None:
            data = one.path.read_bytes()
            found.append(Adapter(one.name, one.path, sha256=_digest(data), arch=built_for(data)))
        else:
            found += [_prepare(one.name, arch, tell) for arch in arches]
    return found


def _prepare(name: str, arch: str, tell: Callable[[str], None]) -> Adapter:
    row = LOADERS[name]
    try:
        built = build.build(row, ARCHITECTURES[arch], tell)
    except ToolMissing as e:
        return Adapter(name, version=row.version, skipped=str(e), arch=arch)
    return Adapter(name, built.program, row.version, built.toolchain, _digest(built.program.read_bytes()), arch=arch)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

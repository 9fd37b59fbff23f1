"""What a run is asked for: paths to cases and objects, and kernels, some of which may not be had."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from everykernel import kernels
from everykernel.architectures import DEFAULT
from everykernel.errors import EverykernelError, GuestError, UnknownKernel, UsageError
from everykernel.kernels.model import BOOTED, GUEST, Kernel, ResolvedKernel
from everykernel.kernels.progress import Progress
from everykernel.matrix import case, inside, records
from everykernel.matrix.case import Case
from everykernel.matrix.records import CaseResult, KernelRecord
from everykernel.settings import BARE, QEMU, TARGET, VNG, machine_of, on_machines

if TYPE_CHECKING:
    from everykernel.machine.ssh import Targets

_NOTE = "nothing in its guests but a static program: the loader is on this host, and neither triggers nor checks run"
Resolve = Callable[[Sequence[str], Progress | None], list[ResolvedKernel]]


def cases(paths: Sequence[str]) -> list[Case]:
    """Return the cases that paths mean, each once: objects, files that hold objects, case.toml files, folders of these.

    Raises UsageError for a path that is none of them, ObjectUnsupported for a program without any object.
    """
    found: list[Case] = []
    for text in paths:
        path = Path(text)
        if path.is_dir():
            tomls = (
                [path / case.FILENAME] if (path / case.FILENAME).is_file() else sorted(path.glob("*/" + case.FILENAME))
            )
            if not tomls:
                raise UsageError(f"holds no {case.FILENAME}", where=text)
            found.extend(case.read(toml) for toml in tomls)
        elif path.suffix == ".toml" and path.is_file():
            found.append(case.read(path))
        elif inside.split(text)[0].is_file():
            found.extend(case.bare(Path(shown), shown) for shown in inside.parts(text, DEFAULT.byteorder))
        else:
            raise UsageError("there is no such file", where=text)
    return list({(c.path, c.object, c.shown): c for c in found}.values())


@dataclass
class Column:
    """One kernel of the matrix, whose files are fetched once, by whoever needs them first.

    Attributes:
        spec: as the user gave it.
        resolved: what it means, None where it is missing.
        missing: why it is missing.
    """

    spec: str
    resolved: ResolvedKernel | None = None
    missing: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _kernel: Future[Kernel] = field(default_factory=Future, repr=False)

    def kernel(self, progress: Progress | None = None) -> Kernel:
        """Return the kernel with its files here; what was raised the first time is raised again.

        Raises:
            UnknownKernel: it is missing.
            DownloadError, CacheError: its files cannot be had.
        """
        with self._lock:
            if not self._kernel.done():
                try:
                    self._kernel.set_result(self._fetch(progress))
                except EverykernelError as e:
                    self._kernel.set_exception(e)
        return self._kernel.result()

    def _fetch(self, progress: Progress | None) -> Kernel:
        if self.resolved is None:
            raise UnknownKernel(self.missing, spec=self.spec)
        return self.resolved.fetch(progress)

    @property
    def is_target(self) -> bool:
        """Whether its machine runs already, and is not ours to boot."""
        return self.resolved is not None and self.resolved.target not in BOOTED

    @property
    def is_restored(self) -> bool:
        """Whether its guests start from a snapshot, which takes room in the cache."""
        return self.resolved is not None and self.resolved.target in (GUEST, BARE)

    @property
    def runs_programs(self) -> bool:
        """Whether programs of ours run there: commands, and adapters of real loaders."""
        return self.resolved is None or self.resolved.target in (GUEST, VNG)

    def record(self) -> KernelRecord:
        """Return what is known of the column before any guest ran."""
        if self.resolved is None:
            return {"spec": self.spec, "missing": self.missing}
        resolved = self.resolved
        if self.is_target:
            known = {
                "spec": self.spec,
                "release": resolved.release,
                "arch": resolved.arch.name,
                "source": resolved.source,
            }
            return cast(KernelRecord, {**known, **resolved.told})
        return {
            "spec": self.spec,
            "release": resolved.release,
            "arch": resolved.arch.name,
            "source": resolved.source,
            "package": resolved.package,
            "package_version": resolved.version,
            "flavour": resolved.flavour,
            **cast(KernelRecord, resolved.told),
        }


def columns(
    specs: Sequence[str],
    *,
    skip_missing: bool = False,
    progress: Progress | None = None,
    targets: Targets | None = None,
) -> list[Column]:
    """Return a column for each kernel that the specs mean, in order.

    Args:
        specs: kernel specs and targets, one each.
        skip_missing: give a kernel that no source serves, or a target that cannot be used, a column that says so,
            instead of raising.
        progress: where downloads of indexes are shown.
        targets: finds out what targets are; None where only guests will do.

    Raises UnknownKernel, UsageError or TargetError, before anything is fetched or booted.
    """
    found: list[Column] = []
    for running, some in itertools.groupby(on_machines(specs, QEMU), lambda spec: spec.startswith(TARGET)):
        if running:
            found.extend(_target(spec, targets, skip_missing) for spec in some)
            continue
        for kind, these in itertools.groupby(some, lambda spec: machine_of(spec)[1]):
            found.extend(_kernels(list(these), skip_missing, progress, _RESOLVERS.get(kind, kernels.resolve)))
    return list({c.spec: c for c in found}.values())


def _by_vng(specs: Sequence[str], progress: Progress | None) -> list[ResolvedKernel]:
    from everykernel.machine import vng  # most runs have none

    return vng.resolve(specs, progress)


def _bare(specs: Sequence[str], progress: Progress | None) -> list[ResolvedKernel]:
    made = []
    for text in specs:
        found = kernels.resolve([machine_of(text)[0]], progress)
        made += [one.placed(text if len(found) == 1 else f"{one.spec}@{BARE}", BARE, _NOTE) for one in found]
    return made


_RESOLVERS: dict[str, Resolve] = {BARE: _bare, VNG: _by_vng}


def _target(spec: str, targets: Targets | None, skip_missing: bool) -> Column:
    if targets is None:
        raise UsageError("is a target, and this works in guests only", where=spec, remedy="name a kernel, like 6.1")
    try:
        return Column(spec, targets.resolve(spec))
    except GuestError as e:
        if not skip_missing:
            raise
        return Column(spec, missing=str(e))


def _kernels(specs: list[str], skip_missing: bool, progress: Progress | None, resolve: Resolve) -> list[Column]:
    if not skip_missing:
        return [Column(r.spec, r) for r in resolve(specs, progress)]
    found: list[Column] = []
    for spec in specs:
        try:
            found.extend(Column(r.spec, r) for r in resolve([spec], progress))
        except UnknownKernel as e:
            found.append(Column(spec, missing=str(e)))
    return found


def empty(case: Case, column: Column) -> CaseResult:
    """Return the result of a cell that has not begun."""
    shown = case.object_shown(column.resolved.arch) if column.resolved is not None else case.object
    name = case.name if case.path is not None else None
    target = column.resolved.target if column.resolved is not None else GUEST
    return records.empty(name, shown, column.spec, case.machine_asked, case.rules, case.loader, target)


def identity(case: Case, column: Column) -> str:
    """Return the text that tells a cell from all others of a run, as `records.asked` does."""
    return "\n".join(records.asked(records.plain(empty(case, column))))

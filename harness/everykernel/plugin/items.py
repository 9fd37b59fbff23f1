"""Items without test code: case.toml files and .bpf.o objects, each on every kernel."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from everykernel import settings
from everykernel.errors import CaseError, UsageError
from everykernel.escaping import printable
from everykernel.loaders.names import OWN
from everykernel.plugin.crash import CellBroke, CellFailed
from everykernel.plugin.options import NO_KERNELS
from everykernel.plugin.session import SPEC, KernelSession, no_kernels, session_of

if TYPE_CHECKING:
    from everykernel.matrix.case import Case

_OF_ANOTHER_RUN = (
    "--kernel-report", "--kernel-keep", "--kernel-btf", "--kernel-missing", "--kernel-shard", "--kernel-from-report",
    "--kernel-failed", "--kernel-retries", "--kernel-reuse", "--kernel-fresh",
    "--kernel-json-stream", "--kernel-cluster",
)  # fmt: skip


def again(config: pytest.Config, path: Path, name: str, spec: str) -> str:
    """Return the command that runs one item on one kernel again."""
    from everykernel.matrix import supply

    node = f"{_relative(path, config)}::{name}"
    asked = session_of(config).settings
    btf = supply.again(asked.btf, spec, "--kernel-btf")
    fresh = " --kernel-fresh" if asked.reuse is not None else ""
    named = settings.again(spec, asked.machine)
    return f"pytest --kernels {shlex.quote(named)}{btf}{_given(config)}{fresh} {shlex.quote(node)}"


def _given(config: pytest.Config) -> str:
    """Return our other options as they stood on the command line, but for those on what is written and kept."""
    words: list[str] = []
    arguments = iter(config.invocation_params.args)
    for argument in map(str, arguments):
        name, equals, _ = argument.partition("=")
        if not name.startswith(("--kernel-", "--accel")) or name in _OF_ANOTHER_RUN:
            continue
        words.append(argument)
        if not equals and not isinstance(config.getoption(name.lstrip("-").replace("-", "_"), None), bool):
            words.append(str(next(arguments, "")))
    return "".join(f" {shlex.quote(word)}" for word in words)


def _relative(path: Path, config: pytest.Config) -> str:
    base = config.invocation_params.dir
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)


class CaseFile(pytest.File):
    """A case.toml, an object, or a file that holds objects."""

    @classmethod
    def of(cls, parent: pytest.Collector, path: Path) -> CaseFile:
        """Return the collector of a file; pytest prints its name as it is, so one that is no text is escaped here."""
        if str(path).isprintable():
            return cls.from_parent(parent, path=path)
        root = parent.config.rootpath
        shown = path.relative_to(root) if path.is_relative_to(root) else path
        return cls.from_parent(parent, path=path, name=printable(path.name), nodeid=printable(shown.as_posix()))

    def collect(self) -> Iterable[pytest.Item]:
        """Return one item for each object and kernel."""
        try:
            cases = list(self._cases())
            specs = session_of(self.config).specs()
        except (UsageError, CaseError) as e:
            raise self.CollectError(str(e)) from e
        items = session_of(self.config)
        for found in (case.with_rules(items.settings.rules) for case in cases):
            stem = printable(found.name.removesuffix(".bpf.o").removesuffix(".o"))
            try:
                wanted = items.wanted(found)
            except UsageError as e:
                raise self.CollectError(str(e)) from e
            for spec, loader in itertools.product(specs or [NO_KERNELS], wanted):
                name = f"{stem}[{spec}]" if loader.name == OWN else f"{stem}[{spec}-{loader.name}]"
                # Given as text, pytest 9.2 reads the brackets as parameters, as --lf does when it reads its cache.
                yield CellItem.from_parent(
                    self, name=name, nodeid=f"{self.nodeid}::{name}", case=found, spec=spec, loader=loader
                )

    def _cases(self) -> Iterator[Case]:
        """Yield the case of a case.toml or object; of a file that holds objects, one each."""
        from everykernel.architectures import DEFAULT
        from everykernel.matrix import case, inside

        shown, strict = _relative(self.path, self.config), session_of(self.config).settings.strict_reads
        if self.path.name == case.FILENAME:
            found = [case.read(Path(shown))]
        else:
            parts = [text.removeprefix(str(self.path)) for text in inside.parts(str(self.path), DEFAULT.byteorder)]
            found = [case.bare(Path(f"{self.path}{part}"), f"{shown}{part}") for part in parts]
        yield from (replace(one, strict_reads=True) if strict else one for one in found)


class CellItem(pytest.Item):
    """One case on one kernel. The cell is run in its setup, so that a guest that breaks is an error, not a failure."""

    def __init__(self, *, case: Any, spec: str, loader: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case = case
        self.spec = spec
        self.loader = loader
        self.stash[SPEC] = spec
        self.again = again(self.config, self.path, self.name, spec)
        self.future: Future[Any] | None = None
        self.report: Any = None

    def setup(self) -> None:
        """Wait for the cell; raise CellBroke if its guest or the harness broke."""
        session: KernelSession = session_of(self.config)
        if self.spec == NO_KERNELS:
            raise no_kernels()
        session.skip_if_missing(self.spec)
        session.skip_if_skipped(self.loader, self.spec)
        self.report = session.wait_for(self)
        if self.report["result"]["outcome"] == "error":
            raise CellBroke(self.report)

    def runtest(self) -> None:
        """Raise CellFailed if the verdict is not what the case expects."""
        if self.report["result"]["outcome"] != "passed":
            raise CellFailed(self.report)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the item comes from."""
        return Path(printable(str(self.path))), None, self.name

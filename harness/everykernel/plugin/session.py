"""One pytest session on many kernels: what its items share."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from everykernel.errors import EverykernelError, UsageError
from everykernel.escaping import printable
from everykernel.plugin import options

if TYPE_CHECKING:
    from everykernel.gates.gate import Gate, Judged
    from everykernel.kernels.supplied import Supply
    from everykernel.loaders.adapter import Adapter, Wanted
    from everykernel.machine import MachineSource
    from everykernel.machine.ssh import Targets
    from everykernel.matrix.campaign import Campaign, Cost
    from everykernel.matrix.case import Case
    from everykernel.matrix.ledger import Ledger, Writer
    from everykernel.matrix.plan import Column
    from everykernel.matrix.progress import Board
    from everykernel.matrix.records import CaseResult, CellReport, LoaderRecord, RunRecord
    from everykernel.matrix.reuse import Reuse
    from everykernel.matrix.sizing import Sizing
    from everykernel.matrix.stream import Stream
    from everykernel.plugin.attendance import Attendance
    from everykernel.plugin.items import CellItem
    from everykernel.plugin.keep import Keeper
    from everykernel.plugin.live import Painter
    from everykernel.report.folder import ReportFolder

KEY = pytest.StashKey["KernelSession"]()
RUN = "everykernel_run"  # of what the controller of pytest-xdist tells its workers: the run's identity
SPEC = pytest.StashKey[str]()  # of an item: the kernel that it runs on


def session_of(config: pytest.Config) -> KernelSession:
    """Return the kernel session of a pytest session."""
    return config.stash[KEY]


def no_kernels() -> UsageError:
    """Return the error of a kernel test when no kernel was named."""
    return UsageError("this test needs a kernel, and none was named", remedy=options.REMEDY)


class KernelSession:
    """What a pytest session shares: settings, columns, campaign, ledger. All of it is made when first needed.

    Attributes:
        settings: what the user asked for.
        unresolved: why the kernels cannot be had, found while collecting.
        worker: whether this process is a worker of pytest-xdist.
        order: the items' nodes, in order.
        used: the kernels that items here are run on, once that is known.
        total: how many items there are in all shards.
        told: what is said of the shard.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.settings = options.read(config)
        self.unresolved: EverykernelError | None = None
        self.worker = hasattr(config, "workerinput")
        self.order: list[str] = []  # of the items' nodes
        self.used: set[str] = set()
        self.total = 0
        self.told = ""
        self.deselected = False  # whether items that run on kernels were left out
        self.judged: Judged | None = None  # what the gate said in the end
        self._folder: ReportFolder | None = None
        self._adapters: dict[tuple[Wanted, str], Adapter | None] = {}

    @property
    def distributed(self) -> bool:
        """Whether this process only hands items to workers of pytest-xdist."""
        return not self.worker and bool(getattr(self.config.option, "dist", "no") != "no")

    # --- made when first needed

    @cached_property
    def board(self) -> Board:
        """Where a run stands."""
        from everykernel.matrix.progress import Board

        return Board()

    @cached_property
    def painter(self) -> Painter:
        """What paints the board."""
        from everykernel.plugin.live import Painter

        return Painter(self.config, self.board)

    @cached_property
    def keeper(self) -> Keeper:
        """What holds the guests of failures."""
        from everykernel.plugin.keep import Keeper

        return Keeper(self.painter)

    @cached_property
    def columns(self) -> list[Column]:
        """The kernels that were asked for; raises UnknownKernel, UsageError or DownloadError."""
        if not self.settings.specs:
            return []
        from everykernel.matrix.plan import columns

        return columns(
            self.settings.specs,
            skip_missing=self.settings.skip_missing,
            progress=self.board,
            targets=self.targets,
        )

    @cached_property
    def targets(self) -> Targets | None:
        """What knows the targets; None where there are none."""
        from everykernel.machine import reach

        asked = self.settings
        return reach(
            asked.specs,
            asked.targets,
            self.board,
            may_load=asked.may_load,
            accept_new=asked.accept_new,
            timeout=asked.timeout,
        )

    @cached_property
    def btf(self) -> list[Supply]:
        """The BTF that was supplied; raises UsageError for what is not there, or is for a kernel of no column."""
        if not self.settings.btf:
            return []
        from everykernel.kernels.supplied import Supply
        from everykernel.matrix import supply

        found = [Supply.parse(text) for text in self.settings.btf]
        supply.check(found, [c.spec for c in self.columns], self.board)
        return found

    @cached_property
    def machines(self) -> MachineSource:
        """What starts guests; raises ToolMissing without QEMU."""
        from everykernel import machine

        guests = machine.Machines(self.settings.accel, self.settings.timeout, self.board)
        return machine.assemble(guests, self.targets, self.board)

    @cached_property
    def campaign(self) -> Campaign:
        """Runs cells and lends guests."""
        from everykernel.machine import slots
        from everykernel.matrix.campaign import Campaign

        if self.settings.cluster is not None:
            return self._elsewhere(self.settings.cluster)
        return Campaign(
            self.columns,
            self.machines,
            width=slots.cores(),
            slot=slots.slot,
            board=self.board,
            timeout=self.settings.timeout,
            btf=self.btf,
            sizing=self.sizing,
            retries=self.settings.retries,
            reuse=self.reuse,
        )

    def _elsewhere(self, address: str) -> Campaign:
        from everykernel.cluster.campaign import ClusterCampaign

        return ClusterCampaign(
            address,
            self.columns,
            self.machines,
            accel=self.settings.accel,
            ceiling=self.settings.ceiling,
            board=self.board,
            timeout=self.settings.timeout,
            btf=self.btf,
            sizing=self.sizing,
            retries=self.settings.retries,
        )

    @cached_property
    def reuse(self) -> Reuse | None:
        """What takes and keeps verdicts, where that was asked for."""
        if self.settings.reuse is None:
            return None
        from everykernel.matrix.reuse import Reuse

        return Reuse(self.identity, self.machines, self.btf, take=self.settings.reuse, tell=self.board.note)

    @cached_property
    def identity(self) -> RunRecord:
        """The identity of the run, the same in all its processes."""
        if self.worker:
            given: RunRecord = self.config.workerinput[RUN]  # type: ignore[attr-defined]
            return given
        from everykernel.architectures import DEFAULT
        from everykernel.machine import process
        from everykernel.matrix.results import identify

        guests = self.settings.cluster is None and any(not c.is_target for c in self.columns)
        identity = identify(self.settings.accel, process.version(process.find(DEFAULT.qemu)) if guests else "")
        if self.settings.shard is not None:
            identity["shard"] = str(self.settings.shard)
        identity["retries"] = self.settings.retries
        return identity

    @cached_property
    def sizing(self) -> Sizing:
        """What decides how large guests are."""
        from everykernel.matrix.sizing import Sizing

        return Sizing(self.settings.ceiling)

    @cached_property
    def cost(self) -> Cost:
        """What kernels took, in this process and in the workers of pytest-xdist."""
        from everykernel.matrix.campaign import Cost

        return Cost()

    @cached_property
    def ledger(self) -> Ledger:
        """Every result; on disk too, where a report was asked for."""
        from everykernel.matrix.ledger import Ledger

        part = self.settings.shard
        kernels = [c.record() for c in self.columns if part is None or c.missing or c.spec in self.used]
        if self.worker:
            return Ledger(kernels)
        told: list[Writer] = [self.stream.cell] if self.stream is not None else []
        if self.settings.report is None:
            return Ledger(kernels, told)
        from everykernel.report.folder import ReportFolder

        if loaders := self.loaders():
            self.identity["loaders"] = loaders
        folder = self.config.invocation_params.dir / self.settings.report
        self.campaign.describe(self.identity)
        self._folder = ReportFolder(folder, self.identity, kernels)
        return Ledger(kernels, [self._folder.add, *told])

    @cached_property
    def stream(self) -> Stream | None:
        """What tells another program, where that was asked for, in the process that owns the terminal."""
        if self.settings.stream is None or self.worker:
            return None
        from everykernel.matrix.stream import Stream

        return Stream(self.config.invocation_params.dir / self.settings.stream, self.board.note)

    def begin(self) -> None:
        """Say what is run, once that is known."""
        if self.stream is not None:
            self.stream.begin(self.identity, self.settings.specs, self.board.standing().sum("total"))

    def stands(self) -> None:
        """Say where the run stands."""
        if self.stream is not None:
            self.stream.stands(self.board.standing())

    @cached_property
    def gate(self) -> Gate:
        """What the run is held against; raises UsageError for what cannot be understood."""
        from everykernel.plugin import gating

        return gating.make(self.settings.gate, self.config.invocation_params.dir)

    # --- collection

    def specs(self) -> list[str]:
        """Return the names of the columns, for parametrisation; resolving may fail, which is told after collection."""
        if self.settings.dry or not self.settings.specs:
            return list(self.settings.specs)
        try:
            return [c.spec for c in self.columns]
        except EverykernelError as e:
            self.unresolved = self.unresolved or e
            return list(self.settings.specs)

    def check(self, items: Sequence[pytest.Item] = ()) -> None:
        """Raise pytest's UsageError (exit code 4, one line) if the kernels or QEMU cannot be had, or do not fit."""
        from everykernel.machine import MachineSpec, process, room
        from everykernel.plugin.items import CellItem

        error = self.unresolved
        if error is None and self.settings.specs:
            try:
                here = {c.spec: c for c in self.columns if c.resolved is not None and not c.is_target}
                if self.settings.cluster is not None:
                    self.campaign  # noqa: B018 - raises where no scheduler answers
                    items = [item for item in items if not isinstance(item, CellItem)]
                    here = {spec: c for spec, c in here.items() if spec in map(spec_of, items)}
                for column in here.values():
                    if column.resolved is not None:
                        process.find(column.resolved.arch.qemu)
                self.btf, self.gate  # noqa: B018 - raise what is wrong with them
                here = {spec: c for spec, c in here.items() if c.is_restored}
                wanted = []
                for item in items:
                    its = here.get(spec_of(item) or "")
                    if its is not None and its.resolved is not None:
                        cell = isinstance(item, CellItem)
                        machine = self.sizing.grant(self.case(item), its).machine if cell else MachineSpec()
                        wanted.append((its.resolved, machine))
                room.reserve(wanted)
            except EverykernelError as e:
                error = e
        if error is not None:
            raise pytest.UsageError(f"everykernel: {error}") from error

    # --- cells

    def case(self, item: pytest.Item) -> Case:
        """Return the case of an item that is a cell, with the memory that the user gives its guest."""
        case: Case = item.case  # type: ignore[attr-defined]
        adapter = self.adapter(item.loader, spec_of(item) or "")  # type: ignore[attr-defined]
        return replace(case.with_memory(self.settings.memory), adapter=adapter)

    def wanted(self, case: Case) -> list[Wanted]:
        """Return who is to load a case: the user's choice, else the case's own; raise UsageError for no loader."""
        from everykernel.matrix import crew

        return crew.wanted([case], self.settings.loaders or None, "--kernel-loader")

    def adapter(self, wanted: Wanted, spec: str) -> Adapter | None:
        """Return a loader, ready for a kernel, made once; None for our own."""
        from everykernel.architectures import DEFAULT
        from everykernel.loaders.adapter import prepare
        from everykernel.matrix import crew

        arch = next((crew.arch_of(column) for column in self.columns if column.spec == spec), DEFAULT.name)
        if (wanted, arch) not in self._adapters:
            [self._adapters[wanted, arch]] = prepare([wanted], self.board.note, [arch])
        return self._adapters[wanted, arch]

    def loaders(self) -> list[LoaderRecord]:
        """Return what the run's record says of its real loaders, as far as they are ready."""
        from everykernel.matrix.crew import Crew

        return Crew(tuple(self._adapters.values())).records

    def expect(self, item: pytest.Item) -> None:
        """Have the board count an item that is going to be run."""
        from everykernel.plugin.items import CellItem

        machine = item.case.with_memory(self.settings.memory).machine_words if isinstance(item, CellItem) else ""
        self.board.expect(spec_of(item) or "", machine="" if self.worker else machine)

    def submit(self, items: Sequence[pytest.Item]) -> None:
        """Schedule the cells of those items that are cells, each once."""
        from everykernel.plugin.items import CellItem

        for item in items:
            if not isinstance(item, CellItem) or item.future is not None or self.campaign.column(item.spec).missing:
                continue
            adapter = self.adapter(item.loader, item.spec)
            if adapter is None or not self._misfit(adapter, item.spec):
                keep = self.keeper.keep if self.settings.keep else None
                item.future = self.campaign.run(item.spec, self.case(item), keep=keep)
                if not self.worker:
                    item.future.add_done_callback(partial(self._ended, item))

    def wait_for(self, item: CellItem) -> CellReport:
        """Return an item's report, painting progress until it is there."""
        self.submit([item])
        assert item.future is not None
        report: CellReport = self.painter.wait(item.future, self.keeper.offer if self.settings.keep else None)
        self._name(item, report)
        if not self.worker:
            self.ledger.add(report)  # which changes one that cannot be written
        return report

    def skip_if_missing(self, spec: str) -> None:
        """Skip the item if its kernel is missing, which only --kernel-missing skip lets happen."""
        column = self.campaign.column(spec)
        if column.missing:
            pytest.skip(printable(f"kernel {column.missing}"))

    def skip_if_skipped(self, wanted: Wanted, spec: str) -> None:
        """Skip the item if its loader's toolchain is missing or too old, or its adapter is for other kernels."""
        adapter = self.adapter(wanted, spec)
        if adapter is not None and (why := self._misfit(adapter, spec)):
            pytest.skip(printable(why))

    def _misfit(self, adapter: Adapter, spec: str) -> str:
        """Return why an adapter does not run on a kernel, "" where it does."""
        column = self.campaign.column(spec)
        if not column.runs_programs:
            where = "guests alone" if column.is_target else "guests with programs"
            return f"kernel {spec}: adapters of real loaders run in {where}"
        resolved = column.resolved
        if adapter.skipped or resolved is None or resolved.arch.name == adapter.arch:
            return adapter.skipped
        return f"kernel {spec}: the adapter of {adapter.name} is for {adapter.arch} alone"

    def _ended(self, item: CellItem, future: Future[CellReport]) -> None:
        """Write a cell as soon as it ends, even while pytest still waits for one before it."""
        try:
            report = future.result()
        except (CancelledError, Exception):
            return
        self._name(item, report)
        self.ledger.add(report)

    def _name(self, item: CellItem, report: CellReport) -> None:
        report["result"]["test"] = item.nodeid
        report["result"]["again"] = item.again

    # --- end

    @property
    def empty_by_right(self) -> str:
        """Why a session without any item is all right: its shard has none, or its report nothing to run again."""
        shard, selected = self.settings.shard, self.settings.selected
        if shard is not None and self.total:
            return f"0 of {self.total} items are in shard {shard}: the other shards have them all"
        if selected is not None and not selected.tests:
            return "every cell of the report passed: there is nothing to run again"
        return ""

    @property
    def results(self) -> list[CaseResult]:
        """The results so far, in the order of the items."""
        return self.ledger.in_order(self.order) if "ledger" in self.__dict__ else []

    @property
    def recorded(self) -> set[str]:
        """The nodes of the items whose results were written."""
        return self.ledger.recorded if "ledger" in self.__dict__ else set()

    @cached_property
    def attendance(self) -> Attendance:
        """Which items of the run have what they should have in the results."""
        from everykernel.plugin.attendance import Attendance

        return Attendance()

    @property
    def folder(self) -> Path | None:
        """The report folder, if one is written."""
        return self._folder.folder if self._folder is not None else None

    def close(self) -> None:
        """End every guest, and the report; a second call does nothing."""
        if "campaign" in self.__dict__:
            self.campaign.close()
            cost = self.campaign.cost
            self.cost.merge(cost.made, cost.notes)
            if self.worker:
                told = [cost.made, cost.notes, list(self.attendance.planned), self.deselected]
                self.config.workeroutput["everykernel"] = told  # type: ignore[attr-defined]
        if self._folder is not None:
            self._folder.close(self.results, self.ledger.kernels)


def spec_of(item: pytest.Item) -> str | None:
    """Return the kernel that an item runs on, None for an item that needs none."""
    if SPEC in item.stash:
        return item.stash[SPEC]
    if isinstance(item, pytest.Function) and "kernel" in item.fixturenames and hasattr(item, "callspec"):
        parameter = item.callspec.params.get("kernel")
        return parameter if isinstance(parameter, str) else None
    return None

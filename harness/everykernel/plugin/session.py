"""One pytest session on many kernels: what is shared by its items, and pytest's hooks around them."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import CancelledError, Future
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from everykernel.errors import EverykernelError, GuestError, HarnessError, UsageError
from everykernel.plugin import options
from everykernel.plugin.options import NO_KERNELS

if TYPE_CHECKING:
    from everykernel.machine import Guest, MachineSource
    from everykernel.matrix.campaign import Campaign, Cost
    from everykernel.matrix.ledger import Ledger
    from everykernel.matrix.plan import Column
    from everykernel.matrix.progress import Board
    from everykernel.matrix.records import CellReport
    from everykernel.plugin.items import CellItem
    from everykernel.plugin.live import Painter
    from everykernel.report.folder import ReportFolder

KEY = pytest.StashKey["KernelSession"]()


def session_of(config: pytest.Config) -> KernelSession:
    """Return the kernel session of a pytest session."""
    return config.stash[KEY]


def no_kernels() -> UsageError:
    """Return the error of a kernel test when no kernel was named."""
    return UsageError("this test needs a kernel, and none was named", remedy=options.REMEDY)


class KernelSession:
    """What a pytest session shares: settings, columns, campaign, ledger. All of it is made when first needed."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.settings = options.read(config)
        self.unresolved: EverykernelError | None = None  # found while collecting, raised after it
        self.worker = hasattr(config, "workerinput")
        self._folder: ReportFolder | None = None
        self._kept: queue.Queue[tuple[Guest, CellReport, threading.Event]] = queue.Queue()
        self._order: list[str] = []  # of nodes

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
    def columns(self) -> list[Column]:
        """The kernels that were asked for; raises UnknownKernel, UsageError or DownloadError."""
        if not self.settings.specs:
            return []
        from everykernel.matrix.plan import columns

        return columns(self.settings.specs, skip_missing=self.settings.skip_missing, progress=self.board)

    @cached_property
    def machines(self) -> MachineSource:
        """What starts guests; raises ToolMissing without QEMU."""
        from everykernel import machine

        return machine.Machines(self.settings.accel, self.settings.timeout, self.board)

    @cached_property
    def campaign(self) -> Campaign:
        """Runs cells and lends guests."""
        from everykernel.machine import slots
        from everykernel.matrix.campaign import Campaign

        return Campaign(
            self.columns,
            self.machines,
            width=slots.cores(),
            slot=slots.slot,
            board=self.board,
            timeout=self.settings.timeout,
        )

    @cached_property
    def cost(self) -> Cost:
        """What kernels took, in this process and in the workers of pytest-xdist."""
        from everykernel.matrix.campaign import Cost

        return Cost()

    @cached_property
    def ledger(self) -> Ledger:
        """Every result; on disk too, where a report was asked for."""
        from everykernel.matrix.ledger import Ledger
        from everykernel.matrix.results import identify

        kernels = [c.record() for c in self.columns]
        if self.settings.report is None or self.worker:
            return Ledger(kernels)
        from everykernel.architectures import DEFAULT
        from everykernel.machine import process
        from everykernel.report.folder import ReportFolder

        folder = self.config.invocation_params.dir / self.settings.report
        self._folder = ReportFolder(
            folder, identify(self.settings.accel, process.version(process.find(DEFAULT.qemu))), kernels
        )
        return Ledger(kernels, [self._folder.add])

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

    def check(self) -> None:
        """Raise pytest's UsageError (exit code 4, one line) if the kernels or QEMU cannot be had."""
        from everykernel.machine import process

        error = self.unresolved
        if error is None and self.settings.specs:
            try:
                for column in self.columns:
                    if column.resolved is not None:
                        process.find(column.resolved.arch.qemu)
            except EverykernelError as e:
                error = e
        if error is not None:
            raise pytest.UsageError(f"everykernel: {error}") from error

    # --- cells

    def submit(self, item: CellItem) -> None:
        """Schedule an item's cell, once."""
        if item.future is not None or item.spec == NO_KERNELS or self.campaign.column(item.spec).missing:
            return
        keep = self._keep if self.settings.keep else None
        item.future = self.campaign.run(item.spec, item.case, keep=keep)
        if not self.worker:
            item.future.add_done_callback(lambda future: self._ended(item, future))

    def wait_for(self, item: CellItem) -> CellReport:
        """Return an item's report, painting progress until it is there."""
        self.submit(item)
        assert item.future is not None
        report: CellReport = self.painter.wait(item.future, self._offer_shell)
        self._name(item, report)
        if not self.worker:
            self.ledger.add(report)
        return report

    def skip_if_missing(self, spec: str) -> None:
        """Skip the item if its kernel is missing, which only --kernels-missing skip lets happen."""
        column = self.campaign.column(spec)
        if column.missing:
            pytest.skip(f"kernel {column.missing}")

    def _ended(self, item: CellItem, future: Future[CellReport]) -> None:
        """Write a cell as soon as it ends, even while pytest still waits for one before it."""
        try:
            report = future.result()
        except (CancelledError, Exception):
            return
        self._name(item, report)
        try:
            self.ledger.add(report)
        except HarnessError as e:
            self.board.note(str(e))

    def _name(self, item: CellItem, report: CellReport) -> None:
        report["result"]["test"] = item.nodeid
        report["result"]["again"] = item.again

    # --- shells in guests that failed

    def _keep(self, guest: Guest, report: CellReport) -> None:
        """Hold a guest until the main thread has offered its shell."""
        done = threading.Event()
        self._kept.put((guest, report, done))
        done.wait()

    def _offer_shell(self) -> None:
        while not self._kept.empty():
            guest, report, done = self._kept.get()
            try:
                self.shell(guest, f"{report['result'].get('code')}: {report['result'].get('message')}")
            finally:
                done.set()

    def shell(self, guest: Guest, why: str) -> None:
        """Open a shell in a guest, with the terminal for itself."""
        from everykernel.cli.prompt import prompt

        try:
            self.painter.suspended(lambda: prompt(guest, f"{guest.kernel.spec}: {why}"))
        except GuestError as e:
            self.board.note(f"no shell: {e}")

    # --- hooks

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Find out before the workers of pytest-xdist start whether the kernels can be had."""
        if self.distributed and not self.settings.dry and self.settings.specs:
            self.check()

    def pytest_report_header(self, config: pytest.Config) -> str | None:
        """Name kernels and accelerator."""
        if not self.settings.specs or self.worker:
            return None
        head = f"everykernel: kernels {', '.join(self.settings.specs)}"
        if self.settings.dry:
            return head
        return f"{head}; accelerator {self._accelerator()}"

    def _accelerator(self) -> str:
        """Return the verdict on the accelerator, as far as nothing has to be booted for it."""
        from everykernel.architectures import DEFAULT
        from everykernel.machine import accel, process

        try:
            verdict = accel.known(self.settings.accel, DEFAULT, process.find(DEFAULT.qemu))
        except EverykernelError as e:
            return f"none: {e}"
        return str(verdict or f"{self.settings.accel}, to be probed with the first kernel")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Raise what was found while collecting; nothing has been fetched or booted yet."""
        if any(needs_kernel(item) for item in items) and not self.settings.dry:
            self.check()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Begin: every cell is scheduled, kernels are made ready while the first tests run."""
        from everykernel.plugin.items import CellItem

        if session.config.option.collectonly or self.distributed:
            return
        if session.testsfailed and not session.config.option.continue_on_collection_errors:
            return
        self._order = [item.nodeid for item in session.items]
        selected = [item for item in session.items if spec_of(item) not in (None, NO_KERNELS)]
        for item in selected:
            self.board.expect(spec_of(item) or "")
        if selected and not self.worker:
            self.ledger  # noqa: B018 - an empty report is a report
        if not self.worker:
            for item in selected:
                if isinstance(item, CellItem):
                    self.submit(item)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, bool, bool]:
        """Have the guests of this item and the next restored ahead."""
        from everykernel.plugin import lend
        from everykernel.plugin.items import CellItem

        for ahead in (item, nextitem):
            if isinstance(ahead, CellItem):
                self.submit(ahead)
            elif ahead is not None:
                lend.request(self, ahead)
        try:
            return (yield)
        finally:
            lend.drop(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach a cell's result; tell a broken guest from a failure."""
        from everykernel.plugin import verdict

        report = yield
        if spec_of(item) is not None:
            verdict.attach(self, item, call, report)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take results in; in the process that owns the terminal, workers' results too."""
        cell: CellReport | None = getattr(report, "everykernel", None)
        if cell is None or self.worker:
            return
        new = self.ledger.add(cell)
        if self.distributed or (new and not hasattr(report, "everykernel_cell")):
            self.board.ended(cell["result"]["kernel"], cell["result"]["outcome"])
            self.painter.flush()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """Learn from the first worker how many cells each kernel has."""
        if self._order:
            return
        self._order = list(ids)
        if self.settings.dry:
            return
        counts = Counter(_spec_in(node_id, list(self.campaign.columns)) for node_id in ids)
        used = [c.spec for c in self.columns if not c.missing and counts[c.spec]]
        for spec in used:
            self.board.expect(spec, counts[spec])
        # Workers wait for this hook to return: kernels boot here, where the terminal is, and once.
        for ready in [self.campaign.ready(spec) for spec in used]:
            with contextlib.suppress(EverykernelError):  # told by each item that needs the kernel
                self.painter.wait(ready)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: Any) -> None:
        """Learn what a worker's kernels took."""
        told = getattr(node, "workeroutput", {}).get("everykernel")
        if told:
            self.cost.merge(*told)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """End every guest."""
        if "campaign" in self.__dict__:
            self.campaign.close()
            cost = self.campaign.cost
            self.cost.merge(cost.made, cost.notes)
            if self.worker:
                self.config.workeroutput["everykernel"] = [cost.made, cost.notes]  # type: ignore[attr-defined]
        if self._folder is not None:
            self._folder.close(self.ledger.in_order(self._order), self.ledger.kernels)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None]:
        """Show the matrix before the blocks of what failed."""
        if "ledger" in self.__dict__ and self.ledger.results:
            from everykernel.plugin import summary

            self.painter.flush()
            folder = self._folder.folder if self._folder is not None else None
            results = self.ledger.in_order(self._order)
            summary.write(terminalreporter, results, self.ledger.kernels, self.cost, folder)
        return (yield)


def spec_of(item: pytest.Item) -> str | None:
    """Return the kernel that an item runs on, None for an item that needs none."""
    from everykernel.plugin.items import CellItem

    if isinstance(item, CellItem):
        return item.spec
    if isinstance(item, pytest.Function) and "kernel" in item.fixturenames and hasattr(item, "callspec"):
        parameter = item.callspec.params.get("kernel")
        return parameter if isinstance(parameter, str) else None
    return None


def needs_kernel(item: pytest.Item) -> bool:
    """Return whether an item runs on a kernel, named or not."""
    return spec_of(item) is not None


def _spec_in(nodeid: str, specs: Sequence[str]) -> str:
    """Return the kernel in a node's name, which may stand in its brackets beside other parameters; "" without one."""
    inside = nodeid.partition("[")[2].removesuffix("]")
    found = [s for s in specs if inside == s or inside.startswith(f"{s}-") or inside.endswith(f"-{s}")]
    return max(found, key=len, default="")

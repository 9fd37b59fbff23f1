"""A worker's own side: cells are run as a local run runs them, by a campaign of this machine for each run that asks.

`perform` is what a scheduler hands out; it imports what it needs when it is called, for schedulers import this too.
"""

from __future__ import annotations

import functools
import json
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from everykernel.cluster.job import Job
    from everykernel.kernels.model import Kernel
    from everykernel.kernels.progress import Progress
    from everykernel.matrix.campaign import Campaign
    from everykernel.matrix.plan import Column
    from everykernel.matrix.progress import Board
    from everykernel.matrix.records import WorkerRecord

TOPIC = "everykernel-{}"  # of what a worker tells a run meanwhile
_SESSIONS = 4  # runs whose guests may be under way; of more, the one that asked longest ago is ended


def perform(data: bytes) -> bytes:
    """Run a cell (a pickled `Job`) on this worker; return what it came to, or the digests that are missing, as JSON."""
    from distributed import get_worker

    worker = get_worker()
    job: Job = pickle.loads(data)
    answer = _site().perform(job, str(worker.name), lambda line: _tell(worker, job, line))
    return json.dumps({"address": worker.address, **answer}).encode()


def put(digest: str, offset: int, chunk: bytes, last: bool, sender: str) -> str:
    """Keep a part of what a run sends; return what is wrong, "" for nothing."""
    from everykernel.cluster import blobs
    from everykernel.errors import EverykernelError

    try:
        blobs.put(digest, offset, chunk, last, sender)
    except EverykernelError as e:
        return str(e)
    return ""


def forget(session: str) -> None:
    """End a run's guests on this worker."""
    _site().forget(session)


def close() -> None:
    """End every guest of this process."""
    _site().close()


def _tell(worker: Any, job: Job, line: str) -> None:
    worker.log_event(TOPIC.format(job.session), {"line": f"{worker.name}: {line}"})


class _Session:
    """One run that asks: its machines, and a campaign for each kernel (each has BTF of its own)."""

    def __init__(self, job: Job, tell: Callable[[str], None]) -> None:
        from everykernel import machine

        self.board = _board(tell)
        self.machines = machine.Machines(job.settings.accel, job.settings.timeout, self.board)
        self._campaigns: dict[str, Campaign] = {}
        self._lock = threading.Lock()

    def campaign(self, job: Job, data: Mapping[str, bytes]) -> Campaign:
        """Return what runs cells of a job's kernel."""
        with self._lock:
            if job.kernel.spec not in self._campaigns:
                self._campaigns[job.kernel.spec] = self._made(job, data)
            return self._campaigns[job.kernel.spec]

    def _made(self, job: Job, data: Mapping[str, bytes]) -> Campaign:
        from everykernel.cluster import job as travelling
        from everykernel.machine import slots
        from everykernel.matrix.campaign import Campaign
        from everykernel.matrix.sizing import Sizing

        return Campaign(
            [_column(job)],
            self.machines,
            width=slots.cores(),
            slot=slots.slot,
            board=self.board,
            timeout=job.settings.timeout,
            btf=[travelling.supply(one, data) for one in job.supplies],
            sizing=Sizing(job.settings.ceiling),
            retries=job.settings.retries,
        )

    def close(self) -> None:
        """End every guest."""
        self.machines.close()
        for one in self._campaigns.values():
            one.close()


class Site:
    """What a worker keeps between cells: the runs that ask."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._lock = threading.Lock()

    def perform(self, job: Job, worker: str, tell: Callable[[str], None]) -> dict[str, Any]:
        """Run a cell; return its report with what its kernel took here, or what is missing."""
        from everykernel.cluster import blobs
        from everykernel.cluster import job as travelling

        data = {digest: found for digest in job.small if (found := blobs.read(digest)) is not None}
        missing = [digest for digest in job.small if digest not in data]
        missing += [digest for digest in job.large if not blobs.has(digest)]
        if missing:
            return {"missing": missing}
        session = self._session(job, tell)
        campaign = session.campaign(job, data)
        report = campaign.run(job.kernel.spec, travelling.arrive(job, data)).result()
        return {
            "worker": _record(worker, session.machines.accelerator),
            "report": report,
            "made": dict(campaign.cost.made),
            "notes": list(campaign.cost.notes),
        }

    def forget(self, session: str) -> None:
        """End a run's guests."""
        with self._lock:
            found = [self._sessions.pop(session)] if session in self._sessions else []
        self._end(found)

    def close(self) -> None:
        """End all guests."""
        with self._lock:
            found = list(self._sessions.values())
            self._sessions.clear()
        self._end(found)

    def _session(self, job: Job, tell: Callable[[str], None]) -> _Session:
        old: list[_Session] = []
        with self._lock:
            if job.session not in self._sessions:
                self._sessions[job.session] = _Session(job, tell)
            self._sessions.move_to_end(job.session)
            while len(self._sessions) > _SESSIONS:
                old.append(self._sessions.popitem(last=False)[1])
            session = self._sessions[job.session]
        self._end(old)
        return session

    def _end(self, sessions: list[_Session]) -> None:
        from everykernel import cache

        for one in sessions:
            one.close()
        with self._lock:
            if not self._sessions:
                cache.let_go()


def _column(job: Job) -> Column:
    """Return the kernel as a column; its files and its image are unpacked by whoever needs them first."""
    from everykernel.cluster import arriving
    from everykernel.kernels.model import ResolvedKernel
    from everykernel.matrix.plan import Column

    kernel = job.kernel

    def fetch(resolved: ResolvedKernel, progress: Progress) -> Kernel:
        arriving.image(job.image, kernel.arch)
        return arriving.kernel(job.pack, kernel)

    resolved = ResolvedKernel(
        kernel.spec, kernel.arch, kernel.series, kernel.version, kernel.release, job.package, kernel.source,
        kernel.flavour, fetch, target=kernel.target,
    )  # fmt: skip
    return Column(kernel.spec, resolved)


def _board(tell: Callable[[str], None]) -> Board:
    """Return a board that tells the run what is noted on it."""
    from everykernel.matrix.progress import Board

    class Told(Board):
        def note(self, message: str) -> None:
            tell(message)

    board = Told()
    board.announce = False
    return board


def _record(name: str, accelerator: str) -> WorkerRecord:
    """Return what a run's record says of this worker."""
    from everykernel.architectures import DEFAULT
    from everykernel.machine import process
    from everykernel.matrix import records
    from everykernel.matrix.results import host

    found: WorkerRecord = {"name": name, **host("", process.version(process.find(DEFAULT.qemu)))}
    records.note_accelerator(found, accelerator)
    return found


@functools.cache
def _site() -> Site:
    return Site()

"""The run's side of a cluster: cells are handed to the scheduler as slots are there for them, and come back as reports.

Scheduling, retries after lost workers and transport are distributed's. What is ours: no more cells are handed over than
twice the slots that workers offer (so a scheduler's memory does not grow with a run), and a worker that lacks what a
cell needs says so and is sent it, whenever it joined.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import pickle
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from everykernel.cluster import code, gate, site
from everykernel.cluster.address import Address
from everykernel.cluster.gate import Answer
from everykernel.cluster.job import Job
from everykernel.cluster.packing import Packer
from everykernel.errors import EverykernelError, HarnessError
from everykernel.matrix import records
from everykernel.matrix.records import CaseResult

if TYPE_CHECKING:
    from distributed import Client

CONNECT = 10.0  # seconds until a scheduler has to answer
NO_WORKER = 60.0  # seconds that cells wait while no worker offers slots
_LOOK = 2.0  # seconds between two looks at who is there
_SENT = 120.0  # seconds that a worker may take to keep a part of what it is sent
LOSSES = 3  # workers that may be lost while they have a cell: as many as distributed allows for one of its tasks
_SENDINGS = 8  # how often a cell is begun anew because its worker lacked something
_DEPTH = 2  # cells that are handed over for each slot: one that runs, one that waits beside it


@dataclass
class Work:
    """A cell on its way.

    Attributes:
        pack: makes its job; called in a thread.
        asked: its result before it began.
        running: the context in which it is with the scheduler.
        done: gets the answer, or the error of a cell that has none.
        lost: names of the workers that were lost while they had it.
        unable: answers of workers that could not start its guest.
    """

    pack: Callable[[], Job]
    asked: CaseResult
    running: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext
    done: Future[Answer] = field(default_factory=Future)
    lost: list[str] = field(default_factory=list)
    unable: list[Answer] = field(default_factory=list)


class Cluster:
    """A scheduler, spoken to by a thread of its own. `close` it.

    Args:
        address: the scheduler's.
        packer: what this run sends.
        tell: hears a line of what goes on; called in that thread.

    Raises HarnessError where no scheduler answers.
    """

    def __init__(self, address: Address, packer: Packer, tell: Callable[[str], None]) -> None:
        self._address = address
        self._packer = packer
        self._tell = tell
        self._topic = site.TOPIC.format(packer.session)
        self._numbers = itertools.count()
        self._under_way: dict[str, Work] = {}  # by the scheduler's key
        self._sending: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._refused: defaultdict[str, str] = defaultdict(str)  # by address: why a worker keeps nothing
        self._names: dict[str, str] = {}  # of workers by address, also of those that have gone
        self._here: list[str] = []  # addresses of the workers that offer slots now
        self._lanes: set[asyncio.Task[None]] = set()
        self._gone: HarnessError | None = None  # why nothing is run any more
        self._packing = ThreadPoolExecutor(2, "everykernel-pack")
        self._started: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop
        self._queue: asyncio.Queue[Work]
        self._closing: asyncio.Event
        self._client: Client
        self._thread = threading.Thread(target=self._main, name="everykernel-cluster", daemon=True)
        self._thread.start()
        self._started.result()

    def run(self, work: Work) -> None:
        """Hand over a cell; its ``done`` always ends, once the cluster is closed at the latest."""
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, work)
        except RuntimeError:  # the loop has ended
            work.done.cancel()

    def close(self) -> None:
        """End what is under way, on the workers too."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()
        self._packing.shutdown(cancel_futures=True)

    # --- in the thread

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as e:
            if not self._started.done():
                self._started.set_exception(e)

    async def _serve(self) -> None:
        self._loop, self._queue, self._closing = asyncio.get_running_loop(), asyncio.Queue(), asyncio.Event()
        client = await self._connected()
        watch = asyncio.create_task(self._watch())
        self._started.set_result(None)
        try:
            await self._closing.wait()
        finally:
            watch.cancel()
            self._end(HarnessError("the run was ended"))
            with contextlib.suppress(Exception):
                await asyncio.wait_for(client.run(site.forget, self._packer.session, on_error="ignore"), CONNECT)
            with contextlib.suppress(Exception):
                await client.close()

    async def _connected(self) -> Client:
        """Return the client, with handlers for what scheduler and workers tell."""
        from distributed import Client, Security

        remedy = "everykernel scheduler; docs/cluster.md says what tls:// needs"
        if self._address.scheme == "tls" and Security().get_connection_args("client").get("ssl_context") is None:
            raise HarnessError("no scheduler answers who has no certificate", where=str(self._address), remedy=remedy)
        for name in ("distributed", "distributed.client", "distributed.core", "distributed.comm"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # what matters is told as errors of cells
        try:
            client = self._client = await Client(str(self._address), asynchronous=True, timeout=CONNECT)
        except (OSError, TimeoutError, RuntimeError, TypeError, ValueError) as e:
            text = str(e).splitlines()[0] if str(e) else type(e).__name__
            raise HarnessError(f"no scheduler answers: {text}", where=str(self._address), remedy=remedy) from e
        client.subscribe_topic("all", lambda event: self._heard(event[1]))
        client.subscribe_topic(self._topic, lambda event: self._tell(str(event[1].get("line", ""))))
        return client

    async def _watch(self) -> None:
        """Look who is there, now and then: and open lanes for their slots; end where nobody is left."""
        alone = time.monotonic()
        told = False
        while True:
            slots = 0
            with contextlib.suppress(OSError, TimeoutError):
                slots = await self._slots()
            while len(self._lanes) < slots * _DEPTH:
                self._open_lane()
            if slots:
                alone, told = time.monotonic(), False
            elif time.monotonic() - alone > NO_WORKER:
                self._end(self._nobody())
                return
            elif not told:
                told = True
                self._tell(f"no worker at {self._address} offers slots: waiting {NO_WORKER:g} s for one")
            await asyncio.sleep(_LOOK)

    async def _slots(self) -> int:
        """Return how many slots of ours there are."""
        found = await asyncio.wait_for(self._client.scheduler.identity(n_workers=-1), CONNECT)
        self._names |= {address: str(one["name"]) for address, one in found["workers"].items()}
        slots = {address: one["resources"].get(code.resource(), 0) for address, one in found["workers"].items()}
        self._here = [address for address, number in slots.items() if number]
        return int(sum(slots.values()))

    def _nobody(self) -> HarnessError:
        return HarnessError(
            f"no worker offers slots for this everykernel (code {code.digest()})",
            where=str(self._address),
            remedy=f"everykernel worker {self._address}, of the same version",
        )

    def _heard(self, event: dict[str, Any]) -> None:
        """Hear from the scheduler that a worker is gone: what it had is run elsewhere."""
        if not isinstance(event, dict) or event.get("action") != "remove-worker":
            return
        name = self._names.get(str(event.get("worker")), str(event.get("worker")))
        cells = [*event.get("processing-tasks", ()), *event.get("lost-computed-tasks", ())]
        works = [self._under_way[key] for key in cells if key in self._under_way]
        for work in works:
            work.lost.append(name)
        if works:
            self._tell(f"worker {name} is gone: {len(works)} of its cells are run elsewhere")

    def _open_lane(self) -> None:
        lane = asyncio.create_task(self._lane())
        self._lanes.add(lane)
        lane.add_done_callback(self._lanes.discard)

    async def _lane(self) -> None:
        """Take one cell after the other from the queue to its end."""
        while self._gone is None:
            work = await self._queue.get()
            if not work.done.set_running_or_notify_cancel():
                continue
            try:
                work.done.set_result(await self._answer(work))
            except asyncio.CancelledError:
                work.done.set_exception(self._gone or HarnessError("the scheduler gave it up"))
                if self._gone is not None:
                    raise
            except Exception as e:
                work.done.set_exception(e)

    def _end(self, error: HarnessError) -> None:
        """Give every cell its end that has none yet."""
        self._gone = self._gone or error
        for lane in self._lanes:
            lane.cancel()
        while not self._queue.empty():
            work = self._queue.get_nowait()
            if work.done.set_running_or_notify_cancel():
                work.done.set_exception(self._gone)

    # --- one cell

    async def _answer(self, work: Work) -> Answer:
        """Have a cell run, and send what its worker lacks; raise HarnessError where it comes to no end."""
        job = await self._loop.run_in_executor(self._packing, work.pack)
        data = pickle.dumps(job)
        near: list[str] | None = None
        for _ in range(_SENDINGS):
            answer = gate.read(await self._performed(work, data, near), work.asked)
            if not answer.missing:
                near = self._others(work, answer)
                if not near:
                    return answer
                work.unable.append(answer)
                continue
            if len(work.lost) > LOSSES:  # distributed begins to count anew with each sending
                raise _killer(work)
            await self._supply(answer)
            others = [address for address in self._here if address not in self._refused]
            near = others if answer.address in self._refused else [answer.address]
        reason = "; ".join(self._refused.values()) or "what a worker was sent was not there when it was needed"
        raise HarnessError(f"no worker keeps what it is sent: {reason}")

    def _others(self, work: Work, answer: Answer) -> list[str]:
        """Return who is to try a cell whose worker could not even start its guest; nobody, of all others.

        Else a worker whose QEMU is broken, who is done with each cell at once, would soon have had them all.
        """
        result = answer.report["result"]
        if not records.broke(result) or result.get("start") or len(work.unable) >= LOSSES:
            return []
        tried = {answer.address, *(one.address for one in work.unable)}
        return [address for address in self._here if address not in tried]

    async def _performed(self, work: Work, data: bytes, near: list[str] | None) -> object:
        from distributed import KilledWorker

        key = f"{self._topic}-{next(self._numbers)}"
        self._under_way[key] = work
        future = self._client.submit(
            site.perform,
            data,
            key=key,
            pure=False,
            resources={code.resource(): 1},
            workers=near or None,
            allow_other_workers=bool(near),
        )
        try:
            with work.running():
                return await future
        except KilledWorker as e:
            raise _killer(work) from e
        except EverykernelError:
            raise
        except Exception as e:
            raise HarnessError(f"its worker broke: {type(e).__name__}: {e}") from e
        finally:
            del self._under_way[key]
            future.release()

    async def _supply(self, answer: Answer) -> None:
        """Send a worker what it lacks; what is on its way there already is waited for."""
        tasks = []
        for digest in answer.missing:
            place = answer.address, digest
            if place not in self._sending:
                task = self._sending[place] = asyncio.create_task(self._send(*place))
                task.add_done_callback(lambda _, place=place: self._sending.pop(place))  # type: ignore[misc]
            tasks.append(self._sending[place])
        await asyncio.wait(tasks)
        for task in tasks:
            task.result()

    async def _send(self, address: str, digest: str) -> None:
        """Send a worker the bytes behind a digest; one that is lost meanwhile is the scheduler's business."""
        for offset, chunk, last in self._packer.chunks(digest):
            sending = self._client.run(
                site.put, digest, offset, chunk, last, self._packer.session, workers=[address], on_error="return"
            )
            try:
                said = (await asyncio.wait_for(sending, _SENT)).get(address, "")
            except (OSError, TimeoutError, ValueError, KeyError):
                return
            if said:
                self._refused[address] = f"{self._names.get(address, address)}: {said}"
                return


def _killer(work: Work) -> HarnessError:
    return HarnessError(f"{len(work.lost)} workers were lost while they had it: {', '.join(work.lost)}")

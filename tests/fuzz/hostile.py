"""Damaged objects in guests: ``python -m tests.fuzz.hostile [OBJECT…] --count N --kernels SPECS``.

One agent relocates, loads, attaches and unloads them one after the other, and what comes back is rendered. Trouble is
what is no verdict: no reply by the deadline, an error of ours, a record without a reason code, a broken guest. Trial
N of a seed is always the same: ``--first N --count 1`` repeats it. The exit code is 1 if there was trouble.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from tests.conformance import foreign
from tests.fuzz.mutate import mutate

from everykernel import folders, kernels, wire
from everykernel.errors import CaseTimeout, EverykernelError, GuestError, RequestFailed
from everykernel.kernels.debian import Archive
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines
from everykernel.matrix import records
from everykernel.reasons import REASONS
from everykernel.report import blocks

DEADLINE = 180.0  # seconds for one request: the verifier may look at a million instructions, twice


@dataclass(frozen=True)
class Trial:
    """What came of one damaged object: ``verdict`` in words, ``trouble`` where it is none."""

    number: int
    name: str
    data: bytes
    verdict: str = ""
    trouble: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"trial {self.number} ({self.name}): {self.trouble or self.verdict} after {self.seconds:.1f} s"


def own_objects() -> list[foreign.Foreign]:
    """Return this project's cases for x86_64."""
    paths = sorted(folders.data("cases").glob("*/build/x86_64/*.o"))
    return [foreign.Foreign(path.parts[-4], path.read_bytes()) for path in paths]


def trials(
    start: Callable[[], Guest], objects: Sequence[foreign.Foreign], numbers: range, seed: int = 0
) -> Iterator[Trial]:
    """Try damaged objects one after the other in one guest, and in another after one that broke it."""
    guest: Guest | None = None
    for number in numbers:
        dice = random.Random(f"{seed}/{number}")
        whole = dice.choice(objects)
        data, part = mutate(whole.data, dice)
        guest = guest or start()
        began = time.monotonic()
        verdict, trouble = "", ""
        try:
            verdict = _try(guest, data)
        except (GuestError, CaseTimeout) as e:
            trouble = f"{e.code}: {e}\n{getattr(e, 'console', '')}"
            guest.close()
            guest = None
        except (EverykernelError, AssertionError, UnicodeError) as e:
            trouble = f"{type(e).__name__}: {e}"
        yield Trial(number, f"{whole.name}, {part}", data, verdict, trouble, time.monotonic() - began)


def _try(guest: Guest, data: bytes) -> str:
    """Take one object through all requests, check what comes back, and return the verdict in words."""
    loaded = guest.request(wire.Load("damaged.bpf.o", data), DEADLINE)
    assert isinstance(loaded, wire.Loaded)
    stages = {"relocate": loaded.relocate, "load": loaded.load}
    if any(p["status"] == wire.PASSED for p in loaded.load["programs"]):
        attached = guest.request(wire.Attach(loaded.handle), DEADLINE)
        assert isinstance(attached, wire.Attached)
        stages["run"] = {"status": wire.PASSED, "code": "", "message": "", "programs": attached.programs}
        try:
            guest.request(wire.Globals(loaded.handle), DEADLINE)
        except RequestFailed as e:
            if e.code == "harness-error":
                raise
    guest.request(wire.Unload(loaded.handle), DEADLINE)
    for name, stage in stages.items():
        for record in (stage, *stage.get("maps", []), *stage["programs"]) if "programs" in stage else (stage,):
            _check(name, record)
    shown = blocks.of_stages(records.plain(stages), verbose=2)
    json.dumps(records.plain(stages), allow_nan=False).encode()
    "\n".join(shown).encode()
    return ", ".join(f"{name} {stage['code'] or stage['status']}" for name, stage in stages.items())


def _check(stage: str, record: wire.Stage) -> None:
    code, status = record["code"], record["status"]
    assert status in (wire.PASSED, wire.FAILED, wire.SKIPPED, wire.NOT_REACHED), (stage, record)
    assert code in REASONS or (not code and status in (wire.PASSED, wire.SKIPPED)), (stage, record)
    assert code != "harness-error", (stage, record)


def _on(kernel: Kernel, objects: Sequence[foreign.Foreign], numbers: range, seed: int) -> Iterator[Trial]:
    with Machines() as machines, contextlib.ExitStack() as started:
        yield from trials(lambda: started.enter_context(machines.start(kernel)), objects, numbers, seed)


def main(words: list[str]) -> int:
    """Run the trials and print what was trouble; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.hostile", description=__doc__)
    parser.add_argument("objects", nargs="*", type=Path, help="sound objects (default: foreign ones and our cases)")
    parser.add_argument("--kernels", default="5.10,6.1,6.12,7.3")
    parser.add_argument("--count", type=int, default=500, help="damaged objects on each kernel")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(words)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    found = [foreign.Foreign(path.name, path.read_bytes()) for path in arguments.objects]
    if not found:
        found = [o for o in foreign.collect(Archive())[0] if o.data[5] == 1] + own_objects()
    numbers = range(arguments.first, arguments.first + arguments.count)
    verdicts: Counter[str] = Counter()
    troubles = 0
    for resolved in kernels.resolve(arguments.kernels):
        tried = _on(resolved.fetch(), found, numbers, arguments.seed)
        for trial in track(tried, resolved.spec, len(numbers), console=console):
            verdicts[trial.verdict or "trouble"] += 1
            if trial.trouble:
                troubles += 1
                kept = Path(tempfile.gettempdir()) / f"hostile-{arguments.seed}-{trial.number}.bpf.o"
                kept.write_bytes(trial.data)
                console.print(f"TROUBLE on {resolved.spec}: {trial} (kept as {kept})")
    for verdict, count in verdicts.most_common():
        console.print(f"{count:6} {verdict}")
    console.print(f"{sum(verdicts.values())} damaged objects, {troubles} with trouble")
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

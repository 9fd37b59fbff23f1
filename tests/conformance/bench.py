"""How fast we relocate, beside libbpf in the same run: ``python -m tests.conformance.bench``.

Two questions: one object against one BTF, each in a process of its own; and fifty objects against six BTFs in one go,
where a BTF is read once and serves every object (libbpf reads it for each). Medians; ratios are what counts.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from tests.conformance import foreign, libbpf
from tests.conformance.relocating import KERNELS, parse
from tests.conformance.relocations import Tally

from everykernel import core, kernels
from everykernel.btf import Btf
from everykernel.kernels.debian import Archive
from everykernel.object import read

OBJECTS = 50
REPEAT = 9


def seconds(action: Callable[[], object]) -> float:
    """Return how long an action takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def one(command: list[str]) -> float:
    """Return the median time of a whole process."""
    run = lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True)  # noqa: E731
    return statistics.median(seconds(run) for _ in range(REPEAT))


def all_of_ours(objects: list[Path], btfs: list[Path]) -> int:
    """Relocate every program of every object against every BTF; return the number of relocations."""
    count = 0
    targets = [core.Target(Btf.parse(path.read_bytes())) for path in btfs]
    for path in objects:
        spec = read(path.read_bytes(), path.name)
        assert spec.btf is not None
        for target in targets:
            session = core.Session(spec.btf, target)
            count += sum(len(core.relocate_program(spec, p, session).applied) for p in spec.programs)
    return count


def main() -> None:
    """Measure and print."""
    out = Console(highlight=False, soft_wrap=True)
    archive = Archive()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        oracle = libbpf.Oracle(archive, folder)
        symbols = folder / "kallsyms"
        symbols.write_text("ffffffff81000000 D init_net\n")
        objects = [p.path for p in parse(foreign.collect(archive)[0], folder, oracle, Tally("bench"))[:OBJECTS]]
        btfs = []
        for resolved in kernels.resolve(KERNELS):
            raw = kernels.btf(resolved.fetch())
            assert raw is not None
            btfs.append(folder / f"{resolved.release}.btf")
            btfs[-1].write_bytes(raw)
        command = Path(sys.executable).with_name("everykernel")
        first, btf = objects[0], btfs[1]
        start = one([sys.executable, "-S", "-I", "-c", "pass"])
        ours = one([str(command), "relocate", str(first), "--btf", str(btf), "--format", "jsonl"])
        theirs = one(oracle.command(first, libbpf.Files(btf, symbols)))
        work = statistics.median(seconds(lambda: all_of_ours([first], [btf])) for _ in range(REPEAT))
        out.print(f"one object x one BTF, whole process: {ours * 1e3:.0f} ms, {oracle.version} {theirs * 1e3:.0f} ms")
        out.print(f"  of which Python itself {start * 1e3:.0f} ms, relocating {work * 1e3:.0f} ms "
                  f"(BTF read and indexed included): {work / theirs:.2f} x libbpf")  # fmt: skip
        count = 0

        def in_one_go() -> None:
            nonlocal count
            count = all_of_ours(objects, btfs)

        ours = seconds(in_one_go)
        theirs = seconds(lambda: [oracle.relocate(o, libbpf.Files(b, symbols)) for o in objects for b in btfs])
        out.print(f"{len(objects)} objects x {len(btfs)} BTFs in one go, {count} relocations: {ours:.1f} s, "
                  f"libbpf {theirs:.1f} s: {ours / theirs:.2f} x libbpf")  # fmt: skip


if __name__ == "__main__":
    main()

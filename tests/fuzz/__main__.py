"""Fuzz with atheris (``pip install everykernel[fuzz]``).

    python -m tests.fuzz TARGET --seeds DIR              write inputs to start from
    python -m tests.fuzz TARGET DIR -max_total_time=600  fuzz; libFuzzer's own options

TARGET is objects, gate, stream, cells, files or inside (see `tests.fuzz.targets`). Inputs that were found are kept in
tests/fuzz/corpus/TARGET, which the tests replay.
"""

from __future__ import annotations

import sys
from pathlib import Path

PARTS = 24
OBJECTS = 8
INSTRUMENTED = {
    "objects": ["everykernel.btf", "everykernel.core", "everykernel.object"],
    "gate": ["everykernel.machine.gate", "everykernel.wire", "everykernel.matrix.records"],
    "stream": ["everykernel.machine.channel", "everykernel.machine.gate", "everykernel.wire"],
    "cells": ["everykernel.machine.gate", "everykernel.matrix", "everykernel.report"],
    "inside": ["everykernel.object"],
    "files": ["everykernel.kernels", "everykernel.images", "everykernel.matrix"],
}
SMALL = 6000  # bytes: libFuzzer changes small inputs faster, and these hold maps, variables and operations structs


def write_seeds(folder: Path) -> None:
    """Write small sound inputs of both forms, and our smaller cases where they were compiled."""
    from tests.conformance import generated
    from tests.fuzz.exercise import pack

    from everykernel import folders

    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(PARTS):
        sample = generated.sample(seed, programs=3)
        (folder / f"parts-{seed}").write_bytes(pack(sample.local.raw, sample.extension, sample.target))
    for seed in range(OBJECTS):
        (folder / f"object-{seed}").write_bytes(b"\0" + generated.sample(seed, programs=2).object)
    for path in folders.data("cases").glob("*/build/x86_64/*.o"):
        if path.stat().st_size <= SMALL:
            (folder / f"case-{path.parts[-4]}").write_bytes(b"\0" + path.read_bytes())


def main(arguments: list[str]) -> None:
    """Write seeds, or hand over to libFuzzer."""
    target, *rest = arguments
    if rest[:1] == ["--seeds"]:
        from tests.fuzz.targets import seeds

        folder = Path(rest[1])
        folder.mkdir(parents=True, exist_ok=True)
        if target == "objects":
            write_seeds(folder)
        for number, data in enumerate(seeds(target)):
            (folder / f"seed-{number}").write_bytes(data)
        return
    import atheris  # type: ignore[import-untyped] # what is fuzzed may be imported only after it

    with atheris.instrument_imports(include=INSTRUMENTED[target]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *rest], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])

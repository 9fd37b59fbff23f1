"""libbpf beside our loader on the kernels that were built to answer as old ones: verdicts have to agree there too.

``python -m tests.old.beside`` (part of ``nox -s old_kernel``) compares the project's cases, compiled for the second
instruction set, and the objects of foreign packages, on each of `tests.old.kernel`'s images, by the rules of
tests/conformance. libbpf runs as a program of those guests, so that no double stands between it and the kernel.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from rich.console import Console
from tests.conformance import foreign, loading
from tests.old import kernel, verdicts

from everykernel.kernels.debian import Archive


def main() -> int:
    """Compare, print what was found, and return the exit code: 1 where a difference is not in the table."""
    console = Console(highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="everykernel-") as name:
        cases = verdicts.compiled(Path(name))
        objects = [foreign.Foreign(f"cases/{p.parts[-4]}/{p.name}", p.read_bytes(), own=True) for p in _built(cases)]
        found, notes = foreign.collect(Archive())
        for note in notes:
            console.print(f"note: {note}")
        images = ",".join(str(kernel.place(image)) for image in kernel.IMAGES)
        tallies = loading.run([*objects, *found], images, Path(name), console)
        return 0 if loading.report(tallies, [*objects, *found], (), console) else 1


def _built(cases: Path) -> list[Path]:
    return sorted(cases.glob("*/build/x86_64/*.o"))


if __name__ == "__main__":
    sys.exit(main())

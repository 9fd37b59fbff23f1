"""Every own case and a hundred objects of others, up to load: ``python -m tests.bare [SPEC…]``.

Each in a guest with its loader inside, and in one without Python, its loader on the host. Objects of others are those
of Debian's packages for the kernel's architecture. The exit code is 1 where two records differ, or a guest broke.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rich.console import Console
from tests.bare import same
from tests.conformance import foreign

from everykernel import folders
from everykernel.architectures import Architecture
from everykernel.compile import compile_all, jobs
from everykernel.kernels.debian import Archive
from everykernel.matrix import plan
from everykernel.matrix.case import Case

SPECS = ("6.1", "6.1/armhf", "6.12/s390x")
ENOUGH = 100  # objects of others


def own(names: list[str]) -> list[Case]:
    """Return our own cases, or some of them, compiled."""
    compile_all(jobs(names))
    return plan.cases([str(folders.data("cases") / name) for name in names] or [str(folders.data("cases"))])


def others(arch: Architecture, number: int, folder: Path) -> list[Case]:
    """Return objects of others for an architecture; raise SystemExit where there are too few."""
    found, _ = foreign.collect(Archive(), arch)
    paths = []
    for position, each in enumerate(found[:number]):
        paths.append(folder / f"{position:03}-{each.name.rpartition('/')[2]}.bpf.o")
        paths[-1].write_bytes(each.data)
    if len(paths) < number:
        raise SystemExit(f"{arch.name}: {len(paths)} objects of others, and not {number}")
    return plan.cases([str(path) for path in paths])


def main() -> None:
    """Compare, print, and end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("specs", nargs="*", default=list(SPECS))
    parser.add_argument("--others", type=int, default=ENOUGH, metavar="N")
    parser.add_argument("--cases", nargs="*", default=None, metavar="NAME")
    arguments = parser.parse_args()
    out, bad = Console(highlight=False, soft_wrap=True), False
    for spec in arguments.specs:
        (column,) = plan.columns([spec])
        assert column.resolved is not None
        with tempfile.TemporaryDirectory() as folder:
            cases = own(arguments.cases or []) if arguments.cases != [] else []
            if arguments.others:
                cases = [*cases, *others(column.resolved.arch, arguments.others, Path(folder))]
            pair = same.compare(cases, [spec])
        out.print(f"{spec}: {pair.compared} cells compared, {pair.loaded} with a program loaded, "
                  f"{len(pair.differ)} differ, {len(pair.broke)} broke")  # fmt: skip
        for name, why in pair.broke.items():
            out.print(f"  {name}: {why}", markup=False)
        for name, found in pair.differ.items():
            out.print(f"  {name}", *(f"    {line}" for line in found[:8]), sep="\n", markup=False)
        bad = bad or bool(pair.differ or pair.broke)
    raise SystemExit(int(bad))


if __name__ == "__main__":
    main()

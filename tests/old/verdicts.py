"""What becomes of the project's cases on kernels that answer as older ones: recorded, and looked at by hand.

They are compiled for the second instruction set (``-mcpu=v2``), which is what such kernels run: the third has jumps by
half a register, of Linux v5.1.

``python -m tests.old.verdicts`` runs them all and writes verdicts.txt: on Debian's 5.10 with a filter and a double, or,
given ``built``, on the kernels that were built to answer so (`tests.old.kernel`), into built.txt.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Collection
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from unittest import mock

from tests.old import kernel as kernel_
from tests.old.guests import old
from tests.old.table import RELEASES

from everykernel import compile as compile_
from everykernel import folders
from everykernel.errors import CompileFailed
from everykernel.machine import Machines, slots
from everykernel.matrix import plan
from everykernel.matrix.campaign import Campaign
from everykernel.matrix.case import Case
from everykernel.matrix.records import CaseResult

FILE, BUILT = (Path(__file__).with_name(name) for name in ("verdicts.txt", "built.txt"))
OWN = Path(__file__).with_name("cases")  # of what old kernels have: the project's own count in global variables
KERNEL = "5.10"


def compiled(folder: Path) -> Path:
    """Return a copy of the cases in ``folder``, compiled for the second instruction set as far as that has it all."""
    cases = folder / "cases"
    for there in (folders.data("cases"), OWN):
        shutil.copytree(there, cases, ignore=shutil.ignore_patterns("build"), dirs_exist_ok=True)
    flags = tuple("-mcpu=v2" if flag == "-mcpu=v3" else flag for flag in compile_.FLAGS)
    assert flags != compile_.FLAGS
    with mock.patch.object(compile_, "FLAGS", flags), suppress(CompileFailed):
        compile_.compile_all(job for job in compile_.jobs(folder=cases) if job.arch.name == "x86_64")
    for toml in cases.glob("*/case.toml"):
        if not (toml.parent / "build").is_dir() or not any(toml.parent.glob("build/x86_64/*.o")):
            shutil.rmtree(toml.parent)
    return cases


def verdict(result: CaseResult) -> str:
    """Return how far a case came and why not farther: ``ran``, ``load:helper-unsupported``, or that something broke."""
    if result["outcome"] == "error":
        return f"broke:{result['code']}"
    for name in ("relocate", "load", "run"):
        stage = result["stages"][name]
        if stage["status"] == "failed":
            return f"{name}:{stage['code']}"
    programs = [p for n in ("load", "run") for p in result["stages"][n].get("programs", [])]
    codes = sorted({p["code"] for p in programs if p["status"] == "failed"})
    return "+".join(["ran" if result["stages"]["run"]["status"] == "passed" else "loaded", *codes])


def run(release: str, cases: Path, kernel: str = "", names: Collection[str] = ()) -> dict[str, CaseResult]:
    """Run cases of a folder, or those of these names, on a kernel that answers as a release; return results by case.

    ``kernel`` is one that was built to answer so; without, Debian's with a filter and a double.
    """
    found = [case for case in plan.cases([str(cases)]) if not names or case.name in names]
    with nullcontext() if kernel else old(release):
        columns = plan.columns([kernel or KERNEL])
        with closing(Campaign(columns, Machines("tcg"), width=slots.cores(), slot=slots.slot)) as campaign:
            cells = {c.name: campaign.run(columns[0].spec, _built_in(c) if kernel else c) for c in found}
            return {name: cell.result()["result"] for name, cell in cells.items()}


def _built_in(case: Case) -> Case:
    """Return a case for a kernel that has all that it has built in."""
    return replace(case, machine=replace(case.machine, modules=()))


def read(text: str) -> dict[str, dict[str, str]]:
    """Return the recorded verdicts by release and case; ``-`` stands for one that nobody has looked at."""
    rows = [line.split() for line in text.splitlines()]
    cells = {release: {row[0]: row[place] for row in rows[1:]} for place, release in enumerate(rows[0]) if place}
    return {release: {name: v for name, v in of.items() if v != "-"} for release, of in cells.items()}


def written(verdicts: dict[str, dict[str, str]]) -> str:
    """Return verdicts as text, a line a case."""
    rows = [["case", *verdicts]]
    rows += [[name, *(of[name] for of in verdicts.values())] for name in sorted(next(iter(verdicts.values())))]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "".join(" ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows)


def main(arguments: list[str]) -> None:
    """Run all cases as each release, and write or print what became of them."""
    there = arguments == ["built"]
    verdicts = {}
    with tempfile.TemporaryDirectory(prefix="everykernel-") as folder:
        cases = compiled(Path(folder))
        for release in kernel_.IMAGES if there else RELEASES:
            results = run(release, cases, str(kernel_.place(release)) if there else "")
            verdicts[release] = {name: verdict(result) for name, result in results.items()}
            sys.stderr.write(f"{release}: {sum(v.startswith('ran') for v in verdicts[release].values())} ran\n")
    (BUILT if there else FILE).write_text(written(verdicts))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Write into docs/twins.md what a run of the cases on twins found: ``nox -s twins`` ends with it.

``python -m tests.twins_found kernel-report-twins/results.json``
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from everykernel.kernels.twins import kept, parts
from everykernel.kernels.twins.kept import Twin
from everykernel.matrix.results import Results, read
from everykernel.report import markdown, terminal, twins

PAGE = Path(__file__).parents[1] / "docs" / "twins.md"
_MARKED = re.compile(r"(<!-- found: nox -s twins -->\n).*?(<!-- end of what was found -->)", re.DOTALL)


def main(path: Path) -> int:
    """Write the page; print what was written."""
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=PAGE.parent, capture_output=True, text=True)
    dirty = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "harness", "cases", "kernels"], cwd=PAGE.parents[1])
    at = commit.stdout.strip() + (" (and changes that were not committed)" if dirty.returncode else "")
    text = found(read(path), at, [twin for row in parts.rows() if (twin := _pair(row))])
    PAGE.write_text(put(PAGE.read_text(), text))
    sys.stdout.write(text)
    return 0


def _pair(series: str) -> tuple[Twin, Twin] | None:
    built = [kept.newest(series, part) for part in (parts.WITHOUT, parts.WITH)]
    return (built[0], built[1]) if built[0] and built[1] else None


def put(page: str, text: str) -> str:
    """Return the page with a text between its marks; raise ValueError for a page without."""
    made, count = _MARKED.subn(lambda match: f"{match[1]}\n{text}\n{match[2]}", page)
    if count != 1:
        raise ValueError("the page has no place for what was found")
    return made


def found(results: Results, commit: str, built: Sequence[tuple[Twin, Twin]]) -> str:
    """Return the text: at which commit, what was built in which time, the verdicts, and a table a pair."""
    run = results["run"]
    lines = [f"Run at commit {commit}, {run.get('started', '')[:10]}, {run.get('host', {}).get('accelerator')}:"]
    lines += [f"{terminal.counts(results['results'])}.", ""]
    for without, there in built:
        took = (
            f"{without.seconds / 60:.0f} minutes of a processor for the first, {there.seconds / 60:.0f} for the second"
        )
        lines.append(f"- {there.series}: {there.package} {there.version}, built by {there.tools}, in {took}.")
    for picture in twins.find(results["results"], results["kernels"]):
        why = Counter(f"{stage}: {code}" for row in picture.rows for stage, code in row.lost.values())
        lines += ["", f"### {picture.title}", "", *markdown.twins_table(picture), ""]
        lines += [f"- lost in {end}: {number}" for end, number in why.most_common()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

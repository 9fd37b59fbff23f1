"""What each kernel of the catalogue has, asked in guests: ``python -m tests.features`` writes docs/kernel-features.md.

A release's number says little: vendors bring back what upstream has later, and leave out what it has. Nothing here is
read off a version.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from everykernel import images, kernels
from everykernel.kernels.model import Kernel
from everykernel.machine import Machines
from everykernel.machine.spec import MachineSpec

PAGE = Path(__file__).parents[2] / "docs" / "kernel-features.md"
KERNELS = "5.10,6.1,6.12,6.16,6.17,6.18,7.2,7.3,6.1/i386"
MACHINE = MachineSpec(memory=512, modules=("veth",))  # a module whose BTF can be there; room for a second look
_ZIP = "/tmp/features/agent.zip"
_PATIENCE = 300.0  # seconds


def ask(machines: Machines, kernel: Kernel) -> dict[str, bool]:
    """Return what a kernel answers, by feature."""
    with machines.start(kernel, MACHINE) as guest:
        guest.push(_ZIP, images.agent_compiled())
        guest.push("/tmp/features/asked.py", Path(__file__).with_name("asked.py").read_bytes())
        ran = guest.run(["python3", "/tmp/features/asked.py"], env={"PYTHONPATH": _ZIP}, timeout=_PATIENCE)
    assert ran.code == 0, f"{kernel.spec}: ended with {ran.code}: {ran.stderr.decode()}"
    answers: dict[str, bool] = json.loads(ran.stdout)
    return answers


def page(answers: Mapping[str, Mapping[str, bool]]) -> str:
    """Return docs/kernel-features.md from the answers by kernel."""
    features = dict.fromkeys(feature for known in answers.values() for feature in known)
    lines = [
        "# What each kernel has",
        "",
        "Asked in guests by the smallest thing that needs it, or seen among the kernel's symbols (`nox -s features`);",
        "nothing is read off a version. `yes` where the kernel has it, `-` where not.",
        "",
        f"| | {' | '.join(answers)} |",
        f"|---|{'---|' * len(answers)}",
    ]
    for feature in features:
        cells = " | ".join("yes" if known[feature] else "-" for known in answers.values())
        lines.append(f"| {feature} | {cells} |")
    return "\n".join(lines) + "\n"


def column(text: str, spec: str) -> dict[str, bool]:
    """Return what the page says of a kernel."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    place = rows[0].index(spec)
    return {row[0]: row[place] == "yes" for row in rows[2:]}


def main() -> None:
    """Ask all kernels, and write the page."""
    answers = {}
    with Machines() as machines:
        for found in kernels.resolve(KERNELS):
            kernel = found.fetch()
            machines.prepare(kernel, MACHINE)
            answers[found.spec] = ask(machines, kernel)
            sys.stdout.write(f"{found.spec}: {sum(answers[found.spec].values())} of {len(answers[found.spec])}\n")
    PAGE.write_text(page(answers))


if __name__ == "__main__":
    main()

"""pahole, which makes BTF of the debug information (DWARF) in a kernel's vmlinux. It is part of the dwarves."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from everykernel.errors import HarnessError, ToolMissing

PROGRAM = "pahole"
REMEDY = "install dwarves 1.22 or newer (in Arch: pahole); everykernel doctor says how"
OLDEST = (1, 22)  # the first with --btf_encode_detached
_DEADLINE = 3600.0  # seconds: a kernel of 300 MB takes one minute
_TOLD = 2000  # bytes of the end of what it said


@dataclass(frozen=True)
class Pahole:
    """The program, and the version that it says it is (``v1.24``)."""

    program: str
    version: str

    def encode(self, elf: Path, target: Path) -> None:
        """Write the BTF of an ELF file with DWARF to ``target``; raise HarnessError where it does not.

        The same file gives the same bytes: without -j, which numbers types anew each time.
        """
        with tempfile.TemporaryFile() as said:
            try:
                argv = [self.program, f"--btf_encode_detached={target}", str(elf)]
                done = subprocess.run(argv, stdout=said, stderr=said, check=False, timeout=_DEADLINE)
            except subprocess.TimeoutExpired as e:
                raise HarnessError(f"{PROGRAM} did not end within {_DEADLINE:g} s", where=elf.name) from e
            size = said.seek(0, 2)
            said.seek(max(0, size - _TOLD))
            lines = said.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it says nothing")
        if done.returncode:
            raise HarnessError(f"{PROGRAM} {self.version} fails (exit {done.returncode}): {last}", where=elf.name)
        if not target.is_file() or not target.stat().st_size:
            text = f"{PROGRAM} {self.version} finds no debug information in it"
            raise HarnessError(text, where=elf.name, remedy="give a package with debug information (DWARF)")


def find() -> Pahole:
    """Return the host's; raise ToolMissing where there is none, or one that is too old."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise ToolMissing("is not installed", where=PROGRAM, remedy=REMEDY)
    done = subprocess.run([program, "--version"], capture_output=True, text=True, errors="replace", check=False)
    match = re.fullmatch(r"v?(\d+)\.(\d+)\S*", done.stdout.strip())
    if done.returncode or match is None:
        text = f"does not say which version it is: {(done.stdout or done.stderr).strip()[:80]!r}"
        raise ToolMissing(text, where=program, remedy=REMEDY)
    if (int(match[1]), int(match[2])) < OLDEST:
        raise ToolMissing(f"{match[0]} is too old: it writes no BTF of its own", where=program, remedy=REMEDY)
    return Pahole(program, f"v{match[1]}.{match[2]}")

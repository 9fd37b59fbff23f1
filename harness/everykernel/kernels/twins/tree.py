"""A kernel's source tree: unpacked from Debian's package, configured from fragments, built.

What make says goes to a file beside the tree's own Makefile; an error tells its last lines.
"""

from __future__ import annotations

import lzma
import os
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from everykernel.errors import DownloadError, HarnessError, ToolMissing
from everykernel.kernels import deb, pahole
from everykernel.kernels.twins import kconfig

LOG = "everykernel.log"
_REMEDY = "apt-get install build-essential bc bison flex libelf-dev dwarves, or what they are called here"
_TOOLS = ("make", "gcc", "ld", "bc", "bison", "flex")
_HEADER = "gelf.h"  # of libelf: objtool and resolve_btfids, which the build makes first, are linked with it
_WHO = {"KBUILD_BUILD_USER": "everykernel", "KBUILD_BUILD_HOST": "everykernel", "KBUILD_BUILD_VERSION": "1"}


def tools() -> str:
    """Return what a kernel is built with here, as its versions say; raise ToolMissing for what is not installed."""
    if platform.machine() != "x86_64":
        text = f"twins are built for x86_64, and this host is {platform.machine()}"
        raise ToolMissing(text, where="kernels build", remedy="build them on a host of x86_64")
    for name in _TOOLS:
        if shutil.which(name) is None:
            raise ToolMissing("is not installed", where=name, remedy=_REMEDY)
    asked = subprocess.run(
        ["gcc", "-E", "-x", "c", "-"], input=f"#include <{_HEADER}>\n", capture_output=True, text=True
    )
    if asked.returncode:
        raise ToolMissing("the headers of libelf are not installed", where=_HEADER, remedy=_REMEDY)
    said = (subprocess.run([name, "--version"], capture_output=True, text=True).stdout for name in ("gcc", "ld"))
    return "; ".join([*(text.partition("\n")[0] for text in said), f"pahole {pahole.find().version}"])


def unpack(package: Path, folder: Path) -> None:
    """Unpack the source in Debian's package into an empty folder; raise DownloadError where it holds none."""
    for member, content in deb.unpack(package):
        if content is not None and member.name.endswith(".tar.xz"):
            with lzma.open(content) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
                tar.extractall(folder, filter="data")
    tops = [path for path in folder.iterdir() if path.is_dir()]
    if len(tops) != 1 or not (tops[0] / "Makefile").is_file():
        raise DownloadError("holds no kernel's source", where=package.name, remedy="give a package linux-source-…")
    for path in tops[0].iterdir():
        path.rename(folder / path.name)
    tops[0].rmdir()


def configure(top: Path, series: str, part: str) -> None:
    """Write a twin's configuration: what its fragments name, and nothing else that can be off.

    Raises HarnessError for a fragment of which the source has not all, and where make fails.
    """
    text = kconfig.wanted(series, part)
    asked = top / ".everykernel.config"
    asked.write_text(text)
    make(top, f"KCONFIG_ALLCONFIG={asked}", "allnoconfig")
    unmet = kconfig.unmet(kconfig.read(text), kconfig.read((top / ".config").read_text()))
    if unmet:
        where = f"kernels/configs for {series}-{part}"
        raise HarnessError(f"this source does not have what they ask for: {', '.join(unmet)}", where=where)


def make(top: Path, *arguments: str) -> None:
    """Run make in a source tree; raise HarnessError with the first error that it tells."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("KBUILD_", "KCONFIG_"))}
    with (top / LOG).open("wb") as log:
        command = ["make", "-s", "-C", str(top), *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ | _WHO)
    if done.returncode:
        lines = (top / LOG).read_text(errors="replace").splitlines()
        raise HarnessError(f"make {arguments[-1]}: {_error(lines)}", where=str(top / LOG), remedy="look at the log")


def _error(lines: Sequence[str]) -> str:
    """Return the line that says what went wrong: the first with an error, else the last."""
    return next((line.strip() for line in lines if "rror" in line), lines[-1].strip() if lines else "it says nothing")

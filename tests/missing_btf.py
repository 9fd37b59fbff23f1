"""Make the BTF that Debian's 32-bit kernels lack, cut down to what our cases need: ``nox -s missing_btf [-- SPEC...]``.

`kernels.debuginfo` makes it of each kernel's debug package (600 to 770 MB, once a release; the whole stays in the
cache), ``everykernel btf minimise`` keeps what the cases' objects ask for, and the result is written to
``cases/btf/debian/VERSION/ARCH/RELEASE.btf`` (the layout of the public BTF archive), a record of how it was made beside
it. At the end a case is run in a guest of each with ``--btf`` and the package itself.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from everykernel import cli, folders, kernels
from everykernel.cli.progress import shown
from everykernel.errors import DownloadError, EverykernelError, HarnessError
from everykernel.kernels import btfhub, debuginfo, pahole
from everykernel.kernels.debian import Archive, Entry
from everykernel.kernels.model import ResolvedKernel
from everykernel.kernels.progress import Progress
from everykernel.object import read

SESSION = "nox -s missing_btf"
SPECS = ("6.1/i386", "6.12/armhf", "6.1/armhf")
TREE = folders.data("cases") / "btf"


def relocated() -> set[str]:
    """Return the cases whose objects have CO-RE records."""
    return {
        path.parent.name
        for path in folders.data("cases").glob("*/case.toml")
        for spec in [read((path.parent / "build/i386/prog.bpf.o").read_bytes(), path.parent.name)]
        if any(function.core for function in spec.functions.values())
    }


def committed(kernel: kernels.Kernel | ResolvedKernel) -> Path:
    """Return where the BTF of a kernel's exact release is, or will be."""
    return TREE / btfhub.place(kernel.source, kernel.arch, kernel.release)


def main(*specs: str) -> int:
    """Make both files of each kernel; print what they are."""
    for spec in specs or SPECS:
        try:
            make(spec)
        except EverykernelError as e:
            print(f"missing_btf: {e}", file=sys.stderr)  # noqa: T201 - the session's only output
            return e.exit_code
    return 0


def make(spec: str) -> None:
    """Make both files of one kernel, in place of those of a release that the archive has replaced."""
    with shown() as progress:
        (resolved,) = kernels.resolve([spec], progress)
        archive = Archive()
        package = _package(archive, resolved, progress)
        deb = archive.fetch(package, progress)
        whole = debuginfo.of_file(deb, progress).path
    path = minimise(whole, resolved)
    run(spec, deb)
    path.with_name(f"{path.name}.json").write_text(json.dumps(_record(path, whole, package), indent=1) + "\n")
    for other in path.parent.glob("*.btf*"):
        if not other.name.startswith(path.name):
            other.unlink()


def _package(archive: Archive, resolved: ResolvedKernel, progress: Progress) -> Entry:
    """Return the debug package of exactly this kernel."""
    name = f"linux-image-{resolved.release}-dbg"
    suite = resolved.source.removeprefix("debian:")
    found = archive.package(suite, name, resolved.arch.debian, progress)
    if found is None or found.version != resolved.version:
        raise DownloadError(f"has no version {resolved.version} of it", where=f"{suite}: {name}", remedy="try later")
    return found


def run(spec: str, package: Path) -> None:
    """Run a case in a guest, relocated against the BTF that is made of the package."""
    case = folders.data("cases") / "anonymous_member"
    arguments = ["run", str(case), "--kernels", spec, "--btf", f"{spec}={package}"]
    if cli.main(arguments):
        raise HarnessError("failed", where=f"everykernel {shlex.join(arguments)}")


def minimise(whole: Path, resolved: ResolvedKernel) -> Path:
    """Write what the cases need of the whole BTF, and return where."""
    objects = [str(path) for path in sorted(folders.data("cases").glob(f"*/build/{resolved.arch.name}/*.bpf.o"))]
    path = committed(resolved)
    path.parent.mkdir(parents=True, exist_ok=True)
    arguments = ["btf", "minimise", *objects, "--btf", str(whole), "-o", str(path)]
    if cli.main(arguments):
        raise HarnessError("failed", where=f"everykernel {shlex.join(arguments)}")
    return path


def _record(path: Path, whole: Path, package: Entry) -> dict[str, Any]:
    """Return how it was made, for the reader and for the test that looks whether it is current."""
    return {
        "made by": SESSION,
        "commands": [
            f"pahole --btf_encode_detached=vmlinux.btf usr/lib/debug/boot/vmlinux-{path.stem}",
            f"everykernel btf minimise cases/*/build/{path.parent.name}/*.bpf.o --btf vmlinux.btf -o {path.name}",
        ],
        "pahole": pahole.find().version,
        "package": {"name": package.name, "version": package.version, "sha256": package.sha256},
        "vmlinux.btf": {"bytes": whole.stat().st_size, "sha256": _digest(whole)},
        path.name: {"bytes": path.stat().st_size, "sha256": _digest(path)},
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

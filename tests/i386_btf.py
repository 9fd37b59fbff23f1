"""Make the BTF that Debian's 6.1 for i386 lacks, cut down to what our cases need: ``nox -s i386_btf``.

pahole encodes it from the kernel's debug package (765 MB, once a release; the whole result stays in the cache),
``everykernel btf minimise`` keeps what the cases' objects ask for, and the result is written to
``cases/btf/debian/12/i386/RELEASE.btf`` (the layout of the public BTF archive), a record of how it was made beside it.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from everykernel import cache, cli, folders, kernels
from everykernel.cli.progress import shown
from everykernel.errors import DownloadError, EverykernelError, HarnessError, ToolMissing
from everykernel.kernels.debian import Archive, Entry, unpack
from everykernel.kernels.model import ResolvedKernel
from everykernel.kernels.progress import Progress

SESSION = "nox -s i386_btf"
SPEC = "6.1/i386"
FOLDER = folders.data("cases") / "btf" / "debian" / "12" / "i386"


def main() -> int:
    """Make both files; print what they are."""
    try:
        with shown() as progress:
            (resolved,) = kernels.resolve([SPEC], progress)
            package = _package(Archive(), resolved, progress)
            whole = encode(package, resolved, progress)
        path = minimise(whole, resolved)
    except EverykernelError as e:
        print(f"i386_btf: {e}", file=sys.stderr)  # noqa: T201 - the session's only output
        return e.exit_code
    path.with_name(f"{path.name}.json").write_text(json.dumps(_record(path, whole, package), indent=1) + "\n")
    for other in FOLDER.glob("*.btf*"):
        if not other.name.startswith(path.name):
            other.unlink()  # of a release that the archive has replaced
    return 0


def _package(archive: Archive, resolved: ResolvedKernel, progress: Progress) -> Entry:
    """Return the debug package of exactly this kernel."""
    name = f"linux-image-{resolved.release}-dbg"
    suite = resolved.source.removeprefix("debian:")
    found = archive.package(suite, name, resolved.arch.debian, progress)
    if found is None or found.version != resolved.version:
        raise DownloadError(f"has no version {resolved.version} of it", where=f"{suite}: {name}", remedy="try later")
    return found


def encode(package: Entry, resolved: ResolvedKernel, progress: Progress) -> Path:
    """Return the kernel's whole BTF in the cache, made by pahole from the package's vmlinux if it is not there yet."""
    entry = f"dwarf-{resolved.arch.name}-{resolved.release}_{package.version}.btf"
    path = cache.folder("btf") / entry
    if shutil.which("pahole") is None:
        raise ToolMissing("is not installed", where="pahole", remedy="apt install pahole")
    with cache.lock(f"btf/{entry}"):
        if not path.exists():
            deb = Archive().fetch(package, progress)
            with tempfile.TemporaryDirectory(dir=cache.root()) as scratch:
                vmlinux, made = Path(scratch) / "vmlinux", Path(scratch) / "vmlinux.btf"
                with progress.task("unpacking vmlinux", None):
                    _unpack(deb, resolved.release, vmlinux)
                with progress.task("pahole", None):  # without -j, which numbers types anew each time
                    subprocess.run(["pahole", f"--btf_encode_detached={made}", vmlinux], check=True)
                made.chmod(0o644)
                made.replace(path)
        cache.touch(path)
    return path


def _unpack(deb: Path, release: str, target: Path) -> None:
    for member, content in unpack(deb):
        if content is not None and member.name == f"usr/lib/debug/boot/vmlinux-{release}":
            with target.open("wb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
            return
    raise HarnessError(f"holds no vmlinux-{release}", where=str(deb))


def minimise(whole: Path, resolved: ResolvedKernel) -> Path:
    """Write what the cases need of the whole BTF, and return where."""
    objects = [str(path) for path in sorted(folders.data("cases").glob(f"*/build/{resolved.arch.name}/*.bpf.o"))]
    path = FOLDER / f"{resolved.release}.btf"
    path.parent.mkdir(parents=True, exist_ok=True)
    arguments = ["btf", "minimise", *objects, "--btf", str(whole), "-o", str(path)]
    if cli.main(arguments):
        raise HarnessError("failed", where=f"everykernel {shlex.join(arguments)}")
    return path


def _record(path: Path, whole: Path, package: Entry) -> dict[str, Any]:
    """Return how it was made, for the reader and for the test that looks whether it is current."""
    pahole = subprocess.run(["pahole", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return {
        "made by": SESSION,
        "commands": [
            f"pahole --btf_encode_detached=vmlinux.btf usr/lib/debug/boot/vmlinux-{path.stem}",
            f"everykernel btf minimise cases/*/build/i386/*.bpf.o --btf vmlinux.btf -o {path.name}",
        ],
        "pahole": pahole,
        "package": {"name": package.name, "version": package.version, "sha256": package.sha256},
        "vmlinux.btf": {"bytes": whole.stat().st_size, "sha256": _digest(whole)},
        path.name: {"bytes": path.stat().st_size, "sha256": _digest(path)},
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())

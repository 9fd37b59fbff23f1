"""Where the sources of libbpf come from: Debian's archive, and where that has moved on, the crate libbpf-sys by cargo.

Both hold the same files, pinned by SHA-256 each. What the other adapters need, go.sum and Cargo.lock pin.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

from everykernel.errors import DownloadError, ToolMissing
from everykernel.kernels import debian
from everykernel.kernels.download import NotThere
from everykernel.kernels.release import Stale

LIBBPF = debian.Entry(
    name="libbpf",
    version="1.7.0",
    arch="amd64",  # this and the suite name the archive alone: it has one pool for all
    suite="trixie",
    filename="pool/main/libb/libbpf/libbpf_1.7.0.orig.tar.gz",
    size=1063399,
    sha256="7ab5feffbf78557f626f2e3e3204788528394494715a30fc2070fcddc2051b7b",
)
CRATE, CRATE_VERSION = "libbpf-sys", "1.7.0"  # cargo's own version is 1.7.0+v1.7.0: the last part is libbpf's
CRATE_SHA256 = "a109478760b2900aa2a6f2087e9d0de1d9c535b1758602af2845d5d2ccfaed7c"

_PARTS = ("src/", "include/")  # of libbpf's tree
_LIMIT = 64 << 20  # bytes of these, unpacked: they have 5 MB


def libbpf(folder: Path, archive: debian.Archive | None = None) -> None:
    """Write ``src`` and ``include`` of libbpf into a folder.

    Raises:
        DownloadError: neither source has them whole.
        ToolMissing: the archive has moved on, and there is no cargo.
    """
    try:
        _unpack((archive or debian.Archive()).fetch(LIBBPF), "", folder)
    except (NotThere, Stale):
        of_crate(folder)


def of_crate(folder: Path) -> None:
    """Write ``src`` and ``include`` of libbpf, as the crate has them, into a folder; raise as `crate` does."""
    _unpack(crate(), "libbpf/", folder)


def _unpack(packed: Path, prefix: str, folder: Path) -> None:
    """Write libbpf's parts of an archive that has them below a top folder and ``prefix``."""
    left = _LIMIT
    with tarfile.open(packed) as tree:
        for member in tree:
            whole = member.name.partition("/")[2]
            name = whole.removeprefix(prefix)
            wanted = member.isreg() and whole.startswith(prefix) and name.startswith(_PARTS)
            content = tree.extractfile(member) if wanted else None
            if content is None or ".." in Path(name).parts:
                continue
            left -= member.size
            if left < 0:
                raise DownloadError(f"holds more than {_LIMIT} bytes", where=str(packed))
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())


def crate() -> Path:
    """Return the crate's file: cargo fetches it for a package that depends on it, and keeps it in its own cache.

    Raises:
        ToolMissing: there is no cargo.
        DownloadError: what it fetched is not what is pinned.
    """
    where = f"crate {CRATE} {CRATE_VERSION}"
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    with tempfile.TemporaryDirectory() as name:
        package = Path(name)
        (package / "lib.rs").touch()
        manifest = '[package]\nname = "reference"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "lib.rs"\n'
        (package / "Cargo.toml").write_text(f'{manifest}[dependencies]\n{CRATE} = "={CRATE_VERSION}"\n')
        try:
            done = subprocess.run(["cargo", "fetch", "--quiet"], cwd=package, capture_output=True, check=False)
        except FileNotFoundError as e:
            raise ToolMissing("cargo is not installed", where=where, remedy="install Rust (https://rustup.rs)") from e
    if done.returncode:
        raise DownloadError(str(done.stderr, "utf-8", "replace").strip().partition("\n")[0], where=where)
    for path in home.glob(f"registry/cache/*/{CRATE}-{CRATE_VERSION}*.crate"):
        if hashlib.sha256(path.read_bytes()).hexdigest() == CRATE_SHA256:
            return path
    raise DownloadError("cargo fetched none with the pinned SHA-256", where=where)

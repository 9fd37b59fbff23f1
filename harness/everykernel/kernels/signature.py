"""Whether a vendor signed something: a detached OpenPGP signature, its public keys, and gpgv.

One way for all that are not Debian's indexes: repomd.xml.asc, the signature in an RPM package (of its header), the
.sig beside a package of Arch. The keys are the vendor's alone, from kernels/keys: a key that signs for one distribution
signs for no other.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from everykernel.errors import DownloadError, ToolMissing
from everykernel.kernels import armour

_LARGEST = 1 << 20  # bytes of a signature: one has some 600, those after quantum computers some 5,000


def available() -> bool:
    """Tell whether signatures can be checked on this host."""
    return shutil.which("gpgv") is not None


def check(signed: bytes | Path, signature: bytes, keys: Sequence[Path], where: str) -> str:
    """Return the fingerprint (hex) of the key that made a good signature.

    Args:
        signed: what was signed: its bytes, or a file of any size.
        signature: plain or armoured.
        keys: files of public keys, armoured; one good signature by any of them is enough.
        where: what is checked, for errors.

    Raises:
        DownloadError: none is good.
        ToolMissing: this host has no gpgv.
    """
    gpgv = shutil.which("gpgv")
    if gpgv is None:
        raise ToolMissing("gpgv is not installed", where=where, remedy="install gpgv")
    if len(signature) > _LARGEST:
        raise DownloadError(f"a signature of {len(signature)} bytes", where=where)
    with tempfile.TemporaryDirectory(prefix="everykernel-") as name:
        folder = Path(name)
        (folder / "keys").write_bytes(b"".join(armour.plain(path.read_bytes(), str(path)) for path in keys))
        (folder / "signature").write_bytes(signature)
        if isinstance(signed, bytes):
            (folder / "signed").write_bytes(signed)
            signed = folder / "signed"
        argv = [gpgv, "--status-fd=1", f"--keyring={folder / 'keys'}", str(folder / "signature"), str(signed)]
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False)
    return _signer(done.stdout, where)


def any_of(signed: bytes, signatures: Sequence[bytes], keys: Sequence[Path], where: str) -> str:
    """Return who made the first good one of several signatures, as `check` does; none at all is not good."""
    failure = DownloadError("is not signed", where=where, remedy="do not use this mirror")
    for one in signatures:
        try:
            return check(signed, one, keys, where)
        except DownloadError as e:
            failure = e
    raise failure


def _signer(status: str, where: str) -> str:
    """Return who signed, by the lines of gpgv's status; some files are signed by several keys, of which we have one."""
    rows = [line.split()[1:] for line in status.splitlines() if line.startswith("[GNUPG:] ")]
    said = {row[0]: row for row in rows if row}
    if "BADSIG" not in said and "VALIDSIG" in said and said.keys() & {"GOODSIG", "EXPKEYSIG"}:
        return said["VALIDSIG"][-1]
    if "BADSIG" in said:
        raise DownloadError("the signature is not good: it is not what was signed", where=where)
    if "NO_PUBKEY" in said:
        text = f"signed by the key {said['NO_PUBKEY'][1]}, which is none of its distribution's"
        raise DownloadError(
            text, where=where, remedy="do not use this mirror; or update everykernel, if the key is new"
        )
    raise DownloadError("the signature is none, or not good", where=where)

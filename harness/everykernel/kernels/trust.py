"""Whether a suite's signed index really is Debian's: gpgv and Debian's keyring, where the host has both."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from everykernel import folders
from everykernel.errors import DownloadError
from everykernel.kernels import armour

_KEYRING_FOLDERS = (Path("/usr/share/keyrings"), Path("/usr/share/debian-keyring"), Path("/etc/apt/trusted.gpg.d"))
# debian-archive-removed-keys holds the keys of releases that only the archive server still has.
_KEYRING_NAMES = (
    "debian-archive-keyring.gpg",
    "debian-archive-keyring.pgp",
    "debian-archive-removed-keys.gpg",
    "debian-archive-removed-keys.pgp",
)


@dataclass(frozen=True)
class Trust:
    """The means to check a signature; without both of them, HTTPS has to do.

    Attributes:
        gpgv: the program, None if the host has none.
        keyrings: the distribution's keyrings, empty if the host has none; those called ``.asc`` are armoured.
        owner: whose they are.
        update: how to have newer ones.
    """

    gpgv: str | None
    keyrings: tuple[Path, ...]
    owner: str = "this host's Debian keyring"
    update: str = "update the package debian-archive-keyring"

    @classmethod
    def of_host(cls) -> Trust:
        """Return what this host has."""
        found = [folder / name for folder in _KEYRING_FOLDERS for name in _KEYRING_NAMES]
        return cls(shutil.which("gpgv"), tuple(path for path in found if path.is_file()))

    @classmethod
    def of_vendor(cls, name: str) -> Trust:
        """Return the means to check what a vendor signed, by the public keys that we bring (kernels/keys)."""
        keys = folders.data("kernels") / "keys" / f"{name}.asc"
        return cls(shutil.which("gpgv"), (keys,), f"our copy of {name}'s keys", "update everykernel, if the key is new")

    @property
    def complete(self) -> bool:
        """Whether signatures can be checked here."""
        return self.gpgv is not None and bool(self.keyrings)

    @property
    def name(self) -> str:
        """How the record calls it: ``gpgv`` or ``https``."""
        return "gpgv" if self.complete else "https"

    def signed_text(self, data: bytes, where: str) -> bytes:
        """Return the text of a clear-signed file that its signature covers; as `signed`, without the signer."""
        return self.signed(data, where)[0]

    def signed(self, data: bytes, where: str) -> tuple[bytes, str]:
        """Return the text of a clear-signed file that its signature covers, after checking it, and who signed.

        That is the key's fingerprint (hex), "" where nothing was checked.

        Without gpgv and keyring the signature goes unchecked: the caller must have come by HTTPS.

        Raises:
            DownloadError: no signed text, or no good signature by one of Debian's keys.
        """
        if not data.startswith(b"-----BEGIN PGP SIGNED MESSAGE-----"):
            remedy = "a portal or proxy may have answered in the mirror's place; look at what it sends"
            raise DownloadError("not a signed index", where=where, remedy=remedy)
        return self._checked(data, where) if self.complete else (_unchecked(data), "")

    def _checked(self, data: bytes, where: str) -> tuple[bytes, str]:
        assert self.gpgv is not None
        with tempfile.TemporaryDirectory(prefix="everykernel-") as folder:
            signed, text = Path(folder, "InRelease"), Path(folder, "text")
            signed.write_bytes(data)
            keys = Path(folder, "keys")
            keys.write_bytes(b"".join(armour.plain(path.read_bytes(), str(path)) for path in self.keyrings))
            argv = [self.gpgv, "--status-fd=1", f"--keyring={keys}", f"--output={text}", str(signed)]
            done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False)
            # One good signature by a key that we hold is enough: suites carry one of each release's keys. gpgv's exit
            # code is 2 when any of them is unknown, so its status lines decide.
            status = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("[GNUPG:] ")]
            good = "GOODSIG" in status or "EXPKEYSIG" in status  # keys of releases long gone have expired
            if good and "VALIDSIG" in status and "BADSIG" not in status and text.is_file():
                valid = next(line.split() for line in done.stdout.splitlines() if " VALIDSIG " in line)
                return text.read_bytes(), valid[-1]
            if "NO_PUBKEY" in status and "BADSIG" not in status:
                raise DownloadError(f"signed by a key that {self.owner} does not have", where=where, remedy=self.update)
            raise DownloadError(
                "the signature is not good: " + _reason(done.stderr),
                where=where,
                remedy="do not use this mirror; set EVERYKERNEL_DEBIAN_MIRROR to another",
            )


def _reason(stderr: str) -> str:
    """Return gpgv's own words for what is wrong, the last that say something."""
    lines = [line.removeprefix("gpgv: ").strip() for line in stderr.splitlines()]
    telling = [line for line in lines if "BAD" in line or "not" in line.lower() or "invalid" in line.lower()]
    return (telling or lines or ["gpgv said nothing"])[-1]


def _unchecked(data: bytes) -> bytes:
    """Return the text of a clear-signed file (RFC 4880, section 7) without checking who signed it."""
    _, _, rest = data.replace(b"\r\n", b"\n").partition(b"\n\n")  # the armour's headers end with an empty line
    text, _, _ = rest.partition(b"\n-----BEGIN PGP SIGNATURE-----")
    return b"\n".join(line.removeprefix(b"- ") for line in text.split(b"\n")) + b"\n"

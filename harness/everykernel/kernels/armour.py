"""OpenPGP keys as gpgv reads them: without their armour (RFC 4880, section 6.2)."""

from __future__ import annotations

import base64
import binascii
import re

from everykernel.errors import HarnessError

_BLOCK = re.compile(rb"-----BEGIN PGP [A-Z ]+-----\r?\n(.*?)-----END PGP", re.DOTALL)


def plain(keys: bytes, where: str) -> bytes:
    """Return keys without their armour; plain ones as they are. Raises HarnessError for what is neither."""
    blocks = _BLOCK.findall(keys)
    if not blocks:
        return keys
    try:
        return b"".join(base64.b64decode(_body(block)) for block in blocks)
    except binascii.Error as e:
        raise HarnessError(f"not a sound file of keys: {e}", where=where, remedy="install everykernel again") from e


def _body(block: bytes) -> bytes:
    """Return the base64 text of an armoured block: what stands behind its headers, up to its checksum."""
    lines = block.replace(b"\r\n", b"\n").split(b"\n")
    start = lines.index(b"") if b"" in lines else 0
    return b"".join(line for line in lines[start:] if not line.startswith(b"="))

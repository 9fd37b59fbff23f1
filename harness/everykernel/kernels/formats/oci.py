"""Images of the Open Container Initiative: manifests by digest, and the layers that they name.

Sources: OCI image-spec v1.1 (image-index.md, manifest.md, layer.md, image-layout.md); Docker's manifest v2, schema 2,
differs in the names of its types alone. Where the blobs are is not known here: a registry, or a folder.
"""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from everykernel.errors import DownloadError
from everykernel.kernels.bounded import Stream
from everykernel.kernels.formats import tar
from everykernel.kernels.formats.members import LARGEST, Members, explained
from everykernel.kernels.formats.whiteouts import PREFIX

LARGEST_MANIFEST = 4 << 20  # bytes that every registry takes (OCI distribution-spec v1.1, "Pushing manifests")
_LAYERS = 1_000  # of an image: those that hold kernels have a handful
_MAGICS = {b"\x28\xb5\x2f\xfd": "zst", b"\x1f\x8b": "gz"}  # of layers; one that begins otherwise is not compressed
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")


@dataclass(frozen=True)
class Descriptor:
    """What a manifest says of a blob: its SHA-256 (hex) and its size in bytes."""

    sha256: str
    size: int


class Store(Protocol):
    """Where an image is: a registry or a folder."""

    name: str

    def manifest(self, reference: str) -> bytes:
        """Return a manifest, by tag or by digest (``sha256:…``); raise DownloadError if it cannot be had."""

    def blob(self, descriptor: Descriptor) -> Path:
        """Return a file with a blob, verified; raise DownloadError if it cannot be had."""


@dataclass(frozen=True)
class Image:
    """An image for one platform: the digest of its manifest (``sha256:…``) and its layers, the lowest first."""

    digest: str
    layers: tuple[Descriptor, ...]


def find(store: Store, reference: str, platform: str) -> Image:
    """Return the image that a reference means for a platform.

    Args:
        store: where it is.
        reference: a tag, or a digest.
        platform: as Go names architectures (``amd64``, ``arm64``, ``386``); a manifest that is no index has one alone.

    Raises:
        DownloadError: there is none for the platform, or a manifest is damaged or not what its digest says.
    """
    for _ in range(3):  # an index may name an index
        data = store.manifest(reference)
        where = f"{store.name}:{reference}".replace(":sha256:", "@sha256:")
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if DIGEST.fullmatch(reference) and digest != reference:
            raise DownloadError("its manifest is not what its digest promises", where=where)
        manifest = _json(data, where)
        if "layers" in manifest:
            layers = tuple(_descriptor(row, where) for row in _rows(manifest, "layers", where))
            if len(layers) > _LAYERS:
                raise DownloadError(f"an image of {len(layers)} layers", where=where)
            return Image(digest, layers)
        reference = f"sha256:{_of_platform(_rows(manifest, 'manifests', where), platform, where).sha256}"
    raise DownloadError("its indexes name nothing but indexes", where=store.name)


def _of_platform(rows: Sequence[dict[str, Any]], platform: str, where: str) -> Descriptor:
    known = []
    for row in rows:
        about = row.get("platform")
        if about is None and len(rows) == 1:  # a layout of one image says nothing of its platform
            return _descriptor(row, where)
        if not isinstance(about, dict) or about.get("os") != "linux":
            continue  # an attestation, which is of no platform
        if about.get("architecture") == platform:
            return _descriptor(row, where)
        known.append(str(about.get("architecture")))
    raise DownloadError(f"has no image for {platform}, only for {', '.join(known) or 'no platform'}", where=where)


def _json(data: bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(data) if len(data) <= LARGEST_MANIFEST else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not {"layers", "manifests"} & found.keys():
        raise DownloadError("what it has under that name is no manifest of an image", where=where)
    return found


def _rows(manifest: dict[str, Any], name: str, where: str) -> list[dict[str, Any]]:
    rows = manifest.get(name)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DownloadError(f"its manifest has no list of {name}", where=where)
    return rows


def _descriptor(row: dict[str, Any], where: str) -> Descriptor:
    digest, size = row.get("digest"), row.get("size")
    if not isinstance(size, int) or size < 0:
        raise DownloadError("its manifest has an entry without size", where=where)
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise DownloadError("its manifest has an entry without a SHA-256", where=where)
    return Descriptor(digest.removeprefix("sha256:"), size)


def unpack(path: Path, *, largest: int = LARGEST, whiteouts: bool = False) -> Members:
    """Yield each member of a layer with its content (None unless it is a regular file), also whiteouts if so asked.

    Read the content before asking for the next member. Names are relative.

    Raises:
        DownloadError: the layer is damaged, holds more than ``largest`` bytes, or a name that leads elsewhere.
    """
    with explained(path), path.open("rb") as file:
        kind = next((kind for magic, kind in _MAGICS.items() if file.peek(4).startswith(magic)), None)
        stream: IO[bytes] = io.BufferedReader(Stream(file.read, kind, largest), 1 << 20) if kind else file
        for member, content in tar.members(stream, path, kind=tar.PaxMember):
            if whiteouts or not posixpath.basename(member.name).startswith(PREFIX):
                yield member, content

"""An OCI image in a folder (OCI image-spec image-layout.md): what skopeo, buildah and docker buildx write."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from everykernel import cache
from everykernel.errors import DownloadError
from everykernel.kernels.download import matches
from everykernel.kernels.formats.oci import LARGEST_MANIFEST, Descriptor

_NAME = "org.opencontainers.image.ref.name"


class Layout:
    """A folder with ``oci-layout``, ``index.json`` and ``blobs``; a store of images, as `oci.Store` has it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = str(folder)

    def manifest(self, reference: str) -> bytes:
        """Return a manifest by digest, or by the name that index.json gives it; for "" index.json itself."""
        if reference.startswith("sha256:"):
            return self._read(self._path(reference.removeprefix("sha256:")))
        data = self._read(self._folder / "index.json")
        if not reference:
            return data
        try:
            rows = json.loads(data)["manifests"]
            named = [row for row in rows if row.get("annotations", {}).get(_NAME) == reference]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
            raise DownloadError(f"its index.json cannot be read: {e!r}", where=self.name) from e
        if not named:
            raise DownloadError(f"has no image of the name {reference!r}", where=self.name)
        return json.dumps({"manifests": named}).encode()

    def blob(self, descriptor: Descriptor) -> Path:
        """Return the file with a blob; raise DownloadError if it is not there, or not what its digest promises."""
        path = self._path(descriptor.sha256)
        if not matches(path, descriptor.sha256, descriptor.size):
            raise DownloadError("is not there, or not what its digest promises", where=str(path))
        return path

    def copy(self, descriptor: Descriptor) -> Path:
        """Return a copy of a blob in the cache; raises as `blob` does."""
        target = cache.entry("packages", f"{descriptor.sha256[:12]}-layer")
        with cache.explained(target):
            shutil.copyfile(self.blob(descriptor), target)
        return target

    def _path(self, sha256: str) -> Path:
        return self._folder / "blobs" / "sha256" / sha256

    def _read(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                return file.read(LARGEST_MANIFEST + 1)
        except OSError as e:
            raise DownloadError(f"cannot be read: {e.strerror}", where=str(path)) from e

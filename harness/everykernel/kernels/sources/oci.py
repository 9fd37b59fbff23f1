"""Kernels in images of registries: any image, by a reference that ends in a tag or a digest (``oci:HOST/NAME:TAG``)."""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

from everykernel.architectures import Architecture
from everykernel.errors import DownloadError
from everykernel.kernels.download import Downloader
from everykernel.kernels.formats import oci
from everykernel.kernels.formats.layout import Layout as Folder
from everykernel.kernels.packages import Candidate, Layout, Offer, Package
from everykernel.kernels.progress import Progress
from everykernel.kernels.registry import Reference, Registry
from everykernel.kernels.sources.named import Named
from everykernel.kernels.sources.protocol import Members

INSECURE = "EVERYKERNEL_OCI_INSECURE"
_REMEDY = "look at the reference, the network and the proxy settings"
_PLATFORMS = {"i386": "386", "armhf": "arm", "ppc64el": "ppc64le"}  # Go's names, by Debian's, where they differ


class Oci(Named):
    """Images as a source (`protocol.Source`). Each layer is a package; an upper one's files go before a lower's.

    cilium's ci-kernels have theirs below ``boot`` and ``lib/modules``, LVH's a tree for each kernel below
    ``data/kernels`` (cilium/little-vm-helper-images, dockerfiles/kernel-images). Falco's kernel-testing has an ELF
    ``boot/vmlinux`` without modules, which is told.
    """

    name = "oci"
    layout = Layout(
        image=("boot/vmlinuz", "boot/vmlinuz-*", "vmlinuz", "kernel"),
        config=("boot/config-*", "boot/config"),
        tops=("usr", "data/kernels/*"),
        layered=True,
        no_modules="no modules: the image holds none",
        no_config="no build configuration: the image holds none",
    )

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._insecure = environ.get(INSECURE, "").replace(",", " ").split()
        self._downloader = Downloader()
        self._registries: dict[str, Registry] = {}

    def offer(self, wanted: str, arch: Architecture, progress: Progress, *, thorough: bool = False) -> Offer:
        """Return the one kernel that a reference means, a registry's or an OCI layout's folder (``./folder:name``)."""
        try:
            store, version, base = self._store(wanted, progress)
            image = oci.find(store, version, _PLATFORMS.get(arch.debian, arch.debian))
        except DownloadError as e:
            e.remedy = _REMEDY
            return Offer((), (e,))
        stem = re.sub(r"[^A-Za-z0-9.+~-]+", "-", f"{store.name}-{version[:24]}").strip("-.+~")[-80:].lstrip("-.+~")
        signed = "https" if base.startswith("https:") else "none"
        packages = tuple(
            Package(
                name=stem,
                version=image.digest[7:19],
                arch=arch.debian,
                suite=re.sub(r"[^A-Za-z0-9.+~_-]+", "-", store.name).strip("-.+~_"),
                filename=f"sha256-{layer.sha256}",
                size=layer.size,
                sha256=layer.sha256,
                signed=signed,
                base=base,
            )
            for layer in image.layers
        )
        return Offer((Candidate(arch, "", "", "", packages, self.name),) if packages else ())

    def fetch(self, package: Package, progress: Progress) -> Path:
        """Return a layer's file in the cache, by its digest."""
        layer = oci.Descriptor(package.sha256, package.size)
        if package.base.startswith("file:"):
            return Folder(Path(urllib.parse.unquote(package.base.removeprefix("file://")))).copy(layer)
        try:
            return self._registry(package.base, progress).blob(layer)
        except DownloadError as e:
            e.remedy = _REMEDY
            raise

    def unpack(self, path: Path, *, largest: int) -> Members:
        """Yield the members of a layer."""
        return oci.unpack(path, largest=largest, whiteouts=True)

    def _store(self, wanted: str, progress: Progress) -> tuple[oci.Store, str, str]:
        """Return where an image is, its version there, and the URL of that."""
        if wanted.startswith((".", "/", "~")):
            folder, _, name = wanted.partition(":")
            path = Path(folder).expanduser().absolute()
            return Folder(path), name, path.as_uri()
        reference = Reference.read(wanted)
        base = reference.url(insecure=reference.host in self._insecure)
        return self._registry(base, progress), reference.version, base

    def _registry(self, base: str, progress: Progress) -> Registry:
        return self._registries.setdefault(base, Registry(base, self._downloader, progress))

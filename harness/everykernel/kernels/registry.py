"""A registry of images: its API, version 2, as anybody may use it.

Sources: OCI distribution-spec v1.1 ("Pull"); Docker's token authentication (a 401 names where an anonymous token is to
be had, for what service and scope).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from everykernel import cache
from everykernel.errors import DownloadError, UsageError
from everykernel.kernels.download import Downloader, Unauthorised
from everykernel.kernels.formats.oci import INDEXES, MANIFESTS, Descriptor
from everykernel.kernels.progress import SILENT, Progress

_REFERENCE = re.compile(
    r"(?P<host>[A-Za-z0-9.-]*[.:][A-Za-z0-9.:-]*|localhost)/(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_T = TypeVar("_T")


@dataclass(frozen=True)
class Reference:
    """An image's name: ``ghcr.io``, ``cilium/ci-kernels``, and a tag or a digest (``latest`` if it names neither)."""

    host: str
    name: str
    version: str

    @classmethod
    def read(cls, text: str) -> Reference:
        """Return the reference in a text; raise UsageError for what is none. A digest counts before a tag."""
        match = _REFERENCE.fullmatch(text)
        if match is None:
            remedy = "write HOST/NAME:TAG or HOST/NAME@sha256:DIGEST, like ghcr.io/cilium/ci-kernels:6.6"
            raise UsageError("is no image's name", where=text, remedy=remedy)
        return cls(match["host"], match["name"], match["digest"] or match["tag"] or "latest")

    def url(self, *, insecure: bool = False) -> str:
        """Return the repository's URL; by plain HTTP where ``insecure``, as to a registry on this machine."""
        return f"{'http' if insecure else 'https'}://{self.host}/v2/{self.name}"


class Registry:
    """One repository of a registry; a store of images, as `oci.Store` has it. Safe to use from several threads.

    Args:
        url: the repository's, as `Reference.url` has it.
        downloader: how to download.
        progress: where downloads are shown.
    """

    def __init__(self, url: str, downloader: Downloader, progress: Progress = SILENT) -> None:
        self._base = url
        self.name = url.partition("://")[2].replace("/v2/", "/", 1)
        self._scope = f"repository:{url.partition('/v2/')[2]}:pull"
        self._downloader, self._progress = downloader, progress
        self._token = ""
        self._lock = threading.Lock()

    def manifest(self, reference: str) -> bytes:
        """Return a manifest, by tag or by digest; raise DownloadError if it cannot be had."""
        accept = {"Accept": ", ".join((*INDEXES, *MANIFESTS))}
        url = f"{self._base}/manifests/{reference}"
        return self._allowed(lambda headers: self._downloader.get(url, headers=accept | headers))

    def blob(self, descriptor: Descriptor) -> Path:
        """Return a blob's file in the cache, verified; raise DownloadError if it cannot be had."""
        path = cache.entry("packages", f"{descriptor.sha256[:12]}-layer")
        url = f"{self._base}/blobs/sha256:{descriptor.sha256}"

        def get(headers: dict[str, str]) -> Path:
            return self._downloader.file(
                url,
                path,
                sha256=descriptor.sha256,
                size=descriptor.size,
                description=f"{self.name} {descriptor.sha256[:12]}",
                progress=self._progress,
                headers=headers,
            )

        return self._allowed(get)

    def _allowed(self, ask: Callable[[dict[str, str]], _T]) -> _T:
        """Return what the registry gives; where it asks who we are, with a token for anybody."""
        with self._lock:
            token = self._token
        try:
            return ask({"Authorization": f"Bearer {token}"} if token else {})
        except Unauthorised as e:
            if token:
                raise
            token = self._anonymous(e)
            with self._lock:
                self._token = token
            return ask({"Authorization": f"Bearer {token}"})

    def _anonymous(self, refused: Unauthorised) -> str:
        """Return a token from where the registry's challenge says; raise DownloadError if there is none for us."""
        said = dict(_CHALLENGE.findall(refused.challenge))
        if not refused.challenge.lower().startswith("bearer ") or "realm" not in said:
            remedy = "only images that anybody may have can be fetched; save it with skopeo copy to an OCI layout"
            raise DownloadError("wants a name and a password", where=self.name, remedy=remedy) from refused
        query: Mapping[str, str] = {"service": said.get("service", ""), "scope": said.get("scope", self._scope)}
        try:
            answer = json.loads(self._downloader.get(said["realm"], query=query))
            return str(answer.get("token") or answer["access_token"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
            raise DownloadError("gives no token for anybody", where=self.name) from e

"""Which Debian mirror to ask: the user's setting, else the host's own apt sources, else the catalogue's default."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from everykernel.errors import UsageError
from everykernel.kernels.catalogue import Catalogue
from everykernel.kernels.control import fields

SETTING = "EVERYKERNEL_DEBIAN_MIRROR"
APT = Path("/etc/apt")
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>[^#]*)")
_PROXY = re.compile(r'(?:Acquire::)?http::Proxy\s+"([^"]*)"', re.IGNORECASE)


@dataclass(frozen=True)
class Mirror:
    """Where Debian's files are asked for, in order.

    Attributes:
        debian, security: URLs of the archives ``debian`` and ``debian-security``, without a slash at the end.
        archive: URL of the server for suites that have left the mirrors.
        origin: who says so: ``setting``, ``apt`` or ``catalogue``.
        proxy: the proxy that apt uses here, None if there is none.
    """

    debian: str
    security: str
    archive: str
    origin: str
    proxy: str | None = None

    def bases(self, suite: str) -> tuple[str, str]:
        """Return the URLs to ask for a suite: the mirror's, then the archive server's."""
        if suite.endswith("-security"):
            return self.security, f"{self.archive}/debian-security"
        return self.debian, f"{self.archive}/debian"


def choose(catalogue: Catalogue, *, environ: Mapping[str, str] = os.environ, apt: Path = APT) -> Mirror:
    """Return the mirror to use; raise UsageError for a setting that is no URL."""
    archive = catalogue.archive.rstrip("/")
    setting = environ.get(SETTING, "").strip()
    if setting:
        debian, security = _from_setting(setting)
        return Mirror(debian, security, archive, "setting")
    debian, security = _from_apt(_sources(apt), catalogue.codenames)
    if debian:
        return Mirror(debian, security or _sibling(debian), archive, "apt", _proxy(apt))
    return Mirror(catalogue.mirror.rstrip("/"), catalogue.security.rstrip("/"), archive, "catalogue")


def _from_setting(setting: str) -> tuple[str, str]:
    """Read ``URL`` or ``URL SECURITY-URL``; a URL that does not end in /debian is a root that holds both archives."""
    urls = [url.rstrip("/") for url in setting.replace(",", " ").split()]
    if len(urls) > 2 or not all(re.match(r"https?://[^/]", url) for url in urls):
        raise UsageError(
            f"{setting!r} is not a mirror",
            where=SETTING,
            remedy="give the archive's URL, like https://ftp.debian.org/debian, and debian-security's after a space",
        )
    debian = urls[0] if urls[0].endswith("/debian") or len(urls) == 2 else f"{urls[0]}/debian"
    return debian, urls[1] if len(urls) == 2 else _sibling(debian)


def _sibling(debian: str) -> str:
    """Return the URL of debian-security beside the URL of debian; Debian's own servers have it at one host."""
    if re.match(r"https?://ftp\.([a-z.]+\.)?debian\.org/", debian):
        return "https://security.debian.org/debian-security"
    return f"{debian}-security"


@dataclass(frozen=True)
class _Source:
    uri: str
    suite: str
    signed_by: str


def _from_apt(sources: Iterable[_Source], codenames: Iterable[str]) -> tuple[str, str]:
    """Return the Debian and the security mirror among apt's sources, "" for one that is not there.

    Others publish packages under Debian's release names too. Debian's own archive is known by its host, by Debian's
    keyring, or by the -updates suite beside the release's.
    """
    releases = {*codenames, "stable", "oldstable", "testing", "unstable"}
    points: dict[str, int] = {}
    security = ""
    for source in sources:
        release, _, kind = source.suite.strip("/").partition("-")
        if release not in releases:
            continue
        ours = bool(re.match(r"https?://[^/]*debian\.org/", source.uri)) or "debian-archive" in source.signed_by
        if kind == "security":
            security = security or source.uri
        else:
            points[source.uri] = points.get(source.uri, 0) + (ours or kind == "updates")
    best = max(points, key=lambda uri: points[uri], default="")
    return (best if points.get(best) else ""), security


def _sources(apt: Path) -> Iterator[_Source]:
    """Yield apt's binary sources of component main, in both of apt's formats (sources.list(5))."""
    parts = apt / "sources.list.d"
    for path in [apt / "sources.list", *sorted(parts.glob("*.list"))]:
        for line in _text(path).splitlines():
            match = _ONE_LINE.match(line.strip())
            if match and "main" in match["components"].split():
                yield from _usable([match["uri"]], [match["suite"]], match["options"] or "")
    for path in sorted(parts.glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", _text(path)):
            found = fields(stanza)
            wanted = "deb" in found.get("types", "").split() and "main" in found.get("components", "").split()
            if wanted and found.get("enabled", "yes").lower() not in ("no", "false", "0"):
                yield from _usable(
                    found.get("uris", "").split(), found.get("suites", "").split(), found.get("signed-by", "")
                )


def _usable(uris: Iterable[str], suites: Iterable[str], signed_by: str) -> Iterator[_Source]:
    """Yield the sources that speak HTTP; ``mirror+file:`` names a file whose first line is a mirror."""
    for uri in uris:
        listed = re.match(r"mirror\+file:(?://)?(/.*)", uri)
        lines = _text(Path(listed[1])).split() if listed else [uri]
        if lines and re.match(r"https?://[^/]", lines[0]):
            for suite in suites:
                yield _Source(lines[0].rstrip("/"), suite, signed_by)


def _proxy(apt: Path) -> str | None:
    """Return the HTTP proxy that apt is told to use, None if there is none."""
    for path in [apt / "apt.conf", *sorted((apt / "apt.conf.d").glob("*"))]:
        for line in _text(path).splitlines():
            match = _PROXY.search(line)
            if match and not line.lstrip().startswith(("//", "#")) and match[1].startswith("http"):
                return match[1]
    return None


def _text(path: Path) -> str:
    """Return a file's text, "" where there is none to be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""

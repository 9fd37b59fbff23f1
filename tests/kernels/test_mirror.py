"""The mirror is the user's setting, else the one of the host's apt sources, else the catalogue's."""

from __future__ import annotations

from pathlib import Path

import pytest

from everykernel.errors import UsageError
from everykernel.kernels import catalogue
from everykernel.kernels.mirror import Mirror, choose

DEFAULT = Mirror(
    "https://ftp.debian.org/debian",
    "https://security.debian.org/debian-security",
    "https://archive.debian.org",
    "catalogue",
)


def mirror(apt: Path, setting: str = "") -> Mirror:
    environ = {"EVERYKERNEL_DEBIAN_MIRROR": setting} if setting else {}
    return choose(catalogue.load(), environ=environ, apt=apt)


def write(apt: Path, name: str, text: str) -> None:
    path = apt / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_apt_the_catalogue_decides(tmp_path: Path) -> None:
    """A host that is not Debian asks Debian's own servers, by HTTPS."""
    assert mirror(tmp_path) == DEFAULT


@pytest.mark.parametrize(
    ("setting", "debian", "security"),
    [
        ("http://m.example/debian", "http://m.example/debian", "http://m.example/debian-security"),
        ("http://m.example/debian/", "http://m.example/debian", "http://m.example/debian-security"),
        ("http://m.example/root", "http://m.example/root/debian", "http://m.example/root/debian-security"),
        ("http://a.example/d http://b.example/s", "http://a.example/d", "http://b.example/s"),
        (
            "http://ftp.de.debian.org/debian",
            "http://ftp.de.debian.org/debian",
            "https://security.debian.org/debian-security",
        ),
    ],
)
def test_the_setting_wins(tmp_path: Path, setting: str, debian: str, security: str) -> None:
    """EVERYKERNEL_DEBIAN_MIRROR takes an archive's URL, a root with both archives, or two URLs."""
    write(tmp_path, "sources.list", "deb http://apt.example/debian bookworm main\n")
    found = mirror(tmp_path, setting)
    assert (found.debian, found.security, found.origin) == (debian, security, "setting")


@pytest.mark.parametrize("setting", ["ftp://m.example/debian", "m.example", "http://a http://b http://c"])
def test_a_setting_that_is_no_url_is_refused(tmp_path: Path, setting: str) -> None:
    """A misspelt mirror is an error, never ignored."""
    with pytest.raises(UsageError, match="is not a mirror") as caught:
        mirror(tmp_path, setting)
    assert caught.value.where == "EVERYKERNEL_DEBIAN_MIRROR"


def test_one_line_sources(tmp_path: Path) -> None:
    """sources.list in the old format names both archives."""
    write(
        tmp_path,
        "sources.list",
        "# deb http://old.example/debian bookworm main\n"
        "deb-src http://src.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/x/debian-archive-keyring.gpg] http://m.example/debian/ bookworm main # x\n"
        "deb http://s.example/debian-security bookworm-security main\n",
    )
    found = mirror(tmp_path)
    assert (found.debian, found.security, found.origin) == (
        "http://m.example/debian",
        "http://s.example/debian-security",
        "apt",
    )


def test_deb822_sources(tmp_path: Path) -> None:
    """A .sources file names both archives, over several lines and with comments."""
    write(
        tmp_path,
        "sources.list.d/debian.sources",
        "Types: deb deb-src\nURIs: http://m.example/debian\n# a comment\nSuites: trixie\n trixie-updates\n"
        "Components: main\n\n"
        "Types: deb\nURIs: http://m.example/debian-security\nSuites: trixie-security\nComponents: main contrib\n",
    )
    found = mirror(tmp_path)
    assert (found.debian, found.security) == ("http://m.example/debian", "http://m.example/debian-security")


def test_a_disabled_source_does_not_count(tmp_path: Path) -> None:
    """Enabled: no is respected."""
    write(
        tmp_path,
        "sources.list.d/debian.sources",
        "Enabled: no\nTypes: deb\nURIs: http://m.example/debian\nSuites: trixie trixie-updates\nComponents: main\n",
    )
    assert mirror(tmp_path) == DEFAULT


def test_others_packages_are_not_taken_for_debians(tmp_path: Path) -> None:
    """A third party that publishes under Debian's release names is no mirror of Debian."""
    write(
        tmp_path,
        "sources.list.d/a.list",
        "deb [signed-by=/x.gpg] https://pkgs.example.com/stable/debian bookworm main\n",
    )
    assert mirror(tmp_path) == DEFAULT
    write(
        tmp_path,
        "sources.list",
        "deb http://local.example/d bookworm main\ndeb http://local.example/d bookworm-updates main\n",
    )
    assert mirror(tmp_path).debian == "http://local.example/d"


def test_another_distribution_is_not_debian(tmp_path: Path) -> None:
    """On Ubuntu the catalogue decides."""
    write(
        tmp_path,
        "sources.list.d/ubuntu.sources",
        "Types: deb\nURIs: http://archive.ubuntu.com/ubuntu\nSuites: noble noble-updates\nComponents: main\n",
    )
    assert mirror(tmp_path) == DEFAULT


def test_a_list_of_mirrors_gives_its_first(tmp_path: Path) -> None:
    """mirror+file:, as in Debian's cloud images, is followed."""
    write(tmp_path, "mirrors/debian.list", "https://cdn.example/debian\n")
    write(
        tmp_path,
        "sources.list.d/debian.sources",
        f"Types: deb\nURIs: mirror+file://{tmp_path}/mirrors/debian.list\n"
        "Suites: trixie trixie-updates\nComponents: main\n",
    )
    assert mirror(tmp_path).debian == "https://cdn.example/debian"


@pytest.mark.parametrize(
    "text",
    [
        'Acquire::http::Proxy "http://proxy.example:3142";\n',
        'Acquire {\n  http::Proxy "http://proxy.example:3142";\n}\n',
    ],
)
def test_apts_proxy_is_used_with_apts_mirror(tmp_path: Path, text: str) -> None:
    """A site's caching proxy keeps working."""
    write(tmp_path, "sources.list", "deb http://ftp.debian.org/debian bookworm main\n")
    write(tmp_path, "apt.conf.d/01proxy", '// Acquire::http::Proxy "http://no.example";\n' + text)
    assert mirror(tmp_path).proxy == "http://proxy.example:3142"


def test_archive_server_comes_second() -> None:
    """A suite is asked for at the mirror, then at the archive server, each with its own archive."""
    assert DEFAULT.bases("bullseye-security") == (
        "https://security.debian.org/debian-security",
        "https://archive.debian.org/debian-security",
    )
    assert DEFAULT.bases("bullseye") == ("https://ftp.debian.org/debian", "https://archive.debian.org/debian")

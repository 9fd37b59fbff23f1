"""An empty cache and a tiny Debian archive for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from everykernel.kernels import store

from .archive import Server, TinyArchive, deb, kernel_deb, kernel_image


@pytest.fixture(autouse=True)
def cache_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EVERYKERNEL_CACHE_LIMIT", raising=False)
    yield tmp_path / "cache"
    store.release_all()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def tiny(server: Server) -> TinyArchive:
    """An archive with one kernel of each layout and more, published."""
    tiny = TinyArchive(server)
    publish_all(tiny)
    return tiny


def publish_all(tiny: TinyArchive) -> None:
    """Fill and publish the archive."""
    tiny.add("old-security", "linux-image-5.10.0-46-cloud-amd64", "5.10.262-1", kernel_deb("5.10.0-46-cloud-amd64"))
    for abi, version in ((47, "6.1.170-1"), (56, "6.1.192-2"), (9, "6.1.99-1")):
        release = f"6.1.0-{abi}-cloud-amd64"
        tiny.add("stable-security", f"linux-image-{release}", version, kernel_deb(release))
    tiny.add("stable-security", "linux-image-6.1.0-56-amd64", "6.1.192-2", kernel_deb("6.1.0-56-amd64"))
    tiny.add("stable-security", "linux-image-6.1-cloud-amd64", "6.1.192-2", b"it only depends")
    tiny.add("stable", "linux-image-6.1.0-50-cloud-amd64", "6.1.176-1", kernel_deb("6.1.0-50-cloud-amd64"))
    release = "6.1.0-54-686-pae"
    tiny.add("stable", f"linux-image-{release}", "6.1.190-1", kernel_deb(release, btf=False, wide=False), arch="i386")
    tiny.add("stable-security", "hello", "1", b"", arch="i386")
    tiny.add(
        "other",
        "linux-image-6.1.0-0.deb11.48-cloud-amd64",
        "6.1.158-1~deb11u1",
        kernel_deb("6.1.0-0.deb11.48-cloud-amd64"),
    )
    tiny.add("next", "linux-image-6.12.117+deb13-cloud-amd64", "6.12.117-1", kernel_deb("6.12.117+deb13-cloud-amd64"))
    _rolling(tiny)
    tiny.publish()


def _rolling(tiny: TinyArchive) -> None:
    """Add the two newer layouts: a lonely linux-binary, and linux-binary with linux-modules and linux-base."""
    release = "7.1.13+deb13-cloud-amd64"
    version = "7.1.13-1~bpo13+1"
    tiny.add("rolling", f"linux-image-{release}", version, b"", depends=f"linux-binary-{release} (= {version})")
    tiny.add("rolling", f"linux-binary-{release}", version, deb({f"./boot/vmlinuz-{release}": kernel_image(release)}))
    release = "7.3.4+deb13-cloud-amd64"
    version = "7.3.4-1~bpo13+1"
    top = f"./usr/lib/modules/{release}"
    tiny.add("rolling", f"linux-image-{release}", version, b"", depends=f"linux-binary-{release} (= {version})")
    tiny.add("rolling", f"linux-binary-{release}", version, deb({f"{top}/vmlinuz": kernel_image(release)}))
    tiny.add("rolling", f"linux-modules-{release}", version, deb({f"{top}/kernel/a.ko.xz": b"a"}, compression="zst"))
    tiny.add("rolling", f"linux-base-{release}", version, deb({f"{top}/config": b"C=y\n", f"{top}/System.map": b"x"}))
    tiny.add("rolling", "linux-image-7.4.1+deb13-cloud-amd64", "7.4.1-1", kernel_deb("7.4.1+deb13-cloud-amd64"))

"""`pytest --kernels 5.10,6.1,6.8` as typed: the series that Debian never had comes from another source, and boots."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from everykernel import cache, kernels
from everykernel.errors import BootFailed
from everykernel.kernels import store
from everykernel.kernels.model import Kernel
from everykernel.machine import Machines

from ..kernels import built
from ..kernels.archive import Server
from ..kernels.published import deb, serve, ubuntu_debs

pytestmark = pytest.mark.vm

CACHE = cache.root()  # pytester gives every test a home of its own, without a cache
TEST = """

def test_it(kernel):
    assert kernel.run(["uname", "-r"]).stdout.decode().strip() == kernel.release
"""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def repackaged(folder: Path, server: Server) -> tuple[str, str]:
    """Serve a third kernel; return its spec and what it is: 6.8 if it was built here, else Debian's 6.12 in a .deb."""
    image = built.place() / "vmlinuz"
    if image.exists():
        builds = folder / "mainline/v6.8.12/amd64"
        builds.mkdir(parents=True)
        debs = ubuntu_debs(builds, built.RELEASE, "6.8.12-060812.1", image.read_bytes())
        (builds / "CHECKSUMS").write_text(
            "".join(f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.name}\n" for one in debs)
        )
        serve(server, folder / "mainline", "/mainline")
        return "6.8", "a 6.8 of nox -s kernel68"
    kernel = kernels.resolve("6.12")[0].fetch()
    assert kernel.modules is not None
    files = {f"boot/vmlinuz-{kernel.release}": kernel.image.read_bytes()}
    for path in kernel.modules.rglob("*"):
        if path.is_file():
            files[f"lib/modules/{kernel.release}/{path.relative_to(kernel.modules)}"] = path.read_bytes()
    return str(deb(folder, "linux-image-own", "1", files)), "Debian's 6.12 in a package (nox -s kernel68 builds a 6.8)"


def test_as_typed(
    pytester: pytest.Pytester, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three series of two sources make three columns; each guest is the release that its source said."""
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(CACHE))
    monkeypatch.setenv("EVERYKERNEL_MAINLINE_MIRROR", f"{server.url}/mainline")
    spec, which = repackaged(pytester.path, server)
    monkeypatch.setenv("EVERYKERNEL_SOURCES", "debian,mainline")
    with capsys.disabled():
        os.write(2, f"\nthe third kernel is {which}\n".encode())
    pytester.makepyfile(TEST)
    result = pytester.runpytest_subprocess("--kernels", f"5.10,6.1,{spec}")
    for one in store.stored():
        if one.record["package"].startswith("linux-image-own") or one.record["release"] == built.RELEASE:
            store.remove(one)
    result.assert_outcomes(passed=3)


def test_what_boots_is_not_what_the_image_says(machines: Machines, columns: dict[str, Kernel], tmp_path: Path) -> None:
    """An image whose header names another release than the kernel in it is no kernel to test on."""
    true = columns["6.12"]
    data = true.image.read_bytes()
    claimed = true.release.replace("6.12.", "6.88.", 1)
    at = data.index(true.release.encode(), 0, 64 << 10)
    image = tmp_path / "vmlinuz"
    image.write_bytes(data[:at] + claimed.encode() + data[at + len(claimed) :])
    (tmp_path / "lib/modules").mkdir(parents=True)
    assert true.modules is not None
    (tmp_path / "lib/modules" / claimed).symlink_to(true.modules)
    kernel = kernels.resolve(str(image))[0].fetch()
    with pytest.raises(BootFailed, match=f"its image says that it is {re.escape(claimed)}, and what boots is "):
        machines.start(kernel).facts  # noqa: B018 - booted when it is first asked

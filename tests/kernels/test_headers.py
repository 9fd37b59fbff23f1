"""A kernel's headers are those of Debian's packages, as a Debian system has them, and nothing else of these."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from everykernel import kernels
from everykernel.errors import DownloadError, UsageError
from everykernel.kernels import headers

from .archive import TinyArchive, deb

RELEASE = "6.1.0-56-cloud-amd64"
OWN, COMMON = f"usr/src/linux-headers-{RELEASE}", "usr/src/linux-headers-6.1.0-56-common"


def add(
    tiny: TinyArchive, *, top: str = "usr/lib", up: str = "../../../src", more: dict[str, bytes] | None = None
) -> None:
    """Publish the headers of 6.1: lib/modules lies below the root, or below usr."""
    own = {
        f"./{OWN}/include/generated/autoconf.h": b"#define CONFIG_BPF 1\n",
        f"./{OWN}/arch/x86/include/generated/uapi/asm/types.h": b"own\n",
        f"./{OWN}/include/config/BPF": b"",
        f"./{OWN}/Makefile": b"all:\n",
    }
    module = f"./{top}/modules/{RELEASE}"
    links = {f"{module}/build": f"{up}/linux-headers-{RELEASE}", f"./{OWN}/scripts": "../scripts"}
    depends = "linux-image-x (= 1) | linux-image-y, linux-headers-6.1.0-56-common (= 6.1.192-2), linux-kbuild-6.1"
    suite = "stable-security"
    tiny.add(suite, f"linux-headers-{RELEASE}", "6.1.192-2", deb(own, links=links), depends=depends)
    common = {
        f"./{COMMON}/include/linux/sched.h": b"struct task_struct;\n",
        f"./{COMMON}/arch/x86/include/asm/page.h": b"x86\n",
        f"./{COMMON}/arch/arm64/include/asm/page.h": b"arm64\n",
        **(more or {}),
    }
    links = {f"./{COMMON}/include/linux/alias.h": "sched.h"}
    tiny.add(suite, "linux-headers-6.1.0-56-common", "6.1.192-2", deb(common, links=links))
    tiny.publish()


@pytest.mark.parametrize(("top", "up"), [("usr/lib", "../../../src"), ("lib", "../../../usr/src"), ("lib", "/usr/src")])
def test_headers(tiny: TinyArchive, cache_root: Path, top: str, up: str) -> None:
    """Headers of this architecture, and links that lead to them from the guest's lib, wherever the package has it."""
    add(tiny, top=top, up=up)
    kernel = kernels.resolve("6.1", archive=tiny.archive())[0].fetch()
    folder = headers.fetch(kernel, archive=tiny.archive())
    found = {str(p.relative_to(folder)): p for p in folder.rglob("*") if not p.is_dir() or p.is_symlink()}
    build, alias = f"lib/modules/{RELEASE}/build", f"{COMMON}/include/linux/alias.h"
    assert set(found) == {
        build, alias,
        f"{OWN}/include/generated/autoconf.h", f"{OWN}/arch/x86/include/generated/uapi/asm/types.h",
        f"{COMMON}/include/linux/sched.h", f"{COMMON}/arch/x86/include/asm/page.h",
    }  # fmt: skip
    assert str(found[build].readlink()) == f"/usr/src/linux-headers-{RELEASE}"
    assert str(found[alias].readlink()) == f"/{COMMON}/include/linux/sched.h"
    assert not list((cache_root / "packages").iterdir()), "a package is not kept once it is unpacked"
    asked = len(tiny.server.asked)
    assert headers.fetch(kernel) == folder
    assert len(tiny.server.asked) == asked


def test_a_kernel_without_headers(tiny: TinyArchive) -> None:
    """Where the archive has none, or the kernel is no package, the error says so, and what to do."""
    kernel = kernels.resolve("6.1", archive=tiny.archive())[0].fetch()
    with pytest.raises(DownloadError, match=rf"package linux-headers-{RELEASE}: neither .* has it for amd64"):
        headers.fetch(kernel, archive=tiny.archive())
    with pytest.raises(UsageError) as caught:
        headers.fetch(replace(kernel, spec="./bzImage", source="path:bzImage"))
    assert str(caught.value) == (
        "./bzImage: no package of headers is known for a kernel that no distribution made "
        f"[--push FOLDER:/lib/modules/{RELEASE}/build]"
    )


@pytest.mark.parametrize(
    ("source", "package", "pushed"),
    [
        (
            "ubuntu:noble-updates",
            f"linux-headers-{RELEASE} and the one it depends on",
            f"--push ROOT/usr/src:/usr/src --push ROOT/lib/modules/{RELEASE}:/lib/modules/{RELEASE}",
        ),
        (
            "rocky:9",
            f"kernel-devel of {RELEASE}",
            f"--push ROOT/usr/src/kernels/{RELEASE}:/lib/modules/{RELEASE}/build",
        ),
        (
            "oracle:9",
            f"kernel-uek-devel of {RELEASE}",
            f"--push ROOT/usr/src/kernels/{RELEASE}:/lib/modules/{RELEASE}/build",
        ),
        (
            "arch:linux",
            f"linux-headers of {RELEASE}",
            f"--push ROOT/usr/lib/modules/{RELEASE}/build:/lib/modules/{RELEASE}/build",
        ),
    ],
)
def test_a_kernel_of_another_distribution(tiny: TinyArchive, source: str, package: str, pushed: str) -> None:
    """One line names the package that has the headers there, and how they come into the guest."""
    kernel = kernels.resolve("6.1", archive=tiny.archive())[0].fetch()
    with pytest.raises(UsageError) as caught:
        headers.fetch(replace(kernel, spec="its spec", source=source))
    name = source.partition(":")[0]
    assert str(caught.value) == (
        f"its spec: headers are had for Debian's kernels only, not for those of {name}: they are in its package "
        f"{package} [unpack it into a folder ROOT, then {pushed} instead of --headers]"
    )


def test_a_name_that_is_a_link_and_a_folder(tiny: TinyArchive, cache_root: Path) -> None:
    """Nothing is written through a link of a package: such a package is not sound, and nothing of it is kept."""
    add(tiny, more={f"./{COMMON}/include/linux/alias.h/x.h": b"x"})
    kernel = kernels.resolve("6.1", archive=tiny.archive())[0].fetch()
    with pytest.raises(
        DownloadError, match=rf"linux-headers-{RELEASE}: not sound packages: \S+\.h is a file and a folder"
    ):
        headers.fetch(kernel, archive=tiny.archive())
    assert not [path for path in (cache_root / "headers").iterdir() if path.is_dir()]

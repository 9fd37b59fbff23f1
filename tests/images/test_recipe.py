"""The recipe keeps what a guest needs, and drops what only makes it large."""

from __future__ import annotations

from pathlib import Path

import pytest

from everykernel.errors import HarnessError
from everykernel.images import recipe


@pytest.mark.parametrize(
    "path",
    [
        "bin/busybox",
        "lib/x86_64-linux-gnu/libc.so.6",
        "lib/i386-linux-gnu/ld-linux.so.2",
        "lib64/ld-linux-x86-64.so.2",
        "usr/bin/python3.11",
        "usr/lib/python3.11/json/decoder.py",
        "usr/lib/python3.11/encodings/utf_8.py",
        "usr/lib/python3.11/encodings/cp437.py",
        "usr/lib/python3.11/lib-dynload/_ctypes.cpython-311-x86_64-linux-gnu.so",
        "usr/lib/python3.11/lib-dynload/mmap.cpython-311-i386-linux-gnu.so",
        "usr/lib/x86_64-linux-gnu/libffi.so.8.1.2",
        "lib/x86_64-linux-gnu/libexpat.so.1",
    ],
)
def test_what_is_kept(path: str) -> None:
    """Python, ctypes and what they link are there, on every architecture."""
    assert recipe.read("x86_64").keeps(path)


@pytest.mark.parametrize(
    "path",
    [
        "usr/share/doc/libc6/copyright",
        "usr/lib/x86_64-linux-gnu/gconv/IBM880.so",
        "usr/lib/python3.11/test/support/__init__.py",
        "usr/lib/python3.11/encodings/cp1252.py",
        "usr/lib/python3.11/pydoc_data/topics.py",
        "usr/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so",
        "usr/lib/python3.11/lib-dynload/_testcapi.cpython-311-x86_64-linux-gnu.so",
    ],
)
def test_what_is_dropped(path: str) -> None:
    """Documentation, tests and code pages are not."""
    assert not recipe.read("x86_64").keeps(path)


def test_a_broken_recipe(tmp_path: Path) -> None:
    """A recipe that cannot be read is an error that names the file."""
    (tmp_path / "guest.toml").write_text("suite = 1")
    with pytest.raises(HarnessError, match=r"guest.toml: cannot be used: .*(packages|python)"):
        recipe.read("x86_64", tmp_path / "guest.toml")


def test_each_architecture_has_what_is_its_own() -> None:
    """riscv64 comes from a newer suite, with that suite's Python below usr/; armhf's Python needs one library more."""
    usual, armhf, riscv64 = (recipe.read(name) for name in ("x86_64", "armhf", "riscv64"))
    assert (usual.suite, riscv64.suite) == ("bookworm", "trixie")
    assert set(armhf.packages) - set(usual.packages) == {"libgcc-s1"}
    assert armhf.keeps("lib/arm-linux-gnueabihf/libgcc_s.so.1")
    assert "python3.13-minimal" in riscv64.packages
    assert riscv64.keeps("usr/lib/python3.13/json/decoder.py")
    assert not riscv64.keeps("usr/lib/python3.13/pydoc.py")
    assert riscv64.keeps("usr/bin/busybox")
    assert dict(riscv64.links)["usr/bin/python3"] == "python3.13"
    assert "lib/ld-linux-riscv64-lp64d.so.1" in dict(riscv64.links)
    assert recipe.read("s390x").keeps("lib/ld64.so.1")

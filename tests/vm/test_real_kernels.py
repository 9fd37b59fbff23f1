"""The kernels that the project promises are really to be had: each layout of Debian's archive, by its real index."""

from __future__ import annotations

import pytest

from everykernel import kernels
from everykernel.kernels import image

pytestmark = pytest.mark.vm  # boots nothing, and needs what those tests need: the archive, or a cache that has it all


@pytest.mark.parametrize("spec", ["5.10", "6.1", "6.12", "6.1/i386", "6.16", "6.18", "7.1", "7.3"])
def test_a_promised_kernel_is_to_be_had(spec: str) -> None:
    """The kernel is fetched, verified, unpacked, and says of itself what the index said."""
    (resolved,) = kernels.resolve(spec)
    kernel = resolved.fetch()
    seen = image.inspect(kernel.image.read_bytes(), spec)
    assert (seen.release, seen.uname) == (kernel.release, kernel.arch.uname)
    assert kernel.release == resolved.release
    assert kernel.release.startswith(f"{resolved.series}.")
    assert kernel.signed in ("gpgv", "https")


def test_only_the_series_between_lack_modules() -> None:
    """7.1 has neither modules nor configuration, and says so; those before and after it have both."""
    found = {one.spec: one.fetch() for one in kernels.resolve("6.1,6.18,7.1,7.3")}
    assert [spec for spec, kernel in found.items() if kernel.modules is None] == ["7.1"]
    assert [note for note in found["7.1"].notes if note.startswith("no modules: ")]
    assert not found["7.3"].notes
    for spec in ("6.1", "7.3"):
        kernel = found[spec]
        assert kernel.modules is not None
        assert next(kernel.modules.rglob("*.ko*"), None) is not None
        assert kernel.config is not None
        assert "CONFIG_BPF_SYSCALL=y" in kernel.config.read_text()


def test_btf_comes_out_of_the_image() -> None:
    """vmlinux BTF is read from every compression that Debian uses, without booting; i386's kernel has none."""
    found = {one.spec: kernels.btf(one.fetch()) for one in kernels.resolve("5.10,6.1,6.12,7.3,6.1/i386")}
    assert found.pop("6.1/i386") is None
    for btf in found.values():
        assert btf is not None
        assert btf[:2] == b"\x9f\xeb"
        assert b"\0task_struct\0" in btf

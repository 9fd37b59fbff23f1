"""The table of architectures: what its rows come to."""

from __future__ import annotations

import pytest

from everykernel.architectures import ARCHITECTURES, BY_UNAME


@pytest.mark.parametrize(
    ("name", "enable", "set_bpf", "add_entropy"),
    [
        ("x86_64", 0x2400, 0x40042408, 0x40085203),
        ("i386", 0x2400, 0x40042408, 0x40085203),
        ("arm64", 0x2400, 0x40042408, 0x40085203),
        ("s390x", 0x2400, 0x40042408, 0x40085203),
        ("ppc64el", 0x20002400, 0x80042408, 0x80085203),
    ],
)
def test_ioctls(name: str, enable: int, set_bpf: int, add_entropy: int) -> None:
    """The same ioctl has the number that the kernel's headers of each architecture give it."""
    row = ARCHITECTURES[name]
    assert [row.ioctl("$", 0), row.ioctl("$", 8, 4), row.ioctl("R", 3, 8)] == [enable, set_bpf, add_entropy]


def test_every_row_is_found_by_what_its_kernel_says() -> None:
    """No two kernels say the same of their machine."""
    assert len(BY_UNAME) == len(ARCHITECTURES)
    assert {row.bpf_target for row in ARCHITECTURES.values()} == {"bpfel", "bpfeb"}

"""The kernel's build configuration and version, and how a variable of an object holds such a value.

The rules are libbpf 1.7's (find_kcfg_type, set_kcfg_value_tri, _str and _num).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from everykernel.btf import Btf
    from everykernel.load.system.door import System


class Unfit(Exception):
    """A setting's value is none that its variable can hold; the text says why."""


def setting_bytes(btf: Btf, type_id: int, size: int, text: Optional[str]) -> bytes:
    """Return a configuration value as its variable's type holds it: bool, char, tristate enum, number or string.

    Raises Unfit where libbpf's set_kcfg_value_tri, _str and _num refuse the value.
    """
    if text is None:
        return bytes(size)
    found = btf.type(btf.resolve(type_id))
    order = "little" if btf.byteorder == "little" else "big"
    kind = _setting_kind(btf, found)
    if text in _TRISTATE:
        if kind == "char":
            return text.encode()
        if kind != "tristate" and (kind != "bool" or text == "m"):
            raise Unfit(f"its value {text} takes a bool, tristate or char variable")
        return _TRISTATE[text].to_bytes(size, order)  # type: ignore[arg-type]
    if text.startswith('"'):
        if kind != "string":
            raise Unfit("its value is text, and takes an array of char")
        return text[1:].rpartition('"')[0].encode()[: size - 1].ljust(size, b"\0")
    value = _number(text)
    if kind not in ("int", "char", "bool") or (kind == "bool" and value > 1):
        raise Unfit(f"its value {text} takes a variable that is a number")
    signed = isinstance(found, kinds.Int) and found.signed
    if size < 8 and not (-(1 << 8 * size - 1) <= value < 1 << 8 * size - 1 if signed else value < 1 << 8 * size):
        raise Unfit(f"its value {text} does not fit {size} bytes")
    return (value & (1 << 8 * size) - 1).to_bytes(size, order)  # type: ignore[arg-type]


_GZIP, _LARGEST = 31, 16 << 20  # zlib's number for it; bytes of a configuration: the largest has 300 KB
_TRISTATE = {"n": 0, "y": 1, "m": 2}


def _setting_kind(btf: Btf, found: object) -> str:
    """Return what libbpf's find_kcfg_type makes of a variable's type, "" for one that no setting can have."""
    if isinstance(found, kinds.Int):
        if found.is_bool:
            return "bool" if found.size == 1 else ""
        return {1: "char", 2: "int", 4: "int", 8: "int"}.get(found.size, "")
    if isinstance(found, kinds.Enum):
        return "tristate" if found.name == "libbpf_tristate" and found.size == 4 else ""
    if isinstance(found, kinds.Array) and found.count:
        element = btf.type(btf.resolve(found.type))
        return "string" if _setting_kind(btf, element) == "char" else ""
    return ""


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise Unfit(f"its value {text!r} is no number") from None


def kernel_version(system: System) -> int:
    """Return LINUX_KERNEL_VERSION as libbpf does (get_kernel_version): vendors keep the upstream version elsewhere.

    Ubuntu in /proc/version_signature (``Ubuntu 4.15.0-213.224-generic 4.15.18``), Debian in ``uname -v``. Kernels
    before Linux commit 6c4fc209fcf9 ("bpf: remove useless version check for prog load") (in v5.0) load no kprobe
    program that names another.
    """
    uname = system.uname
    found = (
        re.match(r"\S+ \S+ (\d+)\.(\d+)\.(\d+)", _signature(system))
        or re.search(r"Debian (\d+)\.(\d+)\.(\d+)", uname.version)
        or re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", uname.release)
    )
    if found is None:
        return 0
    major, minor, patch = (int(part or 0) for part in found.groups())
    return (major << 16) + (minor << 8) + min(patch, 255)


def _signature(system: System) -> str:
    try:
        return system.text("/proc/version_signature")
    except OSError:
        return ""


def kernel_config(system: System) -> Mapping[str, str]:
    """Return the kernel's build configuration, empty where it cannot be read."""
    for path, unpack in ((f"/boot/config-{system.uname.release}", bytes), ("/proc/config.gz", _unpacked)):
        try:
            lines = unpack(system.read(path)).decode("utf-8", "replace").splitlines()
        except (OSError, zlib.error):
            continue
        return dict(line.split("=", 1) for line in lines if line.startswith("CONFIG_"))
    return {}


def _unpacked(data: bytes) -> bytes:
    """Return what a gzip file holds, its beginning where that is long: the machine that says it may be another's."""
    return zlib.decompressobj(_GZIP).decompress(data, _LARGEST)

"""The plugin's options, and what they add up to with the environment and the ini file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

NO_KERNELS = "no-kernels"  # the parameter of a kernel test when no kernel was named

REMEDY = "pytest --kernels 6.1, EVERYKERNEL_KERNELS=6.1, or kernels = '6.1' under [tool.pytest.ini_options]"


@dataclass(frozen=True)
class Settings:
    """What the user asked for.

    Attributes:
        specs: kernel specs as given; empty where none was.
        accel: ``auto``, ``kvm`` or ``tcg``.
        timeout: seconds a guest may take to answer.
        btf: BTF for kernels without, each ``[SPEC=]PATH``.
        report: the report folder, or None.
        skip_missing: whether a kernel that no source serves is a column that says so, instead of an error.
        keep: whether a shell is opened in the guest of a failure.
        strict_reads: whether what is misread fails the run stage.
        dry: whether only collection was asked for: nothing may be downloaded or booted.
    """

    specs: tuple[str, ...]
    accel: str
    timeout: float
    btf: tuple[str, ...]
    report: Path | None
    skip_missing: bool
    keep: bool
    strict_reads: bool
    dry: bool


def add(parser: pytest.Parser) -> None:
    """Declare options and ini keys."""
    group = parser.getgroup("everykernel", "tests on many kernels (everykernel)")
    group.addoption(
        "--kernels",
        metavar="LIST",
        help="kernels to test on, separated by commas: 5.10,6.1,6.12,6.1/i386 (also EVERYKERNEL_KERNELS, ini: kernels)",
    )
    group.addoption(
        "--accel", choices=("auto", "kvm", "tcg"), default="auto", help="accelerator of the guests (default: auto)"
    )
    group.addoption(
        "--kernel-timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="how long a guest may take to answer a request that has no deadline of its own (default: 60)",
    )
    group.addoption(
        "--btf",
        action="append",
        default=[],
        metavar="[SPEC=]PATH",
        help="BTF to relocate against on kernels that have none (on SPEC only: 6.1/i386=PATH): raw, in ELF, or "
        "a folder with RELEASE.btf or DISTRIBUTION/VERSION/ARCH/RELEASE.btf.tar.xz; may be repeated",
    )
    group.addoption(
        "--kernel-report",
        type=Path,
        metavar="DIR",
        help="write results.json, matrix.md, and console, verifier logs and relocations of each cell to DIR",
    )
    group.addoption(
        "--kernels-missing",
        choices=("fail", "skip"),
        default="fail",
        help="what to do about a kernel that no source serves: stop before anything boots, or run the rest",
    )
    group.addoption(
        "--kernel-keep", action="store_true", help="open a shell in the guest of a failure, before it is thrown away"
    )
    group.addoption(
        "--kernel-strict-reads",
        action="store_true",
        help="fail what loads and reads other bytes than its author meant (≠)",
    )
    parser.addini("kernels", "kernels to test on (--kernels)", type="args", default=[])
    parser.addini("kernel_objects", "globs of .bpf.o files to collect from test folders", type="args", default=[])


def read(config: pytest.Config) -> Settings:
    """Return the settings; the command line wins over the environment, that over the ini file."""
    text = config.getoption("--kernels")
    if text is None:
        text = os.environ.get("EVERYKERNEL_KERNELS") or ",".join(config.getini("kernels"))
    return Settings(
        specs=tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip())),
        accel=config.getoption("--accel"),
        timeout=config.getoption("--kernel-timeout"),
        btf=tuple(config.getoption("--btf")),
        report=config.getoption("--kernel-report"),
        skip_missing=config.getoption("--kernels-missing") == "skip",
        keep=config.getoption("--kernel-keep"),
        strict_reads=config.getoption("--kernel-strict-reads"),
        dry=config.option.collectonly,
    )


def _seconds(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise ValueError(text)
    return value

"""The plugin's options, and what they add up to with the environment, pyproject.toml and the ini file."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from everykernel import settings
from everykernel.errors import UsageError
from everykernel.loaders.names import REAL

if TYPE_CHECKING:
    from everykernel.matrix.selected import Selected
    from everykernel.matrix.shard import Shard

NO_KERNELS = "no-kernels"  # the parameter of a kernel test when no kernel was named

REMEDY = "pytest --kernels 6.1, EVERYKERNEL_KERNELS=6.1, or kernels = ['6.1'] under [tool.everykernel]"

# What options were called before each began with --kernel-: they work as ever, and --help does not show them.
_OLD = {"--kernel-accel": "--accel", "--kernel-btf": "--btf", "--kernel-missing": "--kernels-missing"}


@dataclass(frozen=True)
class Settings:
    """What the user asked for.

    Attributes:
        specs: kernel specs as given; empty where none was.
        machine: what the guests of a kernel are that does not say, one of `settings.MACHINES`.
        accel: ``auto``, ``kvm`` or ``tcg``.
        timeout: seconds a guest may take to answer.
        btf: BTF for kernels without, each ``[SPEC=]PATH``.
        report: the report folder, or None.
        stream: where another program is told what happens, or None.
        skip_missing: whether a kernel that no source serves is a column that says so, instead of an error.
        keep: whether a shell is opened in the guest of a failure.
        strict_reads: whether what is misread fails the run stage.
        dry: whether only collection was asked for: nothing may be downloaded or booted.
        memory: MiB of each guest that does not ask for some itself; None: what its maps take.
        ceiling: MiB that a guest gets at most where none was asked for; None: the usual.
        objects: globs of objects to collect from test folders.
        rules: the loader whose rules decide; "" where nobody asked for any.
        loaders: who loads cases and objects, a list with commas; None where nobody asked for any.
        retries: how often a cell whose guest or harness broke is run again at most.
        reuse: whether verdicts of earlier runs are taken (True), or only kept (False); None: neither.
        shard: the part of the items that is run; None: all of them.
        may_load: whether anything may be loaded into targets.
        accept_new: whether targets that are not known are believed.
        targets: what pyproject.toml says of targets, by name.
        selected: what an older report has to run again; None where there is no such report.
        gate: what the run is held against.
        cluster: the address of the scheduler that cells are sent to; None: they are run on this machine.
    """

    specs: tuple[str, ...]
    machine: str
    accel: str
    timeout: float
    btf: tuple[str, ...]
    report: Path | None
    stream: Path | None
    skip_missing: bool
    keep: bool
    strict_reads: bool
    dry: bool
    memory: int | None
    ceiling: int | None
    objects: tuple[str, ...]
    rules: str
    loaders: str | None
    retries: int
    reuse: bool | None
    shard: Shard | None
    may_load: bool
    accept_new: bool
    targets: Mapping[str, Mapping[str, Any]]
    selected: Selected | None
    gate: GateSettings
    cluster: str | None


@dataclass(frozen=True)
class GateSettings:
    """What a run is held against.

    Attributes:
        project: the settings of pyproject.toml.
        baseline: the file that was named, None for none but the project's own.
        update: whether the baseline is to be written.
        partial: whether the run is said to be of a part.
    """

    project: Mapping[str, Any]
    baseline: Path | None = None
    update: bool = False
    partial: bool = False


def add(parser: pytest.Parser) -> None:
    """Declare options and ini keys. No option has a default here, so that one that was given can be told."""
    group = parser.getgroup("everykernel", "tests on many kernels (everykernel)")
    _add_kernels(group)
    _add_guests(group)
    _add_cells(group)
    _add_targets(group)
    _add_verdicts(group)
    _add_choice(group)
    _add_gate(group)
    parser.addini("kernel_loader", "who loads cases and objects (--kernel-loader)", type="args", default=[])
    parser.addini("kernel_rules", "the loader whose rules decide (--kernel-rules)", default="")
    parser.addini("kernels", "kernels to test on (--kernels)", type="args", default=[])
    parser.addini("kernel_objects", "globs of .bpf.o files to collect from test folders", type="args", default=[])


def _option(group: pytest.OptionGroup, name: str, **attributes: Any) -> None:
    """Declare an option, and the hidden one that it was called before."""
    group.addoption(name, **attributes)
    if old := _OLD.get(name):
        destination = name.removeprefix("--").replace("-", "_")
        group.addoption(old, **{**attributes, "dest": destination, "help": argparse.SUPPRESS})


def _add_kernels(group: pytest.OptionGroup) -> None:
    """Declare which kernels there are."""
    _option(
        group,
        "--kernels",
        metavar="LIST",
        help="kernels to test on, separated by commas: 5.10,6.1,6.12,6.1/i386 (also EVERYKERNEL_KERNELS)",
    )
    _option(
        group,
        "--kernel-twins",
        metavar="LIST",
        help="twins to test on: 6.1 stands for 6.1-btf, 6.1-nobtf and 6.1-supplied, side by side, and instead of the "
        "project's kernels; `everykernel kernels build 6.1` builds them",
    )
    _option(
        group,
        "--kernel-locked",
        action="store_true",
        help="take no kernel that everykernel.lock does not name (also EVERYKERNEL_LOCKED)",
    )


def _add_guests(group: pytest.OptionGroup) -> None:
    """Declare what the kernels' guests are."""
    _option(
        group,
        "--kernel-machine",
        choices=settings.MACHINES,
        help="what the kernels' guests are: qemu, with Python (default); bare, with nothing but a static program, the "
        "loader on this host; vng, with this host's own user space; a kernel that says its own has that: 6.1@bare",
    )
    _option(group, "--kernel-accel", choices=("auto", "kvm", "tcg"), help="accelerator of the guests (default: auto)")
    _option(
        group,
        "--kernel-timeout",
        type=_seconds,
        metavar="SECONDS",
        help="how long a guest may take to answer a request that has no deadline of its own (default: 60)",
    )
    _option(
        group,
        "--kernel-memory",
        type=_mebibytes,
        metavar="MIB",
        help="memory of each guest, where a case or a marker does not ask for some (default: what its maps take)",
    )
    _option(
        group,
        "--kernel-memory-ceiling",
        type=_mebibytes,
        metavar="MIB",
        help="the largest guest where no memory is asked for (default: 4096, less where this host has less)",
    )


def _add_cells(group: pytest.OptionGroup) -> None:
    """Declare where cells are run, which, and how often."""
    _option(
        group,
        "--kernel-retries",
        type=_times,
        metavar="N",
        help="how often a cell whose guest or harness broke is run again, at most (default: 1); a verdict never is",
    )
    _option(
        group,
        "--kernel-cluster",
        metavar="tcp://HOST:8786",
        help="run cases and objects on the workers of this scheduler; guests that a test asks for stay on this machine",
    )
    _option(
        group,
        "--kernel-reuse",
        action="store_true",
        help="take the verdict of an earlier run where nothing has changed that decides a case's or object's, and keep "
        "new ones",
    )
    _option(
        group,
        "--kernel-fresh",
        action="store_true",
        help="run every case and object, and keep the verdicts for --kernel-reuse",
    )
    _option(
        group,
        "--kernel-keep",
        action="store_true",
        help="open a shell in the guest of a failure, before it is thrown away",
    )


def _add_targets(group: pytest.OptionGroup) -> None:
    """Declare which machines there are that run already, and what may be done there."""
    _option(
        group,
        "--kernel-target",
        action="append",
        metavar="ssh://HOST|NAME",
        help="a machine that runs already, as a kernel beside --kernels: a host of ~/.ssh/config, or a name of "
        "[tool.everykernel.targets]; may be repeated, and --kernels takes ssh://HOST too",
    )
    _option(
        group,
        "--kernel-target-may-load",
        action="store_true",
        help="allow to load into targets' own kernels; without it objects are relocated for them",
    )
    _option(
        group,
        "--kernel-target-accept-new",
        action="store_true",
        help="believe a target whose host key is not known, and know it from then on",
    )


def _add_verdicts(group: pytest.OptionGroup) -> None:
    """Declare what decides verdicts, and where they are told."""
    _option(
        group,
        "--kernel-btf",
        action="append",
        metavar="[SPEC=]PATH|URL",
        help="BTF to relocate against on kernels that have none (on SPEC only: 6.1/i386=PATH): raw, in ELF, a folder "
        "with RELEASE.btf or DISTRIBUTION/VERSION/ARCH/RELEASE.btf.tar.xz, or a -dbg package (.deb, .ddeb); may be "
        "repeated",
    )
    _option(
        group,
        "--kernel-report",
        type=Path,
        metavar="DIR",
        help="write results.json, matrix.md, and console, verifier logs and relocations of each cell to DIR",
    )
    _option(
        group,
        "--kernel-json-stream",
        type=Path,
        metavar="FILE",
        help="tell another program what happens, a JSON object a line, in a file, a FIFO or /dev/fd/N",
    )
    _option(
        group,
        "--kernel-missing",
        choices=("fail", "skip"),
        help="what to do about a kernel that no source serves: stop before anything boots (default), or run the rest",
    )
    group.addoption(
        "--kernel-strict-reads",
        action="store_true",
        help="fail what loads and reads other bytes than its author meant (≠)",
    )
    _option(group, "--kernel-rules", choices=REAL, help="the loader whose rules decide, where a case does not say")
    _option(
        group,
        "--kernel-loader",
        metavar="LIST",
        help="who loads cases and objects, separated by commas: own (default), libbpf, ebpf-go, aya, or NAME=PATH of "
        "an adapter of your own; each has a fresh kernel for each",
    )


def _add_choice(group: pytest.OptionGroup) -> None:
    """Declare what decides which items are run."""
    _option(
        group,
        "--kernel-shard",
        metavar="I/N",
        help="run the I-th of N parts of all items (2/4); `everykernel report merge` puts their reports together",
    )
    _option(
        group,
        "--kernel-from-report",
        type=Path,
        metavar="FILE",
        help="run the items of this report again, on its kernels where none are named",
    )
    group.addoption("--kernel-failed", action="store_true", help="of that report, only the items that did not pass")


def _add_gate(group: pytest.OptionGroup) -> None:
    """Declare what a run is held against."""
    _option(
        group,
        "--kernel-baseline",
        type=Path,
        metavar="FILE",
        help="what is known not to be green: items that fail as it says are expected to, and only changes decide",
    )
    _option(
        group,
        "--kernel-update-baseline",
        action="store_true",
        help="write what is not green to the baseline (default: everykernel.baseline)",
    )
    _option(
        group,
        "--kernel-partial",
        action="store_true",
        help="leave alone what the baseline says of objects and kernels that are not run",
    )


def read(config: pytest.Config) -> Settings:
    """Return the settings: the command line wins over the environment, that over pyproject.toml, that over the ini.

    Raises pytest's UsageError for what is wrong in pyproject.toml.
    """
    try:
        project = settings.read(config.invocation_params.dir)
    except UsageError as e:
        raise pytest.UsageError(f"everykernel: {e}") from e

    def chosen(key: str, default: Any) -> Any:
        given = config.getoption(f"kernel_{key.replace('-', '_')}")
        return given if given is not None else project.get(key, default)

    if config.getoption("kernel_locked"):
        from everykernel.kernels import lock  # kernels are for whoever names one

        os.environ[lock.SETTING] = "1"  # for workers too
    listed = config.getoption("--kernels")
    if listed is None:
        listed = os.environ.get("EVERYKERNEL_KERNELS") or ",".join(project.get("kernels") or config.getini("kernels"))
    selected = _selected(config)
    specs = settings.expanded((part.strip() for part in listed.split(",") if part.strip()), project)
    if config.getoption("kernel_twins") is not None:
        specs = [
            *(specs if config.getoption("--kernels") is not None else ()),
            *_twins(config.getoption("kernel_twins")),
        ]
    kind = chosen("machine", settings.QEMU)
    specs = settings.on_machines(specs, kind)
    if selected is not None and config.getoption("--kernels") is None:
        specs = selected.kernels  # which are called as they were
    named = config.getoption("kernel_target") or ()
    specs = list(dict.fromkeys([*specs, *settings.targets(named)]))
    return Settings(
        specs=tuple(specs),
        machine=kind,
        accel=chosen("accel", "auto"),
        timeout=chosen("timeout", 60.0),
        btf=tuple(chosen("btf", ())),
        report=chosen("report", None),
        stream=config.getoption("kernel_json_stream"),
        skip_missing=chosen("missing", "fail") == "skip",
        keep=config.getoption("kernel_keep"),
        strict_reads=config.getoption("kernel_strict_reads") or bool(project.get("strict-reads")),
        dry=config.option.collectonly,
        memory=chosen("memory", None),
        ceiling=chosen("memory-ceiling", None),
        objects=tuple(project.get("objects") or config.getini("kernel_objects")),
        retries=chosen("retries", settings.USUAL_RETRIES),
        reuse=_reuse(config, project),
        shard=_shard(config.getoption("kernel_shard")),
        may_load=config.getoption("kernel_target_may_load"),
        accept_new=config.getoption("kernel_target_accept_new"),
        targets=project.get("targets", {}),
        selected=selected,
        rules=_rules(chosen("rules", config.getini("kernel_rules"))),
        loaders=_loaders(chosen("loader", config.getini("kernel_loader"))),
        gate=GateSettings(
            project,
            config.getoption("kernel_baseline"),
            config.getoption("kernel_update_baseline"),
            config.getoption("kernel_partial"),
        ),
        cluster=_cluster(config, chosen("cluster", None)),
    )


def _cluster(config: pytest.Config, address: str | None) -> str | None:
    """Return the scheduler's address; raise pytest's UsageError for what does not go with it."""
    if address is None:
        return None
    beside = next((name for name in ("keep", "reuse", "fresh") if config.getoption(f"kernel_{name}")), "")
    beside = f"--kernel-{beside}" if beside else ""
    if getattr(config.option, "dist", "no") != "no" or hasattr(config, "workerinput"):
        beside = "-n (pytest-xdist)"
    if beside:
        error = UsageError(f"does not go with {beside}", where="--kernel-cluster", remedy="leave out one of them")
        raise pytest.UsageError(f"everykernel: {error}")
    return address


def _twins(listed: str) -> list[str]:
    from everykernel.kernels.twins import parts

    try:
        return parts.specs(listed, "--kernel-twins")
    except UsageError as e:
        raise pytest.UsageError(f"everykernel: {e}") from e


def _shard(text: str | None) -> Shard | None:
    if text is None:
        return None
    from everykernel.matrix.shard import Shard

    try:
        return Shard.parse(text, "--kernel-shard")
    except UsageError as e:
        raise pytest.UsageError(f"everykernel: {e}") from e


def _selected(config: pytest.Config) -> Selected | None:
    """Return what a report has to run again; raise pytest's UsageError for one that is none, or none of pytest's."""
    report, failed = config.getoption("kernel_from_report"), config.getoption("kernel_failed")
    if report is None and not failed:
        return None
    from everykernel.matrix import selected

    if report is None:
        error = UsageError("of which report?", where="--kernel-failed", remedy="--kernel-from-report FILE")
        raise pytest.UsageError(f"everykernel: {error}")
    try:
        path = config.invocation_params.dir / report
        found = selected.select(path, failed=failed)
        if found.cells:
            how = f"everykernel run {'--failed ' if failed else ''}--from-report"
            selected.check_tests(report, found, found.tests, how)
    except UsageError as e:
        raise pytest.UsageError(f"everykernel: {e}") from e
    return found


def _reuse(config: pytest.Config, project: Mapping[str, Any]) -> bool | None:
    if config.getoption("kernel_fresh"):
        return False
    return True if config.getoption("kernel_reuse") else project.get("reuse")


def _rules(name: str) -> str:
    if name and name not in REAL:
        raise pytest.UsageError(f"everykernel: kernel_rules = {name!r} is none of {', '.join(REAL)}")
    return name


def _loaders(listed: str | list[str]) -> str | None:
    return listed if isinstance(listed, str) else ",".join(listed) or None


def _mebibytes(text: str) -> int:
    value = int(text)
    if value not in settings.MEMORY:
        raise ValueError(text)
    return value


def _times(text: str) -> int:
    value = int(text)
    if value not in settings.RETRIES:
        raise ValueError(text)
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise ValueError(text)
    return value

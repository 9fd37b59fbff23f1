"""Twins: one source, one configuration but for CONFIG_DEBUG_INFO_BTF, and what that alone takes from an object.

They have to be built first, which takes long: ``nox -s twins`` builds them, then runs this.
"""

from __future__ import annotations

import functools
import gzip
from pathlib import Path

import pytest

from everykernel import folders, kernels
from everykernel.kernels.model import Kernel
from everykernel.kernels.twins import kconfig, parts
from everykernel.machine import Machines
from everykernel.matrix import case, records
from everykernel.matrix.cell import run_cell
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import CaseResult

from .test_docs import BUILT, check, written

pytestmark = [pytest.mark.vm, pytest.mark.twins]

# What only CONFIG_DEBUG_INFO_BTF lets one ask for (Linux lib/Kconfig.debug, kernel/Kconfig.preempt,
# kernel/trace/Kconfig), and neither twin has.
IMPLIED = {"CONFIG_DEBUG_INFO_BTF_MODULES", "CONFIG_PROBE_EVENTS_BTF_ARGS", "CONFIG_SCHED_CLASS_EXT"}


def _core_cases() -> list[str]:
    """Return the cases that need BTF for relocation and for nothing else: so they say themselves what to expect."""
    found = []
    for path in sorted(folders.data("cases").glob(f"*/{case.FILENAME}")):
        asked = case.read(path)
        without = any((e.stage, e.code, e.btf) == ("relocate", "btf-missing", ("none",)) for e in asked.expect)
        if without and not any("supplied" in e.btf for e in asked.expect):
            found.append(path.parent.name)
    return found


CO_RE = _core_cases()


@pytest.fixture(scope="module", params=list(parts.rows()))
def twins(request: pytest.FixtureRequest) -> dict[str, Kernel]:
    """The three columns of a series, by part; without the kernels this fails, and says what builds them."""
    found = kernels.resolve(parts.specs(request.param))
    return {one.flavour: one.fetch() for one in found}


@pytest.fixture(scope="module")
def configurations(twins: dict[str, Kernel], machines: Machines) -> dict[str, dict[str, str]]:
    """What each guest's /proc/config.gz says, by part."""
    found = {}
    for part in (parts.WITH, parts.WITHOUT):
        with machines.start(twins[part]) as guest:
            found[part] = kconfig.read(gzip.decompress(guest.pull("/proc/config.gz")).decode())
    return found


def test_they_differ_in_one_option_alone(configurations: dict[str, dict[str, str]]) -> None:
    """Both running kernels say how they were built: CONFIG_DEBUG_INFO_BTF differs, and nothing else.

    What is asked only where it is on is off in the one twin, and not there in the other.
    """
    there, here = configurations[parts.WITH], configurations[parts.WITHOUT]
    assert len(there) > 1000
    assert kconfig.differences(there, here) == {"CONFIG_DEBUG_INFO_BTF": ("y", "n")}
    assert set(there) - set(here) <= IMPLIED
    assert not set(here) - set(there)
    assert {there.get(name, kconfig.OFF) for name in IMPLIED} == {kconfig.OFF}


def test_both_are_what_their_fragments_ask_for(
    twins: dict[str, Kernel], configurations: dict[str, dict[str, str]]
) -> None:
    """What runs has every option that kernels/configs asks for."""
    for part, made in configurations.items():
        series = ".".join(twins[part].release.split(".")[:2])
        assert not kconfig.unmet(kconfig.read(kconfig.wanted(series, part)), made)


@pytest.mark.parametrize("part", parts.PARTS)
def test_who_has_btf(part: str, twins: dict[str, Kernel], machines: Machines) -> None:
    """One twin has types of its own; the other has none, also where some are supplied; both have one name."""
    with machines.start(twins[part]) as guest:
        assert guest.facts.btf is (part == parts.WITH)
        assert guest.facts.release == twins[parts.WITH].release


@pytest.fixture(scope="module")
def results(twins: dict[str, Kernel], machines: Machines) -> dict[tuple[str, str], CaseResult]:
    """What became of each CO-RE case, by case and part."""
    found = {}
    for name in CO_RE:
        asked = case.read(folders.data("cases") / name / case.FILENAME)
        for part, kernel in twins.items():
            found[name, part] = run_cell(functools.partial(machines.start, kernel), kernel, asked)["result"]
    return found


def test_there_are_such_cases() -> None:
    """What the cases say of themselves finds those that are meant."""
    assert {"field_moved", "array_access", "bitfield", "enum_value", "type_exists"} <= set(CO_RE)


@pytest.mark.parametrize("name", CO_RE)
def test_core_needs_btf_and_any_will_do(name: str, results: dict[tuple[str, str], CaseResult]) -> None:
    """A case with CO-RE relocations runs with BTF, ends in btf-missing without, and runs again with supplied BTF."""
    for part in parts.PARTS:
        assert results[name, part]["outcome"] == records.PASSED, results[name, part]["message"]
    for part in (parts.WITH, parts.SUPPLIED):
        stages = results[name, part]["stages"]
        assert {at: stage["status"] for at, stage in stages.items()} == dict.fromkeys(STAGES, "passed")
    assert results[name, parts.WITH]["btf"] == "kernel"
    assert results[name, parts.SUPPLIED]["btf"].startswith("supplied:")
    without = results[name, parts.WITHOUT]
    assert without["btf"] == "none"
    relocate = without["stages"]["relocate"]
    refused = [(one["status"], one["code"]) for one in relocate["programs"]] or [(relocate["status"], relocate["code"])]
    assert set(refused) == {("failed", "btf-missing")}


@pytest.mark.parametrize("command", [command for command in written() if BUILT.search(command)])
def test_commands_of_the_docs(command: str, tmp_path: Path) -> None:
    """What the pages say of twins works as it stands there."""
    check(command, tmp_path)

"""Kernels older than any that can be had: guests whose system calls answer as 4.14's, 4.18's and 5.4's.

A seccomp filter refuses system calls and commands of bpf(2) that came later, for all that the guest runs; a double of
the loader's door refuses what a filter cannot see (tests/old). Nobody ran it on the real ones.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.old import verdicts
from tests.old.guests import old
from tests.old.table import RELEASES

from everykernel.kernels.model import Kernel
from everykernel.load.kernel.helpers import HELPERS
from everykernel.machine import Machines
from everykernel.matrix import case, plan
from everykernel.matrix import command as commands
from everykernel.matrix.cell import run_cell
from everykernel.matrix.records import CaseResult
from everykernel.object.maps import MAP_TYPE

pytestmark = pytest.mark.vm

RECORDED = verdicts.read(verdicts.FILE.read_text())
RINGBUF = MAP_TYPE["ringbuf"]
PLAIN = "without_variables"


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cases for the second instruction set."""
    return verdicts.compiled(tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module", params=RELEASES)
def results(request: pytest.FixtureRequest, cases: Path) -> tuple[str, dict[str, CaseResult]]:
    """What became of all cases, by release."""
    return request.param, verdicts.run(request.param, cases, names={*RECORDED[request.param], PLAIN})


def _messages(result: CaseResult) -> Iterator[str]:
    for stage in result["stages"].values():
        yield stage["message"]
        for record in [*stage.get("maps", []), *stage.get("programs", [])]:
            yield record["message"]


def test_every_case_has_the_verdict_that_was_looked_at(results: tuple[str, dict[str, CaseResult]]) -> None:
    """Nothing breaks, and each case comes as far as it did when somebody read why."""
    release, found = results
    said = {name: verdicts.verdict(result) for name, result in found.items()}
    assert {name: said[name] for name in RECORDED[release]} == RECORDED[release]
    assert not [name for name, verdict in said.items() if verdict.startswith("broke")]


def test_what_has_no_variables_runs(results: tuple[str, dict[str, CaseResult]]) -> None:
    """Probes (by tracefs, on 4.14), a tracepoint, perf buffers, XDP, a cgroup and a classifier work on all of them."""
    release, found = results
    result = found[PLAIN]
    assert verdicts.verdict(result) == "ran", list(_messages(result))
    runs = [program["runs"] for program in result["stages"]["run"]["uses"]]
    assert all(count is None for count in runs) if release != "5.4" else all(runs), runs
    notes = result["stages"]["load"]["notes"]
    told = {"4.14": "this kernel takes no BTF (upstream since v4.18): loaded without"}
    replaced = "func_global" if release == "5.4" else "datasec, func, func_global"
    known = f"BTF kinds replaced that this kernel does not know: {replaced}"
    assert told.get(release, known) in notes


def test_no_limit_is_blamed_for_what_is_unknown(results: tuple[str, dict[str, CaseResult]]) -> None:
    """E2BIG, which these kernels say to a field that is behind the end of their bpf_attr, is no limit."""
    for name, result in results[1].items():
        assert not [text for text in _messages(result) if "E2BIG" in text and "limit" in text], name
        codes = [r["code"] for s in result["stages"].values() for r in [*s.get("maps", []), *s.get("programs", [])]]
        assert "limit-exceeded" not in codes, (name, list(_messages(result)))


def test_a_filter_alone(cases: Path, columns: dict[str, Kernel]) -> None:
    """Of a newer kernel whose system calls and commands alone are old, what they brought is missing, and no more."""
    with old("4.18", doubled=False):
        found = _some(cases, columns["6.12"], ("without_variables", "xdp_link", "cgroup_skb", "ringbuf_events"))
    assert {name: verdicts.verdict(result) for name, result in found.items()} == dict.fromkeys(found, "ran")


def _some(cases: Path, kernel: Kernel, names: tuple[str, ...]) -> dict[str, CaseResult]:
    """Run cases in guests of machines that know no other agent: they keep what they have made ready."""
    found = {}
    with Machines("tcg", timeout=60) as machines:
        for made in plan.cases([str(cases / name) for name in names]):
            machines.prepare(kernel, made.machine)
            report = run_cell(partial(machines.start, kernel, made.machine), kernel, made)
            found[made.name] = report["result"]
    return found


def test_what_was_brought_back_is_there(cases: Path, columns: dict[str, Kernel]) -> None:
    """A 4.18 with ring buffers and their helpers, as a vendor makes it, takes the map that a plain one refuses.

    No message goes by the number: what is said to be missing is missing.
    """
    helpers = {("helper", HELPERS.index(f"ringbuf_{name}")) for name in ("output", "reserve", "submit", "discard")}
    said = {}
    for backports in (frozenset(), frozenset({("map", RINGBUF), *helpers})):
        with old("4.18", backports=backports):
            (result,) = _some(cases, columns["5.10"], ("ringbuf_events",)).values()
        said[bool(backports)] = {r["name"]: (r["code"], r["message"]) for r in result["stages"]["load"]["maps"]}
        assert not [text for text in _messages(result) if "upstream since" not in text and "since v" in text]
    unknown = "map 'events': EINVAL: this kernel does not know map type ringbuf (upstream since v5.8)"
    assert said[False]["events"] == ("map-type-unsupported", unknown)
    assert said[True]["events"] == ("", "")
    assert said[True][".bss"] == said[False][".bss"]


def test_a_command_is_traced(columns: dict[str, Kernel], tmp_path: Path) -> None:
    """What a tool asks of bpf(2) is seen where ptrace(2) does not tell of system calls, by the thread's registers."""
    source = Path(__file__).parent / "commands" / "tool.c"
    subprocess.run(["clang-19", "-O1", "-o", tmp_path / "tool", source, "-lbpf"], check=True)
    kernel, made = columns["5.10"], commands.parse(["./tool", "refused"], folder=tmp_path)
    with old("4.18"), Machines("tcg", timeout=60) as machines:
        machines.prepare(kernel)
        report = run_cell(lambda: machines.start(kernel), kernel, case.of_command(made, 30.0), timeout=60)
    result = report["result"]
    assert (result["outcome"], result["stage"], result["code"]) == ("failed", "load", "verifier-rejected"), result
    calls = {c["name"]: c for c in result["stages"]["run"]["command"]["calls"] if not c["probe"]}
    assert (calls["c_counts"]["command"], calls["c_counts"]["max_entries"]) == ("MAP_CREATE", 16)
    assert (calls["c_refused"]["insns"], calls["c_refused"]["errno"]) == (2, "EACCES")
    assert "R5 !read_ok" in calls["c_refused"]["log"]

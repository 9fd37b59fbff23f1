"""Each example is green as it is, and red for the right reason once something breaks; from the wheel alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.examples.conftest import EXAMPLES, Repository

pytestmark = pytest.mark.examples


def codes(report: Path) -> dict[str, str]:
    """Of each kernel of a report: its cell's outcome, or the code of what failed."""
    results = json.loads((report / "results.json").read_text())["results"]
    found = {}
    for result in results:
        failed = [stage["code"] for stage in result["stages"].values() if stage["status"] == "failed"]
        found[result["kernel"]] = failed[0] if failed else result["outcome"]
    return found


def test_every_example_is_tried() -> None:
    """A folder more is a test more."""
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir()} == {"c-tox", "pytest-only", "tool"}


@pytest.mark.parametrize("example", ["c-tox"], indirect=True)
def test_c_gated_by_tox(example: Repository) -> None:
    """A factor a kernel; a field that no kernel has is red on each, and named."""
    done = example.tox("k5.10,k6.12")
    assert done.returncode == 0, done.stdout
    reports = [example.folder / "kernel-report" / name for name in ("k5.10", "k6.12")]
    assert [codes(report) for report in reports] == [{"5.10": "passed"}, {"6.12": "passed"}]
    example.change("src/exec.bpf.c", "real_parent", "true_parent")
    done = example.tox("k5.10,k6.12")
    assert done.returncode != 0
    assert [codes(report) for report in reports] == [
        {"5.10": "relocation-unresolved"},
        {"6.12": "relocation-unresolved"},
    ]
    assert "true_parent" in done.stdout


@pytest.mark.parametrize("example", ["pytest-only"], indirect=True)
def test_pytest_alone(example: Repository) -> None:
    """A helper that came with 5.18 is red on 5.10 alone, and the message says since when it is there."""
    done = example.run("pytest", "--kernel-report", "report")
    assert done.returncode == 0, done.stdout
    assert codes(example.folder / "report") == {"5.10": "passed", "6.12": "passed"}
    example.change("sizes.bpf.c", "ctx->data_end - ctx->data", "bpf_xdp_get_buff_len(ctx)")
    done = example.run("pytest", "--kernel-report", "report")
    assert done.returncode == 1, done.stdout
    assert codes(example.folder / "report") == {"5.10": "helper-unsupported", "6.12": "passed"}
    assert "bpf_xdp_get_buff_len" in done.stdout
    assert "5.18" in done.stdout


@pytest.mark.parametrize("example", ["tool"], indirect=True)
def test_a_tool_with_user_space(example: Repository) -> None:
    """The binary that is shipped runs, with libbpf as its loader; what the kernel refused it is told."""
    assert example.run("make").returncode == 0
    run = ["everykernel", "run", "--cmd", "./opens", "--kernels", "5.10,6.12", "--report", "report"]
    done = example.run(*run, "--stdout", "^3 opens$")
    assert done.returncode == 0, done.stdout
    done = example.run("pytest", "--kernels", "6.12")
    assert done.returncode == 0, done.stdout
    example.change("opens.bpf.c", "__sync_fetch_and_add(&opens, 1)", "opens += !!bpf_ktime_get_tai_ns()")
    assert example.run("make").returncode == 0
    done = example.run(*run)
    assert done.returncode == 1, done.stdout
    assert codes(example.folder / "report") == {"5.10": "helper-unsupported", "6.12": "passed"}
    assert "6.1" in done.stdout

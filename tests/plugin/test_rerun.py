"""Items whose guest broke are run again, those of cells and those that users wrote, on fake kernels."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest
from tests import faking


@pytest.fixture(autouse=True)
def _world(monkeypatch: pytest.MonkeyPatch) -> None:
    faking.install(monkeypatch)


BROKEN = {"raise": "GuestLost", "breaks": 1}
TEST = """
    import pytest

    @pytest.fixture
    def made(kernel):
        print("fixture made")
        return kernel

    def test_loads(made, load):
        load("o.bpf.o")
"""


def cells(pytester: pytest.Pytester) -> list[Any]:
    found: list[Any] = json.loads((pytester.path / "out/results.json").read_text())["results"]
    return found


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_a_test_whose_guest_broke_is_run_again(workers: tuple[str, ...], pytester: pytest.Pytester) -> None:
    """It passes with a fresh guest, once in pytest's count, as flaky in ours; the first failure is in the report."""
    faking.objects(pytester.path, o=BROKEN)
    pytester.makepyfile(TEST)
    pytester.makeconftest(faking.CONFTEST)
    run = ("--kernels", "6.1", "--kernel-report", "out", "--junitxml", "junit.xml")
    result = pytester.runpytest_subprocess(*run, *workers)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["1 cell: 0 passed, 1 flaky (passed when run again)"])
    [cell] = cells(pytester)
    assert (cell["outcome"], cell["attempts"][0]["code"], cell["attempt"]) == ("passed", "guest-lost", 2)
    tree = ElementTree.parse(pytester.path / "junit.xml")
    found = [(one.get("name"), one.get("value")) for one in tree.iter("property")]
    assert found.count(("flaky", "guest-lost")) == found.count(("kernel", "6.1")) == 1
    first = pytester.path / "out" / cell["attempts"][0]["evidence"] / "console.txt"
    assert first.is_file()


def test_cells_too(pytester: pytest.Pytester) -> None:
    """An object is run again likewise, and its property says so."""
    faking.objects(pytester.path, o=BROKEN)
    result = pytester.runpytest("--kernels", "6.1", "o.bpf.o", "--kernel-report", "out", "--junitxml", "junit.xml")
    result.assert_outcomes(passed=1)
    assert [len(cell["attempts"]) for cell in cells(pytester)] == [1]
    assert 'name="flaky" value="guest-lost"' in (pytester.path / "junit.xml").read_text()


@pytest.mark.parametrize(
    ("script", "options", "outcomes", "attempts"),
    [
        ({"raise": "GuestLost"}, (), {"errors": 1}, 2),
        ({"raise": "GuestLost"}, ("--kernel-retries", "2"), {"errors": 1}, 3),
        (BROKEN, ("--kernel-retries", "0"), {"errors": 1}, 1),
        ({"load": faking.REJECTED}, (), {"failed": 1}, 1),
        ({**BROKEN, "load": faking.REJECTED}, (), {"failed": 1}, 2),
    ],
)
def test_how_often(
    script: Any, options: tuple[str, ...], outcomes: dict[str, int], attempts: int, pytester: pytest.Pytester
) -> None:
    """As often as was said, for as long as guests break; a verdict is the end of it."""
    faking.objects(pytester.path, o=script)
    pytester.makepyfile(TEST)
    pytester.runpytest("--kernels", "6.1", "--kernel-report", "out", *options).assert_outcomes(**outcomes)
    [cell] = cells(pytester)
    assert len(cell.get("attempts", [])) + 1 == attempts


def test_a_test_that_shares_its_guest_is_not_run_again(pytester: pytest.Pytester) -> None:
    """What the tests before did there would be missing."""
    faking.objects(pytester.path, o=BROKEN)
    pytester.makepyfile(TEST.replace("def test_loads", '@pytest.mark.kernel(scope="module")\n    def test_loads'))
    pytester.runpytest("--kernels", "6.1", "--kernel-report", "out").assert_outcomes(errors=1)
    assert "attempts" not in cells(pytester)[0]

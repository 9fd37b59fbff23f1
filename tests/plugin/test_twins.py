"""--kernel-twins, on fake kernels."""

from __future__ import annotations

import pytest
from tests import faking


@pytest.fixture(autouse=True)
def _world(monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> None:
    faking.install(monkeypatch)
    faking.objects(pytester.path, good={})


def test_three_columns_and_a_picture(pytester: pytest.Pytester) -> None:
    """--kernel-twins 6.1 is three kernels, instead of the project's, and what each object loses below the matrix."""
    pytester.makepyprojecttoml("[tool.everykernel]\nkernels = ['5.10']\n")
    result = pytester.runpytest("good.bpf.o", "--kernel-twins", "6.1")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["*kernels 6.1-btf, 6.1-nobtf, 6.1-supplied*", "twins: 6.1.7-twin*", "no object loses anything*"]
    )


def test_beside_other_kernels(pytester: pytest.Pytester) -> None:
    """Kernels that the command line names are run too."""
    pytester.runpytest("good.bpf.o", "--kernel-twins", "6.1", "--kernels", "6.12").assert_outcomes(passed=4)


def test_none_are_named(pytester: pytest.Pytester) -> None:
    """An empty list is a usage error of one line."""
    result = pytester.runpytest("good.bpf.o", "--kernel-twins", "")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: everykernel: --kernel-twins: no twins were named [name some of 6.1, 6.12]" in result.stderr.str()

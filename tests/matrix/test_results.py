"""results.json is valid after every cell."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from everykernel.errors import HarnessError, UsageError
from everykernel.matrix import records, results
from everykernel.matrix.records import CaseResult, KernelRecord
from everykernel.matrix.results import Journal, identify


def result(number: int, **more: Any) -> CaseResult:
    made: Any = {**records.empty(f"c{number}", "a.bpf.o", "6.1", {}), "outcome": "passed", **more}
    return made  # type: ignore[no-any-return]


KERNEL: KernelRecord = {"spec": "6.1", "release": "6.1.0", "btf": "kernel", "accelerator": "tcg"}


def test_valid_at_every_moment(tmp_path: Path) -> None:
    """The file is whole before the first cell, and after each one."""
    path = tmp_path / "deep" / "results.json"
    with Journal(path, identify("auto"), [{"spec": "6.1"}, {"spec": "6.8", "missing": "no such kernel"}]) as journal:
        for number in range(20):
            found = results.read(path)
            assert [r["case"] for r in found["results"]] == [f"c{n}" for n in range(number)]
            journal.add(result(number, message='quotes " and \n lines ]}'), KERNEL)
    found = results.read(path)
    assert found["kernels"][0] == KERNEL
    assert found["kernels"][1]["missing"] == "no such kernel"
    assert found["run"]["host"]["accelerator"] == "tcg"


def test_an_older_longer_end_does_not_show(tmp_path: Path) -> None:
    """What is known of a kernel may become shorter."""
    path = tmp_path / "results.json"
    with Journal(path, identify("tcg"), [{"spec": "6.1", "release": "x" * 5000}]) as journal:
        journal.learn({"spec": "6.1", "release": "y"})
        assert results.read(path)["kernels"][0]["release"] == "y"
        journal.add(result(1), KERNEL)
        assert len(results.read(path)["results"]) == 1


def test_cost_does_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thousandth result writes as many bytes as the first."""
    sizes = []
    real = os.pwrite

    def watched(file: int, data: bytes, offset: int) -> int:
        sizes.append(len(data))
        return real(file, data, offset)

    monkeypatch.setattr(os, "pwrite", watched)
    with Journal(tmp_path / "results.json", identify("tcg"), [KERNEL]) as journal:
        for _ in range(1000):
            journal.add(result(1), KERNEL)
    assert max(sizes) - min(sizes[1:]) <= 4


def test_threads_may_write(tmp_path: Path) -> None:
    """Cells end in several threads."""
    path = tmp_path / "results.json"
    with Journal(path, identify("tcg"), []) as journal:

        def work(number: int) -> None:
            for _ in range(50):
                journal.add(result(number), KERNEL)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results.read(path)["results"]) == 200


def test_what_cannot_be_written_says_so(tmp_path: Path) -> None:
    """A folder in the way is a harness error that names the file."""
    with pytest.raises(HarnessError, match=r"cannot be written"):
        Journal(tmp_path, identify("tcg"), [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a results file of everykernel"),
        (json.dumps({"schema": "other/1"}), "is not a results file of everykernel"),
        (json.dumps({"schema": "everykernel/9"}), "has schema 'everykernel/9', and this everykernel reads"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """Only a results file of this schema is read."""
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        results.read(path)
    with pytest.raises(UsageError, match="cannot be read"):
        results.read(tmp_path / "gone.json")

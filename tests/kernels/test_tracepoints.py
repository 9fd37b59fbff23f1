"""The layouts of tracepoints are kept beside their kernel, as a guest tells them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests import faking

from everykernel.kernels import tracepoints

TOLD = """sched/sched_process_fork/format:\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;
sched/sched_process_fork/format:\tfield:__data_loc char[] parent_comm;\toffset:8;\tsize:4;\tsigned:0;
sched/sched_process_fork/format:\tfield:pid_t child_pid;\toffset:20;\tsize:4;\tsigned:1;
this is no line of a format
syscalls/sys_enter_getpgid/format:\tfield:pid_t pid;\toffset:16;\tsize:8;\tsigned:0;
"""


def test_what_a_guest_told_is_read_again(tmp_path: Path) -> None:
    """Fields come back as they were parsed; before any guest told them, and of a damaged file, nothing is known."""
    kernel = replace(faking.kernel("6.1"), image=tmp_path / "vmlinuz", source="debian:bookworm")
    assert tracepoints.read(kernel) is None
    tracepoints.keep(kernel, TOLD)
    found = tracepoints.read(kernel)
    assert found is not None
    assert set(found) == {"sched/sched_process_fork", "syscalls/sys_enter_getpgid"}
    assert [(f.name, f.offset, f.dynamic) for f in found["sched/sched_process_fork"]] == [
        ("parent_comm", 8, True), ("child_pid", 20, False),
    ]  # fmt: skip
    (tmp_path / "tracepoints.json").write_text('{"format": 1, "events": {"a/b": [[1]]}}')
    assert tracepoints.read(kernel) is None


def test_a_kernel_at_a_path_has_them_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written beside an image of the user's own."""
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "cache"))
    kernel = replace(faking.kernel("6.1"), image=tmp_path / "bzImage", source="path:x", digest="abc")
    tracepoints.keep(kernel, TOLD)
    assert tracepoints.path(kernel).is_relative_to(tmp_path / "cache")
    assert tracepoints.read(kernel)

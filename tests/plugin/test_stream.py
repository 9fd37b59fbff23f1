"""``pytest --kernel-json-stream``: the same stream as ``everykernel run`` writes, on fake kernels."""

from __future__ import annotations

import json

import fastjsonschema
import pytest
from tests import faking

from everykernel.matrix import schema, stream

LINE = fastjsonschema.compile(
    json.loads(stream.SCHEMA_PATH.read_text()), handlers={"https": lambda uri: schema.load()}, use_default=False
)

DONE = {"code": "", "message": "", "seconds": 0.1}  # what a guest always says of a stage


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_a_session_is_told(
    workers: tuple[str, ...], pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is run, each cell and each test of a user's, where it stands, and pytest's own exit code."""
    faking.install(monkeypatch)
    if workers:
        pytester.makeconftest(faking.CONFTEST)
    faking.objects(pytester.path, good={"relocate": DONE, "load": DONE}, bad={"load": faking.REJECTED})
    pytester.makepyfile("def test_one(load): load('good.bpf.o')")
    what = ("test_a_session_is_told.py", "good.bpf.o", "bad.bpf.o", "--kernels", "6.1")
    ran = pytester.runpytest(*what, "--kernel-json-stream", "out", *workers)
    ran.assert_outcomes(passed=2, failed=1)
    found = [json.loads(line) for line in (pytester.path / "out").read_text().splitlines()]
    for line in found:
        LINE(line)
    begin, *between, last, end = found
    assert (begin["event"], begin["kernels"], begin["cells"]) == ("begin", ["6.1"], 3)
    told = [line["result"]["test"] for line in between if line["event"] == "cell"]
    assert sorted(told) == ["bad.bpf.o::bad[6.1]", "good.bpf.o::good[6.1]", "test_a_session_is_told.py::test_one[6.1]"]
    assert [last[key] for key in ("event", "cells", "done", "left")] == ["progress", 3, 3, 0]
    assert end == {"event": "end", "code": 1}

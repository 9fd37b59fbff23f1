"""`report diff` of two real runs: one object on 5.10 alone and on 6.12 alone, told as an author would act on it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import jsonschema
import pytest

from everykernel import cli
from everykernel.report import schema

pytestmark = pytest.mark.vm

OBJECT = Path(__file__).parent / "objects" / "explained.bpf.c"


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The reports of a run on 5.10 and of one on 6.12."""
    folder = tmp_path_factory.mktemp("diff")
    out = folder / "explained.bpf.o"
    flags = ["-O2", "-g", "-target", "bpf", "-I/usr/include/x86_64-linux-gnu"]
    subprocess.run(["clang-19", *flags, "-c", str(OBJECT), "-o", str(out)], check=True)
    for spec in ("5.10", "6.12"):
        assert cli.main(["run", str(out), "--kernels", spec, "--until", "load", "--report", str(folder / spec)]) == 1
    return folder / "5.10", folder / "6.12"


def test_what_an_author_acts_on(reports: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """What was lost, where, and what the kernel has instead; what was gained; which programs load now."""
    assert cli.main(["report", "diff", *map(str, reports), "--explain"]) == 0
    told = capsys.readouterr().out
    assert "kernels compared: 5.10 → 6.12\n1 still failing\n" in told
    for line in (
        "task_struct.state, offset: relocation 0 of members: patched at 16 → poisoned (struct task_struct has no "
        "member 'state'; 6.12 has struct task_struct.__state (unsigned int __state): the same name with other "
        "underscores)",
        "folio.flags, offset: relocation 16 of types: poisoned → patched at 0 (before: the kernel has no struct folio)",
        "program types: refused: relocation-unresolved → loads (before: EINVAL: byte_off struct folio.flags:",
    ):
        assert line in told
    assert told.index("task_struct.state") < told.index("folio.flags")  # what is worse comes first


def test_the_other_way_round(reports: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """From 6.12 to 5.10 the same changes are told the other way, in Markdown and as JSON too."""
    old, new = reversed(reports)
    assert cli.main(["report", "diff", str(old), str(new), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    changes = found["rows"][0]["cells"][0]["changes"]
    [state] = [one for one in changes if one["subject"] == "task_struct.state, offset"]
    assert (state["before"], state["after"], state["direction"]) == ("poisoned", "patched at 16", "better")
    [types] = [one for one in changes if one["subject"] == "program types"]
    assert (types["before"], types["direction"]) == ("loads", "worse")
    assert cli.main(["report", "diff", str(old), str(new), "--format", "markdown"]) == 0
    assert "| explained" in capsys.readouterr().out.replace(str(old.parent) + "/", "")


def test_a_merged_report_of_both_is_one_of_ours(reports: tuple[Path, Path], tmp_path: Path) -> None:
    """Two real runs merge into one file with both kernels, their packages, digests and evidence."""
    assert cli.main(["report", "merge", *map(str, reports), "-o", str(tmp_path / "all")]) == 0
    merged = json.loads((tmp_path / "all/results.json").read_text())
    jsonschema.validate(merged, schema.load())
    assert [kernel["spec"] for kernel in merged["kernels"]] == ["5.10", "6.12"]
    for kernel in merged["kernels"]:
        assert kernel["package"].startswith("linux-image")
        assert kernel["package_version"]
        assert len(kernel["sha256"]) == len(kernel["image_sha256"]) == 64
        assert kernel["signed"] in ("gpgv", "https")
    for cell in merged["results"]:
        assert (tmp_path / "all" / cell["evidence"] / "relocations.jsonl").is_file()
        assert [cell["stages"][name]["seconds"] >= 0 for name in ("relocate", "load")] == [True, True]
    assert cli.main(["report", "diff", *[str(tmp_path / "all")] * 2, "--pair", "5.10=6.12"]) == 0

"""Gates and annotations of real runs: guests that were killed, a program that is refused, a field that is misread."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from everykernel import cli, folders
from everykernel.compile import compile_all, jobs
from everykernel.kernels.model import Kernel
from everykernel.machine import Machines

pytestmark = pytest.mark.vm

CASES = folders.data("cases")
# Past the end of a map's value, by an index that nothing bounds.
REFUSED = """\
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); } numbers
	SEC(".maps");

SEC("kprobe/vfs_rmdir")
int reads(void *ctx)
{
	__u32 zero = 0;
	__u64 *found = bpf_map_lookup_elem(&numbers, &zero);

	if (!found)
		return 0;
	return found[bpf_get_prandom_u32()]; // here
}

char _license[] SEC("license") = "GPL";
"""


LIVED = (
    8.0  # seconds that a QEMU lives before it is killed: one that never started is the harness's fault, not a guest's
)


def line_of(text: str, words: str) -> int:
    """The number of the line that has these words."""
    [number] = [number for number, line in enumerate(text.splitlines(), 1) if words in line]
    return number


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    """An object that no verifier takes, in a repository of its own, built from elsewhere."""
    (tmp_path / "src").mkdir()
    source = tmp_path / "src" / "reads.bpf.c"
    source.write_text(REFUSED)
    flags = ["-O2", "-g", "-target", "bpf", "-I/usr/include/x86_64-linux-gnu"]
    subprocess.run(["clang-19", *flags, "-c", str(source), "-o", str(tmp_path / "reads.o")], check=True)
    return tmp_path


def test_a_refusal_is_an_annotation_of_its_line(
    refused: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What 5.10's verifier refuses is told at the line of C, by annotation, SARIF and the report folder's views."""
    monkeypatch.chdir(refused)
    assert cli.main(["run", "reads.o", "--kernels", "5.10,6.1", "--until", "load", "--report", "out"]) == 1
    capsys.readouterr()
    number = line_of(REFUSED, "// here")
    assert cli.main(["report", "annotate", "out"]) == 0
    aggregate, annotation = capsys.readouterr().out.splitlines()
    assert aggregate.startswith("::error title=everykernel::1 thing at 1 line of source")
    head = f"::error file=src/reads.bpf.c,line={number},title=verifier-rejected on 5.10..6.1::reads.o, program reads: "
    assert annotation.startswith(head)
    assert cli.main(["report", "annotate", "out", "--path-map", f"{refused}/src=lib/bpf"]) == 0
    assert f"::error file=lib/bpf/reads.bpf.c,line={number}," in capsys.readouterr().out
    log = json.loads((refused / "out/everykernel.sarif").read_text())
    [result] = log["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": number}
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "src/reads.bpf.c"
    assert len(ET.parse(refused / "out/junit.xml").getroot().findall(".//failure")) == 2


def test_a_misread_is_an_annotation_of_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What loads and reads another field's bytes is a warning at the line that reads it."""
    compile_all(jobs())
    case, out = CASES / "misread_width", tmp_path / "out.json"
    assert cli.main(["run", str(case), "--kernels", "7.3", "--json", str(out)]) == 0
    capsys.readouterr()
    number = line_of((case / "prog.bpf.c").read_text(), "BPF_CORE_READ(task, on_cpu)")
    assert cli.main(["report", "annotate", str(out)]) == 0
    _, annotation = capsys.readouterr().out.splitlines()
    place = f"file=cases/misread_width/prog.bpf.c,line={number},title=misread on 7.3"
    assert annotation.startswith(f"::warning {place}::misread_width, program plain: ")
    assert cli.main(["report", "check", str(out), "--require", "no misread"]) == 1
    assert "rule broken: no misread: misread_width on 7.3: plain: struct task_struct.on_cpu" in capsys.readouterr().out


def test_a_baseline_of_a_real_run(
    refused: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run writes its baseline, and is green by it; what is fixed is red until the line goes."""
    monkeypatch.chdir(refused)
    run = ["run", "reads.o", "--kernels", "5.10,6.1", "--until", "load"]
    assert cli.main([*run, "--update-baseline"]) == 0
    assert cli.main([*run, "--baseline", "everykernel.baseline"]) == 0
    assert "gate: green; 2 cells: 0 passed, 2 still failing" in capsys.readouterr().out
    assert Path("everykernel.baseline").read_text().splitlines()[-1] == "reads.o load reads 5.10..6.1 verifier-rejected"
    source = Path("src/reads.bpf.c")
    source.write_text(REFUSED.replace("found[bpf_get_prandom_u32()]", "*found"))
    flags = ["-O2", "-g", "-target", "bpf", "-I/usr/include/x86_64-linux-gnu"]
    subprocess.run(["clang-19", *flags, "-c", str(source), "-o", "reads.o"], check=True)
    assert cli.main([*run, "--baseline", "everykernel.baseline"]) == 1
    assert "fixed but still listed: reads.o load reads: verifier-rejected on 5.10..6.1" in capsys.readouterr().out


def descendants(root: int) -> dict[int, str]:
    """The processes below one, with their names."""
    found: dict[int, str] = {}
    parents = {root}
    stats = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        stats.append((int(path.parent.name), int(rest.split()[1]), name))
    for _ in stats:
        more = {pid: name for pid, parent, name in stats if parent in parents and pid not in found}
        if not more:
            break
        found |= more
        parents |= set(more)
    return found


@pytest.mark.parametrize("runner", ["run", "pytest"])
def test_killed_guests_are_no_regression(
    runner: str, tmp_path: Path, machines: Machines, columns: dict[str, Kernel]
) -> None:
    """Every guest of a run is killed from outside: nothing has regressed, and the run is indeterminate, not red."""
    compile_all(jobs())
    for spec in ("5.10", "6.1"):
        machines.prepare(columns[spec])
    (tmp_path / "prog.bpf.o").write_bytes((CASES / "exec_event/build/x86_64/prog.bpf.o").read_bytes())
    (tmp_path / "case.toml").write_text('object = "prog.bpf.o"\ncheck = "case.py"\n[machine]\ncpus = 1\n')
    (tmp_path / "case.py").write_text("import time\ndef check(obj):\n    time.sleep(600)\n")
    known = "tested kernel 5.10\ntested kernel 6.1\ntested object killed\n"
    (tmp_path / "known").write_text(known + "killed load handle 5.10 verifier-rejected\n")
    folder = tmp_path / "killed"
    folder.mkdir()
    for name in ("prog.bpf.o", "case.toml", "case.py"):
        (tmp_path / name).rename(folder / name)
    program = Path(sys.executable).parent
    if runner == "run":
        command = [str(program / "everykernel"), "run", "killed", "--kernels", "5.10,6.1", "--json", "out.json"]
        command += ["--baseline", "known"]
    else:
        command = [str(program / "pytest"), "killed", "--kernels", "5.10,6.1", "--kernel-baseline", "known", "-p"]
        command += ["no:cacheprovider", "--kernel-report", "out"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        killed = 0
        since: dict[int, float] = {}
        while process.poll() is None:
            for pid, name in descendants(process.pid).items():
                seen = since.setdefault(pid, time.monotonic())
                if name.startswith("qemu-system") and time.monotonic() - seen > LIVED:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        killed += 1
            time.sleep(0.2)
        output = process.stdout.read() if process.stdout is not None else ""
    assert killed >= 2
    assert "gate: indeterminate; 2 cells: 0 passed, 2 indeterminate (2 guest broke)" in output, output
    assert "regressed" not in output
    assert "fixed" not in output
    assert process.returncode == (3 if runner == "run" else int(pytest.ExitCode.TESTS_FAILED))
    file = "out.json" if runner == "run" else "out"
    assert cli.main(["report", "check", str(tmp_path / file), "--baseline", str(tmp_path / "known")]) == 3

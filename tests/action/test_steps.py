"""Every step of the action, as a runner runs it: its files and variables, and stand-ins for what is the system's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from tests.action.runner import ROOT, Runner

CHOOSE = "one of these is to be given: objects (or command), pytest, merge"
UPLOAD, SAVE = "actions/upload-artifact", "actions/cache/save"
# A Python whose environments hold stand-ins: everykernel and pytest write a report of $SUMMARY, and end with $ENDS.
SNAKE = f"""
if [ "$1" = -m ] && [ "$2" = venv ]; then
  mkdir -p "$3/bin"
  cat >"$3/bin/everykernel" <<'END'
#!/bin/bash
printf 'everykernel' >>"$LOG"; printf ' [%s]' "$@" >>"$LOG"; echo " cache=$EVERYKERNEL_CACHE" >>"$LOG"
report() {{ mkdir -p "$1"; cp "$SUMMARY" "$1/summary.md"; echo '{{}}' >"$1/results.json"; exit "${{ENDS:-0}}"; }}
case "$1 $2" in
  --version*) echo "everykernel 0.1.0" ;;
  "doctor "*) exit "${{DOCTOR:-0}}" ;;
  "report merge") report "${{@: -1}}" ;;
  "report check") exit "${{CHECKED:-0}}" ;;
  "report annotate") echo "::error file=tool.bpf.c,line=7::prog: refused" ;;
  run*) while [ "$1" != --report ]; do shift; done; report "$2" ;;
esac
END
  cat >"$3/bin/python" <<'END'
#!/bin/bash
case "$1 $2" in
  "-m pip") printf 'pip' >>"$LOG"; printf ' [%s]' "${{@:3}}" >>"$LOG"; echo >>"$LOG" ;;
  "-m pytest") printf 'pytest' >>"$LOG"; printf ' [%s]' "${{@:3}}" >>"$LOG"; echo >>"$LOG"
    while [ "$1" != --kernel-report ]; do shift; done
    mkdir -p "$2"; cp "$SUMMARY" "$2/summary.md"; exit "${{ENDS:-0}}" ;;
  *) exec {sys.executable} "$@" ;;
esac
END
  /bin/chmod +x "$3/bin/everykernel" "$3/bin/python"
else
  exec {sys.executable} "$@"
fi
"""


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    made = Runner(ROOT, tmp_path)
    made.stand("snake", SNAKE)
    made.stand("qemu-system-x86_64", 'echo "QEMU emulator version 8.2.2"')
    made.stand("id", "echo 1001")
    made.stand("sudo", 'exec "$@"')
    made.stand("udevadm", "")
    made.stand("apt-get", "")
    made.stand("tee", f'cat >"{tmp_path}/rule"')
    made.stands["actions/cache/restore"] = lambda given: {"cache-hit": "", "cache-primary-key": given["key"]}
    (tmp_path / "summary.md").write_text("# Kernels\n")
    (made.workspace / "build").mkdir()
    for name in ("a.bpf.o", "b.bpf.o"):
        (made.workspace / "build" / name).touch()
    return made


def go(runner: Runner, *, env: Mapping[str, str] = MappingProxyType({}), **inputs: str) -> dict[str, str]:
    """Run the action; what is called ``cache_limit`` here is ``cache-limit`` there."""
    device = runner.temp.parent / "kvm"
    if not device.exists():
        device.touch()
    variables = {"EVERYKERNEL_KVM": str(device), "SUMMARY": str(runner.temp.parent / "summary.md")}
    given = {"python": "snake"} | {name.replace("_", "-"): value for name, value in inputs.items()}
    return runner.run(given, variables | dict(env))


def commands(runner: Runner, *words: str) -> list[str]:
    """How our own commands were called, but for where their cache was."""
    return [line.partition(" cache=")[0] for line in runner.called() if line.startswith(words)]


def test_objects_are_run_and_the_report_is_shown(runner: Runner) -> None:
    """From a list with a pattern to a verdict, a summary, an annotation, an artifact."""
    outputs = go(runner, objects="build/*.bpf.o\n\n", kernels="5.10,6.12", arguments="--until=load\n--btf=a b")
    assert outputs == {"verdict": "passed", "code": "0", "report": "kernel-report"}
    expected = "[run] [build/a.bpf.o] [build/b.bpf.o] [--report] [kernel-report] [--kernels] [5.10,6.12]"
    assert commands(runner, "everykernel [run]") == [f"everykernel {expected} [--until=load] [--btf=a b]"]
    assert runner.summary == "# Kernels\n"
    assert "::error file=tool.bpf.c,line=7::prog: refused" in runner.step("Show the report").output
    assert runner.used[UPLOAD] == {
        "name": "kernel-report", "path": "kernel-report", "if-no-files-found": "ignore"
    }  # fmt: skip
    assert runner.failed == []


@pytest.mark.parametrize(("ends", "verdict"), [(1, "failed"), (2, "usage"), (3, "guest-broke"), (4, "harness-broke")])
def test_a_run_that_fails_is_shown_whole_and_ends_as_it_ended(runner: Runner, ends: int, verdict: str) -> None:
    """Red comes last: what is to be read is there, and the code says whose fault it was."""
    outputs = go(runner, objects="build/a.bpf.o", env={"ENDS": str(ends)})
    assert (outputs["verdict"], outputs["code"]) == (verdict, str(ends))
    assert runner.failed == ["Verdict"]
    assert runner.summary == "# Kernels\n"
    assert UPLOAD in runner.used
    assert SAVE in runner.used


def test_annotations_are_of_the_repository(runner: Runner) -> None:
    """Paths of objects that were built elsewhere are mapped, and what the baseline lists is told as such."""
    go(runner, objects="build/a.bpf.o", source_root="src", path_map="/build/a b=src\n/x=y", baseline="known.txt")
    places = "[--source-root] [src] [--path-map] [/build/a b=src] [--path-map] [/x=y] [--baseline] [known.txt]"
    assert commands(runner, "everykernel [report]") == [f"everykernel [report] [annotate] [kernel-report] {places}"]


def test_pytest_runs_instead(runner: Runner) -> None:
    """With its own names for the same options, and what tests need beside."""
    go(runner, pytest="tests\n", baseline="known.txt", shard="2/4", kernels="6.1", requirements="--requirement=a b.txt")
    expected = "[tests] [--kernel-report] [kernel-report] [--kernels] [6.1] [--kernel-baseline] [known.txt]"
    assert commands(runner, "pytest") == [f"pytest {expected} [--kernel-partial] [--kernel-shard] [2/4]"]
    assert commands(runner, "pip")[-1].endswith("[--requirement=a b.txt]")
    assert runner.used[UPLOAD]["name"] == "kernel-report-2-of-4"


@pytest.mark.parametrize(
    ("ends", "checked", "verdict"),
    [
        (1, 1, "failed"), (1, 3, "guest-broke"), (1, 0, "failed"), (2, 0, "harness-broke"), (3, 0, "harness-broke"),
        (4, 0, "usage"), (5, 0, "harness-broke"),
    ],
)  # fmt: skip
def test_pytests_exit_codes_are_its_own(runner: Runner, ends: int, checked: int, verdict: str) -> None:
    """A guest that broke is told from a failure by the report; nothing collected is no pass."""
    outputs = go(runner, pytest="tests", env={"ENDS": str(ends), "CHECKED": str(checked)})
    assert outputs["verdict"] == verdict


def test_a_command_of_ones_own_is_one_word(runner: Runner) -> None:
    """It reaches everykernel as it was written."""
    go(runner, command="./tool --self-test; rm -rf /", baseline="known.txt", shard="1/2")
    expected = (
        "[run] [--report] [kernel-report] [--baseline] [known.txt] [--partial] [--cmd] [./tool --self-test; rm -rf /]"
    )
    assert commands(runner, "everykernel [run]") == [f"everykernel {expected} [--shard] [1/2]"]


def test_shell_in_inputs_stays_text(runner: Runner) -> None:
    """No input is ever a command."""
    evil = "$(touch pwned)`touch pwned`; touch pwned #"
    go(runner, objects="build/a.bpf.o", kernels=evil, arguments=evil, shard=evil, baseline=evil, artifact=evil)
    assert not list(runner.workspace.rglob("pwned"))
    assert f"[--kernels] [{evil}]" in commands(runner, "everykernel [run]")[0]


def test_parts_are_merged(runner: Runner) -> None:
    """A last job merges what the others reported, and checks it; it fetches and boots nothing."""
    for part in ("kernel-report-1-of-2", "kernel-report-2-of-2"):
        (runner.workspace / "parts" / part).mkdir(parents=True)
    outputs = go(runner, merge="parts/*", baseline="known.txt", env={"CHECKED": "1"})
    assert commands(runner, "everykernel [report]")[:2] == [
        "everykernel [report] [merge] [parts/kernel-report-1-of-2] [parts/kernel-report-2-of-2] [-o] [kernel-report]",
        "everykernel [report] [check] [kernel-report] [--baseline] [known.txt]",
    ]
    assert outputs["verdict"] == "failed"
    assert commands(runner, "everykernel [doctor]") == []
    assert runner.step("Look for what was kept").outcome == runner.step("Keep kernels").outcome == "skipped"


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({}, CHOOSE),
        ({"objects": "build/a.bpf.o", "pytest": "tests"}, CHOOSE),
        ({"objects": "built/*.o"}, "nothing here is called built/*.o"),
        ({"merge": "parts/*"}, "nothing here is called parts/*: no part of the run left a report"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_told(runner: Runner, inputs: dict[str, str], told: str) -> None:
    """In an annotation, and with the verdict of a usage error."""
    outputs = go(runner, env={}, **inputs)
    assert f"::error title=everykernel::{told}" in runner.step("Run").output
    assert outputs["verdict"] == "usage"
    assert runner.failed == ["Verdict"]


def test_a_host_that_cannot_boot_ends_it_before_the_run(runner: Runner) -> None:
    """What doctor finds missing is no verdict on anybody's object."""
    outputs = go(runner, objects="build/a.bpf.o", env={"DOCTOR": "4"})
    assert runner.failed == ["Fetch kernels, boot one", "Verdict"]
    assert outputs["verdict"] == "harness-broke"
    assert runner.step("Run").outcome == runner.step("Keep kernels").outcome == "skipped"


def test_kvm_is_opened_not_believed(runner: Runner) -> None:
    """The rule is written, udev told, and what counts is that the device opens."""
    device = runner.temp.parent / "kvm"
    device.mkdir()  # opens for nobody
    runner.stand("udevadm", f'[ "$1" != trigger ] || {{ rmdir {device}; touch {device}; }}')
    go(runner, objects="build/a.bpf.o")
    assert runner.step("Make KVM usable").outputs == {"kvm": "true"}
    assert (runner.temp.parent / "rule").read_text().startswith('KERNEL=="kvm", GROUP="kvm", MODE="0666"')
    told = [line for line in runner.called() if line.startswith("udevadm")]
    assert told == ["udevadm control --reload-rules", "udevadm trigger --name-match=kvm --settle"]


def test_without_kvm_it_goes_on_and_says_so(runner: Runner) -> None:
    """A device that never opens is a note, not an error."""
    (runner.temp.parent / "kvm").mkdir()
    runner.stand("chmod", "")
    go(runner, objects="build/a.bpf.o")
    step = runner.step("Make KVM usable")
    assert step.outputs == {"kvm": "false"}
    assert "::notice title=everykernel::" in step.output
    assert "chmod 0666" in "\n".join(runner.called())
    assert runner.failed == []


def test_packages_are_installed_where_they_are_missing(tmp_path: Path) -> None:
    """Those alone that are, through sudo, without asking anything."""
    for name in ("bash", "env"):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    log = tmp_path / "log"
    for name, body in (("id", "echo 1001"), ("sudo", 'exec "$@"'), ("apt-get", ""), ("gpgv", ""), ("snake", "exit 1")):
        (tmp_path / name).write_text(f'#!{tmp_path}/bash\necho "{name} $*" >>{log}\n{body}\n')
        (tmp_path / name).chmod(0o755)
    variables = {"PATH": str(tmp_path), "PYTHON": "snake", "EVERYKERNEL_KEYRING": "/nowhere"}
    script = [str(tmp_path / "bash"), str(ROOT / "action/packages.sh")]
    subprocess.run(script, env=variables, check=True)
    wanted = "qemu-system-x86 util-linux debian-archive-keyring python3-venv"
    told = [line for line in log.read_text().splitlines() if line.startswith("sudo")]
    assert told == [
        "sudo apt-get update -q",
        f"sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends {wanted}",
    ]
    (tmp_path / "apt-get").unlink()
    done = subprocess.run(script, env=variables, capture_output=True, text=True)
    assert done.returncode == 4
    assert done.stdout == f"::error title=everykernel::this system has no apt-get: install what these bring: {wanted}\n"


def test_packages_come_before_the_rule(runner: Runner) -> None:
    """An installation that restarts udev takes a rule along, and a chmod back."""
    names = [step["name"] for step in runner.action["runs"]["steps"]]
    assert names[:2] == ["Install system packages", "Make KVM usable"]


def test_an_old_python_is_told(runner: Runner) -> None:
    """In a line that says what installs a newer one."""
    runner.stand("snake", "exit 1")
    outputs = go(runner, objects="build/a.bpf.o")
    assert "snake is not Python 3.11 or newer: actions/setup-python" in runner.step("Install everykernel").output
    assert outputs["verdict"] == "harness-broke"


def key(runner: Runner, folder: Path, **inputs: str) -> dict[str, str]:
    """What the action keeps, and under which key, on a fresh runner of the same workspace."""
    shutil.rmtree(runner.temp)
    runner.temp.mkdir()
    go(runner, objects="build/a.bpf.o", env={}, **inputs)
    found = next(step for step in reversed(runner.steps) if step.name == "Name what is kept")
    return {
        name: value for name, value in found.outputs.items() if name in ("key", "prefix", "paths", "folder", "specs")
    }


def test_keys_hit(runner: Runner, tmp_path: Path) -> None:
    """The same kernels have the same key, others another; each begins with the prefix that finds older ones."""
    first = key(runner, tmp_path, kernels="5.10, 6.12")
    assert first["specs"] == "5.10,6.12"
    assert first == key(runner, tmp_path, kernels="5.10,6.12")
    other = key(runner, tmp_path, kernels="5.10")
    assert other["key"] != first["key"]
    assert other["prefix"] == first["prefix"]
    assert first["key"].startswith(first["prefix"])
    assert [Path(path).name for path in first["paths"].splitlines()] == ["kernels", "images"]


def test_a_lock_is_the_key(runner: Runner, tmp_path: Path) -> None:
    """What a lock names does not change with the week, and a new lock is a new key."""
    weekly = key(runner, tmp_path, kernels="6.1")["key"]
    lock = runner.workspace / "everykernel.lock"
    lock.write_text("one")
    locked = key(runner, tmp_path, kernels="6.1")["key"]
    assert weekly.rpartition("-")[2].startswith("W")
    assert not locked.rpartition("-")[2].startswith("W")
    lock.write_text("two")
    assert key(runner, tmp_path, kernels="6.1")["key"] != locked


def test_a_project_names_its_kernels(runner: Runner, tmp_path: Path) -> None:
    """Those of pyproject.toml are fetched and are the key where the input is empty; names of lists are looked up."""
    (runner.workspace / "pyproject.toml").write_text(
        '[tool.everykernel.kernels]\ndefault = ["6.1"]\nci = ["5.10", "6.12"]\n'
    )
    assert key(runner, tmp_path)["specs"] == "6.1"
    assert key(runner, tmp_path, kernels="ci")["specs"] == "5.10,6.12"
    assert "everykernel [kernels] [fetch] [--] [5.10] [6.12]" in commands(runner, "everykernel [kernels]")


def test_snapshots_are_kept_for_the_same_machine_alone(runner: Runner, tmp_path: Path) -> None:
    """QEMU, accelerator, version and CPU are in their key."""
    ours = key(runner, tmp_path, cache="snapshots")
    assert [Path(path).name for path in ours["paths"].splitlines()] == ["kernels", "images", "snapshots"]
    runner.stand("qemu-system-x86_64", 'echo "QEMU emulator version 10.0.0"')
    other = key(runner, tmp_path, cache="snapshots")
    assert other["prefix"] != ours["prefix"]
    (tmp_path / "kvm").unlink()
    (tmp_path / "kvm").mkdir()
    runner.stand("chmod", "")
    assert key(runner, tmp_path, cache="snapshots")["prefix"] not in (ours["prefix"], other["prefix"])


def test_nothing_is_kept_where_nothing_is_to_be(runner: Runner, tmp_path: Path) -> None:
    """A runner of one's own has the user's cache."""
    assert "key" not in key(runner, tmp_path, cache="none")
    assert all(line.endswith("cache=") for line in runner.called() if line.startswith("everykernel [run]"))
    assert runner.steps[-2].outcome == "skipped"


def test_what_was_not_used_is_not_kept(runner: Runner) -> None:
    """Kernels of another list that came along go; snapshots and packages too."""

    def restore(given: dict[str, str]) -> dict[str, str]:
        folder = Path(given["path"].splitlines()[0]).parent
        for name in ("kernels/old", "kernels/new", "snapshots/one", "packages"):
            (folder / name).mkdir(parents=True)
            (folder / name / ".last-used").touch()
            os.utime(folder / name / ".last-used", (1, 1) if name != "kernels/new" else (2**32, 2**32))
        return {"cache-hit": "false", "cache-primary-key": given["key"]}

    runner.stands["actions/cache/restore"] = restore
    go(runner, objects="build/a.bpf.o", cache_limit="2GB")
    folder = runner.temp / "everykernel/cache"
    assert sorted(str(path.relative_to(folder)) for path in folder.glob("*/*")) == ["kernels/new"]
    assert "everykernel [cache] [prune] [--to] [2GB]" in commands(runner, "everykernel [cache]")
    assert runner.used[SAVE]["key"].startswith("everykernel-1-kernels-X64-")


def test_verdicts_are_kept_apart_from_kernels(runner: Runner) -> None:
    """Those that this run took or found, under its own number, found by the next one; each job's are its own."""

    def restore(given: dict[str, str]) -> dict[str, str]:
        place = Path(given["path"].splitlines()[0])
        if place.name == "cells":
            (place / "machine").mkdir(parents=True, exist_ok=True)
            for name, when in (("old", 1), ("new", 2**32)):
                (place / f"machine/{name}.json").touch()
                os.utime(place / f"machine/{name}.json", (when, when))
        return {"cache-hit": "true", "cache-primary-key": given["key"]}

    runner.stands["actions/cache/restore"] = restore
    go(runner, objects="build/a.bpf.o", reuse="true")
    assert commands(runner, "everykernel [run]")[0].endswith("[--report] [kernel-report] [--reuse]")
    cells = runner.temp / "everykernel/cache/cells"
    assert runner.used[SAVE]["path"] == str(cells)
    assert [path.name for path in cells.rglob("*.json")] == ["new.json"]
    given = runner.used["actions/cache/restore"]
    assert given["key"] == f"{given['restore-keys']}7-1" == runner.used[SAVE]["key"]
    go(runner, pytest="tests", reuse="true", shard="1/2")
    assert commands(runner, "pytest")[0].endswith("[--kernel-partial] [--kernel-reuse] [--kernel-shard] [1/2]")
    assert runner.used["actions/cache/restore"]["restore-keys"] != given["restore-keys"]


def test_reuse_is_true_or_false(runner: Runner) -> None:
    """Anything else is told, and nothing is run."""
    go(runner, objects="build/a.bpf.o", reuse="yes")
    assert "reuse is true or false, not 'yes'" in runner.step("Name what is kept").output
    assert not commands(runner, "everykernel [run]")


def test_a_hit_is_not_kept_again(runner: Runner) -> None:
    """Nothing is thrown away, nothing sent."""
    runner.stands["actions/cache/restore"] = lambda given: {"cache-hit": "true", "cache-primary-key": given["key"]}
    go(runner, objects="build/a.bpf.o")
    assert runner.step("Tidy what is kept").outcome == runner.step("Keep kernels").outcome == "skipped"


def test_a_summary_that_is_too_large_is_cut_at_a_line(runner: Runner, tmp_path: Path) -> None:
    """GitHub shows none of a summary past 1 MiB; ours ends with where the rest is."""
    (tmp_path / "summary.md").write_text("| ✓ a line of a table |\n" * 50_000)
    go(runner, objects="build/a.bpf.o")
    assert 900_000 < len(runner.summary.encode()) < 1 << 20
    *lines, _, last = runner.summary.splitlines()
    assert set(lines) == {"| ✓ a line of a table |"}
    assert last == "**This is not all of it:** the rest is in the artifact."

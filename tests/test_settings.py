"""``[tool.everykernel]`` in pyproject.toml: read strictly, and from the nearest file that has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from everykernel import settings
from everykernel.errors import UsageError


def write(folder: Path, *lines: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pyproject.toml"
    path.write_text("\n".join(("[project]", 'name = "x"', *lines)))
    return path


def test_every_key(tmp_path: Path) -> None:
    """Each key arrives as options have it; paths start from the file's folder."""
    (tmp_path / "a=b").mkdir()
    write(
        tmp_path,
        "[tool.everykernel]",
        'kernels = ["5.10", "6.1"]',
        'objects = "*.bpf.o"',
        'accel = "tcg"',
        'machine = "bare"',
        "timeout = 30",
        'btf = ["btf", "6.1/i386=old.btf", "a=b", "https://h/t", "6.1=https://h/t", "https://h/x.deb?k=v"]',
        'cluster = "tls://build:8786"',
        'missing = "skip"',
        "memory = 512",
        "memory-ceiling = 2048",
        'report = "out"',
        "retries = 0",
        "reuse = true",
        "strict-reads = true",
        'rules = "ebpf-go"',
        'loader = "own, libbpf"',
        'sources = ["ubuntu"]',
        'baseline = "known"',
        'require = ["loads on >=5.10,<6"]',
        'required = ["6.1"]',
        'advisory = ["7.3"]',
        'splats = "fail"',
        'allow-splats = ["a,b"]',
        'max-insns-growth = "20%"',
        "insns-floor = 100",
        "[tool.everykernel.targets]",
        'lab = "ssh://root@lab:2222"',
        'board = { host = "10.0.0.7", port = 2022, sudo = false, console = "ssh lab cat /dev/ttyUSB0" }',
    )
    assert settings.read(tmp_path / "sub" / "folder") == {
        "kernels": ["5.10", "6.1"],
        "objects": ["*.bpf.o"],
        "accel": "tcg",
        "machine": "bare",
        "timeout": 30.0,
        "btf": [
            f"{tmp_path}/btf",
            f"6.1/i386={tmp_path}/old.btf",
            f"{tmp_path}/a=b",
            "https://h/t",
            "6.1=https://h/t",
            "https://h/x.deb?k=v",
        ],
        "cluster": "tls://build:8786",
        "missing": "skip",
        "memory": 512,
        "memory-ceiling": 2048,
        "report": tmp_path / "out",
        "retries": 0,
        "reuse": True,
        "strict-reads": True,
        "rules": "ebpf-go",
        "loader": ["own", "libbpf"],
        "sources": ["ubuntu"],
        "baseline": tmp_path / "known",
        "require": ["loads on >=5.10,<6"],
        "required": ["6.1"],
        "advisory": ["7.3"],
        "splats": "fail",
        "allow-splats": ["a,b"],
        "max-insns-growth": "20%",
        "insns-floor": 100,
        "targets": {
            "lab": {"host": "ssh://root@lab:2222"},
            "board": {"host": "10.0.0.7", "port": 2022, "sudo": False, "console": "ssh lab cat /dev/ttyUSB0"},
        },
    }
    assert settings.read(tmp_path).keys() == settings.KEYS.keys()


def test_the_nearest_that_has_the_table(tmp_path: Path) -> None:
    """A pyproject.toml without the table is passed over; without any, nothing is set."""
    write(tmp_path, "[tool.everykernel]", 'kernels = "5.10, 6.1"')
    write(tmp_path / "inner", "[tool.other]", "kernels = 1")
    assert settings.read(tmp_path / "inner") == {"kernels": ["5.10", "6.1"]}
    write(tmp_path / "inner", "[tool.everykernel]")
    assert settings.read(tmp_path / "inner") == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("kernel = '6.1'", "unknown key 'kernel' [did you mean 'kernels'?]"),
        ("kernels = 6.1", "kernels = 6.1 is not a list of kernels, text with commas, or a table of named lists"),
        ("kernels = ['']", "kernels = [''] is not a list of kernels, text with commas, or a table of named lists"),
        ("cluster = 'build:8786'", "cluster = 'build:8786' is not the address of a scheduler, tcp://HOST:8786"),
        ("accel = 'hvf'", "accel = 'hvf' is not one of auto, kvm, tcg"),
        ("accel = []", "accel = [] is not one of auto, kvm, tcg"),
        ("timeout = true", "timeout = True is not a number of seconds"),
        ("timeout = inf", "timeout = inf is not a number of seconds"),
        ("timeout = -1", "timeout = -1 is not a number of seconds"),
        ("memory = '1G'", "memory = '1G' is not a number of MiB from 256 to 65536"),
        ("memory = 8", "memory = 8 is not a number of MiB from 256 to 65536"),
        ("btf = {}", "btf = {} is not a path or URL, or a list of [SPEC=]PATH"),
        ("missing = false", "missing = False is not one of fail, skip"),
        ("report = 1", "report = 1 is not a path"),
        ("require = 'loads on 6.1'", "require = 'loads on 6.1' is not a list of rules"),
        ("max-insns-growth = 0.2", "max-insns-growth = 0.2 is not a share, like '20%'"),
        ("insns-floor = true", "insns-floor = True is not a number of instructions"),
        (
            "targets = 'lab'",
            "targets = 'lab' is not a table of targets (docs/targets.md)",
        ),
        (
            "targets.lab.ports = 22",
            "targets = {'lab': {'ports': 22}} is not a table of targets (docs/targets.md)",
        ),
        (
            "targets.lab.port = '22'",
            "targets = {'lab': {'port': '22'}} is not a table of targets (docs/targets.md)",
        ),
        ("splats = 'error'", "splats = 'error' is not one of fail, warn"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, line: str, message: str) -> None:
    """An unknown key, or a value of the wrong type, is a usage error that names file and key."""
    path = write(tmp_path, "[tool.everykernel]", line)
    with pytest.raises(UsageError) as caught:
        settings.read(tmp_path)
    assert str(caught.value) == f"{path}: tool.everykernel: {message}"


def test_files_that_are_none(tmp_path: Path) -> None:
    """What is no TOML, and a table that is none, say so."""
    path = write(tmp_path, "[tool]", "everykernel = 1")
    with pytest.raises(UsageError, match=r"tool.everykernel: is not a table \[write \[tool.everykernel\]\]"):
        settings.read(tmp_path)
    path.write_text("[")
    with pytest.raises(UsageError, match=r"pyproject.toml: is not TOML: "):
        settings.read(tmp_path)


def test_named_sets_of_kernels(tmp_path: Path) -> None:
    """A table of lists gives names that stand for kernels; the list called default is the project's own."""
    text = '[tool.everykernel.kernels]\nci = ["5.10", "6.8"]\ndefault = ["6.1"]\n'
    (tmp_path / "pyproject.toml").write_text(text)
    project = settings.read(tmp_path)
    assert project["kernels"] == ["6.1"]
    assert settings.expanded(["6.12", "ci", "5.10"], project) == ["6.12", "5.10", "6.8"]


@pytest.mark.parametrize(
    ("spec", "kind", "column"),
    [
        ("6.1", "qemu", "6.1"),
        ("6.1", "bare", "6.1@bare"),
        ("6.1/armhf@bare", "vng", "6.1/armhf@bare"),
        ("6.1@qemu", "vng", "6.1"),
        ("ssh://lab@bare", "vng", "ssh://lab@bare"),
        ("6.1@board", "qemu", "6.1@board"),
        ("@bare", "qemu", "@bare"),
    ],
)
def test_what_guests_are(spec: str, kind: str, column: str) -> None:
    """What a kernel says of its guests wins; a column's name means that column again, whatever the run's kind."""
    assert settings.on_machines([spec], kind) == [column]
    assert settings.on_machines([settings.again(column, kind)], kind) == [column]

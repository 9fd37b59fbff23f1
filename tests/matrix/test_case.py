"""case.toml is read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import elfwriter, holders

from everykernel.architectures import ARCHITECTURES
from everykernel.errors import UsageError
from everykernel.matrix import case, plan

FULL = """
object = "build/{arch}/prog.bpf.o"
description = "one line"
trigger = ["/bin/true", "-x"]
check = "case.py"
attach = false
timeout = 2.5
[machine]
cpus = 4
memory = 512
cmdline = "lsm=bpf"
modules = ["veth"]
sysctls = { "kernel.x" = 1 }
[[expect]]
kernels = ">=5.14,<6.15"
arch = "i386"
btf = ["none", "supplied"]
program = "p"
stage = "load"
status = "failed"
code = "verifier-rejected"
reason = "why"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "case.toml"
    path.write_text(text)
    return path


def test_everything_is_read(tmp_path: Path) -> None:
    """Each key of the form arrives where it belongs."""
    (tmp_path / "case.py").write_text("")
    found = case.read(write(tmp_path, FULL))
    assert (found.name, found.description, found.trigger) == (tmp_path.name, "one line", ("/bin/true", "-x"))
    assert (found.attach, found.timeout, found.check) == (False, 2.5, tmp_path / "case.py")
    assert found.machine.describe() == {
        "cpus": 4,
        "memory": 512,
        "cmdline": "lsm=bpf",
        "modules": ["veth"],
        "sysctls": {"kernel.x": "1"},
    }
    [entry] = found.expect
    assert (entry.stage, entry.status, entry.code, entry.reason) == ("load", "failed", "verifier-rejected", "why")
    assert (entry.arch, entry.btf, entry.program, entry.kernels.text) == (
        "i386",
        ("none", "supplied"),
        "p",
        ">=5.14,<6.15",
    )
    assert found.source_line(ARCHITECTURES["i386"], 7) == f"{tmp_path.parent.name}/{tmp_path.name}/prog.bpf.c:7"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no object"),
        ("object = 1", "object = 1 is not str"),
        ('object = "x"\ntriger = []', r"unknown key 'triger' \[did you mean 'trigger'\?\]"),
        ('object = "x"\ntrigger = "true"', "trigger = 'true' is not list"),
        ('object = "x"\ntrigger = [1]', "is not a list of strings"),
        ('object = "x"\ncheck = "gone.py"', "check = 'gone.py' is not there"),
        ('object = "x"\nattach = 1', "attach = 1 is not bool"),
        ('object = "x"\ntimeout = true', "timeout = True is not int or float"),
        ('object = "x"\ntimeout = 0', "is not between 0 and 3600"),
        ('object = "x"\n[machine]\nmemry = 1', r"machine: unknown key 'memry' \[did you mean 'memory'\?\]"),
        ('object = "x"\n[machine]\ncpus = "2"', "machine: cpus = '2' is not int"),
        ('object = "x"\nexpect = [1]', "expect 1: is not a table"),
        ('object = "x"\n[[expect]]\nstage = "load"', "expect 1: has no status"),
        ('object = "x"\n[[expect]]\nstatus = "failed"', "expect 1: has no stage"),
        ('object = "x"\n[[expect]]\nstage = "laod"\nstatus = "failed"', r"unknown stage 'laod' \[did you mean 'load'"),
        (
            'object = "x"\n[[expect]]\nstage = "load"\nstatus = "failed"\ncode = "verifier-reject"',
            r"unknown reason code 'verifier-reject' \[did you mean 'verifier-rejected'\?\]",
        ),
        (
            'object = "x"\n[[expect]]\nstage = "load"\nstatus = "passed"\ncode = "timeout"',
            "expects a stage to pass, with reason code 'timeout'",
        ),
        ('object = "x"\n[[expect]]\nstage = "load"\nstatus = "failed"\nkernels = "six"', "'six' is not a range"),
        ("object = ", "is not TOML"),
    ],
)
def test_mistakes_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """Each mistake is one line that names the file, the place, and the nearest key."""
    path = write(tmp_path, text)
    with pytest.raises(UsageError, match=message) as caught:
        case.read(path)
    assert str(caught.value).startswith(str(path))


def test_missing_object_is_named(tmp_path: Path) -> None:
    """An object that was not compiled is named with its architecture."""
    found = case.read(write(tmp_path, 'object = "build/{arch}/prog.bpf.o"'))
    with pytest.raises(UsageError, match=r"build/i386/prog.bpf.o: there is no such object"):
        found.object_path(ARCHITECTURES["i386"])


def test_several_objects(tmp_path: Path) -> None:
    """`objects` names the first and those beside it, also one inside a program; not beside `object`."""
    for name in ("a.o", "b.o"):
        (tmp_path / name).write_bytes(name.encode())
    inner = elfwriter.bpf_object({"socket": bytes(16)}, [("f", "socket", 0, 16)], {"license": b"GPL\0"})
    (tmp_path / "tool").write_bytes(holders.program(inner, []))
    found = case.read(write(tmp_path, 'objects = ["a.o", "b.o", "tool"]'))
    arch = ARCHITECTURES["x86_64"]
    assert found.object_data(arch) == ("a.o", b"a.o")
    assert found.beside_data(arch) == {"b.o": b"b.o", "tool:0x40": inner}
    for text, what in (
        ('object = "a.o"\nobjects = ["b.o"]', "has object and objects"),
        ("attach = true", "has no object"),
    ):
        with pytest.raises(UsageError, match=what):
            case.read(write(tmp_path, text))
    again = case.read(write(tmp_path, 'objects = ["a.o", "b.o", "a.o"]'))
    with pytest.raises(UsageError, match=r"two objects are called 'a\.o'"):
        again.beside_data(arch)
    (tmp_path / "tool").write_bytes(holders.program(inner + inner.replace(b"GPL", b"MIT"), []))
    with pytest.raises(UsageError, match=r"tool: holds 2 objects \[name one, tool:NAME: 0x40, 0x"):
        found.beside_data(arch)


def test_paths_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is an object, a case.toml, a case's folder, or a folder of cases; what is meant twice is run once."""
    monkeypatch.chdir(tmp_path)
    for name in ("b", "a"):
        (tmp_path / "cases" / name).mkdir(parents=True)
        write(tmp_path / "cases" / name, 'object = "x.bpf.o"')
    (tmp_path / "x.bpf.o").write_bytes(b"")
    found = plan.cases(["x.bpf.o", "cases/a", "cases/a/case.toml", "cases"])
    assert [c.name for c in found] == ["x.bpf.o", "a", "b"]
    assert found[0].path is None
    for wrong, message in {"gone": "gone: there is no such file", ".": "holds no case.toml"}.items():
        with pytest.raises(UsageError, match=message):
            plan.cases([wrong])


def test_the_loader_contract_is_checked_and_passed_on(tmp_path: Path) -> None:
    """``[contract]`` reaches the loader as it is written; a misspelt key is named with its place and the nearest."""
    text = 'object = "x.o"\n[contract]\nskip = ["a"]\n[[contract.variants.g]]\nprograms = ["b"]\n'
    found = case.read(write(tmp_path, text))
    assert dict(found.contract) == {"skip": ["a"], "variants": {"g": [{"programs": ["b"]}]}}
    with pytest.raises(UsageError) as caught:
        case.read(write(tmp_path, text.replace("programs", "program")))
    assert str(caught.value).endswith(
        "case.toml: contract: variants.g 1: unknown key 'program' [did you mean 'programs'?]"
    )


def test_of_a_pair_each_byte_order_has_its_own(tmp_path: Path) -> None:
    """Of bpf2go's two objects a kernel gets the one that it can load, whichever was named; a lone one is itself."""
    little, big, alone = tmp_path / "x_bpfel.o", tmp_path / "x_bpfeb.o", tmp_path / "y_bpfel.o"
    for path in (little, big, alone):
        path.write_bytes(path.name.encode())
    for named in (little, big):
        assert case.bare(named).object_path(ARCHITECTURES["s390x"]) == big
        assert case.bare(named).object_path(ARCHITECTURES["arm64"]) == little
        assert case.bare(named).object_shown(ARCHITECTURES["s390x"]) == str(named)
    assert case.bare(alone).object_path(ARCHITECTURES["s390x"]) == alone

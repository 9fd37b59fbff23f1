"""The loader in real kernels: what a guest answers to requests about objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.asking import descriptors

from everykernel import wire
from everykernel.architectures import ARCHITECTURES
from everykernel.compile import Job, compile_one
from everykernel.errors import RequestFailed
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines, MachineSpec

pytestmark = pytest.mark.vm

COLUMNS = ("5.10", "6.1", "6.12", "6.1/i386")
OBJECTS = Path(__file__).parent / "objects"
Compiled = Callable[[str, str], bytes]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """Compile one of `OBJECTS` for an architecture and return its bytes."""
    folder = tmp_path_factory.mktemp("objects")

    def make(name: str, arch: str) -> bytes:
        target = folder / arch / f"{name}.bpf.o"
        compile_one(Job(OBJECTS / f"{name}.bpf.c", ARCHITECTURES[arch], target))
        return target.read_bytes()

    return make


class Loaded:
    """An object loaded in a guest, asked by messages."""

    def __init__(self, guest: Guest, name: str, data: bytes, **options: Any) -> None:
        self.guest = guest
        reply = guest.request(wire.Load(name=name, data=data, **options))
        assert isinstance(reply, wire.Loaded)
        self.handle, self.relocate, self.load = reply.handle, reply.relocate, reply.load
        self.programs = {p["name"]: p for p in self.load["programs"]}

    def ask(self, message: type, **fields: Any) -> Any:
        return self.guest.request(message(handle=self.handle, **fields))

    def test_run(self, program: str, data: bytes = bytes(64)) -> int:
        return int(self.ask(wire.TestRun, program=program, data=data).retval)

    def attached(self) -> dict[str, dict[str, Any]]:
        return {p["name"]: p for p in self.ask(wire.Attach).programs}


@pytest.fixture(scope="module", params=COLUMNS)
def features(
    request: pytest.FixtureRequest, machines: Machines, columns: dict[str, Kernel], compiled: Compiled
) -> Iterator[Loaded]:
    """features.bpf.c loaded in each column, for all tests that leave it as it was."""
    kernel = columns[request.param]
    with machines.start(kernel) as guest:
        yield Loaded(guest, "features.bpf.o", compiled("features", kernel.arch.name))


def _verdict(record: dict[str, Any]) -> tuple[str, str]:
    return record["status"], record["code"]


def test_each_program_on_its_own_merits(features: Loaded) -> None:
    """A refused program does not hide the others' verdicts; each refusal has its code, and the whole log."""
    btf = features.guest.facts.btf
    refused = {name: p["code"] for name, p in features.programs.items() if p["status"] != "passed"}
    expected = {
        "broken": "verifier-rejected",
        "optional": "verifier-rejected",
        "no_btf_target": "attach-target-missing",
        "gone": "attach-target-missing" if btf else "btf-missing",
        "unknown": "object-unsupported",
    }
    if not btf:
        expected["on_open"] = "btf-missing"
    assert refused == expected
    assert features.load["status"] == "failed"
    assert features.load["code"] in expected.values()
    broken = features.programs["broken"]
    assert broken["errno"] == "EACCES"
    assert "vm/objects/features.bpf.c:" in broken["source"]
    assert broken["message"].endswith("return *pointer;")
    assert "invalid mem access" in broken["message"]
    assert "processed" in broken["log"]


def test_what_does_not_decide(features: Loaded) -> None:
    """``?`` sections and programs without a target are tried and shown, and do not decide the stage."""
    undecided = {name for name, p in features.programs.items() if not p["decides"]}
    assert undecided == {"optional", "no_btf_target"}


def test_externs_and_variables(features: Loaded) -> None:
    """Configuration, symbols, subprograms and sections of variables are what the kernel says by other ways."""
    guest = features.guest
    assert features.test_run("read_externs") == 100 + 3 * 4
    values = features.ask(wire.Globals).value
    config = guest.pull(f"/boot/config-{guest.facts.release}").decode()
    assert f"CONFIG_HZ={values['hz']}\n" in config
    assert values["bpf_syscall"] is True
    symbol = guest.run(["sh", "-c", "grep -m 1 ' vfs_read$' /proc/kallsyms"]).stdout.decode().split()[0]
    assert values["reader"] == int(symbol, 16)
    assert (values["missing"], values["nothing"]) == (0, 0)
    assert (values["greeting"], values["first_letter"]) == ("hello", ord("h"))
    release = [int(part) for part in guest.facts.version.partition("Debian ")[2].partition("-")[0].split(".")]
    assert values["version"] == release[0] << 16 | release[1] << 8 | min(release[2], 255)


def test_variables_are_written(features: Loaded) -> None:
    """A variable that is set is what the program sees next; one that is frozen is refused in words."""
    features.ask(wire.Globals, set={"hidden": 10, "doubled": 21})
    assert features.test_run("read_externs") == 100 + 3 * 10
    assert features.ask(wire.Globals, set={"hidden": 4}).value["doubled"] == 42
    with pytest.raises(RequestFailed, match=r"is in .rodata, which is frozen"):
        features.ask(wire.Globals, set={"scale": 4})
    with pytest.raises(RequestFailed, match=r"no global variable 'hiden' \[the nearest is 'hidden'\]"):
        features.ask(wire.Globals, set={"hiden": 4})


def test_static_initialisers(features: Loaded) -> None:
    """Maps of maps and program arrays hold from the start what the object puts into them."""
    assert features.test_run("caller") == 1234
    assert features.test_run("use_inner") == 3
    assert features.ask(wire.MapOp, map="two", op="lookup", key=0).value == 42
    assert features.ask(wire.MapOp, map="one", op="lookup", key=0).value == 0


def test_maps(features: Loaded) -> None:
    """Keys and values are plain data by BTF, bytes without; what is not there is None, or ENOENT to delete."""
    one, other = {"a": 1, "b": [2, 3]}, {"a": 4, "b": [5, 6]}
    features.ask(wire.MapOp, map="pairs", op="update", key=one, value=other)
    assert features.ask(wire.MapOp, map="pairs", op="items").value == [[one, other]]
    assert features.ask(wire.MapOp, map="pairs", op="lookup", key=other).value is None
    features.ask(wire.MapOp, map="pairs", op="delete", key=one)
    with pytest.raises(RequestFailed, match="ENOENT"):
        features.ask(wire.MapOp, map="pairs", op="delete", key=one)
    features.ask(wire.MapOp, map="untyped", op="update", key=5, value=6)
    assert features.ask(wire.MapOp, map="untyped", op="items").value == [[b"\5\0\0\0", b"\6" + bytes(7)]]
    with pytest.raises(RequestFailed, match=r"there is no map 'pair' \[it has (one, two|two, one), outer"):
        features.ask(wire.MapOp, map="pair", op="items")


def test_attaching(features: Loaded) -> None:
    """What names an existing target attaches; what names none is skipped; a missing target is named."""
    found = features.attached()
    assert _verdict(found["on_getpgid"]) == ("passed", "")
    assert _verdict(found["caller"]) == ("skipped", "")
    assert _verdict(found["no_target"]) == ("skipped", "")
    for name in ("gone_probe", "gone_event", "gone_raw"):
        assert _verdict(found[name]) == ("failed", "attach-target-missing"), found[name]
        assert found[name]["errno"] == "ENOENT"
    features.ask(wire.Detach)


def test_only_some_programs(machines: Machines, linux: Kernel, compiled: Compiled) -> None:
    """A load may be limited to some programs; a name that is not there is an error that lists what is."""
    data = compiled("features", "x86_64")
    with machines.start(linux) as guest:
        loaded = Loaded(guest, "features.bpf.o", data, programs=["caller", "callee"])
        assert loaded.load["status"] == "passed"
        assert list(loaded.programs) == ["caller", "callee"]
        with pytest.raises(RequestFailed, match=r"unknown program 'nobody' \[known: "):
            Loaded(guest, "features.bpf.o", data, programs=["nobody"])


def test_nothing_stays_behind(machines: Machines, linux: Kernel, compiled: Compiled) -> None:
    """Unloading gives back every descriptor, link and probe."""
    with machines.start(linux) as guest:
        before = descriptors(guest)
        for _ in range(3):
            loaded = Loaded(guest, "features.bpf.o", compiled("features", "x86_64"))
            loaded.attached()
            loaded.test_run("caller")
            loaded.ask(wire.Unload)
        assert descriptors(guest) == before
        with pytest.raises(RequestFailed, match="there is no loaded object"):
            loaded.ask(wire.Detach)


def test_types_that_others_have_loaded(machines: Machines, columns: dict[str, Kernel], compiled: Compiled) -> None:
    """Are no module's, nor in the way of looking for those, on a kernel whose BTFs have no names (before 5.11)."""
    script = "from everykernel import load; print([btf.name for btf in load.kernel_btf().target.modules])"
    with machines.start(columns["5.10"]) as guest:
        Loaded(guest, "features.bpf.o", compiled("features", "x86_64"))
        agent = {"PYTHONPATH": "/everykernel/everykernel-agent.pyz"}
        told = guest.run(["python3", "-c", script], env=agent, timeout=60)
        assert (told.code, told.stdout, told.stderr) == (0, b"[]\n", b"")


def test_unreadable_objects(machines: Machines, linux: Kernel, compiled: Compiled) -> None:
    """An object that cannot be read fails its relocate stage, and the guest goes on."""
    with machines.start(linux) as guest:
        broken = Loaded(guest, "a.o", b"\x7fELF nonsense")
        assert _verdict(broken.relocate)[0] == "failed"
        assert broken.load["status"] == "not-reached"
        cut = Loaded(guest, "b.o", compiled("features", "x86_64")[:2000])
        assert _verdict(cut.relocate) == ("failed", "object-malformed")
        assert "b.o: " in cut.relocate["message"]


def test_supplied_btf(machines: Machines, columns: dict[str, Kernel], compiled: Compiled) -> None:
    """A BTF of another pointer size is rejected, a damaged one too; what has no CO-RE records loads all the same."""
    with machines.start(columns["6.1/i386"]) as guest, machines.start(columns["6.1"]) as other:
        foreign = other.pull("/sys/kernel/btf/vmlinux")
        for btf in (foreign, foreign[:100]):
            loaded = Loaded(guest, "own_btf.bpf.o", compiled("own_btf", "i386"), btf=btf, btf_name="6.1.btf")
            assert _verdict(loaded.relocate) == ("failed", "btf-rejected")
            assert loaded.relocate["btf"] == "supplied:6.1.btf"
            rejected = {p["name"] for p in loaded.relocate["programs"] if p["code"] == "btf-rejected"}
            assert rejected == {"relocated", "sized", "by_fentry", "by_tp_btf", "by_lsm"}
            assert rejected == {n for n, p in loaded.programs.items() if p["status"] == "not-reached"}
            loaded = Loaded(guest, "features.bpf.o", compiled("features", "i386"), btf=btf, btf_name="6.1.btf")
            assert _verdict(loaded.relocate) == ("passed", "")
            assert loaded.relocate["notes"][-1].startswith("the supplied BTF is rejected: 6.1.btf")
            assert loaded.test_run("caller") == 1234


def test_checks(machines: Machines, linux: Kernel, compiled: Compiled) -> None:
    """A check's evidence comes back; a failed assertion names file and line; so does any other exception."""
    with machines.start(linux) as guest:
        loaded = Loaded(guest, "features.bpf.o", compiled("features", "x86_64"))

        def check(body: str) -> wire.Checked:
            done = loaded.ask(wire.Check, source=f"def check(obj):\n    {body}\n", filename="c/case.py")
            assert isinstance(done, wire.Checked)
            return done

        done = check("return {'retval': obj.programs['callee'].test_run(bytes(64)).retval, 'raw': b'x'}")
        assert (done.passed, done.evidence) == (True, {"retval": 1234, "raw": b"x"})
        done = check("assert obj.globals['scale'] == 4, 'scale is wrong'")
        assert (done.passed, done.message, done.where) == (False, "scale is wrong", "c/case.py:2")
        done = check("assert obj.globals['scale'] == 4")
        assert (done.message, done.where) == ("assert obj.globals['scale'] == 4", "c/case.py:2")
        done = check("return 1 / 0")
        assert (done.message, done.where) == ("ZeroDivisionError: division by zero", "c/case.py:2")
        broken = loaded.ask(wire.Check, source="def check(obj)\n", filename="c/case.py")
        assert (broken.passed, broken.where) == (False, "c/case.py:1")


def test_pinned_maps(machines: Machines, linux: Kernel, compiled: Compiled) -> None:
    """A map pinned by name is there for the next load in the same guest, and in no other guest."""
    data = compiled("pinned", "x86_64")
    with machines.start(linux) as guest:
        first = Loaded(guest, "pinned.bpf.o", data)
        assert first.load["maps"][0]["note"] == "pinned at /sys/fs/bpf/kept"
        assert [first.test_run("count") for _ in range(2)] == [1, 2]
        first.ask(wire.Unload)
        second = Loaded(guest, "pinned.bpf.o", data)
        assert second.load["maps"][0]["note"] == "reused from /sys/fs/bpf/kept"
        assert second.test_run("count") == 3
        guest.run(["rm", "/sys/fs/bpf/kept"])
    with machines.start(linux) as guest:
        assert Loaded(guest, "pinned.bpf.o", data).test_run("count") == 1


def test_modules(machines: Machines, linux: Kernel, compiled: Compiled) -> None:
    """Types and functions of a loaded module are found where vmlinux has none; another module's are not."""
    data = compiled("module", "x86_64")
    with machines.start(linux, MachineSpec(modules=("veth",))) as guest:
        loaded = Loaded(guest, "module.bpf.o", data)
        verdicts = {name: _verdict(p) for name, p in loaded.programs.items()}
        assert verdicts.pop("by_other_module") == ("failed", "attach-target-missing")
        assert set(verdicts.values()) == {("passed", "")}, loaded.load["message"]
        assert loaded.attached()["by_name"]["status"] == "passed"
        loaded.test_run("look")
        values = loaded.ask(wire.Globals).value
        assert values["exists"] is True
        candidates = {c for r in loaded.relocate["relocations"] for c in r["candidates"]}
        assert len(candidates) == 1, candidates
        assert candidates.pop().startswith("struct veth_priv (veth ")
    with machines.start(linux) as guest:
        loaded = Loaded(guest, "module.bpf.o", data)
        assert _verdict(loaded.programs["by_name"]) == ("failed", "attach-target-missing")
        assert _verdict(loaded.programs["look"]) == ("failed", "relocation-unresolved")

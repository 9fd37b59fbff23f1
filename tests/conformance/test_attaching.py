"""Programs attach where libbpf attaches them by their sections, and are refused with the same errno where it is."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conformance import libbpf

from everykernel import folders, kernels, wire
from everykernel.compile import compile_all, jobs
from everykernel.kernels.debian import Archive
from everykernel.machine import Machines
from everykernel.machine.guest import Guest
from everykernel.machine.spec import MachineSpec
from everykernel.object import sections

pytestmark = pytest.mark.conformance

_LOADER = "/tmp/libbpf-loader"
_MACHINE = MachineSpec(memory=512)
# What libbpf attaches to nothing by itself, and we to a default place: program types, or attach types.
_DEFAULTS = {"perf_event", "sk_lookup", "sock_ops", "flow_dissector", "xdp", "sched_cls", "lsm_cgroup"}
_ON_PURPOSE = {
    # libbpf attaches to a hook that the kernel never calls
    ("5.10", "lsm: by_hook"): "ours failed kernel-config-missing None, libbpf's attached",
    ("5.10", "inode_storage: on_open"): "ours failed kernel-config-missing None, libbpf's attached",
    # libbpf 1.7's attach_usdt reads "usdt/…" only
    ("6.12", "usdt: on_audit"): "ours passed  None, libbpf's EINVAL",
}


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The reference, built once."""
    compile_all(jobs())
    return libbpf.Loader(Archive(), tmp_path_factory.mktemp("loader")).program.read_bytes()


def answers(guest: Guest, loader: bytes) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Yield case, our record and libbpf's errno of every program that both load, each attached by itself."""
    guest.push(_LOADER, loader, mode=0o755)
    for path in sorted(folders.data("cases").glob("*/build/x86_64/*.o")):
        case, data = path.parts[-4], path.read_bytes()
        guest.push("/tmp/prog.bpf.o", data)
        ran = guest.run([_LOADER, "--attach", "/tmp/prog.bpf.o"], timeout=120)
        lines = [line.split("\t") for line in ran.stdout.decode().splitlines()]
        theirs = {fields[1]: int(fields[2]) for fields in lines if fields[0] == "attach"}
        loaded = guest.request(wire.Load(case, data), 120)
        assert isinstance(loaded, wire.Loaded)
        for name, number in theirs.items():
            reply = guest.request(wire.Attach(loaded.handle, name), 120)
            assert isinstance(reply, wire.Attached)
            yield case, reply.programs[0], number
            guest.request(wire.Detach(loaded.handle, name))
        guest.request(wire.Unload(loaded.handle))


def difference(record: dict[str, Any], number: int) -> str:
    """Return how two answers differ, "" if they do not or cannot be compared."""
    rule, _ = sections.match(record["section"])
    assert rule is not None
    ours, error = record["status"] == wire.PASSED, record["errno"]
    by_default = number == errno.EOPNOTSUPP and (
        rule.type.startswith("cgroup") or {rule.type, rule.attach_type} & _DEFAULTS
    )
    if rule.type == "struct_ops" or by_default:  # libbpf attaches the struct, which needs all its programs
        return ""
    if ours == (number == 0) and error in (None, errno.errorcode.get(number)):
        return ""
    said = errno.errorcode.get(number, str(number)) if number else "attached"
    return f"ours {record['status']} {record['code']} {error}, libbpf's {said}"


@pytest.mark.parametrize("spec", ["5.10", "6.12"])
def test_our_cases_attach_as_by_libbpf(loader: bytes, spec: str) -> None:
    """Of all programs of our cases, only those differ that are told apart on purpose."""
    (resolved,) = kernels.resolve(spec)
    with Machines() as machines, machines.start(resolved.fetch(), _MACHINE) as guest:
        found = list(answers(guest, loader))
    assert len(found) > 80
    differences = {f"{case}: {r['name']}": text for case, r, number in found if (text := difference(r, number))}
    assert differences == {name: text for (kernel, name), text in _ON_PURPOSE.items() if kernel == spec}

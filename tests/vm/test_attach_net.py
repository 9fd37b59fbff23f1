"""Attaching to the network without links: what it leaves behind, and what it says where the kernel lacks something."""

from __future__ import annotations

import pytest

from everykernel import folders, wire
from everykernel.compile import compile_all, jobs
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest, Machines
from everykernel.matrix import case as cases

pytestmark = pytest.mark.vm

XDP_BY_NETLINK = """
import socket
from everykernel.load.attach import net
from everykernel.load.attach.outcome import NotAttached

def check(obj):
    program = obj.programs["on_packet"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        obj.globals["wanted_port"] = receiver.getsockname()[1]
        link = net.xdp_by_netlink(obj.system, program.fd, "lo")
        try:
            net.xdp_by_netlink(obj.system, program.fd, "lo")
        except NotAttached as e:
            refusal = e.message
        for payload in (b"#one", b"two"):
            receiver.sendto(payload, receiver.getsockname())
        got = [receiver.recv(10)]
        link.close()
        receiver.sendto(b"#three", receiver.getsockname())
        return {"got": [*got, receiver.recv(10)], "refusal": refusal}
"""

DISSECTOR_WITHOUT_LINK = """
from everykernel.load.attach import outcome

def check(obj):
    program = obj.programs["dissect"]
    link = outcome.prog_attach(obj.system, program.fd, 0, "flow_dissector", "the namespace")
    meanwhile = program.attach()["status"]
    link.close()
    return [meanwhile, program.attach()["status"]]
"""

CGROUP_WITHOUT_LINK = """
import os
import socket

from everykernel.load.attach import cgroup, outcome

def check(obj):
    own = cgroup.OwnCgroup(obj.system)
    target = os.open(own.path, os.O_RDONLY)
    link = outcome.prog_attach(obj.system, obj.programs["both_ways"].fd, target, "cgroup_inet_egress", own.path, 2)
    os.close(target)
    counted = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        obj.globals["wanted_port"] = receiver.getsockname()[1]
        receiver.sendto(b"seen", receiver.getsockname())
        counted.append(obj.globals["packets_both"])
        link.close()
        receiver.sendto(b"not seen", receiver.getsockname())
        counted.append(obj.globals["packets_both"])
    own.close()
    return [*counted, os.path.exists(own.path)]
"""


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    compile_all(jobs(["cgroup_skb", "clsact", "flow_dissector", "xdp_link"]))


def load(guest: Guest, name: str) -> int:
    """Load a case's object; return its handle."""
    path = cases.read(folders.data("cases") / name / "case.toml").object_path(guest.kernel.arch)
    reply = guest.request(wire.Load(name=path.name, data=path.read_bytes()))
    assert isinstance(reply, wire.Loaded)
    return reply.handle


@pytest.mark.parametrize("spec", ["5.10", "6.12", "6.1/i386"])
def test_xdp_by_netlink(machines: Machines, columns: dict[str, Kernel], spec: str) -> None:
    """Without a link, an XDP program runs until what attached it is closed, and another is kept out meanwhile."""
    with machines.start(columns[spec]) as guest:
        checked = guest.request(wire.Check(load(guest, "xdp_link"), XDP_BY_NETLINK, "check.py"))
        assert isinstance(checked, wire.Checked)
        assert checked.passed, checked.message
        assert checked.evidence["got"] == [b"two", b"#three"]
        assert checked.evidence["refusal"] == "interface lo: EBUSY: XDP program already attached"


@pytest.mark.parametrize("spec", ["5.10", "6.12"])
@pytest.mark.parametrize(
    ("name", "source", "evidence"),
    [
        ("flow_dissector", DISSECTOR_WITHOUT_LINK, ["skipped", "passed"]),
        ("cgroup_skb", CGROUP_WITHOUT_LINK, [1, 1, False]),
    ],
)
def test_the_way_before_links(
    machines: Machines, columns: dict[str, Kernel], spec: str, name: str, source: str, evidence: list[object]
) -> None:
    """A program that is attached by BPF_PROG_ATTACH has its place, and runs, until what attached it is closed."""
    with machines.start(columns[spec]) as guest:
        checked = guest.request(wire.Check(load(guest, name), source, "check.py"))
        assert isinstance(checked, wire.Checked)
        assert checked.passed, checked.message
        assert checked.evidence == evidence


def test_filters_need_modules(machines: Machines, columns: dict[str, Kernel]) -> None:
    """Where no link can be had and the discipline's module is not loaded, the reason names it."""
    with machines.start(columns["6.1"]) as guest:
        reply = guest.request(wire.Attach(load(guest, "clsact"), "incoming"))
        assert isinstance(reply, wire.Attached)
        assert [(p["status"], p["code"], p["message"]) for p in reply.programs] == [
            (
                "failed",
                "module-missing",
                "interface lo: ENOENT: Specified qdisc kind is unknown (modules sch_ingress)",
            )
        ]


def test_filters_leave_nothing_behind(machines: Machines, columns: dict[str, Kernel]) -> None:
    """The queueing discipline goes with the object that needed it first, and stays where it was there before."""
    machine = cases.read(folders.data("cases") / "clsact" / "case.toml").machine

    def disciplines() -> str:
        return guest.run(["tc", "qdisc", "show", "dev", "lo"]).stdout.decode()

    with machines.start(columns["6.1"], machine) as guest:
        first, second = load(guest, "clsact"), load(guest, "clsact")
        guest.request(wire.Attach(first, "incoming"))
        guest.request(wire.Attach(second, "outgoing"))
        assert "clsact" in disciplines()
        guest.request(wire.Unload(second))
        assert "clsact" in disciplines()
        guest.request(wire.Unload(first))
        assert "clsact" not in disciplines()

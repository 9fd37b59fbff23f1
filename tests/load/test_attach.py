"""What a program attaches to, as far as it can be told without attaching anything."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from everykernel.load.attach import files, net, uprobe
from everykernel.load.attach.dispatch import attach
from everykernel.load.attach.outcome import Link, NotAttached
from everykernel.load.attach.places import Places
from everykernel.load.kernel.types import KernelTypes
from everykernel.load.rules.named import DEFAULT
from everykernel.load.system.local import Local
from everykernel.object import sections

SYSTEM = Local()


def spec(section: str) -> Any:
    rule, target = sections.match(section)

    class Spec:
        pass

    found = Spec()
    found.__dict__.update(rule=rule, target=target, section=section)
    return cast("Any", found)


def refusal(section: str, target: str = "") -> tuple[str, str, str]:
    with pytest.raises(NotAttached) as raised:
        attach(spec(section), -1, target, Places({}, {}, KernelTypes(None, SYSTEM), DEFAULT))
    return raised.value.status, raised.value.code, raised.value.message


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("kprobe", "its section names no target: give one"),
        ("uprobe", "its section names no target: give one"),
        ("usdt", "its section names no target: give one as file:provider:name"),
        ("iter/bpf_map_elem", "it prints a map: give one of the object's as map:NAME"),
        ("struct_ops/init", "no operations struct of the object points to it"),
        ("socket", "it attaches to a socket of the caller's: give one as fd:NUMBER"),
        ("sk_msg", "it attaches to a map: give one of the object's as map:NAME"),
        ("netfilter", "it attaches to a hook: give one as family/hook[:priority]"),
        ("tc", "it attaches to one way of an interface: give it as INTERFACE/ingress or INTERFACE/egress"),
        ("netkit/peer", "it attaches to a netkit interface: give one"),
        ("lwt_out", "it attaches to a route: give a new one as PREFIX dev INTERFACE"),
        ("cgroup/skb", "it attaches to one way into or out of a cgroup: give it as [PATH:]ingress or [PATH:]egress"),
        ("xdp/devmap", "it attaches to no one thing: run it by test_run, or put it into a map"),
    ],
)
def test_what_a_caller_must_name_is_passed_over(section: str, message: str) -> None:
    """A program that attaches only to what a caller names is skipped, and the message tells what to name."""
    assert refusal(section) == ("skipped", "", message)


@pytest.mark.parametrize(
    ("section", "target", "message"),
    [
        ("kprobe/f+x", "", "kprobe f+x: 'x' is no number for it"),
        (
            "kprobe",
            "f+18446744073709551616",
            "kprobe f+18446744073709551616: '18446744073709551616' is no number for it",
        ),
        ("uprobe", "/bin/true:0y", "uprobe /bin/true:0y: '0y' is no number for it"),
        ("netfilter", "ipv4/local_in:first", "netfilter ipv4/local_in:first: 'first' is no number for it"),
        ("socket", "fd:4294967296", "fd:4294967296: '4294967296' is no number for it"),
        ("perf_event", "cpu-clock:0", "perf event cpu-clock:0: '0' is no number for it"),
        ("xdp", "nothere0", "interface nothere0: there is none"),
        ("tc/egress", "nothere0", "interface nothere0: there is none"),
        ("action", "nothere0/ingress", "interface nothere0: there is none"),
        ("netkit/primary", "nothere0", "interface nothere0: there is none"),
        ("lwt_in", "10.0.0.0/8 dev nothere0", "interface nothere0: there is none"),
        ("lwt_xmit", "10.0.0.0/x dev lo", "route to 10.0.0.0/x: is no prefix"),
        ("lwt_xmit", "nowhere/8 dev lo", "route to nowhere/8: is no prefix"),
        ("cgroup/skb", "/nothere:egress", "cgroup /nothere: there is none"),
        ("cgroup/dev", "/nothere", "cgroup /nothere: there is none"),
        ("sk_lookup", "/nothere", "network namespace /nothere: there is none"),
        ("uprobe", "nothere.so.9:f", "nothere.so.9: there is no such program or library"),
        ("uprobe", "/nothere:f", "/nothere: ENOENT"),
        ("uprobe", "function", "uprobe function: names no file: give file:function"),
        ("netfilter", "ipv4/nowhere", "netfilter ipv4/nowhere: is no family/hook[:priority]"),
        (
            "freplace/f",
            "",
            "it replaces a function of another program, and none is given: name both as program:function",
        ),
        ("freplace/f", "other:f", "program 'other', whose function it replaces, is not loaded"),
    ],
)
def test_a_target_that_is_not_there(section: str, target: str, message: str) -> None:
    """A target that does not exist is `attach-target-missing`, by name."""
    assert refusal(section, target) == ("failed", "attach-target-missing", message)


def test_usdt_needs_the_header_s_maps() -> None:
    """An object without the maps of <bpf/usdt.bpf.h> is told to include it."""
    assert refusal("usdt/f:p:n") == (
        "failed",
        "object-unsupported",
        "it has no map __bpf_usdt_specs: include <bpf/usdt.bpf.h>",
    )


def test_an_unknown_event() -> None:
    """A perf event that is none of the software events is refused with their names."""
    status, code, message = refusal("perf_event", "coffee-breaks")
    assert (status, code) == ("failed", "attach-target-missing")
    assert message.startswith("perf event coffee-breaks: is none of cpu-clock, task-clock, page-faults")


def test_every_rule_has_a_way_or_a_reason() -> None:
    """No section attaches to nothing in silence: what has no way yet is skipped as attach-type-unsupported."""
    from everykernel.load.attach import dispatch as module

    ways, others = module._WAYS, module._OTHERS
    without = {
        rule.stem
        for rule in sections.RULES
        if rule.how not in ways and not {rule.stem, rule.attach_type or rule.type} & others.keys()
    }
    assert without == {
        "syscall", "xdp.frags/devmap", "xdp/devmap", "xdp.frags/cpumap", "xdp/cpumap", "lirc_mode2",
    }  # fmt: skip


def test_where_a_function_begins() -> None:
    """A symbol's offset in a file is where nm and the program headers say that it is; targets may add to it."""
    libc = next(line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libc.so" in line)
    listing = subprocess.run(["nm", "-D", libc], capture_output=True, text=True, check=True).stdout
    wanted = next(int(line.split()[0], 16) for line in listing.splitlines() if line.split()[-1].startswith("labs@@"))
    # the C library's segment of code lies in the file where it lies in memory
    assert uprobe.place(SYSTEM, f"{libc}:labs") == (libc, wanted)
    assert uprobe.place(SYSTEM, f"{libc}:labs+0x4") == (libc, wanted + 4)
    assert uprobe.place(SYSTEM, f"{libc}:0x1234") == (libc, 0x1234)
    assert uprobe.place(SYSTEM, f"{Path(libc).name}:labs")[1] == wanted
    with pytest.raises(NotAttached, match="has no function no_such_function"):
        uprobe.place(SYSTEM, f"{libc}:no_such_function")


def test_the_functions_that_a_pattern_names() -> None:
    """A pattern names functions by ``*`` and ``?`` alone, for multi links; one that names none is missing."""
    libc = next(line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libc.so" in line)
    found = files.symbol_offsets(SYSTEM, libc, "get?gid")
    assert sorted(found) == sorted(files.symbol_offsets(SYSTEM, libc, name)[0] for name in ("getpgid", "getegid"))
    for pattern in ("no_such*", "get[pe]gid*"):
        with pytest.raises(NotAttached, match="has no function"):
            files.symbol_offsets(SYSTEM, libc, pattern)
    with pytest.raises(NotAttached, match="only multi links take patterns"):
        uprobe.place(SYSTEM, f"{libc}:get?gid")


def test_what_is_no_elf_file(tmp_path: Path) -> None:
    """A damaged file is told apart from one without the function."""
    path = tmp_path / "text"
    path.write_bytes(b"no ELF file")
    with pytest.raises(NotAttached, match="is no sound ELF file"):
        uprobe.place(SYSTEM, f"{path}:f")


def test_sockets_are_given_by_descriptor() -> None:
    """fd:NUMBER names a descriptor, and one that is no socket is refused."""
    assert net.descriptor("fd:7") == 7
    for wrong in ("7", "fd:", "fd:x", ""):
        with pytest.raises(NotAttached) as raised:
            net.descriptor(wrong)
        assert raised.value.status == "skipped"
    with open(sys.executable, "rb") as file:  # noqa: PTH123
        before = os.listdir("/proc/self/fd")  # noqa: PTH208
        with pytest.raises(NotAttached, match="it is no socket"):
            net.by_option(SYSTEM, -1, f"fd:{file.fileno()}", "socket_filter")
        assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


def test_a_link_closes_once() -> None:
    """Closing a link closes what belongs to it, then undoes the rest, and never twice."""
    one, other = socket.socketpair()
    first, second = one.detach(), other.detach()
    undone: list[int] = []

    def undo() -> None:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(first)
        undone.append(1)

    link = Link(SYSTEM, first, undo, (second,))
    link.close()
    link.close()
    assert undone == [1]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(second)

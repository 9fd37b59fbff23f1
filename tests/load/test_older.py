"""Kernels older than those that can be had, by a door that answers as theirs: what is asked of them and told."""

from __future__ import annotations

import errno
import os
import struct
from typing import Any

import pytest
from tests.elfwriter import insn
from tests.old.double import Old
from tests.old.table import RELEASES

from everykernel.btf import sanitise
from everykernel.load.attach import cgroup, uprobe, usage
from everykernel.load.attach.outcome import NotAttached
from everykernel.load.kernel import questions
from everykernel.load.kernel.inventory import Inventory
from everykernel.load.kernel.kconfig import kernel_version
from everykernel.load.kernel.probes import Probes
from everykernel.load.maps import create
from everykernel.load.maps.map import Map
from everykernel.load.programs import older, reasons, verifier
from everykernel.load.rules.named import DEFAULT
from everykernel.load.system import abi
from everykernel.load.system.block import Fields
from everykernel.object import MapSpec, sections
from everykernel.object.maps import MAP_TYPE
from everykernel.object.sections import PROGRAM_TYPE

FD = 7
FILES = {"/sys/devices/system/cpu/possible": b"0-1\n", "/proc/sys/kernel/perf_event_max_stack": b"127\n"}


class Fake(Old):
    """An old kernel above one that takes everything but calls of no helper; nothing reaches a kernel of ours."""

    def __init__(self, name: str, files: dict[str, bytes] | None = None) -> None:
        super().__init__(RELEASES[name])
        self.files = {**FILES, **(files or {})}
        self.written: list[tuple[str, str]] = []
        self.asked: list[tuple[int, Fields]] = []

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, "", path)
        return self.files[path]

    def exists(self, path: str) -> bool:
        return path in self.files

    def write(self, path: str, text: str, *, append: bool = False) -> None:
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, "", path)
        self.written.append((path, text))

    def close(self, fd: int) -> None:
        pass

    def duplicate(self, fd: int) -> int:
        return fd

    def open(self, path: str, *, folder: bool = False) -> int:
        return FD

    def _shorter(self, attributes: Fields) -> Fields:
        return attributes

    def _real(self, command: int, attributes: Fields) -> tuple[int, tuple[Any, ...], int]:
        self.asked.append((command, attributes))
        calls = [attributes[3][at + 7] for at in range(0, len(attributes[3]), 8)] if command == abi.PROG_LOAD else []
        if any(calls):  # the fourth byte of an immediate
            return errno.EINVAL, attributes[1:], -1
        return 0, attributes[1:], FD


# What each release is found to have.
KNOWN: dict[str, dict[str, bool]] = {
    "4.14": dict.fromkeys(("names", "expected_attach_type", "global_data", "read_kernel", "btf_at_all"), False),
    "4.18": {
        "names": True,
        "expected_attach_type": True,
        "btf_at_all": True,
        "global_data": False,
        "read_kernel": False,
    },
    "5.4": {"names": True, "expected_attach_type": True, "btf_at_all": True, "global_data": True, "read_kernel": False},
}
KINDS: dict[str, set[str]] = {"4.14": set(), "4.18": set(), "5.4": {"func", "datasec"}}


@pytest.mark.parametrize("release", RELEASES)
def test_what_libbpf_asks_for(release: str) -> None:
    """Names, expected attach types, global variables, reads of the kernel's memory and BTF are found out by asking."""
    probes = Probes(Fake(release))
    assert {name: getattr(probes, name)() for name in KNOWN[release]} == KNOWN[release]
    features = ("func", "datasec", "func_global", "float", "decl_tag", "enum64")
    assert {feature for feature in features if probes.btf(feature)} == KINDS[release]
    assert sanitise.LEAST


@pytest.mark.parametrize(
    ("release", "types", "programs"),
    [
        ("4.14", ("devmap", "sockmap"), ("sk_skb", "kprobe", "sock_ops")),
        ("4.18", ("cpumap", "sockhash"), ("cgroup_sock_addr", "kprobe", "lirc_mode2")),
        ("5.4", ("sk_storage", "devmap_hash"), ("cgroup_sockopt", "raw_tracepoint_writable", "kprobe")),
    ],
)
def test_types(release: str, types: tuple[str, ...], programs: tuple[str, ...]) -> None:
    """A field behind the end of the kernel's attribute (E2BIG) is unknown as one is that it refuses (EINVAL)."""
    probes = Probes(Fake(release))
    assert [name for name in types if not probes.map_type(MAP_TYPE[name])] == []
    assert [name for name in programs if not probes.program_type(PROGRAM_TYPE[name])] == []
    newer = ("ringbuf", "inode_storage", "task_storage", "bloom_filter", "struct_ops")
    assert [name for name in newer if probes.map_type(MAP_TYPE[name])] == []
    assert [name for name in ("tracing", "lsm", "ext", "sk_lookup") if probes.program_type(PROGRAM_TYPE[name])] == []
    assert probes.map_type(MAP_TYPE["sk_storage"]) is (release == "5.4")


@pytest.mark.parametrize("release", RELEASES)
def test_a_map_is_asked_for_as_the_kernel_knows_it(release: str) -> None:
    """It has a name where maps have names; a flag that the kernel does not know is told by its name."""
    there = Fake(release)
    made = Map("counts", MapSpec("counts", MAP_TYPE["array"], 4, 8, 1), None, there)
    create.create(made, Probes(there), 0, DEFAULT)
    assert (made.fd, made.record["status"]) == (FD, "passed")
    assert there.asked[-1][1][8] == (b"" if release == "4.14" else b"counts")
    flagged = Map("counts", MapSpec("counts", MAP_TYPE["array"], 4, 8, 1, abi.F_MMAPABLE), None, there)
    create.create(flagged, Probes(there), 0, DEFAULT)
    told = "map 'counts': EINVAL: this kernel takes the map only without flag BPF_F_MMAPABLE (upstream since v5.5)"
    assert (flagged.record["code"], flagged.record["message"]) == ("map-create-failed", told)
    filtering = Map("seen", MapSpec("seen", MAP_TYPE["bloom_filter"], 0, 8, 9, extra=3), None, there)
    create.create(filtering, Probes(there), 0, DEFAULT)
    assert filtering.record["code"] == "map-type-unsupported"
    assert filtering.record["message"].endswith("does not know map type bloom_filter (upstream since v5.16)")


@pytest.mark.parametrize(
    ("release", "section", "code"),
    [
        ("4.14", "fentry/f", "program-type-unsupported"),
        ("4.14", "cgroup/connect4", "program-type-unsupported"),
        ("4.14", "tcx/ingress", "attach-type-unsupported"),
        ("4.18", "fentry/f", "program-type-unsupported"),
        ("4.18", "cgroup/getpeername4", "attach-type-unsupported"),
        ("5.4", "lsm/f", "program-type-unsupported"),
        ("5.4", "xdp", "limit-exceeded"),
    ],
)
def test_e2big_is_no_limit_where_something_is_unknown(release: str, section: str, code: str) -> None:
    """The same errno is a limit's only where the kernel knows program and attach type."""
    rule, _ = sections.match(section)
    assert rule is not None
    found = reasons.of_program(OSError(errno.E2BIG, ""), verifier.parse(""), "", rule, Probes(Fake(release)))
    assert found.code == code
    if code != "limit-exceeded":
        assert "(upstream since v" in found.message


def test_the_version_that_probes_have_to_name() -> None:
    """Ubuntu's kernels say elsewhere than in their release which upstream version they are of; Debian's too."""
    signature = {"/proc/version_signature": b"Ubuntu 4.15.0-213.224-generic 4.15.18\n"}
    assert kernel_version(Fake("4.18", signature)) == 0x040F12
    assert kernel_version(Fake("4.18")) == 0x041200
    assert kernel_version(Fake("4.18", {"/proc/version_signature": b"odd\n"})) == 0x041200


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_calls_that_become_others(byteorder: str) -> None:
    """Reads of the kernel's memory and a process's become those of either; nothing else changes."""
    order = "<" if byteorder == "little" else ">"

    def code(*numbers: int) -> bytearray:
        calls = b"".join(struct.pack(f"{order}BBhi", 0x85, 0, 0, n) for n in numbers)
        others = ((0xB7, 0, 113), (0x85, 0x10, 112))  # a number, and a call of the program's own
        return bytearray(calls + b"".join(struct.pack(f"{order}BBhi", op, regs, 0, n) for op, regs, n in others))

    changed = code(112, 113, 114, 115, 4, 45, 6)
    assert older.reads(changed)
    older.replace_reads(changed, byteorder)
    assert changed == code(4, 4, 45, 45, 4, 45, 6)
    assert not older.reads(insn(0x85, imm=6) + insn(0xB7, 0, imm=113))


def test_a_cgroup_that_takes_one_program() -> None:
    """Where the kernel has neither links nor the flag for several, the program is attached as the one."""
    there = Fake("4.14")
    cgroup.attach(there, FD, "/sys/fs/cgroup", "cgroup_inet_egress").close()
    attached = [fields[4] for command, fields in there.asked if command == abi.PROG_ATTACH]
    assert attached == [0]
    with pytest.raises(NotAttached, match=r"does not know attach type cgroup_device \(upstream since v4.15\)"):
        cgroup.attach(there, FD, "/sys/fs/cgroup", "cgroup_device")
    several = Fake("4.18")
    cgroup.attach(several, FD, "/sys/fs/cgroup", "cgroup_device").close()
    assert [fields[4] for command, fields in several.asked if command == abi.PROG_ATTACH] == [2]


def test_a_probe_by_tracefs() -> None:
    """Whether there is a function to probe is asked by tracefs where perf has no PMU; the probe is taken away."""
    events = "/sys/kernel/tracing/kprobe_events"
    there = Fake("4.14", {"/sys/kernel/tracing/events": b"", events: b""})
    assert questions.kprobe_exists(there, "vfs_read")
    (made, first), (gone, second) = there.written
    assert (made, gone) == (events, events)
    name = first.split()[0].removeprefix("p:")
    assert (first, second) == (f"p:{name} vfs_read\n", f"-:{name}\n")
    assert name.startswith(f"everykernel_{os.getpid()}_")
    assert not questions.kprobe_exists(Fake("4.14"), "vfs_read")


def test_a_counter_that_the_kernel_does_not_know() -> None:
    """A uprobe's counter is not handed to a kernel that would ignore it: the probe would never be switched on."""
    with pytest.raises(NotAttached, match="this kernel cannot switch the probe on"):
        uprobe.at(Fake("4.18"), FD, "/bin/true", 16, "usdt x", semaphore=64)


@pytest.mark.parametrize(
    ("release", "switch", "counted"), [("4.18", False, False), ("5.4", True, True), ("5.4", False, False)]
)
def test_runs_are_told_where_the_kernel_counts(release: str, switch: bool, counted: bool) -> None:
    """Before there was a descriptor for it a sysctl switches counting on; without either, nobody knows."""
    there = Fake(release, {"/proc/sys/kernel/bpf_stats_enabled": b"0\n"} if switch else None)
    assert usage.count(there) == -1
    assert there.written == ([("/proc/sys/kernel/bpf_stats_enabled", "1")] if switch else [])
    assert (usage.runs(there, FD) is not None) is counted


def test_programs_without_a_name_appear() -> None:
    """An inventory has what an old kernel tells: a number and a type."""

    class Two(Fake):
        def _real(self, command: int, attributes: Fields) -> tuple[int, tuple[Any, ...], int]:
            if command == abi.PROG_GET_NEXT_ID and attributes[1] < 2 and self.made:
                return 0, (attributes[1], attributes[1] + 1, 0), 0
            if command == abi.OBJ_GET_INFO_BY_FD:
                attributes[3][0:4] = struct.pack("=I", PROGRAM_TYPE["kprobe"])
                return 0, (attributes[1], 40, attributes[3]), 0
            if command in (abi.PROG_GET_NEXT_ID, abi.MAP_GET_NEXT_ID):
                return errno.ENOENT, attributes[1:], -1
            return super()._real(command, attributes)

        made = False

    there = Two("4.14")
    inventory = Inventory(there)
    there.made = True
    inventory.look()
    told = [(one["name"], one["type"], one["runs"], one["verified_insns"]) for one in inventory.programs.values()]
    assert told == [("", "kprobe", None, None)] * 2

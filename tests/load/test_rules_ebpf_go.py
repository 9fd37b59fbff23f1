"""cilium/ebpf's rules where no kernel is asked: sections, sizes of maps, what is refused at opening, in which words."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from everykernel.core.patch import poison_kept_wide
from everykernel.errors import ObjectUnsupported
from everykernel.load.rules import ebpf_go, libbpf
from everykernel.load.rules.rules import Machine, MapRefused
from everykernel.object import read
from everykernel.object.maps import MAP_TYPE
from everykernel.object.spec import MapSpec

PROBES = Path(__file__).parents[1] / "conformance" / "rules" / "ebpf_go"
MACHINE = Machine(cpus=3, page_size=4096)


@pytest.mark.parametrize(
    ("section", "type_", "target"),
    [
        ("socket1", "socket_filter", ""),
        ("classifier/ingress", "sched_cls", ""),
        ("cgroup_skb/ingress/x", "cgroup_skb", ""),
        ("xdp_foo", "xdp", ""),
        ("kprobe/do_exit", "kprobe", "do_exit"),
        ("kprobe_x", "", ""),
        ("fentry", "tracing", ""),
        ("fentry.multi/x", "", ""),
        ("raw_tp.s/sys_exit", "", ""),
        ("struct_ops/init", "struct_ops", ""),
    ],
)
def test_sections_match_by_their_beginning(section: str, type_: str, target: str) -> None:
    """A pattern without a target takes every name that begins with it, one with a target the first element whole."""
    rule, found = ebpf_go.match(section)
    assert (rule.type if rule else "", found) == (type_, target)


@pytest.mark.parametrize(
    ("declared", "asked"),
    [
        (MapSpec("m", MAP_TYPE["perf_event_array"]), (4, 4, 3)),
        (MapSpec("m", MAP_TYPE["perf_event_array"], 4, 16, 99, value_type=7), (4, 4, 3)),
        (MapSpec("m", MAP_TYPE["perf_event_array"], 4, 4, 2), (4, 4, 2)),
        (MapSpec("m", MAP_TYPE["cpumap"], 4, 4, 4096), (4, 4, 3)),
        (MapSpec("m", MAP_TYPE["ringbuf"], 0, 16, 4096, value_type=7), (0, 0, 4096)),
        (MapSpec("m", MAP_TYPE["ringbuf"], 0, 0, 5000), (0, 0, 5000)),
        (MapSpec("m", MAP_TYPE["ringbuf"]), (0, 0, 4096)),
        (MapSpec("m", MAP_TYPE["hash"], 4, 8), (4, 8, 1)),
    ],
)
def test_sizes_of_maps(declared: MapSpec, asked: tuple[int, int, int]) -> None:
    """Perf event arrays are set right, ring buffers lose a value's type and are not rounded."""
    found = ebpf_go.ask(declared, MACHINE).spec
    assert (found.key_size, found.value_size, found.max_entries) == asked


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (MapSpec("m", MAP_TYPE["perf_event_array"], 8, 4), "KeySize must be zero or four for perf event array"),
        (MapSpec("m", MAP_TYPE["perf_event_array"], 4, 8), "ValueSize must be zero or four for perf event array"),
        (MapSpec("m", MAP_TYPE["hash_of_maps"], 4, 4, 1), "it holds maps, and nothing says which"),
        (replace(MapSpec("m", MAP_TYPE["hash"], 4, 4, 1), tail=b"\0\1"), "bytes that are not zero after the five"),
    ],
)
def test_maps_that_are_not_asked_for(declared: MapSpec, words: str) -> None:
    """What the library refuses by itself never gets to the kernel."""
    with pytest.raises(MapRefused, match=words):
        ebpf_go.ask(declared, MACHINE)


def test_poison_keeps_its_width() -> None:
    """A 64-bit load becomes one into r10, anything else the call of no helper, also what cannot be relocated."""
    assert poison_kept_wide(b"\x18" + bytes(15), "little").hex() == "180a00001023ad0b" + "00" * 8
    assert poison_kept_wide(bytes.fromhex("bf01000000000000"), "little").hex() == "850000001023ad0b"


def test_a_probe_is_tried_with_the_platforms_prefix() -> None:
    """The name as it is, then as the function of a system call; libbpf tries the name alone."""
    assert ebpf_go.RULES.functions("sys_execve", "__x64_") == ("sys_execve", "__x64_sys_execve")
    assert libbpf.RULES.functions("sys_execve", "__x64_") == ("sys_execve",)


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ("ksym_typed", r"extern 'bpf_prog_active': has to be plain void, and is a const"),
        ("setting_weak", r"extern 'CONFIG_HZ': is weak, and a setting"),
        ("map_weak", r"map 'counts': is weak, and used"),
        ("map_static", r"map '.maps': is static, and used"),
        ("data_named", r"refers to section '.bss.mine', whose content no program gets"),
    ],
)
def test_what_is_refused_at_opening(probe: str, words: str, tmp_path: Path) -> None:
    """The object does not open, whichever program uses it; libbpf opens it (but for the static map)."""
    data = _compiled(probe, tmp_path)
    with pytest.raises(ObjectUnsupported, match=words):
        read(data, probe, ebpf_go.RULES.reading)
    if probe != "map_static":
        assert read(data, probe).programs


def test_static_functions_are_programs(tmp_path: Path) -> None:
    """What libbpf refuses the object for is a program beside the others."""
    data = _compiled("static_program", tmp_path)
    found = read(data, "x", ebpf_go.RULES.reading)
    assert {program.name for program in found.programs} == {"hidden", "seen"}
    with pytest.raises(ObjectUnsupported, match="is static"):
        read(data, "x")


def _compiled(probe: str, folder: Path) -> bytes:
    out = folder / f"{probe}.bpf.o"
    flags = ["-target", "bpf", "-g", "-O2", "-I/usr/include/x86_64-linux-gnu"]
    subprocess.run(["clang-19", *flags, "-c", str(PROBES / f"{probe}.bpf.c"), "-o", str(out)], check=True)
    return out.read_bytes()

"""aya's rules where no kernel is asked: sections, sizes of maps, and what is refused at opening, in which words."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from everykernel.errors import ObjectMalformed, ObjectUnsupported
from everykernel.load.rules import aya
from everykernel.load.rules.rules import Machine
from everykernel.object import read
from everykernel.object.maps import MAP_TYPE
from everykernel.object.spec import MapSpec

PROBES = Path(__file__).parents[1] / "conformance" / "rules" / "aya"
MACHINE = Machine(cpus=3, page_size=4096)


@pytest.mark.parametrize(
    ("section", "type_", "target"),
    [
        ("xdp", "xdp", ""),
        ("xdp/cpumap/more", "xdp", ""),
        ("xdp/more", "", ""),
        ("xdp/", "", ""),
        ("tc", "", ""),
        ("classifier/more", "sched_cls", ""),
        ("socket1", "", ""),
        ("kprobe/do_exit", "kprobe", "do_exit"),
        ("kprobe.multi/do_exit", "", ""),
        ("uprobe.multi.s/x", "kprobe", "x"),
        ("tracepoint/sched/sched_switch", "tracepoint", "sched/sched_switch"),
        ("raw_tp.w/x", "", ""),
        ("fentry.s/x", "tracing", "x"),
        ("fmod_ret/x", "", ""),
        ("lsm_cgroup/x", "lsm", "x"),
        ("cgroup/skb/more", "cgroup_skb", ""),
        ("cgroup/connect_unix", "", ""),
        ("cgroup", "", ""),
        ("cgroup_skb", "", ""),
        ("sk_skb", "", ""),
        ("sk_skb/stream_parser", "sk_skb", ""),
        ("sk_reuseport/migrate", "sk_reuseport", ""),
        ("sk_reuseport/more", "", ""),
        ("struct_ops/x", "", ""),
        ("syscall", "", ""),
    ],
)
def test_a_section_is_told_by_its_elements(section: str, type_: str, target: str) -> None:
    """The first element decides, where need be with the second, and only some have a target."""
    rule, found = aya.match(section)
    assert (rule.type if rule else "", found) == (type_, target)


@pytest.mark.parametrize(
    ("type_", "declared", "asked"),
    [
        ("hash", (4, 8, 0), (4, 8, 1)),
        ("hash", (4, 8, 5), (4, 8, 5)),
        ("perf_event_array", (4, 8, 0), (4, 8, 3)),
        ("perf_event_array", (4, 4, 7), (4, 4, 7)),
        ("ringbuf", (0, 8, 5000), (0, 0, 8192)),
        ("ringbuf", (0, 0, 256), (0, 0, 4096)),
        ("ringbuf", (4, 0, 4096), (4, 0, 4096)),
        ("devmap", (4, 1, 2), (4, 8, 2)),
        ("cpumap", (4, 4, 0), (4, 8, 0)),
        ("stack_trace", (4, 0, 2), (4, 0, 2)),
    ],
)
def test_sizes_of_maps(type_: str, declared: tuple[int, int, int], asked: tuple[int, int, int]) -> None:
    """Entries and value sizes that aya sets itself, and those that it leaves alone."""
    key, value, entries = declared
    spec = MapSpec("m", MAP_TYPE[type_], key, value, entries)
    found = aya.ask(spec, MACHINE)
    assert found.spec == replace(spec, key_size=asked[0], value_size=asked[1], max_entries=asked[2])
    assert bool(found.note) == (declared != asked)


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ("section_unknown", "section 'tc': aya knows no such section"),
        ("section_optional", "section '?xdp': aya knows no such section"),
        ("setting", "has settings of the kernel, and aya finds none"),
        ("map_extra", "map 'seen': its map_extra is no number that aya reads (__uint): enum"),
        ("map_of_programs", "map 'calls': its values are no maps, and aya fills no others"),
        ("text_gap", ".text: no function is at 0x0, where aya wants one: behind another, without a gap"),
        ("license_empty", "its license is no string: b'\\x00'"),
        ("core_matches", "aya knows no type_matches"),
    ],
)
def test_what_is_refused_at_opening(probe: str, words: str, tmp_path: Path) -> None:
    """One line says what aya does not take, and where."""
    out = tmp_path / "probe.o"
    flags = ["-target", "bpf", "-mcpu=v3", "-g", "-O2", "-I/usr/include/x86_64-linux-gnu"]
    subprocess.run(["clang-19", *flags, "-c", str(PROBES / f"{probe}.bpf.c"), "-o", str(out)], check=True)
    with pytest.raises((ObjectMalformed, ObjectUnsupported)) as caught:
        read(out.read_bytes(), "probe.o", aya.RULES.reading)
    assert words in str(caught.value)

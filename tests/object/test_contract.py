"""The loader contract is read strictly, the same on the host and on a target."""

from __future__ import annotations

from typing import Any

import pytest

from everykernel.errors import UsageError
from everykernel.object import contract
from everykernel.object.contract import Variant
from everykernel.object.map_terms import MapTerms

FULL: dict[str, Any] = {
    "programs": ["a", "b"],
    "skip": ["c"],
    "may_fail": ["b"],
    "targets": {"a": "vfs_read"},
    "types": {"a": "sched_cls"},
    "attach_types": {"b": "xdp_devmap"},
    "attach": {"a": "kprobe:tcp_connect", "b": ["uprobe:/bin/x:main", "cgroup/connect4:"]},
    "maps": {
        "m": {"max_entries": "64 pages"},
        "n": {"key_size": 4, "value_size": 8, "max_entries": 0, "type": "array"},
        "o": {"create": False},
        "p": {"inner": {"type": "hash", "key_size": 4, "max_entries": "cpus"}, "flags": 1, "extra": 1 << 40},
        "q": {"pin": "/sys/fs/bpf/q"},
        "r": {"pin": False},
        "s": {"reuse": "/sys/fs/bpf/s"},
    },
    "globals": {"pid": 7, "names": ["x"]},
    "kconfig": {"CONFIG_A": True, "CONFIG_B": 100, "CONFIG_C": "text", "CONFIG_D": "m"},
    "variants": {
        "start": [
            {"programs": ["d"], "needs": {"helper": "loop", "tracepoint": "block/x"}},
            {"programs": ["e"], "targets": {"e": "f"}},
            {"programs": []},
        ]
    },
}


def test_everything_is_read() -> None:
    """Each key arrives where it belongs."""
    found = contract.parse(FULL, "x")
    assert (found.programs, found.skip, found.may_fail) == (("a", "b"), ("c",), ("b",))
    assert (found.targets, found.globals) == ({"a": "vfs_read"}, {"pid": 7, "names": ["x"]})
    assert found.maps == {
        "m": MapTerms("64 pages"),
        "n": MapTerms(0, 4, 8, "array"),
        "o": MapTerms(create=False),
        "p": MapTerms(inner=MapTerms("cpus", 4, type="hash"), flags=1, extra=1 << 40),
        "q": MapTerms(pin="/sys/fs/bpf/q"),
        "r": MapTerms(pin=""),
        "s": MapTerms(reuse="/sys/fs/bpf/s"),
    }
    assert (found.types, found.attach_types) == ({"a": "sched_cls"}, {"b": "xdp_devmap"})
    assert found.attach == {
        "a": (("kprobe", "tcp_connect"),),
        "b": (("uprobe", "/bin/x:main"), ("cgroup/connect4", "")),
    }
    assert found.kconfig == {"CONFIG_A": "y", "CONFIG_B": "100", "CONFIG_C": '"text"', "CONFIG_D": "m"}
    first, second, third = found.variants["start"]
    assert first == Variant(("d",), {}, {"helper": "loop", "tracepoint": "block/x"})
    assert [v.title for v in (first, second, third)] == ["d", "e at f", "none"]
    assert found.grouped == {"d": "start", "e": "start"}


def test_nothing_is_decided_without_a_contract() -> None:
    """An empty table leaves everything as the object has it."""
    assert contract.parse({}, "x") == contract.Contract()


@pytest.mark.parametrize(
    ("told", "entries"), [(None, None), (5, 5), ("cpus", 2), ("pid_max", 32768), ("3 pages", 12288)]
)
def test_sizes(told: Any, entries: int | None) -> None:
    """A size may depend on the machine that loads."""
    assert MapTerms(told).entries(2, 4096, 32768) == entries


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"program": []}, "x: unknown key 'program' [did you mean 'programs'?]"),
        ({"programs": "a"}, "x: programs = 'a' is not a list of names"),
        ({"skip": [1]}, "x: skip = [1] is not a list of names"),
        ({"targets": {"a": 1}}, "x: targets: a = 1 is not text"),
        ({"globals": 3}, "x: globals = 3 is not a table"),
        ({"maps": {"m": {"entries": 1}}}, "x: maps.m: unknown key 'entries' [did you mean 'max_entries'?]"),
        ({"maps": {"m": 4}}, 'x: maps.m: 4 is not a table [write {max_entries = "cpus"}]'),
        ({"maps": {"m": {"create": 0}}}, "x: maps.m: create = 0 is neither true nor false"),
        ({"maps": {"m": {"create": False, "key_size": 4}}}, "x: maps.m: says more of a map that it leaves out"),
        (
            {"maps": {"m": {"type": "hsh"}}},
            "x: maps.m: type: unknown map type 'hsh' [did you mean 'hash'?]",
        ),
        ({"maps": {"m": {"key_size": -1}}}, "x: maps.m: key_size = -1 is not a number of 32 bits"),
        (
            {"maps": {"m": {"max_entries": "cpu"}}},
            'x: maps.m: max_entries = \'cpu\' is no size [a number, "cpus", "pid_max" or "64 pages"]',
        ),
        (
            {"maps": {"m": {"max_entries": " pages"}}},
            'x: maps.m: max_entries = \' pages\' is no size [a number, "cpus", "pid_max" or "64 pages"]',
        ),
        ({"maps": {"m": {"reuse": "/x", "type": "hash"}}}, "x: maps.m: says more of a map that it reuses"),
        ({"maps": {"m": {"reuse": "x"}}}, "x: maps.m: reuse = 'x' is no path [\"/sys/fs/bpf/NAME\" of a pinned map]"),
        ({"maps": {"m": {"pin": True}}}, 'x: maps.m: pin = True is no path ["/sys/fs/bpf/NAME", or false]'),
        ({"maps": {"m": {"extra": 1 << 64}}}, f"x: maps.m: extra = {1 << 64} is not a number of 64 bits"),
        (
            {"maps": {"m": {"inner": {"key_size": 4}}}},
            'x: maps.m: inner: has no type [type = "hash", key_size = 4, value_size = 8]',
        ),
        (
            {"maps": {"m": {"inner": {"type": "hash", "pin": "/x"}}}},
            "x: maps.m: inner: unknown key 'pin' [known: type, max_entries, key_size, value_size, flags, extra]",
        ),
        ({"types": {"a": "kprob"}}, "x: types: a: unknown program type 'kprob' [did you mean 'kprobe'?]"),
        (
            {"attach_types": {"a": "xdp_dev"}},
            "x: attach_types: a: unknown attach type 'xdp_dev' [did you mean 'xdp_devmap'?]",
        ),
        ({"attach": {"a": 1}}, 'x: attach: a: 1 is no attach point [write "kprobe:tcp_connect"]'),
        ({"attach": {"a": "kprob:x"}}, "x: attach: a: unknown kind of attach point 'kprob' [did you mean 'kprobe'?]"),
        ({"kconfig": {"HZ": 1}}, "x: kconfig: 'HZ' is no CONFIG_ setting"),
        ({"kconfig": {"CONFIG_HZ": 1.5}}, "x: kconfig: CONFIG_HZ = 1.5 is neither true, false, a number nor text"),
        (
            {"variants": {"g": {"programs": []}}},
            "x: variants.g: is not a list of tables [write [[contract.variants.NAME]]]",
        ),
        ({"variants": {"g": [{}]}}, "x: variants.g 1: has no programs [programs = [] stands for doing without]"),
        (
            {"variants": {"g": [{"programs": ["a"], "needs": {"helpers": "x"}}]}},
            "x: variants.g 1: needs: unknown key 'helpers' [did you mean 'helper'?]",
        ),
        (
            {"variants": {"g": [{"programs": ["ab"], "targets": {"a": "x"}}]}},
            "x: variants.g 1: targets: unknown program 'a' [did you mean 'ab'?]",
        ),
        (
            {"variants": {"g": [{"programs": ["a"]}], "h": [{"programs": ["a"]}]}},
            "x: program 'a' is in the variants 'g' and 'h'",
        ),
        (
            {"may_fail": ["a"], "variants": {"g": [{"programs": ["a"]}]}},
            "x: may_fail: program 'a' belongs to the variants 'g'",
        ),
        ({"programs": ["a"], "skip": ["a"]}, "x: programs: program 'a' is skipped"),
    ],
)
def test_what_makes_no_sense_is_refused(table: dict[str, Any], message: str) -> None:
    """A misspelt key, a value of the wrong type and a contradiction are errors that say what is meant."""
    with pytest.raises(UsageError) as caught:
        contract.parse(table, "x")
    assert str(caught.value) == message

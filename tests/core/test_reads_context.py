"""Misreads of a tracepoint's context: a hand-made struct against the event's own layout."""

from __future__ import annotations

import pytest
from tests.btfwriter import Writer
from tests.core import programs as p
from tests.core.programs import EXIT

from everykernel.btf import kinds
from everykernel.core.reads import formats

BEFORE = """name: sched_process_fork
ID: 316
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:char parent_comm[16];\toffset:8;\tsize:16;\tsigned:0;
\tfield:pid_t parent_pid;\toffset:24;\tsize:4;\tsigned:1;
\tfield:char child_comm[16];\toffset:28;\tsize:16;\tsigned:0;
\tfield:pid_t child_pid;\toffset:44;\tsize:4;\tsigned:1;

print fmt: "comm=%s pid=%d", REC->parent_comm, REC->parent_pid
"""
SINCE = """format:
\tfield:__data_loc char[] parent_comm;\toffset:8;\tsize:4;\tsigned:0;
\tfield:pid_t parent_pid;\toffset:12;\tsize:4;\tsigned:1;
\tfield:__data_loc char[] child_comm;\toffset:16;\tsize:4;\tsigned:0;
\tfield:pid_t child_pid;\toffset:20;\tsize:4;\tsigned:1;
"""
OTHERS = """
\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;
\tfield:const char * filename;\toffset:16;\tsize:8;\tsigned:0;
\tfield:umode_t mode;\toffset:24;\tsize:8;\tsigned:0;
\tfield:__u8 saddr[4];\toffset:32;\tsize:4;\tsigned:0;
\tfield:__rel_loc u8[] data;\toffset:36;\tsize:4;\tsigned:0;
"""


def test_a_format_is_read() -> None:
    """Names, places, arrays and dynamic fields, as tracefs describes them; what is no field is passed over."""
    before, since, others = (formats.parse(text) for text in (BEFORE, SINCE, OTHERS))
    assert [(f.name, f.offset, f.size) for f in before][2:4] == [("parent_comm", 8, 16), ("parent_pid", 24, 4)]
    assert [f.name for f in before if f.array] == ["parent_comm", "child_comm"]
    assert [(f.name, f.dynamic) for f in since][:2] == [("parent_comm", True), ("parent_pid", False)]
    assert [(f.name, f.array, f.dynamic) for f in others][1] == ("filename", False, False)
    assert (others[4].name, others[4].dynamic, formats.end(since), formats.end(())) == ("data", True, 24, 0)


def test_a_format_is_had_from_types() -> None:
    """A kernel's BTF tells the layout of an event that is the only one of its class."""
    w = Writer()
    i32, char = w.integer("int", 4, signed=True), w.integer("char", 1, signed=True)
    entry = w.struct("trace_entry", 8, [])
    members = [("ent", entry, 0), ("__data_loc_name", i32, 64), ("pid", i32, 96), ("__data", w.array(char, 0), 128)]
    w.struct("trace_event_raw_fork", 16, members)
    w.struct("trace_event_raw_a_class", 16, members)
    w.add("btf_trace_fork", kinds.TYPEDEF, i32)
    w.add("btf_trace_member", kinds.TYPEDEF, i32)
    found = formats.from_btf(w.btf(), "fork")
    assert found is not None
    assert [(f.name, f.offset, f.dynamic) for f in found] == [("ent", 0, False), ("name", 8, True), ("pid", 12, False)]
    assert formats.from_btf(w.btf(), "a_class") is None
    assert formats.from_btf(w.btf(), "member") is None


def read(members: list[tuple[str, str, int]], offset: int, size: int, text: str, *, helper: int = 0) -> list[str]:
    """Return what reading ``size`` bytes at ``offset`` is told, the context being a struct of (name, type, offset)."""
    w = Writer()
    w.integer("long", 8, signed=True)
    char, made = w.integer("char", 1), {"u8": 0, "u16": 0, "u32": 0, "u64": 0}
    for name, width in (("u8", 1), ("u16", 2), ("u32", 4), ("u64", 8)):
        made[name] = w.integer(name, width)
    made["char[16]"] = w.array(char, 16)
    struct = w.struct("mine", 64, [(name, made[type_], 8 * at) for name, type_, at in members])
    proto = w.add("", kinds.FUNC_PROTO, 0, w.string("ctx"), w.ptr(struct), vlen=1)
    func = w.add("prog", kinds.FUNC, proto)
    insns = [p.copy(3, 1), p.add(3, offset), p.copy(1, 10), p.add(1, -8), p.mov(2, size), p.call(helper), EXIT]
    if not helper:
        insns = [p.load(0, 1, offset, size), EXIT]
    found = p.find(insns, w, Writer(), event=formats.parse(text), func=func, section="tp/sched/fork")
    return [m.kernel for m in found.misreads]


@pytest.mark.parametrize(
    ("name", "type_", "at", "size", "text", "has"),
    [
        (
            "child_pid", "u32", 20, 4, BEFORE,
            "pid_t child_pid at byte 44, 4 bytes; what is read is of char parent_comm[16]",
        ),
        ("child_pid", "u32", 44, 4, SINCE, "pid_t child_pid at byte 20, 4 bytes; the event ends at byte 24"),
        ("parent_comm", "char[16]", 8, 4, SINCE, "__data_loc char[] parent_comm at byte 8, 4 bytes"),
        ("__data_loc_parent_comm", "u32", 8, 4, BEFORE, "char parent_comm[16] at byte 8, 16 bytes"),
        ("parent_comm", "u32", 8, 4, BEFORE, "char parent_comm[16] at byte 8, 16 bytes"),
        (
            "parent_pid", "u64", 24, 8, BEFORE,
            "pid_t parent_pid at byte 24, 4 bytes; what is read is of char child_comm[16]",
        ),
    ],
    ids=["moved", "past the end", "data is elsewhere", "data is here", "a name's bytes as a number", "wider"],
)  # fmt: skip
def test_what_is_another_field_is_told(name: str, type_: str, at: int, size: int, text: str, has: str) -> None:
    """A named member that is elsewhere, or another kind of thing, in the event."""
    assert read([(name, type_, at)], at, size, text) == [has]


@pytest.mark.parametrize(
    ("name", "type_", "at", "size", "text", "helper"),
    [
        ("child_pid", "u32", 44, 4, BEFORE, 0),
        ("my_name_for_it", "u32", 44, 4, BEFORE, 0),
        ("parent_comm", "char[16]", 8, 4, BEFORE, 0),
        ("parent_comm", "u32", 8, 4, SINCE, 0),
        ("__data_loc_parent_comm", "u32", 8, 4, SINCE, 0),
        ("mode", "u16", 24, 2, OTHERS, 0),
        ("saddr", "u32", 32, 4, OTHERS, 0),
        ("nowhere", "u32", 26, 4, BEFORE, 0),
        ("common_pid", "u32", 4, 4, BEFORE, 0),
        ("parent_comm", "char[16]", 8, 64, BEFORE, 45),
        ("parent_comm", "char[16]", 8, 16, BEFORE, 4),
    ],
    ids=[
        "the same", "another name", "part of an array", "a word named like the data", "the word", "a prefix of a slot",
        "four bytes as a number", "a name that the event lacks", "common", "a string", "a copy",
    ],
)  # fmt: skip
def test_what_is_the_field_is_not_told(name: str, type_: str, at: int, size: int, text: str, helper: int) -> None:
    """A name of the author's own in the same place, a part of an array, a word for data: no misreads."""
    assert read([(name, type_, at)], at, size, text, helper=helper) == []


def test_a_copy_of_a_moved_field_is_told() -> None:
    """What a helper copies out of the context is read as well."""
    assert read([("parent_comm", "char[16]", 28)], 28, 16, BEFORE, helper=4)

"""The page in which BTF is looked up: what it holds, what it marks, and that nothing in it obeys a name."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from typing import Any

import pytest
from tests.btfwriter import Writer

from everykernel.btf import Btf, kinds, render
from everykernel.report.btfview import compare, model
from everykernel.report.btfview.page import page

HOSTILE = "</script><img src=x onerror=alert(1)>\u202e\x1b[2J"


def _old() -> Btf:
    w = Writer()
    integer = w.integer("int", signed=True)
    w.integer("long", 8, signed=True)
    inner = w.struct("inner", 8, [("a", integer, 0), ("b", integer, 32)])
    nameless = w.struct("", 4, [("deep", integer, 0)])
    part = w.union("", 4, [("x", integer, 0), ("y", integer, 0)])
    members = [("one", integer, 0), ("two", w.ptr(inner), 64), ("", part, 128), ("far", w.ptr(nameless), 192)]
    outer = w.struct("outer", 40, [*members, ("in", part, 256)])
    w.enum("colour", {"RED": 0, "BLUE": 1})
    w.typedef("outer_t", outer)
    w.func("walk", w.func_proto(w.ptr(inner), [("o", w.ptr(outer))]))
    return w.btf()


def _new() -> Btf:
    w = Writer()
    integer = w.integer("int", signed=True)
    w.integer("long", 8, signed=True)
    inner = w.struct("inner", 8, [("b", integer, 0), ("a", integer, 32)])
    part = w.union("", 4, [("x", integer, 0), ("z", integer, 0)])
    w.struct("outer", 24, [("two", w.ptr(inner), 0), ("", part, 64), ("__one", integer, 96), ("more", integer, 128)])
    w.enum("colour", {"RED": 0, "GREEN": 1, "BLUE": 2})
    return w.btf()


def _by_title(btf: Btf) -> dict[str, model.Entry]:
    return {entry.title: entry for entry in model.entries(btf)}


def test_a_layout_has_places_sizes_and_holes() -> None:
    """Each row is what `btf dump` shows: declaration, offset, size; holes are rows of their own."""
    lines = [line[:6] for line in _by_title(_old())["struct outer"].lines]
    assert lines[:7] == [
        ("member", 1, "int one", "one", "0", "4"),
        ("hole", 1, "", "", "4", "4"),
        ("member", 1, "struct inner *two", "two", "8", "8"),
        ("open", 1, "union {", "", "", ""),
        ("member", 2, "int x", "x", "16", "4"),
        ("member", 2, "int y", "y", "16", "4"),
        ("close", 1, "}", "", "16", "4"),
    ]
    assert [line[3] for line in lines if line[2].startswith("int")] == ["one", "x", "y", "in.x", "in.y"]
    assert lines[-1][:2] == ("padding", 1)


def test_rows_name_the_types_that_they_use() -> None:
    """Through pointers and parameters; a nameless type behind a pointer has an entry, one in place has not."""
    entries = model.entries(_old())
    uses = {e.title: [entries[u].title for line in e.lines for u in line.uses] for e in entries}
    assert uses["struct outer"] == ["struct inner", "struct {…}"]
    assert uses["walk"] == ["struct inner", "struct outer"]
    assert uses["outer_t"] == ["struct outer"]
    assert [line.path for line in _by_title(_old())["struct {…}"].lines] == ["deep"]
    assert "union {…}" not in uses


def _marks(title: str) -> list[tuple[str, str, tuple[str, ...]]]:
    old, new = _old(), _new()
    one, two = model.entries(old), model.entries(new)
    (pair,) = [pair for pair in compare.pairs(old, one, new, two) if one[pair.old].title == title]
    before, after = one[pair.old].lines, two[pair.new].lines
    return [
        (before[row.old].path if row.old >= 0 else "", after[row.new].path if row.new >= 0 else "", row.marks)
        for row in pair.rows
        if row.marks
    ]


def test_what_moved_stands_beside_where_it_was() -> None:
    """Each member is on one line with itself where that is possible, and says where it is where it is not."""
    assert _marks("struct outer") == [
        ("one", "", ("moved to 12", "renamed")),
        ("two", "two", ("moved",)),
        ("x", "x", ("moved",)),
        ("y", "z", ("renamed", "moved")),
        ("", "", ("moved",)),
        ("far", "", ("gone",)),
        ("in.x", "", ("gone",)),
        ("in.y", "", ("gone",)),
        ("", "__one", ("moved from 0", "renamed")),
        ("", "more", ("new",)),
    ]


def test_members_that_changed_places_say_so_on_both_sides() -> None:
    """Of two that changed places one has its line, the other is found where it was and where it is."""
    assert sorted(mark for *_, marks in _marks("struct inner") for mark in marks) == [
        "moved",
        "moved from 4",
        "moved to 0",
    ]


def test_enumerators() -> None:
    """A value that is another now is changed, one that came is new."""
    assert _marks("enum colour") == [("", "GREEN", ("new",)), ("BLUE", "BLUE", ("changed",))]


def test_what_is_the_same_has_no_rows() -> None:
    """Two types that are the same are paired and not compared row by row."""
    btf = _old()
    entries = model.entries(btf)
    pairs = compare.pairs(btf, entries, btf, entries)
    assert len(pairs) == len([e for e in entries if e.name])
    assert not any(pair.rows for pair in pairs)


def test_long_types_are_laid_side_by_side_from_their_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile type with very many rows takes no time that grows with their square."""
    monkeypatch.setattr(compare, "_LONGEST", 2)
    assert ("BLUE", "", ("changed to 2",)) in _marks("enum colour")


def _held(text: str) -> Any:
    found = re.search('<script type="text/plain" id="data">([A-Za-z0-9+/=]*)</script>', text)
    assert found is not None
    return json.loads(zlib.decompress(base64.b64decode(found[1])))


def test_names_are_text_and_nothing_else() -> None:
    """A name that closes a script, turns the text round or moves the cursor is in the data alone, escaped there."""
    w = Writer()
    integer = w.integer("int", signed=True)
    w.struct(HOSTILE, 4, [(HOSTILE, integer, 0)])
    text = page([(HOSTILE + "@DATA@", w.btf())])
    assert text.count("</script>") == 2  # the page's own: its data and its code
    assert "<img" not in text
    assert "\u202e" not in text
    assert "\x1b" not in text
    held = _held(text)
    assert held["types"][0][0][1] == r"</script><img src=x onerror=alert(1)>\u202e\x1b[2J"
    assert held["kernels"] == [r"</script><img src=x onerror=alert(1)>\u202e\x1b[2J@DATA@"]


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """Its policy allows its own script and style by their hashes; it names no other resource."""
    text = page([("old", _old()), ("new", _new())])
    policy = re.search('http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        (body,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]
    assert not re.search(r"https?://|\bsrc=|<link|@import|url\(|innerHTML|insertAdjacent|\beval\b", text)


def test_the_page_holds_both_kernels_and_what_changed() -> None:
    """Types by kernel, and pairs of their indexes with rows."""
    held = _held(page([("old", _old()), ("new", _new())]))
    assert held["kernels"] == ["old", "new"]
    one, two = held["types"]
    changed = {one[a][2]: two[b][2] for a, b, rows in held["pairs"] if rows}
    assert changed == {"struct inner": "struct inner", "struct outer": "struct outer", "enum colour": "enum colour"}


def test_nested_nameless_structs_end() -> None:
    """Structs that double at each level stop somewhere: a hostile BTF cannot fill the memory."""
    w = Writer()
    number = w.integer("int", signed=True)
    for _ in range(40):
        number = w.struct("", 4, [("", number, 0), ("", number, 0)])
    btf = w.btf()
    w.struct("top", 4, [("", number, 0)])
    assert sum(1 for _ in render.rows(w.btf(), btf.count)) < 100_000
    assert isinstance(w.btf().type(btf.count), kinds.Struct)

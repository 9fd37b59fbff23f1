"""What a guest sends becomes what a results file can hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everykernel.matrix import records

leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.binary(), st.text(st.characters()), st.complex_numbers()
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner), st.tuples(inner), st.dictionaries(st.one_of(st.text(st.characters()), st.integers()), inner)
    ),
)


def test_plain() -> None:
    """Bytes, tuples and keys become JSON's; a name's bytes that are no UTF-8 become escapes, other text is kept."""
    name = b"mi\xffs".decode("utf-8", "surrogateescape")
    found = records.plain({"name": name, 1: (b"\x01", None, 2.5), "log": "a\r\n\tb é", name: {name}})
    assert found == {
        "name": r"mi\xffs",
        "1": [{"hex": "01"}, None, 2.5],
        "log": "a\r\n\tb é",
        r"mi\xffs": [r"mi\xffs"],
    }
    assert json.loads(json.dumps(found, ensure_ascii=False).encode()) == found


def test_plain_numbers_and_depth() -> None:
    """What JSON has no number for is text; integers past 64 bits are kept, monstrous ones as hexadecimal text."""
    assert records.plain([float("nan"), float("inf"), -float("inf"), 2**100, True]) == [
        "nan",
        "inf",
        "-inf",
        2**100,
        True,
    ]
    assert records.plain(1 << 20_000) == hex(1 << 20_000)
    deep: Any = "bottom"
    for _ in range(100_000):
        deep = {"x": deep}
    text = json.dumps(records.plain(deep), allow_nan=False)
    assert text.count("{") == 64
    assert "\\u2026" in text
    assert records.plain("\ud800 \udcff") == "\\ud800 \\xff"


@given(values)
def test_writing_never_raises(value: Any) -> None:
    """Whatever it is, what `plain` returns is JSON that is UTF-8, and reads back as it is."""
    found = records.plain(value)
    assert json.loads(json.dumps(found, allow_nan=False, ensure_ascii=False).encode()) == found


@pytest.mark.parametrize("field", records.KEY)
def test_each_field_of_the_key_tells_cells_apart(field: str) -> None:
    """Two results that differ in one field of the key are two cells; what is granted is no part of it."""
    one = records.empty("c", "prog.bpf.o", "6.1", {"cpus": 2, "memory": None})
    other: Any = {**one, field: {"cpus": 4} if field == "machine" else "other"}
    assert records.key(one) != records.key(other)
    assert records.key(one) == records.key({**one, "granted": {"memory": 512}, "notes": ["n"]})

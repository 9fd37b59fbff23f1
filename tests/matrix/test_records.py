"""What a guest sends becomes what a results file can hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from everykernel.matrix import records


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


@pytest.mark.parametrize("field", records.KEY)
def test_each_field_of_the_key_tells_cells_apart(field: str) -> None:
    """Two results that differ in one field of the key are two cells; what is granted is no part of it."""
    one = records.empty("c", "prog.bpf.o", "6.1", {"cpus": 2, "memory": None})
    other: Any = {**one, field: {"cpus": 4} if field == "machine" else "other"}
    assert records.key(one) != records.key(other)
    assert records.key(one) == records.key({**one, "granted": {"memory": 512}, "notes": ["n"]})

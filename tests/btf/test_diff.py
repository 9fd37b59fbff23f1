"""What changed in a type is named after what happened to it."""

from __future__ import annotations

from tests.btfwriter import Writer

from everykernel.btf import diff


def _pair() -> tuple[Writer, Writer]:
    old, new = Writer(), Writer()
    old_int, new_int = old.integer("int"), new.integer("int")
    old_long, new_long = old.integer("long", 8, signed=True), new.integer("long", 8, signed=True)
    inner = new.struct("", 8, [("b", new_int, 0), ("c", new_int, 32)])
    old.struct("s", 28, [("state", old_long, 0), ("b", old_int, 64), ("c", old_int, 96), ("d", old_int, 128)])
    new.struct("s", 32, [("__state", new_int, 0), ("", inner, 64), ("d", new_long, 128), ("e", new_int, 192)])
    old.enum("e", {"A": 1, "B": 2})
    new.enum("e", {"A": 1, "B": 3, "C": 4})
    return old, new


def test_members_are_followed_through_anonymous_structs_and_renames() -> None:
    """A member that moved into an anonymous struct at the same offset did not change; underscores are a rename."""
    old, new = _pair()
    changes = [str(c) for c in diff.compare(old.btf(), new.btf(), "s")]
    assert changes == [
        "struct s: resized: 28 -> 32",
        "struct s.state: renamed: state -> __state",
        "struct s.state: retyped: long -> int",
        "struct s.state: resized: 8 bytes -> 4 bytes",
        "struct s.d: retyped: int -> long",
        "struct s.d: resized: 4 bytes -> 8 bytes",
        "struct s.e: new",
    ]


def test_values_of_enums_are_compared() -> None:
    """A value that differs, and one that is new."""
    old, new = _pair()
    assert [str(c) for c in diff.compare(old.btf(), new.btf(), "enum e")] == [
        "enum e.B: changed: 2 -> 3",
        "enum e.C: new",
    ]


def test_a_type_that_is_on_one_side_only_is_gone_or_new() -> None:
    """Both directions, and everything that changed at once."""
    old, new = _pair()
    old.struct("only", 4, [])
    assert [c.what for c in diff.compare(old.btf(), new.btf(), "only")] == ["gone"]
    assert [c.what for c in diff.compare(new.btf(), old.btf(), "only")] == ["new"]
    assert {c.type for c in diff.everything(old.btf(), new.btf())} == {"struct s", "enum e", "struct only"}

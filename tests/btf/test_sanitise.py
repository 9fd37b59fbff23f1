"""BTF for older kernels: each kind that they lack becomes one that they have."""

from __future__ import annotations

import pytest
from tests.btf.test_types import everything
from tests.btfwriter import Writer

from everykernel.btf import Btf, edit, kinds, sanitise
from everykernel.errors import BtfMalformed


def changed(*missing: str, big: bool = False) -> Btf:
    btf = everything(big=big).btf("o")
    return Btf.parse(sanitise.sanitise(btf, sanitise.ALL - set(missing)), name="o")


def test_nothing_missing_changes_nothing() -> None:
    """A kernel that knows every kind gets the types as they are."""
    btf = everything().btf("o")
    assert [t for _, t in changed()] == [t for _, t in btf]


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("feature", "number", "expected"),
    [
        ("float", 16, kinds.Struct("", 4, (), "struct")),
        ("decl_tag", 17, kinds.Int("tag", 1, 8, 0, 0)),
        ("type_tag", 18, kinds.Modifier(1, "const")),
        ("enum64", 19, kinds.Struct("e64", 8, (kinds.Member("C", 20, 0, 0), kinds.Member("D", 20, 0, 0)), "union")),
        ("enum64", 20, kinds.Int("enum64_placeholder", 1, 8, 0, 0)),
        ("enum64", 6, kinds.Enum("e", 4, False, (kinds.Enumerator("A", 1), kinds.Enumerator("B", 0xFFFFFFFF)), "enum")),
        ("datasec", 14, kinds.Int("v", 1, 8, 0, 0)),
        ("datasec", 15, kinds.Struct("_data", 4, (kinds.Member("v", 14, 0, 0),), "struct")),
        ("func_global", 12, kinds.Func("fn", 13, 0)),
        ("func", 12, kinds.Typedef("fn", 13)),
        ("func", 13, kinds.Enum("", 4, False, (kinds.Enumerator("x", 1), kinds.Enumerator("", 0)), "enum")),
    ],
)
def test_replacement(feature: str, number: int, expected: kinds.Type, big: bool) -> None:
    """Each kind has its replacement, in the byte order of the object."""
    assert changed(feature, big=big).type(number) == expected


def test_optional_section_names() -> None:
    """A section name that starts with a question mark gets an underscore where the kernel refuses it."""
    writer = Writer()
    variable = writer.var("v", writer.integer("int", 4))
    writer.datasec("?.data", 4, [(variable, 0, 4)])
    btf = writer.btf("o")
    image = sanitise.sanitise(btf, sanitise.ALL - {"qmark_datasec"})
    assert Btf.parse(image).type(3).name == "_.data"
    assert btf.type(3).name == "?.data"


def test_needed() -> None:
    """Only what the BTF holds is worth a probe."""
    assert sanitise.needed(everything().btf("o")) == sanitise.ALL - {"qmark_datasec"}
    writer = Writer()
    writer.integer("int", 4)
    assert sanitise.needed(writer.btf("o")) == frozenset()


def test_probes_hold_what_they_probe() -> None:
    """Every feature has a probe: sound BTF that needs this feature, and of the others at most what comes with it."""
    assert set(sanitise.PROBES) == sanitise.ALL
    for feature, probe in sanitise.PROBES.items():
        for byteorder in ("little", "big"):
            btf = Btf.parse(probe.image(byteorder), name=feature)
            btf.check()
            assert btf.byteorder == byteorder
            assert feature in sanitise.needed(btf)


def test_sections_get_their_places() -> None:
    """Size and offsets that only the ELF file knows are filled in, and variables sorted by offset."""
    writer = Writer()
    number = writer.integer("int", 4)
    first, second = writer.var("first", number), writer.var("second", number)
    section = writer.datasec(".bss", 0, [(first, 0, 4), (second, 0, 4)])
    editor = edit.Editor(writer.btf("o"))
    editor.set_section(section, 8, {first: 4, second: 0})
    editor.set_linkage(first, 0)
    btf = Btf.parse(editor.image())
    assert btf.type(section) == kinds.DataSec(".bss", 8, (kinds.SecVar(second, 0, 4), kinds.SecVar(first, 4, 4)))
    assert btf.type(first) == kinds.Var("first", number, 0)
    with pytest.raises(BtfMalformed, match="o: type 1: has no linkage to set"):
        editor.set_linkage(number, 0)
    with pytest.raises(BtfMalformed, match="o: there is no type 99 to change"):
        editor.set_linkage(99, 0)

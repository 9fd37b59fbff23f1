"""Types are shown as C: declarators inside out, structs with their layout."""

from __future__ import annotations

import pytest
from tests.btfwriter import Writer

from everykernel.btf import kinds, render
from everykernel.btf.naming import printable


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda w: w.ptr(1), "int *x"),
        (lambda w: w.ptr(0), "void *x"),
        (lambda w: w.array(w.array(1, 3), 5), "int x[5][3]"),
        (lambda w: w.ptr(w.array(1, 3)), "int (*x)[3]"),
        (lambda w: w.array(w.ptr(1), 3), "int *x[3]"),
        (lambda w: w.ptr(w.func_proto(0, [("a", 1), ("", 0)])), "void (*x)(int a, ...)"),
        (lambda w: w.array(w.ptr(w.func_proto(w.ptr(1), [])), 2), "int *(*x[2])(void)"),
        (lambda w: w.ptr(w.modifier("const", 1)), "const int *x"),
        (lambda w: w.modifier("const", w.ptr(1)), "int *const x"),
        (lambda w: w.modifier("const", w.modifier("volatile", 1)), "const volatile int x"),
        (lambda w: w.ptr(w.modifier("type_tag", 1, "user")), '__attribute__((btf_type_tag("user"))) int *x'),
        (lambda w: w.ptr(w.fwd("f")), "struct f *x"),
    ],
)
def test_declarations(build: object, expected: str) -> None:
    """A declaration reads as C would write it."""
    writer = Writer()
    writer.integer("int", 4)
    number = build(writer)  # type: ignore[operator]
    assert render.declaration(writer.btf(), number, "x") == expected


def test_layout() -> None:
    """Offsets, sizes, bitfields, anonymous members, holes and padding are shown."""
    writer = Writer()
    char, word = writer.integer("char", 1), writer.integer("int", 4)
    union = writer.union("", 4, [("a", word, 0), ("b", char, 0)])
    number = writer.struct("s", 20, [("x", char, 0, 0), ("y", word, 32, 3), ("", union, 64, 0), ("z", char, 96, 0)])
    text = render.layout(writer.btf(), number)
    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "struct s { /* size 20 */",
        "char x; /* 0 1 */",
        "/* hole: 3 bytes */",
        "int y:3; /* 4:0 3 bits */",
        "/* hole: 29 bits */",
        "union {",
        "int a; /* 8 4 */",
        "char b; /* 8 1 */",
        "}; /* 8 4 */",
        "char z; /* 12 1 */",
        "/* padding: 7 bytes */",
        "};",
    ]


def test_other_kinds() -> None:
    """Enums, typedefs, functions, variables and sections have definitions of their own."""
    writer = Writer()
    word = writer.integer("int", 4)
    definitions = {
        writer.enum("e", {"A": 1, "B": 2}): "enum e { /* size 4, unsigned values */\nA = 1,\nB = 2,\n};",
        writer.typedef("t", writer.ptr(word)): "typedef int *t;",
        writer.func("f", writer.func_proto(word, [("a", word)]), 0): "static int f(int a);",
        writer.var("v", writer.array(word, 2)): "int v[2];",
        writer.datasec(".bss", 8, [(writer.next - 1, 0, 8)]): 'section ".bss" { /* size 8 */\nint v[2]; /* 0 8 */\n};',
    }
    btf = writer.btf()
    for number, expected in definitions.items():
        assert "\n".join(" ".join(line.split()) for line in render.layout(btf, number).splitlines()) == expected


def test_tags_and_plain_attributes() -> None:
    """A tag whose record has the kind's flag is a plain attribute of C, any other is a btf_type_tag or btf_decl_tag."""
    writer = Writer()
    word = writer.integer("int", 4)
    tagged = writer.ptr(writer.add("user", kinds.TYPE_TAG, word))
    plain = writer.ptr(writer.add("address_space(1)", kinds.TYPE_TAG, word, flag=True))
    function = writer.func("f", writer.func_proto(plain, [("p", tagged)]))
    writer.add("bpf_kfunc", kinds.DECL_TAG, function, 0xFFFFFFFF)
    writer.add("bpf_fastcall", kinds.DECL_TAG, function, 0xFFFFFFFF, flag=True)
    btf = writer.btf()
    assert render.declaration(btf, tagged, "p") == '__attribute__((btf_type_tag("user"))) int *p'
    assert render.declaration(btf, plain, "p") == "__attribute__((address_space(1))) int *p"
    assert list(render.layout(btf, function + 1).splitlines()) == [
        '__attribute__((btf_decl_tag("bpf_kfunc"))) /* on f */'
    ]
    assert list(render.layout(btf, function + 2).splitlines()) == ["__attribute__((bpf_fastcall)) /* on f */"]


def test_hostile_types_end() -> None:
    """Types that hold themselves, or two of the next, are cut short."""
    writer = Writer()
    writer.ptr(1)
    number = writer.func_proto(0, [])
    for _ in range(40):
        number = writer.ptr(writer.func_proto(number, [("a", number), ("b", number)]))
    writer.struct("", 4, [("", writer.next, 0)])
    btf = writer.btf()
    assert "…" in render.declaration(btf, 1, "x")
    assert "…" in render.declaration(btf, number, "x")
    assert render.layout(btf, writer.next - 1)


def test_names_that_are_no_text() -> None:
    """Bytes that are no UTF-8 and control characters are shown as escapes, all else as it is."""
    name = b"a\xff\x1b[1m\n\xc3\xa9".decode("utf-8", "surrogateescape")
    assert printable(name) == r"a\xff\x1b[1m\né"
    assert printable("task_struct") == "task_struct"
    assert printable("\ud800\udc80") == r"\ud800\x80"

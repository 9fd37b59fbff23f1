"""An author is told what the object expects, what the kernel has, what comes near, and which idiom handles both."""

from __future__ import annotations

from tests.btfwriter import Writer
from tests.core.relocating import load, mov, wide

from everykernel import core
from everykernel.btf.ext import CoreRecord
from everykernel.core import relokinds as rk
from everykernel.core.explain import Explanation, explain


def explained(
    local: Writer, target: Writer, type_id: int, access: str, kind: int = rk.FIELD_BYTE_OFFSET, insn: bytes = b""
) -> Explanation:
    ours, kernel = local.btf("o"), core.Target(target.btf())
    fixup = core.compute(CoreRecord(0, type_id, access, kind), 0, ours, kernel, insn or load(0))
    return explain(fixup, ours, kernel)


def task(member: str, size: int = 4, *, embedded: str = "", signed: bool = False, name: str = "task") -> Writer:
    writer = Writer()
    number = plain = writer.integer("int" if signed else "unsigned int", size, signed=signed)
    if embedded:
        number, member = writer.struct("inner", 16, [(member, plain, 32)]), embedded
    writer.struct(name, 64, [(member, number, 0), ("other", plain, 256)])
    return writer


def test_renamed_member() -> None:
    """A member whose name only gained underscores comes first, with a flavour that reads both."""
    found = explained(task("state"), task("__state"), 2, "0:0")
    assert found.expects == "unsigned int state at byte 0 of struct task"
    assert found.has == "struct task has no member 'state'"
    assert found.nearest[0] == (
        "struct task.__state",
        "unsigned int __state",
        "the same name with other underscores",
    )
    assert found.idiom.splitlines() == [
        "struct task___with_state {",
        "    __u32 __state;",
        "} __attribute__((preserve_access_index));",
        "__u64 x = 0; /* p: struct task * */",
        "struct task___with_state *n = (void *)p;",
        "if (bpf_core_field_exists(p->state))",
        "    x = BPF_CORE_READ(p, state);",
        "else if (bpf_core_field_exists(n->__state))",
        "    x = BPF_CORE_READ(n, __state);",
    ]


def test_member_moved_into_an_embedded_struct() -> None:
    """A member that moved into an embedded struct is found there."""
    found = explained(task("cpu"), task("cpu", embedded="info"), 2, "0:0")
    assert found.nearest[0].text == "struct task.info.cpu"
    assert found.nearest[0].why == "the same name, in info: a guess"
    assert "    struct { __u32 cpu; } info;" in found.idiom.splitlines()


def test_nothing_comes_near() -> None:
    """Without a likely counterpart the access is guarded."""
    found = explained(task("zzzzzzzz"), task("state"), 2, "0:0")
    assert found.nearest == ()
    assert found.idiom.splitlines()[1] == "if (bpf_core_field_exists(p->zzzzzzzz))"


def test_missing_type() -> None:
    """A type that is gone is told with those that are called like it."""
    found = explained(task("a", name="mm_structs"), task("a", name="mm_struct"), 2, "0:0")
    assert found.has == "the kernel has no struct mm_structs"
    assert found.nearest == (("struct mm_struct", "64 bytes", "a name like it"),)
    assert "if (bpf_core_field_exists(p->a))" in found.idiom.splitlines()


def test_missing_enum_value() -> None:
    """An enum value that is gone is told with its neighbours by name."""

    def enum(*names: str) -> Writer:
        writer = Writer()
        writer.enum("e", {name: number for number, name in enumerate(names)})
        return writer

    found = explained(enum("E_ringbuf_outputs"), enum("E_x", "E_ringbuf_output"), 1, "0", rk.ENUMVAL_VALUE, wide(0))
    assert found.nearest == (("E_ringbuf_output", "1", "a name like it"),)
    assert "if (bpf_core_enum_value_exists(enum e, E_ringbuf_outputs))" in found.idiom.splitlines()


def test_width_that_cannot_follow() -> None:
    """A signed field that grew is read by size instead of loaded."""
    found = explained(task("a", 4, signed=True), task("a", 8, signed=True), 2, "0:0")
    assert found.has.startswith("its size is 4 bytes here and 8 in the kernel")
    assert found.idiom.splitlines()[1] == "x = BPF_CORE_READ_BITFIELD_PROBED(p, a);"


def test_moved_field_needs_nothing() -> None:
    """A field that only moved is told so, and needs no idiom."""
    target = Writer()
    number = target.integer("unsigned int", 4)
    target.struct("task", 64, [("a", number, 64)])
    found = explained(task("a"), target, 2, "0:0")
    assert (found.has, found.idiom) == ("the kernel has byte_off 8, and the instruction is adjusted", "")
    assert explained(task("a"), task("a"), 2, "0:0").has == "the kernel has the same (byte_off 0)"


def test_refused_record() -> None:
    """What is refused is told with its reason, ambiguity with what to do."""
    target = task("a")
    number = target.integer("unsigned int", 4)
    target.struct("task___2", 64, [("a", number, 64)])
    found = explained(task("a"), target, 2, "0:0")
    assert found.has.startswith("refused: struct task (vmlinux 2) has it at bit 0")
    assert found.has.endswith("give the local type a member that only the wanted one has, and access that first")
    assert found.idiom == ""
    broken = explained(task("a"), task("a"), 2, "0:9", insn=mov(0))
    assert broken.has == "member 9 of struct task does not exist (it has 2)"
    assert str(broken).splitlines()[0] == broken.access


def test_member_of_an_embedded_struct() -> None:
    """Of a path through structs and arrays, the struct that lacks the member is the one that is searched."""

    def build(last: str) -> Writer:
        writer = Writer()
        number = writer.integer("unsigned int", 4)
        inner = writer.struct("inner", 8, [(last, number, 0)])
        writer.struct("outer", 64, [("list", writer.array(inner, 4), 0)])
        return writer

    found = explained(build("count"), build("_count"), 4, "0:0:2:0", insn=load(16))
    assert found.access == "struct outer.list[2].count"
    assert found.has == "struct inner has no member 'count'"
    assert found.nearest[0].text == "struct inner._count"
    assert found.idiom.splitlines()[1] == "if (bpf_core_field_exists(p->list[2].count))"


def test_array_that_is_too_short() -> None:
    """An element past the kernel's array is guarded."""

    def build(count: int) -> Writer:
        writer = Writer()
        number = writer.integer("unsigned int", 4)
        writer.struct("s", 64, [("a", writer.array(number, count), 0)])
        return writer

    found = explained(build(8), build(2), 3, "0:0:4", insn=load(16))
    assert (found.has, found.nearest) == ("member 'a' has 2 elements", ())
    assert found.idiom.splitlines()[1] == "if (bpf_core_field_exists(p->a[4]))"


def members(*names: str, size: int = 8) -> Writer:
    """``struct bio`` with members of eight bytes."""
    writer = Writer()
    number = writer.integer("u64", size)
    writer.struct("bio", 64, [(name, number, 64 * at) for at, name in enumerate(names)])
    return writer


def renamed(local: Writer, target: Writer, *others: Writer, root: int = 2) -> tuple[str, str]:
    """Return the name that is offered for the first member, and why; two empty ones without any."""
    ours, kernel = local.btf("o"), core.Target(target.btf())
    fixup = core.compute(CoreRecord(0, root, "0:0", rk.FIELD_BYTE_OFFSET), 0, ours, kernel, load(0))
    found = explain(fixup, ours, kernel, [core.Target(other.btf()) for other in others])
    return (".".join(found.rename.path), found.nearest[0].why) if found.rename is not None else ("", "")


def test_a_name_of_another_kind_is_not_offered() -> None:
    """A likely name alone says nothing: bi_iter is not what became of bi_issue."""
    target = members("bi_blkg", "bi_other")
    inner = target.struct("bvec_iter", 24, [])
    target.struct("bio", 64, [("bi_iter", inner, 0)])
    assert renamed(members("bi_issue"), target) == ("", "")


def test_what_stands_in_the_same_place_is_offered_as_a_guess() -> None:
    """The one new member between the neighbours that the missing one has in another kernel."""
    before = members("bi_blkg", "bi_issue", "bi_cost")
    since = members("bi_blkg", "issue_time_ns", "bi_cost")
    why = "in its place, between bi_blkg and bi_cost: a guess"
    assert renamed(members("bi_issue"), since, before) == ("issue_time_ns", why)
    assert renamed(members("bi_issue"), since) == ("", "")
    assert renamed(members("bi_issue"), members("bi_blkg", "one", "two", "bi_cost"), before) == ("", "")
    assert renamed(members("bi_issue"), members("bi_blkg", "bi_cost", "elsewhere"), before) == ("", "")


def test_what_the_object_itself_reads_comes_first() -> None:
    """A flavour of the object's own that has the kernel's member needs no guess."""
    local = members("bi_issue")
    local.struct("bio___7_0", 8, [("issue_time_ns", 1, 0)])
    target = members("_bi_issue", "issue_time_ns")
    assert renamed(local, target) == ("issue_time_ns", "the object reads it through struct bio___7_0")


def test_a_type_that_an_earlier_access_ruled_out_is_not_denied() -> None:
    """Of several types of a name, the one that has the member is named, and a type of its own reads it."""
    local = Writer()
    number = local.integer("u32", 4)
    local.struct("irq_info", 8, [("evtchn", number, 0), ("slot", number, 32)])
    target = Writer()
    number = target.integer("u32", 4)
    target.struct("irq_info", 64, [("evtchn", number, 64)])
    target.struct("irq_info", 16, [("slot", number, 96)])
    ours, kernel = local.btf("o"), core.Target(target.btf())
    session = core.Session(ours, kernel)
    for access in ("0:0", "0:1"):
        fixup = core.compute(CoreRecord(0, 2, access, rk.FIELD_BYTE_OFFSET), 0, ours, kernel, mov(0), session)
    found = explain(fixup, ours, kernel)
    assert found.has == (
        "struct irq_info (vmlinux 3) has it, of the kernel's 2 types of this name; what is accessed before it "
        "left only struct irq_info (vmlinux 2): struct irq_info has no member 'slot'"
    )
    assert "struct irq_info___with_slot *n = (void *)p;" in found.idiom.splitlines()

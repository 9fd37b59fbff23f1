"""The verifier's log is read as a person would read it."""

from __future__ import annotations

import pytest
from tests import elfwriter as e
from tests.btfwriter import Writer

from everykernel import object as object_
from everykernel.load.programs import verifier
from everykernel.load.programs.link import link, reached

# As Linux 6.1 prints it at log level 1.
REJECTED = """func#0 @0
0: R1=ctx(off=0,imm=0) R10=fp0
; return *pointer;
0: (61) r1 = *(u32 *)(r1 +0)          ; R1_w=scalar(umax=4294967295,var_off=(0x0; 0xffffffff))
; return *pointer;
1: (61) r0 = *(u32 *)(r1 +0)
R1 invalid mem access 'scalar'
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

# As Linux 5.10 prints it.
POISONED = """Unrecognized arg#0 type PTR
; int x = BPF_CORE_READ(task, no_such_field);
4: (85) call unknown#195896080
invalid func unknown#195896080
processed 5 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

# As Linux 7.3 prints it: the registers' states before, the verifier's words about one of them after.
REGISTER = """1688: (bc) w4 = w9                    ; frame1: R4=scalar(id=186,smin=0) R9=scalar(id=186,smin=0)
1689: (85) call bpf_xdp_load_bytes#189
R4 invalid zero-sized read: u64=[0,15]
processed 2537 insns (limit 1000000) max_states_per_insn 4 total_states 144 peak_states 143 mark_read 0
"""

# As Linux 5.10 prints it: the state after the last instruction comes on a line of its own.
EXPECTED = """ R0=inv(id=0) R1_w=inv1 R10=fp0
2: (85) call bpf_map_lookup_elem#1
R1 type=inv expected=map_ptr
processed 3 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

# As Linux 6.12 prints a refusal of the whole program, before any instruction.
WHOLE = """combined stack size of 2 calls is 592. Too large
verification time 30 usec
stack depth 320+272
processed 0 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

# As Linux 5.10 refuses a global function before any instruction; remarks on arguments come before the reason.
GLOBAL = """Validating void_arg() func#1...
arg#0 type is not a struct
Arg#0 type PTR in void_arg() is not supported yet.
processed 0 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

# As Linux 6.12 refuses a call of a global function.
CALL = """0: (85) call pc+1
arg#0 reference type('UNKNOWN ') size cannot be determined: -22
Caller passes invalid args into func#1 ('void_arg')
processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

# As Linux 5.10 prints the state of registers before it says what is wrong: indented.
STATE = """7: (73) *(u8 *)(r0 +9) = r1
 R0_w=mem(id=0,ref_obj_id=2,off=0,imm=0) R1_w=inv1 R10=fp0 refs=2
invalid access to memory, mem_size=8 off=9 size=1
R0 min value is outside of the allowed memory range
"""

# As Linux 6.12 prints an instruction that it has no name for.
NAMELESS = """0: (7a) *(u64 *)(r10 -8) = 1          ; R10=fp0 fp-8_w=1
1: BUG_db
BPF_ATOMIC uses invalid atomic opcode 100
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

# As Linux 7.3 reports behind its words.
REPORT = """7: (79) r0 = *(u64 *)(r0 +0)

Verification failed: Register Type Safety: Invalid dereference

Reason:
  R0 may be NULL here.
"""


@pytest.mark.parametrize(
    ("log", "insn", "text", "reason"),
    [
        (GLOBAL, None, "", "Arg#0 type PTR in void_arg() is not supported yet. (arg#0 type is not a struct)"),
        (CALL, 0, "0: (85) call pc+1", "Caller passes invalid args into func#1 ('void_arg') "
         "(arg#0 reference type('UNKNOWN ') size cannot be determined: -22)"),
        (STATE, 7, "7: (73) *(u8 *)(r0 +9) = r1", "invalid access to memory, mem_size=8 off=9 size=1"),
        (NAMELESS, 1, "1: BUG_db", "BPF_ATOMIC uses invalid atomic opcode 100"),
        (REPORT, 7, "7: (79) r0 = *(u64 *)(r0 +0)", ""),
        (REJECTED, 1, "1: (61) r0 = *(u32 *)(r1 +0)", "R1 invalid mem access 'scalar'"),
        (POISONED, 4, "4: (85) call unknown#195896080", "invalid func unknown#195896080"),
        (REGISTER, 1689, "1689: (85) call bpf_xdp_load_bytes#189", "R4 invalid zero-sized read: u64=[0,15]"),
        (EXPECTED, 2, "2: (85) call bpf_map_lookup_elem#1", "R1 type=inv expected=map_ptr"),
        (WHOLE, None, "", "combined stack size of 2 calls is 592. Too large"),
        ("", None, "", ""),
    ],
)  # fmt: skip
def test_the_lines_that_matter(log: str, insn: int | None, text: str, reason: str) -> None:
    """The failing instruction and the verifier's words about it are found, bookkeeping lines are not."""
    assert verifier.parse(log) == (insn, text, reason)


def test_lines_for_people() -> None:
    """The two lines come as one."""
    assert verifier.parse(REJECTED).lines == "1: (61) r0 = *(u32 *)(r1 +0): R1 invalid mem access 'scalar'"


def test_source_line() -> None:
    """An instruction of a linked subprogram has its own source line, wherever it landed."""
    btf = Writer()
    integer = btf.integer("int", signed=True)
    proto = btf.func_proto(integer, [])
    main, helper = btf.func("main", proto), btf.func("helper", proto, linkage=0)
    ext = btf.ext(
        functions={"socket": [(0, main)], ".text": [(0, helper)]},
        lines={
            "socket": [(0, "dir/a.c", "int main(void)", 3 << 10), (8, "dir/a.c", "\treturn helper();", 5 << 10 | 9)],
            ".text": [
                (0, "dir/a.c", "int helper(void)", 8 << 10),
                (8, "dir/b.h", "\treturn  0;", 10 << 10 | 2),
                (8, "dir/b.h", "", 0),  # the compiler's own, of no line
            ],
        },
    )
    writer = e.ObjectWriter()
    writer.code("socket", main=e.call() + e.EXIT)
    writer.code(".text", helper=e.MOV0 + e.EXIT)
    writer.relocate("socket", 0, "helper", e.R_BPF_64_32)
    writer.section(".BTF", btf.image(), flags=0)
    writer.section(".BTF.ext", ext, flags=0)
    spec = object_.read(writer.build(), "a.o")
    assert spec.btf is not None
    parts = reached(spec.functions["main"], spec.functions)
    linked = link(parts, {f.name: f.code for f in parts}, {}, {}, "little")
    assert verifier.source_line(spec.btf, linked, 1) == ("dir/a.c:5", "return helper();")
    assert verifier.source_line(spec.btf, linked, 2) == ("dir/a.c:8", "int helper(void)")
    assert verifier.source_line(spec.btf, linked, 3) == ("dir/b.h:10", "return 0;")


def test_a_map_that_was_left_out_is_named() -> None:
    """libbpf's words take the place of the call of no helper; other logs stay as they are."""
    log = "4: (85) call unknown#2001000001\ninvalid func unknown#2001000001\nprocessed 5 insns\n"
    assert verifier.name_map(log, ["first", "second"]) == (
        "4: <invalid BPF map reference>\nBPF map 'second' is referenced but wasn't created\nprocessed 5 insns\n",
        "second",
    )
    assert verifier.name_map(POISONED, ["first"]) == (POISONED, "")
    assert verifier.name_map(log, ["first", ""]) == verifier.name_map(log, ["first"]) == (log, "")


def test_a_function_that_is_missing_is_named() -> None:
    """libbpf's words take the place of the call of no helper; a number that is no extern's stays as it is."""
    log = "9: (85) call unknown#2002000001\ninvalid func unknown#2002000001\nprocessed 9 insns\n"
    assert verifier.name_kfunc(log, ["first", "second"]) == (
        "9: <invalid kfunc call>\nkfunc 'second' is referenced but wasn't resolved\nprocessed 9 insns\n",
        "second",
    )
    assert verifier.name_kfunc(log, ["first"]) == (log, "")
    assert verifier.name_kfunc(POISONED, ["first"]) == (POISONED, "")

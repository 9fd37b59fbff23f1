"""Instructions that a kernel may lack are named, with the first release that has them."""

from __future__ import annotations

import pytest
from tests.elfwriter import insn

from everykernel.load.programs import instructions

OLD = insn(0xB7, 0, imm=0)  # r0 = 0


@pytest.mark.parametrize(
    ("code", "reason", "name", "since"),
    [
        (insn(0xBF, 1, 1, off=8), "BPF_MOV uses reserved fields", "move with sign extension", "v6.6"),
        (insn(0xBC, 1, 1, off=16), "BPF_MOV uses reserved fields", "move with sign extension", "v6.6"),
        (insn(0x3C, 1, 2, off=1), "BPF_ALU uses reserved fields", "signed division", "v6.6"),
        (insn(0x97, 1, off=1, imm=3), "BPF_ALU uses reserved fields", "signed division", "v6.6"),
        (insn(0x91, 1, 1), "BPF_LDX uses reserved fields", "load with sign extension", "v6.6"),
        (insn(0xD7, 1, imm=64), "unknown opcode d7", "unconditional byte swap", "v6.6"),
        (insn(0x06, imm=1), "unknown opcode 06", "jump of 32 bits", "v6.6"),
        (insn(0xE5, off=1), "unknown opcode e5", "may_goto", "v6.9"),
        (insn(0xBF, 1, 1, off=1, imm=1), "BPF_MOV uses reserved fields", "cast between address spaces", "v6.9"),
        (insn(0x85, 0, 1, imm=3), "BPF_CALL uses reserved fields", "call of the program's own functions", "v4.16"),
        (insn(0x56, 1, imm=3), "unknown insn class 6", "jump by half a register", "v5.1"),
        (insn(0x06, imm=1), "unknown insn class 6", "jump of 32 bits", "v6.6"),
        (insn(0x18, 1, 3), "unrecognized bpf_ld_imm64 insn", "address of a typed symbol", "v5.10"),
        (insn(0x18, 1, 4), "unrecognized bpf_ld_imm64 insn", "address of a function", "v5.13"),
        (
            insn(0xDB, 1, 2, imm=0x100),
            "BPF_ATOMIC uses invalid atomic opcode 100",
            "load-acquire or store-release",
            "v6.15",
        ),
    ],
)
def test_newer_instructions(code: bytes, reason: str, name: str, since: str) -> None:
    """The instruction that the verifier names is told; without a name, the first that its words fit."""
    said = f"this kernel has no {name}", f" (upstream since {since}; "
    for at, words in ((1, OLD + code), (None, OLD + code + OLD)):
        text = instructions.lacking(words, at, reason, "little")
        assert text.startswith(said[0])
        assert said[1] in text
    assert instructions.lacking(OLD + code, 0, reason, "little") == ""
    assert instructions.lacking(OLD + code, 9, reason, "little") == ""
    assert instructions.lacking(code, 0, "R1 is bad", "little") == ""
    assert instructions.lacking(OLD, None, reason, "little") == ""


def test_the_compilers_switch_is_named() -> None:
    """What clang's cpu v4 brings is refused with the switch that does without."""
    assert instructions.lacking(insn(0x3C, 1, 2, off=1), None, "BPF_ALU uses reserved fields", "little") == (
        "this kernel has no signed division (upstream since v6.6; compile with -mcpu=v3)"
    )


def test_of_several_the_newest_is_missing() -> None:
    """Where the verifier names no instruction, the kernel that knows an older one may still lack a newer one."""
    code = insn(0x18, 1, 4) + insn(0) + insn(0x18, 1, 3) + insn(0)
    text = instructions.lacking(code, None, "unrecognized bpf_ld_imm64 insn", "little")
    assert text.startswith("this kernel has no address of a function (upstream since v5.13; ")


def test_calls_of_the_kernels_functions_are_others() -> None:
    """A call of a kernel's function, to which old kernels say the same, is none of the program's own."""
    assert instructions.lacking(insn(0x85, 0, 2, imm=3), 0, "BPF_CALL uses reserved fields", "little") == ""

"""The arguments that a probe tells at each of its places are those with which its function is called there."""

import ctypes
import errno
import mmap
import os
import struct
import sys
import tempfile

BASE = 0x20000000  # where the program is linked, and is mapped by the check
PAGE = mmap.PAGESIZE
CALLED_WITH = -0x123456789ABCDEF if struct.calcsize("P") == 8 else -0x12345678

# Functions of one argument: each has it, or its parts, where the notes say. A breakpoint goes where the nop is, which
# stands between the bars. By machine: its number in ELF, the code, and where the arguments are.
_X86_64 = (
    62,
    (
        "4889f8 |90| c3",  # mov %rdi,%rax; nop; ret
        "57 |90| 5f c3",  # push %rdi; nop; pop %rdi; ret
        "4889f8 |90| c3",
    ),
    (
        "4@$0 8@%rax -4@%eax 2@%ax -1@%dil",
        "4@$1 8@(%rsp) -4@0(%rsp) 2@%di 1@0(%rsp)",
        "4@$2 8@%rdi -4@$-5 -2@%di 1@%al",
    ),
)
_I686 = (
    3,
    (
        "8b442404 |90| c3",  # mov 4(%esp),%eax; nop; ret
        "8b542404 52 |90| 5a c3",  # mov 4(%esp),%edx; push %edx; nop; pop %edx; ret
        "8b442404 |90| c3",
    ),
    (
        "4@$0 4@%eax -4@%eax 2@%ax -1@%al",
        "4@$1 4@(%esp) -4@8(%esp) 2@%dx 1@0(%esp)",
        "4@$2 4@%eax -4@$-5 -2@%ax 1@%al",
    ),
)
_AARCH64 = (
    183,
    (
        "e10300aa |1f2003d5| c0035fd6",  # mov x1, x0; nop; ret
        "e00f1ff8 |1f2003d5| e00741f8 c0035fd6",  # str x0, [sp, #-16]!; nop; ldr x0, [sp], #16; ret
        "e10300aa |1f2003d5| c0035fd6",
    ),
    ("4@0 8@x1 -4@x1 2@x1 -1@x1", "4@1 8@[sp] -4@[sp, 0] 2@x0 1@[sp, 0]", "4@2 8@x0 -4@-5 -2@x0 1@x1"),
)
_ARM = (
    40,
    (
        "0010a0e1 |00f020e3| 1eff2fe1",  # mov r1, r0; nop; bx lr
        "04002de5 |00f020e3| 04d08de2 1eff2fe1",  # str r0, [sp, #-4]!; nop; add sp, sp, #4; bx lr
        "0010a0e1 |00f020e3| 1eff2fe1",
    ),
    ("4@#0 4@r1 -4@r1 2@r1 -1@r1", "4@#1 4@[sp] -4@[sp, #0] 2@r0 1@[sp]", "4@#2 4@r0 -4@#-5 -2@r0 1@r1"),
)
_S390X = (  # the lower bytes are the last ones
    22,
    (
        "b9040032 |0700| 07fe",  # lgr %r3,%r2; nopr; br %r14
        "e320fff8ff24 |0700| 07fe",  # stg %r2,-8(%r15); nopr; br %r14
        "b9040032 |0700| 07fe",
    ),
    (
        "4@0 8@%r3 -4@%r3 2@%r3 -1@%r3",
        "4@1 8@-8(%r15) -4@-4(%r15) 2@%r2 1@-1(%r15)",
        "4@2 8@%r2 -4@-5 -2@%r2 1@%r3",
    ),
)
_RISCV64 = (
    243,
    (
        "93050500 |13000000| 67800000",  # mv a1,a0; nop; ret
        "233ca1fe |13000000| 67800000",  # sd a0,-8(sp); nop; ret
        "93050500 |13000000| 67800000",
    ),
    ("4@0 8@a1 -4@a1 2@a1 -1@a1", "4@1 8@-8(sp) -4@-8(sp) 2@a0 1@-8(sp)", "4@2 8@a0 -4@-5 -2@a0 1@a1"),
)
_PPC64LE = (21, ("00000060 |00000060| 2000804e",), ("8@3",))  # nop; nop; blr: what libbpf does not read
_MACHINE, _CODE, _PLACES = {
    "x86_64": _X86_64,
    "i686": _I686,
    "aarch64": _AARCH64,
    "armv7l": _ARM,
    "s390x": _S390X,
    "riscv64": _RISCV64,
    "ppc64le": _PPC64LE,
}[os.uname().machine]


def check(obj):
    """Make such a program, attach, call each function, and once more when the program is gone."""
    values = obj.globals
    program = obj.programs["on_probe"]
    with tempfile.NamedTemporaryFile() as file:
        file.write(_elf())
        file.flush()
        missing = program.attach(f"{file.name}:made_here:other")
        assert missing["code"] == "attach-target-missing", missing
        functions = _mapped(file.fileno())
        attached = program.attach(f"{file.name}:made_here:probe")
        if os.uname().machine == "ppc64le":  # libbpf reads no operands there
            assert attached["code"] == "attach-type-unsupported", attached
            return {"places": 0}
        assert attached["status"] == "passed", attached
        values["ek_pid"] = os.getpid()
        for function in functions:
            function(CALLED_WITH)
        places, hits = values["places"][: len(functions)], values["ek_hits"]
        obj.detach()
        functions[0](CALLED_WITH)
    whole, four, two, one = (
        CALLED_WITH & mask for mask in ((1 << 8 * struct.calcsize("P")) - 1, 0xFFFFFFFF, 0xFFFF, 0xFF)
    )
    expected = [
        [0, _signed(whole, 8), _signed(four, 4), two, _signed(one, 1)],
        [1, _signed(whole, 8), _signed(four, 4), two, one],
        [2, _signed(whole, 8), -5, _signed(two, 2), one],
    ]
    seen, counted = [place["arguments"] for place in places], [place["count"] for place in places]
    assert seen == expected, f"saw {seen} instead of {expected}"
    assert (counted, hits) == ([5, 5, 5], 3), f"{counted} arguments, {hits} hits"
    assert (values["missing"], values["missing_error"]) == (0, -errno.ENOENT)
    assert values["ek_hits"] == 3
    return {"places": len(seen)}


def _signed(value, size):
    return value - (1 << 8 * size) if value >> (8 * size - 1) else value


def _mapped(fd):
    """Return the functions, with the program's one page of code where it is linked."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    fixed = 0x10  # MAP_FIXED
    where = libc.mmap(BASE, PAGE, mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_PRIVATE | fixed, fd, PAGE)
    assert where == BASE, os.strerror(ctypes.get_errno())
    return [ctypes.CFUNCTYPE(None, ctypes.c_long)(BASE + start) for start in _starts()]


def _starts():
    return [16 * number for number in range(len(_CODE))]


def _elf():
    """Return an executable of one page of code at BASE, and the notes of its probe, for this machine."""
    wide = struct.calcsize("P") == 8
    word = "Q" if wide else "I"
    code, notes = bytearray(PAGE), b""
    for start, text, arguments in zip(_starts(), _CODE, _PLACES, strict=True):
        bytes_ = bytes.fromhex(text.replace("|", ""))
        code[start : start + len(bytes_)] = bytes_
        nop = BASE + start + len(bytes.fromhex(text.partition("|")[0]))
        text = b"\0".join((b"made_here", b"probe", arguments.encode(), b""))
        description = struct.pack("=" + 3 * word, nop, 0, 0) + text
        notes += struct.pack("=III8s", 8, len(description), 3, b"stapsdt") + description
        notes += bytes(-len(notes) % 4)
    names = b"\0.note.stapsdt\0.shstrtab\0"
    tables = 2 * PAGE + len(notes) + len(names)
    sections = [(0, 0, 0, 0), (1, 7, 2 * PAGE, len(notes)), (15, 3, 2 * PAGE + len(notes), len(names))]
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if sys.byteorder == "little" else 2, 1]) + bytes(9)
    sizes = (64, 56, 1, 64, 3, 2) if wide else (52, 32, 1, 40, 3, 2)
    head = ident + struct.pack(f"=HHI3{word}I6H", 2, _MACHINE, 1, BASE, sizes[0], tables, 0, *sizes)
    if wide:
        head += struct.pack("=IIQQQQQQ", 1, 5, PAGE, BASE, BASE, PAGE, PAGE, PAGE)
    else:
        head += struct.pack("=IIIIIIII", 1, PAGE, BASE, BASE, PAGE, PAGE, 5, PAGE)
    table = b"".join(
        struct.pack(f"=II4{word}II2{word}", name, kind, 0, 0, offset, size, 0, 0, 4, 0)
        for name, kind, offset, size in sections
    )
    return head.ljust(PAGE, b"\0") + bytes(code) + notes + names + table

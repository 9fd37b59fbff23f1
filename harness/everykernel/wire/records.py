"""The shape of records, plain dictionaries with typed keys (`Stage` and what is in it), and the words in them.

What the guest sends is what the results file holds (schema ``everykernel/1``).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import Annotated, Any, Optional, TypedDict

# Words of a record: what is allowed for each, the host's gate knows (machine/gate.py).
Status = Annotated[str, "status"]  # one of the four below
Code = Annotated[str, "code"]  # a reason code that a guest may give, or ""
Outcome = Annotated[str, "outcome"]  # of a relocation: patched, poisoned or failed
End = Annotated[str, "end"]  # how a command ended: one of `ENDS`
Release = Annotated[str, "release"]  # of a kernel: it becomes part of paths
Text = Annotated[str, "text"]  # as long as a frame: a log, a traceback, what a check says
Count = Annotated[int, "count"]  # not negative
Seconds = Annotated[float, "seconds"]  # not negative

PASSED, FAILED, SKIPPED, NOT_REACHED = "passed", "failed", "skipped", "not-reached"

# How a command ended: with an exit code, by a signal, at its deadline, for more processes than it may have, or it could
# not be started.
EXIT, SIGNAL, DEADLINE, PROCESSES, NOT_STARTED = ENDS = ("exit", "signal", "deadline", "processes", "not-started")


class Relocation(TypedDict, total=False):
    """One CO-RE record applied to one program (the keys of ``everykernel relocate --format jsonl``)."""

    section: str  # the section that holds the instruction
    program: str  # the function that holds the instruction
    index: int  # of the record in its section of .BTF.ext
    insn: int  # index of the instruction in the function
    kind: str  # byte_off, byte_sz, field_exists, …: the kernel's enum bpf_core_relo_kind, lower case
    access: str  # in C: task_struct.mm->exe_file
    local: Optional[int]  # the value in the object's own BTF
    target: Optional[int]  # the value in the kernel's BTF; None where it cannot be resolved
    outcome: Outcome  # patched, poisoned or failed
    old: int  # the instruction's immediate or offset field before …
    new: int  # … and after
    mem_size: int  # new size of a load or store in bytes, where it changes
    candidates: list[str]  # the types that were considered: "struct task_struct (vmlinux 123)"
    message: Text  # why it is poisoned or failed
    source: str  # file:line of the access, of a poisoned or failed one, where line info tells


class MapRecord(TypedDict, total=False):
    """One map of an object and what the kernel made of it."""

    name: str
    type: str  # array, percpu_hash, …: the kernel's enum bpf_map_type, lower case
    key_size: int
    value_size: int
    max_entries: int
    status: Status
    code: Code
    errno: Optional[str]
    message: Text
    note: str  # what the loader decided by itself: "max_entries was 0: 1"


class ProgramRecord(TypedDict, total=False):
    """One program of an object and what the kernel made of it."""

    name: str
    section: str
    type: str  # kprobe, xdp, …: the kernel's enum bpf_prog_type, lower case
    attach: str  # the attach point: "sched:sched_switch", "do_unlinkat"
    status: Status
    code: Code
    errno: Optional[str]  # "EACCES"
    message: Text
    log: Text  # the verifier's, whole
    source: str  # file:line of the failing instruction, where line info tells
    insns: int  # instructions handed to the kernel
    verified_insns: Optional[int]  # instructions the verifier processed, where the kernel tells
    decides: bool  # whether its refusal fails the stage ("?" sections do not)
    variant: str  # load: the group of variants that it was tried in, and which: "start: block_io_start"


class ProgramUse(TypedDict):
    """What became of a program while its object was loaded."""

    name: str
    attached: bool  # whether it ever was
    test_runs: Count  # how many were asked for and done
    runs: Optional[Count]  # how often the kernel ran it, as it counts itself; None where it does not


class Whole(TypedDict):
    """The object as the loader whose rules decide would take it: all or nothing."""

    loader: str  # whose rules decided: "libbpf"
    status: Status
    code: Code
    errno: Optional[str]
    message: Text


class Misread(TypedDict, total=False):
    """An access of a program that is loaded and reads other bytes than its author meant."""

    program: str
    insn: int  # index of the instruction in the program
    access: str  # in C: task_struct.start_time
    taken: str  # what the object takes it for: "u32"
    kernel: str  # what this kernel has there: "u64"
    source: str  # file:line of the access, where line info tells


class Stage(TypedDict, total=False):
    """One of the three stages: relocate, load, run."""

    status: Status
    code: Code  # reason code; "" when passed
    message: Text  # one line for people
    seconds: Seconds
    btf: str  # relocate: "kernel", "module:NAME", "supplied:FILE" or "none"
    relocations: list[Relocation]
    maps: list[MapRecord]
    programs: list[ProgramRecord]
    whole: Whole  # load: the object as a whole, beside each program
    notes: list[str]
    evidence: dict[str, Any]  # run: what the check saw
    uses: list[ProgramUse]  # run: of each program that was loaded
    command: dict[str, Any]  # run: what a command did, a `CommandRecord` of matrix/records.py


class BpfCall(TypedDict, total=False):
    """One bpf(2) call of a command, as the kernel answered it."""

    at: Seconds  # since the command was started
    pid: Count  # the thread
    command: str  # PROG_LOAD, MAP_CREATE, …: the kernel's enum bpf_cmd
    errno: Optional[str]  # "EACCES", None where the kernel did it
    name: str  # of the program or map: at most 15 characters, as the kernel keeps it; the path of OBJ_PIN and OBJ_GET
    type: str  # of the program or map
    attach: str  # the attach type, and what a program is loaded for: "trace_fentry do_unlinkat"
    id: Optional[Count]  # that the kernel gave it
    insns: Count  # instructions of a program
    key_size: Count
    value_size: Count
    max_entries: Count
    log: Text  # the verifier's, the first and the last of a long one
    probe: bool  # it looks like a probe of what the kernel can do
    code: Code  # of a call that was refused: the reason code …
    message: Text  # … and why


class Appeared(TypedDict):
    """A program or map that was not there before a command, as it was last seen."""

    id: Count
    name: str
    type: str
    verified_insns: Optional[Count]  # instructions that the verifier processed, of a program; None where nobody tells
    runs: Optional[Count]  # how often the kernel ran it
    left: bool  # whether it is there after the command's end


class Written(TypedDict):
    """What a command wrote to one of its streams: its beginning and its end."""

    first: bytes
    last: bytes  # what follows ``first``, or what follows what is left out
    left_out: Count  # bytes between them


class Samples(TypedDict):
    """What was read from a ring buffer or perf event array."""

    samples: list[bytes]
    lost: Count  # samples that the kernel dropped

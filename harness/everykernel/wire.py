"""The messages between host and guest, and the shape of what they carry.

A frame is eight bytes, two little-endian 32-bit lengths (of the text, of the blob), then the text, then the blob. The
text is one JSON object with the message's ``kind``; wherever the message holds bytes, the text holds
``{"$bytes": [offset, length]}`` into the blob. Each request carries a number, and its one reply carries it back.

Records (`Stage` and what is in it) are plain dictionaries with typed keys: what the guest sends is what the results
file holds (schema ``everykernel/1``).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Optional, TypedDict, Union

from everykernel.errors import GuestLost

HEADER = struct.Struct("<II")
LIMIT = 256 << 20  # bytes in a frame's text or blob: more is a broken stream, not a message

# ---------------------------------------------------------------------------------------------------------- records

PASSED, FAILED, SKIPPED, NOT_REACHED = "passed", "failed", "skipped", "not-reached"


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
    outcome: str  # patched, poisoned or failed
    old: int  # the instruction's immediate or offset field before …
    new: int  # … and after
    mem_size: int  # new size of a load or store in bytes, where it changes
    candidates: list[str]  # the types that were considered: "struct task_struct (vmlinux 123)"
    message: str  # why it is poisoned or failed


class MapRecord(TypedDict, total=False):
    """One map of an object and what the kernel made of it."""

    name: str
    type: str  # array, percpu_hash, …: the kernel's enum bpf_map_type, lower case
    key_size: int
    value_size: int
    max_entries: int
    status: str
    code: str
    errno: Optional[str]
    message: str
    note: str  # what the loader decided by itself: "max_entries was 0: 1"


class ProgramRecord(TypedDict, total=False):
    """One program of an object and what the kernel made of it."""

    name: str
    section: str
    type: str  # kprobe, xdp, …: the kernel's enum bpf_prog_type, lower case
    attach: str  # the attach point: "sched:sched_switch", "do_unlinkat"
    status: str
    code: str
    errno: Optional[str]  # "EACCES"
    message: str
    log: str  # the verifier's, whole
    source: str  # file:line of the failing instruction, where line info tells
    insns: int  # instructions handed to the kernel
    verified_insns: Optional[int]  # instructions the verifier processed, where the kernel tells
    decides: bool  # whether its refusal fails the stage ("?" sections do not)
    variant: str  # load: the group of variants that it was tried in, and which: "start: block_io_start"


class ProgramUse(TypedDict):
    """What became of a program while its object was loaded."""

    name: str
    attached: bool  # whether it ever was
    test_runs: int  # how many were asked for and done
    runs: Optional[int]  # how often the kernel ran it, as it counts itself; None where it does not


class Whole(TypedDict):
    """The object as its reference loader would take it: all or nothing."""

    loader: str  # the reference: "libbpf"
    status: str
    code: str
    errno: Optional[str]
    message: str


class Misread(TypedDict):
    """An access of a program that is loaded and reads other bytes than its author meant."""

    program: str
    insn: int  # index of the instruction in the program
    access: str  # in C: task_struct.start_time
    taken: str  # what the object takes it for: "u32"
    kernel: str  # what this kernel has there: "u64"


class Stage(TypedDict, total=False):
    """One of the three stages: relocate, load, run."""

    status: str
    code: str  # reason code; "" when passed
    message: str  # one line for people
    seconds: float
    btf: str  # relocate: "kernel", "module:NAME", "supplied:FILE" or "none"
    relocations: list[Relocation]
    maps: list[MapRecord]
    programs: list[ProgramRecord]
    whole: Whole  # load: the object as a whole, beside each program
    notes: list[str]
    evidence: dict[str, Any]  # run: what the check saw
    uses: list[ProgramUse]  # run: of each program that was loaded


# --------------------------------------------------------------------------------------------------------- requests


@dataclass
class Hello:
    """First message after a restore: sets the guest's clock, stirs its random pool. Answer: `Facts`."""

    kind: ClassVar[str] = "hello"
    time_ns: int
    entropy: bytes


@dataclass
class Ping:
    """Is the agent alive? Answered at once, even while another request runs. Answer: `Done`."""

    kind: ClassVar[str] = "ping"


@dataclass
class Run:
    """Run a program in the guest. Answer: `Ran`."""

    kind: ClassVar[str] = "run"
    argv: list[str]
    stdin: bytes = b""
    env: dict[str, str] = field(default_factory=dict)


@dataclass
class Start:
    """Start a program in the guest; `Follow` tells what it writes. Answer: `Value` (its number)."""

    kind: ClassVar[str] = "start"
    argv: list[str]
    stdin: bytes = b""
    env: dict[str, str] = field(default_factory=dict)


@dataclass
class Follow:
    """Wait for a started program to write or to end, for some seconds. Answer: `Output`."""

    kind: ClassVar[str] = "follow"
    number: int


@dataclass
class Push:
    """Write a file in the guest, making its folders. Answer: `Done`."""

    kind: ClassVar[str] = "push"
    path: str
    data: bytes
    mode: int = 0o644


@dataclass
class Pull:
    """Read a file in the guest. Answer: `Value` with bytes."""

    kind: ClassVar[str] = "pull"
    path: str


@dataclass
class Load:
    """Relocate and load an object. Answer: `Loaded`; verdicts are in its stages, never errors.

    ``programs`` limits what is loaded to these names (None: all). ``btf`` is a BTF to relocate against instead of the
    kernel's own, named by ``btf_name``. ``contract`` holds the loader contract of a case.
    """

    kind: ClassVar[str] = "load"
    name: str
    data: bytes
    programs: Optional[list[str]] = None
    btf: Optional[bytes] = None
    btf_name: str = ""
    contract: dict[str, Any] = field(default_factory=dict)


@dataclass
class Attach:
    """Attach programs of a loaded object: one by name, or all that attach without parameters. Answer: `Attached`."""

    kind: ClassVar[str] = "attach"
    handle: int
    program: Optional[str] = None
    target: str = ""


@dataclass
class Detach:
    """Close the links of a loaded object: one program's, or all. Answer: `Done`."""

    kind: ClassVar[str] = "detach"
    handle: int
    program: Optional[str] = None


@dataclass
class TestRun:
    """BPF_PROG_TEST_RUN. Answer: `TestRan`."""

    __test__: ClassVar[bool] = False  # not a pytest class
    kind: ClassVar[str] = "test-run"
    handle: int
    program: str
    data: bytes = b""
    context: bytes = b""
    repeat: int = 1


@dataclass
class Read:
    """Read an iterator that is attached, to its end. Answer: `Value` with text."""

    kind: ClassVar[str] = "read"
    handle: int
    program: str


@dataclass
class MapOp:
    """One operation on a map. Answer: `Value`.

    ``op``: ``lookup`` (key), ``update`` (key, value), ``delete`` (key) or ``items`` (all of them); ``lookup_batch`` and
    ``lookup_and_delete_batch`` (all), ``update_batch`` (value: a list of pairs), ``delete_batch`` (key: a list);
    ``send`` (value: a list of samples). Keys and values are plain data decoded by the map's BTF types (bytes where it
    has none); a per-CPU value is a list with one item a CPU.
    """

    kind: ClassVar[str] = "map"
    handle: int
    map: str
    op: str
    key: Any = None
    value: Any = None


@dataclass
class Globals:
    """Read the global variables of .data, .bss and .rodata (``set`` writes some first). Answer: `Value` with a dict."""

    kind: ClassVar[str] = "globals"
    handle: int
    set: dict[str, Any] = field(default_factory=dict)


@dataclass
class Events:
    """Read a ring buffer or perf event array until ``count`` samples or ``timeout`` seconds. Answer: `Value`.

    The value is ``{"samples": [bytes, …], "lost": int}``.
    """

    kind: ClassVar[str] = "events"
    handle: int
    map: str
    count: int = 1
    timeout: float = 1.0


@dataclass
class Check:
    """Run a case's own check: ``source`` is Python that defines ``check(obj)``; obj is the loaded object.

    It runs in the guest. What it returns (plain data) is the evidence; an AssertionError fails the case. Answer:
    `Checked`.
    """

    kind: ClassVar[str] = "check"
    handle: int
    source: str
    filename: str


@dataclass
class Unload:
    """Close everything that a loaded object holds. Answer: `Done`."""

    kind: ClassVar[str] = "unload"
    handle: int


# ---------------------------------------------------------------------------------------------------------- replies


@dataclass
class Facts:
    """What the guest's kernel is, from probes (never from its version)."""

    kind: ClassVar[str] = "facts"
    release: str  # uname -r
    version: str  # uname -v
    machine: str  # uname -m
    cpus: int
    btf: bool  # /sys/kernel/btf/vmlinux is there
    module_btf: list[str]  # modules loaded with BTF of their own
    jit: bool
    lsm: list[str]
    lockdown: str
    config: bool  # the kernel's build configuration can be read
    python: str


@dataclass
class Done:
    """Done, nothing to say."""

    kind: ClassVar[str] = "done"


@dataclass
class Value:
    """Plain data; bytes allowed anywhere in it."""

    kind: ClassVar[str] = "value"
    value: Any


@dataclass
class Ran:
    """How a program ended: ``code`` is its exit code, negative for a signal."""

    kind: ClassVar[str] = "ran"
    code: int
    stdout: bytes
    stderr: bytes


@dataclass
class Output:
    """What a started program wrote since it was last asked; ``code`` is as in `Ran`, None while it runs."""

    kind: ClassVar[str] = "output"
    stdout: bytes
    stderr: bytes
    code: Optional[int] = None


@dataclass
class Loaded:
    """An object was relocated and loaded as far as the kernel let it."""

    kind: ClassVar[str] = "loaded"
    handle: int
    relocate: dict[str, Any]  # a Stage
    load: dict[str, Any]  # a Stage


@dataclass
class Attached:
    """What happened to each program that was to be attached."""

    kind: ClassVar[str] = "attached"
    programs: list[dict[str, Any]]  # ProgramRecords


@dataclass
class TestRan:
    """The outcome of a test run; ``duration_ns`` is per repetition."""

    __test__: ClassVar[bool] = False
    kind: ClassVar[str] = "test-ran"
    retval: int
    data: bytes
    context: bytes
    duration_ns: int


@dataclass
class Checked:
    """The outcome of a case's own check: ``where`` is file:line of the assertion that failed.

    ``uses`` has a `ProgramUse` for each program, ``refused`` a `ProgramRecord` for each that could not be attached.
    """

    kind: ClassVar[str] = "checked"
    passed: bool
    message: str
    where: str
    evidence: Any
    uses: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Failed:
    """The request could not be done; ``code`` is a reason code, ``trace`` a Python traceback for a defect of ours."""

    kind: ClassVar[str] = "failed"
    code: str
    message: str
    where: str = ""
    trace: str = ""


Message = Union[
    Hello, Ping, Run, Start, Follow, Push, Pull, Load, Attach, Detach, TestRun, Read, MapOp, Globals, Events, Check,
    Unload, Facts, Done, Value, Ran, Output, Loaded, Attached, TestRan, Checked, Failed,
]  # fmt: skip
_KINDS: dict[str, Any] = {m.kind: m for m in Message.__args__}  # type: ignore[attr-defined]


# --------------------------------------------------------------------------------------------------------- encoding


def encode(number: int, message: Message) -> bytes:
    """Return the frame of one message."""
    blob = bytearray()

    def plain(value: Any) -> Any:
        if isinstance(value, (bytes, bytearray, memoryview)):
            start = len(blob)
            blob.extend(value)
            return {"$bytes": [start, len(blob) - start]}
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        return value

    body = {f.name: plain(getattr(message, f.name)) for f in fields(message)}
    text = json.dumps({"n": number, "kind": message.kind, "body": body}, separators=(",", ":")).encode()
    return HEADER.pack(len(text), len(blob)) + text + bytes(blob)


def lengths(header: bytes) -> tuple[int, int]:
    """Return the lengths of text and blob from a frame's eight header bytes; raise GuestLost for a broken stream."""
    text, blob = HEADER.unpack(header)
    if text > LIMIT or blob > LIMIT:
        raise GuestLost(f"the channel's stream is broken: a frame of {text} + {blob} bytes")
    return text, blob


def decode(text: bytes, blob: bytes) -> tuple[int, Message]:
    """Return number and message from a frame's text and blob; raise GuestLost if they are none."""

    def hook(value: dict[str, Any]) -> Any:
        if len(value) == 1 and "$bytes" in value:
            start, length = value["$bytes"]
            return blob[start : start + length]
        return value

    try:
        outer = json.loads(text, object_hook=hook)
        return outer["n"], _KINDS[outer["kind"]](**outer["body"])
    except (ValueError, KeyError, TypeError) as e:
        raise GuestLost(f"the channel's stream is broken: {text[:60]!r}") from e

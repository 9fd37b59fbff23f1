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
import re
import struct
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Generic, Optional, TypedDict, TypeVar, Union, get_origin

from everykernel.errors import GuestLost

HEADER = struct.Struct("<II")
LIMIT = 256 << 20  # bytes in a frame's text or blob: more is a broken stream, not a message
# A reply's text: 20,000 programs of an object take 7 MiB, the longest log of a verifier that we ask for 16 MiB.
TEXT_LIMIT = 32 << 20
# Commas, colons, and opening brackets in a reply's text: each value of it costs one at least, and some 60 bytes of the
# host's memory. 20,000 programs take 600,000.
VALUES_LIMIT = 4 << 20
DEPTH_LIMIT = 64  # brackets around a value in a reply; BTF types nest 32 deep at most (kernel/bpf/btf.c)

# Words of a record: what is allowed for each, the host's gate knows (machine/gate.py).
Status = Annotated[str, "status"]  # one of the four below
Code = Annotated[str, "code"]  # a reason code that a guest may give, or ""
Outcome = Annotated[str, "outcome"]  # of a relocation: patched, poisoned or failed
End = Annotated[str, "end"]  # how a command ended: one of `ENDS`
Release = Annotated[str, "release"]  # of a kernel: it becomes part of paths
Text = Annotated[str, "text"]  # as long as a frame: a log, a traceback, what a check says
Count = Annotated[int, "count"]  # not negative
Seconds = Annotated[float, "seconds"]  # not negative

# ---------------------------------------------------------------------------------------------------------- records

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


class Misread(TypedDict):
    """An access of a program that is loaded and reads other bytes than its author meant."""

    program: str
    insn: int  # index of the instruction in the program
    access: str  # in C: task_struct.start_time
    taken: str  # what the object takes it for: "u32"
    kernel: str  # what this kernel has there: "u64"


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


# ---------------------------------------------------------------------------------------------------------- replies

T = TypeVar("T")


@dataclass
class Facts:
    """What the guest's kernel is, from probes (never from its version)."""

    kind: ClassVar[str] = "facts"
    release: Release  # uname -r
    version: str  # uname -v
    machine: str  # uname -m
    cpus: Count
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
class Value(Generic[T]):
    """Plain data; bytes allowed anywhere in it."""

    kind: ClassVar[str] = "value"
    value: T


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
class Commanded:
    """How a command ended, and what it did meanwhile. ``code`` is its exit code, or the signal's number."""

    kind: ClassVar[str] = "commanded"
    end: End
    code: Count
    message: Text  # why it could not be started
    seconds: Seconds
    stdout: Annotated[dict[str, Any], Written]
    stderr: Annotated[dict[str, Any], Written]
    processes: Count  # processes and threads that there were, the command among them
    out_of_memory: Count  # processes that the kernel's OOM killer took meanwhile
    calls: Annotated[list[dict[str, Any]], list[BpfCall]]
    calls_left_out: Count  # between the first and the last of ``calls``
    blamed: Optional[Count]  # index of the refused call that its own failure is likely of
    programs: Annotated[list[dict[str, Any]], list[Appeared]]
    maps: Annotated[list[dict[str, Any]], list[Appeared]]
    notes: list[str]


@dataclass
class Loaded:
    """An object was relocated and loaded as far as the kernel let it."""

    kind: ClassVar[str] = "loaded"
    handle: Count
    relocate: Annotated[dict[str, Any], Stage]
    load: Annotated[dict[str, Any], Stage]
    misreads: Annotated[list[dict[str, Any]], list[Misread]] = field(default_factory=list)


@dataclass
class Attached:
    """What happened to each program that was to be attached."""

    kind: ClassVar[str] = "attached"
    programs: Annotated[list[dict[str, Any]], list[ProgramRecord]]


@dataclass
class TestRan:
    """The outcome of a test run; ``duration_ns`` is per repetition."""

    __test__: ClassVar[bool] = False
    kind: ClassVar[str] = "test-ran"
    retval: int
    data: bytes
    context: bytes
    duration_ns: Count


@dataclass
class Checked:
    """The outcome of a case's own check: ``where`` is file:line of the assertion that failed.

    ``uses`` has a `ProgramUse` for each program, ``refused`` a `ProgramRecord` for each that could not be attached.
    """

    kind: ClassVar[str] = "checked"
    passed: bool
    message: Text
    where: str
    evidence: Any
    uses: Annotated[list[dict[str, Any]], list[ProgramUse]] = field(default_factory=list)
    refused: Annotated[list[dict[str, Any]], list[ProgramRecord]] = field(default_factory=list)


@dataclass
class Failed:
    """The request could not be done, for a reason of the object's or the kernel's: ``code``. Answers any request."""

    kind: ClassVar[str] = "failed"
    code: Code
    message: Text
    where: str = ""
    trace: Text = ""


@dataclass
class Broke:
    """The agent itself has a defect: its traceback. Answers any request.

    Who is to blame is for the host to say: an agent that an object took over may answer this too.
    """

    kind: ClassVar[str] = "broke"
    message: Text
    trace: Text


# --------------------------------------------------------------------------------------------------------- requests

Reply = TypeVar("Reply")


class Request(Generic[Reply]):
    """What the host asks of the guest, and by its parameter what is answered (or `Failed`, or `Broke`).

    ``room`` is how many bytes the answer's blob may have: what is more is no answer.
    """

    kind: ClassVar[str]
    room: ClassVar[int] = 1 << 20


@dataclass
class Hello(Request[Facts]):
    """First message after a restore: sets the guest's clock, stirs its random pool."""

    kind: ClassVar[str] = "hello"
    time_ns: int
    entropy: bytes


@dataclass
class Ping(Request[Done]):
    """Is the agent alive? Answered at once, even while another request runs."""

    kind: ClassVar[str] = "ping"


@dataclass
class Run(Request[Ran]):
    """Run a program in the guest."""

    kind: ClassVar[str] = "run"
    room: ClassVar[int] = 64 << 20  # what a program wrote, in a guest of 256 MiB
    argv: list[str]
    stdin: bytes = b""
    env: dict[str, str] = field(default_factory=dict)


@dataclass
class Start(Request[Value[int]]):
    """Start a program in the guest; `Follow` tells what it writes. The answer is its number."""

    kind: ClassVar[str] = "start"
    argv: list[str]
    stdin: bytes = b""
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = ""
    binds: list[tuple[str, str]] = field(default_factory=list)  # as of `Command`


@dataclass
class Follow(Request[Output]):
    """Wait for a started program to write or to end, for some seconds."""

    kind: ClassVar[str] = "follow"
    number: int


@dataclass
class Push(Request[Done]):
    """Write a file in the guest, making its folders."""

    kind: ClassVar[str] = "push"
    path: str
    data: bytes
    mode: int = 0o644


class Entry(TypedDict, total=False):
    """A file, a folder or a link that a guest is to have."""

    path: str
    mode: int
    data: bytes  # of a file
    append: bool  # the data goes behind what is there
    link: str  # what a symbolic link points to
    folder: bool


@dataclass
class Place(Request[Done]):
    """Write files, folders and links in the guest, making the folders above them."""

    kind: ClassVar[str] = "place"
    entries: list[Any]  # of Entry


@dataclass
class Room(Request[Value[Count]]):
    """How many bytes of files there is room for. Answer: as far as the guest's memory and file system say."""

    kind: ClassVar[str] = "room"


@dataclass
class Command(Request[Commanded]):
    """Run a program to its end, or to ``timeout`` seconds, and watch what it does.

    ``binds`` are pairs of paths: the command, and it alone, finds the file of the first under the second. At most
    ``processes`` may be alive at once, threads counted; ``keep`` bytes are kept of each end of each stream.
    """

    kind: ClassVar[str] = "command"
    room: ClassVar[int] = 5 << 20  # both ends of both streams
    argv: list[str]
    timeout: float
    stdin: bytes = b""
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = ""
    binds: list[tuple[str, str]] = field(default_factory=list)
    processes: int = 256
    keep: int = 1 << 20


@dataclass
class Pull(Request[Value[bytes]]):
    """Read a file in the guest."""

    kind: ClassVar[str] = "pull"
    room: ClassVar[int] = LIMIT  # a file, a kernel's image among them
    path: str


@dataclass
class Load(Request[Loaded]):
    """Relocate and load an object. Verdicts are in the answer's stages, never errors.

    ``programs`` limits what is loaded to these names (None: all). ``btf`` is a BTF to relocate against instead of the
    kernel's own, named by ``btf_name``. ``contract`` holds the loader contract of a case. ``beside`` are more
    objects by name, loaded in order after the first, whose maps of the same name they share; the answer is of all.
    ``rules`` names the loader whose decisions are taken (load/rules/).
    """

    kind: ClassVar[str] = "load"
    name: str
    data: bytes
    programs: Optional[list[str]] = None
    btf: Optional[bytes] = None
    btf_name: str = ""
    contract: dict[str, Any] = field(default_factory=dict)
    beside: dict[str, bytes] = field(default_factory=dict)
    rules: str = "libbpf"


@dataclass
class Attach(Request[Attached]):
    """Attach programs of a loaded object: one by name, or all that attach without parameters."""

    kind: ClassVar[str] = "attach"
    handle: int
    program: Optional[str] = None
    target: str = ""


@dataclass
class Detach(Request[Done]):
    """Close the links of a loaded object: one program's, or all."""

    kind: ClassVar[str] = "detach"
    handle: int
    program: Optional[str] = None


@dataclass
class TestRun(Request[TestRan]):
    """BPF_PROG_TEST_RUN."""

    __test__: ClassVar[bool] = False  # not a pytest class
    kind: ClassVar[str] = "test-run"
    room: ClassVar[int] = 16 << 20  # a packet and a context; the kernel takes 4 MiB at most
    handle: int
    program: str
    data: bytes = b""
    context: bytes = b""
    repeat: int = 1


@dataclass
class Read(Request[Value[Text]]):
    """Read an iterator that is attached, to its end."""

    kind: ClassVar[str] = "read"
    handle: int
    program: str


@dataclass
class MapOp(Request[Value[Any]]):
    """One operation on a map.

    ``op``: ``lookup`` (key), ``update`` (key, value), ``delete`` (key) or ``items`` (all of them); ``lookup_batch`` and
    ``lookup_and_delete_batch`` (all), ``update_batch`` (value: a list of pairs), ``delete_batch`` (key: a list);
    ``send`` (value: a list of samples). Keys and values are plain data decoded by the map's BTF types (bytes where it
    has none); a per-CPU value is a list with one item a CPU.
    """

    kind: ClassVar[str] = "map"
    room: ClassVar[int] = 64 << 20  # all that a map holds
    handle: int
    map: str
    op: str
    key: Any = None
    value: Any = None


@dataclass
class Globals(Request[Value[dict[str, Any]]]):
    """Read the global variables of .data, .bss and .rodata (``set`` writes some first). The answer has all."""

    kind: ClassVar[str] = "globals"
    room: ClassVar[int] = 64 << 20  # all variables
    handle: int
    set: dict[str, Any] = field(default_factory=dict)


@dataclass
class Events(Request[Value[Samples]]):
    """Read a ring buffer or perf event array until ``count`` samples or ``timeout`` seconds."""

    kind: ClassVar[str] = "events"
    room: ClassVar[int] = 64 << 20  # all that a ring buffer holds
    handle: int
    map: str
    count: int = 1
    timeout: float = 1.0


@dataclass
class Check(Request[Checked]):
    """Run a case's own check: ``source`` is Python that defines ``check(obj)``; obj is the loaded object.

    It runs in the guest. What it returns (plain data) is the evidence; an AssertionError fails the case. Answer:
    `Checked`.
    """

    kind: ClassVar[str] = "check"
    room: ClassVar[int] = 64 << 20  # evidence may hold bytes
    handle: int
    source: str
    filename: str


@dataclass
class Unload(Request[Done]):
    """Close everything that a loaded object holds."""

    kind: ClassVar[str] = "unload"
    handle: int


Message = Union[
    Hello, Ping, Run, Start, Follow, Push, Place, Room, Command, Pull, Load, Attach, Detach, TestRun, Read, MapOp,
    Globals, Events, Check, Unload, Facts, Done, Value[Any], Ran, Output, Commanded, Loaded, Attached, TestRan, Checked,
    Failed, Broke,
]  # fmt: skip
_KINDS: dict[str, Any] = {m.kind: get_origin(m) or m for m in Message.__args__}  # type: ignore[attr-defined]


# --------------------------------------------------------------------------------------------------------- encoding


def encode(number: int, message: Any) -> bytes:
    """Return the frame of one message, a `Request` or a reply."""
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


def lengths(header: Union[bytes, bytearray], text_limit: int = LIMIT, blob_limit: int = LIMIT) -> tuple[int, int]:
    """Return the lengths of text and blob from a frame's eight header bytes; raise GuestLost for a broken stream."""
    text, blob = HEADER.unpack(header)
    if text > text_limit or blob > blob_limit:
        raise GuestLost(f"the channel's stream is broken: a frame of {text} + {blob} bytes")
    return text, blob


# A string (or what begins like one at the end: so that no character is looked at twice), or signs outside of strings.
_SIGNS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|([,:\[{]+)', re.DOTALL)


def crowded(text: bytes) -> bool:
    """Return whether a reply's text holds more values than `VALUES_LIMIT`."""
    if len(text) <= VALUES_LIMIT or sum(map(text.count, (b",", b":", b"[", b"{"))) <= VALUES_LIMIT:
        return False
    signs = 0
    for found in _SIGNS.finditer(text):  # a log has many, all within its string
        signs += len(found[1] or b"")
        if signs > VALUES_LIMIT:
            return True
    return False


def decode(text: bytes, blob: bytes) -> tuple[int, Any]:
    """Return number and message from a frame's text and blob; raise GuestLost if they are none.

    For a frame of the host's: one of a guest's goes through machine/gate.py.
    """

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

"""What the host asks of the guest.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Optional, TypedDict, TypeVar

from everykernel.dataclass import dataclass, field
from everykernel.wire.records import (
    Count,
    Samples,
    Text,
)
from everykernel.wire.replies import (
    Attached,
    Checked,
    Commanded,
    Done,
    Facts,
    Loaded,
    Output,
    Ran,
    TestRan,
    Value,
)

LIMIT = 256 << 20  # bytes in a frame's text or blob: more is a broken stream, not a message

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
    ``rules`` names the loader whose decisions are taken (load/rules/). ``until`` ``relocate`` asks the kernel for
    nothing: the load stage of the answer is skipped.
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
    until: str = "load"


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
class Finish(Request[Value[list[str]]]):
    """Unload everything, end every program that was started. Answer: a line for each thing that stays all the same.

    Last request to an agent on a machine that is not thrown away.
    """

    kind: ClassVar[str] = "finish"


@dataclass
class Unload(Request[Done]):
    """Close everything that a loaded object holds."""

    kind: ClassVar[str] = "unload"
    handle: int

"""What the guest answers.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Generic, Optional, TypeVar

from everykernel.dataclass import dataclass, field
from everykernel.wire.records import (
    Appeared,
    BpfCall,
    Code,
    Count,
    End,
    Misread,
    ProgramRecord,
    ProgramUse,
    Release,
    Seconds,
    Stage,
    Text,
    Written,
)

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
    unprivileged_bpf: str  # kernel.unprivileged_bpf_disabled: "0" lets everybody load, "1" and "2" do not; "" unknown
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

"""What is fuzzed, by name: one function each, which raises only for a defect of ours.

``objects``: objects, BTF and CO-RE records (`exercise`). ``gate``: a frame's bytes as the answer to a request.
``stream``: what comes over the channel, in parts.
``cells``: recorded answers changed as the input says, through a cell, ledger, results.json, terminal and Markdown.
``inside``: files that may hold objects.
``files``: what comes with packages and paths: images, modules, packages, indexes, specs and case files.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import random
import socket
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
from rich.console import Console
from tests import holders
from tests.conformance import generated
from tests.fuzz import lies, recording, run
from tests.fuzz.exercise import exercise

from everykernel import names, wire
from everykernel.errors import EverykernelError, GuestLost, ObjectMalformed
from everykernel.images import modules
from everykernel.kernels import control, deb, image, index, release, spec
from everykernel.machine import fake, gate
from everykernel.machine.channel import Channel, ChannelClosed, DeadlinePassed
from everykernel.matrix import case, records
from everykernel.matrix.cell import run_cell
from everykernel.matrix.ledger import Ledger
from everykernel.matrix.ranges import KernelRange
from everykernel.matrix.results import identify
from everykernel.object import embedded, read
from everykernel.report import markdown, schema, terminal
from everykernel.report.folder import ReportFolder

REQUESTS: tuple[wire.Request[Any], ...] = (
    wire.Hello(0, b""), wire.Ping(), wire.Run([]), wire.Start([]), wire.Follow(1), wire.Push("", b""), wire.Pull(""),
    wire.Load("", b""), wire.Attach(1), wire.Detach(1), wire.TestRun(1, ""), wire.Read(1, ""),
    wire.MapOp(1, "", "items"), wire.MapOp(1, "", "lookup"), wire.MapOp(1, "", "send"), wire.Globals(1),
    wire.Events(1, ""), wire.Check(1, "", ""), wire.Unload(1), wire.Place([]),
    wire.Room(), wire.Command([], 1.0),
)  # fmt: skip
_AT_ONCE = 64 << 10  # bytes that a socket takes before anybody reads
_VALIDATOR = jsonschema.Draft202012Validator(schema.load())
_NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)


class Dice(random.Random):
    """Chance that an input decides: its bytes are used one after the other, then zeros."""

    def __new__(cls, data: bytes) -> Dice:
        """Make dice; `random.Random` would seed itself with the bytes."""
        return super().__new__(cls)

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._file = io.BytesIO(data)

    def random(self) -> float:
        """Return a number from 0 to 1, of 16 bits."""
        return self.getrandbits(16) / 65536

    def getrandbits(self, bits: int) -> int:
        """Return a number of so many bits."""
        count = (bits + 7) // 8
        return int.from_bytes(self._file.read(count).ljust(count, b"\0"), "little") & ((1 << bits) - 1)

    def _randbelow(self, n: int) -> int:
        return self.getrandbits(max(8, n.bit_length())) % n


def replies(data: bytes) -> None:
    """The answer to one of `REQUESTS`: its text after a 16-bit length of the blob, which comes last."""
    if len(data) < 3:
        return
    (blob,) = struct.unpack_from("<H", data, 1)
    cut = max(3, len(data) - blob)
    request = REQUESTS[data[0] % len(REQUESTS)]
    try:
        _, answer = gate.admit(data[3:cut], data[cut:], {0: request, 2: request})
    except GuestLost as lost:
        clean(str(lost))
        return
    json.dumps(records.plain(vars(answer)), allow_nan=False).encode()


def stream(data: bytes) -> None:
    """A stream of frames, which ends (even second byte) or stays open; the first byte says what was asked."""
    if len(data) < 2:
        return
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    asked = {0: REQUESTS[data[0] % len(REQUESTS)]}
    with contextlib.closing(channel), theirs:
        theirs.sendall(data[2:][:_AT_ONCE])
        if data[1] % 2 == 0:
            theirs.close()
        with contextlib.suppress(ChannelClosed, DeadlinePassed, GuestLost):
            while True:
                text, blob = channel.receive(time.monotonic() + 0.001, wire.TEXT_LIMIT, asked[0].room)
                assert len(text) + len(blob) + channel.pending < _AT_ONCE
                gate.admit(text, blob, asked)


def cells(data: bytes) -> None:
    """Answers changed by these dice, through everything that a run does with a cell."""
    world = run.Liars()
    world.dice = Dice(data)
    with tempfile.TemporaryDirectory(dir=_memory()) as name:
        folder = Path(name)
        objects = run.prepare(folder, cases=1, objects=0)
        what = case.read(folder / objects[0] / case.FILENAME)
        kernel = fake.kernel()
        report = run_cell(lambda: world.start(kernel), kernel, what)
        known: list[Any] = [report["kernel"]]
        kept = ReportFolder(folder / "report", identify("tcg", "7.2"), known)
        ledger = Ledger(known, [kept.add])
        ledger.add(report)
        kept.close(ledger.results, ledger.kernels)
        results = json.loads((folder / "report/results.json").read_text(), parse_constant=_refuse)
        _VALIDATOR.validate(results)
        assert len(results["results"]) == 1
        shown = io.StringIO()
        terminal.show(Console(file=shown, width=100), ledger.results, ledger.kernels, verbose=2)
        for text in (shown.getvalue(), markdown.render(ledger.results, ledger.kernels)):
            clean(text)


def files(data: bytes) -> None:
    """The first byte says what the rest is."""
    if data:
        try:
            _FILES[data[0] % len(_FILES)](data[1:])
        except EverykernelError as refused:
            clean(str(refused))


def inside(data: bytes) -> None:
    """What is found lies inside, once, is called what a path can hold, and is read or refused."""
    try:
        found = embedded.find(data, "fuzz")
    except ObjectMalformed:
        return
    assert len({one.sha256 for one in found.objects}) == len({one.name for one in found.objects}) == len(found.objects)
    for one in found.objects:
        assert data[one.offset : one.offset + len(one.data)] == one.data
        assert names.checked(one.name, "an object") == one.name
        with contextlib.suppress(EverykernelError):
            read(one.data, one.name)


def clean(text: str) -> None:
    """Raise AssertionError where a text holds what a terminal obeys."""
    assert run.ALONE.search(text) is None, text


def _image(data: bytes) -> None:
    image.inspect(data, "bzImage")
    image.btf(data)


def _case(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=_memory(), suffix=".toml") as file:
        file.write(data)
        file.flush()
        case.read(Path(file.name))


def _package(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=_memory(), suffix=".deb") as file:
        file.write(data)
        file.flush()
        for _, content in deb.unpack(Path(file.name), largest=1 << 20):
            if content is not None:
                content.read()


def _module(data: bytes) -> None:
    modules.depends(data)
    with tempfile.NamedTemporaryFile(dir=_memory(), suffix=(".ko.xz", ".ko.zst", ".ko.gz")[len(data) % 3]) as file:
        file.write(data)
        file.flush()
        modules.content(Path(file.name))


def _index(data: bytes) -> None:
    found = control.fields(data.decode("utf-8", "replace"))
    control.Version(found.get("version", ""))
    size = found.get("size", "")
    index.Entry(
        found.get("package", ""), found.get("version", ""), "amd64", "bookworm", found.get("filename", ""),
        int(size) if size.isascii() and size.isdecimal() and len(size) < 20 else 0, found.get("sha256", ""),
    )  # fmt: skip


def _release(data: bytes) -> None:
    release.Release.read(data, "InRelease").check("bookworm", "InRelease", frozen=None, now=_NOW)


def _spec(data: bytes) -> None:
    text = data.decode("utf-8", "replace").replace("/", ":")  # no path of this machine
    for found in spec.parse(text):
        assert found.text
    KernelRange.parse(text)


_FILES: tuple[Callable[[bytes], None], ...] = (_image, _case, _package, _module, _index, _release, _spec)

TARGETS: dict[str, Callable[[bytes], None]] = {
    "objects": exercise,
    "gate": replies,
    "stream": stream,
    "cells": cells,
    "files": files,
    "inside": inside,
}


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _refuse(word: str) -> None:
    raise AssertionError(f"results.json holds {word}")


def seeds(name: str) -> list[bytes]:
    """Return sound inputs of a target, to begin with."""
    numbers = {request.kind: number for number, request in reversed(list(enumerate(REQUESTS)))}
    if name == "gate":
        return [
            bytes([numbers[reply.request]]) + struct.pack("<H", len(blob)) + text + blob
            for cell in recording.read() for reply in cell.replies for text, blob in [reply.parts]
        ]  # fmt: skip
    if name == "stream":
        frames = ((r.request, *r.parts) for cell in recording.read() for r in cell.replies)
        return [
            bytes([numbers[kind], len(text) % 2]) + (wire.HEADER.pack(len(text), len(blob)) + text + blob) * 2
            for kind, text, blob in frames
        ]
    if name == "cells":
        dice = random.Random(lies.DEEP)
        return [dice.randbytes(64) for _ in range(64)]
    if name == "inside":
        object_ = generated.sample(1, programs=1).object
        symbols = [holders.Symbol("main._BpfBytes", holders.address(len(object_)), 24)]
        pointer = struct.pack("<QQQ", holders.address(0), len(object_), len(object_))
        return [
            object_ + object_,
            holders.program(object_ + pointer, symbols, [(holders.address(4), holders.address(0))]),
        ]
    if name == "files":
        return [bytes([number]) + text for number, texts in enumerate(_TEXTS) for text in texts]
    return []


_TEXTS: tuple[tuple[bytes, ...], ...] = (
    (bytes(0x1F1) + b"\4" + bytes(16) + b"HdrS\x0f\x02" + bytes(6) + b"\0\1" + bytes(240) + b"6.1.0 (x)" + bytes(512),),
    (b'object = "x.o"\n[[expect]]\nstage = "load"\nstatus = "failed"\nkernels = "<5.11"\n[machine]\nmemory = 512\n',),
    (b"!<arch>\ndata.tar        0           0     0     100644  4         `\nabcd",),
    (b"\0depends=a,b-c\0",),
    (b"Package: linux-image\nVersion: 6.1.1-1\nFilename: pool/main/l/x.deb\nSize: 12\nSHA256: 00\n",),
    (b"Suite: stable\nCodename: bookworm\nDate: Sat, 31 Oct 2026 10:00:00 UTC\nSHA256:\n 0 1 x\n", b"Valid-Until: x"),
    (b"6.1,6.1.192+generic:i386", b"5.10..6.12", b"<=6.1", b"lts,latest"),
)  # fmt: skip

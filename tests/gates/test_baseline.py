"""A baseline's text: what each line means, and that what means nothing is refused with its line and what to do."""

from __future__ import annotations

import contextlib
import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everykernel.errors import UsageError
from everykernel.gates import words
from everykernel.gates.baseline import Baseline, Entry, Until
from everykernel.gates.findings import EVERY_STAGE, LISTABLE, Thing
from everykernel.gates.where import KernelSeen, Where
from everykernel.reasons import REASONS

WHOLE = """\
# head

tested kernel 5.10
tested object ./tools/x.o

# why it is so
tools/x.o load p 4.19..5.2 verifier-rejected "no \\"bounded\\" loops" https://host/1#a until=2027-01-01 # here
"a b.o" relocate - >=5.14,<6.15/i386 btf-missing btf=none
tools/x.o load - * map-create-failed loader=aya until=7.4
"-" guest - 5.10 kernel-panic
"""


def test_each_part_of_a_line_is_read() -> None:
    """Words, reason, link, pairs and the comment behind them are what the page says."""
    baseline = Baseline.parse(WHOLE)
    first, second, third, fourth = baseline.entries
    assert first.thing == Thing("tools/x.o", "load", "p", "verifier-rejected")
    assert (first.where.text, first.reason, first.link, first.line) == (
        "4.19..5.2", 'no "bounded" loops', "https://host/1#a", 7,
    )  # fmt: skip
    assert first.until is not None
    assert first.until.day == datetime.date(2027, 1, 1)
    assert first.note == "# here"
    assert (second.thing.row, second.thing.program, second.btf) == ("a b.o", "", "none")
    assert third.thing == Thing("tools/x.o", "load", "", "map-create-failed", loader="aya")
    assert fourth.thing.row == "-"
    assert baseline.kernels == {"5.10"}
    assert baseline.rows == {"tools/x.o"}


WRONG = [
    ("x.o load p 5.10", "everykernel.baseline:1: has 4 words, and no code [OBJECT STAGE PROGRAM KERNELS CODE"),
    ("x.o lod p 5.10 verifier-rejected", "'lod' is no stage [did you mean 'load'?]"),
    ("x.o load p 5.10 verifier-reject", "'verifier-reject' is no reason code [did you mean 'verifier-rejected'?]"),
    ("x.o guest - 5.10 guest-lost", "guest-lost cannot be known beforehand [only kernel-panic,"),
    ("x.o load - 5.10 kernel-panic", "kernel-panic does not arise in stage load [write guest]"),
    ("x.o guest - 5.10 load-failed", "load-failed does not arise in stage guest [write load]"),
    ("x.o load p >=5,x load-failed", "'>=5,x' is not a range of kernels [write a kernel as the run names it"),
    ('x.o load p "" load-failed', "names no kernel"),
    ("x.o load p 5.10 load-failed until=soon", "until=soon is neither a date nor a kernel [write a date, 2027-01-01"),
    ("x.o load p 5.10 load-failed until=2027-13-01", "until=2027-13-01: month must be in 1..12"),
    ("x.o load p 5.10 load-failed unitl=7.4", "'unitl' is no key [did you mean 'until'?]"),
    ("x.o load p 5.10 load-failed btf=yes", "'yes' is no BTF [one of kernel, supplied, none]"),
    ("x.o load p 5.10 load-failed rules=x", "'x' is no rules"),
    ('x.o load p 5.10 load-failed "a" "b"', '"b" is one word too many'),
    ("x.o load p 5.10 load-failed because", "because is one word too many"),
    ('x.o load p 5.10 load-failed "a', "the quote at column 29 does not end"),
    ('x.o load p 5.10 load-failed "\\x"', "is no text as JSON writes it"),
    ("tested kernels 5.10", "does not say what was tested ['tested kernel 6.1'"),
    ("x.o load p 5.10 load-failed\n\nx.o load p 5.10 load-failed 'y'", "one word too many"),
    ("x.o load p * load-failed\n\n./x.o load p * load-failed", ":3: says the same again [leave one of lines 1 and 3]"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_what_means_nothing_is_refused(text: str, told: str) -> None:
    """The error names the file's line, what is wrong with it, and what to write."""
    with pytest.raises(UsageError) as caught:
        Baseline.parse(text)
    assert told in str(caught.value)
    assert str(caught.value).startswith("everykernel.baseline:")


def test_files_that_are_none(tmp_path: Path) -> None:
    """A file that is not there, no text, or far too large says so by its name."""
    path = tmp_path / "b"
    with pytest.raises(UsageError, match=r"b: there is no such baseline \[--update-baseline writes it\]"):
        Baseline.read(path)
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"b: is not UTF-8: .* at byte 0"):
        Baseline.read(path)
    with path.open("wb") as file:
        file.truncate(9 << 20)
    with pytest.raises(UsageError, match="b: is larger than 8 MiB"):
        Baseline.read(path)
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        Baseline.read(tmp_path)


NAMES = st.text(min_size=1, max_size=12)
CODES = st.sampled_from([code for code in REASONS if REASONS[code].stage != "guest"])
SPECS = st.sampled_from(["5.10", "6.1/i386", "4.19..5.2", ">=5.14,<6.15", "*", "*/arm64", "./a b/bzImage"])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(NAMES, st.sampled_from(EVERY_STAGE[:3]), st.text(max_size=8), SPECS, CODES, st.text(max_size=12))
def test_what_is_written_is_read_again(row: str, stage: str, program: str, kernels: str, code: str, why: str) -> None:
    """Whatever objects, programs and reasons are called, a line that was written means the same again."""
    until = Until.parse("7.4", "")
    entry = Entry(Thing(row, stage, program, code, "aya"), Where.parse(kernels), "none", why, "https://h", until)
    text = entry.text()
    assert text.isprintable()
    [read] = Baseline.parse(text).entries
    assert read.text() == Entry(read.thing, entry.where, "none", why, "https://h", until, note=read.note).text()
    assert (read.thing.program, read.reason, read.where) == (program, why, entry.where)
    if not row.startswith("./"):
        assert read.thing == entry.thing


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=60))
def test_no_line_does_more_than_be_refused(text: str) -> None:
    """Any text is a baseline, or a usage error."""
    with contextlib.suppress(ValueError):
        words.split(text)
    with contextlib.suppress(UsageError):
        Baseline.parse(text)


KERNELS = [
    ("6.1", KernelSeen("6.1", (6, 1, 192)), True),
    ("6.1", KernelSeen("6.1/i386", (6, 1, 192), "i386"), False),
    ("5.10..6.1", KernelSeen("6.1", (6, 1, 192)), True),
    ("5.10..6.1", KernelSeen("6.1/i386", (6, 1, 192), "i386"), False),
    ("5.10..6.1/i386", KernelSeen("6.1/i386", (6, 1, 192), "i386"), True),
    ("5.10..6.1", KernelSeen("6.2", (6, 2)), False),
    (">=6.2", KernelSeen("6.12+generic", (6, 12, 57)), True),
    ("*", KernelSeen("./bzImage", (), "i386"), True),
    ("*/arm64", KernelSeen("./bzImage", (), "i386"), False),
    (">=4", KernelSeen("./bzImage", ()), False),
    ("/boot/vmlinuz", KernelSeen("/boot/vmlinuz", ()), True),
]


@pytest.mark.parametrize(("text", "tested", "holds"), KERNELS)
def test_which_kernels_are_meant(text: str, tested: KernelSeen, holds: bool) -> None:
    """A spec is one kernel's; a range is of x86_64 unless it says otherwise."""
    assert Where.parse(text).holds(tested) is holds


def test_what_a_kernel_is() -> None:
    """Release and architecture come from the record, from the spec where no guest told, and from no nonsense."""
    assert KernelSeen.of({"spec": "6.1/i386"}) == KernelSeen("6.1/i386", (6, 1), "i386")
    assert KernelSeen.of({"spec": "x", "release": "6.1.0-56-amd64", "version": "#1 SMP Debian 6.1.192-1"}).release == (
        6,
        1,
        192,
    )
    assert KernelSeen.of({"spec": "x", "release": "9" * 5000}).release == ()
    assert KernelSeen.of({"spec": "./bzImage", "release": "mine"}).release == ()


def test_until() -> None:
    """A date holds through its day; a kernel until the run has it, or a newer one."""
    day, kernel = Until.parse("2027-01-01", ""), Until.parse("7.4", "")
    new = [KernelSeen("7.4", (7, 4))]
    assert not day.over(datetime.date(2027, 1, 1), new)
    assert day.over(datetime.date(2027, 1, 2), [])
    assert not kernel.over(datetime.date(2050, 1, 1), [KernelSeen("7.3", (7, 3, 99)), KernelSeen("x")])
    assert kernel.over(datetime.date(2020, 1, 1), new)
    assert set(LISTABLE) <= set(REASONS)

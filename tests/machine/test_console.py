"""What a console says is read as a person would: panic, oops, or a warning of a kernel that goes on."""

from __future__ import annotations

import time

import pytest

from everykernel.errors import GuestLost, KernelOops, KernelPanic
from everykernel.machine import console

PANIC = """\
[    2.174684] Run /init as init process\r
[   11.500000] sysrq: Trigger a crash\r
[   11.500100] Kernel panic - not syncing: sysrq triggered crash\r
[   11.500200] CPU: 0 PID: 93 Comm: sh Not tainted 6.1.0-56-cloud-amd64 #1  Debian 6.1.192-2\r
[   11.500300] Call Trace:\r
[   11.500400]  sysrq_handle_crash+0x16/0x20\r
[   11.500500] ---[ end Kernel panic - not syncing: sysrq triggered crash ]---\r
"""
# The first lines as Linux 5.10, 6.1 and 6.12 print them.
OOPSES = [
    "BUG: kernel NULL pointer dereference, address: 0000000000000000",
    "BUG: unable to handle page fault for address: ffffffffc0000000",
    "invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
    "Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
    "general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP",
    "kernel BUG at kernel/bpf/core.c:1!",
    "Internal error: Oops: 0000000096000004 [#1] SMP",
]
WARNING = """\
[    3.000000] ------------[ cut here ]------------
[    3.000001] WARNING: CPU: 1 PID: 7 at kernel/bpf/verifier.c:10 do_check+0x1/0x2
[    3.000002] Modules linked in: dummy
[    3.000003] Call Trace:
[    3.000004]  <TASK>
[    3.000005]  do_check+0x1/0x2
[    3.000006]  </TASK>
[    3.000007] ---[ end trace 0000000000000000 ]---
[    3.100000] dummy: loaded
[    4.000000] BUG: sleeping function called from invalid context at mm/x.c:1
[    4.000001] in_atomic(): 1
"""


def test_a_panic_is_found_with_its_trace() -> None:
    """The error names the cause; its console begins where the panic does."""
    error = console.death(PANIC, "6.1")
    assert isinstance(error, KernelPanic)
    assert str(error) == "6.1: the kernel panicked: sysrq triggered crash"
    assert error.console.splitlines()[0] == "sysrq: Trigger a crash"
    assert "sysrq_handle_crash" in error.console
    assert "\r" not in error.console


@pytest.mark.parametrize("line", OOPSES)
def test_an_oops_is_not_taken_for_the_panic_that_follows(line: str) -> None:
    """With oops=panic each oops ends in a panic: the oops is the cause."""
    lines = ["before", line, "RIP: 0010:f", "Kernel panic - not syncing: Fatal exception"]
    text = "".join(f"[    1.{number}] {words}\n" for number, words in enumerate(lines))
    error = console.death(text, "6.1")
    assert isinstance(error, KernelOops)
    assert error.message == f"the kernel oopsed: {line}"
    assert error.console.startswith(line)


def test_an_oops_on_the_way_down_does_not_hide_the_panic() -> None:
    """What breaks while a kernel panics is not the cause."""
    assert isinstance(console.death(PANIC + "BUG: unable to handle page fault\n", "6.1"), KernelPanic)


def test_a_quiet_end_is_no_death_of_the_kernels() -> None:
    """Without either, the console does not say why."""
    assert console.death("[    1.0] reboot: Restarting system\n", "6.1") is None


KILLED = """\
[   32.657225] python3 invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO), order=0\r
[   32.705332] Out of memory: Killed process 112 (python3) total-vm:146600kB, anon-rss:62244kB, UID:0\r
Killed\r
everykernel: the agent ended with code 137\r
[   33.095772] reboot: Restarting system\r
"""


def test_an_agent_killed_for_memory_is_told() -> None:
    """The error says that memory ran out and how to have more; the console shows the kill."""
    error = console.death(KILLED, "6.1")
    assert isinstance(error, GuestLost)
    assert str(error) == (
        "6.1: the guest ran out of memory: the kernel killed its agent "
        "[give it more: run --memory 512 (MiB), memory = 512 in a case's [machine], kernel(memory=512) on a test]"
    )
    assert "invoked oom-killer" in error.console


def test_another_process_killed_for_memory_is_no_death() -> None:
    """A kernel that killed a program of the case goes on; an agent that ends later did not run out of memory."""
    other = KILLED.replace("code 137", "code 1")
    assert console.death(other, "6.1") is None


@pytest.mark.parametrize("line", ["System is deadlocked on memory", "Out of memory: compulsory panic_on_oom"])
def test_a_panic_for_memory_says_how_to_have_more(line: str) -> None:
    """Where nothing is left to kill the kernel panics."""
    error = console.death(f"[    1.0] Kernel panic - not syncing: {line}\n", "6.1")
    assert isinstance(error, KernelPanic)
    assert "memory = 512" in error.remedy
    assert console.death(PANIC, "6.1").remedy == ""  # type: ignore[union-attr]


def test_splats_are_found_whole() -> None:
    """Each warning comes with its trace and without the lines after it."""
    first, second = console.splats(WARNING)
    assert first.splitlines()[0] == "WARNING: CPU: 1 PID: 7 at kernel/bpf/verifier.c:10 do_check+0x1/0x2"
    assert "do_check+0x1/0x2" in first.splitlines()[-1]
    assert "dummy: loaded" not in first
    assert second.splitlines() == [
        "BUG: sleeping function called from invalid context at mm/x.c:1",
        "in_atomic(): 1",
    ]


def test_an_ordinary_boot_has_no_splats() -> None:
    """Ordinary messages are no warnings, whatever their level."""
    assert console.splats("[    0.8] mtrr: your CPUs had inconsistent fixed MTRR settings\n") == []


def test_the_tail_is_the_last_lines() -> None:
    """At most so many lines, without what follows the last one."""
    assert console.tail("a\r\nb\r\nc\r\n\n", 2) == "b\nc"


@pytest.mark.parametrize(
    "line",
    [
        "x: " * 50_000,
        "x: 0000 [#" * 15_000,
        "=" * 156_000 + "x",
        "BUG: " * 30_000,
        "[" + " " * 156_000,
        "Out of memory: Killed process 1 x" * 4_000,
        "Kernel panic " * 12_000,
    ],
)
def test_a_hostile_line_costs_no_more_than_its_length(line: str) -> None:
    """A long line without an end, and very many lines of one kind, are read in a moment."""
    lines = (line[:900] + "\n") * (console.LIMIT // 4 // 900)
    for text in (line, lines, "WARNING: CPU: \n" + lines, "Out of memory: Killed process 1 \n" * 40_000):
        began = time.process_time()
        console.death(text, "6.1")
        console.splats(text)
        console.tail(text)
        console.end(text)
        assert time.process_time() - began < 3


def test_what_is_told_of_a_death_is_one_short_line() -> None:
    """What a kernel prints is its own: no control character and no long line gets into a message."""
    for begin in ("Kernel panic - not syncing: ", "BUG: unable to handle "):
        error = console.death(begin + "\x1b[31m\u202e" + "x" * 100_000, "6.1")
        assert error is not None
        assert error.message.isprintable()
        assert len(error.message) < 300
        assert len(error.console) <= 1000


def test_the_end_of_a_console_is_whole_lines() -> None:
    """A long console is cut where a line begins, a short one is not."""
    assert console.end("a\r\nb") == "a\nb"
    text = "".join(f"line {n}\n" for n in range(200_000))
    kept = console.end(text)
    assert text.endswith("\n" + kept)
    assert console.END - 20 < len(kept) <= console.END


def test_a_flood_of_warnings_is_counted() -> None:
    """So many are kept, and how many more there were is said."""
    found = console.splats("BUG: using x\n" * 1000)
    assert len(found) == console.SPLATS_LIMIT + 1
    assert found[-1] == "(800 more warnings)"

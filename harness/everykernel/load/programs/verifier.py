"""The verifier's log: which instruction it stopped at, why, and what of the log a reader needs.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Optional

from everykernel.namedtuple import NamedTuple
from everykernel.object import lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from everykernel.btf import Btf
    from everykernel.load.programs.link import Linked

_INSN = re.compile(r"^(\d+): (?:\([0-9a-f]{2}\) |BUG_)")  # BUG_db: no name for it
# Lines at the end of a log that say nothing about the reason.
_TAIL = re.compile(
    r"^(processed \d+ insns|verification time|stack depth|peak_states|max_states_per_insn|total_states|mark_read|"
    r"insns_processed|-- END|arg#\d+ .* doesn't|R\d+(_\w+)?=|\d+: R\d+|; |from \d+ to \d+|frame\d+: |"
    r"Validating \S+ func#\d+\.\.\.|caller:|callee:|last_idx |regs=|parent )"
)
_REPORT = "\nVerification failed: "  # begins the report that Linux 7.3 writes behind the verifier's words
_ARGUMENT = re.compile(r"arg#\d+ ")  # a remark on an argument: what it led to comes behind it
POISON = "#195896080"  # the call of no helper that stands for what could not be relocated: libbpf's 0xbad2310
_POISON_KFUNC = re.compile(r"(\d+): \(85\) call (unknown#2002(\d{6}))\ninvalid func \2\n")
_POISON_MAP = re.compile(r"(\d+): \(85\) call (unknown#200100(\d{4}))\ninvalid func \2\n")


class Verdict(NamedTuple):
    """What a log tells.

    Attributes:
        insn: index of the failing instruction in the linked program, None where the log does not tell.
        text: that instruction as the log prints it: ``3: (61) r2 = *(u32 *)(r1 +0)``.
        reason: the verifier's own last words.
    """

    insn: Optional[int]
    text: str
    reason: str

    @property
    def lines(self) -> str:
        """The two lines that matter, as one."""
        return f"{self.text}: {self.reason}" if self.text and self.reason else self.reason or self.text


def parse(log: str) -> Verdict:
    """Return what a log tells; everything empty for an empty one."""
    lines = log.partition(_REPORT)[0].rstrip("\0\n ").splitlines()
    text, insn, at = "", None, -1
    for number in range(len(lines) - 1, -1, -1):
        found = _INSN.match(lines[number])
        if found:
            insn, text, at = int(found[1]), lines[number], number
            break
    words = [line for line in map(str.strip, lines[at + 1 :]) if line and not _TAIL.match(line)]
    remarks = list(itertools.takewhile(_ARGUMENT.match, words))
    reason = words[0] if words else ""
    if remarks and len(words) > len(remarks):
        reason = f"{words[len(remarks)]} ({remarks[-1]})"
    return Verdict(insn, text.split(" ; ")[0].rstrip(), reason)


def name_map(log: str, maps: Sequence[str]) -> tuple[str, str]:
    """Return a log with the name of the map that was not created and is used, if that ended it; and the name, or "".

    The words are those of libbpf 1.7 (fixup_log_missing_map_load). ``maps`` are names in the order in which they were
    linked, "" for those that were created.
    """
    at = log.rfind("(85) call unknown#200100")  # logs are long: the pattern is for the lines there
    found = _POISON_MAP.search(log, max(0, at - 10)) if at >= 0 else None
    number = int(found[3]) if found else len(maps)
    if found is None or number >= len(maps) or not maps[number]:  # an object may make such a call of its own
        return log, ""
    name = maps[number]
    said = f"{found[1]}: <invalid BPF map reference>\nBPF map {name!r} is referenced but wasn't created\n"
    return log[: found.start()] + said + log[found.end() :], name


def name_kfunc(log: str, externs: Sequence[str]) -> tuple[str, str]:
    """Return a log with the name of the kernel's function that is missing and called, if that ended it; and the name.

    The words are those of libbpf 1.7 (fixup_log_missing_kfunc_call). ``externs`` are the object's, in its order.
    """
    at = log.rfind("(85) call unknown#2002")
    found = _POISON_KFUNC.search(log, max(0, at - 10)) if at >= 0 else None
    if found is None or int(found[3]) >= len(externs):
        return log, ""
    name = externs[int(found[3])]
    said = f"{found[1]}: <invalid kfunc call>\nkfunc {name!r} is referenced but wasn't resolved\n"
    return log[: found.start()] + said + log[found.end() :], name


def source_line(btf: Btf, linked: Linked, insn: int) -> tuple[str, str]:
    """Return where an instruction comes from, ``file:line``, and the line's text; "" where line info does not tell."""
    function, index = linked.function_at(insn)
    return lines.place(btf, function, index)

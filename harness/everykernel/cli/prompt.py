"""A prompt in a guest: each line is run by the guest's shell; folder and variables last from line to line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from everykernel.errors import CaseError
from everykernel.escaping import block
from everykernel.machine.guest import Guest

_STATE = "/run/everykernel-prompt"

# Each line is its own shell, which takes up the folder and the exported variables that the one before it left.
_SCRIPT = f"""
test -e {_STATE} && . {_STATE}
trap '__code=$?; {{ export -p; echo "cd $(pwd)"; }} > {_STATE} 2>/dev/null; exit $__code' EXIT
eval "$1"
"""


def follow(guest: Guest, argv: Sequence[str], stdin: bytes = b"") -> int:
    """Run a program in ``guest``, its output on ours as it comes; return its exit code, 128 + N for signal N."""
    code = 0
    for output in guest.follow(argv, stdin=stdin):
        for stream, data in ((sys.stdout, output.stdout), (sys.stderr, output.stderr)):
            stream.buffer.write(data)
            stream.flush()
        code = output.code or 0
    return code if code >= 0 else 128 - code


def prompt(guest: Guest, title: str) -> int:
    """Read lines from standard input and run them in ``guest``; return the exit code of the last.

    ``exit [CODE]`` or the end of input leaves. Talk goes to standard error. Raises GuestError if the guest breaks.
    """
    interactive = sys.stdin.isatty()
    if interactive:
        _say(f"{title}\n(a line at a time; exit or Ctrl-D leaves, and the guest is gone)\n")
        import readline  # noqa: F401 - gives input() its line editing
    code = 0
    while True:
        try:
            line = input(f"{guest.kernel.spec}# " if interactive else "").strip()
        except EOFError:
            if interactive:
                _say("\n")
            return code
        words = line.split()
        if not words:
            continue
        if words[0] == "exit":
            return int(words[1]) if len(words) > 1 and words[1].isdigit() else code
        code = _line(guest, line)


def _line(guest: Guest, line: str) -> int:
    try:
        return follow(guest, ["sh", "-c", _SCRIPT, "sh", line])
    except CaseError as e:
        _say(f"everykernel: {e}\n")
        return 1


def _say(text: str) -> None:
    sys.stderr.write(block(text))
    sys.stderr.flush()

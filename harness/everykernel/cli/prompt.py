"""A prompt in a guest: each line is run by the guest's shell; folder and variables last from line to line."""

from __future__ import annotations

import sys

from everykernel.errors import CaseError
from everykernel.machine.guest import Guest

_STATE = "/run/everykernel-prompt"

# Each line is its own shell, which takes up the folder and the exported variables that the one before it left.
_SCRIPT = f"""
test -e {_STATE} && . {_STATE}
trap '__code=$?; {{ export -p; echo "cd $(pwd)"; }} > {_STATE} 2>/dev/null; exit $__code' EXIT
eval "$1"
"""


def prompt(guest: Guest, title: str, *, timeout: float = 3600.0) -> int:
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
        code = _line(guest, line, timeout)


def _line(guest: Guest, line: str, timeout: float) -> int:
    try:
        ran = guest.run(["sh", "-c", _SCRIPT, "sh", line], timeout=timeout)
    except CaseError as e:
        _say(f"everykernel: {e}\n")
        return 1
    sys.stdout.write(ran.stdout.decode(errors="replace"))
    sys.stdout.flush()
    _say(ran.stderr.decode(errors="replace"))
    return ran.code if ran.code >= 0 else 128 - ran.code


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()

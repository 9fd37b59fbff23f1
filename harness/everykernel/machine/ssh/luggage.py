"""What is brought to a target, and the command there that waits for it, runs it, and removes it again.

Either speaks in the same way: one line of JSON that says where the folder is, or the errno of why there is none; a line
on its standard input says that what was sent is there.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import shlex
import sys
from typing import NamedTuple

from everykernel import images
from everykernel.architectures import Architecture
from everykernel.folders import package
from everykernel.machine.ssh.about import About
from everykernel.machine.ssh.target import Target, Terms
from everykernel.remote import program

# A shell alone: whatever ends it, its trap removes the folder. Errno: include/uapi/asm-generic/errno-base.h.
_SCRIPT = """\
LC_ALL=C; export LC_ALL; umask 077
said=$(mkdir "FOLDER" 2>&1) || {
    case "$said" in *Read-only*) why=30;; *space*) why=28;; *denied*|*permitted*) why=13;; *) why=2;; esac
    echo "{\\"errno\\": $why}"; exit 1
}
trap 'rm -rf "FOLDER"' EXIT; trap 'exit 1' HUP TERM INT
[ -z "$SUDO_UID" ] || chown "$SUDO_UID:$SUDO_GID" "FOLDER"
echo "{\\"folder\\": \\"FOLDER\\"}"
read -r go && chmod 700 "FOLDER/door" && "FOLDER/door"
"""


class Luggage(NamedTuple):
    """What is brought.

    Attributes:
        command: runs there, whatever shell reads it.
        data: the file that it waits for.
        name: of the file.
        beats: whether it expects to hear of us every now and then.
    """

    command: str
    data: bytes
    name: str
    beats: bool


def of_python(target: Target, about: About, terms: Terms) -> Luggage:
    """Return our agent, for the target's Python."""
    version, python = about.python(target)
    data = images.agent_packed(compiled=version[:2] == sys.version_info[:2])
    source = (package() / "guest" / "bootstrap.py").read_bytes()
    asked = {
        "parent": target.folder,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "loads": terms.may_load,
        "silence": terms.silence,
    }
    code = f"import base64;exec(base64.b64decode('{base64.b64encode(source).decode()}').decode())"
    argv = [python, "-I", "-S", "-B", "-c", code, json.dumps(asked)]
    return Luggage(_as_whom(argv, target, about, terms), data, "agent.pyz", beats=True)


def of_program(target: Target, about: About, terms: Terms, arch: Architecture) -> Luggage:
    """Return the static program that stands in for Python; raise ToolMissing where it cannot be built here."""
    data = program.build(arch).read_bytes()
    script = _SCRIPT.replace("FOLDER", f"{target.folder.rstrip('/')}/everykernel-{secrets.token_hex(8)}")
    return Luggage(_as_whom(["sh", "-c", script], target, about, terms), data, "door", beats=False)


def _as_whom(argv: list[str], target: Target, about: About, terms: Terms) -> str:
    return shlex.join(["sudo", "-n", *argv] if about.by_sudo(target, loads=terms.may_load) else argv)

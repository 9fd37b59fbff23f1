"""The agent as one file: the modules that travel to the guest, and pyelftools, in a zip that Python runs.

The same sources give the same bytes: members sorted, dated 1980, stored without compression (zlib's versions differ).
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import io
import json
import marshal
import zipfile
from pathlib import Path

from everykernel import folders
from everykernel.guest.agent import LEARNT
from everykernel.guest.stage0 import ZIP
from everykernel.images import bytecode

TRAVELLING = (
    "__init__.py",
    "architectures.py",
    "dataclass.py",
    "errors.py",
    "escaping.py",
    "namedtuple.py",
    "reasons.py",
    "wire",
    "btf",
    "core",
    "guest",
    "load",
    "object",
)
_KINDS = (".py", ".bpfel", ".bpfeb")  # the last: what guest/rehearsal.py loads
_DATE = (1980, 1, 1, 0, 0, 0)
_MAIN = b"from everykernel.guest.agent import main\n\nmain()\n"


@functools.cache
def agent_zipapp() -> bytes:
    """Return the agent's zip: ``python everykernel-agent.pyz`` serves requests."""
    return _zip(_members())


@functools.cache
def agent_digest() -> str:
    """Return the SHA-256 (hex) of the agent's zip."""
    return hashlib.sha256(agent_zipapp()).hexdigest()


@functools.cache
def agent_compiled() -> bytes:
    """Return the agent's zip with bytecode beside the sources, for a guest that compiles slowly.

    The digest of `agent_zipapp` stands for both: a guest for which the bytecode is not compiles the same sources.
    """
    return _zip(_with_bytecode(_members()))


def agent_sent(learnt: bytes) -> tuple[bytes, bytes]:
    """Return what `stage0.receive` is told and given: the agent, and what is known of its kernel (`Btf.learn`)."""
    files = marshal.dumps({**_files(), f"everykernel/guest/{LEARNT}": learnt})
    told = {"files": len(files), "magic": importlib.util.MAGIC_NUMBER.hex()}
    return json.dumps(told).encode(), files + agent_zipapp()


@functools.cache
def _files() -> dict[str, bytes]:
    """Return bytecode of all modules, and the files beside them, by their names in the zip."""
    members = _members()
    return {n: bytecode.code(f"{ZIP}/{n}", data) if n.endswith(".py") else data for n, data in members.items()}


@functools.cache
def agent_packed(*, compiled: bool) -> bytes:
    """Return the agent's zip, compressed for a way that is longer than a guest's; ``compiled``: as `agent_compiled`."""
    members = _members()
    return _zip(_with_bytecode(members) if compiled else members, zipfile.ZIP_DEFLATED)


def _zip(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in sorted(members.items()):
            archive.writestr(zipfile.ZipInfo(name, _DATE), data, method)
    return out.getvalue()


def _with_bytecode(members: dict[str, bytes]) -> dict[str, bytes]:
    sources = {n: data for n, data in members.items() if n.endswith(".py") and n != "__main__.py"}
    own = {f"{n}c": bytecode.compiled(f"{ZIP}/{n}", data) for n, data in sources.items()}
    return members | own


def _members() -> dict[str, bytes]:
    package = folders.package()
    members = {"__main__.py": _MAIN}
    for name in TRAVELLING:
        members |= _sources(package / name, f"everykernel/{name}")
    members |= _sources(_elftools(), "elftools")
    return members


def _elftools() -> Path:
    found = importlib.util.find_spec("elftools")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def _sources(path: Path, name: str) -> dict[str, bytes]:
    if path.is_file():
        return {name: path.read_bytes()}
    return {f"{name}/{p.relative_to(path).as_posix()}": p.read_bytes() for p in path.rglob("*") if p.suffix in _KINDS}

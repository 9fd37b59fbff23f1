"""What a project's pyproject.toml says under ``[tool.everykernel]``, for pytest and the command alike.

Its place: the command line wins over the environment, that over this table, that over pytest's own ini keys. Reading is
strict: an unknown key or a value of the wrong type is a UsageError that names file and key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from everykernel.dataclass import dataclass
from everykernel.errors import UsageError
from everykernel.loaders.names import REAL

FILENAME = "pyproject.toml"
TARGET = "ssh://"  # what a spec begins with that names a machine which runs already
# What a spec may end with behind "@": what its kernel's guests are. The first is what they are where nobody says.
QEMU, BARE, VNG = MACHINES = ("qemu", "bare", "vng")
_TABLE = "tool.everykernel"


@dataclass(frozen=True)
class Key:
    """One key of the table.

    Attributes:
        what: what its value has to be, for people.
        read: returns the value as options have it, or raises ValueError; given the value and the file's folder.
    """

    what: str
    read: Callable[[Any, Path], Any]


def _texts(value: Any, _: Path) -> list[str]:
    found = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(text, str) and text.strip() for text in found):
        raise ValueError(value)
    return found


def _choice(*among: str) -> Key:
    def read(value: Any, _: Path) -> str:
        if not isinstance(value, str) or value not in among:
            raise ValueError(value)
        return value

    return Key(f"one of {', '.join(among)}", read)


def _seconds(value: Any, _: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise ValueError(value)
    return float(value)


def _mebibytes(value: Any, _: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value not in MEMORY:
        raise ValueError(value)
    return value


def _supplies(value: Any, folder: Path) -> list[str]:
    """Return ``[SPEC=]PATH`` texts, their paths seen from the file's folder."""
    found = []
    for text in _texts([value] if isinstance(value, str) else value, folder):
        spec, path = supply(text, folder)
        place = path if is_url(path) else str(folder / path)
        found.append(f"{spec}={place}" if spec else place)
    return found


def is_url(text: str) -> bool:
    """Tell whether a text names something behind HTTP or HTTPS."""
    return re.match(r"https?://[^/]", text) is not None


def supply(text: str, folder: Path = Path()) -> tuple[str, str]:
    """Return the spec ("" for none) and the path or URL that ``[SPEC=]PATH`` means.

    A path may hold the sign itself, if it is there (seen from ``folder``); so may what follows a URL's question mark.
    """
    spec, sign, path = text.partition("=")
    own = (is_url(spec) and "?" in spec) or (not is_url(text) and (folder / text).exists())
    return ("", text) if own or not sign else (spec, path)


def _switch(value: Any, _: Path) -> bool:
    if value is not True and value is not False:
        raise ValueError(value)
    return value


def _wanted(value: Any, folder: Path) -> bool | None:
    """Return True for what is wanted, None for what is not: there is a third, which only a command line says."""
    return _switch(value, folder) or None


def _sets(value: Any, folder: Path) -> list[str] | dict[str, list[str]]:
    """Return a list of kernels, or named lists of them."""
    if not isinstance(value, dict):
        return _texts(value, folder)
    if not all(name.isidentifier() for name in value):
        raise ValueError(value)
    return {name: _texts(listed, folder) for name, listed in value.items()}


TARGET_KEYS = {"host": str, "user": str, "port": int, "console": str, "python": str, "sudo": bool, "folder": str}


def _targets(value: Any, _: Path) -> dict[str, dict[str, Any]]:
    """Return the targets of a table by name; one that is only text says where it is."""
    if not isinstance(value, dict):
        raise ValueError(value)  # noqa: TRY004 - as of every key
    found: dict[str, dict[str, Any]] = {}
    for name, said in value.items():
        table = {"host": said} if isinstance(said, str) else said
        if not isinstance(table, dict) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise ValueError(value)
        for key, one in table.items():
            if key not in TARGET_KEYS or type(one) is not TARGET_KEYS[key]:
                raise ValueError(value)
        found[name] = table
    return found


def _list(value: Any, _: Path) -> list[str]:
    """Return a list of texts, in which commas mean nothing."""
    if not isinstance(value, list) or not all(isinstance(text, str) and text.strip() for text in value):
        raise ValueError(value)
    return value


def _insns(value: Any, _: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(value)
    return value


def _share(value: Any, _: Path) -> str:
    if not isinstance(value, str) or not re.fullmatch(SHARE, value):
        raise ValueError(value)
    return value


def _path(value: Any, folder: Path) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError(value)
    return folder / value


def _address(value: Any, _: Path) -> str:
    if not isinstance(value, str) or not re.match(r"(tcp|tls)://[^/]", value):
        raise ValueError(value)
    return value


def _times(value: Any, _: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value not in RETRIES:
        raise ValueError(value)
    return value


RETRIES = range(11)  # of a cell whose guest or harness broke
USUAL_RETRIES = 1
MEMORY = range(256, 65537)  # MiB
SHARE = r"(\d{1,6}(?:\.\d{1,6})?)\s*%"  # 20%
KEYS: dict[str, Key] = {
    "kernels": Key("a list of kernels, text with commas, or a table of named lists", _sets),
    "sources": Key("a list of sources of kernels", _texts),
    "objects": Key("a list of globs", _texts),
    "targets": Key("a table of targets (docs/targets.md)", _targets),
    "accel": _choice("auto", "kvm", "tcg"),
    "machine": _choice(*MACHINES),
    "timeout": Key("a number of seconds", _seconds),
    "btf": Key("a path or URL, or a list of [SPEC=]PATH", _supplies),
    "cluster": Key("the address of a scheduler, tcp://HOST:8786", _address),
    "missing": _choice("fail", "skip"),
    "memory": Key("a number of MiB from 256 to 65536", _mebibytes),
    "memory-ceiling": Key("a number of MiB from 256 to 65536", _mebibytes),
    "report": Key("a path", _path),
    "retries": Key(f"a number from 0 to {RETRIES.stop - 1}", _times),
    "reuse": Key("true or false", _wanted),
    "strict-reads": Key("true or false", _switch),
    "rules": _choice(*REAL),
    "loader": Key("a list of loaders, or text with commas", _texts),
    "baseline": Key("a path", _path),
    "require": Key("a list of rules", _list),
    "required": Key("a list of kernels", _list),
    "advisory": Key("a list of kernels", _list),
    "splats": _choice("fail", "warn"),
    "allow-splats": Key("a list of regular expressions", _list),
    "max-insns-growth": Key("a share, like '20%'", _share),
    "insns-floor": Key("a number of instructions", _insns),
}


def read(start: Path) -> dict[str, Any]:
    """Return the settings of the project that a folder belongs to, by key; empty where there are none.

    Where ``kernels`` is a table, its lists are ``kernel-sets``, and the one called ``default`` is ``kernels``.

    The file is the nearest pyproject.toml, from ``start`` upward, that has the table. Raises UsageError for one that is
    no TOML, and for what is wrong in the table.
    """
    import tomllib  # which takes longer than to see that there is no such file

    for folder in (start, *start.parents):
        path = folder / FILENAME
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as e:
            raise UsageError(f"cannot be read: {e.strerror}", where=str(path)) from e
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
            raise UsageError(f"is not TOML: {e}", where=str(path)) from e
        tool = table.get("tool", {})
        if isinstance(tool, dict) and "everykernel" in tool:
            return _read(tool["everykernel"], path)
    return {}


def _read(table: Any, path: Path) -> dict[str, Any]:
    where = f"{path}: {_TABLE}"
    if not isinstance(table, dict):
        raise UsageError("is not a table", where=where, remedy=f"write [{_TABLE}]")
    found = {}
    for name, value in table.items():
        if name not in KEYS:
            import difflib

            nearest = difflib.get_close_matches(name, KEYS, 1)
            remedy = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(KEYS)}"
            raise UsageError(f"unknown key {name!r}", where=where, remedy=remedy)
        try:
            found[name] = KEYS[name].read(value, path.parent)
        except ValueError:
            raise UsageError(f"{name} = {value!r} is not {KEYS[name].what}", where=where) from None
    if isinstance(found.get("kernels"), dict):
        sets = found.pop("kernels")
        found |= {"kernel-sets": sets} | ({"kernels": sets["default"]} if "default" in sets else {})
    return found


def targets(named: Iterable[str]) -> list[str]:
    """Return targets as specs of columns: a bare name is one of ``ssh://``."""
    return [text if text.startswith(TARGET) else f"{TARGET}{text}" for text in named]


def machine_of(spec: str) -> tuple[str, str]:
    """Return a kernel without what its guests are, and that: one of `MACHINES`, "" where the spec does not say."""
    plain, _, kind = spec.rpartition("@")
    return (plain, kind) if plain and kind in MACHINES and not spec.startswith(TARGET) else (spec, "")


def on_machines(specs: Iterable[str], kind: str) -> list[str]:
    """Return kernels as those in guests of a kind, but for those that say theirs; what runs already stays as it is."""
    return list(dict.fromkeys(spec if spec.startswith(TARGET) else _on_machine(spec, kind) for spec in specs))


def again(spec: str, kind: str) -> str:
    """Return a column's name as a run whose guests are of a kind takes it for that very column."""
    plain = kind != QEMU and not machine_of(spec)[1] and not spec.startswith(TARGET)
    return f"{spec}@{QEMU}" if plain else spec


def _on_machine(spec: str, kind: str) -> str:
    plain, own = machine_of(spec)
    wanted = own or kind
    return plain if wanted == QEMU else f"{plain}@{wanted}"


def expanded(specs: Iterable[str], project: Mapping[str, Any]) -> list[str]:
    """Return kernels, each name of a set among them replaced by what is in the set; each once."""
    sets = project.get("kernel-sets", {})
    return list(dict.fromkeys(one for spec in specs for one in sets.get(spec, [spec])))

"""The shape of what a guest may say: for each type of `wire`, the function that refuses what is not of it.

Records are compared key by key, words with the words that are allowed, numbers with what a kernel has. What is refused
is told in one line, with its place in the answer and with escapes for what is no text.
"""

from __future__ import annotations

import functools
import math
import re
import types
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from everykernel import wire
from everykernel.btf.naming import printable
from everykernel.reasons import REASONS

Check = Callable[[Any], None]

WORD_LIMIT = 64 << 10  # characters of a name or a path; what may be longer is a `wire.Text`
_NUMBER = range(-(1 << 63), 1 << 64)  # what a field of the kernel's holds
_DATA = range(-(1 << 127), 1 << 128)  # what a variable or a map's value holds: __int128

# What the host alone can tell: how a machine or the harness broke, what came too late, what the console says.
_OF_THE_HOST = {"timeout", "kernel-warning"} | {code for code, reason in REASONS.items() if reason.stage == "guest"}

_WORDS: dict[str, tuple[str, ...]] = {
    "status": (wire.PASSED, wire.FAILED, wire.SKIPPED, wire.NOT_REACHED),
    "outcome": ("patched", "poisoned", "failed"),
    "end": wire.ENDS,
    "by": ("", "loader", "map", "kernel"),
    "code": ("", *(code for code in REASONS if code not in _OF_THE_HOST)),
}
_ERRNO = re.compile(r"E[A-Z0-9]{1,30}")
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_-]{0,63}")  # struct utsname has 64 characters; becomes part of paths

# The keys that a record always has; all others may be left out (those of a TypedDict that is total may not).
_ALWAYS: dict[type, tuple[str, ...]] = {
    wire.Stage: ("status", "code", "message", "seconds"),
    wire.Relocation: ("program", "insn", "kind", "access", "outcome"),
    wire.MapRecord: ("name", "status"),
    wire.Misread: ("program", "insn", "access", "taken", "kernel"),
    wire.ProgramRecord: ("name", "status"),
    wire.BpfCall: ("at", "pid", "command", "errno"),
}


class Odd(Exception):
    """What does not fit, and the way to it, from the inside out."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.way: list[str] = []

    def __str__(self) -> str:
        return f"{''.join(reversed(self.way)).removeprefix('.')} {self.what}".lstrip()


@functools.cache
def of(hint: Any) -> Check:
    """Return the function that raises `Odd` for what is not of this type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return _data
    if origin is Annotated:
        mark = arguments[1]
        return _MARKS[mark] if isinstance(mark, str) else of(mark)
    if origin in (Union, types.UnionType):
        [some] = [argument for argument in arguments if argument is not type(None)]
        return _optional(of(some))
    if origin is list:
        return _list(of(arguments[0]))
    if origin is tuple:
        return _tuple([of(argument) for argument in arguments])
    if origin is dict:
        return _dict(of(arguments[1]))
    if hint in _PLAIN:
        return _PLAIN[hint]
    return _record(hint)


def _record(hint: Any) -> Check:
    """Return the check of a TypedDict, or of a message's body."""
    declared = get_origin(hint) or hint
    hints = get_type_hints(declared, include_extras=True)
    if is_typeddict(declared):
        always = set(_ALWAYS.get(declared, declared.__required_keys__))
    else:
        hints = {name: hints[name] for name in declared.__match_args__}
        always = set(hints)
    checks = {name: of(get_args(hint)[0] if isinstance(h, TypeVar) else h) for name, h in hints.items()}

    def check(value: Any) -> None:
        if type(value) is not dict:
            raise Odd(f"is {shown(value)}, not an object")
        if not always <= value.keys():
            raise Odd(f"has no {min(always - value.keys())}")
        for key, item in value.items():
            if key not in checks:
                raise Odd(f"has a key {shown(key)}, which it should not have")
            try:
                checks[key](item)
            except Odd as e:
                e.way.append(f".{key}")
                raise

    return check


def _optional(some: Check) -> Check:
    def check(value: Any) -> None:
        if value is not None:
            some(value)

    return check


def _list(each: Check) -> Check:
    def check(value: Any) -> None:
        if type(value) is not list:
            raise Odd(f"is {shown(value)}, not a list")
        index = 0
        try:
            for item in value:
                each(item)
                index += 1
        except Odd as e:
            e.way.append(f"[{index}]")
            raise

    return check


def _tuple(items: list[Check]) -> Check:
    def check(value: Any) -> None:
        if type(value) is not list or len(value) != len(items):
            raise Odd(f"is {shown(value)}, not a list of {len(items)}")
        for each, item in zip(items, value, strict=True):
            each(item)

    return check


def _dict(each: Check) -> Check:
    def check(value: Any) -> None:
        if type(value) is not dict:
            raise Odd(f"is {shown(value)}, not an object")
        for key, item in value.items():
            try:
                each(item)
            except Odd as e:
                e.way.append(f"[{shown(key)}]")
                raise

    return check


def _plain(kind: type, name: str) -> Check:
    def check(value: Any) -> None:
        if type(value) is not kind:
            raise Odd(f"is {shown(value)}, not {name}")

    return check


def _number(within: range, name: str) -> Check:
    def check(value: Any) -> None:
        if type(value) is not int or value not in within:
            raise Odd(f"is {shown(value)}, not {name}")

    return check


def _seconds(value: Any) -> None:
    if type(value) not in (int, float) or not 0 <= value < 1e9:
        raise Odd(f"is {shown(value)}, not a number of seconds")


def _word(value: Any) -> None:
    if type(value) is not str:
        raise Odd(f"is {shown(value)}, not text")
    if len(value) > WORD_LIMIT:
        raise Odd(f"has {len(value)} characters, more than {WORD_LIMIT}")


def _one_of(words: tuple[str, ...], name: str) -> Check:
    allowed = frozenset(words)
    listed = f"{', '.join(words[:-1])} or {words[-1]}" if len(words) < 6 else name

    def check(value: Any) -> None:
        if type(value) is not str or value not in allowed:
            raise Odd(f"is {shown(value)}, not {listed}")

    return check


def _release(value: Any) -> None:
    if type(value) is not str or not _RELEASE.fullmatch(value):
        raise Odd(f"is {shown(value)}, not a kernel's release")


def _errno(value: Any) -> None:
    if type(value) is not str or not _ERRNO.fullmatch(value):
        raise Odd(f"is {shown(value)}, not the name of an errno")


def _data(value: Any, depth: int = wire.DEPTH_LIMIT) -> None:
    """Raise `Odd` for what is no plain data: too deep, or numbers that no kernel has."""
    kind = type(value)
    if kind is int:
        if value not in _DATA:
            raise Odd("holds a number of more than 128 bits")
    elif kind is float:
        if not math.isfinite(value):
            raise Odd("holds a number that is not finite")
    elif kind is list or kind is dict:
        if not depth:
            raise Odd(f"is nested more than {wire.DEPTH_LIMIT} deep")
        for item in value if kind is list else value.values():
            _data(item, depth - 1)


_MARKS: dict[str, Check] = {
    "status": _one_of(_WORDS["status"], "a status"),
    "outcome": _one_of(_WORDS["outcome"], "an outcome"),
    "end": _one_of(_WORDS["end"], "an end"),
    "code": _one_of(_WORDS["code"], "a reason code that a guest may give"),
    "by": _one_of(_WORDS["by"], "who refuses"),
    "errno": _errno,
    "release": _release,
    "text": _plain(str, "text"),
    "count": _number(range(1 << 64), "a number of 64 bits"),
    "seconds": _seconds,
}
_PLAIN: dict[Any, Check] = {
    str: _word,
    int: _number(_NUMBER, "a number of 64 bits"),
    bool: _plain(bool, "true or false"),
    bytes: _plain(bytes, "bytes"),
}


def shown(value: Any) -> str:
    """Return a value as an error's one line shows it, cut, with escapes for what is no text."""
    if isinstance(value, str):
        return f"'{printable(value[:60])}'" + ("…" if len(value) > 60 else "")
    if isinstance(value, int) and abs(value) >= 1 << 128:
        return "a huge number"
    if isinstance(value, (list, dict, bytes)):
        return {list: "a list", dict: "an object", bytes: "bytes"}[type(value)]
    return "null" if value is None else str(value).lower()

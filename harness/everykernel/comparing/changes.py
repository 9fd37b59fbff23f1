"""What changed between two results of a cell, or of one object on two kernels: relocation by relocation, program by
program, in words that say before and after.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from everykernel import core, wire
from everykernel.escaping import printable
from everykernel.matrix import records
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import CaseResult

WORSE, BETTER, OTHER = "worse", "better", "other"
_TOLD = 300  # characters of what a kernel or a loader said
_KINDS = {
    "byte_off": "offset", "byte_sz": "size", "field_exists": "exists", "signed": "signedness",
    "lshift_u64": "left shift", "rshift_u64": "right shift", "local_type_id": "local type id",
    "target_type_id": "type id", "type_exists": "exists", "type_size": "size", "enumval_exists": "exists",
    "enumval_value": "value", "type_matches": "matches",
}  # fmt: skip
_YES_NO = ("field_exists", "type_exists", "enumval_exists", "type_matches")
_NUMBERED = ("local_type_id", "target_type_id")  # which every build of a kernel numbers anew
_BARE = re.compile(r"^(?:struct|union|enum) ")


class Change(NamedTuple):
    """One thing that is otherwise than before.

    Attributes:
        what: ``object``, ``btf``, ``relocation``, ``program``, ``verified``, ``map``, ``stage``, ``guest``,
            ``misread``, ``warning``.
        program: that it is about, "" for the object as a whole.
        subject: what it is about: an access, a map, a program, a stage.
        before, after: what was and what is, in words; "" where there is none.
        why: what the kernel or the loader says about it, "" for nothing.
        direction: ``worse``, ``better`` or ``other``.
        place: of a relocation: ``relocation 3``.
    """

    what: str
    program: str
    subject: str
    before: str
    after: str
    why: str = ""
    direction: str = OTHER
    place: str = ""


def moved(change: Change) -> bool:
    """Return whether a change is one that CO-RE is for: the same access, found elsewhere or in another width."""
    return change.what == "relocation" and change.before.startswith("patched") and change.after.startswith("patched")


def between(old: CaseResult, new: CaseResult) -> list[Change]:
    """Return what changed, what is worse first, what was asked before what came of it."""
    found = [
        *_object(old, new),
        *_relocations(_list(old, "relocate", "relocations"), _list(new, "relocate", "relocations")),
        *_programs("load", old, new),
        *_maps(_list(old, "load", "maps"), _list(new, "load", "maps")),
        *_programs("run", old, new),
        *_stages(old, new),
        *_misreads(old, new),
        *_warnings(old, new),
    ]
    return sorted(found, key=lambda change: (WORSE, BETTER, OTHER).index(change.direction))


def _list(result: CaseResult, stage: str, name: str) -> Any:
    return result.get("stages", {}).get(stage, {}).get(name, [])


def _object(old: CaseResult, new: CaseResult) -> Iterator[Change]:
    before, after = old.get("sha256"), new.get("sha256")
    if before and after and before != after:
        yield Change("object", "", "the object itself", f"sha256 {before[:12]}", f"sha256 {after[:12]}")
    if old.get("btf") and new.get("btf") and old["btf"] != new["btf"]:
        yield Change("btf", "", "BTF", old["btf"], new["btf"])


# --- relocations


def _relocations(old: Sequence[wire.Relocation], new: Sequence[wire.Relocation]) -> Iterator[Change]:
    """Yield a change for each record of which something else comes.

    Records are those of one question in one program, the first with the first; what is at the same instruction in both
    (the object is the same) falls together by that.
    """
    before, after = _asked(old), _asked(new)
    found = []
    for key in {**before, **after}:
        for one, other in _paired(before.get(key, []), after.get(key, [])):
            if (change := _relocation(one, other)) is not None:
                found.append((other or one, change))
    yield from _instead(found)


def _instead(found: Sequence[tuple[wire.Relocation, Change]]) -> Iterator[Change]:
    """Yield the changes; one that lost what it asks for names what the same program asks the same type for instead."""
    gained: dict[tuple[str, str, str], str] = {}
    for one, change in found:
        if change.direction == BETTER:
            gained.setdefault(
                (change.program, one["kind"], _root(one["access"])), f"{_bare(one['access'])} is {change.after}"
            )
    for one, change in found:
        other = gained.get((change.program, one["kind"], _root(one["access"])))
        if change.direction == WORSE and other:
            yield change._replace(
                why=f"{change.why}; instead, {other}" if change.why else f"instead, {other}", direction=OTHER
            )
        else:
            yield change


def _asked(relocations: Iterable[wire.Relocation]) -> dict[tuple[str, str, str], list[wire.Relocation]]:
    found: dict[tuple[str, str, str], list[wire.Relocation]] = {}
    for one in relocations:
        found.setdefault((one.get("program", ""), one["kind"], one["access"]), []).append(one)
    return found


def _paired(old: Sequence[Any], new: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    for number in range(max(len(old), len(new))):
        yield old[number] if number < len(old) else None, new[number] if number < len(new) else None


def _relocation(old: wire.Relocation | None, new: wire.Relocation | None) -> Change | None:
    one = new or old
    assert one is not None
    if one["kind"] in _NUMBERED and old and new and old["outcome"] == new["outcome"] == core.PATCHED:
        return None
    before, after = _came_to(old), _came_to(new)
    if before == after:
        return None
    place = f"relocation {one['index']}" if "index" in one else f"the relocation at instruction {one['insn']}"
    subject = f"{_bare(one['access'])}, {_KINDS.get(one['kind'], one['kind'])}"
    why = cut(new["message"] if new and new.get("message") else _before(old.get("message", "") if old else ""))
    return Change("relocation", one["program"], subject, before, after, why, _turn(_good(old), _good(new)), place)


def _came_to(one: wire.Relocation | None) -> str:
    """Return what came of a record: ``patched at 16``, ``poisoned``, ``failed``, ``yes``."""
    if one is None:
        return "not there"
    if one["outcome"] != core.PATCHED:
        return one["outcome"]
    target = one.get("target")
    if one["kind"] in _YES_NO:
        return "yes" if target else "no"
    size = f", {one['mem_size']} bytes wide" if one.get("mem_size") else ""
    return f"patched {'at' if one['kind'] == 'byte_off' else 'to'} {target}{size}"


def _good(one: wire.Relocation | None) -> bool | None:
    return None if one is None else one["outcome"] == core.PATCHED


# --- programs, maps, stages


def _programs(stage: str, old: CaseResult, new: CaseResult) -> Iterator[Change]:
    """Yield what became of programs: refused or taken, and how many instructions the verifier looked at."""
    before = _named(_list(old, stage, "programs"))
    after = _named(_list(new, stage, "programs"))
    verb = {"load": ("loads", "refused"), "run": ("attaches", "not attached")}[stage]
    for key in {**before, **after}:
        one, other = before.get(key), after.get(key)
        name = f"program {key[0]}" + (f" (variant {key[1]})" if key[1] else "")
        was, now = _state(one, verb), _state(other, verb)
        if was != now and not (stage == "run" and None in (one, other)):
            yield Change("program", key[0], name, was, now, _why(one, other), _turn(_fine(one), _fine(other)))
        cost = [None if p is None or _failed(p) else p.get("verified_insns") for p in (one, other)]
        if stage == "load" and cost[0] is not None and cost[1] is not None and cost[0] != cost[1]:
            more = cost[1] - cost[0]
            share = f", {100 * more / cost[0]:+.0f} %" if cost[0] else ""
            yield Change(
                "verified", key[0], f"{name}, instructions verified", str(cost[0]), f"{cost[1]} ({more:+}{share})"
            )


def _named(found: Iterable[wire.ProgramRecord]) -> dict[tuple[str, str], wire.ProgramRecord]:
    named: dict[tuple[str, str], wire.ProgramRecord] = {}
    for program in found:
        named.setdefault((program["name"], program.get("variant", "")), program)
    return named


def _state(one: Mapping[str, Any] | None, verb: tuple[str, str]) -> str:
    if one is None:
        return "not there"
    if one["status"] == wire.PASSED:
        return verb[0]
    return f"{verb[1]}: {one['code']}" if one["status"] == wire.FAILED and one.get("code") else one["status"]


def _failed(one: Mapping[str, Any] | None) -> bool:
    return one is not None and one.get("status") == wire.FAILED


def _fine(one: Mapping[str, Any] | None) -> bool | None:
    return {wire.PASSED: True, wire.FAILED: False}.get(one["status"]) if one is not None else None


def _why(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    """Return what is said of a failure now, else of one before."""
    one = new if _failed(new) else old if _failed(old) else None
    if one is None:
        return ""
    said, source = str(one.get("message", "")), one.get("source", "")
    said = f"{said} (at {source})" if source and source not in said else said
    return cut(said if one is new else _before(said))


def _before(text: str) -> str:
    return f"before: {text}" if text else ""


def _maps(old: Sequence[wire.MapRecord], new: Sequence[wire.MapRecord]) -> Iterator[Change]:
    before = {one["name"]: one for one in reversed(old)}
    after = {one["name"]: one for one in reversed(new)}
    for name in sorted({**before, **after}):
        one, other = before.get(name), after.get(name)
        was, now = _state(one, ("made", "refused")), _state(other, ("made", "refused"))
        if was != now:
            yield Change("map", "", f"map {name}", was, now, _why(one, other), _turn(_fine(one), _fine(other)))


def _stages(old: CaseResult, new: CaseResult) -> Iterator[Change]:
    """Yield what each stage came to as a whole, and who broke."""
    for name in STAGES:
        one, other = old.get("stages", {}).get(name, {}), new.get("stages", {}).get(name, {})
        was, now = _stage(one), _stage(other)
        if was != now:
            why = (
                other.get("message", "")
                if other.get("code")
                else _before(one.get("message", ""))
                if one.get("code")
                else ""
            )
            yield Change(
                "stage", "", f"stage {name}", was, now, cut(why), _turn(_fine(one or None), _fine(other or None))
            )
    broke = [records.broke(result) for result in (old, new)]
    if broke[0] != broke[1] or (broke[1] and old.get("code") != new.get("code")):
        was, now = (f"{r['code']}: {cut(r['message'])}" if b else "a verdict" for r, b in zip((old, new), broke))
        yield Change("guest", "", broke[1] or broke[0], was, now)


def _stage(one: Mapping[str, Any]) -> str:
    status = str(one.get("status", wire.NOT_REACHED))
    return f"{status}: {one['code']}" if one.get("code") else status


def _misreads(old: CaseResult, new: CaseResult) -> Iterator[Change]:
    def named(result: CaseResult) -> dict[tuple[str, str, str], wire.Misread]:
        return {(m["program"], m["access"], m["kernel"]): m for m in result.get("misreads", [])}

    before, after = named(old), named(new)
    for key in {**before, **after}:
        if (key in before) != (key in after):
            one = after.get(key) or before[key]
            was, now = ("read right", "misread") if key in after else ("misread", "no longer misread")
            subject = f"{_bare(one['access'])} in {one['program']}"
            why = f"taken for {one['taken']}, the kernel has {one['kernel']}"
            yield Change("misread", one["program"], subject, was, now, cut(why), WORSE if key in after else BETTER)


def _warnings(old: CaseResult, new: CaseResult) -> Iterator[Change]:
    before, after = len(old.get("warnings", [])), len(new.get("warnings", []))
    if before != after:
        first = next(iter(new.get("warnings", []) or old.get("warnings", [])), "")
        direction = WORSE if after > before else BETTER
        yield Change(
            "warning",
            "",
            "kernel warnings",
            str(before),
            str(after),
            cut(first.splitlines()[0] if first else ""),
            direction,
        )


def _turn(before: bool | None, after: bool | None) -> str:
    if before is None or after is None or before == after:
        return OTHER
    return BETTER if after else WORSE


def _bare(access: str) -> str:
    return _BARE.sub("", access)


def _root(access: str) -> str:
    """Return the type that an access begins with, without its flavour: ``task_struct`` of ``task_struct___o.state``."""
    return re.split(r"[.\[:\s-]", _bare(access), maxsplit=1)[0].partition("___")[0]


def cut(text: str) -> str:
    """Return what was said in one printable line, not too long."""
    said = printable(" ".join(text.split()))
    return said if len(said) <= _TOLD else f"{said[: _TOLD - 1]}…"

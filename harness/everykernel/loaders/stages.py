"""An adapter's answer as the records of a cell: the same that our own loader fills.

Libraries open, relocate and load in one go, so the relocate stage is `skipped` unless they tell what they relocated;
what is not opened fails the load stage. Nothing is attached: an adapter only loads.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from everykernel import wire
from everykernel.loaders.contract import Answer, MapEvent, ProgramEvent, RelocationEvent, WholeEvent

REFUSED = "loader-refused"  # the reason code of what a library refuses before it asks the kernel
_MOST = 400  # characters of a library's message in a line that sums up


def relocate(answer: Answer, name: str) -> wire.Stage:
    """Return the record of the relocate stage."""
    stage: wire.Stage = {"status": wire.SKIPPED, "code": "", "message": f"{name} relocates while it loads"}
    stage["seconds"] = 0.0
    if answer.relocations:
        stage["status"], stage["message"] = wire.PASSED, ""
        stage["relocations"] = [_relocation(event) for event in answer.relocations]
    return stage


def load(answer: Answer, name: str, optional: Collection[str] = ()) -> wire.Stage:
    """Return the record of the load stage.

    Args:
        answer: what the adapter said; it may have broken on the way.
        name: the loader's.
        optional: programs whose refusal fails nothing, beside those of ``?`` sections.
    """
    maps = [_map(event) for event in answer.maps]
    programs = [_program(event, optional) for event in answer.programs]
    stage: wire.Stage = {"status": wire.PASSED, "code": "", "message": "", "seconds": 0.0}
    stage["maps"], stage["programs"] = maps, programs
    if answer.whole is not None:
        stage["whole"] = _whole(answer.whole, name)
    if answer.opened is not None and answer.opened["status"] == wire.FAILED:
        errno, message = answer.opened["errno"], answer.opened["message"]
        told = f"{name} does not open it: {errno or ''}{': ' if errno and message else ''}{message[:_MOST]}"
        stage["status"], stage["code"], stage["message"] = wire.FAILED, REFUSED, told
        return stage
    whole = answer.whole
    if whole is not None and whole["status"] == wire.FAILED and not any(p["status"] == wire.PASSED for p in programs):
        message = _message(whole["errno"], whole["message"])[:_MOST]
        stage["status"], stage["code"], stage["message"] = wire.FAILED, REFUSED, f"{name} loads none of it: {message}"
    failed = next((p for p in programs if p["status"] == wire.FAILED and p["decides"]), None)
    if failed is not None:
        message = f"program {failed['name']!r}: {failed['message'][:_MOST]}"
        stage["status"], stage["code"], stage["message"] = wire.FAILED, failed["code"], message
    return stage


def _relocation(event: RelocationEvent) -> wire.Relocation:
    found: dict[str, Any] = {key: value for key, value in event.items() if key != "event"}
    found["access"] = ""
    return found  # type: ignore[return-value]


def _map(event: MapEvent) -> wire.MapRecord:
    failed = event["status"] == wire.FAILED
    return {
        "name": event["name"],
        "type": event["type"],
        "key_size": event["key_size"],
        "value_size": event["value_size"],
        "max_entries": event["max_entries"],
        "status": event["status"],
        "code": "map-create-failed" if failed else "",
        "errno": event["errno"],
        "message": _message(event["errno"], event["message"]) if failed else event["message"],
    }


def _program(event: ProgramEvent, optional: Collection[str]) -> wire.ProgramRecord:
    section = event["section"]
    decides = not section.startswith("?") and event["name"] not in optional
    failed = event["status"] == wire.FAILED
    return {
        "name": event["name"],
        "section": section.removeprefix("?"),
        "type": event["type"],
        "status": event["status"],
        "code": _code(event) if failed else "",
        "errno": event["errno"],
        "message": _message(event["errno"], event["message"]) if failed else event["message"],
        "log": event["log"],
        "verified_insns": event["verified_insns"],
        "decides": decides,
    }


def _code(event: ProgramEvent) -> str:
    """Return the reason code of a program that was refused: by whom, and for what errno."""
    if event["by"] == "map":
        return "map-create-failed"
    if event["by"] != "kernel":
        return REFUSED
    if event["errno"] in ("EPERM", "E2BIG", "ENOMEM", "ENOSPC") and not event["log"].strip():
        return {"EPERM": "permission-denied"}.get(event["errno"] or "", "limit-exceeded")
    return "verifier-rejected" if event["log"].strip() else "load-failed"


def _message(errno: str | None, message: str) -> str:
    return f"{errno}: {message}" if errno and not message.startswith(errno) else message


def _whole(event: WholeEvent, name: str) -> wire.Whole:
    failed = event["status"] == wire.FAILED
    message = _message(event["errno"], event["message"]) if failed else ""
    code = REFUSED if failed else ""
    return {"loader": name, "status": event["status"], "code": code, "errno": event["errno"], "message": message}

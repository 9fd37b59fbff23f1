"""What an object's relocations ask, and what each kernel answered: each question once, each answer once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from everykernel import core, wire
from everykernel.escaping import printable
from everykernel.report.relocations import Answer, Ask

_MOST = 20_000  # records of one cell that are looked at
_PLACES = 12  # instructions that are named of one question
_SAID = 400  # characters of a message

_Record = tuple[str, str, int, int, str, str]  # section, program, index, insn, kind, access
_Found = tuple[str, str, int | None, int | None, str]  # kind, outcome, target, width, message


def asked(cells: Sequence[Sequence[wire.Relocation]]) -> dict[str, Any]:
    """Return questions and answers of a row's cells.

    ``asks`` are ``[kind, access, text, local, places, more]``: places as ``program:insn``, and how many more there are.
    ``answers`` are ``[outcome, text, message]``. ``of`` has for each cell the index of its answer to each question, -1
    where it was not asked; records that ask the same, and are answered alike everywhere, are one question.
    """
    records: dict[_Record, int] = {}
    local: list[int | None] = []
    answers: dict[_Found, int] = {}
    columns: list[dict[int, int]] = []
    for relocations in cells:
        column: dict[int, int] = {}
        for r in relocations[:_MOST]:
            get: Callable[..., Any] = r.get
            kind = get("kind", "")
            key = (get("section", ""), get("program") or "", get("index", 0), get("insn", 0), kind, get("access", ""))
            number = records.setdefault(key, len(records))
            if number == len(local):
                local.append(get("local"))
            found = (kind, get("outcome", ""), get("target"), get("mem_size"), get("message") or "")
            column[number] = answers.setdefault(found, len(answers))
        columns.append(column)
    groups: dict[tuple[Any, ...], list[_Record]] = {}
    for key, number in records.items():
        vector = tuple(column.get(number, -1) for column in columns)
        groups.setdefault((key[4], key[5], local[number], vector), []).append(key)
    return {
        "asks": [_ask(kind, access, value, places) for (kind, access, value, _), places in groups.items()],
        "answers": [_answer(*found) for found in answers],
        "of": [[vector[n] for *_, vector in groups] for n in range(len(cells))],
    }


def _ask(kind: str, access: str, local: int | None, places: Sequence[_Record]) -> list[Any]:
    named = [printable(f"{program}:{insn}") for _, program, _, insn, *_ in places[:_PLACES]]
    return [
        printable(kind),
        printable(access),
        printable(str(Ask(kind, access))),
        local,
        named,
        len(places) - len(named),
    ]


def _answer(kind: str, outcome: str, target: int | None, width: int | None, message: str) -> list[str]:
    shown = Answer(outcome, target, width, message).text(kind)
    if outcome == core.PATCHED and width is not None:
        shown += f", {width} wide"
    return [outcome, printable(shown), printable(message[:_SAID])]

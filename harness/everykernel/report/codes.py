"""The page that documents reason codes, docs/reason-codes.md, from their table."""

from __future__ import annotations

from everykernel.reasons import REASONS, Reason

_STAGES = {
    "relocate": "In relocate",
    "load": "In load",
    "run": "In run",
    "guest": "The guest or the harness, not the case",
}
_INTRODUCTION = """# Reason codes

Every stage that fails has one. They are stable: a code may be added, and none changes its meaning. `everykernel` exits
with 1 for those of a case, with 3 for those of a guest, and with 4 for `harness-error`. Written from
`everykernel/reasons.py`.
"""


def render() -> str:
    """Return the page as Markdown."""
    parts = [_INTRODUCTION]
    for stage, title in _STAGES.items():
        parts.append(f"## {title}\n")
        parts.append("| code | what happened | what to do |\n|---|---|---|")
        parts.extend(_row(reason) for reason in REASONS.values() if reason.stage == stage)
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _row(reason: Reason) -> str:
    return f"| `{reason.code}` | {reason.cause.replace('|', '/')} | {reason.remedy.replace('|', '/')} |"

"""The spots of a run as SARIF 2.1.0 (OASIS), which code scanning shows at the lines of C."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from everykernel.escaping import printable
from everykernel.reasons import REASONS
from everykernel.report.columns import ranges
from everykernel.report.spots import Spot

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_ROOT = "%SRCROOT%"  # the repository, by the convention of the standard's appendix
_MOST = 5000  # results that GitHub shows of a run ("SARIF support for code scanning")


def render(spots: Sequence[Spot], kernels: Sequence[str]) -> str:
    """Return the log; kernels are the columns, in order. More spots than are shown are left out, the last ones."""
    codes = list(dict.fromkeys(spot.key.code for spot in spots))
    driver = {
        "name": "everykernel",
        "version": version("everykernel"),
        "rules": [_rule(code) for code in codes],
    }
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(spot, codes, kernels) for spot in spots[:_MOST]],
    }
    if len(spots) > _MOST:
        run["properties"] = {"leftOut": len(spots) - _MOST}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _rule(code: str) -> dict[str, Any]:
    reason = REASONS.get(code)
    rule: dict[str, Any] = {"id": code or "unknown"}
    if reason is not None:
        rule |= {"shortDescription": {"text": reason.cause}, "help": {"text": reason.remedy}}
    return rule


def _result(spot: Spot, codes: Sequence[str], kernels: Sequence[str]) -> dict[str, Any]:
    key = spot.key
    on = ", ".join(ranges(list(spot.kernels), kernels))
    program = f", program {key.program}" if key.program else ""
    result: dict[str, Any] = {
        "ruleId": key.code or "unknown",
        "ruleIndex": codes.index(key.code),
        "level": key.level,
        "message": {"text": printable(f"{key.row}{program} on {on}: {spot.message}")},
        "partialFingerprints": {"everykernel/v1": _fingerprint(spot)},
        "properties": {"kernels": [printable(kernel) for kernel in spot.kernels]},
    }
    path = key.file or spot.object
    if path:
        place: dict[str, Any] = {"artifactLocation": _location(path)}
        if key.file and key.line:
            place["region"] = {"startLine": key.line}
        result["locations"] = [{"physicalLocation": place}]
    return result


def _location(path: str) -> dict[str, str]:
    safe = quote(path, errors="surrogatepass")
    return {"uri": f"file://{safe}"} if path.startswith("/") else {"uri": safe, "uriBaseId": _ROOT}


def _fingerprint(spot: Spot) -> str:
    """Return what stays the same when lines move: the thing and its file, not its line or its kernels."""
    key = spot.key
    text = json.dumps([key.file, key.code, key.row, key.program])
    return hashlib.sha256(text.encode()).hexdigest()[:32]

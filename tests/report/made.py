"""Results as large runs have them, made up: `python -m tests.report.made FOLDER` writes 200 objects on 20 kernels."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from everykernel.matrix.records import SCHEMA
from everykernel.matrix.results import Results

_RELOCATIONS = 250  # of one object: between those of execsnoop and those of Tetragon
_PROGRAMS = 6
VENDORS = (
    ("debian", "5.10", "6.1", "6.12", "6.16", "6.18", "7.1", "7.3"),
    ("ubuntu", "5.4", "5.15", "6.8", "6.11", "6.14"),
    ("rocky", "8", "9", "10"),
    ("mainline", "5.18", "6.6", "6.13", "7.0", "7.2"),
)
_RHEL = {"8": "4.18.0-553", "9": "5.14.0-611", "10": "6.12.0-124"}
LOG = "\n".join(
    [f"; line {n} of it\n{n}: (61) r1 = *(u32 *)(r10 -{8 * n})\n{n}: R1_w=scalar() R10=fp0" for n in range(1, 400)]
    + ["; return ctx->len + *(int *)p;", "400: (61) r0 = *(u32 *)(r3 +0)", "R3 invalid mem access 'scalar'"]
    + ["processed 401 insns (limit 1000000) max_states_per_insn 4 total_states 23 peak_states 23 mark_read 6"]
)


def kernels(count: int = 20) -> list[dict[str, Any]]:
    """Return the first so many kernels."""
    found: list[dict[str, Any]] = []
    for vendor, *series in VENDORS:
        for one in series:
            spec = one if vendor == "debian" else f"{vendor}:{one}"
            release = _release(vendor, one)
            found.append(
                {
                    "spec": spec,
                    "release": release,
                    "arch": "x86_64",
                    "source": f"{vendor}:main",
                    "flavour": "generic",
                    "sha256": f"{len(found):064x}",
                    "signed": "gpgv",
                    "notes": [],
                    "btf": "none" if one == "5.4" else "kernel",
                    "version": f"#1 SMP {vendor}",
                    "accelerator": "kvm",
                }
            )
    return found[:count]


def _release(vendor: str, series: str) -> str:
    return f"{_RHEL[series]}.el{series}" if vendor == "rocky" else f"{series}.0-42-generic"


def results(objects: int = 200, columns: int = 20) -> Results:
    """Return results of so many objects on so many kernels: some refused, some misread, a few guests broken."""
    specs = kernels(columns)
    run = {
        "id": "made",
        "started": "2026-11-29T09:00:00+00:00",
        "tool": "everykernel 0.1.0",
        "host": {"accelerator": "kvm", "cpus": 4, "qemu": "10.0.2", "system": "Linux", "python": "3.13"},
    }
    found: Any = [_cell(number, column, kernel) for number in range(objects) for column, kernel in enumerate(specs)]
    return {"schema": SCHEMA, "run": run, "results": found, "kernels": specs}  # type: ignore[typeddict-item]


def _cell(number: int, column: int, kernel: dict[str, Any]) -> dict[str, Any]:
    name = f"tools/{'abcdefgh'[number % 8]}snoop_{number:03}.bpf.o"
    refused = number % 11 == 3 and column % 7 == 2
    lost = number % 67 == 5 and column == 4
    passed: dict[str, Any] = {"status": "passed", "code": "", "message": "", "seconds": 0.1}
    programs = [_program(number, p, column) for p in range(_PROGRAMS)]
    relocations = [_relocation(number, n, column) for n in range(_RELOCATIONS)]
    result: dict[str, Any] = {
        "object": name,
        "sha256": f"{number:064x}",
        "case": None,
        "kernel": kernel["spec"],
        "target": "guest",
        "loader": "own",
        "rules": "libbpf",
        "btf": "kernel",
        "machine": {"cpus": 2, "memory": None},
        "outcome": "passed",
        "stage": "",
        "code": "",
        "message": "",
        "problems": [],
        "misreads": [],
        "seconds": 0.4 + number % 7 / 10,
        "start": "restored",
        "warnings": [],
        "notes": [],
        "evidence": f"cells/{number}/{column}",
        "granted": {"memory": 256},
        "again": f"everykernel run {name} --kernels {kernel['spec']}",
        "stages": {
            "relocate": {
                **passed,
                "btf": "kernel",
                "relocations": relocations,
                "programs": [{**p, "log": ""} for p in programs],
            },
            "load": {
                **passed,
                "programs": programs,
                "notes": [],
                "maps": [
                    {
                        "name": f"m{n}",
                        "type": "hash",
                        "key_size": 4,
                        "value_size": 64,
                        "max_entries": 1024,
                        "status": "passed",
                        "code": "",
                        "errno": None,
                        "message": "",
                    }
                    for n in range(5)
                ],
            },
            "run": dict(passed),
        },
    }
    if refused:
        place = f"snoop.bpf.c:{number}: return ctx->len + *(int *)p;"
        why = f"EACCES: 400: (61) r0 = *(u32 *)(r3 +0): R3 invalid mem access 'scalar' at {place}"
        failed = {"status": "failed", "code": "verifier-rejected", "errno": "EACCES", "message": why, "log": LOG}
        programs[1] |= {**failed, "source": f"snoop.bpf.c:{number}"}
        message = f"program 'prog_1': {why}"
        result["stages"]["load"] |= {"status": "failed", "code": "verifier-rejected", "message": message}
        result["stages"]["run"] = {"status": "not-reached", "code": "", "message": "", "seconds": 0.0}
        result |= {"outcome": "failed", "stage": "load", "code": "verifier-rejected", "message": message}
        result["problems"] = [{"stage": "load", "program": "prog_1", "code": "verifier-rejected", "message": message}]
    elif lost:
        result["stages"]["run"] = {"status": "failed", "code": "kernel-panic", "message": "it panicked", "seconds": 0.0}
        result |= {"outcome": "error", "stage": "run", "code": "kernel-panic", "message": "it panicked"}
    elif number % 31 == 7 and column % 8 == 5:
        result["misreads"] = [
            {
                "program": "prog_0",
                "insn": 7,
                "access": "struct task_struct.on_cpu",
                "taken": "int on_cpu, 4 bytes",
                "kernel": "u8 on_cpu, 1 byte",
            }
        ]
    return result


def _program(number: int, program: int, column: int) -> dict[str, Any]:
    return {
        "name": f"prog_{program}",
        "section": f"kprobe/function_{number}_{program}",
        "type": "kprobe",
        "attach": "function",
        "status": "passed",
        "code": "",
        "errno": None,
        "message": "",
        "log": "",
        "source": "",
        "insns": 300 + 10 * program,
        "verified_insns": 1000 + 137 * number % 900 + 40 * column * program,
        "decides": True,
    }


def _relocation(number: int, at: int, column: int) -> dict[str, Any]:
    offset = 8 * at + (64 * (column // 3) if at % 5 == 0 else 0)
    missing = at % 50 == 49 and column < 6
    return {
        "section": f"kprobe/function_{number}_{at % _PROGRAMS}",
        "program": f"prog_{at % _PROGRAMS}",
        "index": at,
        "insn": 3 * at,
        "kind": "byte_off" if at % 9 else "field_exists",
        "access": f"struct thing_{at % 40}.member_{at}",
        "local": 8 * at,
        "target": None if missing else offset if at % 9 else 1,
        "outcome": "poisoned" if missing else "patched",
        "old": 8 * at,
        "new": offset,
        "candidates": [f"struct thing_{at % 40} (vmlinux {1000 + at + column})"],
        "message": f"struct thing_{at % 40} has no member 'member_{at}'" if missing else "",
    }


def main() -> None:
    """Write results.json into a folder."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    objects, columns = map(int, sys.argv[2:4] or ("200", "20"))
    (folder / "results.json").write_text(json.dumps(results(objects, columns)))


if __name__ == "__main__":
    main()

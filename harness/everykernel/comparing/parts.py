"""The runs that results are of: the parts of a merged file, what they are as one run, and the columns of them all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from everykernel.comparing.join import canonical, join
from everykernel.comparing.order import moment, natural
from everykernel.matrix.records import KernelRecord, PartRecord, RunRecord
from everykernel.matrix.results import Results


def of(results: Results) -> list[PartRecord]:
    """Return the runs that a file is made of: its parts, or the one run that it is."""
    run = results["run"]
    if parts := run.get("parts"):
        return parts
    return [{**run, "kernels": results["kernels"]}]


def together(parts: Iterable[PartRecord]) -> list[PartRecord]:
    """Return the runs in the order of their starts, each once: what is told of one run twice is put together."""
    found: dict[str, PartRecord] = {}
    for part in parts:
        before = found.get(part["id"])
        if before is None:
            found[part["id"]] = {**part, "kernels": _by_spec([part["kernels"]])}
        else:
            kernels = _by_spec([before["kernels"], part["kernels"]])
            both: PartRecord = join({**before, "kernels": []}, {**part, "kernels": []})
            found[part["id"]] = {**both, "kernels": kernels}
    return sorted(found.values(), key=place)


def place(part: PartRecord) -> tuple[tuple[float, str], str]:
    """Return the key by which runs sort: their start, then their id."""
    return moment(part["started"]), part["id"]


def summary(parts: Sequence[PartRecord]) -> RunRecord:
    """Return several runs, in order, as the run that a merged file says it is of."""
    hosts = [part["host"] for part in parts]
    run: RunRecord = {
        "id": f"merged-{hashlib.sha256(canonical(sorted(part['id'] for part in parts)).encode()).hexdigest()[:16]}",
        "started": parts[0]["started"],
        "tool": _each(part["tool"] for part in parts),
        "host": {
            "accelerator": _each(host["accelerator"] for host in hosts),
            "cpus": max(host["cpus"] for host in hosts),
            "qemu": _each(host["qemu"] for host in hosts),
        },
        "parts": list(parts),
    }
    for key in ("accelerator_reason", "system", "python"):
        if said := _each(str(host.get(key, "")) for host in hosts):
            run["host"][key] = said
    if loaders := {canonical(one): one for part in parts for one in part.get("loaders", [])}:
        run["loaders"] = [loaders[text] for text in sorted(loaders)]
    return run


def columns(parts: Sequence[PartRecord]) -> list[KernelRecord]:
    """Return the kernels of all runs, each spec once.

    Most is known of a kernel that answered, less of one that broke, or was not there; of equals the latest run's is
    shown. Runs to which one spec meant several kernels are told in the notes.
    """
    told: dict[str, list[tuple[Any, KernelRecord, PartRecord]]] = {}
    for part in parts:
        for kernel in part["kernels"]:
            told.setdefault(kernel["spec"], []).append(((_known(kernel), place(part)), kernel, part))
    return [_column(sorted(told[spec], key=lambda one: one[0])) for spec in sorted(told, key=natural)]


def missing_shards(parts: Iterable[PartRecord]) -> list[str]:
    """Return the shards that runs name and that are in none of them: ``3/4`` where there are 1/4, 2/4 and 4/4."""
    there = {part["shard"] for part in parts if "shard" in part}
    counts = sorted({int(shard.partition("/")[2][:4] or 0) for shard in there})
    return [f"{n}/{count}" for count in counts for n in range(1, count + 1) if f"{n}/{count}" not in there]


def _column(told: Sequence[tuple[Any, KernelRecord, PartRecord]]) -> KernelRecord:
    best = told[-1][1]
    found: KernelRecord = {}
    for _, kernel, _ in told:
        found.update(kernel)
    for reason in ("missing", "broken"):
        if reason not in best:
            found.pop(reason, None)  # type: ignore[misc]
    digests = {kernel["sha256"] for _, kernel, _ in told if kernel.get("sha256")}
    if len(digests) > 1:
        notes = [f"run {p['id']}: {k.get('release')}, sha256 {k['sha256']}" for _, k, p in told if k.get("sha256")]
        found["notes"] = [*found.get("notes", []), *sorted(notes)]
    return found


def _known(kernel: KernelRecord) -> int:
    """Return how much is known of a kernel, as a number to sort by."""
    if kernel.get("missing"):
        return 0
    if kernel.get("broken"):
        return 2
    return 3 if kernel.get("version") or kernel.get("btf") else 1


def _by_spec(lists: Iterable[Iterable[KernelRecord]]) -> list[KernelRecord]:
    found: dict[str, KernelRecord] = {}
    for kernels in lists:
        for kernel in kernels:
            before = found.get(kernel["spec"])
            found[kernel["spec"]] = kernel if before is None else join(before, kernel)
    return [found[spec] for spec in sorted(found, key=natural)]


def _each(texts: Iterable[str]) -> str:
    """Return texts in one, each once: ``kvm, tcg``."""
    return ", ".join(sorted(filter(None, dict.fromkeys(texts))))

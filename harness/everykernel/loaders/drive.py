"""Have a guest's kernel asked through an adapter, and take the answer in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from everykernel.errors import LoaderBroke
from everykernel.loaders import contract, sizes
from everykernel.loaders.adapter import Adapter
from everykernel.loaders.contract import Answer
from everykernel.machine import Guest
from everykernel.object import contract as terms_of

_FOLDER = "/tmp/everykernel-loader"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")  # of an object's file: libraries name maps after it


def ask(
    guest: Guest,
    adapter: Adapter,
    name: str,
    data: bytes,
    *,
    btf: bytes | None = None,
    table: Mapping[str, Any] | None = None,
    timeout: float | None = None,
) -> Answer:
    """Load an object in a guest through an adapter.

    Args:
        guest: a fresh one.
        adapter: the loader.
        name, data: the object.
        btf: a BTF to relocate against instead of the kernel's own.
        table: the case's loader contract.
        timeout: seconds that it may take.

    Raises:
        LoaderBroke: the adapter cannot be started.
        RequestFailed, CaseTimeout, GuestError: as `Guest.request`.
    """
    spec = sizes.of_object(data, name, adapter.name)
    terms = terms_of.parse(table or {}, "contract")
    programs = list(terms.programs) if terms.programs is not None else None
    if terms.skip and spec is not None:
        programs = [p.name for p in spec.programs if p.name not in terms.skip and (not programs or p.name in programs)]
    path = f"{_FOLDER}/{name if _NAME.fullmatch(name) else 'object.bpf.o'}"
    guest.push(path, data, timeout=timeout)
    if btf is not None:
        guest.push(f"{_FOLDER}/.types", btf, timeout=timeout)
    request = contract.request(
        path,
        programs=programs,
        btf=f"{_FOLDER}/.types" if btf is not None else None,
        maps=sizes.sizes(spec, terms, guest, adapter.name),
    )
    guest.push(f"{_FOLDER}/.request", request, timeout=timeout)
    guest.push(f"{_FOLDER}/.adapter", adapter.program.read_bytes(), mode=0o755, timeout=timeout)
    ran = guest.run([f"{_FOLDER}/.adapter", f"{_FOLDER}/.request"], timeout=timeout)
    answer = contract.parse(ran.stdout, ran.code, ran.stderr)
    if not answer.broken and answer.loader is not None:
        answer.broken = _stranger(adapter, answer.loader)
    return answer


def broken(adapter: Adapter, answer: Answer) -> LoaderBroke:
    """Return the error of an adapter that did not keep to its contract."""
    return LoaderBroke(f"loader {adapter.name} broke: {answer.broken}")


def _stranger(adapter: Adapter, said: contract.LoaderEvent) -> str:
    """Return what is wrong with an adapter of ours that says it is another version of its library, "" if nothing."""
    if adapter.version and said["version"] != adapter.version:
        return f"it says it is {said['name']} {said['version']}, and {adapter.version} is pinned"
    return ""

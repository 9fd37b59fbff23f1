"""Attaching to USDT probes: a uprobe at each place of a probe, and where its arguments are there, in the object's maps.

The programs' side is <bpf/usdt.bpf.h>: bpf_usdt_arg() looks up the specification that the link's cookie names or, on
kernels without cookies, the instruction's address. libbpf puts many places into one multi link, where the kernel has
these; a link for each place tells the program the same.

This module travels to the guest: standard library and pyelftools only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from everykernel.errors import UsageError
from everykernel.load.attach import files, operands, outcome, sites, uprobe
from everykernel.load.attach.outcome import Link, NotAttached

if TYPE_CHECKING:
    from collections.abc import Mapping

    from everykernel.load.kernel.types import KernelTypes
    from everykernel.load.maps.map import Map
    from everykernel.load.system.door import System

_SPECS, _BY_ADDRESS = "__bpf_usdt_specs", "__bpf_usdt_ip_to_spec_id"
_NOEXIST = 1  # BPF_NOEXIST


class Manager:
    """The USDT probes of one object: which slots of its map of specifications are taken."""

    def __init__(self, maps: Mapping[str, Map], kernel: KernelTypes) -> None:
        if _SPECS not in maps or _BY_ADDRESS not in maps:
            raise NotAttached(f"it has no map {_SPECS}: include <bpf/usdt.bpf.h>", code="object-unsupported")
        self._specs, self._by_address = maps[_SPECS], maps[_BY_ADDRESS]
        self._system = kernel.system
        self._here = self._system.architecture
        self._cookies = kernel.probes.cookie()
        self._free: list[int] = []
        self._next = 0

    def attach(self, fd: int, target: str) -> Link:
        """Attach to ``FILE:PROVIDER:NAME``, in every process that runs it."""
        path, provider, name = _parts(self._system, target)
        what = f"usdt {path}:{provider}:{name}"
        found = sites.find(self._system, path, provider, name)
        if not self._cookies and not found.fixed:
            raise NotAttached(
                f"{what}: this kernel has no attach cookies, by which probes in a shared library are told apart",
                code="attach-type-unsupported",
            )
        links: list[Link] = []
        slots: dict[str, int] = {}
        addresses: list[int] = []

        def undo() -> None:
            for link in links:
                link.close()
            for address in addresses:
                self._by_address.delete(address)
            self._free.extend(slots.values())

        try:
            for site in found.sites:
                if site.arguments not in slots:
                    slots[site.arguments] = self._slot(site.arguments, what)
                slot = slots[site.arguments]
                if not self._cookies:
                    self._by_address.update(site.address, slot, _NOEXIST)
                    addresses.append(site.address)
                cookie = slot if self._cookies else 0
                links.append(
                    uprobe.at(self._system, fd, path, site.offset, what, semaphore=site.semaphore, cookie=cookie)
                )
        except (NotAttached, UsageError, OSError) as e:
            undo()
            if isinstance(e, OSError):
                raise outcome.refused(what, e, "the kernel takes no description of the probe") from e
            raise e if isinstance(e, NotAttached) else NotAttached(f"{what}: {e.message}") from e
        return Link(self._system, -1, undo)

    def _slot(self, arguments: str, what: str) -> int:
        """Write down where a site's arguments are, in a slot of its own."""
        specification = operands.specification(arguments, self._here, what)
        slot = self._free[-1] if self._free else self._next
        if slot >= self._specs.spec.max_entries:
            raise NotAttached(f"{what}: more kinds of places than {_SPECS} has room for", code="limit-exceeded")
        self._specs.update(slot, specification)
        if self._free:
            self._free.pop()
        else:
            self._next += 1
        return slot


def _parts(system: System, target: str) -> tuple[str, str, str]:
    parts = target.split(":")
    if len(parts) != 3 or not all(parts):
        raise NotAttached(f"usdt {target}: is no file:provider:name", code="attach-target-missing")
    path, provider, name = parts
    return path if "/" in path else files.find_file(system, path), provider, name

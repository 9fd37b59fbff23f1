"""Guests for tests that a user writes: restored ahead, fresh for every test, or shared in a scope on request."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from everykernel.errors import UsageError
from everykernel.machine.guest import Guest
from everykernel.machine.spec import MachineSpec
from everykernel.plugin.options import NO_KERNELS

if TYPE_CHECKING:
    from everykernel.plugin.session import KernelSession

_ASKED = pytest.StashKey[Future[Guest]]()
_SHARED = pytest.StashKey[dict[Any, Guest]]()

_SCOPES: dict[str, type[pytest.Collector] | None] = {
    "function": None,
    "class": pytest.Class,
    "module": pytest.Module,
    "session": pytest.Session,
}
_MACHINE_KEYS = ("cpus", "memory", "cmdline", "modules", "sysctls")


def wishes(item: pytest.Item, memory: int | None) -> tuple[str, MachineSpec, bool]:
    """Return scope and machine that an item's ``kernel`` markers ask for; the closest wins, key by key.

    ``memory`` is what the user gives guests that ask for none. The last of what is returned is whether anybody asked
    for the machine's memory.

    Raises UsageError for a key or scope that does not exist.
    """
    asked: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("kernel"))):
        asked.update(marker.kwargs)
    scope = asked.pop("scope", "function")
    if scope not in _SCOPES:
        raise UsageError(f"unknown scope {scope!r}", where="pytest.mark.kernel", remedy=f"one of {', '.join(_SCOPES)}")
    for key in asked:
        if key not in _MACHINE_KEYS:
            known = ", ".join(("scope", *_MACHINE_KEYS))
            raise UsageError(f"unknown key {key!r}", where="pytest.mark.kernel", remedy=f"known: {known}")
    asked = {k: list(v) if isinstance(v, tuple) else v for k, v in asked.items()}
    if memory is not None:
        asked.setdefault("memory", memory)
    return scope, MachineSpec.of(asked), "memory" in asked


def request(session: KernelSession, item: pytest.Item) -> None:
    """Have a fresh guest restored for an item, unless it shares one, or has one coming already."""
    from everykernel.plugin.session import spec_of

    spec = spec_of(item)
    if spec in (None, NO_KERNELS) or _ASKED in item.stash or session.campaign.column(spec).missing:
        return
    try:
        scope, machine, _ = wishes(item, session.settings.memory)
    except UsageError:
        return  # told when the item itself asks
    if scope == "function":
        item.stash[_ASKED] = session.campaign.start_later(spec, machine, ahead=True)


def take(session: KernelSession, item: pytest.Item, spec: str) -> Guest:
    """Return the guest for an item; it is closed when the item, or the scope that shares it, ends."""
    scope, machine, _ = wishes(item, session.settings.memory)
    node = _sharers(item, scope)
    if node is None:
        request(session, item)
        future = item.stash[_ASKED]
        guest = session.painter.wait(future)
        item.addfinalizer(guest.close)
        del item.stash[_ASKED]
        return guest
    shared = node.stash.setdefault(_SHARED, {})
    if (spec, machine) not in shared:
        guest = session.painter.wait(session.campaign.start_later(spec, machine))
        shared[spec, machine] = guest
        node.addfinalizer(guest.close)
        node.addfinalizer(lambda: shared.pop((spec, machine), None))
    return shared[spec, machine]


def shared_in(item: pytest.Item) -> pytest.Collector | None:
    """Return the class, module or session in which an item shares its guest, None where it has one of its own.

    Raises UsageError for a marker that makes no sense.
    """
    return _sharers(item, wishes(item, None)[0])


def _sharers(item: pytest.Item, scope: str) -> pytest.Collector | None:
    kind = _SCOPES[scope]
    if kind is None:
        return None
    node = item.getparent(kind)
    if node is None:  # a test outside of any class that asks for class scope
        node = item.getparent(pytest.Module)
    assert node is not None
    return node


def drop(item: pytest.Item) -> None:
    """Close a guest that was restored for an item and that it never took (it was skipped)."""
    future = item.stash.get(_ASKED, None)
    if future is not None:
        del item.stash[_ASKED]
        future.add_done_callback(_close)


def _close(future: Future[Guest]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().close()

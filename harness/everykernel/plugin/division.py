"""Which items of a session are run here: a shard of them, or those that an older report has to run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from everykernel.errors import UsageError
from everykernel.plugin.options import NO_KERNELS
from everykernel.plugin.session import KernelSession, spec_of

if TYPE_CHECKING:
    from everykernel.matrix.shard import Unit

TOTAL = "everykernel_total"  # of what a worker of pytest-xdist tells: how many items there are in all shards


def divide(session: KernelSession, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is not run here; what pytest deselected before is in no shard."""
    settings = session.settings
    if settings.selected is not None:
        wanted = {result.get("test") for result in settings.selected.tests}
        _keep(config, items, {item for item in items if item.nodeid in wanted})
    if settings.shard is not None:
        from everykernel.matrix import shard

        units = {item: _unit(item) for item in items}
        own = settings.shard.of(unit for unit in units.values() if unit.kernel)
        first = settings.shard.index == 1
        total = len(items)
        _keep(config, items, {item for item, unit in units.items() if unit in own or (first and not unit.kernel)})
        session.total = total
        session.told = shard.told(settings.shard, items, total).replace("cell", "item")
        if session.worker:
            config.workeroutput[TOTAL] = total  # type: ignore[attr-defined]


def _unit(item: pytest.Item) -> Unit:
    """Return an item as shards see it; tests that share a guest stay together: what one does there others see."""
    from everykernel.matrix.shard import Unit
    from everykernel.plugin import lend

    spec = spec_of(item)
    if spec is None or spec == NO_KERNELS:
        return Unit("", item.nodeid)
    try:
        shared = lend.shared_in(item)
    except UsageError:
        shared = None  # told when the item itself asks
    return Unit(spec, item.nodeid, shared.nodeid or "session" if shared is not None else "")


def _keep(config: pytest.Config, items: list[pytest.Item], kept: set[pytest.Item]) -> None:
    others = [item for item in items if item not in kept]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item in kept]

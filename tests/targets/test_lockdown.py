"""A host that is locked down is told so, in its column and in what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.targets.conftest import Client
from tests.targets.server import Server

from everykernel import wire
from everykernel.kernels.model import Kernel

pytestmark = pytest.mark.vm

READS = Path(__file__).parents[2] / "cases/exec_event/build/x86_64/prog.bpf.o"


@pytest.fixture(scope="module")
def locked(linux: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(linux, "bookworm", tmp_path_factory.mktemp("locked"), cmdline="lockdown=confidentiality")
    yield made
    made.close()


def test_lockdown(locked: Server, tmp_path: Path) -> None:
    """The column has it before any cell; what the kernel denies for it is denied, for root too, and says why."""
    targets = Client(locked, tmp_path).targets()
    resolved = targets.resolve(locked.url)
    assert resolved.told["lockdown"] == "confidentiality"
    with targets.start(resolved.fetch()) as guest:
        assert guest.facts.lockdown == "confidentiality"
        loaded = guest.request(wire.Load("prog.bpf.o", READS.read_bytes()))
        assert loaded.relocate["status"] == "passed"
        assert (loaded.load["status"], loaded.load["code"]) == ("failed", "permission-denied")
        # the loader takes the older helper where the kernel does not have bpf_probe_read_kernel, as libbpf does
        said = "this kernel is locked down (confidentiality), and denies bpf_probe_read to everybody"
        assert said in loaded.load["message"]
        assert guest.finish() == []
    targets.close()

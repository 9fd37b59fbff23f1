"""A snapshot's name is a hash of everything that decides it, so a stale one is never found."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from everykernel import images
from everykernel.architectures import ARCHITECTURES
from everykernel.machine import MachineSpec, snapshots
from everykernel.machine.fake import kernel
from everykernel.machine.snapshots import Plan


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    for name in ("qemu", "image.cpio", "modules.cpio", "vmlinuz"):
        (tmp_path / name).write_bytes(name.encode())
    return Plan(
        kernel=dataclasses.replace(kernel(), image=tmp_path / "vmlinuz"),
        spec=MachineSpec(),
        accelerator="tcg",
        program=tmp_path / "qemu",
        image=images.Image(tmp_path / "image.cpio", "digest of the image", ()),
        modules=tmp_path / "modules.cpio",
    )


def keys(plan: Plan) -> tuple[str, str]:
    fresh = dataclasses.replace(plan)  # keys are computed once for each plan
    return fresh.boot_key, fresh.warm_key


def test_the_same_inputs_give_the_same_names(plan: Plan) -> None:
    """Nothing that changes from run to run is in a key."""
    assert keys(plan) == keys(plan)
    assert keys(plan)[0] != keys(plan)[1]


@pytest.mark.parametrize(
    "change",
    [
        {"spec": MachineSpec(cpus=1)},
        {"spec": MachineSpec(memory=512)},
        {"spec": MachineSpec(cmdline="quiet")},
        {"accelerator": "kvm"},
        {"image": images.Image(Path("other"), "another digest", ())},
    ],
)
def test_every_part_of_a_plan_decides(plan: Plan, change: dict[str, object]) -> None:
    """Another machine, accelerator or image is another snapshot, on both layers."""
    changed = dataclasses.replace(plan, **change)  # type: ignore[arg-type]
    assert not set(keys(changed)) & set(keys(plan))


@pytest.mark.parametrize("name", ["qemu", "vmlinuz", "modules.cpio"])
def test_every_byte_of_a_file_decides(plan: Plan, tmp_path: Path, name: str) -> None:
    """A changed emulator, kernel or module is another snapshot, on both layers."""
    before = keys(plan)
    (tmp_path / name).write_bytes(b"changed")
    assert not set(keys(plan)) & set(before)


def test_a_kernels_digest_is_taken_from_whoever_fetched_it(plan: Plan) -> None:
    """A kernel that was verified when it was fetched is not read again."""
    known = dataclasses.replace(plan, kernel=dataclasses.replace(plan.kernel, image=Path("/gone"), digest="d"))
    assert keys(known)[0] != keys(plan)[0]


def test_another_architecture_is_another_snapshot(plan: Plan) -> None:
    """The architecture's row decides through the command line."""
    row = dataclasses.replace(ARCHITECTURES["x86_64"], qemu_cpu="other")
    assert keys(dataclasses.replace(plan, kernel=dataclasses.replace(plan.kernel, arch=row)))[0] != keys(plan)[0]


def test_our_own_code_decides_the_warm_layer_alone(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of the agent rebuilds the warm snapshot and boots nothing."""
    boot, warm = keys(plan)
    monkeypatch.setattr(images, "agent_digest", lambda: "another agent")
    assert keys(plan)[0] == boot
    assert keys(plan)[1] != warm


def test_half_a_snapshot_is_not_found(tmp_path: Path) -> None:
    """What has no about.json was never finished."""
    (tmp_path / "memory").write_bytes(b"m")
    assert snapshots.find(tmp_path) is None
    snapshots.finish(tmp_path, b"state", {"spec": "6.1"})
    found = snapshots.find(tmp_path)
    assert found is not None
    assert found.state == b"state"
    assert found.about == {"spec": "6.1"}


def test_copies_are_sparse(tmp_path: Path) -> None:
    """A copy has the same bytes, and holes where the original has holes."""
    source, target = tmp_path / "source", tmp_path / "target"
    with source.open("wb") as file:
        file.truncate(64 << 20)
        for position in (0, 8 << 20, (64 << 20) - 4096):
            file.seek(position)
            file.write(os.urandom(4096))
    snapshots.copy_sparsely(source, target)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks <= source.stat().st_blocks + 64


def test_an_empty_file_is_copied(tmp_path: Path) -> None:
    """A file that is one hole, or nothing at all, is copied too."""
    (tmp_path / "hole").touch()
    os.truncate(tmp_path / "hole", 1 << 20)
    snapshots.copy_sparsely(tmp_path / "hole", tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_size == 1 << 20

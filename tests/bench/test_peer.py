"""The peer's command is run fairly, and what it cannot do is an error with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from everykernel.architectures import DEFAULT
from everykernel.bench import peer
from everykernel.kernels.model import Kernel

FAKE = """#!/bin/sh
echo "$@" > {log}
while [ "$1" != --rwdir ]; do shift; done
folder=$2
{action}
"""


@pytest.fixture
def linux(tmp_path: Path) -> Kernel:
    config = tmp_path / "config"
    config.write_text("CONFIG_NET_9P_VIRTIO=m\n# CONFIG_VIRTIO_FS is not set\n")
    image = tmp_path / "vmlinuz"
    return Kernel("6.1", DEFAULT, "6.1.0-x", image, None, config, sha256="", source="path:x", signed="none")


def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str) -> Path:
    """Put a fake vng in place; return the file that it writes its arguments to."""
    log, program = tmp_path / "argv", tmp_path / "vng"
    program.write_text(FAKE.format(log=log, action=action))
    program.chmod(0o755)
    monkeypatch.setattr(peer, "command", lambda: str(program))
    return log


def test_true_that_ran_has_a_time(tmp_path: Path, linux: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run counts when the guest itself wrote its kernel's release."""
    log = fake(tmp_path, monkeypatch, 'sleep 0.1; echo 6.1.0-x > "$folder/ran"; exit 255')
    assert peer.run_true(linux, kvm=False) >= 0.1
    assert f"-r {linux.image} " in log.read_text()
    assert "--force-9p --disable-kvm -- true" in log.read_text()


def test_with_kvm_the_peer_has_it_too(tmp_path: Path, linux: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer runs under the accelerator that we run under."""
    log = fake(tmp_path, monkeypatch, 'echo 6.1.0-x > "$folder/ran"')
    peer.run_true(linux, kvm=True)
    assert "--disable-kvm" not in log.read_text()


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("echo no root; exit 1", "6.1: true did not run: no root"),
        ('echo 5.10 > "$folder/ran"', "6.1: true did not run: it says nothing"),
    ],
)
def test_true_that_did_not_run_has_none(
    tmp_path: Path, linux: Kernel, monkeypatch: pytest.MonkeyPatch, action: str, reason: str
) -> None:
    """Without the guest's own word, or with another kernel's, there is no figure."""
    fake(tmp_path, monkeypatch, action)
    with pytest.raises(peer.PeerUnable) as caught:
        peer.run_true(linux, kvm=False)
    assert str(caught.value) == reason


def test_a_peer_that_hangs_is_ended(tmp_path: Path, linux: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that does not end is given up, and its processes are gone."""
    fake(tmp_path, monkeypatch, "sleep 60")
    monkeypatch.setattr(peer, "PATIENCE", 0.2)
    with pytest.raises(peer.PeerUnable, match="had not run after"):
        peer.run_true(linux, kvm=False)


def test_a_kernel_without_a_shared_root_is_not_tried(linux: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither 9p nor virtiofs: virtme-ng has no root folder to give it."""
    assert linux.config is not None
    linux.config.write_text("# CONFIG_NET_9P is not set\nCONFIG_VIRTIO_FS=m\n")
    monkeypatch.setattr(peer, "_NEW_VIRTIOFSD", ())
    with pytest.raises(peer.PeerUnable, match="no 9p"):
        peer.run_true(linux, kvm=False)

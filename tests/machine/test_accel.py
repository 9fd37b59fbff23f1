"""KVM is used only where a guest has really booted under it, and that is tried once per host boot."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from everykernel import cache
from everykernel.architectures import ARCHITECTURES
from everykernel.errors import BootFailed, HarnessError, UsageError
from everykernel.machine import accel

X86 = ARCHITECTURES["x86_64"]


class Probe:
    def __init__(self, error: Exception | None = None) -> None:
        self.calls = 0
        self.error = error

    def __call__(self) -> None:
        self.calls += 1
        if self.error:
            raise self.error


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a /dev/kvm that opens; the emulator's path is returned."""
    monkeypatch.setenv(cache.ROOT_SETTING, str(tmp_path / "cache"))
    (tmp_path / "kvm").touch()
    monkeypatch.setattr(accel, "DEVICE", tmp_path / "kvm")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    program = tmp_path / "qemu"
    program.write_bytes(b"emulator")
    return program


def test_tcg_is_taken_at_its_word(host: Path) -> None:
    """Nothing is tried when TCG was asked for."""
    probe = Probe()
    assert str(accel.choose("tcg", X86, host, probe)) == "tcg (as asked for)"
    assert probe.calls == 0


def test_kvm_that_works(host: Path) -> None:
    """A guest that boots under KVM settles it."""
    assert str(accel.choose("auto", X86, host, Probe())) == "kvm (a probe guest booted under it)"


def test_kvm_that_opens_and_does_not_work(host: Path) -> None:
    """A guest that does not boot under KVM settles it too, in one line."""
    probe = Probe(BootFailed("no sign of life\nand more", where="6.1"))
    verdict = accel.choose("auto", X86, host, probe)
    assert str(verdict) == "tcg (a probe guest did not boot under KVM: no sign of life)"
    with pytest.raises(HarnessError, match="--accel kvm: KVM does not work: a probe guest did not boot"):
        accel.choose("kvm", X86, host, probe)


def test_it_is_tried_once_per_host_boot_and_emulator(host: Path) -> None:
    """The verdict is remembered, until the emulator changes."""
    probe = Probe(BootFailed("no"))
    for _ in range(3):
        accel.choose("auto", X86, host, probe)
    assert probe.calls == 1
    host.write_bytes(b"a newer emulator")
    accel.choose("auto", X86, host, probe)
    assert probe.calls == 2


def test_a_host_without_kvm(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no device, or another CPU, nothing is tried."""
    probe = Probe()
    monkeypatch.setattr(accel, "DEVICE", Path("/nonexistent/kvm"))
    assert accel.choose("auto", X86, host, probe).name == "tcg"
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    verdict = accel.choose("auto", X86, host, probe)
    assert verdict.reason == "a host of type aarch64 cannot run x86_64 on its own CPU"
    assert probe.calls == 0


def test_an_accelerator_that_does_not_exist(host: Path) -> None:
    """A misspelt name lists the right ones."""
    with pytest.raises(UsageError, match=r"--accel: unknown accelerator 'hvf' \[one of auto, kvm, tcg\]"):
        accel.choose("hvf", X86, host, Probe())

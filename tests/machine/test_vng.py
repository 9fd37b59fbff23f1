"""Guests of virtme-ng before anything boots: which kernels they take, what is lacking, and what virtme-ng is told."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from everykernel import kernels, settings
from everykernel.architectures import ARCHITECTURES, DEFAULT
from everykernel.cluster.campaign import ClusterCampaign
from everykernel.errors import HarnessError, ToolMissing, UnknownKernel, UsageError
from everykernel.kernels.model import Kernel, ResolvedKernel
from everykernel.machine import MachineSpec, fake
from everykernel.machine.vng import command, needs, resolve, share
from everykernel.matrix import plan

GENERIC = "CONFIG_NET_9P_VIRTIO=m\nCONFIG_9P_FS=m\nCONFIG_OVERLAY_FS=m\n"
SAID = " ".join(
    [
        "{qemu} -m 256M -fsdev local,id=virtfs3,path=/,security_model=none,readonly=on,multidevs=remap",
        "-serial chardev:console -chardev file,id=console,path=/proc/self/fd/2 -chardev stdio,id=stdin,signal=on",
        "-chardev file,id=ret,path=/tmp/ret -kernel x -append 'console=ttyS0 quiet' -initrd y",
    ]
)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host where virtme-ng and all it needs are; the folder with its programs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in (needs.RUN, "depmod", "modprobe", "file"):
        put(programs / name, "true")
    monkeypatch.setattr(needs, "path", lambda: str(programs))
    return programs


def put(path: Path, action: str) -> None:
    path.write_text(f"#!/bin/sh\n{action}\n")
    path.chmod(0o755)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What sources are asked for, answered by kernels that are nowhere; of a range, two."""
    found: list[str] = []

    def answer(texts: Sequence[str], progress: Any = None) -> list[ResolvedKernel]:
        found.extend(texts)
        return [resolved(f"{series}+generic" if ".." in text else text) for text in texts for series in named(text)]

    monkeypatch.setattr(kernels, "resolve", answer)
    return found


def named(text: str) -> list[str]:
    return text.partition("+")[0].split("..") if ".." in text else [text]


def resolved(spec: str) -> ResolvedKernel:
    kernel = fake.kernel(spec)
    flavour = "cloud-amd64" if "cloud" in spec else "amd64"
    arch = ARCHITECTURES["i386"] if spec.endswith("/i386") else DEFAULT
    fetcher = lambda resolved, progress: kernel  # noqa: E731
    return ResolvedKernel(spec, arch, "6.1", "6.1.1-1", kernel.release, "linux", "debian:x", flavour, fetcher)


def refusal(kind: type[Exception], *specs: str) -> str:
    with pytest.raises(kind) as caught:
        resolve(specs)
    return str(caught.value)


# --- which kernels


@pytest.mark.usefixtures("host")
def test_a_flavour_with_9p_is_chosen(asked: list[str]) -> None:
    """Where a spec names no flavour, Debian's generic one is asked for; what is named, or has none, stays."""
    found = resolve(["6.1@vng", "6.12.5@vng", "lts@vng", "6.1+rt@vng", "ubuntu:6.8@vng", "6.1-nobtf@vng"])
    assert asked == ["6.1+generic", "6.12.5+generic", "lts+generic", "6.1+rt", "ubuntu:6.8", "6.1-nobtf"]
    assert [one.spec for one in found[:2]] == ["6.1@vng", "6.12.5@vng"]
    assert {one.target for one in found} == {"vng"}


@pytest.mark.usefixtures("host", "asked")
def test_the_record_says_what_it_is() -> None:
    """A column says, before any cell, that virtme-ng runs it and what that means; no machine runs already."""
    ours, theirs = plan.columns(["6.1", "6.1@vng"])
    record = theirs.record()
    assert record["target"] == "vng"
    assert "each cell boots it anew" in record["notes"][0]
    assert (ours.is_restored, theirs.is_restored, theirs.is_target) == (True, False, False)
    assert theirs.kernel().target == "vng"
    assert plan.empty(a_case(), theirs)["target"] == "vng"


def a_case() -> Any:
    from everykernel.matrix import case

    return case.bare(Path("/nonexistent/prog.bpf.o"))


@pytest.mark.usefixtures("host", "asked")
def test_each_kernel_of_a_range_is_a_column() -> None:
    """A range is several columns, each named as it can be asked for again."""
    assert [one.spec for one in resolve(["5.10..6.1@vng"])] == ["5.10+generic@vng", "6.1+generic@vng"]


@pytest.mark.usefixtures("host")
def test_kernels_that_cannot(asked: list[str]) -> None:
    """What cannot work is said beforehand in one line, with what would; nothing is asked for."""
    assert refusal(UsageError, "6.1+cloud@vng") == (
        "6.1+cloud@vng: Debian's cloud kernels have no 9p, by which virtme-ng gives a guest the host's files;"
        " for virtiofs it would have to keep a daemon beside the guest, which ends with its dry run"
        " [use 6.1+generic@vng]"
    )
    asked.clear()
    assert refusal(UsageError, "6.1/i386@vng") == (
        f"6.1/i386@vng: its architecture is i386, and the host's programs are for {platform.machine()}"
        " [leave @vng out: 6.1/i386]"
    )
    assert refusal(UnknownKernel, "@vng").startswith("@vng: is not a kernel spec")
    assert asked == []


def test_a_kernel_without_9p(tmp_path: Path) -> None:
    """A configuration without 9p or overlays is found before anything boots; none at all is believed."""
    config = tmp_path / "config"
    kernel = replace(fake.kernel("rocky:9@vng"), config=config)
    config.write_text(GENERIC)
    needs.check_kernel(kernel)
    config.write_text("# CONFIG_9P_FS is not set\nCONFIG_OVERLAY_FS=y\n")
    with pytest.raises(UsageError) as caught:
        needs.check_kernel(kernel)
    assert str(caught.value) == (
        "rocky:9@vng: it has no CONFIG_NET_9P_VIRTIO and no CONFIG_9P_FS, by which virtme-ng gives a guest the host's"
        " files [use a Debian kernel, like 6.1@vng]"
    )
    config.write_text("CONFIG_VIRTIO_FS=m\nCONFIG_OVERLAY_FS=y\n")
    with pytest.raises(UsageError, match=r"the host's files; for virtiofs it would have to keep a daemon beside the"):
        needs.check_kernel(kernel)
    config.write_text(GENERIC.replace("CONFIG_OVERLAY_FS=m", "CONFIG_VIRTIO_FS=m"))
    with pytest.raises(UsageError, match=r"no CONFIG_OVERLAY_FS, by which virtme-ng gives a guest the host's files \["):
        needs.check_kernel(kernel)
    needs.check_kernel(replace(kernel, config=None))


@pytest.mark.usefixtures("host", "asked")
def test_no_worker_has_this_hosts_programs() -> None:
    """A cluster's workers have user spaces of their own: such columns are refused before a scheduler is asked."""
    with pytest.raises(UsageError, match=r"--cluster: 6\.1@vng has this host's user space, and workers have their own"):
        ClusterCampaign("tcp://127.0.0.1:1", plan.columns(["6.1@vng"]), fake.FakeMachines())


def test_all_kernels_of_a_list() -> None:
    """``--machine vng`` is each kernel's own suffix; a machine that runs already stays one."""
    found = settings.on_machines(["6.1", "6.12@vng", "5.10@qemu", "6.1@bare", "ssh://lab@vng"], "vng")
    assert found == ["6.1@vng", "6.12@vng", "5.10", "6.1@bare", "ssh://lab@vng"]


# --- what the host lacks


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("lacking", "error"),
    [
        ([needs.RUN], "virtme-run: virtme-ng is not installed [pip install 'everykernel[vng]']"),
        (["depmod"], "virtme-run: virtme-ng needs depmod [install kmod]"),
        (["modprobe"], "virtme-run: virtme-ng needs modprobe [install kmod]"),
        (["file"], "virtme-run: virtme-ng needs file, or strings of binutils [install file]"),
    ],
)
def test_what_is_not_installed(host: Path, lacking: list[str], error: str) -> None:
    """Without virtme-ng, or what it calls, the error says what to install."""
    for name in lacking:
        (host / name).unlink()
    assert refusal(ToolMissing, "6.1@vng") == error


def test_a_python_that_the_guest_does_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter in /tmp, which the guest has of its own, is found before anything boots."""
    monkeypatch.setattr(sys, "executable", "/tmp/there/is/none/python3")
    with pytest.raises(HarnessError) as caught:
        needs.interpreter()
    assert "this Python is in /tmp, where a guest of virtme-ng has a folder of its own" in str(caught.value)


# --- what virtme-ng is told, and what is taken of what it says


def test_its_streams_are_ours(tmp_path: Path) -> None:
    """The kernel's console goes to our file; what virtme-ng would read of us, or write elsewhere, is left out."""
    arguments = command._arguments(f"note\n{SAID.format(qemu='/usr/bin/' + DEFAULT.qemu)}\n", DEFAULT, "6.1@vng")
    made = command.Virtme(arguments, tmp_path / "console").qemu()
    streams = [made[at + 1] for at, word in enumerate(made) if word == "-chardev"]
    assert streams == [f"file,id=console,path={tmp_path}/console", "null,id=stdin", "null,id=ret"]
    assert len(made) == len(arguments)
    assert made[:2] == ["-m", "256M"]


@pytest.mark.parametrize(
    "said",
    [
        "",
        "usage: virtme-run",
        "it's no shell's",
        SAID.format(qemu="rm"),
        SAID.format(qemu=DEFAULT.qemu).replace("readonly=on,", ""),
        SAID.format(qemu=DEFAULT.qemu).replace("id=console", "id=other"),
    ],
)
def test_a_command_that_we_do_not_know(said: str) -> None:
    """What is no QEMU with a console, or would let the guest write to the host's files, is not started."""
    with pytest.raises(HarnessError, match="virtme-ng would start nothing that we know"):
        command._arguments(said, DEFAULT, "6.1@vng")


@pytest.fixture
def shell(host: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same host, with a shell's own programs."""
    monkeypatch.setattr(needs, "path", lambda: f"{host}:/usr/bin:/bin")
    return host


def test_what_virtme_ng_is_asked(shell: Path, tmp_path: Path) -> None:
    """Host files read-only, no KVM under TCG, the case's own command line last; its refusal is told."""
    image = tmp_path / "tree" / "boot" / "vmlinuz-6.1.0"
    put(shell / needs.RUN, f'printf "%s\\n" "$@" > {tmp_path}/argv\ncat {tmp_path}/said')
    (tmp_path / "said").write_text(SAID.format(qemu=DEFAULT.qemu))
    spec = MachineSpec(cpus=3, memory=512, cmdline="nokaslr")
    found = command.ask(DEFAULT, spec, "6.1@vng", image, tmp_path, "tcg")
    argv = (tmp_path / "argv").read_text().splitlines()
    assert found[-2:] == ("-accel", "tcg,thread=single")
    assert "--rw" not in argv
    assert "--rwdir" not in argv
    assert argv[argv.index("--cpus") + 1] == "3"
    assert argv[argv.index("--memory") + 1] == "512M"
    assert f"run/everykernel={tmp_path}" in argv
    assert [word for word in argv if word.startswith("--kopt=")][-1] == "--kopt=nokaslr"
    assert "--disable-kvm" in argv
    put(shell / needs.RUN, "echo first >&2; echo virtme-run: no busybox >&2; exit 1")
    with pytest.raises(HarnessError, match=r"6\.1@vng: virtme-ng refuses: virtme-run: no busybox"):
        command.ask(DEFAULT, spec, "6.1@vng", image, tmp_path, "tcg")
    (tmp_path / "said").write_text(SAID.format(qemu=DEFAULT.qemu).replace("quiet", "x" * 2040))
    put(shell / needs.RUN, f"cat {tmp_path}/said")
    with pytest.raises(UsageError, match=r"the kernel's command line has 20\d\d bytes"):
        command.ask(DEFAULT, spec, "6.1@vng", image, tmp_path, "tcg")


def test_a_kernels_own_files_stay(tmp_path: Path, shell: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """depmod works on a tree of its own, whose modules are the kernel's and whose lists are not."""
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "cache"))
    put(shell / "depmod", 'cd "$2/lib/modules/$3"; echo changed > modules.order; echo made > modules.dep')
    modules = tmp_path / "kernel" / "lib" / "modules" / "6.1.0-x"
    (modules / "kernel").mkdir(parents=True)
    (modules / "kernel" / "a.ko").write_bytes(b"module")
    (modules / "modules.order").write_text("order")
    image = tmp_path / "kernel" / "vmlinuz"
    image.write_bytes(b"image")
    kernel: Kernel = replace(fake.kernel("6.1@vng", release="6.1.0-x"), image=image, modules=modules)
    tree = share.tree(kernel)
    assert (tree / "boot" / "vmlinuz-6.1.0-x").samefile(image)
    assert (tree / "lib" / "modules" / "6.1.0-x" / "kernel" / "a.ko").samefile(modules / "kernel" / "a.ko")
    assert (tree / "lib" / "modules" / "6.1.0-x" / "modules.dep").read_text() == "made\n"
    assert (modules / "modules.order").read_text() == "order"
    assert not (modules / "modules.dep").exists()
    assert share.tree(kernel) == tree
    put(shell / "depmod", "exit 3")
    with pytest.raises(HarnessError, match=r"6\.1@vng: depmod fails on its modules"):
        share.tree(replace(kernel, sha256="1" * 64))

#!/usr/bin/env python3
"""From a fresh machine to a result: install what is missing, make .venv, and hand over to nox.

    python3 bootstrap.py            install, then compile the cases and show the matrix (nox -s matrix)
    python3 bootstrap.py check      install, then lint, typing and all tests (nox)
    python3 bootstrap.py SESSION…   install, then these nox sessions

Standard library only. On Debian and Ubuntu the system packages are installed with apt-get (through sudo where needed);
elsewhere their names are printed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
MINIMUM = (3, 11)


@dataclass(frozen=True)
class Need:
    """Something that the system must have, and the package that brings it in each family of distributions."""

    what: str
    apt: str
    fedora: str
    arch: str

    def missing(self) -> bool:
        """Tell whether it is not there: a program, a file or folder (/…), or a module of this Python (python:…)."""
        if self.what.startswith("python:"):
            return importlib.util.find_spec(self.what[len("python:") :]) is None
        if self.what.startswith("/"):
            return not Path(self.what).exists()
        return shutil.which(self.what) is None


KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
NEEDS = (
    Need("python:ensurepip", "python3-venv", "python3", "python"),
    Need("qemu-system-x86_64", "qemu-system-x86", "qemu-system-x86-core", "qemu-system-x86"),
    # Tests boot one kernel of another byte order, and one of another instruction set.
    Need("qemu-system-s390x", "qemu-system-misc", "qemu-system-s390x-core", "qemu-system-s390x"),
    Need("qemu-system-aarch64", "qemu-system-arm", "qemu-system-aarch64-core", "qemu-system-aarch64"),
    Need("clang-19", "clang-19", "clang", "clang"),
    Need("llvm-strip-19", "llvm-19", "llvm", "llvm"),
    Need("ld.lld-19", "lld-19", "lld", "lld"),
    Need("/usr/include/bpf/bpf_helpers.h", "libbpf-dev", "libbpf-devel", "libbpf"),
    Need("/usr/include/linux/bpf.h", "linux-libc-dev", "kernel-headers", "linux-api-headers"),
    Need("/usr/include/libelf.h", "libelf-dev", "elfutils-libelf-devel-static", "libelf"),
    Need("/usr/include/zlib.h", "zlib1g-dev", "zlib-static", "zlib"),
    Need("/usr/include/zstd.h", "libzstd-dev", "libzstd-static", "zstd"),
    Need("/usr/include/stdlib.h", "libc6-dev", "glibc-static", "glibc"),
    Need("/sbin/depmod", "kmod", "kmod", "kmod"),  # the benchmark's peer calls it
    Need("/usr/sbin/bpftool", "bpftool", "bpftool", "bpf"),  # the reference for what an archive of BTF holds
    Need("shellcheck", "shellcheck", "ShellCheck", "shellcheck"),  # the Action's steps
    Need("make", "make", "make", "make"),  # the examples
    Need("pahole", "dwarves", "dwarves", "pahole"),  # BTF of kernels without, from their debug packages
    Need("gpgv", "gpgv", "gnupg2", "gnupg"),
    Need("gpg", "gpg", "gnupg2", "gnupg"),  # tests sign archives of their own
    Need("apt-ftparchive", "apt-utils", "apt-utils", "apt"),
    Need("rpmbuild", "rpm", "rpm-build", "rpm-tools"),  # tests make repositories of RPM packages
    Need("rpmsign", "rpm", "rpm-sign", "rpm-tools"),
    Need("createrepo_c", "createrepo-c", "createrepo_c", "createrepo_c"),
    Need("bsdtar", "libarchive-tools", "bsdtar", "libarchive"),  # tests make packages of pacman's as makepkg does
    Need("repo-add", "pacman-package-manager", "pacman", "pacman"),  # and list them
    Need("/usr/share/makepkg/util/message.sh", "makepkg", "pacman", "pacman"),  # repo-add cannot do without
    Need("skopeo", "skopeo", "skopeo", "skopeo"),  # tests make images, and a registry with them
    Need("docker-registry", "docker-registry", "docker-distribution", "docker-registry"),
    Need("chromium", "chromium", "chromium", "chromium"),  # tests look at the page of a run
    Need("flex", "flex", "flex", "flex"),  # nox -s kernel68
    Need("bison", "bison", "bison", "bison"),
    Need(KEYRING, "debian-archive-keyring", "debian-keyring", "debian-archive-keyring"),
)  # fmt: skip
EMULATORS = (
    Need("qemu-system-arm", "qemu-system-arm", "qemu-system-arm-core", "qemu-system-arm"),
    Need("qemu-system-riscv64", "qemu-system-misc", "qemu-system-riscv-core", "qemu-system-riscv"),
    Need("qemu-system-ppc64", "qemu-system-ppc", "qemu-system-ppc-core", "qemu-system-ppc"),
)
FOR_SESSION = {
    "architectures": EMULATORS,
    "support": EMULATORS,
    "conformance_architectures": EMULATORS,
    "bench": (Need("busybox", "busybox-static", "busybox", "busybox"),),  # its peer boots with it
}
RUST_FOR_SESSION = dict.fromkeys(("check", "vm", "conformance_architectures"), ("aarch64-unknown-linux-musl",))
OPTIONAL = {"gpgv", KEYRING}  # without them the archive is asked over HTTPS


class BootstrapError(Exception):
    """Stops the bootstrap; the text says what to do next."""


def step(text: str) -> None:
    """Say what happens next."""
    print(f"==> {text}", flush=True)


def run(*argv: str | Path, env: dict[str, str] | None = None, folder: Path = ROOT) -> None:
    """Run a command; raise BootstrapError where it fails."""
    words = [str(word) for word in argv]
    code = subprocess.run(words, cwd=folder, env={**os.environ, **(env or {})}).returncode
    if code:
        raise BootstrapError(f"`{' '.join(words)}` ended with exit code {code}")


def install_packages(sessions: list[str]) -> None:
    """Install the system packages that are missing, or name them where apt-get is not the way."""
    wanted = [*NEEDS, *(need for session in sessions for need in FOR_SESSION.get(session, ()))]
    missing = [need for need in wanted if need.missing()]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        required = [need for need in missing if need.what not in OPTIONAL]
        if required:
            raise BootstrapError(
                "these are missing, and this system has no apt-get to install them with:\n"
                f"  programs and files: {' '.join(n.what for n in required)}\n"
                f"  Fedora: dnf install {' '.join(dict.fromkeys(n.fedora for n in required))}\n"
                f"  Arch:   pacman -S {' '.join(dict.fromkeys(n.arch for n in required))}"
            )
        return
    packages = [need.apt for need in missing]
    step(f"installing system packages: {' '.join(packages)}")
    root: list[str] = []
    if os.geteuid():
        if shutil.which("sudo") is None:
            raise BootstrapError(f"run as root, or install sudo: apt-get install {' '.join(packages)}")
        root = ["sudo"]
    env = ["env", "DEBIAN_FRONTEND=noninteractive"]
    run(*root, "apt-get", "update", "-q")
    run(*root, *env, "apt-get", "install", "-q", "-y", "--no-install-recommends", *packages)


def install_rust(sessions: list[str]) -> None:
    """Install the Rust that builds the adapter of aya, beside what is there: its rust-toolchain.toml says which.

    And the targets of other machines that a session builds it for.

    Without rustup, the tests that need it fail, and say so.
    """
    rustup = shutil.which("rustup")
    if rustup is None:
        step("no rustup: the tests that build Rust programs will say what they need")
        return
    step("installing the Rust toolchain of the aya adapter, if it is not there")
    folder = ROOT / "harness/everykernel/loaders/aya"
    run(rustup, "toolchain", "install", folder=folder)
    targets = [target for session in sessions for target in RUST_FOR_SESSION.get(session, ())]
    if targets:
        run(rustup, "target", "add", *targets, folder=folder)


def make_venv() -> None:
    """Make .venv with the project (editable) and its development tools; again when pyproject.toml changed."""
    stamp = VENV / "bootstrap.stamp"
    want = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == want:
        return
    step("making .venv with the project and its tools")
    run(sys.executable, "-m", "venv", "--clear", VENV)
    run(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-e", ".[dev]")
    stamp.write_text(want)


def main(arguments: list[str]) -> int:
    """Install what is missing, then run nox; return the exit code."""
    if sys.version_info < MINIMUM:
        print(f"bootstrap: Python {'.'.join(map(str, MINIMUM))} or newer is needed, this is {sys.version.split()[0]}")
        return 2
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    try:
        install_packages(arguments)
        make_venv()
        if arguments:
            install_rust(arguments)
    except BootstrapError as e:
        print(f"bootstrap: {e}", file=sys.stderr)
        return 4
    sessions = arguments or ["matrix"]
    command = [str(PYTHON), "-m", "nox", *([] if sessions == ["check"] else ["-s", *sessions])]
    step(" ".join(["nox", *command[3:]]))
    return subprocess.run(command, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

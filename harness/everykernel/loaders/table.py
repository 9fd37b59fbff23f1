"""The loaders that are built on demand: a row each. A loader is a folder of sources here, and how it is built."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from everykernel.architectures import ARCHITECTURES, Architecture
from everykernel.loaders import cc, sources, sysroot


@dataclass(frozen=True)
class Tool:
    """A program that builds adapters.

    Attributes:
        names: what it may be called, the first that is installed and not too old is taken.
        ask: arguments that make it tell its version.
        said: matches its version in what it tells: major and minor.
        oldest: what is taken at least.
        remedy: what to do where there is none; ``{target}`` stands for the row's.
        across: what to do where it lacks what it needs for another machine than this one, "" for the same.
    """

    names: tuple[str, ...]
    ask: tuple[str, ...]
    said: re.Pattern[str]
    oldest: tuple[int, int]
    remedy: str
    across: str = ""


@dataclass(frozen=True)
class Loader:
    """One real loader.

    Attributes:
        name: as ``--loader`` names it, and the folder of its sources below this package.
        library: what it is called where it comes from.
        version: of the library, pinned by what lies in the folder.
        tool: what builds it.
        targets: what the tool calls each architecture that it builds for.
        command: what is run in a copy of its folder; ``{tool}`` and ``{target}`` stand for what they are.
        program: the file that is then there, likewise.
        environment: of the command, beside the user's own, likewise; an empty value takes a variable away.
        nowhere_else: why there is none for the others.
        fetch: fetches what the command needs beside the folder, for an architecture, into that folder.
        pinned: what identifies that: part of the cache's key.
    """

    name: str
    library: str
    version: str
    tool: Tool
    targets: Mapping[str, str]
    command: tuple[str, ...]
    program: str
    environment: Mapping[str, str] = field(default_factory=dict)
    nowhere_else: str = "it is not built for others"
    fetch: Callable[[Path, Architecture], None] | None = None
    pinned: str = ""

    def filled(self, text: str, arch: Architecture, tool: str = "") -> str:
        """Return a text of this row with what ``{tool}`` and ``{target}`` stand for, for an architecture."""
        return text.replace("{tool}", tool).replace("{target}", self.targets[arch.name])


def _libbpf(folder: Path, arch: Architecture) -> None:
    """Fetch libbpf's sources and, for another architecture than this machine's, what they are linked with."""
    sources.libbpf(folder / cc.LIBRARY)
    if sysroot.is_foreign(arch):
        sysroot.unpack(arch, folder / cc.SYSROOT)


_CLANG = Tool(
    names=cc.COMPILERS,
    ask=("--version",),
    said=re.compile(r"clang version (\d+)\.(\d+)"),
    oldest=(14, 0),
    remedy="install clang-19 and libelf-dev, zlib1g-dev, libzstd-dev (Debian's names)",
    across="install clang-19 and lld-19 (Debian's names)",
)
_GO = Tool(
    names=("go",),
    ask=("version",),
    said=re.compile(r"go version go(\d+)\.(\d+)"),
    oldest=(1, 25),
    remedy="install Go 1.25 or newer (https://go.dev/dl)",
)
_CARGO = Tool(
    names=("cargo",),
    ask=("--version",),
    said=re.compile(r"cargo (\d+)\.(\d+)"),
    oldest=(1, 98),
    remedy="rustup toolchain install 1.98.0 --target {target}",
)

LOADERS: dict[str, Loader] = {
    row.name: row
    for row in (
        Loader(
            name="libbpf",
            library="libbpf",
            version=sources.LIBBPF.version,
            tool=_CLANG,
            targets={name: ARCHITECTURES[name].triplet for name in ("x86_64", "arm64", "s390x")},
            command=cc.COMMAND,
            program=cc.PROGRAM,
            fetch=_libbpf,
            pinned=sources.LIBBPF.sha256,
        ),
        Loader(
            name="ebpf-go",
            library="github.com/cilium/ebpf",
            version="0.22.0",
            tool=_GO,
            targets={"x86_64": "amd64", "arm64": "arm64"},
            command=("{tool}", "build", "-trimpath", "-ldflags=-s -w", "-o", "adapter", "."),
            program="adapter",
            # No cgo, so it is static; and this very toolchain: never another one that go.mod might name.
            environment={"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOOS": "linux",
                         "GOARCH": "{target}", "GOWORK": "off"},
            nowhere_else="Go wants vector registers, which guests of s390x have off: QEMU 7.2 computes wrong with them",
        ),
        Loader(
            name="aya",
            library="aya",
            version="0.16.0",
            tool=_CARGO,
            targets={"x86_64": "x86_64-unknown-linux-musl", "arm64": "aarch64-unknown-linux-musl"},
            command=("{tool}", "build", "--release", "--locked", "--target", "{target}", "--target-dir", "target"),
            program="target/{target}/release/everykernel-aya",
            # Rust's own linker, where the host's links for no other machine.
            environment={"RUSTFLAGS": "", "CARGO_TARGET_DIR": "", "CARGO_BUILD_TARGET": "",
                         "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER": "rust-lld"},
            nowhere_else="rustup has no standard library for a musl target there",
        ),
    )
}  # fmt: skip

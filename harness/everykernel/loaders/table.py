"""The loaders that are built on demand: a row each. A loader is a folder of sources here, and how it is built."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from everykernel.loaders import cc, sources

RUST_TARGET = "x86_64-unknown-linux-musl"


@dataclass(frozen=True)
class Tool:
    """A program that builds adapters.

    Attributes:
        names: what it may be called, the first that is installed and not too old is taken.
        ask: arguments that make it tell its version.
        said: matches its version in what it tells: major and minor.
        oldest: what is taken at least.
        remedy: what to do where there is none.
    """

    names: tuple[str, ...]
    ask: tuple[str, ...]
    said: re.Pattern[str]
    oldest: tuple[int, int]
    remedy: str


@dataclass(frozen=True)
class Loader:
    """One real loader.

    Attributes:
        name: as ``--loader`` names it, and the folder of its sources below this package.
        library: what it is called where it comes from.
        version: of the library, pinned by what lies in the folder.
        tool: what builds it.
        command: what is run in a copy of its folder.
        program: the file that is then there.
        environment: of the command, beside the user's own; an empty value takes a variable away.
        fetch: fetches what the command needs beside the folder into a folder ``library`` in it.
        pinned: what identifies that: part of the cache's key.
    """

    name: str
    library: str
    version: str
    tool: Tool
    command: tuple[str, ...]
    program: str
    environment: Mapping[str, str] = field(default_factory=dict)
    fetch: Callable[[Path], None] | None = None
    pinned: str = ""


_CLANG = Tool(
    names=cc.COMPILERS,
    ask=("--version",),
    said=re.compile(r"clang version (\d+)\.(\d+)"),
    oldest=(14, 0),
    remedy="install clang-19 and libelf-dev, zlib1g-dev, libzstd-dev (Debian's names)",
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
    remedy=f"rustup toolchain install 1.98 --target {RUST_TARGET}",
)

LOADERS: dict[str, Loader] = {
    row.name: row
    for row in (
        Loader(
            name="libbpf",
            library="libbpf",
            version=sources.LIBBPF.version,
            tool=_CLANG,
            command=cc.COMMAND,
            program=cc.PROGRAM,
            fetch=sources.libbpf,
            pinned=sources.LIBBPF.sha256,
        ),
        Loader(
            name="ebpf-go",
            library="github.com/cilium/ebpf",
            version="0.22.0",
            tool=_GO,
            command=("{tool}", "build", "-trimpath", "-ldflags=-s -w", "-o", "adapter", "."),
            program="adapter",
            # No cgo, so it is static; and this very toolchain: never another one that go.mod might name.
            environment={"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOOS": "linux",
                         "GOARCH": "amd64", "GOWORK": "off"},
        ),
        Loader(
            name="aya",
            library="aya",
            version="0.16.0",
            tool=_CARGO,
            command=("{tool}", "build", "--release", "--locked", "--target", RUST_TARGET, "--target-dir", "target"),
            program=f"target/{RUST_TARGET}/release/everykernel-aya",
            environment={"RUSTFLAGS": "", "CARGO_TARGET_DIR": "", "CARGO_BUILD_TARGET": ""},
        ),
    )
}  # fmt: skip

"""The reference: libbpf 1.7, in a program that answers bpf(2) itself (oracle.c) and in one that loads (loader.c)."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from everykernel.kernels import debian

# Debian's libbpf 1.7.0, of sid, pinned: sid moves.
_LIBBPF = debian.Entry(
    name="libbpf-dev",
    version="1:1.7.0-1",
    arch="amd64",
    suite="sid",
    filename="pool/main/libb/libbpf/libbpf-dev_1.7.0-1_amd64.deb",
    size=270780,
    sha256="af4fb0faa65925707de8607aa580d466c9326b99e5f484f080bda2032979fd13",
)


@dataclass(frozen=True)
class Machine:
    """Where a program with libbpf runs: the library for it, clang's flags and what runs its programs here."""

    library: debian.Entry
    flags: tuple[str, ...] = ()
    runner: tuple[str, ...] = ()


NATIVE = Machine(_LIBBPF)

_RELO = re.compile(r"prog '([^']+)': relo #(\d+): failed to (?:relocate|patch)")


def unpack(archive: debian.Archive, entry: debian.Entry, folder: Path) -> None:
    """Unpack the files of a package in ``folder``."""
    for member, content in debian.unpack(archive.fetch(entry)):
        if content is not None:
            path = folder / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())
            path.chmod(member.mode)


def build(folder: Path, name: str, wrapped: Sequence[str], machine: Machine = NATIVE) -> list[str]:
    """Return the command that runs ``name``.c beside this file, built as a static program with libbpf.

    ``folder`` has the library; ``wrapped`` functions are the source's.
    """
    source, program = Path(__file__).with_name(f"{name}.c"), folder / name
    command = ["clang-19", *machine.flags, "-O2", "-Wall", "-Werror", "-s", f"-I{folder / 'usr/include'}", str(source)]
    command += [str(next(folder.rglob("libbpf.a"))), "-static", *(f"-Wl,--wrap={symbol}" for symbol in wrapped)]
    command += ["-lelf", "-lz", "-lzstd", "-o", str(program)]
    subprocess.run(command, check=True)
    return [*machine.runner, str(program)]


def _version(command: Sequence[str]) -> str:
    done = subprocess.run([*command, "--version"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@dataclass(frozen=True)
class Verdict:
    """What libbpf made of one program.

    Attributes:
        program, section: as libbpf names them.
        errno: 0 where it was relocated.
        code: its instructions after relocation and linking, b"" after an error.
        failed: (function, record) of the CO-RE record that it failed at, if that was why.
        log: its debug lines.
    """

    program: str
    section: str
    errno: int
    code: bytes
    failed: tuple[str, int] | None
    log: tuple[str, ...]


@dataclass(frozen=True)
class Files:
    """A kernel for the oracle: BTF, symbols and configuration, and the split BTFs of modules, in files named like them.

    With modules libbpf takes ``btf`` for the kernel's own, else for one that was supplied.
    """

    btf: Path
    kallsyms: Path
    config: Path | None = None
    modules: tuple[Path, ...] = ()


class Oracle:
    """libbpf, asked through a program built in ``folder``."""

    def __init__(self, archive: debian.Archive, folder: Path, machine: Machine = NATIVE) -> None:
        unpack(archive, machine.library, folder)
        self._command = build(folder, "oracle", ("syscall", "open64", "fopen64", "faccessat"), machine)
        self.version = _version(self._command)

    def command(self, obj: Path, kernel: Files) -> list[str]:
        """Return the command that relocates one object."""
        paths = (obj, kernel.btf, kernel.kallsyms, kernel.config or os.devnull, *kernel.modules)
        return [*self._command, *map(str, paths)]

    def relocate(self, obj: Path, kernel: Files) -> list[Verdict] | str:
        """Return libbpf's verdict on each program of an object, or its last words where it does not open it."""
        done = subprocess.run(self.command(obj, kernel), capture_output=True, timeout=300)
        if done.returncode:
            return f"libbpf ended with {done.returncode}: {done.stderr.decode('utf-8', 'replace')}"
        verdicts: list[Verdict] = []
        log: list[str] = []
        for line in done.stdout.decode("utf-8", "replace").splitlines():
            kind, *rest = line.split("\t")
            if kind == "log":
                log.append(rest[0])
            elif kind == "open":
                return next((text for text in reversed(log) if text), f"errno {rest[0]}")
            elif kind == "program":
                name, section, errno, code = rest
                failed = next((m for m in map(_RELO.search, reversed(log)) if m), None)
                verdicts.append(
                    Verdict(
                        program=name,
                        section=section,
                        errno=int(errno),
                        code=b"" if code == "-" else bytes.fromhex(code),
                        failed=(failed[1], int(failed[2])) if failed else None,
                        log=tuple(log),
                    )
                )
                log = []
        return verdicts


class Loader:
    """libbpf as a program that loads objects (loader.c), built in ``folder``."""

    def __init__(self, archive: debian.Archive, folder: Path) -> None:
        unpack(archive, NATIVE.library, folder)
        command = build(folder, "loader", ("btf__load_vmlinux_btf", "btf__free"))
        self.program = Path(command[-1])
        self.version = _version(command)

    def section_names(self) -> list[str]:
        """Return the names of libbpf's own table of sections; those that end in ``+`` take ``/…`` behind them."""
        names, _ = self._sections([])
        return names

    def sections(self, names: Sequence[str]) -> dict[str, tuple[int, int] | None]:
        """Return (program type, expected attach type) of section names from libbpf's table, None for unknown ones."""
        _, found = self._sections(names)
        return found

    def _sections(self, names: Sequence[str]) -> tuple[list[str], dict[str, tuple[int, int] | None]]:
        """Run on the host: libbpf looks into its table and makes no bpf(2) call."""
        command = [str(self.program), "--sections", *names]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        table: list[str] = []
        found: dict[str, tuple[int, int] | None] = {}
        for line in done.stdout.splitlines():
            kind, *rest = line.split("\t")
            if kind == "names":
                table = rest[0].split()
            elif kind == "section":
                name, error, type_, attach = rest
                found[name] = None if int(error) else (int(type_), int(attach))
        return table, found

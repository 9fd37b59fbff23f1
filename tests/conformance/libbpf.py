"""libbpf, asked: in a program that answers bpf(2) itself (oracle.c), and in one that loads (loader.c)."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.references import NATIVE, NEWEST, Machine, Reference

from everykernel.kernels import debian

_RELO = re.compile(r"prog '([^']+)': relo #(\d+): failed to (?:relocate|patch)")


def build(
    archive: debian.Archive,
    folder: Path,
    name: str,
    wrapped: Sequence[str],
    reference: Reference,
    machine: Machine = NATIVE,
) -> list[str]:
    """Return the command that runs ``name``.c beside this file, built in ``folder`` as a static program with libbpf.

    ``wrapped`` functions are the source's. What is built in the folder already is not built again.
    """
    own = folder / f"{name}-{reference.version}-{machine.arch}"
    source, program = Path(__file__).with_name(f"{name}.c"), own / name
    if program.exists():
        return [*machine.runner, str(program)]
    own.mkdir(parents=True)
    library = reference.library(archive, own, machine)
    command = ["clang-19", *machine.flags, "-O2", "-Wall", "-Werror", "-s", *(f"-I{path}" for path in library.includes)]
    command += [str(source), *map(str, library.files), "-static", *(f"-Wl,--wrap={symbol}" for symbol in wrapped)]
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

    def __init__(
        self, archive: debian.Archive, folder: Path, reference: Reference = NEWEST, machine: Machine = NATIVE
    ) -> None:
        wrapped = ("syscall", "open64", "fopen64", "faccessat")
        self.reference = reference
        self._command = build(archive, folder, "oracle", wrapped, reference, machine)
        self.program = Path(self._command[-1])
        self.version = _version(self._command)

    def command(self, obj: Path, kernel: Files) -> list[str]:
        """Return the command that relocates one object."""
        paths = (obj, kernel.btf, kernel.kallsyms, kernel.config or os.devnull, *kernel.modules)
        return [*self._command, *map(str, paths)]

    def relocate(self, obj: Path, kernel: Files, *, together: bool = False) -> list[Verdict] | str:
        """Return libbpf's verdict on each program of an object, or its last words where it does not open it.

        ``together``: on those that the object wants to be loaded, all at once; the first has the log.
        """
        environ = {**os.environ, **({"ORACLE_TOGETHER": "1"} if together else {})}
        done = subprocess.run(self.command(obj, kernel), capture_output=True, timeout=300, env=environ)
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

    def __init__(
        self, archive: debian.Archive, folder: Path, reference: Reference = NEWEST, machine: Machine = NATIVE
    ) -> None:
        command = build(archive, folder, "loader", ("btf__load_vmlinux_btf", "btf__free"), reference, machine)
        self.reference = reference
        self.program = Path(command[-1])
        self.content = self.program.read_bytes()
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
